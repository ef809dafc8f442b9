"""The random networks of a cascade, prepared for attribution and kept as long as memory allows."""

from collections.abc import Sequence
from typing import Final

import torch

from callbacks.attribution_maps import AttributionMaps
from ecg_lightning.attribution.seeding import RandomKey
from ecg_lightning.attribution.task import AttributionTask
from ecg_lightning.functional.randomization import BatchNormPolicy, Direction, How, layers_at, randomised

_KEPT_BYTES: Final = 512 * 2**20
"""Of weights: 58 networks of the study's size. Others are made anew for every batch."""


class CascadeTasks:
    """Random networks by direction, repeat and depth.

    Args:
        maps: Prepares networks as the trained one was prepared.
        layers: In the order of execution.
        how: How a layer is randomised.
        batchnorm: What is done to BatchNorms.
    """

    def __init__(self, maps: AttributionMaps, layers: Sequence[str], how: How, batchnorm: BatchNormPolicy) -> None:
        self.maps, self.layers = maps, layers
        self.how: How = how
        self.batchnorm: BatchNormPolicy = batchnorm
        network = maps.source_network
        each = sum(p.numel() * p.element_size() for p in (*network.parameters(), *network.buffers()))
        self._room = _KEPT_BYTES // max(each, 1)
        self._kept: dict[tuple[str, int, int], AttributionTask] = {}

    def at(self, direction: Direction, repeat: int, depth: int) -> AttributionTask:
        """The task of one network; the same weights whenever it is asked for."""
        place = (direction, repeat, depth)
        if place in self._kept:
            return self._kept[place]
        task = self._make(direction, repeat, depth)
        if len(self._kept) < self._room:
            self._kept[place] = task
        return task

    def _make(self, direction: Direction, repeat: int, depth: int) -> AttributionTask:
        def seed_of(layer: str) -> int:
            # not by the depth: a layer has the same random weights at every depth
            return RandomKey(
                self.maps.attribution_seed,
                self.maps.training_seed,
                purpose=f"weights of {layer}",
                direction=direction,
                repeat=repeat,
            ).seed

        with torch.inference_mode(False):
            network = randomised(
                self.maps.source_network,
                layers_at(self.layers, direction, depth),
                seed_of,
                how=self.how,
                batchnorm=self.batchnorm,
                ecgs=self.maps.task.backgrounds,
            )
        return self.maps.prepared(network)
