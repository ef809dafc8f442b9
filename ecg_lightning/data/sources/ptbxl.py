"""PTB-XL 1.0.3: 21,799 12-lead ECGs of 18,869 patients (Wagner et al., Sci Data 2020;7:154; PhysioNet, CC BY 4.0)."""

import ast
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Final

import pandas as pd

from ecg_lightning.data.sources.archive import TableArchive
from ecg_lightning.data.sources.base import Entry, Recording
from ecg_lightning.data.sources.wfdb_files import read_wfdb

_TABLE: Final = "ptbxl_database.csv"
_COLUMNS: Final = ("ecg_id", "patient_id", "age", "sex", "scp_codes", "strat_fold", "filename_hr")
_ENTRY_COLUMNS: Final = ("ecg_id", "patient_id", "age", "sex", "strat_fold")
_GET_IT: Final = (
    "get PTB-XL 1.0.3 (3 GB) from https://physionet.org/content/ptb-xl/1.0.3/ and give the folder that holds "
    f"{_TABLE} as the root"
)
_SEXES: Final = {0: "male", 1: "female"}
_OLDEST: Final = 90.0


def _check_values(table: pd.DataFrame, path: Path) -> None:
    """Refuse gaps in the columns that must not have any, and words where numbers are due."""
    for column in ("ecg_id", "patient_id", "scp_codes", "strat_fold", "filename_hr"):
        if table[column].isna().any():
            rows = table.loc[table[column].isna(), "ecg_id"].head(5).tolist()
            raise ValueError(f"{path}: no {column} for ecg_id {rows} (at most 5 shown); {_GET_IT}")
    for column in ("patient_id", "age", "sex", "strat_fold"):
        if len(table) and not pd.api.types.is_numeric_dtype(table[column]):
            raise ValueError(f"{path}: column {column} holds values that are not numbers; {_GET_IT}")


class PtbXl(TableArchive):
    """PTB-XL in its own layout, the 500 Hz records.

    The age of patients over 89 stands as 300 in PTB-XL, to hide it; it is given as 90, the lowest it can be. Labels
    follow ``labels/ptbxl.yaml``; every target is labelled in every ECG.

    Args:
        root: The folder that holds ``ptbxl_database.csv`` and ``records500/``.
        label_map: A YAML file with lines ``code: target`` to use instead of ``labels/ptbxl.yaml``.
    """

    name = "ptbxl"
    shipped_labels = "ptbxl"
    table = _TABLE
    get_it = _GET_IT

    def entries(self) -> Sequence[Entry]:
        """Every ECG of the table, in its order.

        Raises:
            FileNotFoundError: The table is missing; says how to get PTB-XL.
            ValueError: The table lacks a column, a row can't be understood, or no code of the label map occurs.
        """
        label_map = self._labels_that_occur()
        table = self._table
        return [
            Entry(
                ecg_id=str(ecg_id),
                patient_id=str(int(patient_id)),
                age=_OLDEST if age > 89 else float(age),
                sex=_SEXES.get(sex, "unknown"),
                labels=label_map.labels(codes),
                fold=int(fold),
            )
            for ecg_id, patient_id, age, sex, fold, codes in zip(
                *(table[column] for column in _ENTRY_COLUMNS), self._codes, strict=True
            )
        ]

    def read(self, entry: Entry) -> Recording:
        """Read the 500 Hz record of one entry.

        Raises:
            RecordingError: The file is missing, truncated or not readable, or its unit is unknown.
            KeyError: The entry is not of this source.
        """
        return read_wfdb(self.root / self._files[entry.ecg_id])

    @cached_property
    def _table(self) -> pd.DataFrame:
        path = self._path
        try:
            present = pd.read_csv(path, nrows=0).columns
        except pd.errors.EmptyDataError as error:
            raise ValueError(f"{path}: the file is empty; {_GET_IT}") from error
        missing = [column for column in _COLUMNS if column not in present]
        if missing:
            raise ValueError(f"{path}: column {', '.join(missing)} missing; {_GET_IT}")
        table = pd.read_csv(path, usecols=list(_COLUMNS))
        _check_values(table, path)
        return table

    @cached_property
    def _files(self) -> dict[str, str]:
        table = self._table
        return {str(ecg_id): name for ecg_id, name in zip(table["ecg_id"], table["filename_hr"], strict=True)}

    @cached_property
    def _codes(self) -> list[list[str]]:
        """The codes of each ECG of the table."""
        table = self._table
        return [self._parse(text, name) for text, name in zip(table["scp_codes"], table["ecg_id"], strict=True)]

    def _parse(self, text: str, ecg_id: object) -> list[str]:
        """The keys of one ``scp_codes``, a Python dictionary written as text."""
        try:
            codes = ast.literal_eval(text)
        except (ValueError, SyntaxError) as error:
            raise ValueError(
                f"{self._path}: scp_codes of ecg_id {ecg_id} can't be read: {text!r}; {_GET_IT}"
            ) from error
        if not isinstance(codes, dict):
            raise ValueError(
                f"{self._path}: scp_codes of ecg_id {ecg_id}: expected {{code: likelihood}}, got {text!r}; {_GET_IT}"
            )
        return [str(code) for code in codes]
