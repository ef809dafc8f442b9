"""What a method gives of an ECG, and what it costs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Passes:
    """The passes are the cost of one map, in passes of one input.

    Attributes:
        forward: Number of forward passes.
        gradient: Passes forward and backward to the input.
    """

    forward: int = 0
    gradient: int = 0


@dataclass(frozen=True)
class Attribution:
    """An attribution is the map of one ECG, with its reliability.

    Attributes:
        map: (1, lead, sample).
        reliability: Correlation that two such maps of fresh samples would have, 0 to 1; NaN where there are none.
        n_samples: Monte-Carlo samples that it took; 0 for a deterministic method.
    """

    map: Tensor
    reliability: float = math.nan
    n_samples: int = 0


@dataclass(frozen=True)
class AttributionBatch:
    """An attribution batch holds the maps of several ECGs, with their reliability.

    Attributes:
        maps: (batch, lead, sample), detached.
        reliability: (batch,) float64 on the CPU: see :class:`Attribution`; ``n_samples``: (batch,) int64 there.
    """

    maps: Tensor
    reliability: Tensor
    n_samples: Tensor


def joined(parts: Sequence[AttributionBatch]) -> AttributionBatch:
    """Join the maps of several batches."""
    columns = ("maps", "reliability", "n_samples")
    return AttributionBatch(*(torch.cat([getattr(part, name) for part in parts]) for name in columns))
