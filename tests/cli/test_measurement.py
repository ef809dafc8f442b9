"""A measurement as target, from fit to report: age on real recordings of 10 s at 100 Hz, two training seeds."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from few_keys import without_others
from workplace import CONFIGS

from ecg_lightning import open_run
from ecg_lightning.cli import main
from ecg_lightning.models.classifier import EcgClassifier

FEW = (
    "maps: { methods: [saliency, gradient_x_input] }\n"
    "randomization: { draws: 2, draws_of_expensive_methods: 2, n_resamples: 100, repeats: 1 }\n"
    "perturbation: { n_resamples: 100 }\n"
)
NO_AUDITS = "maps: { methods: [saliency, gradient_x_input] }\n" + without_others("maps", "test_record")


def arguments(stage: str, root: Path, folder: Path, *more: str) -> list[str]:
    return [
        *(stage, "--config", str(CONFIGS / f"{'fit' if stage == 'fit' else 'test'}.yaml")),
        *("--config", str(CONFIGS / "data/ptbxl.yaml"), "--config", str(CONFIGS / "data/recordings_100hz.yaml")),
        *("--config", str(CONFIGS / "model/small_recordings.yaml"), "--root", str(root / "ptbxl"), "--target", "age"),
        *("--study", "ages", "--runs", str(folder / "runs"), "--data.cache_dir", str(folder / "cache")),
        *("--data.processes", "1", "--data.n_backgrounds", "5", "--data.split", "folds"),
        *("--trainer.accelerator", "cpu", "--trainer.logger", "false", "--trainer.enable_progress_bar", "false"),
        *more,
    ]


@pytest.fixture(scope="module")
def folder(data_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two networks of age, the first tested with every audit."""
    folder = tmp_path_factory.mktemp("measurement")
    for seed, keys in (("0", FEW), ("1", NO_AUDITS)):
        (folder / "few.yaml").write_text(keys)
        main(arguments("fit", data_root, folder, "--seed_everything", seed, "--trainer.max_epochs", "2"))
        few = ("--config", str(folder / "few.yaml"), "--figures", "summary" if seed == "0" else "none")
        main(arguments("test", data_root, folder, "--seed_everything", seed, *few))
    return folder


def test_scores_have_the_unit_and_no_threshold(folder: Path) -> None:
    run = open_run(folder / "runs/ages/age/seed0")
    metrics, label = run.metrics, run.examples["label"].to_numpy(dtype=float)
    assert {"mae", "rmse", "r2", "pearson", "spearman"} < set(metrics)
    assert not {"auroc", "threshold", "n_positive"} & set(metrics)
    assert (metrics["unit"], metrics["n_ecgs"]) == ("years", int(np.isfinite(label).sum()))
    scale = metrics["label_scale"]
    predicted = np.asarray(run.logits) * scale["deviation"] + scale["mean"]
    assert metrics["mae"]["value"] == pytest.approx(np.nanmean(np.abs(predicted - label)), rel=1e-6)
    assert metrics["mae"]["low"] < metrics["mae"]["value"] < metrics["mae"]["high"]
    assert run.row_store("logits").spec.unit == "standard deviations of the training labels"
    assert run.row_store("logits").spec.settings["label_scale"] == scale
    assert (run.maps["saliency"].attrs["units"], run.maps["gradient_x_input"].attrs["units"]) == ("SD per mV", "SD")


def test_the_checkpoint_knows_its_scale(folder: Path) -> None:
    run = open_run(folder / "runs/ages/age/seed0")
    module = EcgClassifier.load_from_checkpoint(run.checkpoint)
    splits = run.splits.set_index("ecg_id")["split"]
    population = pd.read_parquet(folder / "runs/ages/population.parquet").set_index("ecg_id")
    training = population.loc[splits[splits == "train"].index, "age_label"].to_numpy(dtype=float)
    assert module.target_info.unit == "years"
    assert module.label_scale.mean == pytest.approx(np.nanmean(training), rel=1e-6)
    assert module.label_scale.deviation == pytest.approx(np.nanstd(training), rel=1e-6)


def test_partners_have_the_nearest_prediction(folder: Path) -> None:
    run = open_run(folder / "runs/ages/age/seed0")
    table = pd.read_parquet(run.path / "partners.parquet").query("place == 0")
    said, patients = np.asarray(run.logits), run.examples["patient_id"].to_numpy()
    np.testing.assert_allclose(table["predicted"], said)
    for row, partner in zip(table["row"], table["partner_row"], strict=True):
        others = patients != patients[row]
        assert others[partner]
        assert abs(said[partner] - said[row]) == np.abs(said[others] - said[row]).min()


def test_curves_and_cascade_are_of_r2_and_change(folder: Path) -> None:
    run = open_run(folder / "runs/ages/age/seed0")
    table = pd.read_parquet(run.paths.table("perturbation"))
    assert {"r2", "change", "distance"} == set(table["metric"])
    kind = "block50_interpolation_none"
    outputs = np.asarray(run.store(f"perturbation/{kind}/morf").sel({"method": "saliency"}))
    label = (run.examples["label"].to_numpy(dtype=float) - run.metrics["label_scale"]["mean"]) / (
        run.metrics["label_scale"]["deviation"]
    )
    chosen = table[(table["kind"] == kind) & (table["map"] == "own") & (table["order"] == "morf")]
    chosen = chosen[chosen["method"] == "saliency"].set_index(["metric", "step"])["value"]
    error, spread = ((outputs[:, 4] - label) ** 2).sum(), ((label - label.mean()) ** 2).sum()
    assert chosen["r2", 4] == pytest.approx(1 - error / spread, rel=1e-5)
    change = np.abs(outputs[:, 4] - outputs[:, 0]).mean() / outputs[:, 0].std()
    assert chosen["change", 4] == pytest.approx(change, rel=1e-5)
    network = pd.read_parquet(run.paths.table("cascade_network"))
    assert network["r2"].notna().all()
    assert "auroc" not in network


def test_verdicts_rest_on_the_change(folder: Path) -> None:
    table = pd.read_parquet(open_run(folder / "runs/ages/age/seed0").paths.table("verdicts"))
    of_check = table[(table["check"] == "perturbation") & (table["state"] != "not_measured")]
    assert set(of_check["score"]) == {"change"}
    assert set(of_check["margin_fail"]) == {0.05}
    assert (of_check["n_patients"] >= 20).all()
    assert not table["why"].eq("few_patients_without").any()


def test_predictions_are_in_years(data_root: Path, folder: Path) -> None:
    checkpoint = str(open_run(folder / "runs/ages/age/seed0").checkpoint)
    main(arguments("predict", data_root, folder, "--study", "said", "--ckpt_path", checkpoint))
    table = pd.read_parquet(folder / "runs/said/age/seed0/predictions.parquet")
    assert {"output", "prediction"} < set(table)
    assert not {"logit", "probability", "positive"} & set(table)
    scale = torch.load(checkpoint, weights_only=True)["ecg_label_scale"]
    np.testing.assert_allclose(table["prediction"], table["output"] * scale["deviation"] + scale["mean"], rtol=1e-6)


def test_the_report_speaks_of_a_measurement(folder: Path) -> None:
    main(["compare", str(folder / "runs/ages")])
    main(["report", str(folder / "runs/ages"), "--n_resamples", "100"])
    agreed = pd.read_parquet(folder / "runs/ages/comparison/age/partners.parquet")
    assert (agreed["agreed"] == 1).all()
    assert (agreed["partner_row"] >= 0).all()
    page = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", (folder / "runs/ages/report.html").read_text()))
    for words in (
        "(1 measurement, up to 2 seeds)",
        "Age (years)",
        "Mean absolute error",
        "networks count in standard deviations from the mean of their training labels",
        "mean |change| (SD of predictions)",
        "R2 at the end",
    ):
        assert words in page, words
    for words in ("Youden", "AUPRC", "True positive", "probability of"):
        assert words not in page.split("Published vs this study")[0], words
