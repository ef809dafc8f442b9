"""Tables and pictures show how alike the maps of one run are."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import product

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ecg_lightning.experiments.audited_run import AuditedRun
from ecg_lightning.experiments.run_results import RunResults
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
from ecg_lightning.functional.similarity import SIGN_LABELS, SIGNS, Sign, Statistic
from ecg_lightning.storage.store import RowStore


@dataclass(frozen=True)
class SimilarityReport:
    """Writes tables and pictures of one run.

    Attributes:
        stores: Statistic -> (n, scope, sign, method, method).
        of_others: Statistic -> control without the patient -> (n, sign, method) similarity of each map with what stands
            in for it; empty where none was measured.
        reliability: Stochastic method -> (n,) of its maps; None where it is of another smoothing.
        smoothing: How maps were smoothed, for captions.
        shape: Leads and samples of a map.
        run: The run.
    """

    stores: Mapping[Statistic, RowStore]
    of_others: Mapping[Statistic, Mapping[str, NDArray[np.float64]]]
    reliability: Mapping[str, NDArray[np.float64]] | None
    smoothing: str
    shape: tuple[int, int]
    run: AuditedRun

    def write(self, results: RunResults) -> None:
        """Write tables and pictures, and log them."""
        results.table("similarity", self.table)
        if not self.table_of_others.empty:
            results.table("similarity_controls", self.table_of_others)
        results.numbers({"similarity/undefined": float(self.table["n_undefined"].sum())})
        if warning := warning_of(self.stores, self.table, self.run.names):
            warnings.warn(f"MethodSimilarity: {warning}", stacklevel=2)
        for statistic, sign in product(self.stores, SIGNS):
            name, text = f"similarity/{statistic}_{sign}", self._caption(statistic, sign)
            draw = partial(self._draw, statistic, sign, text)
            results.figure(name, draw, text, summary=name == "similarity/pearson_native")

    @cached_property
    def table(self) -> pd.DataFrame:
        """Return the pairs; see :func:`ecg_lightning.experiments.similarity.tables.similarity_table`."""
        return similarity_table(self.stores, self.run, self.reliability)

    @cached_property
    def table_of_others(self) -> pd.DataFrame:
        """Return one row a statistic, sign, method and map that stands in for its own; none where none was measured.

        ``statistic, sign, method, control, map, n_undefined`` and what
        :mod:`ecg_lightning.experiments.score_rows` gives: ``value`` is the mean correlation.
        """
        parts = []
        for statistic, of_maps in self.of_others.items():
            for (place, sign), (control, values) in product(enumerate(SIGNS), of_maps.items()):
                part = score_rows(values[:, place], self.run)
                part.insert(1, "map", control)
                part.insert(1, "control", part["method"].isin(self.run.controls))
                part.insert(0, "sign", sign)
                part.insert(0, "statistic", statistic)
                parts.append(part.assign(n_undefined=len(values) - part["n_ecgs"]))
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()

    def _caption(self, statistic: Statistic, sign: Sign) -> str:
        """Data, settings and patients in words."""
        leads, samples = self.shape
        measured = self.run.examples[self.stores[statistic].done]
        with_it = measured["patient_id"][self.run.has_it[self.stores[statistic].done]].nunique()
        beside = columns_of(self.table_of_others, statistic, sign, self.run.names)
        return caption(
            select(self.table, statistic, "ecg", sign),
            f"all {leads * samples:,} points ({leads} leads x {samples} samples) of an ECG",
            self.smoothing,
            measured["patient_id"].nunique(),
            f"{with_it:,} of them {self.run.target_info.having_it}",
        ) + (BESIDE if beside else "")

    def _draw(self, statistic: Statistic, sign: Sign, text: str) -> Figure:
        """The heat map of one statistic and sign over whole ECGs."""
        names, chosen = self.run.names, select(self.table, statistic, "ecg", sign)
        return similarity_figure(
            matrix_of(chosen, "correlation_mean", names),
            names,
            quantity=f"{statistic.capitalize()} correlation ({SIGN_LABELS[sign]})",
            title=f"Similarity of maps: {self.run.what}",
            caption=text,
            incomplete=matrix_of(chosen, "n_undefined", names, diagonal=0.0) > 0,
            beside=columns_of(self.table_of_others, statistic, sign, names),
        )
