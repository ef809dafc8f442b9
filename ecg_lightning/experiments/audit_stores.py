"""What audits measure at once, and where they keep it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from ecg_lightning.ecg import MEDIAN_BEAT, SignalFormat
from ecg_lightning.storage.hashing import JSON
from ecg_lightning.storage.store import Rows, StoreDtype, StoreSpec


def rows_as_large(beats: int, shape: Sequence[int], least: int = 1, beat: SignalFormat = MEDIAN_BEAT) -> int:
    """Return how many ECGs of a shape take no more memory than some beats, which they are at most.

    Args:
        beats: Number of beats.
        shape: (lead, sample) of an ECG.
        least: ECGs at least.
        beat: Format of the beats.
    """
    fitting = beats * math.prod(beat.shape) // math.prod(shape)
    return min(max(fitting, least), beats)


@dataclass(frozen=True)
class StoreLayout:
    """An array that an audit fills, one row an ECG.

    Attributes:
        dims: Names of the dimensions after ``row``.
        coords: What stands along each of them.
        unit: Of the values.
        dtype: Of the store.
        settings: What determines this array's rows beside the audit's own settings and the maps.
    """

    dims: tuple[str, ...]
    coords: Mapping[str, Sequence[str | int | float]]
    unit: str
    dtype: StoreDtype = "float32"
    settings: Mapping[str, JSON] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the dimensions after ``row``."""
        return tuple(len(self.coords[dim]) for dim in self.dims)

    def spec(self, n_ecgs: int, settings: Mapping[str, JSON], of_maps: StoreSpec) -> StoreSpec:
        """Describe the store, of the same network and ECGs as the maps' stores.

        Args:
            n_ecgs: Rows.
            settings: What determines them.
            of_maps: One of the maps' stores.
        """
        return StoreSpec(
            dims=("row", *self.dims),
            shape=(n_ecgs, *self.shape),
            coords=self.coords,
            dtype=self.dtype,
            unit=self.unit,
            settings=settings,
            network=of_maps.network,
            examples=of_maps.examples,
        )


@dataclass(frozen=True)
class AuditBatch:
    """What an audit measures at once.

    Attributes:
        rows: (k,) of the test set.
        ecg: (k, lead, sample) mV.
        maps: Name of a method or control -> (k, lead, sample), in the order of ``AttributionMaps.names``.
    """

    rows: Rows
    ecg: Tensor
    maps: dict[str, Tensor]
