"""What an experiment needs of whoever computes the maps; a test's ``AttributionMaps`` is one."""

from collections.abc import Sequence
from typing import Protocol

from torch import nn

from ecg_lightning.attribution import RandomKey
from ecg_lightning.attribution.task import FrozenModel


class MapSource(Protocol):
    """Prepares networks for attribution and says by which keys their maps draw."""

    attribution_seed: int
    training_seed: int
    task: FrozenModel
    source_network: nn.Module

    @property
    def ecg_ids(self) -> Sequence[str]:
        """Return the id of each test ECG."""

    def key(self, name: str, row: int) -> RandomKey:
        """The key of the draws of a method's or control's map of a test ECG."""

    def prepared(self, network: nn.Module) -> FrozenModel:
        """Another network of the same architecture, prepared as the trained one was."""
