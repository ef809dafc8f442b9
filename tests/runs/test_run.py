"""A run's folder read back: labelled, lazy, and clear about what is not there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import ecg_lightning
from ecg_lightning.runs.run import Run, StoreNotFoundError, open_run
from ecg_lightning.storage.atomic import write_json_atomic, write_parquet_atomic, write_text_atomic
from ecg_lightning.storage.manifest import write_manifest
from ecg_lightning.storage.store import RowStore, StoreCorruptError, StoreSpec

N = 6
METHODS = ("saliency", "gradcam", "random")


def make_store(run: Path, name: str, dims: tuple[str, ...], values: np.ndarray, **fields: object) -> RowStore:
    spec = StoreSpec(dims=dims, shape=values.shape, **{"unit": "1", **fields})
    store = RowStore.create(run / name, spec)
    store.write(np.arange(len(values)), values)
    return store


@pytest.fixture
def maps() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(N, 8, 600)).astype(np.float32)


@pytest.fixture
def folder(tmp_path: Path, maps: np.ndarray) -> Path:
    """A small finished run, as ``fit`` and ``test`` leave it."""
    run = tmp_path / "runs" / "demo" / "atrial_fibrillation" / "seed3"
    write_text_atomic(run / "fit.yaml", "seed_everything: 3\nmodel:\n  learning_rate: 5e-4\n")
    write_text_atomic(run / "test.yaml", "seed_everything: 3\ntrainer:\n  callbacks: [a, b]\n")
    write_text_atomic(run / "checkpoints" / "best.ckpt", "weights")
    examples = pd.DataFrame(
        {
            "row": range(N),
            "ecg_id": [f"ecg{index}" for index in range(N)],
            "patient_id": ["p0", "p0", "p1", "p2", "p3", "p3"],
            "label": [1.0, 0.0, 1.0, np.nan, 0.0, 0.0],
            "age": 60.0,
            "sex": "female",
            "source": "synthetic",
        }
    )
    write_parquet_atomic(run / "examples.parquet", examples)
    write_parquet_atomic(run.parents[1] / "splits.parquet", pd.DataFrame({"ecg_id": ["ecg0"], "split": ["test"]}))
    write_json_atomic(run / "metrics.json", {"auroc": {"value": 0.9, "low": np.nan}, "curve": [np.nan, 1]})
    make_store(run, "logits", ("row",), np.arange(N, dtype=np.float32), unit="logit")
    make_store(run, "maps/saliency", ("row", "lead", "sample"), maps, settings={"absolute": True})
    similarity = np.zeros((N, 3, 3), np.float32)
    coords = {"method_a": METHODS, "method_b": METHODS}
    make_store(run, "similarity/pearson", ("row", "method_a", "method_b"), similarity, coords=coords)
    make_store(run, "cascade/from_output_logits", ("row", "depth"), np.ones((N, 2), np.float32))
    return run


def test_everything_comes_back(folder: Path, maps: np.ndarray) -> None:
    run = ecg_lightning.open_run(folder)
    assert (run.study, run.target, run.seed) == ("demo", "atrial_fibrillation", 3)
    assert run.examples["ecg_id"].tolist() == [f"ecg{index}" for index in range(N)]
    assert run.splits["split"].tolist() == ["test"]
    assert run.checkpoint == folder / "checkpoints" / "best.ckpt"
    assert run.config("fit")["model"]["learning_rate"] == 5e-4
    assert run.config()["trainer"] == {"callbacks": ["a", "b"]}
    assert run.metrics["auroc"]["value"] == 0.9
    assert np.isnan([run.metrics["auroc"]["low"], run.metrics["curve"][0]]).all()
    assert run.stores == ["cascade/from_output_logits", "logits", "maps/saliency", "similarity/pearson"]
    np.testing.assert_array_equal(run.logits, np.arange(N))
    assert run.logits.attrs["units"] == "logit"
    np.testing.assert_array_equal(run.maps["saliency"], maps)
    assert run.maps["saliency"].attrs["settings"] == {"absolute": True}


def test_maps_are_labelled_by_ecg_lead_and_time(folder: Path, maps: np.ndarray) -> None:
    array = open_run(folder).maps["saliency"]
    assert array.dims == ("row", "lead", "sample")
    assert array.coords["patient_id"].values.tolist() == ["p0", "p0", "p1", "p2", "p3", "p3"]
    assert array.coords["done"].values.all()
    np.testing.assert_array_equal(array.coords["label"], [1, 0, 1, np.nan, 0, 0])
    np.testing.assert_array_equal(array.sel(ecg_id="ecg4", lead="V2"), maps[4, 3])
    time = array.coords["time"]
    assert time.attrs["units"] == "ms"
    assert time.dims == ("sample",)
    assert "time" not in array.indexes
    assert (float(time[240]), float(time[0]), float(time[-1])) == (0.0, -480.0, 718.0)
    np.testing.assert_array_equal(array.where(time == 0, drop=True)[..., 0], maps[..., 240])


def test_other_stores_are_labelled_by_their_manifest(folder: Path) -> None:
    array = open_run(folder).store("similarity/pearson")
    assert array.sel(method_a="saliency", method_b="random", row=2).item() == 0
    assert array.coords["method_a"].values.tolist() == list(METHODS)
    assert array.coords["ecg_id"].dims == ("row",)


def test_rows_that_are_not_done_are_marked(folder: Path) -> None:
    spec = StoreSpec(dims=("row",), shape=(N,))
    RowStore.create(folder / "reliability" / "smoothgrad", spec).write([1, 4], [0.5, 0.75])
    run = open_run(folder)
    array = run.store("reliability/smoothgrad")
    np.testing.assert_array_equal(array[array.done.values], [0.5, 0.75])
    assert np.isnan(array[~array.done.values]).all()
    assert "reliability/smoothgrad: row 6; 2 of 6 rows done" in repr(run)


def anonymous_kilobytes() -> int:
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"RssAnon:\s+(\d+)", status)[1])  # type: ignore[index]


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="anonymous memory is told by Linux only")
def test_opening_large_maps_reads_nothing(folder: Path) -> None:
    """A sparse file of 19 GB: reading it, or a copy of it, would show at once."""
    n = 1_000_000
    small = RowStore.create(folder / "maps" / "gradcam", StoreSpec(("row", "lead", "sample"), (1, 8, 600)))
    spec = StoreSpec(("row", "lead", "sample"), (n, 8, 600))
    shape, larger = f"{small.spec.shape}", f"{spec.shape}"
    header = (small.path / "rows.npy").read_bytes()[: small.array.offset].decode("latin1")
    grown = header.replace(shape + ", }" + " " * (len(larger) - len(shape)), larger + ", }")
    (small.path / "rows.npy").write_bytes(grown.encode("latin1"))
    os.truncate(small.path / "rows.npy", len(header) + n * spec.row_bytes)
    write_manifest(small.path, spec)
    np.save(small.path / "done.0.npy", np.zeros(n, bool))
    (folder / "examples.parquet").unlink()
    run = open_run(folder)
    before = anonymous_kilobytes()
    array = run.maps["gradcam"]
    part = array[123_456, :, 240].to_numpy()
    assert array.shape == (n, 8, 600)
    assert array.nbytes > 19e9
    np.testing.assert_array_equal(part, np.zeros(8))
    assert "1000000" in repr(array)
    assert anonymous_kilobytes() - before < 100_000
    assert isinstance(array.data, np.memmap)


def test_maps_are_a_mapping(folder: Path) -> None:
    maps = open_run(folder).maps
    assert list(maps) == ["saliency"]
    assert len(maps) == 1
    assert "saliency" in maps
    assert "gradcam" not in maps
    assert "saliency" in repr(maps)
    with pytest.raises(StoreNotFoundError, match=r"no maps of 'random'; it has those of: saliency \(controls"):
        maps["random"]


def test_a_missing_store_names_those_there(folder: Path) -> None:
    run = open_run(folder)
    with pytest.raises(StoreNotFoundError, match=r"did you mean 'similarity/pearson'.*It has: cascade/from_out") as e:
        run.store("similarity/pearsn")
    assert isinstance(e.value, KeyError)
    with pytest.raises(StoreNotFoundError, match=r"no store '\.\./seed3/logits'"):
        run.store("../seed3/logits")


def test_moved_aside_and_half_made_stores_are_not_listed(folder: Path) -> None:
    run = open_run(folder)
    before = run.stores
    (folder / "maps" / "saliency").rename(folder / "maps" / "saliency.replaced-20260101T000000.000000Z")
    make_store(folder / "maps" / ".gradcam.01234567.creating", "", ("row",), np.zeros(N, np.float32))
    assert run.stores == [name for name in before if name != "maps/saliency"]


def test_a_broken_store_is_an_error_where_it_is_read_and_a_line_where_it_is_listed(folder: Path) -> None:
    os.truncate(folder / "logits" / "rows.npy", 140)
    run = open_run(folder)
    with pytest.raises(StoreCorruptError, match=r"logits/rows\.npy"):
        _ = run.logits
    assert "logits: not readable" in repr(run)


def test_repr_says_what_is_there(folder: Path) -> None:
    text = repr(open_run(folder))
    assert text.startswith("Run of atrial_fibrillation, seed 3, study demo")
    assert "6 ECGs of 4 patients, 2 positive" in text
    assert "maps/saliency: row 6, lead 8, sample 600; complete" in text
    assert "fit.yaml, test.yaml, metrics.json, checkpoints/best.ckpt" in text


def test_an_unfinished_run_opens_and_says_what_it_lacks(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "demo" / "sinus_rhythm" / "seed0"
    write_text_atomic(folder / "fit.yaml", "a: 1")
    run = open_run(folder)
    assert run.stores == []
    assert "stores: none yet" in repr(run)
    assert "examples: none yet" in repr(run)
    for ask, message in [
        (lambda: run.examples, r"examples\.parquet; it is written when testing begins"),
        (lambda: run.metrics, r"metrics\.json; it is written when testing ends"),
        (lambda: run.splits, r"splits\.parquet; fitting writes it for the study 'demo'"),
        (lambda: run.checkpoint, r"best\.ckpt; fitting writes it"),
        (lambda: run.config("test"), r"test\.yaml; the command test writes it"),
    ]:
        with pytest.raises(FileNotFoundError, match=message):
            ask()
    with pytest.raises(StoreNotFoundError, match="It has: none yet"):
        _ = run.logits
    with pytest.raises(ValueError, match="stage is 'predict'"):
        run.config("predict")  # type: ignore[arg-type]
    make_store(folder, "logits", ("row",), np.zeros(N, np.float32))
    assert "ecg_id" not in run.logits.coords  # no examples.parquet yet


def test_examples_that_contradict_are_errors(folder: Path) -> None:
    frame = pd.read_parquet(folder / "examples.parquet")
    write_parquet_atomic(folder / "examples.parquet", frame[:-1])
    with pytest.raises(ValueError, match=r"logits has 6 rows, .*examples\.parquet has 5"):
        _ = open_run(folder).logits
    write_parquet_atomic(folder / "examples.parquet", frame[::-1])
    with pytest.raises(ValueError, match="must count from 0 to 5"):
        _ = open_run(folder).examples
    assert "examples: not readable" in repr(open_run(folder))
    write_parquet_atomic(folder / "examples.parquet", frame.drop(columns="patient_id"))
    with pytest.raises(ValueError, match="lacks the columns patient_id"):
        _ = open_run(folder).examples


def test_a_config_that_is_no_mapping_is_an_error(folder: Path) -> None:
    (folder / "fit.yaml").write_text("- 1\n- 2\n")
    with pytest.raises(ValueError, match=r"fit\.yaml is damaged.*holds a list, expected a mapping"):
        open_run(folder).config("fit")


def test_wrong_folders_name_the_runs_near_them(folder: Path, tmp_path: Path) -> None:
    for level in (folder.parents[0], folder.parents[1], folder.parents[2], tmp_path):
        with pytest.raises(ValueError, match=r"not the folder of a run.*runs below .*atrial_fibrillation/seed3"):
            open_run(level)
    with pytest.raises(ValueError, match=r"there lie best\.ckpt\. no run was found below"):
        open_run(folder / "checkpoints")
    with pytest.raises(FileNotFoundError, match=r"no folder .*seed9; runs below .*seed3"):
        open_run(folder.parent / "seed9")
    with pytest.raises(FileNotFoundError, match=r"fit\.yaml; "):
        open_run(folder / "fit.yaml")


def test_relative_paths_know_their_study(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert open_run(".") == Run(folder.resolve())
    assert open_run(".").study == "demo"


def test_importing_the_package_is_light() -> None:
    code = (
        "import sys, ecg_lightning; "
        "print(sorted({'numpy', 'pandas', 'torch', 'xarray'} & set(sys.modules)), "
        "'open_run' in dir(ecg_lightning), ecg_lightning.__version__)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.split() == ["[]", "True", ecg_lightning.__version__]
    with pytest.raises(AttributeError, match="no attribute 'open_runs'"):
        _ = ecg_lightning.open_runs
