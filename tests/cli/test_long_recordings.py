"""Recordings of 12 leads x 5,000 samples, through fit and every audit, within 2 GB of memory."""

import ast
import csv
import re
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from processes import start
from workplace import CONFIGS, HERE

from ecg_lightning import open_run
from ecg_lightning.report.settings_text import method_settings
from ecg_lightning.runs.run import Run

TRAIN, VALIDATION, TEST = 12, 6, 6
MOST_MEGABYTES = 2000
SKIPPED = {"deeplift", "deeplift_shap"}
"""The linter refuses them where a ReLU stands before a maximum over time, as in the stem of an xresnet."""


def part_of_ptbxl(source: Path, root: Path) -> None:
    """A few records of each split, half of them with NDT, in PTB-XL's own layout."""
    with (source / "ptbxl_database.csv").open() as file:
        rows = list(csv.DictReader(file))
    chosen: list[dict[str, str]] = []
    for folds, count in (("1 2 3 4 5 6 7 8", TRAIN), ("9", VALIDATION), ("10", TEST)):
        there = [row for row in rows if row["strat_fold"] in folds.split()]
        with_it = [row for row in there if "NDT" in ast.literal_eval(row["scp_codes"])][: count // 2]
        others = [row for row in there if "NORM" in ast.literal_eval(row["scp_codes"])]
        chosen += [*with_it, *others[: count - len(with_it)]]
    root.mkdir()
    with (root / "ptbxl_database.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(chosen)
    shutil.copy(source / "scp_statements.csv", root)
    for row in chosen:
        for suffix in (".hea", ".dat"):
            record = root / f"{row['filename_hr']}{suffix}"
            record.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source / f"{row['filename_hr']}{suffix}", record)


def arguments(stage: str, folder: Path) -> list[str]:
    configs = [CONFIGS / f"{stage}.yaml", CONFIGS / "data/ptbxl.yaml", HERE / "long_recordings.yaml"]
    configs += [HERE / "long_recordings_test.yaml"] if stage == "test" else []
    epoch = ("--trainer.max_epochs", "1", "--data.batch_size", "6") if stage == "fit" else ()
    return [
        *(stage, *(part for config in configs for part in ("--config", str(config)))),
        *("--root", str(folder / "ptbxl"), "--target", "STTC", "--study", "long", "--runs", str(folder / "runs")),
        *("--data.cache_dir", str(folder / "cache"), "--data.processes", "1", "--data.n_backgrounds", "4"),
        *("--data.split", "folds", "--trainer.accelerator", "cpu", "--trainer.logger", "false"),
        *("--trainer.enable_progress_bar", "false", *epoch),
        *(("--figures", "none") if stage == "test" else ()),
    ]


def most_anonymous_megabytes(line: list[str], said: Path) -> int:
    """Run a command, and look at its memory all the while; what is read from files through a map does not count."""
    with said.open("w") as file:
        process = start(line, [HERE], stdout=file)
        most = 0
        while process.poll() is None:
            found = re.search(r"RssAnon:\s+(\d+) kB", Path(f"/proc/{process.pid}/status").read_text())
            most = max(most, int(found[1]) // 1024 if found else 0)
            time.sleep(0.01)
    assert process.returncode == 0, said.read_text()
    return most


@pytest.fixture(scope="module")
def tested(data_root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, dict[str, int]]:
    """The run, and the memory that each stage took."""
    folder = tmp_path_factory.mktemp("long")
    part_of_ptbxl(data_root / "ptbxl", folder / "ptbxl")
    most = {stage: most_anonymous_megabytes(arguments(stage, folder), folder / stage) for stage in ("fit", "test")}
    return open_run(folder / "runs/long/STTC/seed0"), most


def test_memory_stays_below_2_gb(tested: tuple[Run, dict[str, int]]) -> None:
    assert 100 < max(tested[1].values()) < MOST_MEGABYTES, tested[1]


def test_every_store_is_complete(tested: tuple[Run, dict[str, int]]) -> None:
    run, _ = tested
    assert len(run.maps) == 12 - len(SKIPPED)
    assert not SKIPPED & set(run.maps)
    kinds = {name.split("/")[0] for name in run.stores}
    assert {"cascade", "logits", "maps", "perturbation", "reliability", "scores", "similarity"} <= kinds
    for name in run.stores:
        store = run.row_store(name)
        assert len(store) == TEST
        assert store.done.all(), name
    assert run.maps["saliency"].shape == (TEST, 12, 5000)
    assert {"cascade", "perturbation", "scores", "similarity"} <= {
        path.stem for path in (run.path / "tables").iterdir()
    }


def test_durations_are_those_of_the_paper(tested: tuple[Run, dict[str, int]]) -> None:
    run, _ = tested
    settings = run.row_store("maps/shapley_sampling").spec.settings
    assert (settings["group_samples"], settings["group_ms"], settings["groups"]) == (200, 400.0, 300)
    assert run.row_store("similarity/pearson").spec.settings["window"] == 31
    groups = run.maps["shapley_sampling"].to_numpy().reshape(TEST, 12, 25, 200)
    np.testing.assert_array_equal(groups, np.broadcast_to(groups[..., :1], groups.shape))


def test_the_report_names_the_groups(tested: tuple[Run, dict[str, int]]) -> None:
    settings = method_settings(tested[0]).set_index("method")["settings"]["shapley_sampling"]
    assert "group_samples 200, group_ms 400.0, groups 300" in settings
