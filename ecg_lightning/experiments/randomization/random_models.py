"""The random networks of a cascade, prepared for attribution and kept as long as memory allows."""

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from ecg_lightning.attribution.seeding import RandomKey
from ecg_lightning.attribution.task import FrozenModel
from ecg_lightning.experiments.map_source import MapSource
from ecg_lightning.experiments.randomization.plan import RandomNetwork
from ecg_lightning.experiments.randomization.random_weights import How, layers_at, randomised
from ecg_lightning.models.classifier import EcgClassifier

_KEPT_BYTES: Final = 512 * 2**20
"""Of weights: 58 networks of the study's size. Others are made anew for every batch."""


class CascadeTasks:
    """Prepares random networks for attribution.

    Args:
        maps: Prepares networks as the trained one was prepared.
        layers: In the order of execution.
        how: How a layer is randomised.
        beats: (n, lead, sample) mV that BatchNorms are recalibrated on.
    """

    def __init__(self, maps: MapSource, layers: Sequence[str], how: How, beats: Tensor) -> None:
        self.maps, self.layers, self.beats = maps, layers, beats
        self.how: How = how
        network = maps.source_network
        each = sum(p.numel() * p.element_size() for p in (*network.parameters(), *network.buffers()))
        self._room = _KEPT_BYTES // max(each, 1)
        self._kept: dict[RandomNetwork, FrozenModel] = {}

    def at(self, network: RandomNetwork) -> FrozenModel:
        """The task of one network; the same weights whenever it is asked for."""
        if network.depth == 0:
            return self.maps.task
        if network in self._kept:
            return self._kept[network]
        task = self._make(network)
        if len(self._kept) < self._room:
            self._kept[network] = task
        return task

    def _make(self, network: RandomNetwork) -> FrozenModel:
        def seed_of(layer: str) -> int:
            # not by the depth: a layer has the same random weights at every depth
            return RandomKey(
                self.maps.attribution_seed,
                self.maps.training_seed,
                purpose=f"weights of {layer}",
                direction=network.drawn_by,
                repeat=network.repeat,
            ).seed

        with torch.inference_mode(False):
            made = randomised(
                self.maps.source_network,
                layers_at(self.layers, network.direction, network.depth),
                seed_of,
                how=self.how,
                batchnorm=network.batchnorm,
                ecgs=self.beats.to(self.maps.task.backgrounds),
            )
        return self.maps.prepared(made)


def permuted_tasks(maps: MapSource, checkpoints: Sequence[str]) -> list[FrozenModel]:
    """Networks that were trained on permuted labels, prepared as the trained one was.

    Args:
        maps: Of the trained network.
        checkpoints: Paths.

    Raises:
        ValueError: A checkpoint of another architecture, or one that names another class than the tested network's.
    """
    tasks = []
    for path in checkpoints:
        network = EcgClassifier.load_from_checkpoint(
            path, map_location=maps.task.backgrounds.device, classes=[type(maps.source_network)]
        ).network
        if str(network) != str(maps.source_network):
            raise ValueError(
                f"RandomizationCascade: permuted_checkpoints: {path} holds another architecture than the tested "
                "network's; train it with the same configuration on permuted labels"
            )
        tasks.append(maps.prepared(network))
    return tasks
