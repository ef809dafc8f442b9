"""Experiment 4: does the network's answer change where the maps point?"""
