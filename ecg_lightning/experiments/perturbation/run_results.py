"""Tables and pictures of perturbed logits."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ecg_lightning.experiments.perturbation.figures import AXIS, curve_panels, on_one_scale
from ecg_lightning.experiments.perturbation.kinds import PAPER_KIND, VERDICT_KIND
from ecg_lightning.experiments.perturbation.tables import MapLogits
from ecg_lightning.experiments.perturbation.words import kind_sentence, kind_title
from ecg_lightning.experiments.run_results import RunResults
from ecg_lightning.plotting.curves import CurvePanel, curves_figure


@dataclass(frozen=True)
class PerturbationReport:
    """Tables and pictures of one run.

    Attributes:
        maps: Every kind by the own maps, then by those that know nothing of the patient.
    """

    maps: Sequence[MapLogits]

    def write(self, results: RunResults) -> None:
        """Tables, pictures and log."""
        results.table("perturbation", self.curve_table)
        summary = pd.concat([one.summary() for one in self.maps], ignore_index=True)
        results.table("perturbation_summary", summary)
        own = [one for one in self.maps if one.map == "own"]
        main = next((one for one in own if one.kind.name == PAPER_KIND.name), own[0])
        for one in own:
            self._pictures(results, one, summary=one is main)
            prefix = "perturbation" if one.kind.name == PAPER_KIND.name else f"perturbation_{one.kind.name}"
            results.curves(prefix, "fraction", _wide(one))
        kind = next((one.kind for one in own if one.kind.name == VERDICT_KIND.name), own[0].kind)
        metric = self._metric
        chosen = summary[(summary["metric"] == metric) & (summary["kind"] == kind.name) & (summary["map"] == "own")]
        for column in ("abpc", "area_over_curve"):
            known = chosen.set_index("method")[column].dropna() if column in chosen else pd.Series(dtype=float)
            results.numbers({f"perturbation/{column}/{name}": float(value) for name, value in known.items()})
        self._warn(own)

    @cached_property
    def curve_table(self) -> pd.DataFrame:
        """Curves of all kinds and maps; see ``MapLogits.curve_table``."""
        return pd.concat([one.curve_table for one in self.maps], ignore_index=True)

    @property
    def _of_diagnosis(self) -> bool:
        return self.maps[0].run.target_info.kind == "binary"

    @property
    def _both_classes(self) -> bool:
        return self.maps[0].run.both_classes

    @property
    def _metric(self) -> str:
        """AUROC, or where all ECGs are of one class the mean probability of that class; R2 of a measurement."""
        if not self._of_diagnosis:
            return "r2"
        has_it = bool((self.maps[0].run.label == 1).any())
        return "auroc" if self._both_classes else "probability" if has_it else "probability_negatives"

    def _pictures(self, results: RunResults, own: MapLogits, *, summary: bool) -> None:
        metric = self._metric
        of_kind = [one for one in self.maps if one.kind.name == own.kind.name]
        paper = own.kind.name == PAPER_KIND.name
        title = f"Perturbation ({kind_title(own.kind)}): {own.run.what}"
        caption = self.caption(own)

        def draw() -> Figure:
            panels = [panel for one in of_kind for panel in _panels(one, metric, names_map=len(of_kind) > 1)]
            return curves_figure(on_one_scale(panels), AXIS, title, caption, columns=len(own.logits))

        def draw_classes() -> Figure:
            panels = [panel for one in ("auroc_positives", "auroc_negatives") for panel in _panels(own, one)]
            return curves_figure(on_one_scale(panels), AXIS, f"{title}, by class", caption, columns=len(own.logits))

        def draw_change() -> Figure:
            panels = [panel for one in of_kind for panel in _panels(one, "change", names_map=len(of_kind) > 1)]
            return curves_figure(on_one_scale(panels), AXIS, title, caption, columns=len(own.logits))

        results.figure(f"perturbation/{metric if paper else own.kind.name}", draw, caption, summary=summary)
        if own.kind.name == VERDICT_KIND.name and self._of_diagnosis and self._both_classes:
            results.figure(f"perturbation/{own.kind.name}_classes", draw_classes, caption)
        if not self._of_diagnosis:
            results.figure(f"perturbation/{'' if paper else f'{own.kind.name}_'}change", draw_change, caption)

    def caption(self, own: MapLogits) -> str:
        """Data, settings and intervals in words."""
        label, patients = own.run.label, own.run.patient_ids

        def count(chosen: NDArray[np.bool_]) -> str:
            return f"{int(chosen.sum())} ECGs of {len(set(patients[chosen].tolist()))} patients"

        counted = f"{count(own.run.has_it)} {own.run.target_info.having_it}"
        if self._of_diagnosis:
            counted += f", {count(label == 0)} without"
        return (
            f"{kind_sentence(own.kind)} Test ECGs: {counted}; bands: "
            f"{own.run.confidence:.0%} intervals of this network, patients resampled. Grey, broken: controls, "
            "which know nothing of the network."
        )

    def _warn(self, own: Sequence[MapLogits]) -> None:
        found: dict[str, int] = {}
        for one in own:
            for logits in one.logits.values():
                without = np.isnan(logits[:, :, 0]) & ~np.isnan(logits[:, :, 0]).all(axis=1, keepdims=True)
                for name, count in zip(one.run.names, without.sum(axis=0).tolist(), strict=True):
                    found[name] = max(count, found.get(name, 0))
            if one.kind.replacement == "twin":
                first = next(iter(one.logits.values()))
                twins = np.count_nonzero(np.isfinite(first[:, :, 1]).any(axis=1))
                warnings.warn(
                    f"PerturbationCurves: {twins} of {len(first)} test ECGs have a twin without the "
                    "diagnosis; the curves of the kinds with twins are of these, against the others as they are",
                    stacklevel=2,
                )
        if named := ", ".join(f"{name}: {count}" for name, count in found.items() if count > 0):
            warnings.warn(
                "PerturbationCurves: maps that are constant or not finite rank nothing and have no curve "
                f"({named} ECGs)",
                stacklevel=2,
            )
        if self._of_diagnosis and not self._both_classes:
            warnings.warn(
                "PerturbationCurves: the test ECGs are all of one class, so there is no AUROC; their mean probability "
                "is given",
                stacklevel=2,
            )


def _panels(one: MapLogits, metric: str, *, names_map: bool = False) -> list[CurvePanel]:
    table = one.curve_table[one.curve_table["metric"] == metric]
    return curve_panels(table, one.map, metric, names_map=names_map)


def _wide(one: MapLogits) -> pd.DataFrame:
    """One row a fraction, one column a curve, for W&B."""
    table = one.curve_table.assign(name=lambda t: t["order"] + "/" + t["metric"] + "/" + t["method"])
    return table.pivot(index="fraction", columns="name", values="value")
