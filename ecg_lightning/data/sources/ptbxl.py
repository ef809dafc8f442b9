"""PTB-XL 1.0.3: 21,799 12-lead ECGs of 18,869 patients (Wagner et al., Sci Data 2020;7:154; PhysioNet, CC BY 4.0)."""

import ast
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal, get_args

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

Rate = Literal[100, 500]

_TABLE: Final = "ptbxl_database.csv"
_COLUMNS: Final = ("ecg_id", "patient_id", "age", "sex", "scp_codes", "strat_fold")
_FILE_COLUMNS: Final[Mapping[int, str]] = {100: "filename_lr", 500: "filename_hr"}
_FULL_RATE: Final = 500
_GET_IT: Final = (
    "get PTB-XL 1.0.3 (3 GB) from https://physionet.org/content/ptb-xl/1.0.3/ and give the folder that holds "
    f"{_TABLE} as the root"
)
_SEXES: Final = {0.0: "male", 1.0: "female"}
_OLDEST_SHOWN: Final = 89.0
_OLDEST: Final = 90.0
_AGE: Final = TargetInfo("age", kind="regression", unit="years", low=0.0, high=_OLDEST_SHOWN)


class PtbXl(TableArchive):
    """PTB-XL in its own layout, the 500 Hz records or those that its authors have resampled to 100 Hz.

    The age of patients over 89 stands as 300 in PTB-XL, to hide it; it is given as 90, the lowest it can be. Labels
    follow ``labels/ptbxl.yaml``; every target of it is labelled in every ECG. Further targets are the statements,
    subclasses and superclasses of ``scp_statements.csv``, see :mod:`ecg_lightning.data.sources.ptbxl_statements`, and
    ``age``, a regression target that is missing over 89.

    Args:
        root: The folder that holds ``ptbxl_database.csv`` and ``records500/`` or ``records100/``.
        label_map: A YAML file with lines ``code: target`` to use instead of ``labels/ptbxl.yaml``.
        sampling_rate: Which of the two files of an ECG is read, Hz: ``filename_hr`` or ``filename_lr``.

    Raises:
        ValueError: Another rate.
    """

    name = "ptbxl"
    shipped_labels = "ptbxl"
    table = _TABLE
    get_it = _GET_IT

    def __init__(self, root: str | Path, label_map: str | None = None, sampling_rate: Rate = _FULL_RATE) -> None:
        if sampling_rate not in get_args(Rate):
            raise ValueError(f"PtbXl: sampling_rate must be one of {get_args(Rate)} Hz, got {sampling_rate!r}")
        super().__init__(root, label_map)
        self.sampling_rate = sampling_rate
        self._file_column = _FILE_COLUMNS[sampling_rate]
        self.columns = (*_COLUMNS, self._file_column)

    def entries(self) -> Sequence[Entry]:
        """List every ECG of the table, as any archive does.

        Raises:
            FileNotFoundError: The table is missing, or every record of the chosen rate is.
            ValueError: The table lacks a column, or no code of the label map occurs.
        """
        entries = self.labelled()
        if self._files and not self.has_records:
            raise FileNotFoundError(
                f"{self.root}: no record of {self._file_column}, such as {next(iter(self._files.values()))}.hea: "
                f"get the {self.sampling_rate} Hz records of PTB-XL, or set `sampling_rate` to the rate of those that "
                f"you have ({' or '.join(map(str, get_args(Rate)))})"
            )
        return entries

    def labelled(self) -> Sequence[Entry]:
        """List every ECG of the table, also where no record is there, as for another signal of the same patients."""
        return super().entries()

    @cached_property
    def has_records(self) -> bool:
        """Return whether a record of the chosen rate is there."""
        return any(self._is_there(name) for name in self._files.values())

    def has_record(self, entry: Entry) -> bool:
        """Return whether the record of one entry is there."""
        return self._is_there(self._files[entry.ecg_id])

    def _is_there(self, name: str) -> bool:
        return (self.root / f"{name}.hea").is_file()

    def settings(self) -> dict[str, Any]:
        """Return what any archive does, and the rate where it is not the full one."""
        chosen = {} if self.sampling_rate == _FULL_RATE else {"sampling_rate": self.sampling_rate}
        return super().settings() | chosen

    def read(self, entry: Entry) -> Recording:
        """Read the record of one entry.

        Raises:
            RecordingError: The file is missing, truncated, damaged or outside of the root, or its unit is unknown.
            KeyError: The entry is not of this source.
        """
        where = f"{self._path}, ecg_id {entry.ecg_id}, {self._file_column}"
        return read_wfdb(named_file(self.root, self._files[entry.ecg_id], where))

    def _entry(self, cells: Mapping[str, str]) -> Entry:
        age = number(cells, "age", "years")
        text_of(cells, self._file_column)
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
        return {ecg_id: self._rows[place].cells[self._file_column] for ecg_id, place in places}
