"""The examples in the docstrings of the statistics are what the code gives."""

import doctest
from importlib import import_module
from pkgutil import iter_modules

import pytest

import ecg_lightning.statistics as statistics

MODULES = sorted(module.name for module in iter_modules(statistics.__path__))


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    found = doctest.testmod(import_module(f"{statistics.__name__}.{name}"))
    assert found.failed == 0
    assert found.attempted or name == "interval_settings"  # which holds settings only
