"""Localisation through the callbacks, on simulated ECGs whose evidence is known and on an archive without any."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from lightning.pytorch import Callback, Trainer
from torch import Tensor, nn
from workplace import Workplace

from callbacks import AttributionMaps, EvidenceLocalization, PerturbationCurves, TestRecord
from ecg_lightning import open_run
from ecg_lightning.attribution import METHODS, RandomKey, prepare_task
from ecg_lightning.attribution.controls import CONTROLS
from ecg_lightning.data.datamodule import EcgDataModule
from ecg_lightning.data.regions import read_regions
from ecg_lightning.data.sources import Synthetic
from ecg_lightning.functional.localization import localization_scores
from ecg_lightning.models import EcgClassifier

TARGET = "low_qrs_voltage"
LEAD, SAMPLE = 5, 240


class ReadsOneSample(nn.Module):
    """Looks at one known sample."""

    def forward(self, ecg: Tensor) -> Tensor:
        return 3.0 * ecg[:, LEAD, SAMPLE]


class ReadsOneSampleThroughRelu(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.relu = nn.ReLU()

    def forward(self, ecg: Tensor) -> Tensor:
        return self.relu(ecg[:, LEAD, SAMPLE] + 10.0)


def run(folder: Path, network: nn.Module, *callbacks: Callback) -> tuple[Path, EcgDataModule]:
    module = EcgDataModule(
        Synthetic(n_patients=40), TARGET, cache_dir=str(folder / "cache"), split="test_only", processes=1
    )
    path = folder / "runs/located" / TARGET / "seed0"
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
    trainer.test(EcgClassifier(network, target=TARGET), datamodule=module, verbose=False)
    return path, module


@pytest.fixture(scope="module")
def located(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, EcgDataModule]:
    audit = EvidenceLocalization(n_resamples=100)
    maps = AttributionMaps(["saliency", "gradient_x_input"])
    return run(tmp_path_factory.mktemp("located"), ReadsOneSample(), maps, TestRecord(), audit)


def test_stores_hold_the_scores_of_the_maps(located: tuple[Path, EcgDataModule]) -> None:
    path, module = located
    opened = open_run(path)
    examples = module.examples("test")
    cache_rows = examples["cache_row"].to_numpy(dtype=np.intp)
    masks, known = read_regions(module.cache, cache_rows, TARGET)["causal"]
    assert known.any()
    row = int(np.flatnonzero(known)[0])
    maps = torch.from_numpy(np.array(opened.maps["gradient_x_input"][row]))[None, None]
    for name, score in localization_scores(maps, torch.from_numpy(masks[row])[None, None]).items():
        store = opened.store(f"localization/{name}")
        found = store.sel({"region": "causal", "method": "gradient_x_input"})
        assert float(found[row]) == pytest.approx(float(score), abs=1e-6)
        np.testing.assert_array_equal(np.isnan(found), ~known)
    share = opened.store("localization/share").sel({"region": "causal"})
    assert float(share[row]) == pytest.approx(masks[row].mean(), abs=1e-6)


def test_tables_compare_with_chance_and_controls(located: tuple[Path, EcgDataModule]) -> None:
    table = pd.read_parquet(located[0] / "tables/localization.parquet")
    assert set(table["region"]) == {"causal", "core", "P", "PR", "QRS", "ST", "T"}
    assert set(table["method"]) == {"saliency", "gradient_x_input", *CONTROLS}
    rows = table.set_index(["score", "region", "method"])
    # the network looks at one sample inside the QRS complex
    inside = rows.loc["pointing_game", "QRS", "saliency"]
    assert inside["value"] > 0.95
    assert inside["difference_to_best_control"] == pytest.approx(
        inside["value"] - max(rows.loc["pointing_game", "QRS", name]["value"] for name in CONTROLS)
    )
    noise = rows.loc["auroc", "QRS", "random"]
    assert noise["low"] < 0.5 < noise["high"] or abs(noise["value"] - 0.5) < 0.02
    for region in ("causal", "QRS"):
        assert (located[0] / f"figures/localization/{region}.png").stat().st_size > 10_000


def test_an_archive_without_marks_has_nothing_to_localise(
    trained: Workplace, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from test_audit import run as run_on_archive

    path = run_on_archive(trained, tmp_path, AttributionMaps(["saliency"]), TestRecord(), EvidenceLocalization())
    assert not (path / "localization").exists()
    assert "neither evidence nor waves" in caplog.text


GRADIENT_METHODS = [
    "saliency",
    "smoothgrad",
    "gradient_x_input",
    "integrated_gradients",
    "ig_smoothgrad",
    "gradient_shap",
    "deeplift",
    "deeplift_shap",
    "guided_backprop",
]


@pytest.mark.parametrize("name", GRADIENT_METHODS)
def test_a_network_that_looks_at_one_sample_is_localised(name: str) -> None:
    ecg = torch.randn(3, 8, 600, generator=torch.Generator().manual_seed(0))
    network = ReadsOneSampleThroughRelu() if name == "guided_backprop" else ReadsOneSample()
    task = prepare_task(network, torch.randn(4, 8, 600, generator=torch.Generator().manual_seed(1)))
    maps = METHODS[name]()(task, ecg, [RandomKey(ecg_id=str(k)) for k in range(3)])
    mask = torch.zeros(3, 1, 8, 600, dtype=torch.bool)
    mask[:, :, LEAD, SAMPLE] = True
    scores = localization_scores(maps[:, None], mask)
    for score, values in scores.items():
        assert values.flatten().tolist() == pytest.approx([1.0, 1.0, 1.0]), score


def test_its_morf_curve_falls_at_the_first_step(tmp_path: Path) -> None:
    curves = PerturbationCurves(steps=3, noise="additive_mv", n_resamples=100)
    path, _ = run(tmp_path, ReadsOneSample(), AttributionMaps(["saliency"]), TestRecord(), curves)
    opened = open_run(path)
    change = np.abs(opened.store("perturbation/morf").sel({"method": "saliency"}).to_numpy())
    start, first = change[:, 0], change[:, 1]
    assert (np.abs(start - first) > 0).all()  # the one sample is replaced, and noise makes it another
    lerf = opened.store("perturbation/lerf").sel({"method": "saliency"}).to_numpy()
    np.testing.assert_allclose(lerf, lerf[:, :1].repeat(4, axis=1), atol=1e-6)
