"""Weights of somebody else's training script are read without running anything of the file."""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from ecg_lightning.cards.card import Weights
from ecg_lightning.cards.fields import CardError
from ecg_lightning.models.plain_checkpoints import CheckpointError, read_plain

_SAFE_PICKLES: Final = (2, 10)
"""Version of torch from which on ``weights_only`` can't be bypassed, as far as is known."""

_SHOWN: Final = 5
_COUNTER: Final = "num_batches_tracked"
"""What BatchNorms count in training and never read: old files lack it."""


def read_weights(weights: Weights, folder: Path) -> dict[str, Tensor]:
    """Read the weights that a card names.

    Args:
        weights: The file, the key in it, and the prefix of the names.
        folder: Where relative paths begin.

    Returns:
        Name -> weight, on the CPU.

    Raises:
        CardError: The file is missing or broken, holds pickled objects or no weights under the key, or a name lacks the
            prefix; the message names the file.
    """
    path = folder / weights.path
    if not path.is_file():
        raise CardError(f"weights.path: there is no file {path}")
    content: Any = _content(path)
    for part in weights.key.split(".") if weights.key else ():
        if not isinstance(content, Mapping) or part not in content:
            keys = ", ".join(map(str, content))[:200] if isinstance(content, Mapping) else f"a {type(content).__name__}"
            raise CardError(f"weights.key: {path} has no {weights.key!r}: at {part!r} there is {keys}")
        content = content[part]
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        nested = [str(key) for key, value in content.items() if isinstance(value, Mapping)] if isinstance(
            content, Mapping
        ) else []  # fmt: skip
        hint = f"; give one of these as weights.key: {', '.join(nested)}" if nested else ""
        raise CardError(f"{path}{f', {weights.key}' if weights.key else ''} holds more than weights{hint}")
    return _without_prefix(dict(content), weights.prefix, path)


def load_weights(network: nn.Module, weights: Mapping[str, Tensor], where: Path | str) -> None:
    """Give a network its weights; each has to be there, with its shape.

    Raises:
        CardError: Names or shapes that differ, with the nearest names.
    """
    own = network.state_dict()
    missing = [name for name in own if name not in weights and not name.endswith(_COUNTER)]
    surplus = [name for name in weights if name not in own]
    shapes = [
        f"{name} is {tuple(weights[name].shape)} in the file and {tuple(own[name].shape)} in the network"
        for name in own
        if name in weights and weights[name].shape != own[name].shape
    ]
    told = [f"the network's {name} is missing{_nearest(name, surplus)}" for name in missing]
    told += (
        [f"nothing in the network is called {name}{_nearest(name, missing)}" for name in surplus] if not missing else []
    )
    told += shapes
    if told:
        more = f"; and {len(told) - _SHOWN} more" if len(told) > _SHOWN else ""
        raise CardError(
            f"{where}: these weights are of another network than {type(network).__name__}: "
            f"{'; '.join(told[:_SHOWN])}{more}. Mind weights.prefix, weights.key and init_args"
        )
    network.load_state_dict({**own, **weights})


def _content(path: Path) -> Any:
    if path.suffix == ".safetensors":
        try:
            return load_file(path)
        except (SafetensorError, OSError) as error:
            raise CardError(f"weights.path: {path} is no safetensors file, or was cut short ({error})") from error
    version = tuple(int(part) for part in torch.__version__.split("+")[0].split(".")[:2])
    if version < _SAFE_PICKLES:
        raise CardError(
            f"weights.path: {path} is a pickle, which torch {torch.__version__} can't read safely: take torch 2.10 or "
            "newer, or keep the weights as safetensors"
        )
    try:
        return read_plain(path)
    except CheckpointError as error:
        raise CardError(f"weights.path: {error}") from error


def _without_prefix(weights: dict[str, Tensor], prefix: str, path: Path) -> dict[str, Tensor]:
    if strange := [name for name in weights if not name.startswith(prefix)]:
        raise CardError(
            f"weights.prefix: {len(strange)} of {len(weights)} names in {path} do not begin with {prefix!r}, as "
            f"{strange[0]}"
        )
    return {name.removeprefix(prefix): value for name, value in weights.items()}


def _nearest(name: str, others: list[str]) -> str:
    close = difflib.get_close_matches(name, others, n=1)
    return f" (the file has {close[0]})" if close else ""
