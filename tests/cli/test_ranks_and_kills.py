"""Real processes: two ranks give the rows of one, and a killed run goes on where it was.

What is not killed and has one rank runs in the test's own process, which saves the imports.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from processes import finish, kill, start
from workplace import Workplace

from ecg_lightning import open_run
from ecg_lightning.attribution import METHODS
from ecg_lightning.cli import main
from ecg_lightning.storage.store import RowStore

SLOW = """
maps:
  methods:
    - saliency
    - class_path: ecg_lightning.attribution.methods.ShapleySampling
      init_args: { estimator: permutation, n_permutations: 12 }
    - smoothgrad
"""


CASCADE = """
maps: { methods: [saliency, integrated_gradients] }
randomization: { repeats: 3, draws: 2, n_resamples: 100 }
"""


def rows(run: Path, name: str) -> np.ndarray:
    return np.load(run / "maps" / name / "rows.npy").reshape(9, -1).astype(float)


def assert_same_rows(first: Path, second: Path, names: list[str]) -> None:
    for name in names:
        a, b = rows(first, name), rows(second, name)
        assert np.isfinite(a).all()
        assert (np.abs(a - b).max(1) <= 1e-5 * np.abs(a).max(1)).all(), name


def test_two_ranks_give_the_rows_and_metrics_of_one(tested: Workplace) -> None:
    checkpoint = str(tested.run() / "checkpoints/best.ckpt")
    two = ("--trainer.devices", "2", "--trainer.strategy", "ddp", "--ckpt_path", checkpoint)
    finish(start(tested.arguments("test", *two, study="two_ranks")))
    assert_same_rows(tested.run(), tested.run("two_ranks"), list(METHODS))
    one, both = (open_run(tested.run(study)).metrics for study in ("tiny", "two_ranks"))
    for name in ("auroc", "auprc", "f1", "threshold"):
        assert both[name] == pytest.approx(one[name]), name
    assert sorted(path.name for path in (tested.run("two_ranks") / "maps/saliency").glob("done.*")) == ["done.0.npy"]
    assert len(pd.read_parquet(tested.run("two_ranks") / "examples.parquet")) == 9
    pictures = [{path.name for path in (tested.run(s) / "figures/maps").iterdir()} for s in ("tiny", "two_ranks")]
    assert pictures[0] == pictures[1]


def test_two_ranks_audit_as_one_does(tested: Workplace) -> None:
    """After the test above: an odd number of ECGs, so that the ranks have other shares."""
    runs = [open_run(tested.run(study)) for study in ("tiny", "two_ranks")]
    for name in (
        "similarity/pearson",
        "similarity/controls/pearson",
        "cascade/from_output/spearman",
        "perturbation/point_interpolation_multiplicative/lerf",
        "perturbation/block50_interpolation_none/controls/morf",
        "scores/infidelity",
        "scores/controls/infidelity",
    ):
        one, both = (run.store(name).to_numpy() for run in runs)
        np.testing.assert_allclose(one, both, atol=1e-5, rtol=1e-4, err_msg=name)
    for name, column in (
        ("similarity", "correlation_mean"),
        ("cascade", "similarity"),
        ("perturbation", "value"),
        ("scores", "value"),
    ):
        one, both = (pd.read_parquet(run.path / "tables" / f"{name}.parquet")[column].to_numpy() for run in runs)
        np.testing.assert_allclose(one, both, atol=1e-6, rtol=1e-6, err_msg=name)


def test_fit_on_two_ranks_trains_and_keeps_one_checkpoint(
    archive: Path, trained: Workplace, copy_of: Callable[[Workplace], Workplace]
) -> None:
    place = copy_of(trained)
    two = ("--trainer.devices", "2", "--trainer.strategy", "ddp", "--trainer.max_epochs", "2")
    finish(start(place.arguments("fit", *two, "--data.batch_size", "24", study="two_ranks")))
    assert json.loads((place.run("two_ranks") / "fit.done.json").read_text())["epochs"] == 2
    names = sorted(path.name for path in (place.run("two_ranks") / "checkpoints").iterdir())
    assert names == ["best.ckpt", "last.ckpt"]


def test_a_killed_test_goes_on_with_the_missing_rows(tested: Workplace, tmp_path: Path) -> None:
    (tmp_path / "slow.yaml").write_text(SLOW)
    checkpoint = str(tested.run() / "checkpoints/best.ckpt")

    def arguments(study: str) -> list[str]:
        slow = ("--config", str(tmp_path / "slow.yaml"), "--data.eval_batch_size", "3", "--trainer.logger", "false")
        return tested.arguments("test", *slow, "--ckpt_path", checkpoint, study=study, pictures=False)

    main(arguments("undisturbed"))
    process = start(arguments("killed"))
    mask = tested.run("killed") / "maps/shapley_sampling/done.0.npy"
    deadline = time.monotonic() + 120
    while not (mask.exists() and np.load(mask).sum() >= 2):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    kill(process)
    done = np.load(mask).astype(bool)
    assert 2 <= done.sum() < 9
    kept = np.load(mask.with_name("rows.npy"))[done]
    assert np.isnan(np.load(mask.with_name("rows.npy"))[~done][-1]).all()
    assert not (tested.run("killed") / "metrics.json").exists()

    main(arguments("killed"))
    np.testing.assert_array_equal(np.load(mask.with_name("rows.npy"))[done], kept)
    names = ["saliency", "shapley_sampling", "smoothgrad"]
    assert_same_rows(tested.run("undisturbed"), tested.run("killed"), names)
    assert open_run(tested.run("killed")).metrics == open_run(tested.run("undisturbed")).metrics


def test_a_kill_in_mid_cascade_costs_no_row_that_was_done(tested: Workplace, tmp_path: Path) -> None:
    (tmp_path / "cascade.yaml").write_text(CASCADE)
    checkpoint = str(tested.run() / "checkpoints/best.ckpt")

    def arguments(study: str) -> list[str]:
        config = ("--config", str(tmp_path / "cascade.yaml"), "--data.eval_batch_size", "2")
        return tested.arguments(
            "test", *config, "--trainer.logger", "false", "--ckpt_path", checkpoint, study=study, pictures=False
        )

    main(arguments("whole_cascade"))
    process = start(arguments("killed_cascade"))
    folder = tested.run("killed_cascade") / "cascade/from_output"
    mask = folder / "spearman/done.0.npy"
    deadline = time.monotonic() + 120
    while not (mask.exists() and np.load(mask).sum() >= 2):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.01)
    kill(process)
    done = np.load(mask).astype(bool)
    assert 2 <= done.sum() < 9
    kept = np.load(folder / "spearman/rows.npy")[done]
    main(arguments("killed_cascade"))
    np.testing.assert_array_equal(np.load(folder / "spearman/rows.npy")[done], kept)
    for name in ("cascade/from_output/pearson", "cascade/from_output_logits"):
        one, other = (open_run(tested.run(s)).store(name).to_numpy() for s in ("whole_cascade", "killed_cascade"))
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_a_finished_test_computes_no_map_again(tested: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {name: (tested.run() / "maps" / name / "rows.npy").stat().st_mtime_ns for name in METHODS}
    write = RowStore.write

    def refuse_maps(store: RowStore, *arguments: object) -> None:
        assert store.path.parent.name != "maps", "a finished map was computed again"
        write(store, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(RowStore, "write", refuse_maps)
    main(tested.arguments("test", "--trainer.logger", "false", pictures=False))
    after = {name: (tested.run() / "maps" / name / "rows.npy").stat().st_mtime_ns for name in METHODS}
    assert before == after


def test_a_killed_fit_resumes_from_its_last_epoch(
    trained: Workplace, copy_of: Callable[[Workplace], Workplace], caplog: pytest.LogCaptureFixture
) -> None:
    place = copy_of(trained)
    long = ("--trainer.max_epochs", "40", "--early_stopping.patience", "40", "--data.batch_size", "24")
    arguments = place.arguments("fit", *long, "--trainer.logger", "false", study="long")
    process = start(arguments)
    last = place.run("long") / "checkpoints/last.ckpt"
    deadline = time.monotonic() + 120
    while not last.exists():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    time.sleep(0.5)
    kill(process)
    assert not (place.run("long") / "fit.done.json").exists()
    reached = torch.load(last, weights_only=True)["epoch"]

    with caplog.at_level("INFO"):
        main(arguments)
    assert f"resuming from {last}" in caplog.text
    assert json.loads((place.run("long") / "fit.done.json").read_text())["epochs"] == 40
    assert torch.load(last, weights_only=True)["epoch"] == 39 > reached


def test_gradients_flow_under_lightnings_own_inference_mode(tested: Workplace) -> None:
    # `test` above ran on one device with Trainer's defaults: DDP over gloo would have hidden the fault
    config = open_run(tested.run()).config("test")
    assert config["trainer"]["inference_mode"] is True
    assert np.abs(rows(tested.run(), "saliency")).max() > 0
