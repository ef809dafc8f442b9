"""An example of a class is one ECG's beat or recording with what is known of it, checked before it is drawn."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ecg_lightning.ecg import MEDIAN_BEAT, SignalFormat
from ecg_lightning.plotting.drawable import check_beat, check_shape


@dataclass(frozen=True)
class RegionStyle:
    """A region style says how a region is marked.

    Attributes:
        meaning: What the legend says.
        fill: Colour, None for an outline of dashes.
    """

    meaning: str
    fill: str | None


# Fills are of Okabe and Ito's palette (Color Universal Design, 2008).
REGION_STYLES: Final[Mapping[str, RegionStyle]] = {
    "causal": RegionStyle("evidence: what differs from the twin without the diagnosis", "#56b4e9"),
    "core": RegionStyle("textbook evidence", None),
    "P": RegionStyle("P wave", "#e69f00"),
    "QRS": RegionStyle("QRS complex", "#0072b2"),
    "T": RegionStyle("T wave", "#009e73"),
}
"""Every region that can be marked, in the order of the legend."""


@dataclass(frozen=True, eq=False)
class ClassBeat:
    """A class beat is one ECG's beat or recording, drawn as an example of its class.

    Attributes:
        beat: (lead, sample) mV.
        source: The archive, or ``synthetic``.
        name: What the ECG is called: its row and a pseudonym, or a short id.
        heart_rate: Beats per minute, NaN where unknown.
        labels: The diagnoses that it has, in few words.
        regions: Any of ``REGION_STYLES`` -> (lead, sample) boolean, where it is known for this ECG.
        signal_format: Leads, rate and samples.
    """

    beat: ArrayLike
    source: str
    name: str
    heart_rate: float
    labels: Sequence[str]
    regions: Mapping[str, ArrayLike] = field(default_factory=dict)
    signal_format: SignalFormat = MEDIAN_BEAT

    @property
    def caption(self) -> str:
        """Write source, name, rate and labels, in lines of text."""
        rate = "rate unknown" if math.isnan(self.heart_rate) else f"{self.heart_rate:.0f}/min"
        return f"{self.source} {self.name}\n{rate}\n{', '.join(self.labels) or 'none of the nine'}"

    def checked_regions(self) -> dict[str, NDArray[np.bool_]]:
        """Return the regions as masks, in the order of the legend.

        Raises:
            ValueError: A region without a style, another shape, or values that are not booleans.
        """
        unknown = [region for region in self.regions if region not in REGION_STYLES]
        if unknown:
            raise ValueError(
                f"ECG {self.name}: expected regions among {', '.join(REGION_STYLES)}, got {', '.join(unknown)}"
            )
        return {name: self._mask(name) for name in REGION_STYLES if name in self.regions}

    def _mask(self, region: str) -> NDArray[np.bool_]:
        values = np.asarray(self.regions[region])
        check_shape(f"the region {region} of ECG {self.name}", values, self.signal_format)
        if values.dtype != np.bool_:
            raise ValueError(f"ECG {self.name}: expected the region {region} as booleans, got {values.dtype}")
        return values


def check_beats(beats: Sequence[ClassBeat]) -> NDArray[np.float64]:
    """Check the traces of some beats or recordings of one format, (beat, lead, sample) mV.

    Raises:
        ValueError: A beat that can't be drawn, or of another format than the first; the message names the ECG.
    """
    traces, first = [], beats[0].signal_format
    if other := [beat for beat in beats if beat.signal_format != first]:
        raise ValueError(f"ECG {other[0].name}: expected {first}, as the first has, got {other[0].signal_format}")
    for beat in beats:
        try:
            traces.append(check_beat(beat.beat, beat.signal_format))
        except ValueError as error:
            raise ValueError(f"ECG {beat.name}: {error}") from error
    return np.stack(traces)
