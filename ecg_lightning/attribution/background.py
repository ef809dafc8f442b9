"""SHAP methods attribute the difference between an ECG and background ECGs, instead of a zero baseline."""

from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import ClassVar, Final, Literal

import torch
from captum import attr as captum
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor

from ecg_lightning.attribution.adaptive import FIRST_STAGE, AdaptiveSampler, relative_magnitudes
from ecg_lightning.attribution.autograd import differentiable
from ecg_lightning.attribution.base import AttributionMethod, Passes, keys_of
from ecg_lightning.attribution.budget import BudgetGrid, BudgetLimits, up_to
from ecg_lightning.attribution.lint_report import Complaint
from ecg_lightning.attribution.noise import ROUND, by_rounds, noise_like
from ecg_lightning.attribution.probe import Probe, off_from, without_ties
from ecg_lightning.attribution.rescale import RescaleError, rescale_maps
from ecg_lightning.attribution.sampling import (
    GROUPS,
    SampledMethod,
    Sampler,
    check_sampling,
    golden_fractions,
    gradients,
    grouped,
)
from ecg_lightning.attribution.seeding import RandomKey
from ecg_lightning.attribution.style import CONTRIBUTION, MethodStyle
from ecg_lightning.attribution.task import FrozenModel, in_chunks

_LONGEST_CYCLE: Final = 64
"""Backgrounds at most whose alphas, and groups of samples, follow cycles of them: a map of fewer samples than
backgrounds would see a part of the path only, and have one group."""

_MIN_GAIN: Final = 0.25
"""Share of the samples that uneven alphas must save: backgrounds no longer count exactly alike."""

_NEAR: Final = 1e-5
"""Share of the ECG by which the linter's background differs from it."""

_DOUBLED: Final = tuple(2**exponent for exponent in range(1, 20))


class _BackgroundMethod(AttributionMethod):
    """A method whose maps sum to f(ecg) - mean f(background)."""

    uses_backgrounds: ClassVar[bool] = True

    def baseline_logit(self, model: FrozenModel) -> float:
        """Return the mean logit of the backgrounds, f(background)."""
        with torch.no_grad():
            return float(in_chunks(model.network, model.backgrounds, model.chunk).cpu().double().mean())


@dataclass(frozen=True)
class GradientShap(_BackgroundMethod, SampledMethod):
    """GradientSHAP averages gradients at points between a noisy ECG and backgrounds (Lundberg & Lee 2017; Captum).

    Args:
        n_samples: Points. 43 to 320 adaptive ones reach a correlation of .99 with the converged map over 20 backgrounds
            on three trained networks (balanced ones: 43 to over 480; random ones: 113 to over 480).
        noise: Standard deviation of the noise on the ECG, as a share of its range over all leads; the same
            as SmoothGrad's, so that the two smooth alike.
        estimator: ``adaptive``: every background equally often, more points where contributions are large, weighted
            for it (see :mod:`ecg_lightning.attribution.adaptive`), so that backgrounds count alike in the mean only.
            ``balanced``: the points on the path from each background evenly spread; ``adaptive`` is the same where
            that is nearly as good. ``random``: background and point drawn independently, as Captum does. All have the
            same limit.
        target_correlation: Instead of ``n_samples``, draw until the map correlates this much with its limit.
        max_samples: Bound of that.
    """

    n_samples: int = 320
    noise: float = 0.1
    estimator: Literal["adaptive", "balanced", "random"] = "adaptive"
    target_correlation: float | None = None
    max_samples: int = 3200

    name: ClassVar[str] = "gradient_shap"
    style: ClassVar[MethodStyle | None] = MethodStyle("GradientSHAP", CONTRIBUTION[4], marker="s")
    unit: ClassVar[str] = "logit"
    needs_module_relu: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_sampling(self)
        if self.noise < 0:
            raise ValueError(f"{self.name}: noise must not be negative, got {self.noise}")

    def passes(self, shape: tuple[int, int], backgrounds: int) -> Passes:  # noqa: ARG002
        """Count one gradient a point."""
        return Passes(gradient=self.most_samples)

    def complaints_of_few_passes(self, probe: Probe) -> list[Complaint]:
        """Return a complaint if, from a background near the ECG, the map is not the gradient times the difference."""
        few = replace(self, n_samples=4, noise=0.0, target_correlation=None)
        ecg = without_ties(probe.ecg)
        near = ecg * (1 - _NEAR)
        maps = [
            few(replace(probe.model, backgrounds=background), single_ecg, [key])
            for background, single_ecg, key in zip(torch.split(near, 1), torch.split(ecg, 1), keys_of(ecg), strict=True)
        ]
        truth = gradients(probe.model, ecg) * (ecg - near)
        return off_from(torch.cat(maps), truth, "from a background like the ECG the gradient times their difference")

    def _begin(self, model: FrozenModel, ecg: Tensor, key: RandomKey) -> Sampler:
        if self.estimator != "adaptive":
            return super()._begin(model, ecg, key)
        backgrounds = len(model.backgrounds)

        def contributions(alphas: Tensor, first: int) -> tuple[Tensor, Tensor]:
            chosen = self._backgrounds(model, key, first, len(alphas))
            products, differences = self._contributions(model, ecg, key, chosen, alphas, first)
            return products, relative_magnitudes(products, differences)

        whole = backgrounds if backgrounds <= _LONGEST_CYCLE else 1  # stages of whole cycles
        first_stage = -(-FIRST_STAGE // whole) * whole
        return AdaptiveSampler(contributions, partial(self._alphas, model, key), first_stage, _MIN_GAIN)

    def _draw(self, model: FrozenModel, ecg: Tensor, key: RandomKey, first: int, count: int) -> Tensor:
        chosen = self._backgrounds(model, key, first, count)
        return self._contributions(model, ecg, key, chosen, self._alphas(model, key, first, count), first)[0]

    def _contributions(
        self, model: FrozenModel, ecg: Tensor, key: RandomKey, chosen: Tensor, alphas: Tensor, first: int
    ) -> tuple[Tensor, Tensor]:
        """Gradient x path difference at alphas (count,) between background (0) and noisy copy (1), and differences."""
        background = model.backgrounds[chosen.to(ecg.device)]
        difference = ecg + noise_like(ecg, len(alphas), self.noise, key, first=first) - background
        return gradients(model, background + alphas.to(ecg)[:, None, None] * difference) * difference, difference

    def stretch(self, model: FrozenModel) -> int:
        """Return a whole cycle of backgrounds, so that groups are as balanced as the map; not of very many."""
        cycle = len(model.backgrounds)
        return super().stretch(model) if self.estimator == "random" or cycle > _LONGEST_CYCLE else cycle

    def _backgrounds(self, model: FrozenModel, key: RandomKey, first: int, count: int) -> Tensor:
        """Background of each sample, (count,); each group has an order of its own, unless there are very many."""
        backgrounds = len(model.backgrounds)
        if self.estimator == "random":
            return by_rounds(
                lambda number: key.for_purpose(f"background/{number}").integers(backgrounds, ROUND), first, count
            )
        if backgrounds > _LONGEST_CYCLE:
            order = torch.tensor(key.for_purpose("background").permutations(backgrounds, 1)[0])
            return order[torch.arange(first, first + count) % backgrounds]
        orders = torch.tensor(key.for_purpose("background").permutations(backgrounds, GROUPS))
        group, number = grouped(first, count, backgrounds)
        return orders[group, number % backgrounds]

    def _alphas(self, model: FrozenModel, key: RandomKey, first: int, count: int) -> Tensor:
        """Alpha of each sample between background (0) and ECG (1), (count,), of the estimators that fix them."""
        if self.estimator == "random":
            return by_rounds(lambda number: key.for_purpose(f"alpha/{number}").uniform(ROUND), first, count)
        group, number = grouped(first, count, self.stretch(model))
        return _even_alphas(len(model.backgrounds), key.for_purpose("alpha").uniform(GROUPS).double()[group], number)


def _even_alphas(backgrounds: int, shift: Tensor, number: Tensor) -> Tensor:
    """Alphas of a cycle evenly spread over its backgrounds, those of one background over its group's cycles; (count,).

    Args:
        backgrounds: Number in a cycle; where there are very many, alphas are spread over neighbouring samples.
        shift: Shift of each sample's group, (count,) in [0, 1).
        number: Number of each sample in its group, (count,).
    """
    if backgrounds > _LONGEST_CYCLE:
        return golden_fractions(shift, number)
    return golden_fractions(shift + (number % backgrounds).double() / backgrounds, number // backgrounds)


@dataclass(frozen=True)
class DeepLiftShap(_BackgroundMethod):
    """DeepLIFT-SHAP averages DeepLIFT over all background ECGs, so that it has no noise (Lundberg & Lee 2017).

    Args:
        engine: ``cached``: the backgrounds' forward pass is made once for all ECGs, where the network allows it
            (linear steps and ``nn.ReLU`` modules; else Captum, said once); ``captum``: ECG and background go through
            the network together. The same maps within rounding.
    """

    engine: Literal["cached", "captum"] = "cached"

    name: ClassVar[str] = "deeplift_shap"
    style: ClassVar[MethodStyle | None] = MethodStyle("DeepLIFT-SHAP", CONTRIBUTION[5], marker="^")
    unit: ClassVar[str] = "logit"
    needs_module_relu: ClassVar[bool] = True
    complete: ClassVar[bool] = True

    @property
    def unused(self) -> tuple[str, ...]:
        """Name the engine, which does not change the maps."""
        return ("engine",)

    def passes(self, shape: tuple[int, int], backgrounds: int) -> Passes:  # noqa: ARG002
        """Count one gradient a background; two with Captum's engine."""
        return Passes(gradient=backgrounds * (1 if self.engine == "cached" else 2))

    def budget_grid(self, model: FrozenModel, limits: BudgetLimits) -> BudgetGrid | None:
        """Return numbers of backgrounds up to the stated ones, with which maps are exact: what their choice does.

        Not chosen: the backgrounds are the datamodule's, and GradientSHAP's too. None where there are no further ones.
        """
        stated = len(model.backgrounds)
        if limits.backgrounds <= stated:
            return None
        return BudgetGrid("backgrounds", up_to(_DOUBLED, stated), "backgrounds", fixed=True)

    def _attribute(self, model: FrozenModel, ecg: Tensor, key: RandomKey) -> Tensor:  # noqa: ARG002
        if self.engine == "cached":
            try:
                return rescale_maps(model, ecg, model.backgrounds)
            except RescaleError as error:
                warn_once(f"{self.name} goes through Captum, at three times the cost: {error}")
        method = captum.DeepLiftShap(model.network)
        pairs = max(2, model.chunk // 2)  # ECG and background share a pass; Captum refuses a single background
        total = torch.zeros_like(ecg)
        for part in _at_least_two(model.backgrounds, pairs):
            total += method.attribute(differentiable(ecg), baselines=part) * len(part)
        return total / len(model.backgrounds)


@lru_cache
def warn_once(message: str) -> None:
    """Warn on rank zero, once a process for each message."""
    rank_zero_warn(message)


def _at_least_two(backgrounds: Tensor, size: int) -> list[Tensor]:
    """Split into parts of ``size``; a last part of one joins the part before it."""
    parts = list(torch.split(backgrounds, size))
    if len(parts) > 1 and len(parts[-1]) == 1:
        parts[-2:] = [torch.cat(parts[-2:])]
    return parts
