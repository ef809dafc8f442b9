"""The report of a study: the paper's tables and figures from finished runs, and what the paper lacks."""
