"""Shapley values of groups of samples come from a surrogate that learns from coalitions, or from permutations."""

from dataclasses import dataclass, replace
from typing import ClassVar, Final, Literal

import torch
from captum import attr as captum
from torch import Tensor

from ecg_lightning.attribution.base import Attribution, AttributionMethod, Passes, check_positive, keys_of
from ecg_lightning.attribution.budget import BudgetGrid, BudgetLimits, up_to
from ecg_lightning.attribution.contribution import integrated_gradients
from ecg_lightning.attribution.lint_report import Complaint
from ecg_lightning.attribution.probe import DOUBTFUL_ERROR, Probe
from ecg_lightning.attribution.sample_groups import group_products, group_sums, sample_groups, spread_evenly
from ecg_lightning.attribution.seeding import RandomKey
from ecg_lightning.attribution.style import CONTRIBUTION, MethodStyle
from ecg_lightning.attribution.task import FrozenModel, even_chunk, in_chunks
from ecg_lightning.functional.coalitions import every_pair, paired_coalitions
from ecg_lightning.functional.cubic_kernel import neighbour_correlation
from ecg_lightning.functional.reliability import split_reliability
from ecg_lightning.functional.shapley_reliability import reliability_from_covariance
from ecg_lightning.functional.smoothing import WINDOW
from ecg_lightning.functional.surrogate import HalfDifferences, ShapleyEstimate, exact_shapley, surrogate_shapley

Estimator = Literal["surrogate", "surrogate_unbiased", "antithetic", "permutation"]

_SURROGATES: Final = ("surrogate", "surrogate_unbiased")
_GUESS_STEPS: Final = 24
"""Gauss-Legendre nodes of the integrated gradients that the surrogate starts from."""

_ERROR_DECAY: Final = 75
"""Samples (150 ms) over which the relative error of integrated gradients stays alike; 50 to 100 do as well."""

_ERROR_BETWEEN_LEADS: Final = 0.8
_RELIABILITY_GROUPS: Final = 8
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
        group_samples: Neighbouring samples of one lead in a group: 25 (50 ms) make 192 groups; single
            samples would need 25 times the passes for detail that the smoothing of the comparison removes.
    """

    estimator: Estimator = "surrogate"
    n_forwards: int = 2292
    n_permutations: int = 64
    group_samples: int = 25

    name: ClassVar[str] = "shapley_sampling"
    style: ClassVar[MethodStyle | None] = MethodStyle("Shapley sampling", CONTRIBUTION[3], marker="o")
    unit: ClassVar[str] = "logit"
    needs_module_relu: ClassVar[bool] = False
    stochastic: ClassVar[bool] = True
    complete: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_positive(self, n_permutations=self.n_permutations, group_samples=self.group_samples)
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
        """Name the other estimators' number of passes."""
        return ("n_permutations",) if self.estimator in _SURROGATES else ("n_forwards",)

    def passes(self, shape: tuple[int, int], backgrounds: int) -> Passes:  # noqa: ARG002
        """Count coalitions, f(ecg), f(0) and the guess's gradients; or a forward a permutation and group, and f(0)."""
        groups = self.groups(shape)
        if not self.surrogate:
            return Passes(forward=self.n_permutations * groups + 1)
        if self.exact(shape):
            return Passes(forward=1 << groups)
        return Passes(forward=2 * (self.n_forwards // 2) + 2, gradient=_GUESS_STEPS)

    def budget_grid(self, model: FrozenModel, limits: BudgetLimits) -> BudgetGrid | None:
        """List forwards or permutations in multiples of the groups; permutations are even, for a reverse each."""
        shape = (int(model.backgrounds.shape[1]), int(model.backgrounds.shape[2]))
        groups = self.groups(shape)
        if self.exact(shape):
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
        baseline, logit = short.baseline_logit(probe.model), probe.logit
        apart = (maps.cpu().double().sum((1, 2)) - (logit - baseline)).abs()
        error = float((apart / torch.maximum(logit.abs(), (logit - baseline).abs()).clamp_min(1e-30)).median())
        if error <= DOUBTFUL_ERROR:
            return []
        return [("doubtful", f"the steps of one permutation miss f(ecg) - f(baseline) by {error:.0%}", "")]

    @property
    def surrogate(self) -> bool:
        """Return whether a surrogate gives the values; else permutations do."""
        return self.estimator in _SURROGATES

    def groups(self, shape: tuple[int, int]) -> int:
        """Count the groups of an ECG of shape (lead, sample)."""
        leads, samples = shape
        return leads * -(-samples // self.group_samples)

    def exact(self, shape: tuple[int, int]) -> bool:
        """Return whether the surrogate's forwards are enough for every coalition, so that nothing is estimated."""
        return self.surrogate and (1 << self.groups(shape)) - 2 <= self.n_forwards

    def _attribute(self, model: FrozenModel, ecg: Tensor, key: RandomKey) -> Tensor:
        groups = sample_groups(ecg.shape[1], ecg.shape[2], self.group_samples).to(ecg.device)
        if self.surrogate:
            return spread_evenly(self._surrogate(model, ecg, groups, key).values, groups).to(ecg)
        return self._permutations(model, ecg, groups, key)[0]

    def _explain(self, model: FrozenModel, ecg: Tensor, key: RandomKey) -> Attribution:
        n_samples = self.n_forwards if self.surrogate else self.n_permutations
        if ecg.shape[2] < WINDOW:  # too short for the smoothing under which maps are compared
            return Attribution(self._attribute(model, ecg, key), n_samples=n_samples)
        return Attribution(*self._attribute_with_reliability(model, ecg, key), n_samples)

    def _attribute_with_reliability(self, model: FrozenModel, ecg: Tensor, key: RandomKey) -> tuple[Tensor, float]:
        """The map of one ECG (1, lead, sample), and its reliability, whose root predicts rho to the true map.

        For permutations from the agreement of 8 groups of them. For the surrogates from the covariance of the error:
        the process's posterior, which knows the shrinkage that its prior expects, but not a prior that is wrong (an
        ECG whose values are far from integrated gradients is worse than it looks); least squares' own, robust one.
        """
        groups = sample_groups(ecg.shape[1], ecg.shape[2], self.group_samples).to(ecg.device)
        if not self.surrogate:
            values, marginals = self._permutations(model, ecg, groups, key)
            return values, self._split(marginals, groups)
        estimate = self._surrogate(model, ecg, groups, key)
        products = group_products(*ecg.shape[1:], self.group_samples).to(estimate.values.device)
        shrunk = self.estimator == "surrogate"
        reliability = reliability_from_covariance(estimate.values, estimate.covariance, products, shrunk=shrunk)
        return spread_evenly(estimate.values, groups).to(ecg), float(reliability)

    def _surrogate(self, model: FrozenModel, ecg: Tensor, groups: Tensor, key: RandomKey) -> ShapleyEstimate:
        count = int(groups.max()) + 1
        exact = self.exact((int(ecg.shape[1]), int(ecg.shape[2])))
        generator = key.for_purpose("coalition").generator()
        members = every_pair(count) if exact else paired_coalitions(count, self.n_forwards // 2, generator)
        ends = torch.tensor([[True], [False]]).expand(2, count)
        logits = _logits(model, ecg, groups, torch.cat([members, ~members, ends]).to(ecg.device))
        first, others, last = torch.split(logits, [len(members), len(members), 2])
        answers = HalfDifferences(members.to(logits.device), (first - others) / 2, last[0] - last[1])
        if exact:
            return exact_shapley(answers)
        per_lead = count // ecg.shape[1]
        correlation = neighbour_correlation(
            per_lead, ecg.shape[1], _ERROR_DECAY / self.group_samples, _ERROR_BETWEEN_LEADS
        )
        guess = group_sums(integrated_gradients(model, ecg, _GUESS_STEPS), groups).to(logits.device)
        residual: Literal["relevance", "least_squares"] = (
            "relevance" if self.estimator == "surrogate" else "least_squares"
        )
        return surrogate_shapley(answers, guess, correlation.to(logits.device), residual)

    def _permutations(self, model: FrozenModel, ecg: Tensor, groups: Tensor, key: RandomKey) -> tuple[Tensor, Tensor]:
        """Captum's map (1, lead, sample), and (permutation, group) the marginal contributions that it averages."""
        sizes = torch.bincount(groups.flatten())
        orders = self._orders(len(sizes), key)
        chunk = even_chunk(len(sizes), model.chunk)  # so that little is padded
        logits: list[Tensor] = []

        def forward(batch: Tensor) -> Tensor:
            # Captum also evaluates the bare baseline: alone in its pass, it would be rounded otherwise
            logits.append(in_chunks(model.sampling_network, batch, chunk))
            return logits[-1]

        method = captum.ShapleyValueSampling(forward)
        method.permutation_generator = lambda *_: orders
        with torch.no_grad():
            values: Tensor = method.attribute(
                ecg, baselines=0.0, feature_mask=groups, n_samples=len(orders), perturbations_per_eval=chunk
            )
        chain = torch.cat(logits).cpu().double()  # the baseline, then every permutation's growing coalitions
        grown = chain[1:].reshape(len(orders), len(sizes))
        steps = torch.diff(grown, dim=1, prepend=chain[:1].expand(len(orders), 1))
        marginals = torch.empty_like(steps).scatter_(1, torch.tensor(orders), steps)
        return values.to(ecg) / sizes[groups].to(ecg), marginals  # Captum sums them in float32

    def _orders(self, count: int, key: RandomKey) -> list[list[int]]:
        key = key.for_purpose("permutation")
        if self.estimator == "permutation":
            return key.permutations(count, self.n_permutations)
        drawn = key.permutations(count, self.n_permutations // 2)
        return [order for drawn_order in drawn for order in (drawn_order, drawn_order[::-1])]

    def _split(self, marginals: Tensor, groups: Tensor) -> float:
        """Reliability over groups of permutations, a permutation and its reverse in one group; NaN with one alone."""
        each = 2 if self.estimator == "antithetic" else 1
        samples = marginals.reshape(-1, each, marginals.shape[1]).mean(1)  # (sample, group)
        if len(samples) < 2:
            return float("nan")
        parts = samples.tensor_split(min(_RELIABILITY_GROUPS, len(samples)))
        means = spread_evenly(torch.stack([part.mean(0) for part in parts]), groups.cpu())
        return float(split_reliability(means, torch.tensor([len(part) for part in parts])))


def _logits(model: FrozenModel, ecg: Tensor, groups: Tensor, members: Tensor) -> Tensor:
    """(coalition,) float64 logits of the ECG with the absent groups at 0 mV, from (coalition, group) members."""
    network, points = model.sampling_network, groups.flatten()

    def masked(present: Tensor) -> Tensor:
        shown = present.to(ecg).index_select(1, points).reshape(len(present), *ecg.shape[1:])
        logit: Tensor = network(ecg * shown)
        return logit

    with torch.no_grad():
        # a forward stores nothing, so that two chunks fit in the memory of one: less is padded
        logits = in_chunks(masked, members, even_chunk(len(members), 2 * model.chunk))
    # the solve needs float64, which not every accelerator has
    return (logits if logits.device.type == "cuda" else logits.cpu()).double()
