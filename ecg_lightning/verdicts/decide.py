"""This module turns effects and margins into verdicts: passes, fails, can't tell.

A claim passes if each of its comparisons passes: its p is the largest (intersection-union). It fails if one of them
fails: the smallest p times their number (Bonferroni). Both are adjusted by Holm over the methods and targets of a
check's claim; where both hold, the effect is more than nothing and less than what matters, and the state is "fails".
Controls that go through the checks are a family of their own.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import pandas as pd

from ecg_lightning.statistics.effect import MIN_PATIENTS
from ecg_lightning.statistics.multiplicity import bonferroni, holm
from ecg_lightning.verdicts.checks import margins
from ecg_lightning.verdicts.comparison import Comparison
from ecg_lightning.verdicts.table import State, Why, networks_of, verdicts_table

_SAME: Final = 1e-9
"""Effects without variance that are nearer than this to their margin do not exceed it: a difference of two equal scores
is 0 but for rounding."""

_FIRST: Final[tuple[Why, ...]] = ("few_patients", "few_patients_without", "undefined", "no_variance", "")
"""The obstacle that is reported where several comparisons of a claim have one."""


class Claim(NamedTuple):
    """A claim is what a verdict is on."""

    check: str
    claim: str
    target: str
    method: str
    control: bool = False


def decide(
    comparisons: Iterable[Comparison], confidence: float = 0.95, requested: Iterable[Claim] = ()
) -> pd.DataFrame:
    """Decide the verdict on every claim.

    Args:
        comparisons: Comparisons of all checks, targets and methods: the p-values are adjusted for what stands here.
        confidence: Confidence level of the intervals; each one-sided test is made at half of the rest, .025.
        requested: Requested claims; those without a comparison are ``not_measured`` and belong to no family.

    Returns:
        The verdicts table, see ``COLUMNS``, in the order of the checks, then as given.

    Raises:
        ValueError: A confidence outside (0, 1).
    """
    if not 0 < confidence < 1:
        raise ValueError(f"expected a confidence between 0 and 1, got {confidence}")
    tested: dict[Claim, list[_Test]] = {}
    for comparison in comparisons:
        claim = Claim(
            comparison.margin.check, comparison.margin.claim, comparison.target, comparison.method, comparison.control
        )
        tested.setdefault(claim, []).append(_test(comparison))
    requested = tuple(requested)
    rows = {claim: claim._asdict() | {"state": "not_measured"} for claim in requested if claim not in tested}
    for family in _families(tested).values():
        p_pass = [max(test.p_pass for test in tested[claim]) for claim in family]
        p_fail = [bonferroni([test.p_fail for test in tested[claim]]) for claim in family]
        columns = zip(family, p_pass, p_fail, holm(p_pass), holm(p_fail), strict=True)
        for claim, *p in columns:
            rows[claim] = claim._asdict() | _row(tested[claim], _P(*map(float, p)), len(family), confidence)
    return verdicts_table([rows[claim] for claim in _in_order(rows, requested)])


@dataclass(frozen=True)
class _Test:
    """One comparison's tests; where there is an obstacle both p-values are 1, or p_fail is 0 for a certain failure.

    Attributes:
        comparison: What is tested.
        obstacle: Why no test was made; empty where it was.
        p_pass: One-sided p-value of the pass.
        p_fail: One-sided p-value of the failure.
        distance: How far the effect passes ``margin_pass``; negative where it does not.
    """

    comparison: Comparison
    obstacle: Why
    p_pass: float
    p_fail: float
    distance: float

    @property
    def least(self) -> float:
        """Return the distance, an unknown one last."""
        return np.inf if np.isnan(self.distance) else self.distance


class _P(NamedTuple):
    p_pass: float
    p_fail: float
    p_pass_holm: float
    p_fail_holm: float


def _test(comparison: Comparison) -> _Test:
    effect, margin = comparison.effect, comparison.margin
    beyond, short = (effect.p_above, effect.p_below) if margin.side == "above" else (effect.p_below, effect.p_above)
    distance = (float(effect.estimate) - margin.margin_pass) * (1 if margin.side == "above" else -1)
    obstacle = _obstacle(comparison)
    if obstacle:
        certain = obstacle == "no_variance" and distance <= _SAME
        return _Test(comparison, obstacle, 1.0, 0.0 if certain else 1.0, distance)
    return _Test(comparison, "", float(beyond(margin.margin_pass)), float(short(margin.margin_fail)), distance)


def _obstacle(comparison: Comparison) -> Why:
    """Why no test of a comparison can be made."""
    if comparison.undefined:
        return "undefined"
    counted = comparison.n_positive + comparison.n_negative if comparison.any_label else comparison.n_positive
    if min(counted, int(comparison.effect.n_patients)) < MIN_PATIENTS:
        return "few_patients"
    if comparison.needs_negatives and comparison.n_negative < MIN_PATIENTS:
        return "few_patients_without"
    if not np.isfinite([comparison.effect.estimate, comparison.effect.variance]).all():
        return "undefined"
    return "no_variance" if comparison.effect.variance == 0 else ""


def _row(tests: Sequence[_Test], p: _P, family: int, confidence: float) -> dict[str, object]:
    """A claim's row, without the claim itself."""
    alpha = (1 - confidence) / 2
    state: State = "fails" if p.p_fail_holm <= alpha else "passes" if p.p_pass_holm <= alpha else "cannot_tell"
    if state == "fails":
        shown = min(tests, key=lambda test: (test.p_fail, test.least))
    else:
        shown = min(tests, key=lambda test: (-test.p_pass, _FIRST.index(test.obstacle), test.least))
    few = state == "cannot_tell" and shown.obstacle in ("few_patients", "few_patients_without")
    return {
        "state": state,
        "why": shown.obstacle or ("undecided" if state == "cannot_tell" else ""),
        "reason": "; ".join(dict.fromkeys(test.comparison.undefined for test in tests if test.comparison.undefined)),
        "confidence": confidence,
        "family": family,
        **({} if few else p._asdict()),
        **_shown(shown, confidence),
    }


def _shown(test: _Test, confidence: float) -> dict[str, object]:
    comparison, margin, effect = test.comparison, test.comparison.margin, test.comparison.effect
    low, high = (np.nan, np.nan) if test.obstacle else effect.interval(confidence)
    return {
        "score": margin.score,
        "unit": margin.unit,
        "against": comparison.against,
        "side": margin.side,
        "effect": float(effect.estimate),
        "low": float(low),
        "high": float(high),
        "margin_pass": margin.margin_pass,
        "margin_fail": margin.margin_fail,
        "value": comparison.value,
        "n_patients": min(comparison.n_positive, int(effect.n_patients)),
        "n_patients_without": comparison.n_negative,
        "n_ecgs": comparison.n_ecgs,
        "n_left_out": int(effect.n_left_out),
        "n_seeds": effect.n_seeds,
        "networks": networks_of(effect.n_seeds),
    }


def _families(claims: Iterable[Claim]) -> dict[tuple[str, str, bool], list[Claim]]:
    """(check, claim, control) -> what Holm's adjustment counts together."""
    families: dict[tuple[str, str, bool], list[Claim]] = {}
    for claim in claims:
        families.setdefault((claim.check, claim.claim, claim.control), []).append(claim)
    return families


def _in_order(claims: Iterable[Claim], requested: Sequence[Claim]) -> list[Claim]:
    """As the checks and their claims are ordered, then targets and methods as they were requested, or else came."""
    there = list(claims)
    all_of_them = [*requested, *there]
    checks = {key: k for k, key in enumerate(dict.fromkeys((margin.check, margin.claim) for margin in margins()))}
    targets = {name: k for k, name in enumerate(dict.fromkeys(claim.target for claim in all_of_them))}
    methods = {name: k for k, name in enumerate(dict.fromkeys(claim.method for claim in all_of_them))}
    return sorted(
        there,
        key=lambda claim: (
            checks.get((claim.check, claim.claim), len(checks)),
            targets[claim.target],
            claim.control,
            methods[claim.method],
        ),
    )
