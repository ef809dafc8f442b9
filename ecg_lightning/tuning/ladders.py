"""The settings that are tried for each method, from cheap to dear, and how good a map each of them gives."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Final, Literal

import torch
from torch import Tensor

from ecg_lightning.attribution.background import DeepLiftShap
from ecg_lightning.attribution.base import AttributionMethod
from ecg_lightning.attribution.contribution import IntegratedGradients
from ecg_lightning.attribution.sampling import GROUPS, SampledMethod
from ecg_lightning.attribution.seeding import RandomKey
from ecg_lightning.attribution.shapley import ShapleySampling
from ecg_lightning.attribution.task import AttributionTask
from ecg_lightning.digest import JSON
from ecg_lightning.functional.similarity import similarity_matrix
from ecg_lightning.functional.smoothing import WINDOW
from ecg_lightning.tuning.settings import TuningSettings

Evidence = Literal["draws", "finer"]
"""Where a correlation with the limit comes from: the run's own draws, or a map of many more passes."""

FINER: Final = 4
"""Times as many nodes, or backgrounds, as a map is compared with at most."""

_OCTAVE: Final = (1.0, 1.5)  # steps of a ladder between powers of two
_STEPS: Final = (3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
_DOUBLED: Final = tuple(2**exponent for exponent in range(1, 20))
_SURROGATE: Final = (4, 6, 8, 12, 18, 24)  # forwards a group, as in the measurements that the defaults are from
_PERMUTATIONS: Final = (8, 16, 24, 32, 48, 64, 96, 128)


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


class SampleLadder(Ladder):
    """Draws of a sampled method: one run an ECG, continued from setting to setting."""

    argument = "n_samples"
    method: SampledMethod

    def values(self) -> Sequence[int]:
        """In whole stretches of draws, so that the groups whose agreement is measured have equally many."""
        bound = self.settings.max_samples or self.method.max_samples
        return grid(self.method.stretch(self.task), bound)

    def curves(self, ecgs: Tensor, keys: Sequence[RandomKey]) -> list[Iterator[float]]:
        """Of one continued run an ECG."""
        values = self.values()
        return [self.method.reliability_curve(self.task, ecgs[i : i + 1], key, values) for i, key in enumerate(keys)]

    def changes(self, value: int) -> dict[str, JSON]:
        """A fixed number, also for a method that was set to stop by itself."""
        adaptive = self.method.target_correlation is not None
        return {self.argument: value} | ({"target_correlation": None} if adaptive else {})


class ShapleyLadder(Ladder):
    """Forwards (or permutations) of Shapley values; every setting starts anew."""

    method: ShapleySampling

    @property
    def argument(self) -> str:  # type: ignore[override]
        """That of the estimator."""
        return "n_forwards" if self.method.surrogate else "n_permutations"

    def values(self) -> Sequence[int]:
        """Multiples of the number of groups; permutations are even, for a reverse each."""
        groups = self.method.groups((int(self.task.backgrounds.shape[1]), int(self.task.backgrounds.shape[2])))
        if self.method.surrogate:
            bound = self.settings.max_forwards or _SURROGATE[-1] * (groups - 1)
            return _up_to([times * (groups - 1) // 2 * 2 for times in _SURROGATE], bound)
        most = (self.settings.max_forwards or _PERMUTATIONS[-1] * groups) // groups
        return _up_to(_PERMUTATIONS, max(most // 2 * 2, 2))

    def curves(self, ecgs: Tensor, keys: Sequence[RandomKey]) -> list[Iterator[float]]:
        """Of maps of their own."""
        methods = [self.method_at(value) for value in self.values()]

        def curve(ecg: Tensor, key: RandomKey) -> Iterator[float]:
            for method in methods:
                yield float(method.explain(self.task, ecg, [key]).reliability)

        return [curve(ecgs[i : i + 1], key) for i, key in enumerate(keys)]


class StepLadder(Ladder):
    """Nodes of integrated gradients, against four times as many as are tried at most."""

    evidence = "finer"
    argument = "n_steps"
    method: IntegratedGradients

    def values(self) -> Sequence[int]:
        """In steps of about 1.4."""
        return _up_to(_STEPS, self.settings.max_steps)

    def curves(self, ecgs: Tensor, keys: Sequence[RandomKey]) -> list[Iterator[float]]:
        """Squared correlations with the finer quadrature."""
        methods = [self.method_at(value) for value in self.values()]
        finest = self.method_at(FINER * self.values()[-1])

        def curve(ecg: Tensor, key: RandomKey) -> Iterator[float]:
            reference = finest(self.task, ecg, [key])
            for method in methods:
                yield squared_correlation(method(self.task, ecg, [key]), reference)

        return [curve(ecgs[i : i + 1], key) for i, key in enumerate(keys)]


class BackgroundLadder(Ladder):
    """Backgrounds of DeepLIFT-SHAP, against up to four times as many.

    Over its stated backgrounds the map is exact. The curve tells how much of it is due to their choice.

    Args:
        method: The method.
        task: The network, with the stated backgrounds.
        settings: Bounds.
        more: (background, lead, sample) mV, training ECGs of which the stated ones are the first.
    """

    evidence = "finer"
    fixed = True
    argument = "backgrounds"

    def __init__(
        self, method: AttributionMethod, task: AttributionTask, settings: TuningSettings, more: Tensor
    ) -> None:
        super().__init__(method, task, settings)
        self.more = more.to(task.backgrounds)

    def values(self) -> Sequence[int]:
        """Up to the stated ones."""
        return _up_to(_DOUBLED, len(self.task.backgrounds))

    def curves(self, ecgs: Tensor, keys: Sequence[RandomKey]) -> list[Iterator[float]]:
        """Squared correlations with the map over all that there are."""
        every = [(ecgs[i : i + 1], key) for i, key in enumerate(keys)]
        wide = replace(self.task, backgrounds=self.more)
        references = [self.method(wide, ecg, [key]) for ecg, key in every]  # one by one: their pass is shared

        def curve(ecg: Tensor, key: RandomKey, reference: Tensor) -> Iterator[float]:
            for value in self.values():
                few = replace(self.task, backgrounds=self.more[:value])
                yield squared_correlation(self.method(few, ecg, [key]), reference)

        return [curve(*one, reference) for one, reference in zip(every, references, strict=True)]

    def changes(self, value: int) -> dict[str, JSON]:  # noqa: ARG002
        """None: the backgrounds are the datamodule's, and GradientSHAP's too."""
        return {}


class OwnSetting(Ladder):
    """A stochastic method of one's own: what it reaches as it is."""

    fixed = True
    argument = "as configured"

    def values(self) -> Sequence[int]:
        """One, without a meaning."""
        return (1,)

    def curves(self, ecgs: Tensor, keys: Sequence[RandomKey]) -> list[Iterator[float]]:
        """Of one map an ECG."""

        def curve(ecg: Tensor, key: RandomKey) -> Iterator[float]:
            yield float(self.method.explain(self.task, ecg, [key]).reliability)

        return [curve(ecgs[i : i + 1], key) for i, key in enumerate(keys)]

    def changes(self, value: int) -> dict[str, JSON]:  # noqa: ARG002
        """None."""
        return {}


def ladder_of(
    method: AttributionMethod, task: AttributionTask, settings: TuningSettings, more: Tensor | None
) -> Ladder | None:
    """The ladder of a method; None for one whose map is exact.

    Args:
        method: As configured.
        task: The network.
        settings: Bounds.
        more: (background, lead, sample) further backgrounds behind the stated ones; None where there are none.
    """
    if isinstance(method, SampledMethod):
        return SampleLadder(method, task, settings)
    if isinstance(method, ShapleySampling):
        shape = (int(task.backgrounds.shape[1]), int(task.backgrounds.shape[2]))
        return None if method.exact(shape) else ShapleyLadder(method, task, settings)
    if isinstance(method, IntegratedGradients):
        return StepLadder(method, task, settings)
    if isinstance(method, DeepLiftShap) and more is not None and len(more) > len(task.backgrounds):
        return BackgroundLadder(method, task, settings, more)
    return OwnSetting(method, task, settings) if method.stochastic else None


def grid(unit: int, bound: int) -> tuple[int, ...]:
    """Multiples of a unit up to a bound: 4, 8, 16, 24, 32, 48, 64, 96 ... of them, and the bound's own.

    Beyond 8 they are multiples of 8, so that each of 8 groups gets as many; 4 fill half of the groups evenly.

    Args:
        unit: Draws that belong together.
        bound: Most draws.
    """
    larger = [int(GROUPS * 2**octave * step) for octave in range(1, 20) for step in _OCTAVE]
    last = bound // (GROUPS * unit) * GROUPS * unit or bound
    return _up_to([unit * times for times in (GROUPS // 2, GROUPS, *larger)], last)


def squared_correlation(first: Tensor, second: Tensor) -> float:
    """Of two maps (1, lead, sample) after smoothing; 0 where the correlation is negative, NaN where there is none."""
    window = WINDOW if first.shape[-1] >= WINDOW else None
    both = torch.stack([first, second], dim=1)
    return float(similarity_matrix(both, window=window)[0, 0, 1].clamp(min=0.0).square())


def _up_to(values: Sequence[int], bound: int) -> tuple[int, ...]:
    """Those below the bound, and the bound."""
    return (*(value for value in values if value < bound), bound)


def _changed(method: AttributionMethod, **changes: Any) -> AttributionMethod:
    changed: AttributionMethod = replace(method, **changes)  # type: ignore[type-var]
    return changed
