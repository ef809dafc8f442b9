"""Inference that verdicts rest on: closed forms whose error rates were simulated, and no bootstrap."""
