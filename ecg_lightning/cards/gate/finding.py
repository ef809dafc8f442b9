"""What the gate says of one setting of a card, and the table and the error that it ends in."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final, Literal

import pandas as pd

from ecg_lightning.cards.fields import CardError
from ecg_lightning.storage.table_schema import Column, TableSchema

Verdict = Literal["card", "agrees", "wrong", "warning", "undetermined", "no difference", "not tested"]
GateMode = Literal["error", "warn", "off"]
"""What is done where another setting is clearly better: nothing is computed, or a warning; or nobody looks."""

NAN: Final = float("nan")
_OF_NO_SETTING: Final = ("data", "output", "promise")


class GateError(CardError):
    """A card says something else than what the network was trained on; the message has both figures and the key."""


@dataclass(frozen=True)
class Finding:
    """A finding is what was measured of one setting.

    Attributes:
        setting: The setting in words.
        check: What it is about: ``data``, ``scale``, ``standardisation``, ``order``, ``polarity``, ``time``, ``rate``,
            ``output`` or ``promise``.
        verdict: ``card`` for the card's own setting; ``wrong`` where another one is clearly better.
        words: Why.
        change: Key and value of the card, or what to do about the data; empty: nothing.
        s1: KL divergence at the first BatchNorm, of the statistics that arrive from those that were learnt (nat).
        s2: Its mean over all BatchNorms.
        auroc: Of the run's target.
        log_loss: Mean over the outputs that have labels.
        flipped: Share of decisions that are others than with the card's setting.
    """

    setting: str
    check: str
    verdict: Verdict
    words: str
    change: str = ""
    s1: float = NAN
    s2: float = NAN
    auroc: float = NAN
    log_loss: float = NAN
    flipped: float = NAN


GATE_TABLE: Final = TableSchema(
    "gate",
    {
        "setting": Column("text", "setting in words"),
        "check": Column("text", "what the setting is about"),
        "verdict": Column("text", "card, agrees, wrong, warning, undetermined, no difference or not tested"),
        "words": Column("text", "why"),
        "change": Column("text", "key and value of the card, or what to do about the data"),
        "s1": Column("number", "divergence of arriving from learnt statistics at the first BatchNorm", "nat"),
        "s2": Column("number", "mean divergence over all BatchNorms", "nat"),
        "auroc": Column("number", "AUROC of the run's target"),
        "log_loss": Column("number", "mean log-loss of the outputs that have labels", "nat"),
        "flipped": Column("number", "share of decisions that are others than with the card's setting"),
    },
)


def as_frame(findings: Sequence[Finding]) -> pd.DataFrame:
    """Return the findings as the table of the gate, one row each."""
    frame = pd.DataFrame([asdict(one) for one in findings], columns=list(GATE_TABLE.columns))
    GATE_TABLE.check_written(frame)
    return frame


def refusal(findings: Sequence[Finding]) -> str:
    """Say what is wrong: of the settings the one that fits best, of data and outputs each; empty where nothing is."""
    told = [one for one in findings if one.verdict == "wrong"]
    settings = [one for one in told if one.check not in _OF_NO_SETTING]
    best = sorted(settings, key=lambda one: (math.isnan(one.s2), one.s2, one.log_loss))[:1]
    shown = [*best, *(one for one in told if one.check in _OF_NO_SETTING)]
    return "; ".join(f"{one.words}{f' -> {one.change}' * bool(one.change)}" for one in shown)
