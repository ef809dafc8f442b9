"""PTB-XL 1.0.3: 21,799 12-lead ECGs of 18,869 patients (Wagner et al., Sci Data 2020;7:154; PhysioNet, CC BY 4.0)."""

import ast
from collections.abc import Mapping
from functools import cached_property
from typing import Final

from ecg_lightning.data.sources.archive import TableArchive
from ecg_lightning.data.sources.archive_table import first_places, number, text_of, whole_number
from ecg_lightning.data.sources.base import Entry, Recording
from ecg_lightning.data.sources.coded_labels import CodedLabels
from ecg_lightning.data.sources.files import named_file
from ecg_lightning.data.sources.ptbxl_statements import TABLE as STATEMENTS
from ecg_lightning.data.sources.ptbxl_statements import ScpStatements, read_statements
from ecg_lightning.data.sources.wfdb_files import read_wfdb
from ecg_lightning.data.targets import TargetInfo
from ecg_lightning.ecg import Target, shown_text

_TABLE: Final = "ptbxl_database.csv"
_COLUMNS: Final = ("ecg_id", "patient_id", "age", "sex", "scp_codes", "strat_fold", "filename_hr")
_GET_IT: Final = (
    "get PTB-XL 1.0.3 (3 GB) from https://physionet.org/content/ptb-xl/1.0.3/ and give the folder that holds "
    f"{_TABLE} as the root"
)
_SEXES: Final = {0.0: "male", 1.0: "female"}
_OLDEST_SHOWN: Final = 89.0
_OLDEST: Final = 90.0
_AGE: Final = TargetInfo("age", kind="regression", unit="years", low=0.0, high=_OLDEST_SHOWN)


class PtbXl(TableArchive):
    """PTB-XL in its own layout, the 500 Hz records.

    The age of patients over 89 stands as 300 in PTB-XL, to hide it; it is given as 90, the lowest it can be. Labels
    follow ``labels/ptbxl.yaml``; every target of it is labelled in every ECG. Further targets are the statements,
    subclasses and superclasses of ``scp_statements.csv``, see :mod:`ecg_lightning.data.sources.ptbxl_statements`, and
    ``age``, a regression target that is missing over 89.

    Args:
        root: The folder that holds ``ptbxl_database.csv`` and ``records500/``.
        label_map: A YAML file with lines ``code: target`` to use instead of ``labels/ptbxl.yaml``.
    """

    name = "ptbxl"
    shipped_labels = "ptbxl"
    table = _TABLE
    columns = _COLUMNS
    get_it = _GET_IT

    def read(self, entry: Entry) -> Recording:
        """Read the 500 Hz record of one entry.

        Raises:
            RecordingError: The file is missing, truncated, damaged or outside of the root, or its unit is unknown.
            KeyError: The entry is not of this source.
        """
        where = f"{self._path}, ecg_id {entry.ecg_id}, filename_hr"
        return read_wfdb(named_file(self.root, self._files[entry.ecg_id], where))

    def _entry(self, cells: Mapping[str, str]) -> Entry:
        age = number(cells, "age", "years")
        text_of(cells, "filename_hr")
        return Entry(
            ecg_id=str(whole_number(cells, "ecg_id")),
            patient_id=str(whole_number(cells, "patient_id")),
            age=_OLDEST if age > _OLDEST_SHOWN else age,
            sex=_SEXES.get(number(cells, "sex", "0 (male) or 1 (female)"), "unknown"),
            labels=self._labels_of(tuple(self._codes_of(cells)), age),
            fold=whole_number(cells, "strat_fold"),
        )

    def targets(self) -> Mapping[Target, TargetInfo]:
        """Describe the nine, age, what ``scp_statements.csv`` names, and what the label map defines."""
        mapped = super().targets()
        return {**mapped, _AGE.name: _AGE, **self._statements.targets, **mapped}

    @property
    def more_targets(self) -> str:
        """How a label map, and PTB-XL's own file of statements, give it further targets."""
        needed = f"{self.root / STATEMENTS} is missing, which names its statements and classes. "
        return needed * (not (self.root / STATEMENTS).is_file()) + super().more_targets

    def _labels_of(self, codes: tuple[str, ...], age: float) -> CodedLabels:
        """Labels by the codes, made once for all ECGs of the same; and the age, where PTB-XL does not hide it."""
        if codes not in self._shared_labels:
            mapped = self._labels.labels(codes)  # first, and a target of the label map is what the map says
            self._shared_labels[codes] = {**mapped, **self._statements.labels(codes), **mapped}
        return CodedLabels({_AGE.name: age} if age <= _OLDEST_SHOWN else {}, self._shared_labels[codes])

    @cached_property
    def _shared_labels(self) -> dict[tuple[str, ...], dict[Target, float]]:
        return {}

    @cached_property
    def _statements(self) -> ScpStatements:
        return read_statements(self.root)

    def _codes_of(self, cells: Mapping[str, str]) -> list[str]:
        """The keys of ``scp_codes``, a Python dictionary written as text."""
        text = text_of(cells, "scp_codes")
        try:
            codes = ast.literal_eval(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            codes = None
        if not isinstance(codes, dict):
            raise ValueError(f"scp_codes is {shown_text(repr(text))}, expected {{'code': likelihood, ...}}")
        return [str(code) for code in codes]

    @cached_property
    def _files(self) -> dict[str, str]:
        """ECG id -> name of its record; the first where an id stands there twice."""
        places = first_places(self._read_entries()).items()
        return {ecg_id: self._rows[place].cells["filename_hr"] for ecg_id, place in places}
