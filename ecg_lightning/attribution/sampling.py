"""Monte-Carlo maps are means of samples in independent groups, so that each map comes with its reliability.

Sample ``i`` of an ECG is the same however many are made: a map of more samples continues one of fewer, and when a map
is called finished does not change what was drawn.
"""

import math
from abc import abstractmethod
from collections.abc import Callable, Iterator
from typing import ClassVar, Final

import torch
from torch import Tensor

from ecg_lightning.attribution.autograd import input_gradient, recording_gradients
from ecg_lightning.attribution.base import Attribution, AttributionMethod, check_positive
from ecg_lightning.attribution.budget import BudgetGrid, BudgetLimits, sample_counts
from ecg_lightning.attribution.old_keywords import takes_old_keyword
from ecg_lightning.attribution.seeding import RandomKey
from ecg_lightning.attribution.task import FrozenModel, even_chunk
from ecg_lightning.functional.reliability import split_reliability, stopping_reliability
from ecg_lightning.functional.smoothing import WINDOW
from ecg_lightning.storage.hashing import JSON

GROUPS: Final = 4
"""Groups of samples whose agreement gives the reliability; each gets a stretch of every round, so that antithetic pairs
stay together. Whatever balances samples, such as an even spread of alphas, balances those of one group: samples that
balanced each other across groups would make these agree less than independent maps do."""

_STRETCH: Final = 4
"""Neighbouring samples that go to one group: every group has as many in each stage of :mod:`adaptive samples
<ecg_lightning.attribution.adaptive>`."""

_GOLDEN: Final = (math.sqrt(5.0) - 1.0) / 2.0
"""Step of the golden-ratio sequence: every stretch of it covers [0, 1) evenly."""

Sampler = Callable[[int, int], tuple[Tensor, Tensor]]
"""Number of the first sample and how many -> their contributions, (count, lead, sample), and how much each counts,
(count,) float64 on the CPU. Called in order, from 0 on."""

_LOOKS: Final = 2  # in a row, before a map is called reliable


class SampledMethod(AttributionMethod):
    """The map of a sampled method is a mean over Monte-Carlo samples.

    Subclasses are frozen dataclasses with the fields ``n_samples``, ``target_correlation`` and ``max_samples`` and
    implement ``_draw``. Without ``target_correlation`` every map takes ``n_samples`` samples. With it, a map takes
    as many as its own reliability needs (see ``stopping_reliability``), in rounds of four stretches (see
    ``stretch``: 16 samples; GradientSHAP four cycles of its backgrounds) and at most ``max_samples``.
    """

    stochastic: ClassVar[bool] = True
    n_samples: int
    target_correlation: float | None
    max_samples: int

    @abstractmethod
    def _draw(self, model: FrozenModel, ecg: Tensor, key: RandomKey, first: int, count: int) -> Tensor:
        """Contributions of some samples of one ECG, in the unit of the map.

        Args:
            model: The frozen network.
            ecg: (1, lead, sample) mV.
            key: Random key of this ECG and method.
            first: Number of the first sample.
            count: Number of samples.

        Returns:
            (count, lead, sample).
        """

    def _begin(self, model: FrozenModel, ecg: Tensor, key: RandomKey) -> Sampler:
        """What makes the samples of one ECG; overridden where a sample depends on those before it."""

        def sampler(first: int, count: int) -> tuple[Tensor, Tensor]:
            return self._draw(model, ecg, key, first, count), torch.ones(count, dtype=torch.float64)

        return sampler

    @property
    def most_samples(self) -> int:
        """Return the largest number of samples of a map."""
        return self.n_samples if self.target_correlation is None else self.max_samples

    @property
    def unused(self) -> tuple[str, ...]:
        """Name the number of samples that does not count."""
        return ("max_samples",) if self.target_correlation is None else ("n_samples",)

    def budget_grid(self, model: FrozenModel, limits: BudgetLimits) -> BudgetGrid | None:
        """List numbers of samples in whole stretches, so that the groups that are compared have equally many."""
        values = sample_counts(self.stretch(model), limits.max_samples or self.max_samples, GROUPS)
        also: dict[str, JSON] = {} if self.target_correlation is None else {"target_correlation": None}
        return BudgetGrid("n_samples", values, also=also)

    def reliability_curve(self, model: FrozenModel, ecg: Tensor, key: RandomKey, grid: BudgetGrid) -> Iterator[float]:
        """Yield the reliability after growing numbers of samples of one continued run; each as of a map by itself.

        Raises:
            ValueError: Numbers that do not grow.
        """
        sums = GroupSums(ecg, self.stretch(model), model.smoothing_window)
        with recording_gradients():
            sampler = self._begin(model, ecg.detach().clone(), key)
        for count in grid.values:
            if count <= sums.count:
                raise ValueError(f"{self.name}: expected growing numbers of samples, got {count} after {sums.count}")
            with recording_gradients():
                sums.add(*sampler(sums.count, count - sums.count))
            yield sums.reliability()

    def stretch(self, model: FrozenModel) -> int:  # noqa: ARG002
        """Return how many neighbouring samples go to one group, before the next group gets as many."""
        return _STRETCH

    def _explain(self, model: FrozenModel, ecg: Tensor, key: RandomKey) -> Attribution:
        sums = GroupSums(ecg, self.stretch(model), model.smoothing_window)
        sampler = self._begin(model, ecg, key)
        if self.target_correlation is None:
            sums.add(*sampler(0, self.n_samples))
        else:
            self._until_reliable(sums, sampler, model.chunk, stopping_reliability(self.target_correlation))
        return Attribution(sums.mean().to(ecg), sums.reliability(), sums.count)

    def _attribute(self, model: FrozenModel, ecg: Tensor, key: RandomKey) -> Tensor:
        return self._explain(model, ecg, key).map

    def _until_reliable(self, sums: "GroupSums", sampler: Sampler, chunk: int, enough: float) -> None:
        """Add round by round until two looks in a row are reliable enough, or the bound is reached."""
        look = GROUPS * sums.stretch  # samples between two looks: all groups have equally many
        together = max(chunk // look, 1) * look  # what shares a pass; samples behind the stop are not used
        good = 0
        while sums.count < self.max_samples and good < _LOOKS:
            block, counts = sampler(sums.count, min(together, self.max_samples - sums.count))
            for part, counted in zip(torch.split(block, look), torch.split(counts, look), strict=True):
                sums.add(part, counted)
                good = good + 1 if sums.reliability() >= enough else 0
                if good == _LOOKS:
                    break


def check_sampling(method: SampledMethod) -> None:
    """Refuse numbers of samples and correlations that are out of range.

    Raises:
        ValueError: Names the method and the hyperparameter.
    """
    check_positive(method, n_samples=method.n_samples, max_samples=method.max_samples)
    if method.target_correlation is not None and not 0.0 < method.target_correlation < 1.0:
        raise ValueError(
            f"{method.name}: target_correlation must be between 0 and 1 (such as .99) or null, got "
            f"{method.target_correlation}"
        )


class GroupSums:
    """The group sums are running sums of the samples of one map, by group and in float64.

    Args:
        ecg: (1, lead, sample), for shape and device.
        stretch: Neighbouring samples that go to one group.
        window: Samples of the filter under which maps are compared.
    """

    def __init__(self, ecg: Tensor, stretch: int, window: int = WINDOW) -> None:
        self.stretch, self.window = stretch, window
        self._sums = ecg.new_zeros((GROUPS, *ecg.shape[1:]), dtype=torch.float64)
        self._counts = torch.zeros(GROUPS, dtype=torch.float64)
        self.count = 0

    def add(self, samples: Tensor, counts: Tensor) -> None:
        """Add the next samples, (n, lead, sample), which count as ``counts`` (n,) says."""
        group, _ = grouped(self.count, len(samples), self.stretch)
        counted = samples.detach().double() * counts.to(samples.device)[:, None, None]
        self._sums.index_add_(0, group.to(samples.device), counted)
        self._counts.index_add_(0, group, counts)
        self.count += len(samples)

    def mean(self) -> Tensor:
        """Return the mean of all samples, (1, lead, sample) float64."""
        return self._sums.sum(0, keepdim=True) / float(self._counts.sum())

    def reliability(self) -> float:
        """Return the mean's reliability; NaN where fewer than two groups have samples, or a group is constant."""
        filled = self._counts > 0
        if int(filled.sum()) < 2:
            return math.nan
        counts = self._counts[filled].to(self._sums.device)
        return float(split_reliability(self._sums[filled] / counts[:, None, None], counts, self.window))


@takes_old_keyword("task", "model")
def gradients(model: FrozenModel, points: Tensor, *, absolute: bool = False) -> Tensor:
    """Compute the logit's gradient at many points, in passes of about one size, at most the model's chunk.

    Args:
        model: The frozen network.
        points: (point, lead, sample) mV.
        absolute: Magnitudes instead, as Captum's Saliency takes by default.

    Returns:
        (point, lead, sample) logit per mV.
    """
    network = model.sampling_network
    parts = torch.split(points, even_chunk(len(points), model.chunk))  # a short last pass would be a slow one
    found = torch.cat([input_gradient(network, part) for part in parts])
    return found.abs() if absolute else found


def grouped(first: int, count: int, stretch: int) -> tuple[Tensor, Tensor]:
    """Return each sample's group, and its number among the samples of that group, (count,) each.

    Args:
        first: Number of the first sample.
        count: Number of samples.
        stretch: Neighbouring samples that go to one group.
    """
    index = torch.arange(first, first + count)
    return index // stretch % GROUPS, index // (stretch * GROUPS) * stretch + index % stretch


def golden_fractions(shift: Tensor | float, number: Tensor) -> Tensor:
    """Return elements of golden-ratio sequences.

    Args:
        shift: Where each sequence starts, in [0, 1).
        number: Number of each element in its sequence, (count,).

    Returns:
        (count,) in [0, 1), float64 on the CPU.
    """
    return torch.remainder(shift + number.double() * _GOLDEN, 1.0)
