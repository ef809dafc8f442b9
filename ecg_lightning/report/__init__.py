"""This package writes the report of a study: the paper's tables and figures, and what the paper lacks."""
