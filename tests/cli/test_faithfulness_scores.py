"""Faithfulness scores against Captum's, closed forms, and through the callback."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from captum import metrics
from test_audit import run
from test_callbacks import datamodule
from workplace import Workplace

from callbacks import AttributionMaps, LogitsAndMetrics
from callbacks.faithfulness_scores import FaithfulnessScores
from ecg_lightning import open_run
from ecg_lightning.attribution import RandomKey
from ecg_lightning.attribution.controls import CONTROLS
from ecg_lightning.experiments.example_choice import balanced_choice
from ecg_lightning.experiments.faithfulness.checks import comparisons, mean_map_effects
from ecg_lightning.experiments.faithfulness.measure import infidelity
from ecg_lightning.functional.map_shape import complexity, sparseness
from ecg_lightning.runs.target_runs import TargetRuns

METHODS = ["saliency", "gradient_x_input", "integrated_gradients"]


def draws(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def network(ecg: torch.Tensor) -> torch.Tensor:
    return torch.tanh(ecg[:, 0].sum(-1)) + 0.3 * ecg[:, 1].square().sum(-1)


def test_infidelity_is_captum_s_over_that_of_a_map_of_zeros() -> None:
    ecg, maps, noise = draws(0, 2, 2, 9), draws(1, 2, 3, 2, 9), 0.1 * draws(2, 2, 20, 2, 9)
    change = network(ecg)[:, None] - network((ecg[:, None] - noise).flatten(0, 1)).reshape(2, 20)
    found = infidelity(maps, noise, change)
    for b in range(2):
        for m in range(3):
            expected = metrics.infidelity(
                network,
                lambda inputs, b=b: (noise[b], inputs - noise[b]),
                ecg[b : b + 1],
                maps[b : b + 1, m],
                n_perturb_samples=20,
                normalize=True,
            )
            assert float(found[b, m]) == pytest.approx(float(expected) / float(change[b].square().mean()), rel=1e-6)


def test_the_exact_map_of_a_linear_network_has_no_infidelity() -> None:
    weight, noise = draws(0, 1, 1, 2, 9), draws(1, 1, 30, 2, 9)
    change = (weight[:, 0] * noise[0]).sum((1, 2))[None]
    assert float(infidelity(5.0 * weight, noise, change)) == pytest.approx(0.0, abs=1e-20)
    assert infidelity(torch.zeros_like(weight), noise, change).isnan().all()
    assert infidelity(weight, noise, 0 * change).isnan().all()  # nothing to foretell
    blind = torch.zeros_like(weight).flatten().index_fill(0, torch.tensor(0), 1.0).reshape(weight.shape)
    deaf = (
        change
        - (blind[:, 0] * noise[0]).sum((1, 2)) * (change * noise[0, :, 0, 0]).mean() / noise[0, :, 0, 0].square().mean()
    )
    assert float(infidelity(blind, noise, deaf)) == pytest.approx(1.0)  # foretells nothing
    with pytest.raises(ValueError, match="expected maps"):
        infidelity(weight, noise[:, :2], change)


@pytest.fixture(scope="module")
def scored(trained: Workplace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    scores = FaithfulnessScores(draws=8, sensitivity_draws=3, n_resamples=100)
    return run(trained, tmp_path_factory.mktemp("scored"), AttributionMaps(METHODS), LogitsAndMetrics(), scores)


def test_stores_hold_the_scores_of_the_maps(scored: Path) -> None:
    opened = open_run(scored)
    maps = torch.from_numpy(np.array(opened.maps["saliency"]))
    for name, function in (("sparseness", sparseness), ("complexity", complexity)):
        found = opened.store(f"scores/{name}").sel({"method": "saliency"})
        np.testing.assert_allclose(found, function(maps).numpy(), rtol=1e-5)
    sensitivity = opened.store("scores/max_sensitivity")
    assert np.isfinite(sensitivity.sel({"method": "saliency"})).all()
    assert np.isnan(sensitivity.sel({"method": "integrated_gradients"})).all()  # takes many passes
    assert (opened.store("scores/infidelity") > 0).all()
    assert (opened.store("scores/infidelity") <= 1).all()


def test_maps_of_others_are_held_against_the_patient_s_own_changes(trained: Workplace, scored: Path) -> None:
    opened = open_run(scored)
    partner = pd.read_parquet(scored / "partners.parquet").set_index(["row", "place"])["partner_row"].unstack()
    maps = torch.from_numpy(np.array(opened.maps["gradient_x_input"]))
    change = torch.from_numpy(opened.store("scores/infidelity_change").to_numpy().copy())
    found = opened.store("scores/controls/infidelity").sel({"method": "gradient_x_input", "control": "other_ecg"})
    own = opened.store("scores/infidelity").sel({"method": "gradient_x_input"})
    module = datamodule(trained)
    module.prepare_data()
    module.setup("test")
    beats = module.dataset("test").__getitems__(list(range(9)))["ecg"].numpy()
    for row in (0, 5):
        key = RandomKey(0, ecg_id=str(opened.examples["ecg_id"][row]), purpose="infidelity")
        noise = 0.05 * float(np.ptp(beats[row])) * key.normal(8, 8, 600)[None]
        scores = [float(infidelity(maps[k][None, None], noise, change[row][None])) for k in partner.loc[row] if k >= 0]
        assert float(found[row]) == pytest.approx(np.mean(scores), rel=1e-5)
        assert float(own[row]) == pytest.approx(
            float(infidelity(maps[row][None, None], noise, change[row][None])), rel=1e-5
        )


def test_verdicts_compare_the_patients_with_the_diagnosis(scored: Path) -> None:
    runs = TargetRuns.of("sinus_tachycardia", {0: open_run(scored)})
    found = {(one.method, one.against): one for one in comparisons(runs)}
    one = found["saliency", "random"]
    score = open_run(scored).store("scores/infidelity").to_numpy()
    names = [*METHODS, *CONTROLS]
    gap = (score[:, names.index("random")] - score[:, 0])[runs.label == 1]
    assert float(one.effect.estimate) == pytest.approx(gap.mean())  # one ECG a patient
    assert one.n_positive == one.n_ecgs == (runs.label == 1).sum()
    assert {margin.claim for margin in {one.margin for one in found.values()}} == {
        "uses_the_network",
        "is_about_this_patient",
    }
    assert set(mean_map_effects(runs)) == set(names)


def test_a_choice_prefers_other_patients_and_grows_by_adding() -> None:
    ids = [f"e{k}" for k in range(60)]
    patients = [f"p{k // 3}" for k in range(60)]  # three ECGs each; the first ten patients are ill
    label = np.where(np.arange(60) < 30, 1.0, 0.0)
    chosen = balanced_choice(ids, label, 20, patients)
    assert label[chosen].sum() == 10
    assert len({patients[k] for k in np.flatnonzero(chosen)}) == 20
    smaller, larger = (balanced_choice(ids, label, size, patients) for size in (8, 31))
    assert (chosen[smaller]).all()
    assert (larger[chosen]).all()


def test_the_table_leaves_out_what_was_not_asked_for(scored: Path) -> None:
    table = pd.read_parquet(scored / "tables/scores.parquet")
    assert set(table["map"][table["score"] == "infidelity"]) == {"own", "other_ecg", "mean_map"}
    table = table[table["map"] == "own"].set_index(["score", "method"])
    assert table["n_undefined"].sum() == 0
    assert table.loc[("max_sensitivity", "integrated_gradients"), "n_ecgs"] == 0
    row = table.loc[("sparseness", "saliency")]
    assert row["low"] < row["value"] < row["high"]
    assert (scored / "figures/scores/scores.png").stat().st_size > 10_000


def test_rows_do_not_depend_on_the_batch(
    trained: Workplace, scored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FaithfulnessScores, "rows_at_once", 1)
    scores = FaithfulnessScores(draws=8, sensitivity_draws=3, n_resamples=100)
    other = run(trained, tmp_path, AttributionMaps(METHODS), LogitsAndMetrics(), scores)
    for name in ("infidelity", "max_sensitivity", "sparseness", "complexity"):
        one, many = (open_run(path).store(f"scores/{name}").to_numpy() for path in (other, scored))
        np.testing.assert_allclose(one, many, rtol=1e-5, equal_nan=True)


def test_impossible_settings() -> None:
    with pytest.raises(ValueError, match="draws >= 2"):
        FaithfulnessScores(draws=1)
    with pytest.raises(ValueError, match="positive noise and radius"):
        FaithfulnessScores(radius=0.0)
