"""Verdicts on methods: what is compared, against which margin, and what follows from it (passes, fails, can't tell)."""
