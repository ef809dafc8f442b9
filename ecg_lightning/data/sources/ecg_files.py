"""Archives in which each ECG is a file of a hospital's format, at any depth, with a table of labels beside them."""

import math
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, get_args

from ecg_lightning.data.sources.archive import cached_names
from ecg_lightning.data.sources.archive_table import Row, is_missing, read_csv
from ecg_lightning.data.sources.arrays_table import declared_targets, entry_of
from ecg_lightning.data.sources.base import Entry, Recording, RecordingError, RejectedEntry, Source
from ecg_lightning.data.sources.ecg_file import FileHeader, Waveforms, guarded
from ecg_lightning.data.sources.files import digest_of_sizes, sizes_below
from ecg_lightning.data.sources.vendor_median import LEAVE_OUT, Median, MedianError
from ecg_lightning.data.sources.wfdb_checks import UnreadableError
from ecg_lightning.data.targets import PAPER_TARGETS, TargetInfo
from ecg_lightning.ecg import Target
from ecg_lightning.signal.beat import MedianBeat, Neighbours
from ecg_lightning.storage.hashing import digest_file

Beats = Literal["own", "vendor"]

LABELS: Final = "labels.csv"
_FILE: Final = "file"
_WHAT: Final = (
    f"expected a line an ECG: {_FILE}, its path below the root, and where known patient_id, age, sex, fold, 1 or 0 for "
    "diagnoses, and the columns that `targets` declares"
)


class EcgFiles(Source):
    """Files of one ECG each, in any nesting of folders.

    The id of an ECG is its file's path below the root, so a name of a person in it goes with it everywhere. An ECG
    whose file names no patient counts as a patient of its own. Labels are those of the table, which also replaces what
    a file says of patient, age and sex; a target without a cell is missing and not negative.

    Args:
        root: A folder that holds the files, at any depth.
        labels: A table with a line an ECG; None takes ``labels.csv`` below the root, where there is one.
        targets: Further columns of the table that are targets, as for ``Arrays``.
        beats: ``own`` makes median beats from the rhythm; ``vendor`` takes those that the electrocardiograph has made,
            1.2 s long, moves their QRS fiducial to 0.48 s from up to 100 ms away, and rejects ECGs without one.

    Raises:
        ValueError: Another ``beats``.
    """

    suffixes: ClassVar[tuple[str, ...]]
    """How the names of its files end, in small letters."""

    library: ClassVar[str]
    """The package that reads them."""

    get_it: ClassVar[str]
    """What files are needed, the end of error messages."""

    def __init__(
        self,
        root: str | Path,
        labels: str | None = None,
        targets: str | list[str] | dict[str, Any] | None = None,
        beats: Beats = "own",
    ) -> None:
        if beats not in get_args(Beats):
            raise ValueError(f"{type(self).__name__}: beats must be one of {', '.join(get_args(Beats))}, got {beats!r}")
        self.root = Path(root)
        self.labels = labels
        self.own_targets = targets
        self.beats: Beats = beats

    def __getstate__(self) -> dict[str, object]:
        """The arguments alone: a worker process reads the table itself."""
        return {key: value for key, value in vars(self).items() if key not in cached_names(type(self))}

    @abstractmethod
    def _read_header(self, path: Path) -> FileHeader:
        """Whose ECG it is; anything raised becomes the reason to reject it."""

    @abstractmethod
    def _read_waveforms(self, path: Path) -> Waveforms:
        """The signals, as for the header."""

    def entries(self) -> Sequence[Entry]:
        """List every file below the root, sorted by path, and every line of the table without a file.

        A file that can't be read, a copy of an earlier one, and one whose line can't be understood are there too, with
        the reason to reject them.

        Raises:
            FileNotFoundError: There is no file, or no such table.
            ModuleNotFoundError: The package that reads the files is not installed.
            ValueError: The table lacks a column, or one that ``targets`` declares.
        """
        if find_spec(self.library) is None:
            raise ModuleNotFoundError(f"{self.name} needs {self.library}: pip install 'ecg-lightning[sources]'")
        lines = self._lines
        seen: dict[str, str] = {}
        found = [self._entry(name, lines.get(name, []), seen) for name in self._sizes]
        return [*found, *self._without_file()]

    def _entry(self, name: str, rows: Sequence[Row], seen: dict[str, str]) -> Entry:
        shown = name.encode("utf-8", "backslashreplace").decode()
        try:
            if shown != name:
                raise UnreadableError(f"{self.root / shown}: its name is not UTF-8; rename the file")
            header = guarded(self.root / name, self._read_header)
        except RecordingError as error:
            return RejectedEntry.of(shown, str(error), error.kind)
        patient = header.patient_id.strip() or name
        if problem := self._problem(name, header, rows, seen):
            return RejectedEntry.of(name, problem, patient_id=patient)
        said = {"age": "" if math.isnan(header.age) else repr(header.age), "sex": header.sex, "patient_id": patient}
        told = {key: cell for row in rows for key, cell in row.cells.items() if not is_missing(cell)}
        try:
            return replace(entry_of({**said, **told, "ecg_id": name}, self._targets), ecg_id=name)
        except ValueError as error:
            where = f"{self._table}, line {rows[0].line}" if rows else str(self.root / name)
            return RejectedEntry.of(name, f"{where}: {error}", patient_id=patient)

    def _problem(self, name: str, header: FileHeader, rows: Sequence[Row], seen: dict[str, str]) -> str:
        """Why a file that can be read is not used; "" where it is."""
        if header.document and (first := seen.setdefault(header.document, name)) != name:
            return f"{self.root / name}: is the same ECG as {first} (id {header.document}); take one of them away"
        if len(rows) > 1:
            lines = " and ".join(str(row.line) for row in rows)
            return f"{self._table}: lines {lines} are both of the file {name}; keep one of them"
        return f"{self._table}, line {rows[0].line}: {rows[0].problem}" if rows and rows[0].problem else ""

    def _without_file(self) -> Iterator[Entry]:
        for name, rows in self._lines.items():
            if name not in self._sizes:
                problem = rows[0].problem or f"no file {self.root / name}; {_WHAT}"
                yield RejectedEntry.of(name or f"line {rows[0].line}", f"{self._table}, line {rows[0].line}: {problem}")

    def where(self, place: int) -> str:
        """Name the file of an entry, or the table for a line without one."""
        names = list(self._sizes)
        return str(self.root / names[place] if place < len(names) else self._table)

    def targets(self) -> Mapping[Target, TargetInfo]:
        """Describe the nine, and the columns that are declared as targets."""
        return self._targets

    @property
    def more_targets(self) -> str:
        """How columns of the table become targets."""
        return "Declare further columns of the table with `--data.source.init_args.targets`"

    def read(self, entry: Entry) -> Recording:
        """Read the rhythm of one file.

        Raises:
            RecordingError: The file is missing, damaged or of another kind, its unit is unknown, or it has no rhythm.
        """
        found = self._waveforms(entry).rhythm
        if found is None:
            raise UnreadableError(f"{self.root / entry.ecg_id}: no rhythm; export the ECG again, with its waveforms")
        return found

    def beat(self, entry: Entry, neighbours: Neighbours = "keep") -> MedianBeat:
        """Return the median beat: made from the rhythm, or the electrocardiograph's.

        Raises:
            RecordingError: What ``read`` and ``median_beat`` raise; or the file has no median beat, or one that does
                not fit.
            ValueError: ``neighbours: blank`` for the electrocardiograph's beats.
        """
        if self.beats == "own":
            return super().beat(entry, neighbours)
        if neighbours != "keep":
            raise ValueError("data.neighbours: blank needs `beats: own`; a vendor's beats are used as they are (keep)")
        path, found = self.root / entry.ecg_id, self._waveforms(entry)
        if found.median is None:
            raise MedianError(f"{path}: no median beat of the electrocardiograph; {LEAVE_OUT}")
        median = Median(found.median, path, heart_rate=found.heart_rate, by_slope=True)
        return median.ready(lambda: found.rhythm)

    def settings(self) -> dict[str, object]:
        """Return digests of all files' paths and sizes and of the table, the declared targets, and whose beats."""
        return {
            "files_blake2b": digest_of_sizes(self._sizes),
            "table_blake2b": None if self._table is None else digest_file(self._table),
            "targets": {name: [one.kind, str(one.low), str(one.high)] for name, one in self._declared.items()},
            "beats": self.beats,
        }

    def _waveforms(self, entry: Entry) -> Waveforms:
        if isinstance(entry, RejectedEntry):
            raise UnreadableError(entry.reason)
        return guarded(self.root / entry.ecg_id, self._read_waveforms)

    @cached_property
    def _sizes(self) -> dict[str, int]:
        sizes = sizes_below(self.root, self._is_one)
        if not sizes:
            raise FileNotFoundError(f"{self.root}: no {' or '.join(self.suffixes)} file in or below it; {self.get_it}")
        return sizes

    def _is_one(self, path: Path) -> bool:
        return path.name.lower().endswith(self.suffixes)

    @cached_property
    def _declared(self) -> dict[Target, TargetInfo]:
        return declared_targets(self.own_targets)

    @cached_property
    def _targets(self) -> dict[Target, TargetInfo]:
        return {**PAPER_TARGETS, **self._declared}

    @cached_property
    def _table(self) -> Path | None:
        table = self.root / LABELS if self.labels is None else Path(self.labels)
        if self.labels is not None and not table.is_file():
            raise FileNotFoundError(f"{table}: no such file; {_WHAT}")
        return table if table.is_file() else None

    @cached_property
    def _lines(self) -> dict[str, list[Row]]:
        """Name of a file -> its lines."""
        rows = [] if self._table is None else read_csv(self._table, (_FILE, *self._declared), _WHAT)
        found: dict[str, list[Row]] = {}
        for row in rows:
            found.setdefault(row.cells.get(_FILE, ""), []).append(row)
        return found
