"""This module holds what archives on disk have in common: a root, codes that a label map explains, mostly a table."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from ecg_lightning.data.sources.archive_table import Row, entries_of, read_csv
from ecg_lightning.data.sources.base import Entry, Source
from ecg_lightning.data.sources.label_map import LabelMap, count_codes, load_label_map
from ecg_lightning.data.targets import PAPER_TARGETS, TargetInfo
from ecg_lightning.ecg import Target
from ecg_lightning.storage.hashing import digest_file


class Archive(Source):
    """An archive whose codes a YAML file explains.

    Args:
        root: The folder that holds its files.
        label_map: A YAML file with lines ``code: target`` to use instead.
    """

    shipped_labels: ClassVar[str]
    """The label map ``labels/<shipped_labels>.yaml``. Not the source's name: a subclass that reads another hospital's
    archive in the same format has a name of its own and the same codes."""

    def __init__(self, root: str | Path, label_map: str | None = None) -> None:
        self.root = Path(root)
        self.label_map = label_map

    def __getstate__(self) -> dict[str, object]:
        """The arguments alone: a worker process reads tables and headers itself rather than be sent them."""
        return {key: value for key, value in vars(self).items() if key not in cached_names(type(self))}

    def targets(self) -> Mapping[Target, TargetInfo]:
        """Describe the paper's nine, and what the label map defines beside them."""
        return {**PAPER_TARGETS, **self._labels.targets}

    @property
    def more_targets(self) -> str:
        """How a label map gives the archive further targets."""
        return "A label map of your own (`--data.source.init_args.label_map`) may define more, below `targets:`"

    def unmapped_codes(self) -> Mapping[str, int]:
        """Count codes that mean no target, with the number of ECGs that carry each."""
        return self._labels.unmapped(self._code_counts)

    @property
    @abstractmethod
    def _codes(self) -> Sequence[Sequence[str]]:
        """The codes of each ECG."""

    @cached_property
    def _code_counts(self) -> dict[str, int]:
        return count_codes(self._codes)

    @cached_property
    def _labels(self) -> LabelMap:
        return load_label_map(self.shipped_labels, self.label_map)

    def _labels_that_occur(self) -> LabelMap:
        """Return the label map, checked against the archive.

        Raises:
            ValueError: None of its codes occurs in the archive.
        """
        self._labels.check_occurs(self._code_counts, len(self._codes), self.root)
        return self._labels


class TableArchive(Archive):
    """An archive that one table describes."""

    table: ClassVar[str]
    """Name of the table below the root."""

    get_it: ClassVar[str]
    """How a person gets the archive, the end of error messages."""

    columns: tuple[str, ...]
    """Those that are needed; the first is the ECG's id."""

    def entries(self) -> Sequence[Entry]:
        """List every ECG of the table, in its order; a row that can't be understood is rejected with its line.

        Raises:
            FileNotFoundError: The table is missing; says how to get the archive.
            ValueError: The table lacks a column, or no code of the label map occurs.
        """
        self._labels_that_occur()
        return list(self._read_entries())

    def where(self, place: int) -> str:
        """Name the file and line of an entry."""
        return f"{self._path}, line {self._rows[place].line}"

    @abstractmethod
    def _entry(self, cells: Mapping[str, str]) -> Entry:
        """The ECG of a row; a ValueError names the column, its value and what is expected."""

    @abstractmethod
    def _codes_of(self, cells: Mapping[str, str]) -> list[str]:
        """The codes of a row; a ValueError as for ``_entry``."""

    @property
    def _codes(self) -> Sequence[Sequence[str]]:
        return [codes for row in self._rows if (codes := self._codes_or_none(row)) is not None]

    def _codes_or_none(self, row: Row) -> list[str] | None:
        try:
            return None if row.problem else self._codes_of(row.cells)
        except ValueError:
            return None  # the row is rejected, with the reason

    def _read_entries(self) -> Iterator[Entry]:
        return entries_of(self._rows, self.where, self.columns[0], self._entry)

    @cached_property
    def _rows(self) -> list[Row]:
        return read_csv(self._path, self.columns, self.get_it)

    def settings(self) -> dict[str, object]:
        """Return a digest of the table and the label map."""
        return {
            "table_blake2b": digest_file(self._path),
            "label_map": dict(self._labels.codes),
        }

    @property
    def _path(self) -> Path:
        path = self.root / self.table
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such file; {self.get_it}")
        return path


def cached_names(kind: type) -> set[str]:
    """Return the names under which instances keep what a ``cached_property`` computed."""
    return {name for base in kind.__mro__ for name, value in vars(base).items() if isinstance(value, cached_property)}
