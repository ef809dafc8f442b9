"""What ``predict`` leaves: a table of what the network says of every ECG."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter
from lightning.pytorch.utilities import rank_zero_warn

from callbacks.current_run import datamodule_of, on_rank_zero, run_folder
from ecg_lightning.storage.atomic import write_parquet_atomic


class PredictionTable(BasePredictionWriter):
    """Writes ``predictions.parquet``: the examples with what the network says.

    Of a diagnosis ``logit``, ``probability`` and ``positive``; of a measurement ``output``, in standard deviations of
    the training labels, and ``prediction``, in the target's unit.
    """

    def __init__(self) -> None:
        super().__init__(write_interval="epoch")

    def write_on_epoch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        predictions: Sequence[Any],
        batch_indices: Sequence[Any],
    ) -> None:
        """Each rank writes its part, rank zero joins the parts."""
        folder = run_folder(trainer).path
        columns = predictions[0] if predictions else ("row",)
        part = pd.DataFrame({name: [v for p in predictions for v in p[name].tolist()] for name in columns})
        write_parquet_atomic(folder / f"predictions.{trainer.global_rank}.parquet", part)
        trainer.strategy.barrier()
        on_rank_zero(trainer, lambda: self._join(trainer))

    def _join(self, trainer: Trainer) -> None:
        folder = run_folder(trainer).path
        parts = [folder / f"predictions.{rank}.parquet" for rank in range(trainer.world_size)]
        predicted = pd.concat([pd.read_parquet(part) for part in parts])
        examples = datamodule_of(trainer, "PredictionTable").examples("test").drop(columns="cache_row")
        joined = examples.merge(predicted, on="row", validate="one_to_one").sort_values("row")
        write_parquet_atomic(folder / "predictions.parquet", joined.reset_index(drop=True))
        for part in parts:
            part.unlink()
        if untold := len(examples) - len(joined):
            rank_zero_warn(
                f"{untold} of {len(examples)} test ECGs were not predicted, and miss in {folder}/predictions.parquet: "
                "run `predict` without limit_predict_batches (and without fast_dev_run)"
            )
