"""The verdicts of one run or of a whole study: every check over every target, decided together."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

import pandas as pd

from ecg_lightning.experiments.faithfulness import checks as faithfulness
from ecg_lightning.experiments.localization import checks as localization
from ecg_lightning.experiments.perturbation import checks as perturbation
from ecg_lightning.experiments.randomization import checks as randomization
from ecg_lightning.experiments.self_consistency import checks as self_consistency
from ecg_lightning.runs.seed_maps import in_paper_order
from ecg_lightning.runs.target_runs import TargetRuns
from ecg_lightning.verdicts.comparison import Comparison
from ecg_lightning.verdicts.decide import Claim, decide
from ecg_lightning.verdicts.margins import margins
from ecg_lightning.verdicts.preconditions import COLUMNS, preconditions

CHECKS: Final[tuple[Callable[[TargetRuns], list[Comparison]], ...]] = (
    localization.comparisons,
    perturbation.comparisons,
    faithfulness.comparisons,
    randomization.comparisons,
)
"""Each check of one target's runs: no comparison where they have no stores of it."""

STUDY_CHECKS: Final[dict[str, Callable[[TargetRuns, Path], list[Comparison]]]] = {
    "self_consistency": self_consistency.comparisons
}
"""Checks that need several seeds and what ``compare`` has written of them, by their names in the margins."""


def verdicts_of(
    targets: Sequence[TargetRuns], comparison: Path | None = None, methods: Iterable[str] | None = None
) -> pd.DataFrame:
    """The verdicts table of finished runs.

    Args:
        targets: The runs of each target; Holm's families span all of them.
        comparison: The study's folder of comparisons between seeds; None for a single run, which is then asked nothing
            that needs two.
        methods: Attribution methods that were asked for; None: all that a run has maps of.

    Returns:
        See :func:`ecg_lightning.verdicts.decide.decide`; ``not_measured`` where a method's runs lack the stores.
    """
    found = [one for runs in targets for check in CHECKS for one in check(runs)]
    if comparison is not None and comparison.is_dir():
        found += [one for runs in targets for check in STUDY_CHECKS.values() for one in check(runs, comparison)]
    claims = dict.fromkeys((one.check, one.claim) for one in margins())
    asked = [
        Claim(check, claim, runs.target, method)
        for check, claim in claims
        if comparison is not None or check not in STUDY_CHECKS
        for runs in targets
        for method in (_methods_of(runs) if methods is None else methods)
    ]
    return decide(found, asked=asked)


def preconditions_of(targets: Sequence[TargetRuns]) -> pd.DataFrame:
    """``target, method, precondition, state, value, reason`` of every target and method."""
    tables = [preconditions(runs) for runs in targets]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=list(COLUMNS))


def _methods_of(runs: TargetRuns) -> list[str]:
    return in_paper_order(set[str]().union(*(run.maps for run in runs.runs.values())))
