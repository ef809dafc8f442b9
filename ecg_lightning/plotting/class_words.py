"""The class words name the nine targets as the clinic does, for titles and labels."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from ecg_lightning.ecg import Target


class ClassWords(NamedTuple):
    """The class words are what people call a target.

    Attributes:
        name: Name in full.
        criterion: What makes the diagnosis on the ECG, as the simulator renders it and clinicians define it.
        short: Name for a label of a few millimetres.
    """

    name: str
    criterion: str
    short: str


CLASS_WORDS: Final[Mapping[Target, ClassWords]] = {
    "sinus_rhythm": ClassWords("Sinus rhythm", "a sinus P wave before every QRS, 60 to 100/min", "SR"),
    "atrial_fibrillation": ClassWords("Atrial fibrillation", "no P wave, irregular RR intervals", "AF"),
    "sinus_bradycardia": ClassWords("Sinus bradycardia", "sinus P waves, below 60/min", "SB"),
    "sinus_tachycardia": ClassWords("Sinus tachycardia", "sinus P waves, above 100/min", "ST"),
    "first_degree_av_block": ClassWords("First-degree AV block", "PR > 200 ms", "1° AVB"),
    "right_bundle_branch_block": ClassWords(
        "Right bundle branch block", "QRS ≥ 120 ms, late R' in V1, broad S in I and V6", "RBBB"
    ),
    "left_bundle_branch_block": ClassWords(
        "Left bundle branch block", "QRS ≥ 120 ms, broad R in I, V5 and V6, T opposite", "LBBB"
    ),
    "low_qrs_voltage": ClassWords(
        "Low QRS voltage", "QRS < 0.5 mV in all limb or < 1 mV in all chest leads", "low voltage"
    ),
    "left_ventricular_hypertrophy": ClassWords(
        "Left ventricular hypertrophy", "S in V1 + R in V5 or V6 > 3.5 mV (Sokolow-Lyon)", "LVH"
    ),
}
"""Rates, PR, QRS and voltages: criteria of the simulator; the bundle branch blocks' shapes: Surawicz et al.,
AHA/ACCF/HRS recommendations part III, Circulation 2009;119:e235-e240. An archive's labels are its physicians'."""


def class_name(target: object) -> str:
    """Name a target in full; of one that is not among the nine, say its own name in words: ``my_class``, My class."""
    words = _words_of(target)
    return words.name if words else _readable(target)


def class_in_text(target: object) -> str:
    """Name a target within a sentence: ``first-degree AV block``."""
    name = class_name(target)
    return name[:1].lower() + name[1:]


def class_short(target: object) -> str:
    """Name a target in a label of a few millimetres; of one that is not among the nine, as in full."""
    words = _words_of(target)
    return words.short if words else _readable(target)


def class_title(target: object) -> str:
    """Name a target with its criterion, where it has one: ``First-degree AV block: PR > 200 ms``."""
    words = _words_of(target)
    return f"{words.name}: {words.criterion}" if words else _readable(target)


def _words_of(target: object) -> ClassWords | None:
    """Look up what people call a target; None where it is not among the nine."""
    return next((words for known, words in CLASS_WORDS.items() if known == target), None)


def _readable(target: object) -> str:
    name = str(target).replace("_", " ")
    return name[:1].upper() + name[1:]
