"""This package makes attribution maps: twelve methods, keyed randomness, and the frozen network that they read."""

import warnings
from typing import TYPE_CHECKING

from ecg_lightning.attribution.base import AttributionMethod, Passes
from ecg_lightning.attribution.methods import METHODS, MethodSet, build_methods
from ecg_lightning.attribution.seeding import RandomKey
from ecg_lightning.attribution.task import FrozenModel, prepare_task
from ecg_lightning.method_names import METHOD_NAMES, MethodName

__all__ = [
    "METHODS",
    "METHOD_NAMES",
    "AttributionMethod",
    "FrozenModel",
    "MethodName",
    "MethodSet",
    "Passes",
    "RandomKey",
    "build_methods",
    "prepare_task",
]


if not TYPE_CHECKING:  # else mypy would believe every name

    def __getattr__(name: str) -> type[FrozenModel]:
        if name != "AttributionTask":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        warnings.warn("AttributionTask is now called FrozenModel", DeprecationWarning, stacklevel=2)
        return FrozenModel
