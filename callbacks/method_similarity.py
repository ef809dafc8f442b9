"""Experiment 1 of the paper: how alike the maps of different methods are."""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer
from numpy.typing import ArrayLike

from callbacks.audit import Audit, AuditBatch, StoreLayout
from callbacks.audit_results import AuditResults
from ecg_lightning.attribution.partners import PatientControl
from ecg_lightning.experiments.similarity.run_results import SimilarityReport
from ecg_lightning.functional.similarity import (
    SCOPES,
    SIGNS,
    STATISTICS,
    Statistic,
    check_choice,
    paired_similarities,
    similarity_matrices,
)
from ecg_lightning.functional.smoothing import ORDER, smoothing_window, smoothing_words
from ecg_lightning.runs.layout import OnMismatch
from ecg_lightning.storage.hashing import JSON


class MethodSimilarity(Audit):
    """Correlates the maps of every pair of methods and controls, ECG by ECG (paper, "Cross-method similarity").

    Writes ``similarity/<statistic>/`` (n, scope, sign, method, other_method): maps are smoothed by Savitzky-Golay, then
    correlated over the whole ECG (``ecg``) or lead by lead (``lead``), with their sign (``native``, shown as
    signed) or by their magnitude (``absolute``); see :mod:`ecg_lightning.functional.similarity`. Also
    ``similarity/controls/<statistic>/`` (n, sign, method, control): each map with the same method's map of another
    patient, and with the mean of all others', over the whole ECG. At the end ``tables/similarity.parquet``,
    ``tables/similarity_controls.parquet`` and a heat map of each statistic and sign, the paper's Figure 3A.

    Args:
        window: Samples of the filter, odd; ``paper``: as many as last 62 ms, 31 at 500 Hz; None: no smoothing.
        order: Degree of its polynomial.
        statistics: ``pearson``, ``spearman``, or both.
        n_resamples: Bootstrap resamples of the patients.
        confidence: Confidence level of the intervals.
        bootstrap_seed: Seed of the bootstrap resamples.
        on_mismatch: What to do with a store of other settings: ``error``, or ``replace``: move it aside.

    Raises:
        ValueError: A window that is even or not above the order, an unknown statistic or one listed twice, or as for
            :class:`callbacks.audit.Audit`.
    """

    averages_partners: ClassVar[bool] = False  # one other patient describes as well, at a fifth of the cost

    rows_at_once: ClassVar[int] = 8  # 16 maps of more ECGs than that leave the processor's cache

    def __init__(
        self,
        window: int | Literal["paper"] | None = "paper",
        order: int = ORDER,
        statistics: Sequence[Statistic] = STATISTICS,
        n_resamples: int = 1000,
        confidence: float = 0.95,
        bootstrap_seed: int = 0,
        on_mismatch: OnMismatch = "error",
    ) -> None:
        super().__init__(n_resamples, confidence, bootstrap_seed, on_mismatch)
        if window != "paper":
            _check_filter(window, order)
        for statistic in statistics:
            check_choice("statistic", statistic, STATISTICS)
        if not statistics or len(set(statistics)) < len(statistics):
            raise ValueError(f"MethodSimilarity: expected each statistic once, got {list(statistics)}")
        self.asked_window: int | Literal["paper"] | None = window
        self.order = order
        self.statistics = tuple(statistics)

    @property
    def window(self) -> int | None:
        """Return the samples of the filter; None: no smoothing."""
        if self.asked_window != "paper":
            return self.asked_window
        found = smoothing_window(self.datamodule.signal_format.sampling_rate)
        _check_filter(found, self.order)
        return found

    def _places(self) -> Mapping[str, StoreLayout]:
        names = self.maps.names
        if len(names) < 2:
            raise ValueError(f"MethodSimilarity compares two methods or controls at least, got {', '.join(names)}")
        samples = int(self.maps.task.backgrounds.shape[-1])
        if self.window is not None and self.window > samples:
            raise ValueError(f"MethodSimilarity: a window of {self.window} samples is longer than a map of {samples}")
        dims = ("scope", "sign", "method", "other_method")
        coords = {"scope": SCOPES, "sign": SIGNS, "method": names, "other_method": names}
        return {f"similarity/{statistic}": StoreLayout(dims, coords, "correlation") for statistic in self.statistics}

    def _control_places(self) -> Mapping[str, StoreLayout]:
        coords = {"sign": SIGNS, "method": self.maps.names, "control": self.maps.patient_controls}
        place = StoreLayout(("sign", "method", "control"), coords, "correlation")
        return {f"similarity/controls/{statistic}": place for statistic in self.statistics}

    def _settings(self) -> dict[str, JSON]:
        return {"window": self.window, "order": None if self.window is None else self.order}

    def _measure(self, batch: AuditBatch) -> Mapping[str, ArrayLike]:
        maps = torch.stack(list(batch.maps.values()), dim=1)
        found = similarity_matrices(maps, self.statistics, self.window, self.order)
        return {f"similarity/{statistic}": values.cpu().numpy() for statistic, values in found.items()}

    def _measure_controls(self, batch: AuditBatch, control: PatientControl) -> Mapping[str, ArrayLike]:
        own, other = (
            torch.stack([one.double() for one in maps.values()], dim=1)
            for maps in (self.maps.of_others.own(batch.rows), batch.maps)
        )
        found = paired_similarities(own, other, window=self.window, order=self.order)  # statistic -> (k, method, sign)
        return {f"similarity/controls/{one}": found[one].mT.cpu().numpy() for one in self.statistics}

    def _summarise(self, trainer: Trainer, module: LightningModule) -> None:
        leads, samples = self.maps.task.backgrounds.shape[1:]
        # reliability is of the smoothing that maps are compared with by default
        usual = (self.window, self.order) == (self.maps.task.smoothing_window, ORDER)
        reliable = self.maps.reliability if usual else None
        SimilarityReport(
            stores={statistic: self.stores[f"similarity/{statistic}"] for statistic in self.statistics},
            of_others={statistic: self.of_others(f"similarity/controls/{statistic}") for statistic in self.statistics},
            reliability=None
            if reliable is None
            else {name: store.read(np.arange(len(store))).astype(np.float64) for name, store in reliable.items()},
            smoothing=smoothing_words(self.window, self.order) if self.window else "without smoothing",
            shape=(leads, samples),
            run=self.audited_run,
        ).write(AuditResults(trainer))


def _check_filter(window: int | None, order: int) -> None:
    if window is not None and not (window % 2 == 1 and 0 <= order < window):
        raise ValueError(
            f"MethodSimilarity: expected an odd window and an order from 0 to window - 1, got {window} and {order}"
        )
