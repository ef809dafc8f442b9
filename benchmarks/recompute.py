"""Recomputes the tables of a study from its stores, without a line of the project's code.

Usage: ``python benchmarks/recompute.py runs/<study> [--ecgs 3]``

Prints for every table which columns were recomputed, over how many rows, the largest difference, and which columns
were left out and why; ends with 1 where a number differs by more than 1e-6 (relative, above 1), where a row or a column
is missing, and where a table is neither recomputed nor named below.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from recomputed.compare import TOLERANCE, Finding
from recomputed.metrics import metrics_finding
from recomputed.run_tables import run_findings
from recomputed.sample import sample_findings
from recomputed.stores import finished_runs
from recomputed.study_tables import study_findings


def findings(study: Path, ecgs: int) -> Iterator[tuple[str, Finding]]:
    """Where, and what came of it."""
    runs = finished_runs(study)
    if not runs:
        raise SystemExit(f"{study} holds no finished run")
    for run in (run for own in runs.values() for run in own):
        where = f"{run.target}/{run.path.name}"
        for finding in (metrics_finding(run), *run_findings(run), *sample_findings(run, study, ecgs)):
            yield where, finding
    for finding in study_findings(study, runs):
        yield "study", finding


def tell(where: str, finding: Finding) -> None:
    """One table for a person."""
    print(f"{where:42} {finding.table:34} {finding.rows:6} rows, largest difference {finding.largest:.1e}")
    print(f"{'':42}   checked: {', '.join(finding.checked) or 'nothing'}")
    for why in dict.fromkeys(finding.left_out.values()):
        print(f"{'':42}   left out ({why}): {', '.join(c for c, w in finding.left_out.items() if w == why)}")
    for wrong in finding.wrong:
        print(f"{'':42}   WRONG {wrong}")


def main() -> int:
    """Recompute and tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path, help="runs/<study>")
    parser.add_argument("--ecgs", type=int, default=3, help="test ECGs whose similarities are computed from the maps")
    options = parser.parse_args()
    wrong = tables = 0
    for where, finding in findings(options.study, options.ecgs):
        tell(where, finding)
        tables, wrong = tables + 1, wrong + bool(finding.wrong)
    print(f"{tables} tables, {wrong} of them differ by more than {TOLERANCE:g} or are incomplete")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
