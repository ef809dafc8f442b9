"""The verdicts of one run or of a whole study: every check over every target, decided together."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from ecg_lightning.experiments.registry import EXPERIMENTS
from ecg_lightning.runs.seed_maps import in_paper_order
from ecg_lightning.runs.target_runs import TargetRuns
from ecg_lightning.verdicts.checks import checks
from ecg_lightning.verdicts.decide import Claim, decide
from ecg_lightning.verdicts.preconditions import COLUMNS, preconditions


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
    of_runs = [one.comparisons for one in EXPERIMENTS if one.comparisons is not None]
    found = [one for runs in targets for compare in of_runs for one in compare(runs)]
    if comparison is not None and comparison.is_dir():
        of_seeds = [one.study_comparisons for one in EXPERIMENTS if one.study_comparisons is not None]
        found += [one for runs in targets for compare in of_seeds for one in compare(runs, comparison)]
    requested = [
        Claim(check.name, claim, runs.target, method)
        for check in checks()
        if comparison is not None or not check.compares_seeds
        for claim in check.claims
        for runs in targets
        for method in (_methods_of(runs) if methods is None else methods)
    ]
    return decide(found, requested=requested)


def preconditions_of(targets: Sequence[TargetRuns]) -> pd.DataFrame:
    """``target, method, precondition, state, value, reason`` of every target and method."""
    tables = [preconditions(runs) for runs in targets]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=list(COLUMNS))


def _methods_of(runs: TargetRuns) -> list[str]:
    return in_paper_order(set[str]().union(*(run.maps for run in runs.runs.values())))
