"""Maps that know nothing of the patient are made while every rank waits for the others."""

import numpy as np
from lightning.pytorch import Trainer
from lightning.pytorch.utilities import rank_zero_warn

from callbacks.current_run import on_rank_zero, run_folder
from ecg_lightning.attribution.partners import nearest_partners, partners
from ecg_lightning.data.datamodule import EcgDataModule
from ecg_lightning.experiments.maps_of_others import MapsOfOthers, OwnMaps, predicted_classes, stored_outputs
from ecg_lightning.storage.atomic import write_parquet_atomic


class PatientControls(MapsOfOthers):
    """What the methods' maps would be if they were not of this patient; each rank adds up a share of the patients.

    Args:
        trainer: The trainer.
        datamodule: Where the ECGs are read from.
        source: The run's own maps, of every rank.
        attribution_seed: Of the choice of partners.
        threshold: Probability from which on an ECG is predicted to have the diagnosis; None of a measurement.
        count: Partners an ECG.
    """

    def __init__(
        self,
        trainer: Trainer,
        datamodule: EcgDataModule,
        source: OwnMaps,
        *,
        attribution_seed: int,
        threshold: float | None,
        count: int,
    ) -> None:
        dataset, examples = datamodule.dataset("test"), datamodule.examples("test")
        predicted = stored_outputs(run_folder(trainer).logits, source.spec, len(examples))
        patients, ecgs = examples["patient_id"], examples["ecg_id"]
        if threshold is None:
            chosen = nearest_partners(patients, predicted, count, ecgs)
        else:
            predicted = predicted_classes(predicted, threshold)
            chosen = partners(patients, predicted, attribution_seed, count, ecgs)
        super().__init__(source, examples, lambda rows: dataset.__getitems__(rows.tolist())["ecg"], predicted, chosen)
        self.trainer = trainer
        self.threshold = threshold

    def record(self) -> None:
        """Rank zero writes ``partners.parquet``, once it is known, and warns of ECGs without a partner."""
        if not self.ready:
            return
        path = run_folder(self.trainer).path / "partners.parquet"
        table = self.table() if self.threshold is None else self.table().astype({"predicted": np.int64})
        on_rank_zero(self.trainer, lambda: write_parquet_atomic(path, table))
        if alone := int((self.partners[:, 0] < 0).sum()):
            alike = "a prediction" if self.threshold is None else "the same predicted class"
            rank_zero_warn(
                f"{alone} of {len(self.partners)} test ECGs have no partner, another patient with {alike}: their "
                "scores of another ECG's map are unknown, left out and counted"
            )

    def sum_up(self) -> None:
        """Add up all patients' maps, each rank its share of the patients; every rank has to call it."""
        if self.totals is not None:
            return
        strategy, device = self.trainer.strategy, self.trainer.strategy.root_device
        own = self.sums(range(self.trainer.global_rank, len(self.patients), self.trainer.world_size))
        total, count = (strategy.reduce(one.to(device), reduce_op="sum").cpu() for one in own)
        self.totals = (total, count)
