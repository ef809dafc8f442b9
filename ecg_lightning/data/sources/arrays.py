"""Plain arrays: one NumPy file of ECGs and a table beside it, for archives that no other source reads."""

import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ecg_lightning.data.sources.base import Entry, Recording, RecordingError, Source
from ecg_lightning.ecg import BEAT_SAMPLES, LEADS, TARGETS, Target
from ecg_lightning.signal.beat import MedianBeat, Neighbours
from ecg_lightning.signal.checks import check_signal
from ecg_lightning.signal.leads import to_standard_leads
from ecg_lightning.signal.resample import resample

Content = Literal["recordings", "beats"]

SIGNALS: Final = "ecgs.npy"
TABLES: Final = ("ecgs.parquet", "ecgs.csv")
_NEEDED: Final = ("ecg_id", "patient_id")
_WHAT: Final = (
    f"expected {SIGNALS}, (ECG, lead, sample) in mV, and {' or '.join(TABLES)} beside it, one line an ECG in the same "
    "order; columns ecg_id and patient_id and, where known, age (years), sex (female, male), fold, heart_rate, "
    f"and 1 or 0 for any of {', '.join(TARGETS)}"
)


class Arrays(Source):
    """``ecgs.npy`` (ECG, lead, sample) in mV and ``ecgs.csv`` or ``ecgs.parquet``, one line an ECG.

    A target without a column is missing, and so is an empty cell. The array is read as a memory map.

    Args:
        root: The folder that holds both files.
        content: ``recordings`` of 3 s or more, whose median beat is made here; or ``beats``: median beats that an
            electrocardiograph has made, 1.2 s long, used as they are (the paper's come from Marquette 12SL). Their QRS
            fiducial should lie at 0.48 s, which the windows of the pictures and of the report take for granted.
        sampling_rate: Hz.
        leads: Names of the array's rows, any order and spelling that gives I, II and V1 to V6.

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
    ) -> None:
        if content not in get_args(Content):
            raise ValueError(f"Arrays: content must be one of {', '.join(get_args(Content))}, got {content!r}")
        self.root = Path(root)
        self.content: Content = content
        self.sampling_rate = sampling_rate
        self.leads = tuple(leads)

    def __getstate__(self) -> dict[str, object]:
        """The arguments alone: a worker process maps the files itself."""
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}

    def entries(self) -> Sequence[Entry]:
        """Every line of the table.

        Raises:
            FileNotFoundError: A file is missing.
            ValueError: A column is missing, ids are not distinct, or table and array differ in length or leads.
        """
        table, signals = self._table, self._signals
        if signals.ndim != 3 or signals.shape[1] != len(self.leads):
            raise ValueError(
                f"{self.root / SIGNALS} is {signals.shape}, expected (ECG, {len(self.leads)}, sample): set `leads` to "
                "the names of the array's rows"
            )
        if len(signals) != len(table):
            raise ValueError(f"{self.root}: {SIGNALS} has {len(signals)} ECGs, the table {len(table)} lines")
        targets = [target for target in TARGETS if target in table]
        return [_entry(row, targets) for row in table.to_dict("records")]

    def read(self, entry: Entry) -> Recording:
        """One row of the array."""
        return Recording(np.array(self._signals[self._place[entry.ecg_id]]), self.sampling_rate, self.leads)

    def beat(self, entry: Entry, neighbours: Neighbours = "keep") -> MedianBeat:
        """The median beat, or the row itself where it is one already.

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
        rate = float(self._heart_rate[self._place[entry.ecg_id]])
        return MedianBeat.ready_made(signal, rate)

    def settings(self) -> dict[str, object]:
        """Digest of the table, shape of the array, and the arguments that say what it is."""
        return {
            "table_blake2b": hashlib.blake2b(self._table_path.read_bytes(), digest_size=16).hexdigest(),
            "shape": list(self._signals.shape),
            "content": self.content,
            "sampling_rate": self.sampling_rate,
            "leads": list(self.leads),
        }

    @property
    def _table_path(self) -> Path:
        for name in TABLES:
            if (self.root / name).is_file():
                return self.root / name
        raise FileNotFoundError(f"{self.root}: no table; {_WHAT}")

    @cached_property
    def _signals(self) -> Any:
        path = self.root / SIGNALS
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such file; {_WHAT}")
        return np.load(path, mmap_mode="r")

    @cached_property
    def _table(self) -> pd.DataFrame:
        path = self._table_path
        table = (
            pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path, dtype=dict.fromkeys(_NEEDED, str))
        )
        missing = [column for column in _NEEDED if column not in table]
        if missing:
            raise ValueError(f"{path} lacks {', '.join(missing)}; {_WHAT}")
        table = table.astype(dict.fromkeys(_NEEDED, str))
        twice = table["ecg_id"][table["ecg_id"].duplicated()].tolist()
        if twice:
            raise ValueError(
                f"{path}: {len(twice)} ids stand twice (first: {twice[0]}); each ECG needs an id of its own"
            )
        return table

    @cached_property
    def _place(self) -> Mapping[str, int]:
        return {ecg_id: place for place, ecg_id in enumerate(self._table["ecg_id"])}

    @cached_property
    def _heart_rate(self) -> NDArray[np.float64]:
        """(n,) beats per minute, NaN where the table has none."""
        if "heart_rate" not in self._table:
            return np.full(len(self._table), np.nan)
        return self._table["heart_rate"].to_numpy(dtype=np.float64, na_value=np.nan)


def _entry(row: Mapping[Any, Any], targets: Sequence[Target]) -> Entry:
    sex = row.get("sex")
    fold = row.get("fold")
    return Entry(
        ecg_id=str(row["ecg_id"]),
        patient_id=str(row["patient_id"]),
        age=float(row["age"]) if pd.notna(row.get("age")) else float("nan"),
        sex=sex if sex in ("female", "male") else "unknown",
        labels={target: float(row[target]) for target in targets if pd.notna(row[target])},
        fold=int(fold) if fold is not None and pd.notna(fold) else 0,
    )
