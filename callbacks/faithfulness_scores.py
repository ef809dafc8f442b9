"""Numbers of single maps that users know: infidelity, max-sensitivity, sparseness, complexity."""

from collections.abc import Mapping
from typing import ClassVar, Final

import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer
from numpy.typing import ArrayLike, NDArray

from callbacks.audit import Audit, AuditBatch, StoreLayout
from callbacks.audit_results import AuditResults
from ecg_lightning.attribution import AttributionMethod
from ecg_lightning.attribution.partners import PatientControl
from ecg_lightning.experiments.example_choice import balanced_choice
from ecg_lightning.experiments.faithfulness.figures import UNITS
from ecg_lightning.experiments.faithfulness.max_sensitivity import max_sensitivity
from ecg_lightning.experiments.faithfulness.measure import LogitChanges, infidelity
from ecg_lightning.experiments.faithfulness.run_results import FaithfulnessReport, settings_words
from ecg_lightning.functional.map_shape import complexity, sparseness
from ecg_lightning.runs.layout import OnMismatch
from ecg_lightning.storage.hashing import JSON

_CHANGE: Final = "scores/infidelity_change"
_OF_OTHERS: Final = "scores/controls/infidelity"


class FaithfulnessScores(Audit):
    """Infidelity, max-sensitivity, sparseness and complexity of every map.

    Writes ``scores/<name>/`` (n, method). ``infidelity``: the share of the logit's changes under Gaussian perturbations
    that the map does not foretell (``ecg_lightning.experiments.faithfulness.measure``); the changes themselves are
    kept in ``scores/infidelity_change/`` (n, draw), so that what stands in for the patient's own maps needs no further
    pass: ``scores/controls/infidelity/`` (n, method, control). ``max_sensitivity``: the greatest relative change of the
    map over perturbations within a small ball (Captum's ``sensitivity_max``); it computes maps anew, so by default
    only of methods of a single pass. ``sparseness`` (Gini) and ``complexity`` (entropy): of |map|
    (:mod:`ecg_lightning.functional.map_shape`). What was not asked for is NaN.

    Args:
        draws: Perturbations an ECG for infidelity.
        noise: Their standard deviation, as a share of the ECG's range.
        sensitivity_draws: Perturbations an ECG for max-sensitivity; 0: leave it out.
        radius: Of their ball (mV, per point).
        all_methods: Max-sensitivity also of methods that take many passes.
        max_examples: ECGs at most, half of them with the diagnosis where there are, of distinct patients where there
            are, by a hash of their ids; None: all. A verdict needs 20 patients with the diagnosis.
        sensitivity_examples: ECGs at most for max-sensitivity, the first of them; None: all of them.
        n_resamples: Bootstrap resamples of the patients.
        confidence: Confidence level of the intervals.
        bootstrap_seed: Seed of the bootstrap resamples.
        on_mismatch: What to do with a store of other settings: ``error``, or ``replace``: move it aside.

    Raises:
        ValueError: A number that can't be.
    """

    rows_at_once: ClassVar[int] = 8

    def __init__(
        self,
        draws: int = 256,
        noise: float = 0.05,
        sensitivity_draws: int = 10,
        radius: float = 0.02,
        all_methods: bool = False,
        max_examples: int | None = 48,
        sensitivity_examples: int | None = 16,
        n_resamples: int = 1000,
        confidence: float = 0.95,
        bootstrap_seed: int = 0,
        on_mismatch: OnMismatch = "error",
    ) -> None:
        super().__init__(n_resamples, confidence, bootstrap_seed, on_mismatch)
        if draws < 2 or not noise > 0 or sensitivity_draws < 0 or not radius > 0:
            raise ValueError(
                "FaithfulnessScores: expected draws >= 2, sensitivity_draws >= 0, and positive noise and radius; got "
                f"{draws}, {sensitivity_draws}, {noise} and {radius}"
            )
        self.draws, self.noise = draws, noise
        self.sensitivity_draws, self.radius, self.all_methods = sensitivity_draws, radius, all_methods
        self.max_examples, self.sensitivity_examples = max_examples, sensitivity_examples

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Open the stores, and prepare to perturb ECGs."""
        super().on_test_start(trainer, pl_module)
        self.changes = LogitChanges(self.maps, self.draws, self.noise)

    def _chosen(self) -> NDArray[np.bool_]:
        return self._first(self.max_examples)

    def _sensed(self) -> NDArray[np.bool_]:
        """(n,) which ECGs max-sensitivity is measured of."""
        return self._chosen() & self._first(self.sensitivity_examples)

    def _first(self, at_most: int | None) -> NDArray[np.bool_]:
        ids, patients = (self.examples[name].tolist() for name in ("ecg_id", "patient_id"))
        return balanced_choice(ids, self.examples["label"].to_numpy(), at_most, patients)

    def _places(self) -> Mapping[str, StoreLayout]:
        coords = {"method": self.maps.names}
        names = [name for name in UNITS if name != "max_sensitivity" or self.sensitivity_draws]
        settings: dict[str, dict[str, JSON]] = {
            "infidelity": {"draws": self.draws, "noise": self.noise},
            "max_sensitivity": {
                "draws": self.sensitivity_draws,
                "radius": self.radius,
                "all_methods": self.all_methods,
                "examples": self.sensitivity_examples,
            },
        }
        places = {
            f"scores/{name}": StoreLayout(("method",), coords, UNITS[name], "float64", settings.get(name, {}))
            for name in names
        }
        change = StoreLayout(("draw",), {"draw": range(self.draws)}, "logit", "float64", settings["infidelity"])
        return places | {_CHANGE: change}

    def _control_places(self) -> Mapping[str, StoreLayout]:
        coords = {"method": self.maps.names, "control": self.maps.patient_controls}
        settings: dict[str, JSON] = {"draws": self.draws, "noise": self.noise}
        return {_OF_OTHERS: StoreLayout(("method", "control"), coords, "1", "float64", settings)}

    def _settings(self) -> dict[str, JSON]:
        return {"attribution_seed": self.maps.attribution_seed}

    def _measure(self, batch: AuditBatch) -> Mapping[str, ArrayLike]:
        maps = torch.stack([one.cpu() for one in batch.maps.values()], dim=1)
        change = self.changes.of(batch)
        measured: dict[str, ArrayLike] = {
            _CHANGE: change.numpy(),
            "scores/infidelity": infidelity(maps, self.changes.perturbations(batch).cpu(), change).numpy(),
            "scores/sparseness": sparseness(maps).numpy(),
            "scores/complexity": complexity(maps).numpy(),
        }
        if self.sensitivity_draws:
            measured["scores/max_sensitivity"] = self._sensitivity(batch)
        return measured

    def _measure_controls(self, batch: AuditBatch, control: PatientControl) -> Mapping[str, ArrayLike]:
        maps = torch.stack([one.cpu().double() for one in batch.maps.values()], dim=1)
        change = torch.from_numpy(self.stores[_CHANGE].read(batch.rows))
        return {_OF_OTHERS: infidelity(maps, self.changes.perturbations(batch).cpu(), change).numpy()}

    def _sensitivity(self, batch: AuditBatch) -> NDArray[np.float64]:
        found = np.full((len(batch.rows), len(self.maps.names)), np.nan)
        sensed = np.flatnonzero(self._sensed()[batch.rows])
        for method in self._methods():
            place = self.maps.names.index(method.name)
            for index, row in zip(sensed.tolist(), batch.rows[sensed].tolist(), strict=True):
                ecg, key = batch.ecg[index : index + 1], self.maps.key(method.name, row)
                found[index, place] = max_sensitivity(
                    method, self.maps.task, ecg, key, self.sensitivity_draws, self.radius
                )
        return found

    def _methods(self) -> list[AttributionMethod]:
        """Those whose max-sensitivity is measured."""
        return [method for method in self.maps.methods if method.single_pass or self.all_methods]

    def _summarise(self, trainer: Trainer, module: LightningModule) -> None:
        names = [name for name in UNITS if f"scores/{name}" in self.stores]
        FaithfulnessReport(
            scores={name: self.values(f"scores/{name}") for name in names},
            of_others=self.of_others(_OF_OTHERS),
            measured={name: self._sensed() if name == "max_sensitivity" else self.chosen for name in names},
            sensed=np.array([any(name == method.name for method in self._methods()) for name in self.maps.names]),
            run=self.audited_run,
            settings=settings_words(self.draws, self.noise, self.sensitivity_draws, self.radius),
        ).write(AuditResults(trainer))
