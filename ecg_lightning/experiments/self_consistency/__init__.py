"""Experiment 2: do networks of other training seeds give the same maps?"""
