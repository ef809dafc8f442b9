"""Experiment 4 of the paper: does the network fall when a map's most relevant points are taken away?"""

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar, Final

import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from callbacks.audit import Audit, AuditBatch, StoreLayout
from callbacks.audit_results import AuditResults
from callbacks.current_run import classifier_of, datamodule_of
from callbacks.perturbation_data import PerturbationData
from callbacks.perturbation_fine_tuning import FineTuning
from ecg_lightning.attribution.partners import PatientControl
from ecg_lightning.attribution.seeding import RandomKey
from ecg_lightning.attribution.task import FrozenModel, in_chunks
from ecg_lightning.experiments.maps_of_others import check_patient_controls
from ecg_lightning.experiments.perturbation.kinds import VERDICT_KIND, PerturbationKind, check_kinds
from ecg_lightning.experiments.perturbation.measure import Order, perturb, relevance_positions, step_counts
from ecg_lightning.experiments.perturbation.run_results import PerturbationReport
from ecg_lightning.experiments.perturbation.tables import MapLogits, Population
from ecg_lightning.experiments.perturbation.units import unit_positions
from ecg_lightning.functional.intervals import weightings
from ecg_lightning.models.precision import full_float32
from ecg_lightning.plotting.class_words import class_name
from ecg_lightning.runs.layout import OnMismatch
from ecg_lightning.storage.hashing import JSON
from ecg_lightning.storage.store import Rows

_FLOATS_AT_ONCE: Final = 1 << 22
"""Perturbed values in memory at a time (16 MB), or those of one ECG, method and all steps where that is more."""


class PerturbationCurves(Audit):
    """Perturbs what each map calls relevant, step by step, and asks the network again (paper, "Perturbing input data").

    Every step replaces one more share of the points, most relevant first (``morf``) or least relevant first (``lerf``):
    see :mod:`ecg_lightning.experiments.perturbation.measure`. By default two kinds are measured: the paper's, of points
    with multiplicative noise, and the verdict's, of 50-ms blocks without noise, which maps of any granularity are
    ranked alike by. Writes ``perturbation/<kind>/<order>/`` (n, method, step), logits; step 0 is the untouched beat;
    ``perturbation/<kind>/<order>_distance/``, how far the perturbed beats are from real ones; and of the verdict's kind
    ``perturbation/<kind>/controls/<order>/`` (n, method, control, step), the logits by the maps of another patient. At
    the end AUROC, AUPRC and mean probability of every step, the area over each curve, and the area between the two
    (ABPC).

    Args:
        kinds: What is ranked, in which order, and replaced by what; None: the paper's and the verdict's.
        patient_controls: Maps that know nothing of the patient which the verdict's kind is measured with, of those
            that ``AttributionMaps`` makes: ``other_ecg``, ``mean_map``; each takes as many passes as the own maps.
        n_resamples: Bootstrap resamples of the patients, for the tables' intervals.
        confidence: Confidence level of the intervals.
        bootstrap_seed: Seed of the bootstrap resamples.
        on_mismatch: What to do with a store of other settings: ``error``, or ``replace``: move it aside.

    Raises:
        ValueError: No kind, two of one name, or an unknown control.
    """

    rows_at_once: ClassVar[int] = 8
    averages_partners: ClassVar[bool] = False  # every partner would cost passes

    def __init__(
        self,
        kinds: Sequence[PerturbationKind] | None = None,
        patient_controls: Sequence[PatientControl] = ("other_ecg",),
        n_resamples: int = 1000,
        confidence: float = 0.95,
        bootstrap_seed: int = 0,
        on_mismatch: OnMismatch = "error",
    ) -> None:
        super().__init__(n_resamples, confidence, bootstrap_seed, on_mismatch)
        self.kinds = check_kinds(kinds)
        self.patient_controls = check_patient_controls(patient_controls, 1)
        self.tasks: dict[str, FrozenModel] = {}  # of kinds whose logits are a fine-tuned network's

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Read what the replacements need, open the stores, and fine-tune copies of the network for what they lack."""
        module = classifier_of(pl_module, "PerturbationCurves")
        self.data = PerturbationData.of(datamodule_of(trainer, "PerturbationCurves"), module.backgrounds, self.kinds)
        tuned = [kind for kind in self.kinds if kind.fine_tuned]
        self.fine_tuning = FineTuning.of(module, self.maps, self.data) if tuned else None
        super().on_test_start(trainer, pl_module)
        if self.fine_tuning is not None:
            rows = np.arange(len(self.examples))
            self.tasks = {kind.name: self.fine_tuning.task(kind) for kind in tuned if self._lacks(kind, rows)}

    def _places(self) -> Mapping[str, StoreLayout]:
        return {
            folder: self._place(kind, ("method", "step"), "1" if folder.endswith("_distance") else "logit")
            for kind in self.kinds
            for folder in self._folders(kind)
        }

    def _control_places(self) -> Mapping[str, StoreLayout]:
        return {
            f"perturbation/{kind.name}/controls/{order}": self._place(kind, ("method", "control", "step"), "logit")
            for kind in self._kinds_with_controls()
            for order in kind.orders
        }

    def _place(self, kind: PerturbationKind, dims: tuple[str, ...], unit: str) -> StoreLayout:
        coords: dict[str, Sequence[str | int | float]] = {
            "method": self.maps.names,
            "control": self._controls(),
            "step": list(range(kind.steps + 1)),
        }
        of_data: dict[str, JSON] = {}
        if unit == "1" or kind.replacement in ("class_mean", "conditional"):
            of_data["real_beats"] = self.data.identity
        if kind.fine_tuned and self.fine_tuning is not None:
            of_data["fine_tuning"] = self.fine_tuning.settings
        return StoreLayout(dims, {dim: coords[dim] for dim in dims}, unit, settings=kind.settings | of_data)

    def _settings(self) -> dict[str, JSON]:
        return {"attribution_seed": self.maps.attribution_seed}

    def _controls(self) -> tuple[PatientControl, ...]:
        return tuple(one for one in self.maps.patient_controls if one in self.patient_controls)

    def _kinds_with_controls(self) -> tuple[PerturbationKind, ...]:
        return tuple(kind for kind in self.kinds if kind.name == VERDICT_KIND.name) if self._controls() else ()

    def _measure(self, batch: AuditBatch) -> Mapping[str, ArrayLike]:
        measured: dict[str, ArrayLike] = {}
        for kind in self.kinds:
            if self._lacks(kind, batch.rows):
                for order, (logits, distance) in self._perturbed_logits(kind, batch, distances=True).items():
                    measured[f"perturbation/{kind.name}/{order}"] = logits
                    measured[f"perturbation/{kind.name}/{order}_distance"] = distance
            else:  # another kind was added to a finished run
                measured |= {folder: self.stores[folder].read(batch.rows) for folder in self._folders(kind)}
        return measured

    def _folders(self, kind: PerturbationKind) -> list[str]:
        return [f"perturbation/{kind.name}/{order}{what}" for order in kind.orders for what in ("", "_distance")]

    def _lacks(self, kind: PerturbationKind, rows: Rows) -> bool:
        """Whether some rows are not in a kind's stores."""
        return any(len(self.stores[folder].missing(rows)) for folder in self._folders(kind))

    def _measure_controls(self, batch: AuditBatch, control: PatientControl) -> Mapping[str, ArrayLike]:
        return {
            f"perturbation/{kind.name}/controls/{order}": logits
            for kind in self._kinds_with_controls()
            for order, (logits, _) in self._perturbed_logits(kind, batch, distances=False).items()
        }

    def _perturbed_logits(
        self, kind: PerturbationKind, batch: AuditBatch, *, distances: bool
    ) -> dict[Order, tuple[NDArray[np.float32], NDArray[np.float32]]]:
        """Order -> logits (k, method, step) and distances to real beats; NaN where a map ranks nothing."""
        ecg = batch.ecg
        maps = torch.stack(list(batch.maps.values()), dim=1)
        # a map that is not finite, or the same everywhere, has no order: its curve is NaN and not that of the ties
        flat = maps.flatten(2).abs() if kind.ranking == "magnitude" else maps.flatten(2)
        ranked = maps.isfinite().flatten(2).all(-1) & (flat.amax(-1) > flat.amin(-1))
        positions = self._positions(kind, batch.rows, torch.where(ranked[..., None, None], maps, 0.0), ecg)
        known = ranked.cpu()[..., None].repeat(1, 1, kind.steps + 1)
        known[:, :, 1:] &= self.data.has_fill(kind, batch.rows)[:, None, None]
        untouched = self._asked(kind, ecg, distances=distances)
        found: dict[Order, tuple[NDArray[np.float32], NDArray[np.float32]]] = {}
        for order in kind.orders:
            places = positions if order == "morf" else ecg.shape[1] * ecg.shape[2] - 1 - positions
            curves = self._curves(kind, batch.rows, ecg, places, distances=distances)
            both = [
                torch.cat([start[:, None, None].expand(*curve.shape[:2], 1), curve], dim=2)
                for start, curve in zip(untouched, curves, strict=True)
            ]
            logits, far = (torch.where(known, one, torch.nan).numpy() for one in both)
            found[order] = (logits, far)
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

    def _summarise(self, trainer: Trainer, module: LightningModule) -> None:
        examples = self.examples
        population = Population(
            examples["label"].to_numpy(dtype=np.float64),
            examples["patient_id"].to_numpy(),
            weightings(examples["patient_id"], self.n_resamples, self.bootstrap_seed),
            self.confidence,
        )
        maps = [self._map_logits(kind, "own", population) for kind in self.kinds]
        maps += [
            self._map_logits(kind, control, population)
            for kind in self._kinds_with_controls()
            for control in self._controls()
        ]
        title = f"{class_name(self.datamodule.target)}, seed {self.maps.training_seed}"
        PerturbationReport(maps, title).write(AuditResults(trainer))

    def _map_logits(self, kind: PerturbationKind, what: str, population: Population) -> MapLogits:
        folder = f"perturbation/{kind.name}"
        distance = {}
        if what == "own":
            logits = {order: self.values(f"{folder}/{order}") for order in kind.orders}
            distance = {order: self.values(f"{folder}/{order}_distance") for order in kind.orders}
        else:
            index = self._controls().index(what)
            logits = {order: self.values(f"{folder}/controls/{order}")[:, :, index] for order in kind.orders}
        return MapLogits(kind, what, self.maps.names, self.maps.controls, logits, distance, population)
