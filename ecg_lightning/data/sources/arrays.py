"""Plain arrays: one NumPy file of ECGs and a table beside it, for archives that no other source reads."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from ecg_lightning.data.sources.archive_table import Row, entries_of, first_places, number
from ecg_lightning.data.sources.arrays_table import NEEDED, SIGNALS, TABLES, WHAT, declared_targets, entry_of, read_rows
from ecg_lightning.data.sources.base import Entry, Recording, RecordingError, Source
from ecg_lightning.data.targets import PAPER_TARGETS, TargetInfo
from ecg_lightning.ecg import BEAT_SAMPLES, LEADS, Target
from ecg_lightning.signal.beat import MedianBeat, Neighbours
from ecg_lightning.signal.leads import to_standard_leads
from ecg_lightning.signal.plausibility import check_signal
from ecg_lightning.signal.resample import resample
from ecg_lightning.storage.hashing import digest_file

Content = Literal["recordings", "beats"]


class Arrays(Source):
    """A source that reads ``ecgs.npy`` (ECG, lead, sample) in mV and ``ecgs.csv`` or ``.parquet``, one line an ECG.

    A target without a column is missing, and so is an empty cell. The array is read as a memory map.

    Args:
        root: The folder that holds both files.
        content: ``recordings`` of 3 s or more, whose median beat is made here; or ``beats``: median beats that an
            electrocardiograph has made, 1.2 s long, used as they are (the paper's come from Marquette 12SL). Their QRS
            fiducial should lie at 0.48 s, which the windows of the pictures and of the report take for granted.
        sampling_rate: Sampling rate in Hz.
        leads: Names of the array's rows, any order and spelling that gives I, II and V1 to V6.
        targets: Further columns of the table that are targets: a YAML file or a mapping, ``name: {kind: regression,
            unit: mmol/l, low: 1, high: 10}`` or ``name: {title: ...}``, or a list of binary ones. An age that is
            hidden as 300 is missing where ``age`` is one of them.

    Raises:
        ValueError: Another ``content``.
    """

    name = "arrays"

    def __init__(
        self,
        root: str | Path,
        content: Content = "recordings",
        sampling_rate: float = 500.0,
        leads: Sequence[str] = LEADS,
        targets: str | list[str] | dict[str, Any] | None = None,
    ) -> None:
        if content not in get_args(Content):
            raise ValueError(f"Arrays: content must be one of {', '.join(get_args(Content))}, got {content!r}")
        self.root = Path(root)
        self.content: Content = content
        self.sampling_rate = sampling_rate
        self.leads = tuple(leads)
        self.own_targets = targets

    def __getstate__(self) -> dict[str, object]:
        """The arguments alone: a worker process maps the files itself."""
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}

    def entries(self) -> Sequence[Entry]:
        """List every line of the table; one that can't be understood is rejected with its line, column and value.

        Raises:
            FileNotFoundError: A file is missing.
            ValueError: A column is missing, the array holds no numbers, or table and array differ in length or leads.
        """
        rows, signals = self._rows, self._signals
        columns = next((row.cells for row in rows if row.cells), self._declared)
        if missing := [name for name in self._declared if name not in columns]:
            raise ValueError(
                f"{self._table_path}: column {', '.join(missing)} missing, which `targets` declares; {WHAT}"
            )
        if signals.ndim != 3 or signals.shape[1] != len(self.leads):
            raise ValueError(
                f"{self.root / SIGNALS} is {signals.shape}, expected (ECG, {len(self.leads)}, sample): set `leads` to "
                "the names of the array's rows"
            )
        if len(signals) != len(rows):
            raise ValueError(f"{self.root}: {SIGNALS} has {len(signals)} ECGs, the table {len(rows)} lines")
        return list(self._read_entries())

    def targets(self) -> Mapping[Target, TargetInfo]:
        """Describe the nine, and the columns that are declared as targets.

        Raises:
            FileNotFoundError: There is no such file of targets.
            ValueError: It says something else.
        """
        return {**PAPER_TARGETS, **self._declared}

    @property
    def more_targets(self) -> str:
        """How columns of the table become targets."""
        return "Declare further columns of the table with `--data.source.init_args.targets`"

    @cached_property
    def _declared(self) -> dict[Target, TargetInfo]:
        return declared_targets(self.own_targets)

    def where(self, place: int) -> str:
        """Name file and line; of a Parquet table the row, counted from 1."""
        word = "line" if self._table_path.suffix == ".csv" else "row"
        return f"{self._table_path}, {word} {self._rows[place].line}"

    def read(self, entry: Entry) -> Recording:
        """Read one row of the array."""
        return Recording(np.array(self._signals[self._place[entry.ecg_id]]), self.sampling_rate, self.leads)

    def beat(self, entry: Entry, neighbours: Neighbours = "keep") -> MedianBeat:
        """Return the median beat, or the row itself where it is one already.

        Raises:
            RecordingError: What ``median_beat`` raises, or a beat that is not 1.2 s long.
            ValueError: ``neighbours: blank`` for beats whose rate is not known.
        """
        if self.content == "recordings":
            return super().beat(entry, neighbours)
        if neighbours != "keep":
            raise ValueError("data.neighbours: blank needs recordings; ready-made beats are used as they are (keep)")
        recording = self.read(entry)
        signal = resample(to_standard_leads(recording.signal, recording.leads), self.sampling_rate)
        if signal.shape[1] != BEAT_SAMPLES:
            raise RecordingError(
                f"{entry.ecg_id}: expected a median beat of {BEAT_SAMPLES} samples at 500 Hz (1.2 s), got "
                f"{signal.shape[1]}; is the sampling rate {self.sampling_rate:g} Hz, and is it a beat (`content`)?"
            )
        check_signal(signal)
        cells = self._rows[self._place[entry.ecg_id]].cells
        return MedianBeat.ready_made(signal, number(cells, "heart_rate", "beats per minute"))

    def settings(self) -> dict[str, object]:
        """Digest of the table, shape of the array, and the arguments that say what it is."""
        return {
            "table_blake2b": digest_file(self._table_path),
            "shape": list(self._signals.shape),
            "content": self.content,
            "sampling_rate": self.sampling_rate,
            "leads": list(self.leads),
        } | ({"targets": declared} if (declared := self._declared_settings) else {})

    @property
    def _declared_settings(self) -> dict[str, object]:
        """What decides the labels of a declared column."""
        return {name: [one.kind, str(one.low), str(one.high)] for name, one in self._declared.items()}

    @property
    def _table_path(self) -> Path:
        for name in TABLES:
            if (self.root / name).is_file():
                return self.root / name
        raise FileNotFoundError(f"{self.root}: no table; {WHAT}")

    @cached_property
    def _signals(self) -> Any:
        path = self.root / SIGNALS
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such file; {WHAT}")
        try:
            signals = np.load(path, mmap_mode="r", allow_pickle=False)
        except Exception as error:  # NumPy reads a broken header by Python's tokenizer, which raises much
            raise ValueError(f"{path} can't be read ({type(error).__name__}: {error}); {WHAT}") from error
        if not isinstance(signals, np.ndarray) or signals.dtype.kind not in "fiu":
            kind = signals.dtype if isinstance(signals, np.ndarray) else type(signals).__name__
            raise ValueError(f"{path} holds {kind}, expected an array of numbers; {WHAT}")
        return signals

    @cached_property
    def _rows(self) -> list[Row]:
        path = self._table_path
        return read_rows(path)

    @cached_property
    def _place(self) -> Mapping[str, int]:
        """ECG id -> row of the array; the first where an id stands there twice."""
        return first_places(self._read_entries())

    def _read_entries(self) -> Iterator[Entry]:
        return entries_of(self._rows, self.where, NEEDED[0], partial(entry_of, targets=self._infos))

    @cached_property
    def _infos(self) -> Mapping[Target, TargetInfo]:
        return self.targets()
