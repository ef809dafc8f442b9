"""Contribution methods say how the logit comes about on the way from 0 mV, the zero baseline, to the ECG."""

from dataclasses import dataclass, replace
from functools import lru_cache, partial, reduce
from typing import ClassVar, Final, Literal

import numpy as np
import torch
from captum import attr as captum
from torch import Tensor

from ecg_lightning.attribution.adaptive import AdaptiveSampler, relative_magnitudes
from ecg_lightning.attribution.autograd import differentiable, input_gradient
from ecg_lightning.attribution.base import AttributionMethod, Passes, SinglePassMethod, check_positive, keys_of
from ecg_lightning.attribution.budget import BudgetGrid, BudgetLimits, up_to
from ecg_lightning.attribution.lint_report import Complaint
from ecg_lightning.attribution.noise import noise_like
from ecg_lightning.attribution.probe import Probe, off_from, without_ties
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
from ecg_lightning.attribution.task import FrozenModel

_QUIET: Final = 1e-6
"""Noise, of the ECG's range, with which hardly a ReLU changes sides."""

_FEW_STEPS: Final = 4
_STEPS: Final = (3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)


@dataclass(frozen=True)
class DeepLift(SinglePassMethod):
    """DeepLIFT propagates differences to the activations of a zero ECG by the rescale rule (Shrikumar et al. 2017)."""

    name: ClassVar[str] = "deeplift"
    style: ClassVar[MethodStyle | None] = MethodStyle("DeepLIFT", CONTRIBUTION[0], marker="o")
    unit: ClassVar[str] = "logit"
    needs_module_relu: ClassVar[bool] = True
    gradients: ClassVar[int] = 2  # ECG and baseline go through the network together
    complete: ClassVar[bool] = True

    def _attribute(self, model: FrozenModel, ecg: Tensor, key: RandomKey) -> Tensor:  # noqa: ARG002
        result: Tensor = captum.DeepLift(model.network).attribute(differentiable(ecg), baselines=torch.zeros_like(ecg))
        return result


@dataclass(frozen=True)
class IntegratedGradients(AttributionMethod):
    """Integrated gradients integrate the gradient along the straight line from a zero ECG (Sundararajan et al. 2017).

    Args:
        n_steps: Gauss-Legendre nodes. 4 to 22 reach a correlation of .99 with the converged map on three networks.
    """

    n_steps: int = 24

    name: ClassVar[str] = "integrated_gradients"
    style: ClassVar[MethodStyle | None] = MethodStyle("IG", CONTRIBUTION[1], marker="s")
    unit: ClassVar[str] = "logit"
    needs_module_relu: ClassVar[bool] = False
    complete: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_positive(self, n_steps=self.n_steps)

    def passes(self, shape: tuple[int, int], backgrounds: int) -> Passes:  # noqa: ARG002
        """Count one gradient a node."""
        return Passes(gradient=self.n_steps)

    def budget_grid(self, model: FrozenModel, limits: BudgetLimits) -> BudgetGrid:  # noqa: ARG002
        """List nodes in steps of about 1.4."""
        return BudgetGrid("n_steps", up_to(_STEPS, limits.max_steps), "finer")

    def _attribute(self, model: FrozenModel, ecg: Tensor, key: RandomKey) -> Tensor:  # noqa: ARG002
        return integrated_gradients(model, ecg, self.n_steps)


@dataclass(frozen=True)
class IgSmoothGrad(SampledMethod):
    """IG-SmoothGrad averages integrated gradients over noisy copies of the ECG.

    Its limit is that of GradientSHAP with a zero baseline and the same noise.

    Args:
        n_samples: Noisy copies. 12 to 240 adaptive ones reach a correlation of .99 with the converged map on three
            trained networks (joint ones: 12 to over 480; nested gradients: 500 to over 2,400).
        noise: Standard deviation of the noise, as a share of the ECG's range over all leads.
        estimator: ``adaptive``: one point on the way from 0 to each noisy copy, one gradient a copy, more points where
            contributions are large, weighted for it (see :mod:`ecg_lightning.attribution.adaptive`). ``joint``: the
            points cover the way evenly, by the golden-ratio sequence; ``adaptive`` is the same where that is nearly as
            good. ``nested``: the whole way for every copy, as Captum's NoiseTunnel over IntegratedGradients,
            ``n_steps`` gradients a copy. All have the same limit.
        n_steps: Gauss-Legendre nodes a copy, of ``nested`` only.
        target_correlation: Instead of ``n_samples``, draw until the map correlates this much with its limit.
        max_samples: Bound of that.
    """

    n_samples: int = 200
    noise: float = 0.1
    estimator: Literal["adaptive", "joint", "nested"] = "adaptive"
    n_steps: int = 8
    target_correlation: float | None = None
    max_samples: int = 2048

    name: ClassVar[str] = "ig_smoothgrad"
    style: ClassVar[MethodStyle | None] = MethodStyle("IG + SmoothGrad", CONTRIBUTION[2], marker="^")
    unit: ClassVar[str] = "logit"
    needs_module_relu: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_positive(self, n_steps=self.n_steps, noise=self.noise)
        check_sampling(self)

    @property
    def unused(self) -> tuple[str, ...]:
        """Name the nodes, which are only for ``nested``."""
        return super().unused if self.estimator == "nested" else (*super().unused, "n_steps")

    def passes(self, shape: tuple[int, int], backgrounds: int) -> Passes:  # noqa: ARG002
        """Count one gradient a copy; for ``nested`` one a copy and node."""
        return Passes(gradient=self.most_samples * (self.n_steps if self.estimator == "nested" else 1))

    def complaints_of_few_passes(self, probe: Probe) -> list[Complaint]:
        """Compare maps without noise with integrated gradients, which they then are."""
        few: IgSmoothGrad = replace(
            self, n_samples=1, noise=_QUIET, target_correlation=None, estimator="nested", n_steps=_FEW_STEPS
        )
        ecg = without_ties(probe.ecg)
        truth = integrated_gradients(probe.model, ecg, _FEW_STEPS)
        return off_from(few(probe.model, ecg, keys_of(ecg)), truth, "without noise integrated gradients")

    def _begin(self, model: FrozenModel, ecg: Tensor, key: RandomKey) -> Sampler:
        if self.estimator != "adaptive":
            return super()._begin(model, ecg, key)

        def contributions(alphas: Tensor, first: int) -> tuple[Tensor, Tensor]:
            products, noisy = self._contributions(model, ecg, key, alphas, first)
            return products, relative_magnitudes(products, noisy)

        return AdaptiveSampler(contributions, partial(self._alphas, model, key))

    def _draw(self, model: FrozenModel, ecg: Tensor, key: RandomKey, first: int, count: int) -> Tensor:
        if self.estimator == "nested":
            noisy = ecg + noise_like(ecg, count, self.noise, key, first=first)
            copies = max(1, model.chunk // self.n_steps)  # that share one pass
            return torch.cat([integrated_gradients(model, part, self.n_steps) for part in torch.split(noisy, copies)])
        return self._contributions(model, ecg, key, self._alphas(model, key, first, count), first)[0]

    def _alphas(self, model: FrozenModel, key: RandomKey, first: int, count: int) -> Tensor:
        """Even alphas of samples on the path, (count,), those of each group by themselves."""
        group, number = grouped(first, count, self.stretch(model))
        return golden_fractions(key.for_purpose("alpha").uniform(GROUPS).double()[group], number)

    def _contributions(
        self, model: FrozenModel, ecg: Tensor, key: RandomKey, alphas: Tensor, first: int
    ) -> tuple[Tensor, Tensor]:
        """Gradient x noisy copy at alphas (count,) on the path from 0 to each copy; and the copies."""
        noisy = ecg + noise_like(ecg, len(alphas), self.noise, key, first=first)
        return gradients(model, alphas.to(ecg)[:, None, None] * noisy) * noisy, noisy


def integrated_gradients(model: FrozenModel, ecg: Tensor, n_steps: int) -> Tensor:
    """Compute Gauss-Legendre integrated gradients from a zero ECG, (batch, lead, sample), to the bit as Captum does."""
    of_parts: list[Tensor] = []
    parts = (torch.split(values, max(1, model.chunk // len(ecg))) for values in _gauss_legendre(n_steps))
    for alphas, weights in zip(*parts, strict=True):
        points = alphas.to(ecg)[:, None, None, None] * ecg  # (node, batch, lead, sample)
        slopes = input_gradient(model.network, points.flatten(0, 1)).reshape(points.shape)
        of_parts.append((slopes * weights.to(ecg)[:, None, None, None]).sum(0) * ecg)
    return reduce(Tensor.add, of_parts)  # not from 0 on, which would take the sign of -0


@lru_cache
def _gauss_legendre(n_steps: int) -> tuple[Tensor, Tensor]:
    """Nodes in [0, 1] and their weights, (node,) each; the weights in float32, as Captum rounds them."""
    nodes, weights = np.polynomial.legendre.leggauss(n_steps)
    return torch.from_numpy(0.5 * (1 + nodes)), torch.from_numpy(0.5 * weights).float()
