"""Experiment 3: do the maps change when the weights are randomised?"""
