"""Lightning's part of the command line; ``cli.py`` is the front door."""
