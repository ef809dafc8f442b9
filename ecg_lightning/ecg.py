"""What an ECG is in this project: leads, rate, window and the nine targets.

A *recording* is 10 s of (lead, sample) in mV as it came from a file. A *beat* is the median beat of a
recording, (8 leads, 600 samples) in mV at 500 Hz, with the fiducial of its QRS complex at sample 240
(paper, Methods, "ECG processing and outcome selection").
"""

from typing import Final, Literal, get_args

LEADS: Final = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")
"""The eight independent leads of the 12-lead ECG, in the order of every array of this project."""

SAMPLING_RATE: Final = 500
"""Samples per second of a beat (Hz)."""

BEAT_SAMPLES: Final = 600
"""Samples of a beat: 1.2 s."""

FIDUCIAL_SAMPLE: Final = 240
"""Sample of a beat where the fiducial of its QRS complex lies (0.48 s)."""

MAX_ABS_MILLIVOLT: Final = 20.0
"""Larger values than this are taken for a wrong unit or a broken electrode."""

MIN_AGE: Final = 16.0
"""Younger patients are excluded (paper, Methods, "Study population")."""

Target = Literal[
    "sinus_rhythm",
    "atrial_fibrillation",
    "sinus_bradycardia",
    "sinus_tachycardia",
    "first_degree_av_block",
    "right_bundle_branch_block",
    "left_bundle_branch_block",
    "low_qrs_voltage",
    "left_ventricular_hypertrophy",
]
"""One diagnosis that a binary classifier is trained for."""

TARGETS: Final[tuple[Target, ...]] = get_args(Target)
"""The nine diagnoses of the paper, in the order of its Table 1."""

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
