"""The margins of every check, stated beforehand in ``configs/margins.yaml`` and never changed by the data."""

from dataclasses import dataclass
from functools import cache
from typing import Literal, get_args

import yaml

from ecg_lightning.shipped import find_config

Side = Literal["above", "below"]


@dataclass(frozen=True)
class Margin:
    """What one score of a check is tested against.

    Attributes:
        check: Experiment: ``localization``, ``perturbation``, ``faithfulness``, ``randomization``,
            ``self_consistency``.
        claim: ``uses_the_network``, ``is_about_this_patient``, ``needs_the_weights`` or ``seeds_agree``.
        score: Name of the score.
        unit: Unit of effect and margins.
        side: Whether a pass lies above or below the margin.
        margin_pass: A pass is an effect beyond this.
        margin_fail: A failure is an effect that does not reach this.
    """

    check: str
    claim: str
    score: str
    unit: str
    side: Side
    margin_pass: float
    margin_fail: float


@cache
def margins() -> tuple[Margin, ...]:
    """Every margin, in the order of the file.

    Raises:
        ValueError: An entry without a needed key, or with another side.
    """
    path = find_config("configs/margins.yaml")
    entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    found = []
    for number, entry in enumerate(entries, 1):
        try:
            margin = Margin(**entry)
        except TypeError as error:
            raise ValueError(f"{path}, entry {number}: {error}") from None
        if margin.side not in get_args(Side):
            raise ValueError(f"{path}, entry {number}: side is one of {', '.join(get_args(Side))}, got {margin.side!r}")
        found.append(margin)
    return tuple(found)


def margins_of(check: str, claim: str) -> tuple[Margin, ...]:
    """The margins of a check's claim; a claim with several must meet each.

    Raises:
        ValueError: There is no such check or claim.
    """
    found = tuple(margin for margin in margins() if (margin.check, margin.claim) == (check, claim))
    if not found:
        known = sorted({f"{margin.check}/{margin.claim}" for margin in margins()})
        raise ValueError(f"configs/margins.yaml has no {check}/{claim}; it has {', '.join(known)}")
    return found
