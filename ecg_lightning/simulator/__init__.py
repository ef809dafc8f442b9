"""A heart-vector simulator of 12-lead ECGs whose diagnoses can be toggled one by one, and where their evidence lies."""
