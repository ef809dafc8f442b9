"""Through the command line: MUSE exports and the shipped configuration, from files to a trained network."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from muse_files import MuseEcg, steps, write_muse
from synthetic_ecg import one_beat
from workplace import CONFIGS

from ecg_lightning.cli import main
from ecg_lightning.data.cache import BeatCache
from ecg_lightning.ecg import BEAT_SAMPLES, FIDUCIAL_SAMPLE

N_PATIENTS = 60
TIME = (np.arange(BEAT_SAMPLES) - FIDUCIAL_SAMPLE) / 500.0


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every other patient has low voltages, and 12SL says so."""
    root = tmp_path_factory.mktemp("muse")
    for k in range(N_PATIENTS):
        low = k % 2 == 0
        median = steps(one_beat(TIME, np.full(8, (0.3 if low else 1.0) + 0.002 * k)))
        report = (("Normal sinus rhythm", "ENDSLINE"), *([("Low voltage QRS", "ENDSLINE")] if low else []))
        patient = {"PatientID": f"{k:04d}", "PatientAge": "60", "AgeUnits": "YEARS", "Gender": "MALE"}
        write_muse(root / f"{k % 4}/{k:04d}.xml", replace(MuseEcg(median=median), diagnosis=report, patient=patient))
    (root / "odd.xml").write_text("<restingecgdata/>")
    return root


def test_prepare_and_fit(archive: Path, tmp_path: Path) -> None:
    source = ("--config", str(CONFIGS / "data/muse.yaml"), "--root", str(archive))
    cache = ("--data.cache_dir", str(tmp_path / "cache"), "--data.processes", "1")
    main(["prepare", *source, *cache])
    (folder,) = (tmp_path / "cache").glob("muse-*/")
    beats = BeatCache.open(folder)
    assert len(beats) == N_PATIENTS
    assert beats.rejected["reason_kind"].tolist() == ["unreadable"]
    fit = ("fit", "--config", str(CONFIGS / "fit.yaml"), "--config", str(CONFIGS / "model/small.yaml"), *source, *cache)
    few = (
        "--trainer.max_epochs",
        "1",
        "--data.batch_size",
        "8",
        "--data.n_backgrounds",
        "5",
        "--trainer.logger",
        "false",
    )
    run = ("--target", "low_qrs_voltage", "--seed_everything", "0", "--study", "muse", "--runs", str(tmp_path / "runs"))
    main([*fit, *few, *run, "--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"])
    assert (tmp_path / "runs/muse/low_qrs_voltage/seed0/checkpoints/best.ckpt").is_file()
    assert len(list((tmp_path / "cache").glob("muse-*/"))) == 1  # fit has read the prepared beats
