"""What an ECG is in this project: leads, rate, window and the nine targets.

A *recording* is 10 s of (lead, sample) in mV as it came from a file. A *beat* is the median beat of a
recording, (8 leads, 600 samples) in mV at 500 Hz, with the fiducial of its QRS complex at sample 240
(paper, Methods, "ECG processing and outcome selection").
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

LEADS: Final = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")
"""The eight independent leads of the 12-lead ECG, in the order of every array of this project."""

SAMPLING_RATE: Final = 500
"""Samples per second of a beat (Hz)."""

BEAT_SAMPLES: Final = 600
"""Samples of a beat: 1.2 s."""

FIDUCIAL_SAMPLE: Final = 240
"""Sample of a beat where the fiducial of its QRS complex lies (0.48 s)."""


MILLIVOLT: Final = "mV"
"""The unit of every ECG that a network reads."""


@dataclass(frozen=True)
class SignalFormat:
    """What the values of an ECG's array mean: which leads, when, in which unit.

    Attributes:
        leads: Names of the rows.
        sampling_rate: Samples per second (Hz).
        samples: Samples of a row.
        fiducial: Sample at which the fiducial of the QRS complex lies; None in a recording, which has many.
        unit: Of the values.

    Raises:
        ValueError: No lead, a lead twice, no sample, no rate, or a fiducial outside.
    """

    leads: tuple[str, ...]
    sampling_rate: float
    samples: int
    fiducial: int | None = None
    unit: str = MILLIVOLT

    def __post_init__(self) -> None:
        object.__setattr__(self, "leads", tuple(self.leads))
        if not self.leads or len(set(self.leads)) < len(self.leads):
            raise ValueError(f"leads: expected different names, got {', '.join(self.leads) or 'none'}")
        if not (self.samples >= 1 and self.sampling_rate > 0):
            raise ValueError(f"expected samples and a rate, got {self.samples} samples at {self.sampling_rate} Hz")
        if self.fiducial is not None and not 0 <= self.fiducial < self.samples:
            raise ValueError(f"fiducial: expected a sample from 0 to {self.samples - 1}, got {self.fiducial}")

    @property
    def shape(self) -> tuple[int, int]:
        """Return (lead, sample) of an array."""
        return len(self.leads), self.samples

    @property
    def seconds(self) -> float:
        """Return how long a row lasts."""
        return self.samples / self.sampling_rate

    def milliseconds(self, samples: NDArray[np.floating | np.integer]) -> NDArray[np.float64]:
        """Return when samples are, in ms: after the QRS fiducial, or after the first sample where there is none.

        Args:
            samples: (n,) places in a row, from 0.

        Returns:
            (n,) ms.
        """
        return (samples.astype(np.float64) - (self.fiducial or 0)) * 1000.0 / self.sampling_rate

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as JSON holds them; ``SignalFormat(**fields)`` makes them a format again."""
        return asdict(self) | {"leads": list(self.leads)}

    def __str__(self) -> str:
        names = ", ".join(self.leads)
        return f"{len(self.leads)} leads x {self.samples} samples at {self.sampling_rate:g} Hz ({names})"


class SignalFormatError(ValueError):
    """ECGs are of another format than a network, a picture or a file expects; the message names both."""


FORMAT_SETTING: Final = "signal_format"
"""Key of a store's settings, and of ``cache.json``, that holds the ECGs' format; what has none is of median beats."""


def format_of(settings: Mapping[str, Any]) -> SignalFormat:
    """Return the format of the ECGs that a store's settings, or a cache's ``cache.json``, speak of."""
    own = settings.get(FORMAT_SETTING)
    return MEDIAN_BEAT if own is None else SignalFormat(**own)


MEDIAN_BEAT: Final = SignalFormat(LEADS, SAMPLING_RATE, BEAT_SAMPLES, FIDUCIAL_SAMPLE)
"""The format of the paper's median beats."""


def format_settings(signal_format: SignalFormat) -> dict[str, Any]:
    """Return what a store's settings say of its ECGs' format, for ``format_of``: nothing where they are median beats.

    Stores of the versions that knew median beats only stay valid so.
    """
    return {} if signal_format == MEDIAN_BEAT else {FORMAT_SETTING: signal_format.as_dict()}


MAX_ABS_MILLIVOLT: Final = 20.0
"""Larger values than this are taken for a wrong unit or a broken electrode."""

MIN_AGE: Final = 16.0
"""Younger patients are excluded (paper, Methods, "Study population")."""

Target = str
"""Name of what a network is trained for: a diagnosis or a measurement, see :mod:`ecg_lightning.data.targets`."""

TARGETS: Final[tuple[Target, ...]] = (
    "sinus_rhythm",
    "atrial_fibrillation",
    "sinus_bradycardia",
    "sinus_tachycardia",
    "first_degree_av_block",
    "right_bundle_branch_block",
    "left_bundle_branch_block",
    "low_qrs_voltage",
    "left_ventricular_hypertrophy",
)
"""The nine diagnoses of the paper, in the order of its Table 1; a source may have others."""

DEFAULT_TARGET: Final[Target] = TARGETS[0]
"""The target of a network or of data that nobody has named another one for."""

LONGEST_ID: Final = 40
"""Characters of an ECG's id that are shown."""


def shown_text(text: str) -> str:
    """An id as harmless text: one line, printable, at most ``LONGEST_ID`` characters.

    Control characters, line breaks and what turns the direction of writing are escaped as in Python; a longer text
    ends with an ellipsis. What a page or a picture does with ``<`` or ``$`` is the page's and the picture's affair.

    Args:
        text: Any id.
    """
    parts: list[str] = []
    left = LONGEST_ID
    for place, character in enumerate(text):
        part = character if character.isprintable() else character.encode("unicode_escape").decode()
        if len(part) > left - (place < len(text) - 1):
            return "".join(parts) + "\N{HORIZONTAL ELLIPSIS}"
        parts.append(part)
        left -= len(part)
    return "".join(parts)
