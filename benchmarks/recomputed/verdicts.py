"""``verdicts.parquet`` from the stores: which comparisons a claim has, and how they are decided together."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import yaml

from recomputed.compare import Recipe
from recomputed.comparisons import Comparison, comparisons
from recomputed.seeds import seed_comparisons
from recomputed.stores import RunFiles
from recomputed.tables import CONTROLS

FEWEST = 20
"""Patients with the diagnosis, and for AUROCs without it, below which nothing is told."""

_SAME = 1e-9  # a difference of equal scores is 0 but for rounding
_TOLD_FIRST = ("few_patients", "few_patients_without", "undefined", "no_variance", "")
_WORDS = {"reason": "words"}


@cache
def margins() -> list[dict]:
    """What was stated beforehand; data, not code."""
    folder = Path(__file__).parents[2] / "ecg_lightning" / "experiments"
    return [
        {"check": path.parent.name} | entry
        for path in sorted(folder.glob("*/claims.yaml"))
        for entry in yaml.safe_load(path.read_text())["margins"]
    ]


@dataclass(frozen=True)
class Test:
    """One comparison against its margin.

    Attributes:
        comparison: What is compared.
        margin: Entry of ``margins``.
        obstacle: Why no test was made.
        p_pass: One-sided.
        p_fail: One-sided.
        distance: How far beyond ``margin_pass`` the effect lies.
    """

    comparison: Comparison
    margin: dict
    obstacle: str
    p_pass: float
    p_fail: float
    distance: float


def verdicts(targets: dict[str, list[RunFiles]], study: Path | None = None) -> Iterator[dict]:
    """Rows of the table.

    Args:
        targets: Target -> its runs by seed.
        study: With the comparison of its seeds; None for a single run.
    """
    claims: dict[tuple, list[Test]] = {}
    for target, runs in targets.items():
        of_seeds = [] if study is None or len(runs) < 2 else seed_comparisons(runs, study)
        for one in (*comparisons(runs), *of_seeds):
            for margin in (m for m in margins() if (m["check"], m["claim"], m["score"]) == one.of):
                key = (target, margin["check"], margin["claim"], one.method, one.control)
                claims.setdefault(key, []).append(_test(one, margin))
    for target, runs in targets.items():
        asked = {name for run in runs for name in run.asked}
        for check, claim in {(margin["check"], margin["claim"]) for margin in margins()}:
            for method in (*asked, *CONTROLS):
                key = (target, check, claim, method, method in CONTROLS)
                if key not in claims:
                    yield dict(zip(_KEYS, key, strict=True)) | _NOTHING
    families: dict[tuple, list[tuple]] = {}
    for key in claims:
        families.setdefault((key[1], key[2], key[4]), []).append(key)
    for family in families.values():
        passing = [max(test.p_pass for test in claims[key]) for key in family]
        failing = [min(min(test.p_fail for test in claims[key]) * len(claims[key]), 1.0) for key in family]
        for key, *p in zip(family, passing, failing, holm(passing), holm(failing), strict=True):
            yield dict(zip(_KEYS, key, strict=True)) | _row(claims[key], p, len(family))


_KEYS = ("target", "check", "claim", "method", "control")
_P = ("p_pass", "p_fail", "p_pass_holm", "p_fail_holm")
_NOTHING = {
    **dict.fromkeys(("why", "score", "unit", "against", "side", "networks"), ""),
    **dict.fromkeys((*_P, "effect", "low", "high", "confidence", "margin_pass", "margin_fail", "value"), np.nan),
    **dict.fromkeys(("family", "n_patients", "n_patients_without", "n_ecgs", "n_left_out", "n_seeds"), 0),
    "state": "not_measured",
}


def holm(p: Sequence[float]) -> list[float]:
    """Step down: the k-th smallest times how many are left, never less than the one before."""
    adjusted, before = [0.0] * len(p), 0.0
    for rank, place in enumerate(sorted(range(len(p)), key=lambda k: p[k])):
        before = max(before, min(1.0, p[place] * (len(p) - rank)))
        adjusted[place] = before
    return adjusted


def _test(one: Comparison, margin: dict) -> Test:
    effect, side = one.effect, margin["side"]
    distance = (effect.estimate - margin["margin_pass"]) * (1 if side == "above" else -1)
    obstacle = _obstacle(one)
    if obstacle:
        return Test(one, margin, obstacle, 1.0, float(not (obstacle == "no_variance" and distance <= _SAME)), distance)
    other = "below" if side == "above" else "above"
    return Test(
        one, margin, "", effect.p(margin["margin_pass"], side), effect.p(margin["margin_fail"], other), distance
    )


def _obstacle(one: Comparison) -> str:
    counted = one.n_with + one.n_without if one.any_label else one.n_with
    if one.undefined:
        return "undefined"
    if counted < FEWEST or one.effect.n_patients < FEWEST:
        return "few_patients"
    if one.needs_without and one.n_without < FEWEST:
        return "few_patients_without"
    if not np.isfinite([one.effect.estimate, one.effect.variance]).all():
        return "undefined"
    return "no_variance" if one.effect.variance == 0 else ""


def _row(tests: list[Test], p: list[float], family: int, confidence: float = 0.95) -> dict:
    alpha = (1 - confidence) / 2
    state = "fails" if p[3] <= alpha else "passes" if p[2] <= alpha else "cannot_tell"

    def nearest(test: Test) -> float:
        return np.inf if np.isnan(test.distance) else test.distance

    if state == "fails":
        shown = min(tests, key=lambda test: (test.p_fail, nearest(test)))
    else:
        shown = min(tests, key=lambda test: (-test.p_pass, _TOLD_FIRST.index(test.obstacle), nearest(test)))
    few = state == "cannot_tell" and shown.obstacle.startswith("few")
    one, effect = shown.comparison, shown.comparison.effect
    low, high = (np.nan, np.nan) if shown.obstacle else effect.interval(confidence)
    return {
        "state": state,
        "why": shown.obstacle or ("undecided" if state == "cannot_tell" else ""),
        **dict(zip(_P, [np.nan] * 4 if few else p, strict=True)),
        **{name: shown.margin[name] for name in ("score", "unit", "side", "margin_pass", "margin_fail")},
        "against": one.against,
        "effect": effect.estimate,
        "low": low,
        "high": high,
        "confidence": confidence,
        "value": one.value,
        "family": family,
        "n_patients": one.n_with,
        "n_patients_without": one.n_without,
        "n_ecgs": one.n_ecgs,
        "n_left_out": effect.n_left_out,
        "n_seeds": one.n_seeds,
        "networks": "this_network"
        if one.n_seeds < 2
        else "these_networks"
        if one.n_seeds < 5
        else "networks_like_these",
    }


def _of_run(run: RunFiles) -> Iterator[dict]:
    return verdicts({run.target: [run]})


RECIPE = Recipe(_of_run, _KEYS, _WORDS)
