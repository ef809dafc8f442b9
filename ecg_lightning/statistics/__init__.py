"""Verdicts rest on this inference: closed forms whose error rates were simulated, and no bootstrap."""
