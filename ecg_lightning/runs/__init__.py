"""This room knows where the files of a run lie, and reads them back."""
