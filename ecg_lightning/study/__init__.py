"""A study: a grid of diagnoses and seeds, fitted, tested, compared and reported."""
