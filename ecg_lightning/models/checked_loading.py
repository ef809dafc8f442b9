"""A Lightning module that is rebuilt from a checkpoint without running what the checkpoint asks for."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from ecg_lightning.models.hyper_parameters import check_hyper_parameters
from ecg_lightning.models.plain_checkpoints import read_plain


class CheckedLoading(LightningModule):
    """Lightning makes every object that a checkpoint's hyperparameters describe; here they are checked first."""

    @classmethod
    def load_from_checkpoint(  # type: ignore[override]  # Lightning's also takes a file of other hyperparameters
        cls,
        checkpoint_path: str | Path,
        map_location: Any = None,
        *,
        classes: Sequence[type[nn.Module]] = (),
        weights_only: bool = True,
        **kwargs: Any,
    ) -> Self:
        """Rebuild a module from its checkpoint, without running what the checkpoint asks for.

        Args:
            checkpoint_path: Its file.
            map_location: Device of its weights.
            classes: Networks that the checkpoint may name beside the project's.
            weights_only: False also loads pickled objects, which can run any command.
            **kwargs: Arguments of the constructor, such as ``network``, in place of the checkpoint's; ``strict``.

        Raises:
            CheckpointError: The file holds pickled objects, which are named, or is no checkpoint.
            UntrustedContentError: The checkpoint names another class, or holds something that is no plain value.
        """
        path = Path(checkpoint_path)
        content = read_plain(path) if weights_only else torch.load(path, weights_only=False, map_location="cpu")
        remedy = f"If you trust it, pass its class: {cls.__name__}.load_from_checkpoint(path, classes=[...])"
        check_hyper_parameters(content, checkpoint_path, cls, classes=classes, given=kwargs, remedy=remedy)
        module: Self = super().load_from_checkpoint(
            checkpoint_path, map_location=map_location, weights_only=weights_only, **kwargs
        )
        return module


def weight_differences(own: Mapping[str, Tensor], saved: Mapping[str, Tensor]) -> list[str]:
    """How the weights of a network and of a checkpoint differ in names and shapes, one sentence each.

    Args:
        own: State of the network; lazy weights take any shape.
        saved: That of the checkpoint.
    """
    found = [f"{name} is missing in the checkpoint" for name in own.keys() - saved.keys()]
    found += [f"{name} is only in the checkpoint" for name in saved.keys() - own.keys()]
    found += [
        f"{name} has shape {tuple(saved[name].shape)} in the checkpoint, {tuple(own[name].shape)} here"
        for name in own.keys() & saved.keys()
        if not is_lazy(own[name]) and own[name].shape != saved[name].shape
    ]
    return sorted(found)
