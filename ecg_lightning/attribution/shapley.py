"""Shapley values of groups of samples come from a surrogate that learns from coalitions, or from permutations."""

from dataclasses import dataclass, replace
from typing import ClassVar, Final, Literal, Self

import torch
from torch import Tensor

from ecg_lightning.attribution.base import Attribution, AttributionMethod, Passes, check_positive, keys_of
from ecg_lightning.attribution.budget import BudgetGrid, BudgetLimits, up_to
from ecg_lightning.attribution.contribution import integrated_gradients
from ecg_lightning.attribution.lint_report import Complaint
from ecg_lightning.attribution.probe import DOUBTFUL_ERROR, Probe
from ecg_lightning.attribution.sample_groups import (
    coalition_logits,
    group_products,
    group_size,
    group_sums,
    sample_groups,
    spread_evenly,
)
from ecg_lightning.attribution.seeding import RandomKey
from ecg_lightning.attribution.shapley_permutations import permutation_reliability, permutation_values
from ecg_lightning.attribution.style import CONTRIBUTION, MethodStyle
from ecg_lightning.attribution.task import FrozenModel
from ecg_lightning.ecg import MEDIAN_BEAT
from ecg_lightning.functional.coalitions import every_pair, paired_coalitions
from ecg_lightning.functional.cubic_kernel import neighbour_correlation
from ecg_lightning.functional.shapley_reliability import reliability_from_covariance
from ecg_lightning.functional.surrogate import HalfDifferences, ShapleyEstimate, exact_shapley, surrogate_shapley
from ecg_lightning.storage.hashing import JSON

Estimator = Literal["surrogate", "surrogate_unbiased", "antithetic", "permutation"]

_SURROGATES: Final = ("surrogate", "surrogate_unbiased")
_GUESS_STEPS: Final = 24
"""Gauss-Legendre nodes of the integrated gradients that the surrogate starts from."""

_ERROR_DECAY_MS: Final = 150
"""Time over which the relative error of integrated gradients stays alike; 50 to 100 do as well."""

_ERROR_BETWEEN_LEADS: Final = 0.8
_FORWARDS_A_GROUP: Final = (4, 6, 8, 12, 18, 24)  # as in the measurements that the defaults are from
_PERMUTATIONS: Final = (8, 16, 24, 32, 48, 64, 96, 128)


@dataclass(frozen=True)
class ShapleySampling(AttributionMethod):
    """Shapley sampling estimates Shapley values of groups of samples (Castro et al. 2009; Strumbelj et al. 2010).

    Absent groups are 0 mV. A group's value is spread evenly over its samples, so that the map's sum is
    f(ecg) - f(0); Captum gives every sample the whole group's value.

    Args:
        estimator: ``surrogate``: a Gaussian process learns from pairs of coalitions and gives its exact Shapley
            values, a ridge regression adds what it missed. Consistent, but shrunk towards integrated gradients and
            zero: a part of the error is a bias, the same in every replicate (squared, over the map's sum of
            squares: under .002 on networks that converge well, .002 to .014 on hard ones, at 2,292 forwards).
            ``surrogate_unbiased``: least squares instead of the ridge; no bias that could be measured, more noise.
            ``antithetic``: every permutation and its reverse; unbiased. ``permutation``: Captum's, unbiased.
        n_forwards: Forwards on coalitions for the surrogates, two a pair; f(ecg), f(0) and 24 gradients come on top.
            Where they are enough for every coalition (11 groups by default), the values are exact.
        n_permutations: Permutations of the two permutation estimators; a reverse counts as one, each costs one
            forward a group.
        group_samples: Neighbouring samples of one lead in a group; None: as many as last ``group_ms``, or more where
            that made over 300 groups.
        group_ms: 50 ms are 25 samples of a median beat, 192 groups; single samples would need 25 times the passes for
            detail that the smoothing of the comparison removes. 12 leads x 10 s have groups of 400 ms.
    """

    estimator: Estimator = "surrogate"
    n_forwards: int = 2292
    n_permutations: int = 64
    group_samples: int | None = None
    group_ms: float = 50.0

    name: ClassVar[str] = "shapley_sampling"
    style: ClassVar[MethodStyle | None] = MethodStyle("Shapley sampling", CONTRIBUTION[3], marker="o")
    unit: ClassVar[str] = "logit"
    needs_module_relu: ClassVar[bool] = False
    stochastic: ClassVar[bool] = True
    complete: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_positive(self, n_permutations=self.n_permutations, group_ms=self.group_ms)
        if self.group_samples is not None:
            check_positive(self, group_samples=self.group_samples)
        if self.estimator not in (*_SURROGATES, "antithetic", "permutation"):
            raise ValueError(
                f"{self.name}: estimator must be surrogate, surrogate_unbiased, antithetic or permutation, got "
                f"{self.estimator!r}"
            )
        if self.n_forwards < 2:
            raise ValueError(f"{self.name}: n_forwards must be 2 (one pair of coalitions) or more: {self.n_forwards}")
        if self.estimator == "antithetic" and self.n_permutations % 2:
            raise ValueError(
                f"{self.name}: n_permutations must be even for antithetic permutations (the reverse of each counts), "
                f"got {self.n_permutations}"
            )

    @property
    def unused(self) -> tuple[str, ...]:
        """Name the other estimators' number of passes, and a duration that the number of samples overrules."""
        passes = "n_permutations" if self.estimator in _SURROGATES else "n_forwards"
        return (passes,) if self.group_samples is None else (passes, "group_ms")

    def fitted(self, model: FrozenModel) -> Self:
        """Return the method with its groups' samples for this model's ECGs."""
        return replace(self, group_samples=self.group_size(model.shape, model.sampling_rate))

    @property
    def samples_a_value(self) -> int:
        """Return the samples of a group, once they are known."""
        return self.group_samples or 1

    def resolved_settings(self, model: FrozenModel) -> dict[str, JSON]:
        """Return ``settings`` with the groups' samples."""
        return self.fitted(model).settings()

    def passes(self, shape: tuple[int, int], backgrounds: int) -> Passes:  # noqa: ARG002
        """Count coalitions, f(ecg), f(0) and the guess's gradients; or a forward a permutation and group, and f(0)."""
        groups = self.groups(shape)
        if not self.surrogate:
            return Passes(forward=self.n_permutations * groups + 1)
        if self.exact(groups):
            return Passes(forward=1 << groups)
        return Passes(forward=2 * (self.n_forwards // 2) + 2, gradient=_GUESS_STEPS)

    def budget_grid(self, model: FrozenModel, limits: BudgetLimits) -> BudgetGrid | None:
        """List forwards or permutations in multiples of the groups; permutations are even, for a reverse each."""
        groups = self.groups(model.shape, model.sampling_rate)
        if self.exact(groups):
            return None
        if self.surrogate:
            bound = limits.max_forwards or _FORWARDS_A_GROUP[-1] * (groups - 1)
            forwards = [times * (groups - 1) // 2 * 2 for times in _FORWARDS_A_GROUP]
            return BudgetGrid("n_forwards", up_to(forwards, bound))
        most = (limits.max_forwards or _PERMUTATIONS[-1] * groups) // groups
        return BudgetGrid("n_permutations", up_to(_PERMUTATIONS, max(most // 2 * 2, 2)))

    def complaints_of_few_passes(self, probe: Probe) -> list[Complaint]:
        """Check that the steps of one permutation of few groups add up to the whole way."""
        half = -(-probe.ecg.shape[-1] // 2)
        short: ShapleySampling = replace(self, estimator="permutation", n_permutations=1, group_samples=half)
        maps = short(probe.model, probe.ecg, keys_of(probe.ecg))
        baseline, logit = short.baseline_logits(probe.model, probe.ecg), probe.logit
        apart = (maps.cpu().double().sum((1, 2)) - (logit - baseline)).abs()
        error = float((apart / torch.maximum(logit.abs(), (logit - baseline).abs()).clamp_min(1e-30)).median())
        if error <= DOUBTFUL_ERROR:
            return []
        return [("doubtful", f"the steps of one permutation miss f(ecg) - f(baseline) by {error:.0%}", "")]

    @property
    def surrogate(self) -> bool:
        """Return whether a surrogate gives the values; else permutations do."""
        return self.estimator in _SURROGATES

    def group_size(self, shape: tuple[int, int], sampling_rate: float = MEDIAN_BEAT.sampling_rate) -> int:
        """Return the samples of a group of an ECG of shape (lead, sample)."""
        if self.group_samples is not None:
            return self.group_samples
        return group_size(shape, self.group_ms * sampling_rate / 1000.0)

    def groups(self, shape: tuple[int, int], sampling_rate: float = MEDIAN_BEAT.sampling_rate) -> int:
        """Count the groups of an ECG of shape (lead, sample)."""
        leads, samples = shape
        return leads * -(-samples // self.group_size(shape, sampling_rate))

    def exact(self, groups: int) -> bool:
        """Return whether the surrogate's forwards are enough for every coalition, so that nothing is estimated."""
        return self.surrogate and (1 << groups) - 2 <= self.n_forwards

    def _attribute(self, model: FrozenModel, ecg: Tensor, key: RandomKey) -> Tensor:
        groups = self._groups_of(model, ecg)
        if self.surrogate:
            return spread_evenly(self._surrogate(model, ecg, groups, key).values, groups).to(ecg)
        return permutation_values(model, ecg, groups, self._orders(groups, key))[0]

    def _explain(self, model: FrozenModel, ecg: Tensor, key: RandomKey) -> Attribution:
        n_samples = self.n_forwards if self.surrogate else self.n_permutations
        if ecg.shape[2] < model.smoothing_window:  # too short for the smoothing under which maps are compared
            return Attribution(self._attribute(model, ecg, key), n_samples=n_samples)
        return Attribution(*self._attribute_with_reliability(model, ecg, key), n_samples)

    def _attribute_with_reliability(self, model: FrozenModel, ecg: Tensor, key: RandomKey) -> tuple[Tensor, float]:
        """The map of one ECG (1, lead, sample), and its reliability, whose root predicts rho to the true map.

        For permutations from the agreement of 8 groups of them. For the surrogates from the covariance of the error:
        the process's posterior, which knows the shrinkage that its prior expects, but not a prior that is wrong (an
        ECG whose values are far from integrated gradients is worse than it looks); least squares' own, robust one.
        """
        groups = self._groups_of(model, ecg)
        if not self.surrogate:
            values, marginals = permutation_values(model, ecg, groups, self._orders(groups, key))
            each = 2 if self.estimator == "antithetic" else 1
            return values, permutation_reliability(marginals, groups, each, model.smoothing_window)
        estimate = self._surrogate(model, ecg, groups, key)
        leads, samples = ecg.shape[1:]
        size = self.group_size((leads, samples), model.sampling_rate)
        products = group_products(leads, samples, size, model.smoothing_window).to(estimate.values.device)
        shrunk = self.estimator == "surrogate"
        reliability = reliability_from_covariance(estimate.values, estimate.covariance, products, shrunk=shrunk)
        return spread_evenly(estimate.values, groups).to(ecg), float(reliability)

    def _groups_of(self, model: FrozenModel, ecg: Tensor) -> Tensor:
        """Each point's group, (1, lead, sample)."""
        leads, samples = ecg.shape[1:]
        return sample_groups(leads, samples, self.group_size((leads, samples), model.sampling_rate)).to(ecg.device)

    def _orders(self, groups: Tensor, key: RandomKey) -> list[list[int]]:
        key, count = key.for_purpose("permutation"), int(groups.max()) + 1
        if self.estimator == "permutation":
            return key.permutations(count, self.n_permutations)
        drawn = key.permutations(count, self.n_permutations // 2)
        return [order for drawn_order in drawn for order in (drawn_order, drawn_order[::-1])]

    def _surrogate(self, model: FrozenModel, ecg: Tensor, groups: Tensor, key: RandomKey) -> ShapleyEstimate:
        count = int(groups.max()) + 1
        exact = self.exact(count)
        generator = key.for_purpose("coalition").generator()
        members = every_pair(count) if exact else paired_coalitions(count, self.n_forwards // 2, generator)
        ends = torch.tensor([[True], [False]]).expand(2, count)
        logits = coalition_logits(model, ecg, groups, torch.cat([members, ~members, ends]).to(ecg.device))
        first, others, last = torch.split(logits, [len(members), len(members), 2])
        answers = HalfDifferences(members.to(logits.device), (first - others) / 2, last[0] - last[1])
        if exact:
            return exact_shapley(answers)
        leads, samples = ecg.shape[1:]
        size = self.group_size((leads, samples), model.sampling_rate)
        decay = _ERROR_DECAY_MS * model.sampling_rate / 1000.0 / size
        correlation = neighbour_correlation(count // leads, leads, decay, _ERROR_BETWEEN_LEADS)
        guess = group_sums(integrated_gradients(model, ecg, _GUESS_STEPS), groups).to(logits.device)
        residual: Literal["relevance", "least_squares"] = (
            "relevance" if self.estimator == "surrogate" else "least_squares"
        )
        return surrogate_shapley(answers, guess, correlation.to(logits.device), residual)
