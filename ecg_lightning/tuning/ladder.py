"""What a ladder of settings is: the values that are tried for one method, and how good a map each of them gives."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

from torch import Tensor

from ecg_lightning.attribution.base import AttributionMethod
from ecg_lightning.attribution.seeding import RandomKey
from ecg_lightning.attribution.task import AttributionTask
from ecg_lightning.storage.hashing import JSON
from ecg_lightning.tuning.settings import TuningSettings

Evidence = Literal["draws", "finer"]
"""Where a correlation with the limit comes from: the run's own draws, or a map of many more passes."""


class Ladder(ABC):
    """Settings of one method, from cheap to dear.

    Args:
        method: As configured.
        task: The network.
        settings: Bounds.
    """

    evidence: ClassVar[Evidence] = "draws"
    fixed: ClassVar[bool] = False
    """Whether the setting is part of what the method means, so that it is measured but not chosen."""

    argument: ClassVar[str]
    """Name of the setting."""

    def __init__(self, method: AttributionMethod, task: AttributionTask, settings: TuningSettings) -> None:
        self.method = method
        self.task = task
        self.settings = settings

    @abstractmethod
    def values(self) -> Sequence[int]:
        """What is tried, growing."""

    @abstractmethod
    def curves(self, ecgs: Tensor, keys: Sequence[RandomKey]) -> list[Iterator[float]]:
        """For each ECG the reliability at each of ``values``, computed when it is asked for.

        The reliability of a map without noise is the square of its correlation with its limit.

        Args:
            ecgs: (ecg, lead, sample) mV.
            keys: One an ECG.
        """

    def changes(self, value: int) -> dict[str, JSON]:
        """Hyperparameters that set a value."""
        return {self.argument: value}

    def method_at(self, value: int) -> AttributionMethod:
        """The method with that setting."""
        return _changed(self.method, **self.changes(value))


def up_to(values: Sequence[int], bound: int) -> tuple[int, ...]:
    """Those below the bound, and the bound."""
    return (*(value for value in values if value < bound), bound)


def _changed(method: AttributionMethod, **changes: Any) -> AttributionMethod:
    changed: AttributionMethod = replace(method, **changes)  # type: ignore[type-var]
    return changed
