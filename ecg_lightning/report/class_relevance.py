"""This module averages the maps of the ECGs with a diagnosis, and finds which share of them lies where.

Median beats lie above each other as they are. Recordings don't: their maps are averaged over their own whole beats
first, and parts of the beat are those around each of their R peaks.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ecg_lightning.data.label_columns import R_PEAKS
from ecg_lightning.data.regions import windows
from ecg_lightning.data.targets import known_info
from ecg_lightning.ecg import SignalFormat
from ecg_lightning.runs.run import Run
from ecg_lightning.runs.signal_format import format_of_run
from ecg_lightning.signal.whole_beats import whole_beats

MAX_ECGS: Final = 512
"""ECGs of a class that a mean is made of, the first in row order: more would move it by less than the line's width."""

_BLOCK: Final = 64

Values = NDArray[np.float64]


@dataclass(frozen=True)
class ClassEcgs:
    """These are the test ECGs with the diagnosis of a run, or with a value of its measurement.

    Attributes:
        run: Run of one network.
    """

    run: Run

    @cached_property
    def rows(self) -> NDArray[np.intp]:
        """Return the rows that a mean is made of."""
        present = known_info(self.run.target).present(self.run.examples["label"])
        return np.flatnonzero(present)[:MAX_ECGS]

    @cached_property
    def signal_format(self) -> SignalFormat:
        """Return the format of the ECGs."""
        return format_of_run(self.run)

    @property
    def are_beats(self) -> bool:
        """Return whether all have their fiducial at one sample."""
        return self.signal_format.fiducial is not None

    @property
    def have_beats(self) -> bool:
        """Return whether it is known where the beats of every ECG are; runs of earlier versions have no R peaks."""
        return self.are_beats or R_PEAKS in self.run.examples

    @property
    def beat_format(self) -> SignalFormat:
        """Return the format of a mean over beats."""
        return self.signal_format if self.are_beats else whole_beats(self.signal_format, np.array([]))[1]

    def mean_beat(self, row: int, values: Values) -> Values:
        """Average an ECG or its map (lead, sample) over its whole beats, (lead, sample of a beat); NaN without one."""
        if self.are_beats:
            return values
        beats, of_beat = whole_beats(self.signal_format, self._r_peaks(row))
        if not beats:
            return np.full(of_beat.shape, np.nan)
        return np.asarray(np.mean([values[:, beat] for beat in beats], axis=0))

    def parts(self, row: int) -> dict[str, NDArray[np.bool_]]:
        """Return which samples of an ECG are in each part of a beat."""
        return windows(self.signal_format, None if self.are_beats else self._r_peaks(row))

    def even_parts(self) -> dict[str, float]:
        """Return which share of a map that is the same everywhere lies in each part of the beat."""
        shares = [{name: float(inside.mean()) for name, inside in self.parts(row).items()} for row in self._of_parts()]
        return {name: float(np.mean([of_ecg[name] for of_ecg in shares])) for name in shares[0]} if shares else {}

    def trace(self) -> Values | None:
        """Return their mean beat, (lead, sample) mV; None where the study stores no ECGs."""
        beats = self.run.test_beats
        if beats is None:
            return None
        ecgs = np.asarray(beats[self.rows], dtype=np.float64)
        return _mean(np.stack([self.mean_beat(row, ecg) for row, ecg in zip(self.rows.tolist(), ecgs, strict=True)]))

    def _of_parts(self) -> list[int]:
        return [int(row) for row in (self.rows[:1] if self.are_beats else self.rows)]  # one stands for all beats

    def _r_peaks(self, row: int) -> NDArray[np.integer]:
        return np.asarray(self.run.examples[R_PEAKS].iloc[row])


def _mean(values: Values) -> Values:
    """Average over the ECGs that have a beat."""
    known = values[np.isfinite(values).all(axis=(1, 2))]
    return np.asarray(known.sum(axis=0) / max(len(known), 1))


def class_relevance(run: Run, methods: list[str]) -> tuple[dict[str, Values], pd.DataFrame]:
    """Average maps over the ECGs with the diagnosis, and find the share of |map| by lead and part of the beat.

    Args:
        run: Run of one network.
        methods: Methods whose maps are read; those that the run lacks are left out.

    Returns:
        Method -> (lead, sample of a beat) mean of map / sum |map|, none where nobody knows the beats of a recording;
        and ``method, kind, place, share, n_ecgs``, where ``kind`` is ``lead`` or ``wave``.
    """
    ecgs = ClassEcgs(run)
    means: dict[str, Values] = {}
    tables = []
    for method in methods:
        if f"maps/{method}" not in run.stores or not len(ecgs.rows):
            continue
        total = _Sums.of(ecgs, method)
        if total.count:
            tables.append(total.table(method))
            if ecgs.have_beats:
                means[method] = total.signed / max(total.with_beats, 1)
    empty = pd.DataFrame(columns=["method", "kind", "place", "share", "n_ecgs"])
    return means, pd.concat(tables, ignore_index=True) if tables else empty


@dataclass
class _Sums:
    """Sums over the ECGs of a class, each ECG's map divided by the sum of its magnitudes."""

    ecgs: ClassEcgs
    signed: Values  # (lead, sample of a beat)
    magnitude: Values  # (lead, sample)
    parts: dict[str, float]
    count: int = 0
    with_beats: int = 0

    @classmethod
    def of(cls, ecgs: ClassEcgs, method: str) -> "_Sums":
        shape = ecgs.run.row_store(f"maps/{method}").spec.shape[1:]
        sums = cls(ecgs, np.zeros(shape if ecgs.are_beats else ecgs.beat_format.shape), np.zeros(shape), {})
        for rows, shares in _shares(ecgs, method):
            sums._add(rows, shares)
        return sums

    def _add(self, rows: NDArray[np.intp], shares: Values) -> None:
        self.magnitude += np.abs(shares).sum(axis=0)
        self.count += len(rows)
        if not (self.ecgs.have_beats and len(rows)):
            return
        beats = np.stack([self.ecgs.mean_beat(row, share) for row, share in zip(rows.tolist(), shares, strict=True)])
        beats = beats[np.isfinite(beats).all(axis=(1, 2))]
        self.signed += beats.sum(axis=0)
        self.with_beats += len(beats)
        if not self.ecgs.are_beats:
            for row, share in zip(rows.tolist(), np.abs(shares).sum(axis=1), strict=True):
                for name, inside in self.ecgs.parts(row).items():
                    self.parts[name] = self.parts.get(name, 0.0) + float(share[inside].sum())

    def table(self, method: str) -> pd.DataFrame:
        """Return the shares by lead, and by part of the beat where beats are known."""
        magnitude, of_ecgs = self.magnitude / self.count, self.ecgs.signal_format
        rows = [("lead", of_ecgs.leads[k], float(share)) for k, share in enumerate(magnitude.sum(axis=1))]
        if self.ecgs.are_beats:
            rows += [("wave", name, float(magnitude[:, inside].sum())) for name, inside in windows(of_ecgs).items()]
        else:
            rows += [("wave", name, share / self.count) for name, share in self.parts.items()]
        table = pd.DataFrame(rows, columns=["kind", "place", "share"])
        table.insert(0, "method", method)
        return table.assign(n_ecgs=self.count)


def _shares(ecgs: ClassEcgs, method: str) -> Iterator[tuple[NDArray[np.intp], Values]]:
    """Yield maps divided by the sum of their magnitudes in blocks, without those that are zero or not finite."""
    store = ecgs.run.row_store(f"maps/{method}")
    for start in range(0, len(ecgs.rows), _BLOCK):
        rows = ecgs.rows[start : start + _BLOCK]
        maps = np.asarray(store.read(rows), dtype=np.float64)
        total = np.abs(maps).sum(axis=(1, 2), keepdims=True)
        usable = (np.isfinite(total) & (total > 0)).ravel()
        yield rows[usable], maps[usable] / total[usable]
