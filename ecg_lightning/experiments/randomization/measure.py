"""What is left of the maps in wholly random networks, draw by draw, given |ECG| and |slope|."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ecg_lightning.attribution import AttributionMethod
from ecg_lightning.attribution.controls import ControlName, control_maps
from ecg_lightning.attribution.seeding import RandomKey
from ecg_lightning.experiments.audit_stores import StoreLayout
from ecg_lightning.experiments.randomization.partial_similarity import MapVectors, covariate_basis, map_vectors
from ecg_lightning.storage.hashing import JSON

BETWEEN: Final = "between"
"""Similarity of magnitude of one random network's map and the next one's; the others are similarities to the map of
the trained network: ``signed``, ``magnitude``, ``partial``."""

_GRADIENT_IN_FORWARDS: Final = 3
_COVARIATES: Final[tuple[ControlName, ...]] = ("absolute_input", "absolute_slope")


def forward_equivalents(method: AttributionMethod, backgrounds: Tensor) -> int:
    """What a map costs at most, in forward passes of one ECG; a gradient costs three.

    Args:
        method: The method.
        backgrounds: (background, lead, sample).
    """
    passes = method.passes((int(backgrounds.shape[1]), int(backgrounds.shape[2])), len(backgrounds))
    return passes.forward + _GRADIENT_IN_FORWARDS * passes.gradient


def draw_places(folder: str, draws: int, names: Sequence[str], settings: Mapping[str, JSON]) -> dict[str, StoreLayout]:
    """Stores of one kind of network.

    Args:
        folder: Of the kind.
        draws: How many networks.
        names: Methods and controls.
        settings: What determines the networks.
    """
    place = StoreLayout(
        ("draw", "method"), {"draw": list(range(draws)), "method": names}, "correlation", settings=settings
    )
    return {f"{folder}/{quantity}": place for quantity in (*MapVectors._fields, BETWEEN)}


class RandomNetworkSimilarity:
    """Compares the trained maps of a batch with those of one random network after the other.

    Args:
        ecg: (k, lead, sample) mV.
        trained: Name -> (k, lead, sample).
        window: Samples of the smoothing filter, odd.
    """

    def __init__(self, ecg: Tensor, trained: Mapping[str, Tensor], window: int) -> None:
        covariates = control_maps(_COVARIATES, ecg, lambda *_: RandomKey())  # which draw nothing
        self._window = window
        self._basis = covariate_basis(torch.stack(list(covariates.values()), 1), window).unsqueeze(1)
        self._names = tuple(trained)
        self._none = torch.full_like(next(iter(trained.values())), torch.nan, dtype=torch.float64)
        self._trained = self._vectors(trained)
        self._before: dict[tuple[str, int], MapVectors] = {}

    def fill(
        self, folder: str, draw: int, maps: Mapping[str, Tensor], measured: Mapping[str, NDArray[np.float64]]
    ) -> None:
        """Compare with one network, and that with the one before.

        Args:
            folder: Of the kind of network.
            draw: Number of the network.
            maps: Its maps; names that were not computed are left out.
            measured: Folder -> (k, draw, method), filled in place; NaN for what was not computed or is undefined.
        """
        own = self._vectors(maps)
        for name, found in self._trained.correlation(own)._asdict().items():
            measured[f"{folder}/{name}"][:, draw] = found.cpu().numpy()
        before = self._before.pop((folder, draw - 1), None)
        if before is not None:
            measured[f"{folder}/{BETWEEN}"][:, draw - 1] = before.correlation(own).magnitude.cpu().numpy()
        self._before = {(folder, draw): own}

    def _vectors(self, maps: Mapping[str, Tensor]) -> MapVectors:
        """(k, method, point) each."""
        stacked = [maps[name].to(self._none) if name in maps else self._none for name in self._names]
        return map_vectors(torch.stack(stacked, 1), self._basis, self._window)
