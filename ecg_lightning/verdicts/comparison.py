"""A comparison is what a check hands over to be decided: one effect against one margin."""

from dataclasses import dataclass

import numpy as np

from ecg_lightning.statistics.effect import Effect
from ecg_lightning.verdicts.checks import Margin


@dataclass(frozen=True)
class Comparison:
    """One effect of one method on one target.

    A claim passes if every comparison of it passes, and fails if one of them fails (with Bonferroni's correction).

    Attributes:
        target: The diagnosis that is explained.
        method: Method, or a control that goes through the checks as if it were one.
        control: Whether it is a control.
        against: What it is compared with: a control's name, or in words what the margin is of (``random network``).
        margin: Margins, check, claim and score.
        effect: Scalar (shape ``()``); NaN where it is undefined.
        value: The method's own mean score, for display.
        n_positive: Patients with the diagnosis among those that count.
        n_negative: Patients without it among those that count.
        n_ecgs: ECGs that count.
        needs_negatives: Whether 20 patients without the diagnosis are needed too (scores of AUROC curves).
        any_label: Whether patients of any label count towards the 20 (randomization).
        undefined: Why the effect is undefined, in words; empty where it is defined.
    """

    target: str
    method: str
    control: bool
    against: str
    margin: Margin
    effect: Effect
    value: float = np.nan
    n_positive: int = 0
    n_negative: int = 0
    n_ecgs: int = 0
    needs_negatives: bool = False
    any_label: bool = False
    undefined: str = ""
