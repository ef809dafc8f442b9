"""The examples in docstrings are what the code gives."""

import doctest
from importlib import import_module
from pkgutil import iter_modules

import pytest

import ecg_lightning.statistics as statistics

MODULES = sorted(f"{statistics.__name__}.{module.name}" for module in iter_modules(statistics.__path__))


@pytest.mark.parametrize("name", [*MODULES, "ecg_lightning.experiments.perturbation.measure"])
def test_examples(name: str) -> None:
    found = doctest.testmod(import_module(name))
    assert found.failed == 0
    assert found.attempted or name.endswith("interval_settings")  # which holds settings only
