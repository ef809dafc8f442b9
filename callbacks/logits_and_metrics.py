"""What a ``test`` leaves on disk besides maps: its ECGs, their logits, and the metrics with intervals."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_warn

from callbacks.current_run import (
    check_interval_settings,
    classifier_of,
    datamodule_of,
    identity,
    on_rank_zero,
    open_store,
    run_folder,
)
from callbacks.mending import mend_stores, take_away_damaged
from callbacks.splits_and_fit_seal import check_splits, record_splits, record_test_beats
from callbacks.test_seal import close_store, last_callback
from ecg_lightning.models.classifier import EcgClassifier
from ecg_lightning.models.outcome import Outcome, Resampling
from ecg_lightning.runs.checkpoints import epoch_of, read_checkpoint
from ecg_lightning.runs.finished import TARGET_INFO, TEST_SET, UNFINISHED_FIT, unfinished_fit
from ecg_lightning.runs.layout import OnMismatch
from ecg_lightning.storage.atomic import write_json_atomic, write_parquet_atomic
from ecg_lightning.storage.store import StoreSpec


class LogitsAndMetrics(Callback):
    """Writes ``examples.parquet``, ``logits/`` and ``metrics.json`` with patient-clustered intervals.

    When every callback has written what it writes, ``test.done.json`` says that the test has ended, how many of the
    test ECGs were tested, and which stores lack some, and seals all files: a change of any of them is noticed from then
    on. A part of a test (``limit_test_batches``) is not a finished run; the same test without the limit goes on with
    the rest. Files that have changed since an earlier test of the same
    folder are taken away at the start, and a store whose digests alone are damaged gets them back.

    Args:
        n_resamples: Bootstrap resamples of the patients.
        confidence: Confidence level of the intervals.
        bootstrap_seed: Seed of the bootstrap resamples.
        on_mismatch: What to do with logits of another network or other ECGs: ``error``, or ``replace``.
        keep_beats: Keep the test ECGs once a study (``test_beats.npy``, up to 20,000), so that its report and notebooks
            can draw them; False where beats must not leave their cache.

    Source: paper, "Statistical analysis"; intervals resample patients, never ECGs (design, section 6).
    """

    def __init__(
        self,
        n_resamples: int = 1000,
        confidence: float = 0.95,
        bootstrap_seed: int = 0,
        on_mismatch: OnMismatch = "error",
        keep_beats: bool = True,
    ) -> None:
        super().__init__()
        check_interval_settings("LogitsAndMetrics", n_resamples, confidence)
        self.n_resamples = n_resamples
        self.confidence = confidence
        self.bootstrap_seed = bootstrap_seed
        self.on_mismatch: OnMismatch = on_mismatch
        self.keep_beats = keep_beats

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse ECGs that the study has split otherwise, and mend what can be mended, before stores are opened."""
        if stage != "test":
            return
        datamodule, paths = datamodule_of(trainer, "LogitsAndMetrics"), run_folder(trainer)
        on_rank_zero(trainer, lambda: check_splits(paths, datamodule))
        on_rank_zero(trainer, lambda: mend_stores(paths))
        if trainer.limit_test_batches == 0:  # Lightning calls no further hook then
            n_ecgs = len(datamodule.examples("test"))
            rank_zero_warn(f"limit_test_batches is 0: all {n_ecgs} test ECGs are not tested, and nothing is written")
        last_callback(trainer).content = self._content

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Open the logits' store and write the test ECGs in row order."""
        module = classifier_of(pl_module, "LogitsAndMetrics")
        datamodule = datamodule_of(trainer, "LogitsAndMetrics")
        paths = run_folder(trainer)
        self.unfinished_fit = _unfinished_fit(trainer)
        self.target_info = datamodule.target_info.as_dict()
        on_rank_zero(trainer, lambda: take_away_damaged(paths))
        on_rank_zero(trainer, lambda: record_splits(paths, datamodule))  # not before the checkpoint was accepted
        if self.keep_beats:
            on_rank_zero(trainer, lambda: record_test_beats(paths, datamodule))
        self.examples = datamodule.examples("test").drop(columns="cache_row")
        network, ecgs, settings = identity(module, datamodule)
        spec = StoreSpec(
            dims=("row",),
            shape=(len(self.examples),),
            dtype="float32",
            unit=module.outcome.unit,
            settings=settings | module.outcome.settings(),
            network=network,
            examples=ecgs,
        )
        self.store = open_store(trainer, paths.logits, spec, self.on_mismatch)
        on_rank_zero(trainer, lambda: write_parquet_atomic(paths.examples, self.examples))

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the batch's logits."""
        self.store.write(outputs["row"].cpu().numpy(), outputs["logit"].float().cpu().numpy())

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Rank zero reads every rank's logits and writes the metrics."""
        close_store(trainer, self.store)
        module = classifier_of(pl_module, "LogitsAndMetrics")
        on_rank_zero(trainer, lambda: self._write_metrics(trainer, module))

    def _content(self) -> dict[str, Any]:
        return {
            "n_ecgs": int(self.store.done.sum()),
            TEST_SET: len(self.examples),
            "network": self.store.spec.network,
            UNFINISHED_FIT: self.unfinished_fit,
            TARGET_INFO: self.target_info,
        }

    def _write_metrics(self, trainer: Trainer, module: EcgClassifier) -> None:
        done = self.store.done
        metrics = metrics_with_intervals(
            self.examples[done],
            self.store.read(np.flatnonzero(done)),
            module.outcome,
            float(module.threshold),
            n_resamples=self.n_resamples,
            confidence=self.confidence,
            seed=self.bootstrap_seed,
        )
        metrics["n_not_tested"] = int((~done).sum())
        write_json_atomic(run_folder(trainer).metrics, metrics)
        intervals = {
            f"test/{name}_{side}": metrics[name][side]
            for name in metrics
            if isinstance(metrics[name], dict) and "low" in metrics[name]
            for side in ("low", "high")
        }
        for logger in trainer.loggers:
            logger.log_metrics(intervals)


def _unfinished_fit(trainer: Trainer) -> str | None:
    """How far a fit was that has not ended and left the tested checkpoint; None where it has ended, or isn't known."""
    if trainer.ckpt_path is None or unfinished_fit(Path(trainer.ckpt_path)) is None:
        return None
    return epoch_of(read_checkpoint(Path(trainer.ckpt_path)))


def metrics_with_intervals(
    examples: pd.DataFrame,
    output: "np.ndarray[Any, np.dtype[np.floating[Any]]]",
    outcome: Outcome,
    threshold: float,
    *,
    n_resamples: int,
    confidence: float,
    seed: int,
) -> dict[str, Any]:
    """The scores of a diagnosis, or of a measurement, with percentile intervals over resampled patients.

    Args:
        examples: Columns ``label`` (NaN where missing: left out) and ``patient_id``.
        output: (n,) of the network for the same ECGs.
        outcome: What the output is taken for.
        threshold: On the probability; probability >= threshold is positive.
        n_resamples: Bootstrap resamples.
        confidence: Confidence level of the intervals.
        seed: Seed of the bootstrap resamples.

    Returns:
        Score -> ``value``, ``low``, ``high``; what they depend on; and what was counted.
    """
    label = examples["label"].to_numpy(dtype=float)
    known = ~np.isnan(label)
    patients = examples["patient_id"].to_numpy()[known]
    resampling = Resampling(patients, n_resamples, confidence, seed)
    return outcome.metrics(output[known].astype(float), label[known], threshold, resampling) | {
        "interval": {
            "confidence": confidence,
            "method": "percentile bootstrap over patients",
            "resamples": n_resamples,
        },
        "n_ecgs": int(known.sum()),
        "n_patients": len(np.unique(patients)),
        "n_label_missing": int((~known).sum()),
    }
