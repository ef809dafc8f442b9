"""Localisation through the callbacks, on recordings of simulated ECGs."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from lightning.pytorch import Trainer
from torch import Tensor, nn

from callbacks import AttributionMaps, EvidenceLocalization, LogitsAndMetrics
from ecg_lightning import open_run
from ecg_lightning.data.datamodule import EcgDataModule
from ecg_lightning.data.regions import read_regions
from ecg_lightning.data.representations import RecordingWindow
from ecg_lightning.data.sources import Synthetic
from ecg_lightning.experiments.localization.over_beats import scores_over_beats
from ecg_lightning.models import EcgClassifier
from ecg_lightning.runs.run import Run


class ReadsSteepest(nn.Module):
    """Tells the largest slope of a recording in V2: it looks at one beat."""

    def forward(self, ecg: Tensor) -> Tensor:
        return (ecg[:, 7, 2:] - ecg[:, 7, :-2]).amax(-1)


def run_of(folder: Path, target: str) -> tuple[Run, EcgDataModule]:
    source = Synthetic(n_patients=30)
    module = EcgDataModule(
        source, target, str(folder / "cache"), split="test_only", processes=1, representation=RecordingWindow()
    )
    path = folder / "runs/recordings" / target / "seed0"
    audits = [AttributionMaps(["saliency"]), LogitsAndMetrics(), EvidenceLocalization(n_resamples=100)]
    trainer = Trainer(
        default_root_dir=path,
        callbacks=audits,
        logger=False,
        accelerator="cpu",
        inference_mode=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    trainer.test(EcgClassifier(ReadsSteepest(), target=target), datamodule=module, verbose=False)
    return open_run(path), module


@pytest.fixture(scope="module")
def low_voltage(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, EcgDataModule]:
    return run_of(tmp_path_factory.mktemp("recordings"), "low_qrs_voltage")


def test_maps_are_averaged_over_their_beats(low_voltage: tuple[Run, EcgDataModule]) -> None:
    run, module = low_voltage
    cache_rows = module.examples("test")["cache_row"].to_numpy(np.intp)
    masks, known = read_regions(module.cache, cache_rows, "low_qrs_voltage")["causal"]
    rows = np.flatnonzero(known)
    assert len(rows) > 1
    peaks = module.cache.examples["r_peaks"].iloc[cache_rows[rows]].tolist()
    maps = torch.from_numpy(np.stack([np.array(run.maps["saliency"][row]) for row in rows]))[:, None]
    expected, share = scores_over_beats(
        maps, torch.from_numpy(masks[rows])[:, None], peaks, peaks, module.signal_format
    )
    for name, values in expected.items():
        found = run.store(f"localization/{name}").sel({"region": "causal", "method": "saliency"}).to_numpy()
        np.testing.assert_allclose(found[rows], values[:, 0, 0].numpy(), atol=1e-6)
        assert np.isnan(np.delete(found, rows)).all()
    found = run.store("localization/share").sel({"region": "causal"}).to_numpy()
    np.testing.assert_allclose(found[rows], share[:, 0].numpy(), atol=1e-6)


def test_another_patient_s_map_has_that_patient_s_beats(low_voltage: tuple[Run, EcgDataModule]) -> None:
    run, module = low_voltage
    examples = module.examples("test")
    cache_rows = examples["cache_row"].to_numpy(np.intp)
    masks, known = read_regions(module.cache, cache_rows, "low_qrs_voltage")["QRS"]
    partner = pd.read_parquet(run.path / "partners.parquet").set_index(["row", "place"])["partner_row"].unstack()
    found = run.store("localization/controls/auroc").sel({"region": "QRS", "method": "saliency"})
    peaks = module.cache.examples["r_peaks"].iloc[cache_rows].tolist()
    for row in np.flatnonzero(known)[:4].tolist():
        scores = []
        for other in (one for one in partner.loc[row] if one >= 0):
            theirs = torch.from_numpy(np.array(run.maps["saliency"][other]))[None, None]
            mask = torch.from_numpy(masks[[row]])[:, None]
            both = scores_over_beats(theirs, mask, [peaks[other]], [peaks[row]], module.signal_format)[0]
            scores.append(float(both["auroc"]))
        assert float(found.sel({"control": "other_ecg"})[row]) == pytest.approx(np.nanmean(scores), abs=1e-6)
    assert np.isnan(found.sel({"control": "mean_map"}).to_numpy()).all()


def test_a_network_of_one_beat_marks_the_qrs_complex(low_voltage: tuple[Run, EcgDataModule]) -> None:
    """Its only marked beat counts as all of them, so that its maximum lies in the complex, whichever beat it is."""
    table = pd.read_parquet(low_voltage[0].path / "tables/localization.parquet")
    rows = table.set_index(["score", "region", "method", "map"])["value"]
    assert rows["pointing_game", "QRS", "saliency", "own"] > 0.9
    assert abs(rows["auroc", "QRS", "random", "own"] - 0.5) < 0.05


def test_evidence_of_rhythms_is_not_known_and_said_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        run, _ = run_of(tmp_path, "sinus_tachycardia")
    assert "no evidence of sinus_tachycardia is known: a twin with another rhythm has its beats at other" in caplog.text
    regions = run.store("localization/auroc").coords["region"].to_numpy()
    assert set(regions.tolist()) == {"P", "PR", "QRS", "ST", "T"}
