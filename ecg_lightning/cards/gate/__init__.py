"""The gate: does a network see what its card says that it was trained on? Asked before a map is made."""
