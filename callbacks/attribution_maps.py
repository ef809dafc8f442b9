"""Attribution maps of every test ECG, computed once, published to the other callbacks, and kept on disk."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_warn

from callbacks.attribution_report import logged_numbers, maps_table, tell_cost, warnings_of
from callbacks.current_run import classifier_of, datamodule_of, identity, on_rank_zero, run_folder
from callbacks.map_computation import MapComputation
from callbacks.map_lint import LintMode, try_methods, usable_methods
from callbacks.map_specs import map_specs
from callbacks.map_stores import MapStores, check_kept, chosen_to_keep
from callbacks.patient_controls import PatientControls
from callbacks.test_seal import last_callback
from ecg_lightning.attribution import AttributionMethod, MethodName, MethodSet, build_methods
from ecg_lightning.attribution.controls import CONTROLS, ControlName, check_controls, control_maps
from ecg_lightning.attribution.lint import LINTED_ECGS, lint_task
from ecg_lightning.attribution.partners import PATIENT_CONTROLS, PatientControl
from ecg_lightning.attribution.task import Precision
from ecg_lightning.data.backgrounds import Backgrounds
from ecg_lightning.data.datamodule import EcgDataModule
from ecg_lightning.experiments.map_source import MapSource
from ecg_lightning.experiments.maps_of_others import OwnMaps, check_patient_controls
from ecg_lightning.functional.plain_copy import plain_copy
from ecg_lightning.models.classifier import EcgClassifier
from ecg_lightning.plotting.method_style import own_styles
from ecg_lightning.runs.layout import OnMismatch
from ecg_lightning.storage.atomic import write_json_atomic, write_parquet_atomic
from ecg_lightning.storage.store import RowStore


class AttributionMaps(MapSource, Callback):
    """Computes the maps of the test ECGs and puts them in ``outputs["maps"]``, name -> (batch, lead, sample).

    After the methods' maps come those of the controls, which are made anew for every batch.

    Stands before every callback that reads maps. Rows that are in their store already are read from there, so
    that a killed run resumes, and a callback can be added to a finished run without computing a map again. The
    reliability of each stochastic map (see :func:`ecg_lightning.functional.reliability.split_reliability`) is kept in
    ``reliability/<method>/``.

    Args:
        methods: The twelve with some settings changed, or a list of their names and of objects; None: all twelve.
        controls: Maps that know nothing of the network, for the audits to compare with; never stored.
        patient_controls: Maps that know nothing of the patient, which audits make from the stored ones when all are
            there: ``other_ecg``, ``mean_map`` (see :class:`callbacks.patient_controls.PatientControls`).
        partners: Other patients whose maps stand in for an ECG's own; scores are averaged over them where that needs
            no pass through the network.
        attribution_seed: Another seed gives another Monte-Carlo replicate of the stochastic maps.
        dtype: Of the stores; ``float16`` halves them and keeps 3 digits, and refuses maps that are below its range as
            a whole.
        keep_maps: ECGs whose maps stay on the disk when the test has ended, the same for all training seeds; None: all.
            A later test computes the others anew, and `compare` leaves methods out that lack maps.
        memory_budget_mb: What one pass may take (MB).
        gradcam_layer: Dotted name of the module that Grad-CAM reads; None: the network's ``gradcam_layer``.
        precision: Of the passes of the sampling methods: ``bfloat16`` is up to twice as fast where the hardware has it;
            its maps correlate above .998 with those of float32, and depend on the batch that they were computed in.
        compiled: Gone (it compiled those passes, for 1.1 times the speed on a CPU); old configurations may set it.
        lint: What to do about methods that give wrong maps on this network (see ``ecg_lightning.attribution.lint``):
            ``skip`` them and say so, compute them after a ``warn``ing, or don't look: ``off``.
        on_mismatch: What to do with a store of other settings: ``error``, or ``replace``: move it aside.

    Raises:
        ValueError: An unknown method or control, one listed twice, no partner, or fewer than one ECG to keep.
    """

    def __init__(
        self,
        methods: MethodSet | Sequence[MethodName | AttributionMethod] | None = None,
        controls: Sequence[ControlName] = CONTROLS,
        patient_controls: Sequence[PatientControl] = PATIENT_CONTROLS,
        partners: int = 5,
        attribution_seed: int = 0,
        dtype: Literal["float32", "float16"] = "float32",
        keep_maps: int | None = None,
        memory_budget_mb: float = 1024.0,
        gradcam_layer: str | None = None,
        precision: Precision = "float32",
        compiled: bool = False,
        lint: LintMode = "skip",
        on_mismatch: OnMismatch = "error",
    ) -> None:
        super().__init__()
        if compiled:
            rank_zero_warn("maps.compiled is gone and ignored: compiled passes were 1.1 times as fast; remove the key")
        self.methods = build_methods(methods)
        self.own_styles = own_styles(self.methods)
        self.asked = tuple(method.name for method in self.methods)
        self.controls = check_controls(controls)
        self.patient_controls = check_patient_controls(patient_controls, partners)
        self.partners = partners
        self.attribution_seed = attribution_seed
        self.dtype: Literal["float32", "float16"] = dtype
        self.keep_maps = check_kept(keep_maps)
        self.memory_budget_mb = memory_budget_mb
        self.gradcam_layer = gradcam_layer
        self.precision = precision
        self.lint: LintMode = lint
        self.on_mismatch: OnMismatch = on_mismatch
        self.kept = MapStores()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the methods, then of the controls: the keys of ``outputs["maps"]``."""
        return (*(method.name for method in self.methods), *self.controls)

    @property
    def stores(self) -> Mapping[str, RowStore]:
        """Method -> store of its maps."""
        return self.kept.maps

    @property
    def reliability(self) -> Mapping[str, RowStore]:
        """Stochastic method -> store of its maps' reliability."""
        return self.kept.reliability

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse what can't work before anything is computed."""
        if stage == "test":
            datamodule_of(trainer, "AttributionMaps")
            classifier_of(pl_module, "AttributionMaps")

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Freeze a copy of the network, open the stores, say what it will cost."""
        module = classifier_of(pl_module, "AttributionMaps")
        datamodule = datamodule_of(trainer, "AttributionMaps")
        self.ecg_ids = datamodule.examples("test")["ecg_id"].tolist()
        self.computation = MapComputation(self.kept, self.key, self.ecg_ids)
        backgrounds = self._backgrounds(module, datamodule)
        self.backgrounds = backgrounds.beats.to(module.device)
        self.sampling_rate = datamodule.signal_format.sampling_rate
        self.source_network = plain_copy(module.network)
        self.fold = True
        self.task = self.prepared(self.source_network)
        self.methods = tuple(method.fitted(self.task) for method in self.methods)
        self.training_seed = module.seed
        self.threshold = float(module.threshold) if module.target_info.kind == "binary" else None
        self._lint(trainer, datamodule)
        try_methods(self.methods, self.task)
        specs = map_specs(
            self.methods,
            self.task,
            n_ecgs=len(self.ecg_ids),
            dtype=self.dtype,
            of=identity(module, datamodule),
            draws=self.draws,
            backgrounds=backgrounds,
            target=datamodule.target_info,
        )
        self.kept.open(trainer, run_folder(trainer).path, self.methods, specs, self.on_mismatch)
        tell_cost(trainer, self.methods, self.kept, self.task)

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Publish the batch's maps; those that are not in their store are computed first."""
        rows = outputs["row"].cpu().numpy()
        of_rows = (self.task, batch["ecg"], rows)
        maps = {method.name: self.computation.maps(method, *of_rows) for method in self.methods}
        rate = self.sampling_rate
        controls = control_maps(self.controls, batch["ecg"], lambda name, at: self.key(name, int(rows[at])), rate)
        outputs["maps"] = maps | controls

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Unite the ranks' rows; count maps that are constant, not finite, or less reliable than asked for."""
        self.kept.close(trainer)
        if self.keep_maps is not None:
            examples, most = datamodule_of(trainer, "AttributionMaps").examples("test"), self.keep_maps
            last_callback(trainer).before = [lambda: self.kept.keep(chosen_to_keep(examples, most))]
        on_rank_zero(trainer, lambda: self._summarise(trainer, pl_module))
        if self.patient_controls:
            self._meet_others(trainer, datamodule_of(trainer, "AttributionMaps"))

    def _meet_others(self, trainer: Trainer, datamodule: EcgDataModule) -> None:
        self.of_others = PatientControls(
            trainer,
            datamodule,
            OwnMaps(self.stores, self.controls, self.key, self.task.backgrounds.device),
            attribution_seed=self.attribution_seed,
            threshold=self.threshold,
            count=self.partners,
        )
        self.of_others.record()

    def _backgrounds(self, module: EcgClassifier, datamodule: EcgDataModule) -> Backgrounds:
        """Reference ECGs where a method needs them; else one test ECG, whose shape is all that matters then."""
        if any(method.uses_backgrounds for method in self.methods):
            return datamodule.backgrounds(module.backgrounds)
        return Backgrounds(datamodule.dataset("test")[0]["ecg"], self.ecg_ids[:1], datamodule.source.name)

    def _lint(self, trainer: Trainer, datamodule: EcgDataModule) -> None:
        for method in self.methods:
            if self.gradcam_layer or method.kept_layers:
                method.resolved_settings(self.task)  # a name that was given and is wrong is an error, no refusal
        if self.lint == "off":
            return
        ecgs = datamodule.dataset("test").__getitems__(list(range(min(len(self.ecg_ids), LINTED_ECGS))))["ecg"]
        found = self.choose_folding(ecgs)
        report = lint_task(self.source_network, self.task, ecgs, self.methods)
        self.methods = usable_methods(trainer, self.methods, report.with_findings(found), self.lint)

    def _summarise(self, trainer: Trainer, module: LightningModule) -> None:
        table = maps_table(self.methods, self.kept.maps, self.kept.reliability, len(self.task.backgrounds))
        write_parquet_atomic(run_folder(trainer).table("maps"), table)
        if self.own_styles:
            write_json_atomic(run_folder(trainer).method_styles, self.own_styles)
        module.log_dict(logged_numbers(table), rank_zero_only=True)
        for warning in warnings_of(table, self.methods):
            rank_zero_warn(warning)
