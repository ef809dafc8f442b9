"""A test of a part of the ECGs, a fit of nothing, and a network of the first epochs: none of them is a finished run."""

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from workplace import TARGET, Workplace

from ecg_lightning.cli import main
from ecg_lightning.command_line.stage_guard import warn_if_unfinished
from ecg_lightning.report.judged_runs import JudgedRuns
from ecg_lightning.runs.finished import why_partial
from ecg_lightning.runs.layout import RunPaths
from ecg_lightning.runs.study_folder import StudyFolder
from ecg_lightning.runs.study_sealing import release_damaged
from ecg_lightning.statistics.interval_settings import IntervalSettings
from ecg_lightning.storage.store import RowStore

N_ECGS = 9
ONE_METHOD, TWO_METHODS = "[saliency]", "[saliency, gradient_x_input]"
MAPS = """
maps: {{ methods: {methods} }}
similarity: {{}}
result_summary: {{}}
"""


@pytest.fixture
def place(trained: Workplace, copy_of: Callable[[Workplace], Workplace]) -> Workplace:
    return copy_of(trained)


def give_test(place: Workplace, *more: str, methods: str = ONE_METHOD) -> None:
    (place.folder / "few.yaml").write_text(MAPS.format(methods=methods))
    few = ("--config", str(place.folder / "few.yaml"), "--data.eval_batch_size", "2", "--trainer.logger", "false")
    main(place.arguments("test", *few, *more, pictures=False))


def record(place: Workplace, stage: str = "test", study: str = "tiny") -> dict[str, Any]:
    content: dict[str, Any] = json.loads((place.run(study) / f"{stage}.done.json").read_text())
    return content


def reasons(place: Workplace) -> list[str]:
    return [one.reason for one in StudyFolder.open(place.folder / "runs/tiny").finished_runs()[1]]


@pytest.mark.parametrize(
    ("limit", "tested"),
    [
        (("--trainer.limit_test_batches", "2"), 4),
        (("--trainer.limit_test_batches", "0.65"), 6),
        (("--trainer.fast_dev_run", "true"), 2),
        (("--trainer.fast_dev_run", "3"), 6),
    ],
)
def test_a_part_says_how_much_it_is_and_the_same_test_goes_on(
    place: Workplace, limit: tuple[str, ...], tested: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.warns(UserWarning, match=rf"{N_ECGS - tested} of {N_ECGS} test ECGs were not tested.*without limit_te"):
        give_test(place, *limit)
    assert (record(place)["n_ecgs"], record(place)["n_test_set"]) == (tested, N_ECGS)
    # what stands in for other patients' maps waits for all of them
    assert record(place)["incomplete"]["maps/saliency"] == [tested, N_ECGS]
    assert record(place)["incomplete"]["logits"] == [tested, N_ECGS]
    reason = f"{tested} of {N_ECGS} test ECGs were tested: run `test` without limit_test_batches"
    assert [why.startswith(reason) for why in reasons(place)] == [True]
    for command in ("compare", "report"):
        with pytest.raises(SystemExit, match=f"holds no finished run.*{tested} of {N_ECGS} test ECGs"):
            main([command, str(place.folder / "runs/tiny")])
    capsys.readouterr()
    main(["verify", str(place.run())])
    assert f"test not finished: {reason}" in capsys.readouterr().out

    store = place.run() / "maps/saliency"
    rows = np.load(store / "rows.npy")
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*(not tested|not finished).*")
        give_test(place)
    assert (record(place)["n_ecgs"], record(place)["incomplete"]) == (N_ECGS, {})
    np.testing.assert_array_equal(np.load(store / "rows.npy")[:tested], rows[:tested])
    assert reasons(place) == []
    assert len(JudgedRuns.open(place.folder / "runs/tiny", IntervalSettings())) == 1
    give_test(place, *limit)  # every row is there: this part takes nothing away
    assert (record(place)["n_ecgs"], reasons(place)) == (N_ECGS, [])


def test_a_part_of_a_method_that_was_added_is_no_finished_test(place: Workplace) -> None:
    give_test(place)
    with pytest.warns(UserWarning, match=r"is not finished.*maps/gradient_x_input has 2 of 9 ECGs"):
        give_test(place, "--trainer.limit_test_batches", "1", "--on_mismatch", "replace", methods=TWO_METHODS)
    assert record(place)["n_ecgs"] == N_ECGS
    assert "maps/saliency" not in record(place)["incomplete"]
    assert "maps/gradient_x_input has 2 of 9 ECGs" in reasons(place)[0]


def test_a_record_of_an_earlier_version_is_counted_by_its_logits(place: Workplace) -> None:
    give_test(place, "--trainer.limit_test_batches", "3")
    path = place.run() / "test.done.json"
    path.write_text(json.dumps({"n_ecgs": N_ECGS, "network": record(place)["network"]}))
    assert [why.partition(":")[0] for why in reasons(place)] == ["6 of 9 test ECGs were tested"]
    give_test(place)
    path.write_text(json.dumps({"n_ecgs": N_ECGS, "network": record(place)["network"]}))
    assert reasons(place) == []


def test_rows_of_a_rank_that_are_missing_are_counted(place: Workplace) -> None:
    """As where a rank's disk was lost: the next test finds what lacks, and a limited one does not hide it."""
    give_test(place)
    for name in ("logits", "maps/saliency"):
        for marks in ("done.0.npy", "digests.0.npy"):
            kept = np.load(place.run() / name / marks)
            kept[1::2] = 0
            np.save(place.run() / name / marks, kept)
    (place.run() / "test.done.json").unlink()
    with pytest.warns(UserWarning, match=r"3 of 9 test ECGs were not tested"):
        give_test(place, "--trainer.limit_test_batches", "1")
    assert record(place)["n_ecgs"] == 6
    give_test(place)
    assert reasons(place) == []


def test_a_test_of_no_batch_says_so_and_leaves_the_record(place: Workplace) -> None:
    give_test(place)
    before = record(place)
    with pytest.warns(UserWarning, match=r"all 9 test ECGs are not tested"):
        give_test(place, "--trainer.limit_test_batches", "0")
    assert record(place) == before


def test_a_study_runs_a_part_again(place: Workplace) -> None:
    give_test(place, "--trainer.limit_test_batches", "1")
    (line,) = release_damaged(place.folder / "runs/tiny")
    assert "2 of 9 test ECGs were tested" in line
    assert not RunPaths(place.run()).test_record.exists()
    give_test(place)
    assert list(release_damaged(place.folder / "runs/tiny")) == []
    assert RunPaths(place.run()).test_record.exists()


def test_a_part_of_the_predictions_is_said(place: Workplace) -> None:
    options = ("--trainer.logger", "false", "--data.eval_batch_size", "4")
    with pytest.warns(UserWarning, match=r"5 of 9 test ECGs were not predicted"):
        main(place.arguments("predict", *options, "--trainer.limit_predict_batches", "1", pictures=False))
    assert len(pd.read_parquet(place.run() / "predictions.parquet")) == 4


def give_fit(place: Workplace, study: str, *more: str) -> None:
    main(place.arguments("fit", "--trainer.logger", "false", "--data.batch_size", "24", *more, study=study))


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--trainer.fast_dev_run", "true"), "fast_dev_run"),
        (("--trainer.fast_dev_run", "2"), "fast_dev_run"),
        (("--trainer.max_epochs", "0"), "max_epochs 0"),
        (("--trainer.max_steps", "0"), "max_steps 0"),
        (("--trainer.limit_train_batches", "0"), "limit_train_batches 0"),
        (("--trainer.max_time", "00:00:00:00"), "no step"),
    ],
)
def test_a_fit_without_a_network_is_not_done(place: Workplace, options: tuple[str, ...], why: str) -> None:
    with pytest.warns(UserWarning, match=rf"is not trained: .*{why}.*fit\.done\.json is not written"):
        give_fit(place, "none", *options)
    assert not (place.run("none") / "fit.done.json").exists()
    assert not list(place.run("none").glob("checkpoints/*"))


@pytest.mark.parametrize(
    ("options", "limits"),
    [
        ((), {}),
        (("--trainer.limit_train_batches", "1"), {"limit_train_batches": 1}),
        (("--trainer.limit_train_batches", "0.7", "--trainer.limit_val_batches", "1"),
         {"limit_train_batches": 0.7, "limit_val_batches": 1}),
        (("--trainer.overfit_batches", "1"),
         {"limit_train_batches": 1, "limit_val_batches": 1, "overfit_batches": 1}),
    ],
)  # fmt: skip
def test_a_fit_of_a_part_is_done_and_says_so(
    place: Workplace, options: tuple[str, ...], limits: dict[str, float]
) -> None:
    give_fit(place, "limited", "--trainer.max_epochs", "1", *options)
    assert record(place, "fit", "limited")["limits"] == limits
    assert (place.run("limited") / "checkpoints/best.ckpt").is_file()


def test_a_network_of_the_first_epochs_is_no_finished_run(place: Workplace) -> None:
    (place.run() / "fit.done.json").unlink()  # as a fit that was killed leaves its folder
    epoch = torch.load(place.run() / "checkpoints/best.ckpt", weights_only=True)["epoch"] + 1
    with pytest.warns(UserWarning, match=rf"is of a fit that is not finished .*the network of epoch {epoch}"):
        give_test(place)
    assert record(place)["unfinished_fit"] == f"epoch {epoch}"
    assert f"the network that was tested is of epoch {epoch}, and its fit was not finished" in reasons(place)[0]
    give_fit(place, "tiny", "--trainer.max_epochs", "3", "--trainer.logger", "true")
    assert len(reasons(place)) == 1  # nobody has tested the finished network yet
    give_test(place, "--on_mismatch", "replace")
    assert (record(place)["unfinished_fit"], reasons(place)) == (None, [])


@pytest.mark.parametrize(
    ("folder", "warned"),
    [("seed4", True), ("lightning_logs/version_0", False), ("seed4/elsewhere", False)],
)
def test_only_run_folders_keep_records(tmp_path: Path, folder: str, warned: bool) -> None:
    """Other projects keep theirs in folders of the same name, and write no ``fit.done.json``."""
    checkpoint = tmp_path / folder / "checkpoints/best.ckpt"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.touch()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        warn_if_unfinished(checkpoint, {"epoch": 4, "state_dict": {}})
    assert [("the network of epoch 5" in str(one.message)) for one in told] == [True] * warned


def test_a_folder_without_records_is_not_called_partial(tmp_path: Path) -> None:
    run = RunPaths(tmp_path / TARGET / "seed0")
    run.path.mkdir(parents=True)
    assert why_partial(run) is None
    run.test_record.write_text(json.dumps({"n_ecgs": 3}))  # and logits that are not there are damage
    assert why_partial(run) is None
    assert not (run.path / "logits").exists()
    with pytest.raises(FileNotFoundError):
        RowStore.open(run.path / "logits")
