"""Perturbation curves on a real network: stores, tables, and what a slow loop says."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from test_audit import run
from torchmetrics.functional.classification import binary_auroc, binary_average_precision
from workplace import Workplace

from callbacks import AttributionMaps, TestRecord
from callbacks.perturbation_curves import PerturbationCurves
from ecg_lightning import open_run
from ecg_lightning.attribution.controls import CONTROLS
from ecg_lightning.attribution.seeding import RandomKey
from ecg_lightning.models import EcgClassifier

METHODS = ["saliency", "gradcam"]
STEPS = 4


@pytest.fixture(scope="module")
def audited(trained: Workplace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("perturbed")
    curves = PerturbationCurves(steps=STEPS, fraction_per_step=0.05, n_resamples=100)
    return run(trained, folder, AttributionMaps(METHODS), TestRecord(), curves)


def slow_logit(place: Workplace, beat: np.ndarray, map_: np.ndarray, ecg_id: str, count: int, lerf: bool) -> float:
    """One ECG after one step, point by point, through the unfolded network."""
    ties, noise = (
        RandomKey(0, ecg_id=ecg_id, purpose=f"perturbation {what}").normal(8, 600).numpy() for what in ("ties", "noise")
    )
    order = np.lexsort((ties.ravel(), -np.abs(map_).ravel()))
    chosen = np.zeros(4800, dtype=bool)
    chosen[order[::-1][:count] if lerf else order[:count]] = True
    chosen = chosen.reshape(8, 600)
    result, time = beat.copy(), np.arange(600)
    for lead in range(8):
        out = chosen[lead]
        line = np.interp(time, time[~out], beat[lead, ~out]) if not out.all() else np.zeros(600)
        result[lead, out] = (line * (1 + 0.25 * noise[lead]))[out]
    network = EcgClassifier.load_from_checkpoint(place.run() / "checkpoints/best.ckpt").network.eval()
    with torch.no_grad():
        return float(network(torch.from_numpy(result[None]).float()).reshape(()))


def test_logits_are_those_of_a_slow_loop(trained: Workplace, audited: Path) -> None:
    from test_callbacks import datamodule

    module = datamodule(trained)
    module.prepare_data()
    module.setup("test")
    opened = open_run(audited)
    for row, name, step, order in (
        (0, "saliency", 4, "morf"),
        (5, "gradcam", 2, "lerf"),
        (8, "absolute_input", 1, "morf"),
    ):
        beat = module.dataset("test")[row]["ecg"][0].numpy().astype(float)
        map_ = np.abs(beat) if name == "absolute_input" else opened.maps[name][row].to_numpy()
        ecg_id = str(opened.examples["ecg_id"][row])
        expected = slow_logit(trained, beat, map_.astype(np.float32), ecg_id, 240 * step, order == "lerf")
        found = float(opened.store(f"perturbation/{order}").sel({"method": name, "step": step})[row])
        assert found == pytest.approx(expected, abs=1e-4)


def test_step_zero_is_the_untouched_beat(audited: Path) -> None:
    opened = open_run(audited)
    for order in ("morf", "lerf"):
        start = opened.store(f"perturbation/{order}").sel({"step": 0}).to_numpy()
        np.testing.assert_allclose(start, np.tile(opened.logits.to_numpy()[:, None], len(METHODS) + 4), atol=1e-4)


def test_tables_hold_the_scores_of_the_stores(audited: Path) -> None:
    opened = open_run(audited)
    table = pd.read_parquet(audited / "tables/perturbation.parquet")
    assert set(table["method"]) == {*METHODS, *CONTROLS}
    assert set(table[table["control"]]["method"]) == set(CONTROLS)
    label = torch.tensor(opened.examples["label"].to_numpy()).long()
    logits = torch.tensor(opened.store("perturbation/morf").sel({"method": "saliency", "step": 3}).to_numpy())
    rows = table.set_index(["order", "method", "step", "metric"])["value"]
    assert rows["morf", "saliency", 3, "auroc"] == pytest.approx(float(binary_auroc(logits.double().sigmoid(), label)))
    assert rows["morf", "saliency", 3, "auprc"] == pytest.approx(
        float(binary_average_precision(logits.double().sigmoid(), label))
    )
    assert rows["morf", "saliency", 3, "probability"] == pytest.approx(float(logits.sigmoid()[label == 1].mean()))
    wide = table[(table["metric"] == "auroc") & (table["step"] == 0)]
    assert wide["value"].nunique() == 1
    assert (table["low"] <= table["value"] + 1e-9).all()
    assert (table["value"] <= table["high"] + 1e-9).mean() > 0.95  # an AUROC of 1 has a percentile interval below it


def test_the_summary_compares_with_the_best_control(audited: Path) -> None:
    summary = pd.read_parquet(audited / "tables/perturbation_summary.parquet").set_index(["metric", "method"])
    best = summary.loc["probability"].loc[list(CONTROLS), "abpc"].max()
    for name in METHODS:
        row = summary.loc["probability", name]
        assert row["difference_to_best_control"] == pytest.approx(row["abpc"] - best)
        assert row["p"] <= row["p_holm"] <= 1
    assert summary.loc["probability"].loc[list(CONTROLS), "p"].isna().all()


def test_pictures_are_there(audited: Path) -> None:
    for suffix in ("png", "svg"):
        assert (audited / f"figures/perturbation/auroc.{suffix}").stat().st_size > 10_000


def test_rows_do_not_depend_on_the_batch_and_are_not_measured_twice(
    trained: Workplace, audited: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PerturbationCurves, "rows_at_once", 1)
    monkeypatch.setattr("callbacks.perturbation_curves._FLOATS_AT_ONCE", 1)
    curves = PerturbationCurves(steps=STEPS, fraction_per_step=0.05, n_resamples=100)
    other = run(trained, tmp_path, AttributionMaps(METHODS), TestRecord(), curves)
    for order in ("morf", "lerf"):
        one, many = (open_run(path).store(f"perturbation/{order}").to_numpy() for path in (other, audited))
        np.testing.assert_array_equal(one, many)
    monkeypatch.setattr(PerturbationCurves, "_measure", None)  # would fail if it were called
    run(trained, tmp_path, AttributionMaps(METHODS), TestRecord(), curves)


def test_constant_maps_have_no_curve(trained: Workplace, tmp_path: Path) -> None:
    curves = PerturbationCurves(steps=2, orders=["morf"], n_resamples=100)
    maps = AttributionMaps(["saliency"], controls=["random"])
    original = maps.on_test_batch_end

    def flatten(*arguments: object) -> None:
        original(*arguments)  # type: ignore[arg-type]
        arguments[2]["maps"]["saliency"][:] = 1.0  # type: ignore[index]

    maps.on_test_batch_end = flatten  # type: ignore[method-assign, assignment]
    with pytest.warns(UserWarning, match=r"rank nothing and have no curve \(saliency: 9 ECGs\)"):
        path = run(trained, tmp_path, maps, TestRecord(), curves)
    found = open_run(path).store("perturbation/morf")
    assert np.isnan(found.sel({"method": "saliency"})).all()
    assert np.isfinite(found.sel({"method": "random"})).all()


def test_impossible_settings() -> None:
    with pytest.raises(ValueError, match="at most 100 %"):
        PerturbationCurves(steps=30, fraction_per_step=0.05)
    with pytest.raises(ValueError, match="orders: expected some of morf, lerf"):
        PerturbationCurves(orders=["random"])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="unknown noise"):
        PerturbationCurves(noise="pink")  # type: ignore[arg-type]
