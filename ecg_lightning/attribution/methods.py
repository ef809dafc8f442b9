"""The twelve methods of the paper ("Attribution methods"), thin objects over Captum's implementations."""

from collections.abc import Sequence
from typing import Final

from ecg_lightning.attribution.background import DeepLiftShap, GradientShap
from ecg_lightning.attribution.base import AttributionMethod
from ecg_lightning.attribution.contribution import (
    DeepLift,
    IgSmoothGrad,
    IntegratedGradients,
)
from ecg_lightning.attribution.sensitivity import (
    GradCam,
    GradientXInput,
    GuidedBackprop,
    GuidedGradCam,
    Saliency,
    SmoothGrad,
)
from ecg_lightning.attribution.shapley import ShapleySampling
from ecg_lightning.method_names import METHOD_NAMES, MethodName

METHODS: Final[dict[str, type[AttributionMethod]]] = {
    kind.name: kind
    for kind in (
        Saliency,
        SmoothGrad,
        GradientXInput,
        GuidedBackprop,
        GradCam,
        GuidedGradCam,
        ShapleySampling,
        DeepLift,
        IntegratedGradients,
        IgSmoothGrad,
        GradientShap,
        DeepLiftShap,
    )
}
"""Name -> class, in the paper's order."""


def build_methods(
    methods: Sequence[MethodName | AttributionMethod] | None = None,
) -> tuple[AttributionMethod, ...]:
    """Methods from names (with default hyperparameters) and objects.

    Args:
        methods: Names of the twelve, or objects; None: all twelve.

    Raises:
        ValueError: An unknown name, a name listed twice, or nothing listed.
    """
    chosen = METHOD_NAMES if methods is None else methods
    built = tuple(_build(method) for method in chosen)
    names = [method.name for method in built]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice or not names:
        raise ValueError(
            f"each method may be listed once, at least one must be; listed twice: {', '.join(twice) or 'none'}"
        )
    return built


def _build(method: str | AttributionMethod) -> AttributionMethod:
    if isinstance(method, AttributionMethod):
        return method
    if method not in METHODS:
        raise ValueError(f"unknown attribution method {method!r}; expected one of {', '.join(METHODS)}")
    return METHODS[method]()
