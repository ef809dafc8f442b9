"""Do the maps point where the evidence is known to be?"""
