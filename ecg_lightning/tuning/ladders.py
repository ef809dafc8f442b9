"""The ladder of each method, and those of the sampled ones, whose own draws say how good a map is."""

from collections.abc import Iterator, Sequence
from typing import Final

from torch import Tensor

from ecg_lightning.attribution.background import DeepLiftShap
from ecg_lightning.attribution.base import AttributionMethod
from ecg_lightning.attribution.contribution import IntegratedGradients
from ecg_lightning.attribution.sampling import GROUPS, SampledMethod
from ecg_lightning.attribution.seeding import RandomKey
from ecg_lightning.attribution.shapley import ShapleySampling
from ecg_lightning.attribution.task import AttributionTask
from ecg_lightning.storage.hashing import JSON
from ecg_lightning.tuning.finer_ladders import BackgroundLadder, StepLadder
from ecg_lightning.tuning.ladder import Ladder, up_to
from ecg_lightning.tuning.settings import TuningSettings

_OCTAVE: Final = (1.0, 1.5)  # steps of a ladder between powers of two
_SURROGATE: Final = (4, 6, 8, 12, 18, 24)  # forwards a group, as in the measurements that the defaults are from
_PERMUTATIONS: Final = (8, 16, 24, 32, 48, 64, 96, 128)


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
            return up_to([times * (groups - 1) // 2 * 2 for times in _SURROGATE], bound)
        most = (self.settings.max_forwards or _PERMUTATIONS[-1] * groups) // groups
        return up_to(_PERMUTATIONS, max(most // 2 * 2, 2))

    def curves(self, ecgs: Tensor, keys: Sequence[RandomKey]) -> list[Iterator[float]]:
        """Of maps of their own."""
        methods = [self.method_at(value) for value in self.values()]

        def curve(ecg: Tensor, key: RandomKey) -> Iterator[float]:
            for method in methods:
                yield float(method.explain(self.task, ecg, [key]).reliability)

        return [curve(ecgs[i : i + 1], key) for i, key in enumerate(keys)]


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
    """Multiples of a unit up to a bound: 2, 4, 8, 12, 16, 24, 32, 48 ... of them, and the bound's own.

    Beyond 4 they are multiples of 4, so that each of 4 groups gets as many; 2 fill half of the groups evenly.

    Args:
        unit: Draws that belong together.
        bound: Most draws.
    """
    larger = [int(GROUPS * 2**octave * step) for octave in range(1, 20) for step in _OCTAVE]
    last = bound // (GROUPS * unit) * GROUPS * unit or bound
    return up_to([unit * times for times in (GROUPS // 2, GROUPS, *larger)], last)
