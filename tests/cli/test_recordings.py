"""Recordings themselves in place of median beats, on real records: 12 leads x 10 s at 100 Hz, from fit to report."""

import re
import time
from pathlib import Path

import numpy as np
import pytest
from few_keys import without_others
from processes import finish, kill, start
from scipy.signal import savgol_filter
from workplace import CONFIGS

from ecg_lightning import open_run
from ecg_lightning.cli import main
from ecg_lightning.data.representations import TWELVE_LEADS
from ecg_lightning.ecg import SignalFormatError
from ecg_lightning.runs.run import Run

METHODS = ("saliency", "gradient_x_input")
FEW = (
    "maps: { methods: [saliency, gradient_x_input] }\n"
    "randomization: { draws: 2, draws_of_expensive_methods: 2, n_resamples: 100 }\n"
    "perturbation: { n_resamples: 100 }\n"
)
ALONE = """
maps:
  methods:
    - saliency
    - class_path: ecg_lightning.attribution.methods.SmoothGrad
      init_args: { n_samples: 8 }
    - class_path: ecg_lightning.attribution.methods.ShapleySampling
      init_args: { n_forwards: 64 }
similarity: { n_resamples: 100 }
""" + without_others("maps", "test_record", "similarity")


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


def alone(data_root: Path, folder: Path, place: Path, *more: str) -> list[str]:
    """A test in another folder of the same network, of maps and their similarity only."""
    (place / "maps.yaml").write_text(ALONE)
    checkpoint = folder / "runs/strips/STTC/seed0/checkpoints/best.ckpt"
    own = ("--config", str(place / "maps.yaml"), "--ckpt_path", str(checkpoint), "--figures", "none")
    return arguments("test", data_root, place, *own, "--data.cache_dir", str(folder / "cache"), *more)


@pytest.fixture(scope="module")
def undisturbed(data_root: Path, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    place = tmp_path_factory.mktemp("undisturbed")
    main(alone(data_root, folder, place))
    return open_run(place / "runs/strips/STTC/seed0")


def killed_once(line: list[str], mask: Path) -> None:
    """Run a test, killed when some rows are done, and then to its end."""
    process = start(line)
    deadline = time.monotonic() + 120
    while not (mask.exists() and np.load(mask).sum() >= 2):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    kill(process)
    assert not np.load(mask).all()
    main(line)


@pytest.mark.parametrize("how", ["batches of 5", "two ranks", "killed"])
def test_rows_depend_on_neither_batch_nor_ranks_nor_a_kill(
    data_root: Path, folder: Path, undisturbed: Run, tmp_path: Path, how: str
) -> None:
    run = tmp_path / "runs/strips/STTC/seed0"
    if how == "batches of 5":
        main(alone(data_root, folder, tmp_path, "--data.eval_batch_size", "5"))
    elif how == "two ranks":
        finish(start(alone(data_root, folder, tmp_path, "--trainer.devices", "2", "--trainer.strategy", "ddp")))
    else:
        killed_once(alone(data_root, folder, tmp_path), run / "maps/shapley_sampling/done.0.npy")
    for method, before in undisturbed.maps.items():
        now, scale = open_run(run).maps[method].to_numpy(), np.abs(before).max(("lead", "sample")).to_numpy()
        assert (np.abs(now - before.to_numpy()).max((1, 2)) <= 1e-5 * scale).all(), method
    for name in ("similarity/pearson", "similarity/controls/spearman"):
        one, other = (opened.store(name).to_numpy() for opened in (undisturbed, open_run(run)))
        np.testing.assert_allclose(other, one, atol=1e-4, err_msg=name)


def test_durations_are_those_of_median_beats(undisturbed: Run) -> None:
    assert undisturbed.row_store("similarity/pearson").spec.settings["window"] == 7
    assert undisturbed.row_store("maps/smoothgrad").spec.settings["smoothing_window"] == 7
    settings = undisturbed.row_store("maps/shapley_sampling").spec.settings
    assert (settings["group_samples"], settings["group_ms"], settings["groups"]) == (40, 400.0, 300)
    maps = np.stack([undisturbed.maps[name].to_numpy()[0].astype(float) for name in ("saliency", "smoothgrad")])
    expected = np.corrcoef(savgol_filter(maps, 7, 3).reshape(2, -1))[0, 1]
    found = undisturbed.store("similarity/pearson").sel({"scope": "ecg", "sign": "native"})
    assert float(found.sel({"method": "saliency", "other_method": "smoothgrad"})[0]) == pytest.approx(
        expected, abs=1e-6
    )


def test_the_report_says_what_the_network_sees(folder: Path) -> None:
    main(["report", str(folder / "runs/strips"), "--n_resamples", "100"])
    page = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", (folder / "runs/strips/report.html").read_text()))
    assert "Windows of the recordings, 12 leads x 1000 samples at 100 Hz" in page
    assert "Networks see windows of the recordings here, and no median beats" in page
    assert "QRS fiducial" not in page
    assert "smoothed by Savitzky-Golay 7/3 (polynomials of degree 3 over 7 samples, 70 ms)" in page
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
