"""Do the maps foretell how the network answers to changes of its input?"""
