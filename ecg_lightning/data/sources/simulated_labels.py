"""Labels of a simulated ECG: its diagnoses, and its measurements, which take a moment and are made when asked for."""

import math
from collections.abc import Collection, Iterator, Mapping
from functools import cached_property
from importlib.resources import files
from types import MappingProxyType
from typing import Final

from ecg_lightning.data.targets import TargetInfo, load_targets
from ecg_lightning.ecg import Target
from ecg_lightning.simulator.case import Case
from ecg_lightning.simulator.heart import draw_heart
from ecg_lightning.simulator.measured import MEASURED, measure_heart

MEASUREMENTS: Final[Mapping[Target, TargetInfo]] = MappingProxyType(
    load_targets(str(files("ecg_lightning.data") / "measurements.yaml"))
)
"""The regression targets of simulated ECGs."""


class SimulatedLabels(Mapping[Target, float]):
    """The labels of one ECG; a measurement of what it does not have, such as P in fibrillation, is missing.

    Args:
        diagnoses: Target -> 1 or 0, without those that nobody looked for.
        case: The ECG.
        targets: Of the source; other measurements are left out.
    """

    def __init__(self, diagnoses: Mapping[Target, float], case: Case, targets: Collection[Target]) -> None:
        self._diagnoses, self._case = diagnoses, case
        self._names = tuple(name for name in MEASURED if name in targets)

    def __getitem__(self, target: Target) -> float:
        return (self._measured if target in self._names else self._diagnoses)[target]

    def __iter__(self) -> Iterator[Target]:
        yield from self._diagnoses
        yield from self._measured

    def __len__(self) -> int:
        return len(self._diagnoses) + len(self._measured)

    def __repr__(self) -> str:
        return repr(dict(self))

    @cached_property
    def _measured(self) -> dict[Target, float]:
        found = measure_heart(draw_heart(self._case))
        return {name: found[name] for name in self._names if not math.isnan(found[name])}
