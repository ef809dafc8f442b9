"""This module builds the twelve methods of the paper ("Attribution methods") and further ones from settings."""

import importlib
import inspect
from collections.abc import Mapping, Sequence
from typing import Final

from ecg_lightning.attribution.activation import GradCam, GuidedBackprop, GuidedGradCam
from ecg_lightning.attribution.background import DeepLiftShap, GradientShap
from ecg_lightning.attribution.base import AttributionMethod
from ecg_lightning.attribution.contribution import (
    DeepLift,
    IgSmoothGrad,
    IntegratedGradients,
)
from ecg_lightning.attribution.sensitivity import GradientXInput, Saliency, SmoothGrad
from ecg_lightning.attribution.shapley import ShapleySampling
from ecg_lightning.method_names import METHOD_CLASSES, METHOD_NAMES, MethodName

_REQUIRED: Final = {
    "name": 'str] = "my_method"`, the name of its store',
    "unit": 'str] = "logit"`, the unit of its maps',
    "needs_module_relu": "bool] = False`, or True where it changes what nn.ReLU modules do, so that the linter refuses "
    "networks on which it would be silently wrong",
}
"""What a method class must state, and how."""


def check_traits(kind: type[AttributionMethod]) -> None:
    """Refuse a method class that does not state what has no default: name, unit and its like.

    Raises:
        ValueError: Names the class, what is missing, and what to add.
    """
    for attribute, how in _REQUIRED.items():
        if not hasattr(kind, attribute):
            raise ValueError(
                f"the method class {kind.__module__}.{kind.__qualname__} states no `{attribute}`: add "
                f"`{attribute}: ClassVar[{how}"
            )


def registered(classes: Mapping[str, str]) -> dict[str, type[AttributionMethod]]:
    """Import the method classes of a registry, which says where the class of each name lies.

    Raises:
        ValueError: A class that states too little, or another name.
    """
    classes_by_name: dict[str, type[AttributionMethod]] = {}
    for name, path in classes.items():
        module, _, kind = path.rpartition(".")
        classes_by_name[name] = getattr(importlib.import_module(module), kind)
        check_traits(classes_by_name[name])
        if classes_by_name[name].name != name:
            raise ValueError(f"{path} is registered as {name!r}, but its name is {classes_by_name[name].name!r}")
    return classes_by_name


METHODS: Final[dict[str, type[AttributionMethod]]] = registered(METHOD_CLASSES)
"""Name -> class, in the paper's order."""


class MethodSet:
    """A method set holds the twelve methods, each with its settings or left out, and methods of one's own.

    A configuration names what it changes and no more: ``{smoothgrad: {n_samples: 128}, gradcam: null}``.

    Args:
        own: Further methods of one's own.
        **changed: Name -> the method with its settings; None leaves it out. The others keep their defaults.

    Raises:
        ValueError: A name that is none of the twelve, or a method of another name under it.
    """

    def __init__(self, own: Sequence[AttributionMethod] = (), **changed: AttributionMethod | None) -> None:
        for name, method in changed.items():
            if name not in METHODS or not isinstance(method, METHODS[name] | None):
                raise ValueError(
                    f"methods: {name} is {type(method).__name__}; expected one of {', '.join(METHODS)}, each with an "
                    "object of its class, or None to leave it out; methods of your own go into `own`"
                )
        twelve = [changed[name] if name in changed else kind() for name, kind in METHODS.items()]
        self.methods = (*(method for method in twelve if method is not None), *own)


def _command_line_signature() -> inspect.Signature:
    """What the command line may set: each of the twelve by its name, with the settings of its class."""
    own_methods, *_ = list(inspect.signature(MethodSet).parameters.values())
    twelve = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default={"class_path": f"{kind.__module__}.{kind.__qualname__}"},
            annotation=kind | None,
        )
        for name, kind in METHODS.items()
    ]
    return inspect.Signature([inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD), own_methods, *twelve])


MethodSet.__init__.__signature__ = _command_line_signature()  # type: ignore[attr-defined]


def build_methods(
    methods: MethodSet | Sequence[MethodName | AttributionMethod] | None = None,
) -> tuple[AttributionMethod, ...]:
    """Build methods from names (with default hyperparameters) and objects.

    Args:
        methods: A set, or names of the twelve and objects; None: all twelve.

    Raises:
        ValueError: An unknown name, a name listed twice, or nothing listed.
    """
    methods = methods.methods if isinstance(methods, MethodSet) else methods
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
        check_traits(type(method))
        return method
    if method not in METHODS:
        raise ValueError(f"unknown attribution method {method!r}; expected one of {', '.join(METHODS)}")
    return METHODS[method]()


__all__ = [
    "METHODS",
    "DeepLift",
    "DeepLiftShap",
    "GradCam",
    "GradientShap",
    "GradientXInput",
    "GuidedBackprop",
    "GuidedGradCam",
    "IgSmoothGrad",
    "IntegratedGradients",
    "MethodSet",
    "Saliency",
    "ShapleySampling",
    "SmoothGrad",
    "build_methods",
    "check_traits",
    "registered",
]
"""Configurations may name the classes here."""
