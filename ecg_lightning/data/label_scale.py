"""The scale that a network of a regression target counts in."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self, TypeVar, cast

import numpy as np
from numpy.typing import ArrayLike

Values = TypeVar("Values", bound=Any)


@dataclass(frozen=True)
class LabelScale:
    """The scale that a network of a regression target counts in.

    Attributes:
        mean: Mean of the training labels, in the target's unit.
        deviation: Their standard deviation, in the target's unit.
    """

    mean: float = 0.0
    deviation: float = 1.0

    @classmethod
    def of(cls, label: ArrayLike) -> Self:
        """Take the scale of labels (n,), NaN where missing; a single value has the deviation 1."""
        known = np.asarray(label, dtype=np.float64)
        known = known[~np.isnan(known)]
        return cls(float(known.mean()), float(known.std()) or 1.0)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Read what ``as_dict`` wrote."""
        return cls(float(content["mean"]), float(content["deviation"]))

    def as_dict(self) -> dict[str, float]:
        """Return what a checkpoint, ``metrics.json`` and the manifest of the outputs keep."""
        return asdict(self)

    def in_unit(self, output: Values) -> Values:
        """Turn outputs of the network, an array or a tensor, into predictions in the target's unit."""
        return cast("Values", output * self.deviation + self.mean)

    def scaled(self, label: Values) -> Values:
        """Turn labels in the target's unit, an array or a tensor, into what the network should have given."""
        return cast("Values", (label - self.mean) / self.deviation)
