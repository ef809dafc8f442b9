"""The progressive cascade of one batch of ECGs: similarity to the trained maps while layers are randomised."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ecg_lightning.experiments.audit_stores import AuditBatch, StoreLayout
from ecg_lightning.experiments.randomization.plan import CascadePlan, RandomNetwork
from ecg_lightning.experiments.randomization.random_maps import CascadeMaps
from ecg_lightning.experiments.randomization.random_weights import Direction
from ecg_lightning.functional.map_shape import histogram_entropy
from ecg_lightning.functional.similarity import SIGNS, STATISTICS, paired_similarities
from ecg_lightning.storage.hashing import JSON

_NOISE: Final = 0.1
"""Standard deviation of the smooth test's noise, as a share of the ECG's range; SmoothGrad's own default."""


def progressive_places(plan: CascadePlan, smooth: bool, settings: Mapping[str, JSON]) -> dict[str, StoreLayout]:
    """The stores of the progressive cascade."""
    repeats = list(range(plan.full_repeats))
    coords = {"repeat": repeats, "sign": SIGNS, "method": plan.names, "depth": plan.depths}
    places = {}
    for direction in plan.directions:
        for kind in (f"cascade/{direction}", *((f"cascade/{direction}_smooth",) if smooth else ())):
            for statistic in STATISTICS:
                dims = ("repeat", "sign", "method", "depth")
                places[f"{kind}/{statistic}"] = StoreLayout(dims, coords, "correlation", settings=settings)
        logits = {"repeat": repeats, "depth": plan.depths}
        places[f"cascade/{direction}_logits"] = StoreLayout(("repeat", "depth"), logits, "logit", settings=settings)
    if plan.full_direction is not None:
        places["scores/efficient_mprt"] = StoreLayout(("method",), {"method": plan.names}, "1", settings=settings)
    return places


class ProgressiveCascade:
    """Randomises more and more layers.

    Args:
        plan: Which networks.
        random: Computes their maps.
        batch: The ECGs.
        trained: Name -> (k, lead, sample) of the trained network.
        smooth_draws: Noisy copies an ECG of the smooth test; 0: none.
    """

    def __init__(
        self,
        plan: CascadePlan,
        random: CascadeMaps,
        batch: AuditBatch,
        trained: Mapping[str, Tensor],
        smooth_draws: int,
    ) -> None:
        self.plan, self.random, self.batch, self.trained = plan, random, batch, trained
        self.noisy = _noisy(random, batch, smooth_draws)
        start = RandomNetwork(plan.batchnorm, plan.directions[0], 0, 0)
        self.smooth = random.smooth(start, batch, self.noisy) if smooth_draws else {}

    def measure(self, measured: Mapping[str, NDArray[np.float64]]) -> dict[RandomNetwork, dict[str, Tensor]]:
        """Fill in every direction.

        Args:
            measured: Folder -> (k, ...), filled in place.

        Returns:
            Maps of the networks of which every layer is random.
        """
        whole: dict[RandomNetwork, dict[str, Tensor]] = {}
        for direction in self.plan.directions:
            for repeat, places in self.plan.repeats_of(direction):
                whole |= self._repeat(direction, repeat, places, measured)
        if self.plan.full_direction is not None:
            networks = [self.plan.network(self.plan.batchnorm, repeat) for repeat in range(self.plan.full_repeats)]
            rise = [[_entropy_rise(own, whole[n][name]) for name, own in self.trained.items()] for n in networks]
            measured["scores/efficient_mprt"][:] = np.mean(rise, axis=0).T
        return whole

    def _repeat(
        self, direction: Direction, repeat: int, places: Sequence[int], measured: Mapping[str, NDArray[np.float64]]
    ) -> dict[RandomNetwork, dict[str, Tensor]]:
        """One cascade; maps of the network at its end where it is wholly random."""
        plan = self.plan
        networks = [RandomNetwork(plan.batchnorm, direction, repeat, plan.depths[place]) for place in (0, *places)]
        for place, network in zip((0, *places), networks, strict=True):
            measured[f"cascade/{direction}_logits"][:, repeat, place] = self.random.logits(network, self.batch.ecg)
        maps = [self.random.at(network, self.batch) for network in networks[1:]]
        self._compare(self.trained, maps, measured, f"cascade/{direction}", repeat, (0, *places))
        if self.smooth:
            smooth = [self.random.smooth(network, self.batch, self.noisy) for network in networks[1:]]
            self._compare(self.smooth, smooth, measured, f"cascade/{direction}_smooth", repeat, (0, *places))
        return {networks[-1]: maps[-1]} if maps and plan.complete(direction) else {}

    def _compare(
        self,
        trained: Mapping[str, Tensor],
        maps: Sequence[Mapping[str, Tensor]],
        measured: Mapping[str, NDArray[np.float64]],
        kind: str,
        repeat: int,
        places: Sequence[int],
    ) -> None:
        """Fill in the similarity of every depth's maps, ``places`` of depth 0 and theirs, to the trained ones."""
        window = self.random.maps.task.smoothing_window
        for m, (name, own) in enumerate(trained.items()):
            own = own.double()
            # the first of them is the trained map itself: 1, or NaN where it is constant
            others = torch.stack([own, *(one[name].to(own) for one in maps)], dim=1)
            for statistic, found in paired_similarities(own[:, None], others, window=window).items():
                for place, value in zip(places, found.cpu().numpy().swapaxes(0, 1), strict=True):  # (k, sign)
                    measured[f"{kind}/{statistic}"][:, repeat, :, m, place] = value


def _noisy(random: CascadeMaps, batch: AuditBatch, draws: int) -> Tensor:
    """(draw, k, lead, sample): the same copies for the trained and every random network."""
    keys = [replace(random.maps.key("", int(row)), purpose="smooth cascade") for row in batch.rows]
    noise = [key.normal(draws, *batch.ecg.shape[1:]) for key in keys]
    span = (batch.ecg.amax((1, 2)) - batch.ecg.amin((1, 2)))[:, None, None]
    return batch.ecg + _NOISE * span * torch.stack(noise, dim=1).to(batch.ecg)


def _entropy_rise(trained: Tensor, random: Tensor) -> NDArray[np.float64]:
    """(entropy of the random network's map - that of the trained one's) / the latter, (k,); NaN where undefined."""
    before, after = histogram_entropy(trained), histogram_entropy(random)
    rise: NDArray[np.float64] = ((after - before) / before).cpu().numpy()
    return rise
