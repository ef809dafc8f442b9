"""What the audits have in common, with an audit that measures something trivial."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from numpy.typing import ArrayLike, NDArray
from test_callbacks import QUICK, datamodule
from torch import Tensor
from workplace import TARGET, Workplace

from callbacks import AttributionMaps, LogitsAndMetrics
from callbacks.audit import Audit, AuditBatch, StoreLayout
from ecg_lightning import open_run
from ecg_lightning.attribution.base import SinglePassMethod
from ecg_lightning.attribution.controls import CONTROLS, control_maps
from ecg_lightning.attribution.seeding import RandomKey
from ecg_lightning.attribution.task import FrozenModel
from ecg_lightning.models import EcgClassifier
from ecg_lightning.storage.hashing import JSON
from ecg_lightning.storage.store import StoreMismatchError


class MeanMagnitude(Audit):
    """Mean |map| of every method and control."""

    rows_at_once: ClassVar[int] = 3

    def __init__(self, scale: float = 1.0, only_even: bool = False) -> None:
        super().__init__()
        self.scale = scale
        self.only_even = only_even
        self.measured: list[int] = []
        self.summaries = 0

    def _places(self) -> Mapping[str, StoreLayout]:
        return {"scores/magnitude": StoreLayout(("method",), {"method": self.maps.names}, "1")}

    def _settings(self) -> dict[str, JSON]:
        return {"scale": self.scale}

    def _chosen(self) -> NDArray[np.bool_]:
        even = np.arange(len(self.examples)) % 2 == 0
        return even if self.only_even else super()._chosen()

    def _measure(self, batch: AuditBatch) -> Mapping[str, ArrayLike]:
        assert len(batch.rows) <= self.rows_at_once
        self.measured += batch.rows.tolist()
        values = torch.stack([maps.abs().mean((1, 2)) for maps in batch.maps.values()], dim=1)
        return {"scores/magnitude": self.scale * values.numpy()}

    def _summarise(self, trainer: Trainer, module: LightningModule) -> None:
        self.summaries += 1


@dataclass(frozen=True)
class Picky(SinglePassMethod):
    """Fails on one ECG, known by its first value."""

    refused: float

    name = "picky"
    unit = "mV"
    needs_module_relu = False

    def _attribute(self, task: FrozenModel, ecg: Tensor, key: RandomKey) -> Tensor:
        if (ecg[:, 0, 0] == self.refused).any():
            raise ValueError("not this one")
        return ecg.clone()


def run(place: Workplace, folder: Path, *callbacks: Callback) -> Path:
    """Test the place's network with these callbacks."""
    path = folder / "runs/audit" / TARGET / "seed0"
    trainer = Trainer(
        default_root_dir=path,
        callbacks=list(callbacks),
        logger=False,
        accelerator="cpu",
        inference_mode=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    best = place.run() / "checkpoints/best.ckpt"
    module = EcgClassifier.load_from_checkpoint(best)
    trainer.test(module, datamodule=datamodule(place), verbose=False)
    return path


def test_an_audit_measures_every_row_once_and_only_what_is_missing(trained: Workplace, tmp_path: Path) -> None:
    first = MeanMagnitude()
    opened = open_run(run(trained, tmp_path, AttributionMaps(QUICK), LogitsAndMetrics(), first))
    rows = list(range(len(opened.examples)))
    assert sorted(first.measured) == rows
    assert first.summaries == 1
    found = opened.store("scores/magnitude")
    assert list(found.coords["method"].values) == [*QUICK, *CONTROLS]
    saliency = np.abs(opened.maps["saliency"].to_numpy().astype(float)).mean((1, 2))
    np.testing.assert_allclose(found.sel({"method": "saliency"}), saliency, rtol=1e-5)
    again = MeanMagnitude()
    run(trained, tmp_path, AttributionMaps(QUICK), again)
    assert again.measured == []
    assert again.summaries == 1


def test_controls_follow_the_attribution_seed_and_the_ecg(trained: Workplace, tmp_path: Path) -> None:
    path = run(
        trained, tmp_path, AttributionMaps(QUICK, ["random"], attribution_seed=5), LogitsAndMetrics(), MeanMagnitude()
    )
    opened = open_run(path)
    row = 2
    key = RandomKey(5, 0, "random", str(opened.examples["ecg_id"][row]))
    expected = control_maps(("random",), torch.zeros(1, 8, 600), lambda *_: key)["random"].abs().mean()
    found = opened.store("scores/magnitude").sel({"method": "random"})[row]
    assert float(found) == pytest.approx(float(expected), rel=1e-5)


def test_rows_that_were_not_chosen_stay_unknown(trained: Workplace, tmp_path: Path) -> None:
    audit = MeanMagnitude(only_even=True)
    found = open_run(run(trained, tmp_path, AttributionMaps(QUICK), audit)).store("scores/magnitude").to_numpy()
    assert np.isfinite(found[::2]).all()
    assert np.isnan(found[1::2]).all()
    assert np.isnan(audit.values("scores/magnitude")[1::2]).all()


def test_other_settings_are_refused_and_name_both_sides(trained: Workplace, tmp_path: Path) -> None:
    run(trained, tmp_path, AttributionMaps(QUICK), MeanMagnitude())
    with pytest.raises(StoreMismatchError, match=r"settings\.scale: 1 in the store, 2 now"):
        run(trained, tmp_path, AttributionMaps(QUICK), MeanMagnitude(scale=2.0))


def test_an_audit_without_maps_is_refused(trained: Workplace, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="MeanMagnitude reads what AttributionMaps computes"):
        run(trained, tmp_path, MeanMagnitude(), AttributionMaps(QUICK))


def test_settings_of_intervals_are_checked() -> None:
    class Quiet(MeanMagnitude):
        def __init__(self, n_resamples: int, confidence: float) -> None:
            Audit.__init__(self, n_resamples, confidence)

    for resamples, confidence in ((10, 0.95), (1000, 1.0)):
        with pytest.raises(ValueError, match="Quiet: expected at least 100 resamples"):
            Quiet(resamples, confidence)


def test_an_ecg_that_a_method_fails_on_costs_no_other(trained: Workplace, tmp_path: Path) -> None:
    module = datamodule(trained)
    module.prepare_data()
    module.setup("test")
    refused = float(module.dataset("test")[3]["ecg"][0, 0, 0])
    maps = AttributionMaps(["saliency", Picky(refused)])
    with pytest.warns(UserWarning, match="picky failed on the ECG of row .*not this one"):
        opened = open_run(run(trained, tmp_path, maps, LogitsAndMetrics(), MeanMagnitude()))
    found = opened.store("scores/magnitude").sel({"method": "picky"}).to_numpy()
    assert np.flatnonzero(np.isnan(found)).tolist() == [3]
    assert list(maps.computation.failures["picky"]) == [opened.examples["ecg_id"][3]]
    assert maps.computation.failures["saliency"] == {}
