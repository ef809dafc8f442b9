"""This package makes the median beat of a recording."""
