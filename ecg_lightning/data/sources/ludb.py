"""LUDB 1.0.1: 200 12-lead ECGs of 200 subjects, the waves of every lead marked by cardiologists.

Kalyakulina et al., IEEE Access 2020;8:186181; PhysioNet, ODC-By.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from ecg_lightning.data.sources.archive import TableArchive
from ecg_lightning.data.sources.archive_table import number, text_of
from ecg_lightning.data.sources.base import Entry, Recording, RecordingError
from ecg_lightning.data.sources.files import named_file
from ecg_lightning.data.sources.wfdb_files import read_wfdb
from ecg_lightning.ecg import LEADS

WAVES: Final = {"p": "P", "N": "QRS", "t": "T"}
"""Symbol of a wave's peak in the annotation files -> name of its mask."""

_TABLE: Final = "ludb.csv"
_WHO: Final = ("ID", "Sex", "Age")
_COLUMNS: Final = (*_WHO, "Rhythms", "Conduction abnormalities", "Hypertrophies")
_GET_IT: Final = (
    f"get LUDB 1.0.1 from https://physionet.org/content/ludb/1.0.1/ and give the folder that holds {_TABLE} and data/ "
    "as the root"
)
_SEXES: Final = {"M": "male", "F": "female"}
_OVER_89, _OLDEST = ">89", 90.0
_END_OF_FILE: Final = b"\0\0"
_STEPS_PER_MILLIVOLT: Final = 1000.0


class AnnotationError(RecordingError):
    """The marks of a lead are missing, damaged or not in order."""

    kind: ClassVar[str] = "annotation"


class Ludb(TableArchive):
    """LUDB in its own layout, with the wave masks ``P``, ``QRS`` and ``T`` of each of the eight leads.

    A wave is masked where it has an onset, a peak and an offset, from onset to offset, both included. Waves that
    lack one of the three (69 QRS complexes of 28,483 waves in subjects 1-100) are left out: the V1-V3 of subjects 7
    and 34 end up without a QRS mask. LUDB marks neither the first nor the last beats of a recording.

    Voltages: the headers' gains scale every lead to a range of 1 mV, so they say nothing, and Einthoven's law is off
    by half. The files' own steps obey the law exactly, and in uV their QRS amplitudes are those of PTB-XL in every
    lead; so a gain of 1000 steps per mV is used for all leads. That scale is an inference, not a statement of the data
    set's authors.

    Labels are texts (``labels/ludb.yaml``). Low QRS voltage has none, so it is missing and not negative.

    Args:
        root: The folder that holds ``ludb.csv`` and ``data/``.
        label_map: A YAML file with lines ``text: target`` to use instead of ``labels/ludb.yaml``.
    """

    name = "ludb"
    shipped_labels = "ludb"
    table = _TABLE
    columns = _COLUMNS
    get_it = _GET_IT

    def read(self, entry: Entry) -> Recording:
        """Read one record and the marks of its eight leads.

        Raises:
            RecordingError: A file is missing, truncated or not readable, or marks are not in order.
        """
        record = named_file(self.root / "data", entry.ecg_id, f"{self._path}, ID {entry.ecg_id}")
        recording = read_wfdb(record, steps_per_millivolt=_STEPS_PER_MILLIVOLT)
        samples = recording.signal.shape[1]
        by_lead = [read_waves(record, lead, samples) for lead in LEADS]
        masks = {wave: np.stack([waves[wave] for waves in by_lead]) for wave in WAVES.values()}
        return replace(recording, wave_masks=masks, marked=marked_span(masks))

    def settings(self) -> dict[str, object]:
        """Return a digest of the table, the label map, and the gain."""
        return {**super().settings(), "steps_per_millivolt": _STEPS_PER_MILLIVOLT}

    def _entry(self, cells: Mapping[str, str]) -> Entry:
        name = text_of(cells, "ID").strip()
        return Entry(
            ecg_id=name,
            patient_id=name,
            age=_age(cells),
            sex=_SEXES.get(cells["Sex"].strip().upper(), "unknown"),
            labels=self._labels.labels(self._codes_of(cells)),
        )

    def _codes_of(self, cells: Mapping[str, str]) -> list[str]:
        """Every line of every column that does not say who it is."""
        texts = (text.encode("utf-8", "replace").decode() for column, text in cells.items() if column not in _WHO)
        return [line.strip() for text in texts for line in text.splitlines() if line.strip()]


def _age(cells: Mapping[str, str]) -> float:
    """Years; LUDB hides ages over 89, they are given as 90, the lowest that they can be."""
    return _OLDEST if cells["Age"].strip() == _OVER_89 else number(cells, "Age", f"years or {_OVER_89}")


def marked_span(masks: Mapping[str, NDArray[np.bool_]]) -> tuple[int, int] | None:
    """Return the first and last sample of any wave in any lead; None where there is no wave.

    Args:
        masks: Name of the wave -> (8, sample) boolean.
    """
    at = np.flatnonzero(np.any([mask.any(axis=0) for mask in masks.values()], axis=0))
    return (int(at[0]), int(at[-1])) if len(at) else None


def read_waves(record: Path, lead: str, samples: int) -> dict[str, NDArray[np.bool_]]:
    """Read the marks of one lead.

    Args:
        record: Path of the header without ``.hea``.
        lead: Name of the lead; its marks lie in ``<record>.<lead in small letters>``.
        samples: Length of the recording.

    Returns:
        Name of the wave -> (sample,) boolean.

    Raises:
        AnnotationError: The file is missing, empty, truncated or damaged, or its marks are not in order or lie
            outside of the recording.
    """
    path = record.parent / f"{record.name}.{lead.lower()}"
    if not path.is_file():
        raise AnnotationError(f"{path}: no such file; download the marks of lead {lead} again")
    times, symbols = _read_marks(path)
    if not len(times) or (np.diff(times) < 0).any() or times[0] < 0 or times[-1] >= samples:
        raise AnnotationError(
            f"{path}: expected marks in order within {samples} samples, got {len(times)} marks"
            + (f" from {times.min()} to {times.max()}" if len(times) else "")
            + (", not in order" if (np.diff(times) < 0).any() else "")
            + "; download the file again"
        )
    return wave_masks(times, symbols, samples)


def _read_marks(path: Path) -> tuple[NDArray[np.int64], Sequence[str]]:
    if path.read_bytes()[-len(_END_OF_FILE) :] != _END_OF_FILE:
        raise AnnotationError(f"{path}: the end is missing, the file is truncated; download it again")
    import wfdb

    try:
        marks = wfdb.rdann(str(path.with_suffix("")), path.suffix[1:])
    # wfdb reports a damaged file as ValueError, IndexError, KeyError ..., depending on where.
    except Exception as error:
        raise AnnotationError(f"{path}: damaged ({type(error).__name__}: {error}); download it again") from error
    return np.asarray(marks.sample, dtype=np.int64), marks.symbol


def wave_masks(times: NDArray[np.int64], symbols: Sequence[str], samples: int) -> dict[str, NDArray[np.bool_]]:
    """Mark the waves that have onset, peak and offset, in this order and next to each other.

    Args:
        times: (mark,) samples in order.
        symbols: (mark,) ``(`` onset, ``p``, ``N`` or ``t`` peak, ``)`` offset.
        samples: Length of the masks.

    Returns:
        Name of the wave -> (sample,) boolean, onset and offset included.
    """
    masks = {wave: np.zeros(samples, dtype=np.bool_) for wave in WAVES.values()}
    for k in range(1, len(symbols) - 1):
        if symbols[k] in WAVES and symbols[k - 1] == "(" and symbols[k + 1] == ")":
            masks[WAVES[symbols[k]]][times[k - 1] : times[k + 1] + 1] = True
    return masks
