"""The hyperparameters of a checkpoint: what a network is rebuilt from, checked before it is."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

from ecg_lightning.models.declared_types import parameter_types
from ecg_lightning.models.trusted_classes import TrustedClasses
from ecg_lightning.storage.plain_values import Where, refuse

KEY: Final = "hyper_parameters"
_OLD_KEYS: Final = ("hparams", "module_arguments")
"""Lightning reads hyperparameters from here too; the project never wrote any of them."""
INSTANTIATOR: Final = "lightning.pytorch.cli.instantiate_module"
"""What Lightning makes a network with that is described by its class and its arguments."""

_INSTANTIATORS: Final = (INSTANTIATOR, "pytorch_lightning.cli.instantiate_module")
_OWN: Final = "what fit writes there"
_TAKE_ANOTHER: Final = "No fit writes such a checkpoint: do not use it"


def check_hyper_parameters(
    content: Mapping[str, Any],
    where: Where,
    module: type,
    typed: Iterable[str] = (),
    classes: Iterable[type] = (),
    given: Mapping[str, Any] = MappingProxyType({}),
    remedy: str | None = None,
) -> None:
    """Refuse a checkpoint whose module can't be rebuilt without running what nobody typed.

    Args:
        content: The checkpoint.
        where: Its file, for messages.
        module: The Lightning module that is rebuilt from it.
        typed: Names of classes that the user has typed in this command.
        classes: Classes that count as typed.
        given: Arguments of the module that are given otherwise: nothing is made of the checkpoint's.
        remedy: What to do where a class may not be named; by default: name it on the command line.

    Raises:
        UntrustedContentError: A class that may not be named there, or something that is no plain value.
    """
    for key in _OLD_KEYS:
        if content.get(key):
            raise refuse(where, key, "found hyperparameters", f"hyperparameters under {KEY}", _TAKE_ANOTHER)
    for key, known in (("hparams_name", (None, "kwargs")), ("hparams_type", (None,))):
        if content.get(key) not in known:
            raise refuse(where, key, f"found {content[key]!r}", _OWN, _TAKE_ANOTHER)
    found = content.get(KEY) or {}
    if not isinstance(found, Mapping):
        raise refuse(where, KEY, f"found a {type(found).__name__}", "a mapping", _TAKE_ANOTHER)
    _check_lightning_s_own(found, where, module)
    checker = TrustedClasses(where, frozenset(typed), tuple(classes), remedy=remedy)
    parameters = {name: one for name, one in found.items() if not str(name).startswith("_") and name not in given}
    checker.check_tree(parameters, parameter_types(module), f"{KEY}.")


def class_and_arguments(network: object) -> dict[str, Any] | None:
    """Describe a network that was built in Python, so that a checkpoint rebuilds it.

    Args:
        network: Any; ``save_hyperparameters`` would pickle the whole module into the checkpoint.

    Returns:
        Its class and its ``config``; None where it has no ``config`` dict of its constructor's arguments.
    """
    config, kind = getattr(network, "config", None), type(network)
    if not isinstance(config, dict):
        return None
    return {"class_path": f"{kind.__module__}.{kind.__qualname__}", "init_args": dict(config)}


def network_name(content: Mapping[str, Any]) -> str:
    """The class of a checkpoint's network, for words; it is not looked up."""
    network = (content.get(KEY) or {}).get("network")
    name = network.get("class_path") if isinstance(network, Mapping) else network
    return str(name or "unknown")[:120]


def _check_lightning_s_own(found: Mapping[Any, Any], where: Where, module: type) -> None:
    """Names with an underscore say how Lightning rebuilds the module."""
    known = {"_instantiator": _INSTANTIATORS, "_class_path": (f"{module.__module__}.{module.__qualname__}",)}
    for name, value in found.items():
        if str(name).startswith("_") and value not in known.get(str(name), ()):
            raise refuse(where, f"{KEY}.{name}", f"found {str(value)[:80]!r}", _OWN, _TAKE_ANOTHER)
