"""PTB-XL's statements, subclasses and superclasses as targets, read from its ``scp_statements.csv``.

Wagner et al., Sci Data 2020;7:154; classes as in Strodthoff et al., IEEE J Biomed Health Inform 2021;25:1519.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ecg_lightning.data.sources.archive_table import is_missing, read_csv
from ecg_lightning.data.targets import TargetInfo, is_target_name
from ecg_lightning.ecg import TARGETS, Target

TABLE: Final = "scp_statements.csv"

_CODE: Final = ""
_TITLE, _CLASS, _SUBCLASS = "description", "diagnostic_class", "diagnostic_subclass"
_COLUMNS: Final = (_CODE, _TITLE, _CLASS, _SUBCLASS)
_GET_IT: Final = f"get {TABLE} of PTB-XL 1.0.3 again, or take it away to go without its targets"
_SUPERCLASSES: Final = {
    "NORM": "Normal ECG",
    "CD": "Conduction disturbance",
    "MI": "Myocardial infarction",
    "HYP": "Hypertrophy",
    "STTC": "ST/T change",
}


@dataclass(frozen=True)
class ScpStatements:
    """The statements say which targets a code of ``scp_codes`` makes present.

    A statement is labelled in every ECG, whatever the likelihood of those that it has. A subclass and a superclass are
    labelled where any of an ECG's statements is diagnostic: nobody classified the others.

    Attributes:
        targets: What the targets say of themselves.
        meaning: Code -> the targets that it makes present.
        classes: Those of the targets that are classes.
    """

    targets: Mapping[Target, TargetInfo] = field(default_factory=dict)
    meaning: Mapping[str, tuple[Target, ...]] = field(default_factory=dict)
    classes: frozenset[Target] = frozenset()

    def labels(self, codes: Iterable[str]) -> dict[Target, float]:
        """Label the targets of an ECG by its codes."""
        present = {target for code in codes for target in self.meaning.get(code, ())}
        classified = not present.isdisjoint(self.classes)
        return {target: float(target in present) for target in self.targets if classified or target not in self.classes}


def read_statements(root: Path) -> ScpStatements:
    """Read the statements of PTB-XL; none where its folder has no such file.

    Where a superclass, a subclass and a statement share a name, the first of them has it, and the others are called as
    ``NORM_subclass`` and ``NORM_statement``. What is no safe name of a folder becomes one: ``LAFB_LPFB``, ``AVB``.

    Args:
        root: The folder of ``ptbxl_database.csv``.

    Raises:
        ValueError: The file lacks a column, or has a line that can't be understood.
    """
    path = root / TABLE
    if not path.is_file():
        return ScpStatements()
    rows = read_csv(path, _COLUMNS, _GET_IT)
    if broken := [row for row in rows if row.problem or is_missing(row.cells[_CODE])]:
        raise ValueError(f"{path}, line {broken[0].line}: {broken[0].problem or 'no code'}; {_GET_IT}")
    said = [{column: row.cells[column].strip() for column in _COLUMNS} for row in rows]
    statements = {one[_CODE]: one[_TITLE][:1].upper() + one[_TITLE][1:] for one in said}
    titles = {
        "superclass": {one[_CLASS]: _SUPERCLASSES.get(one[_CLASS], one[_CLASS]) for one in said if one[_CLASS]},
        "subclass": {
            one[_SUBCLASS]: f"{statements.get(one[_SUBCLASS], one[_SUBCLASS].strip('_'))} (subclass of {one[_CLASS]})"
            for one in said
            if one[_SUBCLASS]
        },
        "statement": statements,
    }
    names = _names(titles)
    targets = {
        names[level, key]: TargetInfo(names[level, key], title, key)
        for level, of_level in titles.items()
        for key, title in of_level.items()
    }
    columns = {"statement": _CODE, "subclass": _SUBCLASS, "superclass": _CLASS}
    meaning = {
        one[_CODE]: tuple(names[level, one[column]] for level, column in columns.items() if one[column]) for one in said
    }
    classes = frozenset(name for (level, _), name in names.items() if level != "statement")
    return ScpStatements(targets, meaning, classes)


def _names(titles: Mapping[str, Mapping[str, str]]) -> dict[tuple[str, str], Target]:
    """(Level, what the table calls it) -> name of the target."""
    names: dict[tuple[str, str], Target] = {}
    taken = set(TARGETS)
    for level, of_level in titles.items():
        for key in of_level:
            name = key if is_target_name(key) else re.sub("[^A-Za-z0-9_-]+", "_", key).strip("_-")
            name = f"{name.rstrip('_')}_{level}" if name.lower() in taken else name
            names[level, key] = name
            taken.add(name.lower())
    return names
