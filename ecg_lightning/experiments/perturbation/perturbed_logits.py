"""Beats are perturbed step by step in the order of each map, and the network is asked again."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ecg_lightning.attribution.partners import PatientControl
from ecg_lightning.attribution.seeding import RandomKey
from ecg_lightning.attribution.task import FrozenModel, in_chunks
from ecg_lightning.experiments.audit_stores import AuditBatch, StoreLayout
from ecg_lightning.experiments.audited_run import AuditedRun
from ecg_lightning.experiments.map_source import MapSource
from ecg_lightning.experiments.perturbation.data import PerturbationData
from ecg_lightning.experiments.perturbation.fine_tuning import FineTuning
from ecg_lightning.experiments.perturbation.kinds import VERDICT_KIND, PerturbationKind
from ecg_lightning.experiments.perturbation.measure import Order, perturb, relevance_positions, step_counts
from ecg_lightning.experiments.perturbation.tables import Floats, MapLogits
from ecg_lightning.experiments.perturbation.units import unit_positions
from ecg_lightning.models.precision import full_float32
from ecg_lightning.storage.hashing import JSON
from ecg_lightning.storage.store import Rows

_FLOATS_AT_ONCE: Final = 1 << 22
"""Perturbed values in memory at a time (16 MB), or those of one ECG, method and all steps where that is more."""


def folders(kind: PerturbationKind) -> list[str]:
    """Name every store of a kind by the ECGs' own maps: of logits, and of distances to real beats."""
    return [_folder(kind, order) + what for order in kind.orders for what in ("", "_distance")]


def _folder(kind: PerturbationKind, order: Order, whose: str = "") -> str:
    return f"perturbation/{kind.name}/{whose}{order}"


@dataclass(frozen=True, eq=False)
class PerturbedLogits:
    """Perturbs ECGs and asks the network again.

    Attributes:
        maps: The tested network, and the seed and the ids that draws are keyed by.
        data: What perturbation takes from the data.
        kinds: What is measured.
        patient_controls: What stands in for the ECGs' own maps in the verdict's kind.
        fine_tuning: Of the kinds that ask a fine-tuned copy of the network; None where there are none.
        tasks: Name of such a kind -> the copy, once it is made.
    """

    maps: MapSource
    data: PerturbationData
    kinds: Sequence[PerturbationKind]
    patient_controls: Sequence[PatientControl] = ()
    fine_tuning: FineTuning | None = None
    tasks: dict[str, FrozenModel] = field(default_factory=dict)

    @property
    def kinds_of_others(self) -> list[PerturbationKind]:
        """Return the kinds that are measured by maps of others too."""
        return [kind for kind in self.kinds if kind.name == VERDICT_KIND.name] if self.patient_controls else []

    def places(self, names: Sequence[str]) -> dict[str, StoreLayout]:
        """Describe the stores of logits and distances (n, method, step) by the ECGs' own maps."""
        return {
            folder: self._place(kind, {"method": names}, "1" if folder.endswith("_distance") else "logit")
            for kind in self.kinds
            for folder in folders(kind)
        }

    def control_places(self, names: Sequence[str]) -> dict[str, StoreLayout]:
        """Describe the stores of logits (n, method, control, step) by maps that know nothing of the patient."""
        coords = {"method": names, "control": self.patient_controls}
        return {
            _folder(kind, order, "controls/"): self._place(kind, coords, "logit")
            for kind in self.kinds_of_others
            for order in kind.orders
        }

    def _place(self, kind: PerturbationKind, coords: Mapping[str, Sequence[str]], unit: str) -> StoreLayout:
        of_data: dict[str, JSON] = {}
        if unit == "1" or kind.replacement in ("class_mean", "conditional"):
            of_data["real_beats"] = self.data.identity
        if kind.fine_tuned and self.fine_tuning is not None:
            of_data["fine_tuning"] = self.fine_tuning.settings
        steps = {"step": list(range(kind.steps + 1))}
        return StoreLayout((*coords, "step"), {**coords, **steps}, unit, settings=kind.settings | of_data)

    def fine_tune(self, kind: PerturbationKind) -> None:
        """Make the copy of the network that a kind asks, where it asks one."""
        if kind.fine_tuned and self.fine_tuning is not None:
            self.tasks[kind.name] = self.fine_tuning.task(kind)

    def measure(
        self, kind: PerturbationKind, batch: AuditBatch, *, others: bool = False
    ) -> dict[str, NDArray[np.float32]]:
        """Perturb a batch in the order of each of its maps: folder -> (k, method, step), NaN where a map has no order.

        Args:
            kind: What is done.
            batch: The ECGs, and the maps that rank their points.
            others: Whether these maps are not the ECGs' own; distances to real beats are not measured then.
        """
        ecg = batch.ecg
        maps = torch.stack(list(batch.maps.values()), dim=1)
        # a map that is not finite, or the same everywhere, has no order: its curve is NaN and not that of the ties
        flat = maps.flatten(2).abs() if kind.ranking == "magnitude" else maps.flatten(2)
        ranked = maps.isfinite().flatten(2).all(-1) & (flat.amax(-1) > flat.amin(-1))
        positions = self._positions(kind, batch.rows, torch.where(ranked[..., None, None], maps, 0.0), ecg)
        known = ranked.cpu()[..., None].repeat(1, 1, kind.steps + 1)
        known[:, :, 1:] &= self.data.has_fill(kind, batch.rows)[:, None, None]
        untouched = self._asked(kind, ecg, distances=not others)
        found: dict[str, NDArray[np.float32]] = {}
        for order in kind.orders:
            places = positions if order == "morf" else ecg.shape[1] * ecg.shape[2] - 1 - positions
            curves = self._curves(kind, batch.rows, ecg, places, distances=not others)
            both = [
                torch.cat([start[:, None, None].expand(*curve.shape[:2], 1), curve], dim=2)
                for start, curve in zip(untouched, curves, strict=True)
            ]
            logits, far = (torch.where(known, one, torch.nan).numpy() for one in both)
            own = _folder(kind, order)
            found |= {_folder(kind, order, "controls/"): logits} if others else {own: logits, f"{own}_distance": far}
        return found

    def _positions(self, kind: PerturbationKind, rows: Rows, maps: Tensor, ecg: Tensor) -> Tensor:
        """(ecg, method, lead, sample) places in the ranking."""
        ties = self._draws(rows, "perturbation ties", ecg)
        if kind.unit == "point":
            return relevance_positions(maps, ties[:, None].expand(maps.shape), kind.ranking)
        return unit_positions(maps, ties, self.data.labels(kind.unit, rows, ecg.shape[1:]), kind.ranking)

    def _curves(
        self, kind: PerturbationKind, rows: Rows, ecg: Tensor, positions: Tensor, *, distances: bool
    ) -> tuple[Tensor, Tensor]:
        """(ecg, method, step) after each step but 0; what is perturbed at a time does not grow with the ECGs."""
        perturbed = self._perturbed(kind, rows, ecg, positions)
        asked = [self._asked(kind, part.flatten(0, 2), distances=distances) for part in perturbed]
        shape = (*positions.shape[:2], kind.steps)
        logits, far = (torch.cat(values).reshape(shape) for values in zip(*asked, strict=True))
        return logits, far

    def _perturbed(self, kind: PerturbationKind, rows: Rows, ecg: Tensor, positions: Tensor) -> Iterator[Tensor]:
        """Perturbed beats of all ECGs, methods and steps but step 0, in this order, some at a time."""
        counts = step_counts(ecg.shape[1] * ecg.shape[2], kind.steps, kind.fraction_per_step)[1:]
        noise = torch.zeros_like(ecg) if kind.noise == "none" else self._draws(rows, "perturbation noise", ecg)
        each = len(counts) * ecg.shape[1] * ecg.shape[2]
        methods = max(1, min(positions.shape[1], _FLOATS_AT_ONCE // each))
        ecgs = max(1, _FLOATS_AT_ONCE // (each * positions.shape[1])) if methods == positions.shape[1] else 1
        for first in range(0, len(ecg), ecgs):
            some = slice(first, first + ecgs)
            fill = self.data.fill(kind, rows[some], ecg[some])
            for start in range(0, positions.shape[1], methods):
                these = positions[some, start : start + methods]
                yield perturb(ecg[some], these, counts, noise[some], kind.noise, kind.sigma, fill)

    def _asked(self, kind: PerturbationKind, ecg: Tensor, *, distances: bool) -> tuple[Tensor, Tensor]:
        """(k,) logits, and distances to real beats."""
        task = self.tasks[kind.name] if kind.fine_tuned else self.maps.task
        with torch.no_grad(), full_float32():
            logits = in_chunks(task.network, ecg, task.chunk).float().cpu()
        return logits, self.data.distance(ecg) if distances else torch.full((len(ecg),), torch.nan)

    def _draws(self, rows: Rows, purpose: str, ecg: Tensor) -> Tensor:
        """(k, lead, sample) normal draws of each ECG: the same for all methods, steps, orders and kinds.

        What is common to two methods goes out of their difference, which is what is asked for.
        """
        ids = [self.maps.ecg_ids[row] for row in rows.tolist()]
        seed = self.maps.attribution_seed
        draws = [RandomKey(seed, ecg_id=one, purpose=purpose).normal(*ecg.shape[1:]) for one in ids]
        return torch.stack(draws).to(ecg)

    def read(self, values: Callable[[str], Floats], run: AuditedRun) -> list[MapLogits]:
        """Read every kind by the own maps, then by those of others.

        Args:
            values: Folder -> (n, ...) of its store, NaN where nothing was measured.
            run: The run.
        """
        found = []
        for kind in self.kinds:
            own = {order: values(_folder(kind, order)) for order in kind.orders}
            distance = {order: values(f"{_folder(kind, order)}_distance") for order in kind.orders}
            found.append(MapLogits(kind, "own", own, distance, run))
        for kind in self.kinds_of_others:
            others = {order: values(_folder(kind, order, "controls/")) for order in kind.orders}
            for place, control in enumerate(self.patient_controls):
                of_one = {order: logits[:, :, place] for order, logits in others.items()}
                found.append(MapLogits(kind, control, of_one, {}, run))
        return found
