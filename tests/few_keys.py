"""Configurations of a test that leave out what is not looked at, whatever experiments there are."""

from ecg_lightning.command_line.test_keys import TEST_KEYS


def without_others(*wanted: str) -> str:
    """YAML that leaves out every key but these."""
    return "".join(f"{key}: null\n" for key in TEST_KEYS if key not in wanted)
