"""Experiment 3 of the paper: do the maps change when the network's layers are randomised?"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info
from numpy.typing import ArrayLike, NDArray

from callbacks.audit import Audit, AuditBatch, StoreLayout
from callbacks.audit_results import AuditResults
from callbacks.current_run import datamodule_of
from ecg_lightning.data.recalibration import RecalibrationBeats, recalibration_beats
from ecg_lightning.experiments.example_choice import patients_choice
from ecg_lightning.experiments.randomization.cascade import Cascade
from ecg_lightning.experiments.randomization.cost import cost_words
from ecg_lightning.experiments.randomization.measure import forward_equivalents
from ecg_lightning.experiments.randomization.plan import (
    CascadePlan,
    check_counts,
    check_directions,
    check_distinct_depths,
    checked_depths,
    chosen_names,
)
from ecg_lightning.experiments.randomization.random_maps import CascadeMaps
from ecg_lightning.experiments.randomization.random_models import CascadeTasks, permuted_tasks
from ecg_lightning.experiments.randomization.random_networks_results import report_random_networks
from ecg_lightning.experiments.randomization.random_weights import (
    BatchNormPolicy,
    Direction,
    How,
    check_resettable,
    weight_layers,
)
from ecg_lightning.experiments.randomization.run_results import CascadeReport
from ecg_lightning.runs.layout import OnMismatch
from ecg_lightning.storage.hashing import JSON


class RandomizationCascade(Audit):
    """Randomises the network's layers and compares the maps with those of the trained network.

    *Wholly random networks* decide (``docs/experiments.md`` names every store): ``draws`` of them, whose BatchNorms are
    reset and recalibrated, and beside them ``full_repeats`` whose BatchNorms are as ``batchnorm`` says, below
    ``cascade/random_networks/<batchnorm>/``. *The progressive cascade* is the paper's figure, below
    ``cascade/<direction>/``: 1 at depth 0 by definition; with every layer random also ``scores/efficient_mprt/``,
    and with ``smooth_draws`` the same of maps averaged over noisy copies (Hedstroem et al., XAI in Action 2023).

    A stochastic map of a random network has draws of its own, since sharing them would make the two alike; noise
    controls are drawn anew, and |ECG| stays what it is. Random weights are keyed by the training seed.

    Args:
        directions: ``from_output`` (the paper's), ``from_input``, ``independent``.
        depths: How many layers are randomised; None: each from 0 to all. 0 is always among them.
        methods: Names of methods and controls; None: those of ``AttributionMaps``.
        draws: Independent draws of the whole network with BatchNorms reset and recalibrated; 0: none.
        draws_of_expensive_methods: The same for methods whose map costs more than ``expensive_from``.
        expensive_from: Forward passes of one ECG, of which a gradient costs three.
        repeats: Independent draws of the progressive cascade.
        full_repeats: Draws where it has randomised every layer, if more than ``repeats``.
        how: ``reset_parameters``, or ``permutation`` of the trained weights.
        batchnorm: Of the progressive cascade: ``kept`` (the paper does not say), ``reset``, ``recalibrated`` or
            ``reset_recalibrated``, see :data:`ecg_lightning.experiments.randomization.random_weights.BatchNormPolicy`.
        max_examples: ECGs at most, of as many patients as there are, then half of them with the diagnosis.
        smooth_draws: Noisy copies an ECG of the smooth test; 0: none.
        permuted_checkpoints: Networks of the same architecture that were trained on permuted labels, a second check:
            ``cascade/permuted_labels/<quantity>/`` (n, draw, method).
        n_resamples: Bootstrap resamples of the patients, for the curves' bands.
        confidence: Confidence level of the intervals.
        bootstrap_seed: Seed of the resamples.
        on_mismatch: What to do with a store of other settings: ``error``, or ``replace``: move it aside.

    Raises:
        ValueError: A setting that can't be; when testing starts also: an unknown method, a depth beyond the network's
            layers, a layer that can't be reset, or a checkpoint of another architecture.
    """

    rows_at_once: ClassVar[int] = 8
    least_rows_at_once: ClassVar[int] = 4  # passes of fewer would be mostly padding

    def __init__(
        self,
        directions: Sequence[Direction] = ("from_output",),
        depths: Sequence[int] | None = None,
        methods: Sequence[str] | None = None,
        draws: int = 10,
        draws_of_expensive_methods: int = 3,
        expensive_from: int = 1000,
        repeats: int = 1,
        full_repeats: int = 3,
        how: How = "reset_parameters",
        batchnorm: BatchNormPolicy = "kept",
        max_examples: int | None = None,
        smooth_draws: int = 0,
        permuted_checkpoints: Sequence[str] = (),
        n_resamples: int = 1000,
        confidence: float = 0.95,
        bootstrap_seed: int = 0,
        on_mismatch: OnMismatch = "error",
    ) -> None:
        super().__init__(n_resamples, confidence, bootstrap_seed, on_mismatch)
        check_directions(directions)
        check_distinct_depths(depths)
        few = draws_of_expensive_methods
        check_counts((repeats, full_repeats, few), (draws, smooth_draws), max_examples)
        self.directions = tuple(directions)
        self.asked_depths = None if depths is None else tuple(depths)
        self.asked_methods = None if methods is None else tuple(methods)
        self.draws, self.draws_of_expensive_methods, self.expensive_from = draws, few, expensive_from
        self.repeats, self.full_repeats = repeats, max(repeats, full_repeats)
        self.how: How = how
        self.batchnorm: BatchNormPolicy = batchnorm
        self.max_examples, self.smooth_draws = max_examples, smooth_draws
        self.permuted_checkpoints = tuple(permuted_checkpoints)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Check what was asked for, open the stores and say what it will cost."""
        self.prepare(recalibration_beats(datamodule_of(trainer, type(self).__name__), self.maps.backgrounds))
        super().on_test_start(trainer, pl_module)
        rows = np.flatnonzero(self.chosen)
        missing = max((len(store.missing(rows)) for store in self.stores.values()), default=0)
        if missing and trainer.is_global_zero:
            shared = (missing, trainer.world_size, self.smooth_draws)
            rank_zero_info(cost_words(self.cascade.plan, self.cascade.random.methods, self.maps.task, *shared))

    def prepare(self, recalibration: RecalibrationBeats) -> None:
        """Find the layers and plan the random networks.

        Args:
            recalibration: What BatchNorm statistics are made of.
        """
        names = chosen_names(self.asked_methods, self.maps.names)
        methods = [method for method in self.maps.methods if method.name in names]
        backgrounds = self.maps.task.backgrounds
        with torch.inference_mode(False):
            layers = weight_layers(self.maps.source_network, backgrounds[:1])
        if self.how == "reset_parameters":
            check_resettable(self.maps.source_network, layers)
        plan = CascadePlan(
            directions=self.directions,
            depths=checked_depths(self.asked_depths, len(layers)),
            n_layers=len(layers),
            names=names,
            expensive=[one.name for one in methods if forward_equivalents(one, backgrounds) > self.expensive_from],
            batchnorm=self.batchnorm,
            repeats=self.repeats,
            full_repeats=self.full_repeats,
            draws=self.draws,
            draws_of_expensive_methods=self.draws_of_expensive_methods,
        )
        tasks = CascadeTasks(self.maps, layers, self.how, recalibration.beats)
        controls = [control for control in self.maps.controls if control in names]
        random = CascadeMaps(self.maps, tasks, methods, controls)
        permuted = permuted_tasks(self.maps, self.permuted_checkpoints)
        self.cascade = Cascade(plan, random, permuted, recalibration, self.smooth_draws)

    def _names(self) -> Sequence[str]:
        return self.cascade.plan.names

    def _chosen(self) -> NDArray[np.bool_]:
        ids, patients = self.examples["ecg_id"].tolist(), self.examples["patient_id"].tolist()
        return patients_choice(ids, self.examples["label"].to_numpy(), self.max_examples, patients)

    def _places(self) -> Mapping[str, StoreLayout]:
        return self.cascade.places()

    def _settings(self) -> dict[str, JSON]:
        return self.cascade.settings()

    def _measure(self, batch: AuditBatch) -> Mapping[str, ArrayLike]:
        return self.cascade.measure(batch)

    def _summarise(self, trainer: Trainer, module: LightningModule) -> None:
        every, names, run = np.arange(len(self.examples)), self.cascade.plan.names, self.audited_run
        reliability = {name: store.read(every) for name, store in self.maps.reliability.items() if name in names}
        results = AuditResults(trainer)
        CascadeReport(self.cascade, self.values, self.chosen, reliability, run).write(results)
        report_random_networks(results, self.cascade.plan, run, self.cascade.recalibration.origin)
