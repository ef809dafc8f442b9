"""Experiment 1 of the paper: how alike the maps of different methods are."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import ClassVar

import numpy as np
import pandas as pd
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_warn
from numpy.typing import ArrayLike, NDArray

from callbacks.audit import Audit, AuditBatch, StoreLayout
from callbacks.audit_results import AuditResults
from ecg_lightning.attribution.partners import PatientControl
from ecg_lightning.experiments.score_rows import score_rows
from ecg_lightning.experiments.similarity.figures import similarity_figure
from ecg_lightning.experiments.similarity.tables import (
    BESIDE,
    caption,
    columns_of,
    matrix_of,
    select,
    similarity_table,
    warning_of,
)
from ecg_lightning.functional.intervals import weightings
from ecg_lightning.functional.similarity import (
    SCOPES,
    SIGNS,
    STATISTICS,
    Sign,
    Statistic,
    check_choice,
    paired_similarities,
    similarity_matrices,
)
from ecg_lightning.functional.smoothing import ORDER, WINDOW
from ecg_lightning.plotting.class_words import class_name
from ecg_lightning.runs.layout import OnMismatch
from ecg_lightning.storage.hashing import JSON


class MethodSimilarity(Audit):
    """Correlates the maps of every pair of methods and controls, ECG by ECG (paper, "Cross-method similarity").

    Writes ``similarity/<statistic>/`` (n, scope, sign, method, other_method): maps are smoothed by Savitzky-Golay, then
    correlated over the whole ECG (``ecg``) or lead by lead (``lead``), with their sign (``native``) or by their
    magnitude (``absolute``); see :mod:`ecg_lightning.functional.similarity`. Also
    ``similarity/controls/<statistic>/`` (n, sign, method, control): each map with the same method's map of another
    patient, and with the mean of all others', over the whole ECG. At the end ``tables/similarity.parquet``,
    ``tables/similarity_controls.parquet`` and a heat map of each statistic and sign, the paper's Figure 3A.

    Args:
        window: Samples of the filter, odd; None: no smoothing.
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
        window: int | None = WINDOW,
        order: int = ORDER,
        statistics: Sequence[Statistic] = STATISTICS,
        n_resamples: int = 1000,
        confidence: float = 0.95,
        bootstrap_seed: int = 0,
        on_mismatch: OnMismatch = "error",
    ) -> None:
        super().__init__(n_resamples, confidence, bootstrap_seed, on_mismatch)
        if window is not None and not (window % 2 == 1 and 0 <= order < window):
            raise ValueError(
                f"MethodSimilarity: expected an odd window and an order from 0 to window - 1, got {window} and {order}"
            )
        for statistic in statistics:
            check_choice("statistic", statistic, STATISTICS)
        if not statistics or len(set(statistics)) < len(statistics):
            raise ValueError(f"MethodSimilarity: expected each statistic once, got {list(statistics)}")
        self.window = window
        self.order = order
        self.statistics = tuple(statistics)

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
        stores = {statistic: self.stores[f"similarity/{statistic}"] for statistic in self.statistics}
        names, patients = self.maps.names, self.examples["patient_id"].to_numpy()
        table = similarity_table(
            stores,
            names,
            patients,
            self._reliability(),
            n_resamples=self.n_resamples,
            confidence=self.confidence,
            seed=self.bootstrap_seed,
        )
        results = AuditResults(trainer)
        results.table("similarity", table)
        of_others = self._of_others()
        if not of_others.empty:
            results.table("similarity_controls", of_others)
        results.numbers({"similarity/undefined": float(table["n_undefined"].sum())})
        if warning := warning_of(stores, table, names):
            rank_zero_warn(f"MethodSimilarity: {warning}")
        for statistic in self.statistics:
            for sign in SIGNS:
                self._draw(results, table, of_others, statistic, sign)

    def _of_others(self) -> pd.DataFrame:
        """One row a statistic, sign, method and map that stands in for its own; none where none was measured.

        ``statistic, sign, method, control, map, n_undefined`` and what
        :mod:`ecg_lightning.experiments.score_rows` gives:
        ``value`` is the mean correlation.
        """
        weights = weightings(self.examples["patient_id"], self.n_resamples, self.bootstrap_seed)
        parts = []
        for folder in self.control_stores:
            values = self.values(folder)  # (n, sign, method, control)
            for (i, sign), (k, control) in product(enumerate(SIGNS), enumerate(self.maps.patient_controls)):
                part = score_rows(values[:, i, :, k], self.maps.names, self.examples, weights, self.confidence)
                part.insert(1, "map", control)
                part.insert(1, "control", part["method"].isin(self.maps.controls))
                part.insert(0, "sign", sign)
                part.insert(0, "statistic", folder.rsplit("/", 1)[1])
                parts.append(part.assign(n_undefined=len(values) - part["n_ecgs"]))
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()

    def _draw(
        self,
        results: AuditResults,
        table: pd.DataFrame,
        of_others: pd.DataFrame,
        statistic: Statistic,
        sign: Sign,
    ) -> None:
        """The heat map of one statistic and sign over whole ECGs."""
        names, chosen = self.maps.names, select(table, statistic, "ecg", sign)
        leads, samples = self.maps.task.backgrounds.shape[1:]
        smoothing = f"smoothed by Savitzky-Golay {self.window}/{self.order}" if self.window else "without smoothing"
        measured = self.examples[self.stores[f"similarity/{statistic}"].done]
        text = caption(
            chosen,
            f"all {leads * samples:,} points ({leads} leads x {samples} samples) of an ECG",
            smoothing,
            measured["patient_id"].nunique(),
            measured["patient_id"][measured["label"] == 1].nunique(),
        )
        beside = columns_of(of_others, statistic, sign, names)
        text += BESIDE if beside else ""
        figure = similarity_figure(
            matrix_of(chosen, "correlation_mean", names),
            names,
            quantity=f"{statistic.capitalize()} correlation ({sign})",
            title=f"Similarity of maps: {class_name(self.datamodule.target)}, seed {self.maps.training_seed}",
            caption=text,
            incomplete=matrix_of(chosen, "n_undefined", names, diagonal=0.0) > 0,
            beside=beside,
        )
        results.figure(f"similarity/{statistic}_{sign}", figure, text)

    def _reliability(self) -> Mapping[str, NDArray[np.float64]] | None:
        """Of the stochastic methods' maps, if it is of the smoothing that maps are compared with."""
        if (self.window, self.order) != (WINDOW, ORDER):
            return None
        stores = self.maps.reliability
        return {name: store.read(np.arange(len(store))).astype(np.float64) for name, store in stores.items()}
