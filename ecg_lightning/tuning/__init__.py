"""How many passes the methods need on a network: reliability against passes, and settings that reach a target."""
