"""This package finds how many passes the methods need on a network: reliability against passes, and settings."""
