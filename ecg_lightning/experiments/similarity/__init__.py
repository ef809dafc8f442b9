"""Experiment 1: do the methods agree on one ECG?"""
