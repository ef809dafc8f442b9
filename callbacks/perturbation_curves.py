"""Experiment 4 of the paper: does the network fall when a map's most relevant points are taken away?"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
from lightning.pytorch import LightningModule, Trainer
from numpy.typing import ArrayLike

from callbacks.audit import Audit, AuditBatch, StoreLayout
from callbacks.audit_results import AuditResults
from callbacks.current_run import classifier_of, datamodule_of
from ecg_lightning.attribution.partners import PatientControl
from ecg_lightning.experiments.maps_of_others import check_patient_controls
from ecg_lightning.experiments.perturbation.data import PerturbationData
from ecg_lightning.experiments.perturbation.fine_tuning import FineTuning
from ecg_lightning.experiments.perturbation.kinds import PerturbationKind, check_kinds
from ecg_lightning.experiments.perturbation.perturbed_logits import PerturbedLogits, folders
from ecg_lightning.experiments.perturbation.run_results import PerturbationReport
from ecg_lightning.runs.layout import OnMismatch
from ecg_lightning.storage.hashing import JSON
from ecg_lightning.storage.store import Rows


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

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Read what the replacements need, open the stores, and fine-tune copies of the network for what they lack."""
        module = classifier_of(pl_module, "PerturbationCurves")
        data = PerturbationData.of(datamodule_of(trainer, "PerturbationCurves"), module.backgrounds, self.kinds)
        fine_tuning = FineTuning.of(module, self.maps, data) if any(kind.fine_tuned for kind in self.kinds) else None
        controls = [one for one in self.maps.patient_controls if one in self.patient_controls]
        self.logits = PerturbedLogits(self.maps, data, self.kinds, controls, fine_tuning)
        super().on_test_start(trainer, pl_module)
        for kind in self.kinds:
            if self._lacks(kind, np.arange(len(self.examples))):
                self.logits.fine_tune(kind)

    def _places(self) -> Mapping[str, StoreLayout]:
        return self.logits.places(self.maps.names)

    def _control_places(self) -> Mapping[str, StoreLayout]:
        return self.logits.control_places(self.maps.names)

    def _settings(self) -> dict[str, JSON]:
        return {"attribution_seed": self.maps.attribution_seed}

    def _measure(self, batch: AuditBatch) -> Mapping[str, ArrayLike]:
        measured: dict[str, ArrayLike] = {}
        for kind in self.kinds:
            if self._lacks(kind, batch.rows):
                measured |= self.logits.measure(kind, batch)
            else:  # another kind was added to a finished run
                measured |= {folder: self.stores[folder].read(batch.rows) for folder in folders(kind)}
        return measured

    def _lacks(self, kind: PerturbationKind, rows: Rows) -> bool:
        """Whether some rows are not in a kind's stores."""
        return any(len(self.stores[folder].missing(rows)) for folder in folders(kind))

    def _measure_controls(self, batch: AuditBatch, control: PatientControl) -> Mapping[str, ArrayLike]:
        kinds = self.logits.kinds_of_others
        return {
            name: logits for kind in kinds for name, logits in self.logits.measure(kind, batch, others=True).items()
        }

    def _summarise(self, trainer: Trainer, module: LightningModule) -> None:
        PerturbationReport(self.logits.read(self.values, self.audited_run)).write(AuditResults(trainer))
