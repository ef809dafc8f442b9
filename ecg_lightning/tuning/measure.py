"""Measures, setting by setting, how well each method's maps correlate with their limit, and stops when it is enough."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from lightning.pytorch.utilities import rank_zero_warn
from numpy.typing import NDArray
from torch import Tensor

from ecg_lightning.attribution.base import AttributionMethod, Passes
from ecg_lightning.attribution.budget import BudgetGrid
from ecg_lightning.attribution.seeding import RandomKey
from ecg_lightning.attribution.task import FrozenModel
from ecg_lightning.storage.hashing import JSON
from ecg_lightning.tuning.budget_curves import reliability_curves
from ecg_lightning.tuning.settings import LOWEST, TuningSettings

Evidence = Literal["draws", "finer"]
"""What a correlation with the limit comes from: the run's own samples, or a map of many more passes."""

Status = Literal["chosen", "bound", "constant", "kept", "exact"]
"""``chosen``: reaches the target; ``bound``: doesn't within the bound, which it has now; ``constant``: no ECG's map has
a correlation, so the setting stays; ``kept``: measured, not chosen; ``exact``: nothing to choose."""


@dataclass(frozen=True)
class CurvePoint:
    """A point of a curve is what one setting gives.

    Attributes:
        value: Value of the setting.
        passes: Passes of one map.
        reliability: (ecg,) float64; NaN where the map is constant. Its root is the correlation with the limit.
    """

    value: int
    passes: Passes
    reliability: NDArray[np.float64]

    @property
    def correlation(self) -> NDArray[np.float64]:
        """Return the predicted correlation with the limit, (ecg,)."""
        root: NDArray[np.float64] = np.sqrt(self.reliability)
        return root

    def quantile(self, share: float) -> float:
        """Return a quantile of the correlation over ECGs that have one; NaN where none has."""
        known = self.correlation[np.isfinite(self.correlation)]
        return float(np.quantile(known, share)) if len(known) else math.nan

    @property
    def median(self) -> float:
        """Return the correlation of the median ECG."""
        return self.quantile(0.5)

    @property
    def lowest(self) -> float:
        """Return the lowest decile over ECGs."""
        return self.quantile(LOWEST)


@dataclass(frozen=True)
class TunedMethod:
    """A method with its setting.

    Attributes:
        method: The method with the setting that tune gives it.
        status: How the method came to it.
        argument: Name of the setting; empty for an exact one.
        evidence: Where the correlations come from.
        curve: One point a tried setting, from cheap to expensive; the last one is that of ``method``.
        changes: Hyperparameters that differ from those it was configured with.
    """

    method: AttributionMethod
    status: Status
    argument: str = ""
    evidence: Evidence = "draws"
    curve: tuple[CurvePoint, ...] = ()
    changes: dict[str, JSON] = field(default_factory=dict)


def tune_methods(
    methods: Sequence[AttributionMethod],
    task: FrozenModel,
    ecgs: Tensor,
    key: Callable[[str, int], RandomKey],
    settings: TuningSettings,
    more: Tensor | None = None,
) -> list[TunedMethod]:
    """Measure the curve and choose the setting of every method.

    Args:
        methods: The methods, as configured.
        task: The frozen network with its backgrounds.
        ecgs: (ecg, lead, sample) mV.
        key: (method, number of the ECG) -> key of its draws.
        settings: Target and bounds.
        more: (background, lead, sample) mV, training ECGs of which the stated backgrounds are the first; None where
            there are no further ones.
    """
    limits = settings.limits(0 if more is None else len(more))
    tuned = []
    for method in methods:
        grid = method.budget_grid(task, limits)
        if grid is None:
            tuned.append(TunedMethod(method, "exact"))
            continue
        keys = [key(method.name, number) for number in range(len(ecgs))]
        curves = reliability_curves(method, grid, task, ecgs, keys, more)
        tuned.append(search(method, grid, curves, task, settings))
    return tuned


def search(
    method: AttributionMethod,
    grid: BudgetGrid,
    curves: Sequence[Iterator[float]],
    task: FrozenModel,
    settings: TuningSettings,
) -> TunedMethod:
    """Try budgets from cheap to expensive until one reaches the target.

    Args:
        method: The method, as configured.
        grid: Budget grid of the method.
        curves: Reliability curve of each ECG: its reliability at each budget.
        task: The frozen network with its backgrounds.
        settings: Settings with the target correlation.
    """
    points: list[CurvePoint] = []
    status: Status = "kept" if grid.fixed else "bound"
    for value in grid.values:
        reliability = np.array([_next(curve, method.name, place) for place, curve in enumerate(curves)])
        points.append(CurvePoint(value, _passes(method, grid, value, task), reliability))
        if np.isnan(reliability).all():
            status = "constant"
            break
        if not grid.fixed and settings.reached(points[-1].correlation):
            status = "chosen"
            break
    changes = {} if status == "constant" else grid.changes(points[-1].value)
    chosen = method.with_budget(grid, points[-1].value) if changes else method
    evidence: Evidence = "draws" if grid.judged == "draws" else "finer"
    return TunedMethod(chosen, status, grid.argument, evidence, tuple(points), changes)


def _next(curve: Iterator[float], method: str, place: int) -> float:
    """The next value of an ECG's curve; NaN from where the method fails on it, so that it costs no other ECG."""
    try:
        return next(curve, math.nan)
    except torch.OutOfMemoryError:
        raise
    except (ValueError, RuntimeError, ArithmeticError) as error:
        rank_zero_warn(
            f"{method} failed on ECG {place + 1} in the order of tune.parquet, which is left out: "
            f"{type(error).__name__}: {error}"
        )
        return math.nan


def _passes(method: AttributionMethod, grid: BudgetGrid, value: int, task: FrozenModel) -> Passes:
    shape = (int(task.backgrounds.shape[1]), int(task.backgrounds.shape[2]))
    backgrounds = value if grid.judged == "backgrounds" else len(task.backgrounds)
    return method.with_budget(grid, value).passes(shape, backgrounds)
