"""How much DeepLIFT-SHAP and GradientSHAP depend on the choice of their backgrounds."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.signal import savgol_filter
from test_audit import run
from test_callbacks import datamodule
from workplace import Workplace

from callbacks import AttributionMaps, BackgroundDependence
from ecg_lightning import open_run
from ecg_lightning.attribution.methods import DeepLiftShap, GradientShap
from ecg_lightning.data.backgrounds import Backgrounds
from ecg_lightning.data.datamodule import EcgDataModule

METHODS = [DeepLiftShap(), GradientShap(20)]
FOLDER = "reliability_over_backgrounds"


def test_two_maps_over_sets_of_other_patients_are_compared(trained: Workplace, tmp_path: Path) -> None:
    maps, audit = AttributionMaps(["saliency", *METHODS]), BackgroundDependence(max_examples=4)
    path = run(trained, tmp_path, maps, audit)
    found = open_run(path).store(f"{FOLDER}/deeplift_shap").to_numpy()
    rows = np.flatnonzero(np.isfinite(found))
    assert len(rows) == 4
    assert not (path / FOLDER / "saliency").exists()
    first = datamodule(trained)
    first.setup("test")
    train = first.examples("train").set_index("ecg_id")["patient_id"]
    chosen = first.training_backgrounds()
    assert torch.equal(chosen.beats, first.backgrounds(audit.module.backgrounds).beats)
    assert not set(train[chosen.ecg_ids]) & set(train[audit.others.ecg_ids])
    assert len(audit.others) == len(chosen) == 5
    for row in rows:
        ecg = first.dataset("test")[int(row)]["ecg"]
        other = DeepLiftShap()(replace(maps.task, backgrounds=audit.others.beats), ecg, [maps.key("deeplift_shap", 0)])
        both = np.stack([open_run(path).maps["deeplift_shap"][row].to_numpy(), other[0].numpy()]).astype(np.float64)
        expected = np.corrcoef(savgol_filter(both, 31, 3).reshape(2, -1))[0, 1]
        assert found[row] == pytest.approx(expected, abs=1e-5)
    table = pd.read_parquet(path / "tables/background_dependence.parquet").set_index("method")
    assert table.loc["deeplift_shap", "median"] == pytest.approx(np.median(found[rows]))
    assert list(table["n_ecgs"]) == [4, 4]


def test_the_same_set_twice_leaves_the_draws_alone(
    trained: Workplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(EcgDataModule, "other_backgrounds", lambda self, first: first)
    opened = open_run(run(trained, tmp_path, AttributionMaps(METHODS), BackgroundDependence(max_examples=None)))
    np.testing.assert_allclose(opened.store(f"{FOLDER}/deeplift_shap"), 1.0, atol=1e-6)
    drawn = opened.store(f"{FOLDER}/gradient_shap").to_numpy()
    assert (drawn < 0.9999).all()


def test_rows_that_are_there_are_not_measured_again(trained: Workplace, tmp_path: Path) -> None:
    counted = []

    class Counting(BackgroundDependence):
        def _measure(self, batch):
            counted.extend(batch.rows.tolist())
            return super()._measure(batch)

    for _ in range(2):
        run(trained, tmp_path, AttributionMaps(METHODS), Counting(max_examples=3))
    assert len(counted) == 3


def test_without_more_training_ecgs_nothing_is_measured_and_it_is_said(
    trained: Workplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(EcgDataModule, "other_backgrounds", lambda self, first: first.first(2))
    with pytest.warns(UserWarning, match=r"deeplift_shap depend on their backgrounds is not measured: that takes 5"):
        path = run(trained, tmp_path, AttributionMaps(METHODS[:1]), BackgroundDependence())
    assert not (path / FOLDER).exists()
    with pytest.raises(ValueError, match="max_examples must be at least 1"):
        BackgroundDependence(0)


def test_backgrounds_of_another_source_have_no_others(trained: Workplace) -> None:
    data = datamodule(trained)
    data.setup("test")
    assert len(data.other_backgrounds(Backgrounds(torch.zeros(5, 8, 600), ["a"] * 5, "elsewhere"))) == 0
    assert len(data.other_backgrounds(Backgrounds(torch.zeros(5, 8, 600), ["a"] * 5, data.source.name))) == 0
