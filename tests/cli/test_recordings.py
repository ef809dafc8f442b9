"""Recordings themselves in place of median beats, on real records: 12 leads x 10 s at 100 Hz, from fit to report."""

import re
from pathlib import Path

import numpy as np
import pytest
from few_keys import without_others
from workplace import CONFIGS

from ecg_lightning import open_run
from ecg_lightning.cli import main
from ecg_lightning.data.representations import TWELVE_LEADS
from ecg_lightning.ecg import SignalFormatError

METHODS = ("saliency", "gradient_x_input")
FEW = (
    "maps: { methods: [saliency, gradient_x_input] }\n"
    "randomization: { draws: 2, draws_of_expensive_methods: 2, n_resamples: 100 }\n"
    "perturbation: { n_resamples: 100 }\n"
)
NO_AUDITS = "maps: { methods: [saliency, gradient_x_input] }\n" + without_others("maps", "test_record")


def arguments(stage: str, root: Path, folder: Path, *more: str) -> list[str]:
    small = ("--config", str(CONFIGS / "model/small_recordings.yaml"))
    epoch = ("--trainer.max_epochs", "1") if stage == "fit" else ()
    return [
        *(stage, "--config", str(CONFIGS / f"{stage}.yaml"), "--config", str(CONFIGS / "data/ptbxl.yaml")),
        *("--config", str(CONFIGS / "data/recordings_100hz.yaml"), *small, *epoch),
        *("--root", str(root / "ptbxl"), "--target", "STTC", "--study", "strips", "--runs", str(folder / "runs")),
        *("--data.cache_dir", str(folder / "cache"), "--data.processes", "1", "--data.n_backgrounds", "5"),
        *("--data.split", "folds", "--trainer.accelerator", "cpu", "--trainer.logger", "false"),
        *("--trainer.enable_progress_bar", "false", *more),
    ]


@pytest.fixture(scope="module")
def folder(data_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of recordings, tested with every audit."""
    folder = tmp_path_factory.mktemp("recordings")
    (folder / "few.yaml").write_text(FEW)
    main(arguments("fit", data_root, folder))
    main(arguments("test", data_root, folder, "--config", str(folder / "few.yaml"), "--figures", "none"))
    return folder


def test_stores_are_complete_and_know_their_leads_and_times(folder: Path) -> None:
    run = open_run(folder / "runs/strips/STTC/seed0")
    assert set(run.maps) == set(METHODS)
    saliency = run.maps["saliency"]
    assert saliency.done.all()
    assert saliency.shape == (len(run.examples), 12, 1000)
    assert all(len(peaks) and peaks.min() >= 0 and peaks.max() < 1000 for peaks in run.examples["r_peaks"])
    assert tuple(saliency.lead.values) == TWELVE_LEADS
    np.testing.assert_allclose(saliency.time, 10.0 * np.arange(1000))
    assert saliency.time.attrs["long_name"] == "time after the first sample"
    assert {"cascade.parquet", "perturbation.parquet", "scores.parquet", "similarity.parquet"} <= {
        path.name for path in (run.path / "tables").iterdir()
    }


def test_rows_do_not_depend_on_the_batch(data_root: Path, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "maps.yaml").write_text(NO_AUDITS)
    checkpoint = str(folder / "runs/strips/STTC/seed0/checkpoints/best.ckpt")
    own = (
        "--config",
        str(tmp_path / "maps.yaml"),
        "--ckpt_path",
        checkpoint,
        "--data.cache_dir",
        str(folder / "cache"),
    )
    again = ("--data.eval_batch_size", "5", "--runs", str(tmp_path / "runs"))
    main(arguments("test", data_root, tmp_path, *own, *again, "--figures", "none"))
    before, now = (open_run(place / "runs/strips/STTC/seed0") for place in (folder, tmp_path))
    for method in METHODS:
        np.testing.assert_array_equal(now.maps[method], before.maps[method])


def test_the_report_says_what_the_network_sees(folder: Path) -> None:
    main(["report", str(folder / "runs/strips"), "--n_resamples", "100"])
    page = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", (folder / "runs/strips/report.html").read_text()))
    assert "Windows of the recordings, 12 leads x 1000 samples at 100 Hz" in page
    assert "Networks see windows of the recordings here, and no median beats" in page
    assert "QRS fiducial" not in page
    assert "Windows from the R peak of each beat: P and PR -300 to -60 ms" in page
    assert "over the windows from 480 ms before each R peak to 720 ms behind it" in page
    assert "the whole recordings stand below" in page
    figures = folder / "runs/strips/figures"
    shown = {path.stem for path in (figures / "first_screen").glob("*.png")}
    assert {name for name in shown if name.endswith("_recording")} == {
        f"{name}_recording" for name in shown if not name.endswith("_recording")
    }
    assert shown
    assert (figures / "relevance/STTC.png").is_file()


def test_a_network_of_median_beats_is_refused(data_root: Path, folder: Path) -> None:
    line = arguments("fit", data_root, folder, "--study", "beats")
    place = line.index(str(CONFIGS / "model/small_recordings.yaml"))
    line[place] = str(CONFIGS / "model/small.yaml")
    said = r"ResNet1d was built for 8 leads x 600 samples, the ECGs are 12 leads x 1000 samples at 100 Hz.*leads 12 --"
    with pytest.raises(SignalFormatError, match=said):
        main(line)


def test_a_network_is_not_tested_on_another_window(data_root: Path, folder: Path) -> None:
    other = ("--data.representation.init_args.start", "0.5", "--data.representation.init_args.pad", "true")
    with pytest.raises(ValueError, match=r"data\.representation\.RecordingWindow\.start: 0 then, 0\.5 now"):
        main(arguments("test", data_root, folder, *other, "--study", "strips", "--figures", "none"))
