"""What Marquette 12SL has measured in PTB-XL's ECGs: the tables in ``features/`` of PTB-XL+.

Strodthoff et al., Sci Data 2023;10:279. The columns are in ms, mV, degrees and beats per minute; onsets and offsets are
in ms from the start of the median beat. ``ecg_id`` stands among the 783 columns, and the lines are in no order.
"""

import difflib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ecg_lightning.data.sources.archive_table import Row, number, read_csv, whole_number
from ecg_lightning.data.targets import TargetInfo, check_distinct, check_name
from ecg_lightning.ecg import BEAT_SAMPLES, SAMPLING_RATE, Target

TABLE: Final = "features/12sl_features.csv"
DESCRIPTION: Final = "features/feature_description.csv"
GET_IT: Final = (
    "get PTB-XL+ 1.0.1 from https://physionet.org/content/ptb-xl-plus/1.0.1/ and give the folder that holds features/ "
    "and median_beats/ as the root"
)
USUAL: Final[tuple[Target, ...]] = (
    *("HR__Global", "RR_Mean_Global", "P_Dur_Global", "PR_Int_Global", "QRS_Dur_Global", "QT_Int_Global"),
    *("QT_IntBazett_Global", "QT_IntFridericia_Global"),
)
"""The measurements that are targets where nothing else is said."""

_ID: Final = "ecg_id"
_HEART_RATE: Final = "HR__Global"
_WAVES: Final = {wave: (f"{wave}_On_Global", f"{wave}_Off_Global") for wave in ("P", "QRS", "T")}
_LEAD: Final = re.compile(r"_(I|II|III|aVR|aVL|aVF|V[1-6])$")
_ANY_LEAD: Final = "_X"
_PLAUSIBLE: Final = (
    {"ms": (0.0, 5000.0), "mv": (-20.0, 20.0)}
    | dict.fromkeys(("bpm", "1/min", "/min", "beats/min", "beats per minute"), (0.0, 500.0))
    | dict.fromkeys(("deg", "degree", "degrees", "\N{DEGREE SIGN}"), (-360.0, 360.0))
)
_MS: Final = SAMPLING_RATE / 1000.0  # samples


@dataclass(frozen=True)
class Measured:
    """What 12SL has measured in one ECG.

    Attributes:
        labels: Measurement -> value, of those that are targets; missing where 12SL has none.
        waves: Name of a wave -> onset and offset, samples at 500 Hz of the median beat, of those that it has found.
        heart_rate: Beats per minute, NaN where unknown.
        problem: Why the line can't be used; "" where it can.
    """

    labels: Mapping[Target, float] = field(default_factory=dict)
    waves: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    heart_rate: float = math.nan
    problem: str = ""


def read_targets(root: Path, names: Sequence[str] | None) -> dict[Target, TargetInfo]:
    """Describe the measurements that are targets, by their unit in the table of descriptions.

    Args:
        root: The folder of PTB-XL+.
        names: Columns of 12SL's table; None takes the usual ones.

    Raises:
        FileNotFoundError: A table is missing.
        ValueError: It has no such column, or two of them.
    """
    path = _there(root / DESCRIPTION)
    said = {row.cells["id"]: row.cells for row in read_csv(path, ("id", "unit"), GET_IT) if not row.problem}
    chosen = USUAL if names is None else tuple(map(check_name, names))
    check_distinct(chosen, "features")
    return {name: _target(name, said.get(name, said.get(_LEAD.sub(_ANY_LEAD, name), {}))) for name in chosen}


def _target(name: Target, said: Mapping[str, str]) -> TargetInfo:
    unit = said.get("unit", "").strip()
    low, high = _PLAUSIBLE.get(unit.lower(), (-math.inf, math.inf))
    title = said.get("description", "").strip()
    return TargetInfo(name, title, name, "regression", unit, low, high, criterion="measured by Marquette 12SL")


def read_features(root: Path, targets: Mapping[Target, TargetInfo]) -> dict[str, Measured]:
    """Read what 12SL has measured.

    Args:
        root: The folder of PTB-XL+.
        targets: The columns that are targets.

    Returns:
        ECG id -> what was measured in it; an id that stands there twice has a problem.

    Raises:
        FileNotFoundError: The table is missing.
        ValueError: A column is missing; the nearest are named.
    """
    path = _there(root / TABLE)
    _check_columns(path, targets)
    marks = [column for ends in _WAVES.values() for column in ends]
    rows = read_csv(path, (_ID, *targets), GET_IT, keep={_ID, _HEART_RATE, *targets, *marks})
    found: dict[str, Measured] = {}
    lines: dict[str, int] = {}
    for row in rows:
        ecg_id, measured = _measured(row, targets, path)
        if ecg_id in lines:
            where = f"{path}, line {row.line}: {_ID} {ecg_id} stands there already (line {lines[ecg_id]})"
            measured = Measured(problem=f"{where}; download the table again, or take one line out")
        lines.setdefault(ecg_id, row.line)
        found[ecg_id] = measured
    return found


def _measured(row: Row, targets: Mapping[Target, TargetInfo], path: Path) -> tuple[str, Measured]:
    ecg_id, problem = f"line {row.line}", row.problem
    if not problem:
        try:
            ecg_id = str(whole_number(row.cells, _ID))
            labels = {name: number(row.cells, name, info.expected) for name, info in targets.items()}
            waves = {wave: tuple(_MS * number(row.cells, one, "ms") for one in ends) for wave, ends in _WAVES.items()}
            rate = number(row.cells, _HEART_RATE, "beats per minute")
            inside = {wave: (ends[0], ends[1]) for wave, ends in waves.items() if 0 <= ends[0] < ends[1] < BEAT_SAMPLES}
            known = {name: value for name, value in labels.items() if not math.isnan(value)}
            return ecg_id, Measured(known, inside, rate if rate > 0.0 else math.nan)
        except ValueError as error:
            problem = str(error)
    return ecg_id, Measured(problem=f"{path}, line {row.line}: {problem}")


def _check_columns(path: Path, targets: Mapping[Target, TargetInfo]) -> None:
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        columns = file.readline().strip().split(",")
    for name in targets:
        if name not in columns:
            close = difflib.get_close_matches(name, columns, cutoff=0.4)
            raise ValueError(f"{path}: no column {name}; the nearest are {', '.join(close) or 'none'}; see `features`")


def _there(path: Path) -> Path:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; {GET_IT}")
    return path
