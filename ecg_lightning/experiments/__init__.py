"""The experiments of a test: one folder each, the same for one run and for a study."""
