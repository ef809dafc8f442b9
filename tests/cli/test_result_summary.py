"""The last words of a test."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from callbacks.logits_and_metrics import metrics_with_intervals
from callbacks.result_summary import summary
from ecg_lightning.models.outcome import Diagnosis
from ecg_lightning.storage.atomic import write_json_atomic


def metrics_of(label: list[float], folder: Path) -> dict[str, Any]:
    """Write and read back the metrics of one ECG a patient, whose logits rank as they are listed."""
    examples = pd.DataFrame({"label": label, "patient_id": [f"p{k}" for k in range(len(label))]})
    logit = np.arange(len(label), dtype=np.float32)
    metrics = metrics_with_intervals(examples, logit, Diagnosis(), 0.5, n_resamples=50, confidence=0.9, seed=0)
    write_json_atomic(folder / "metrics.json", metrics)
    read: dict[str, Any] = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    return read


def test_score_interval_and_every_place_are_named(tmp_path: Path) -> None:
    auroc = metrics_of([0.0, 1.0, 0.0, 0.0, np.nan, 1.0, 1.0], tmp_path)["auroc"]
    for path in ("maps/saliency/manifest.json", "maps/gradcam/manifest.json", "figures/a.png", "figures/maps/b/c.png"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    shutil.copytree(tmp_path / "maps/gradcam", tmp_path / "maps/gradcam.replaced-20260101T000000.000000Z")
    (tmp_path / "maps/broken").mkdir()  # of a killed run: without a manifest it is no store
    assert auroc["value"] == pytest.approx(7 / 9)
    assert summary(tmp_path, "sinus_rhythm", ["runs/wandb/offline-run-1"]) == [
        f"Results of sinus_rhythm in {tmp_path}",
        f"  AUROC 0.778 (90% interval over patients {auroc['low']:.3f} to {auroc['high']:.3f}), 3 of 6 ECGs have it: "
        "metrics.json",
        "  maps of 2 methods: maps/",
        "  2 pictures: figures/",
        "  W&B: runs/wandb/offline-run-1",
    ]


def test_what_is_not_there_is_not_named(tmp_path: Path) -> None:
    assert summary(tmp_path, "sinus_rhythm", []) == [f"Results of sinus_rhythm in {tmp_path}"]


@pytest.mark.parametrize(("label", "counts"), [([0.0, 0.0], "0 of 2"), ([1.0], "1 of 1"), ([np.nan], "0 of 0")])
def test_one_class_has_no_auroc(tmp_path: Path, label: list[float], counts: str) -> None:
    """As with ``--trainer.limit_test_batches``: hours of maps must not end in an error."""
    metrics_of(label, tmp_path)
    assert summary(tmp_path, "sinus_rhythm", [])[1:] == [f"  no AUROC, {counts} ECGs have it: metrics.json"]


def test_a_score_without_an_interval(tmp_path: Path) -> None:
    metrics = metrics_of([0.0, 1.0], tmp_path)
    metrics["auroc"] |= {"low": None, "high": None}
    write_json_atomic(tmp_path / "metrics.json", metrics)
    assert summary(tmp_path, "sinus_rhythm", [])[1:] == [
        "  AUROC 1.000 (no interval), 1 of 2 ECGs have it: metrics.json"
    ]
