"""What ``benchmarks/recompute.py`` is made of: NumPy, SciPy, scikit-learn and pandas, nothing of the project."""
