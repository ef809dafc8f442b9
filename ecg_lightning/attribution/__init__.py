"""Attribution maps: the twelve methods, keyed randomness, and the frozen network they read."""

from ecg_lightning.attribution.base import AttributionMethod, Passes
from ecg_lightning.attribution.methods import METHODS, MethodSet, build_methods
from ecg_lightning.attribution.seeding import RandomKey
from ecg_lightning.attribution.task import AttributionTask, prepare_task
from ecg_lightning.method_names import METHOD_NAMES, MethodName

__all__ = [
    "METHODS",
    "METHOD_NAMES",
    "AttributionMethod",
    "AttributionTask",
    "MethodName",
    "MethodSet",
    "Passes",
    "RandomKey",
    "build_methods",
    "prepare_task",
]
