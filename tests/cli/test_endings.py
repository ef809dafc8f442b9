"""Stages that are told to stop end at once and with a status that says so; one command at a time in a run folder."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import numpy as np
import pytest
import torch
from processes import kill, start
from workplace import CONFIGS, Workplace

from ecg_lightning.cli import main
from ecg_lightning.runs.run_lock import RunInUseError, RunLock

SAID: Final = "stopped by {}; what is done is kept: give the same command again"
AT_ONCE: Final = 15.0
"""s; it takes one or two where the machine has nothing else to do."""

MAPS: Final = """
maps:
  methods:
    - saliency
    - class_path: ecg_lightning.attribution.methods.ShapleySampling
      init_args: { estimator: permutation, n_permutations: 12 }
"""
LONG: Final = ("--trainer.max_epochs", "16", "--early_stopping.patience", "16", "--data.batch_size", "24")
ENDLESS: Final = ("--trainer.max_epochs", "100000", "--early_stopping.patience", "100000")
TWO: Final = ("--trainer.devices", "2", "--trainer.strategy", "ddp")


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """As the processes have it, so that what is computed here is the same bit by bit."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def place(trained: Workplace, copy_of: Callable[[Workplace], Workplace]) -> Workplace:
    """A fit that is done, of the test's own; without the maps that another test may have had computed there."""
    copy = copy_of(trained)
    for path in copy.run().iterdir():
        if path.name not in ("checkpoints", "fit.yaml", "fit.done.json"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    return copy


def fit(place: Workplace, *more: str, study: str = "long") -> list[str]:
    return place.arguments("fit", *LONG, "--trainer.logger", "false", *more, study=study)


def maps(place: Workplace, *more: str, study: str = "tiny") -> list[str]:
    """A ``test`` of two methods, the second one slow enough to be stopped in."""
    (place.folder / "maps.yaml").write_text(MAPS)
    options = ("--config", str(place.folder / "maps.yaml"), "--data.eval_batch_size", "2")
    return place.arguments("test", *options, "--trainer.logger", "false", *more, study=study, pictures=False)


def wait_for(condition: Callable[[], bool], process: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.02)


def rows_done(store: Path) -> int:
    mask = store / "done.0.npy"
    return int(np.load(mask).sum()) if mask.exists() else 0


def children(pid: int) -> list[int]:
    """All below a process, as far as they live."""
    everybody = [int(path.name) for path in Path("/proc").glob("[0-9]*")]
    direct = [child for child in everybody if lives(child, pid)]
    return [*direct, *(below for child in direct for below in children(child))]


def lives(pid: int, parent: int | None = None) -> bool:
    """Whether there is such a process (no zombie), and of such a parent."""
    try:
        state, of = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[:2]
    except OSError:
        return False
    return state != "Z" and parent in (None, int(of))


def stop(process: "subprocess.Popen[str]", number: signal.Signals = signal.SIGTERM, status: int = 143) -> str:
    """Stop one process, not its group: nothing of it may be left. Returns what it has said."""
    below = children(process.pid)
    began = time.monotonic()
    process.send_signal(number)
    said, _ = process.communicate(timeout=60)
    took = time.monotonic() - began
    print(f"{number.name}: status {process.returncode} after {took:.2f} s, {len(below)} processes below it")
    assert process.returncode == status, said
    assert said.count(SAID.format(number.name)) == 1, said
    assert took < AT_ONCE
    deadline = time.monotonic() + 5
    while alive := [pid for pid in below if lives(pid)]:
        assert time.monotonic() < deadline, alive
        time.sleep(0.05)
    return said


def weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    content: dict[str, torch.Tensor] = torch.load(checkpoint, weights_only=True)["state_dict"]
    return content


def test_a_fit_that_is_stopped_says_so_and_resumes_bit_by_bit(place: Workplace) -> None:
    process = start(fit(place))
    run = place.run("long")
    wait_for((run / "checkpoints/last.ckpt").exists, process)
    time.sleep(0.3)
    stop(process)
    assert not (run / "fit.done.json").exists()

    unfinished = r"is of a fit that is not finished \(.*fit\.done\.json is missing\)"
    with pytest.warns(UserWarning, match=unfinished):  # what there is may be looked at, but not without a word
        main(maps(place, study="long"))

    main(fit(place))
    main(fit(place, study="undisturbed"))
    assert json.loads((run / "fit.done.json").read_text())["epochs"] == 16
    for name in ("best", "last"):
        one, other = (weights(place.run(s) / f"checkpoints/{name}.ckpt") for s in ("long", "undisturbed"))
        assert all(torch.equal(one[key], other[key]) for key in one | other)


def test_a_test_that_is_stopped_keeps_its_rows(place: Workplace) -> None:
    process = start(maps(place))
    run, store = place.run(), place.run() / "maps/shapley_sampling"
    wait_for(lambda: rows_done(store) >= 2, process)
    stop(process, signal.SIGINT, 130)
    done = np.load(store / "done.0.npy").astype(bool)
    kept = np.load(store / "rows.npy")[done]
    assert 2 <= done.sum() < 9
    assert not (run / "test.done.json").exists()

    main(maps(place))
    whole = np.load(store / "rows.npy")
    np.testing.assert_array_equal(whole[done], kept)
    checkpoint = ("--ckpt_path", str(run / "checkpoints/best.ckpt"))
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*not finished.*")
        main(maps(place, *checkpoint, study="undisturbed"))
    other = np.load(place.run("undisturbed") / "maps/shapley_sampling/rows.npy")
    np.testing.assert_array_equal(whole, other)


def test_a_late_signal_is_heard(place: Workplace) -> None:
    """All rows are done, and the summary takes an hour."""
    process = start(maps(place, "--trainer.callbacks+", "long_summary.LongSummary"), [Path(__file__).parent])
    wait_for((place.run() / "metrics.json").exists, process)
    time.sleep(0.5)
    stop(process)
    assert not (place.run() / "test.done.json").exists()
    main(maps(place))  # without the long one
    assert (place.run() / "test.done.json").exists()


def test_both_ranks_end(place: Workplace) -> None:
    """Rank zero alone is told; the other one waits for it in a collective, or computes."""
    process = start(maps(place, *TWO))
    wait_for(lambda: rows_done(place.run() / "maps/shapley_sampling") >= 1, process)
    assert len(children(process.pid)) >= 1
    stop(process)
    assert not (place.run() / "test.done.json").exists()


def test_an_offline_run_of_wandb_is_whole(place: Workplace) -> None:
    process = start(place.arguments("fit", *LONG, *ENDLESS, study="logged"))
    wait_for((place.run("logged") / "checkpoints/last.ckpt").exists, process)
    stop(process)
    (folder,) = (place.run("logged") / "wandb").glob("offline-run-*")
    command = [Path(sys.executable).with_name("wandb"), "leet", "inspect", "--json", str(folder)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert [json.loads(line)["exit"]["exit_code"] for line in told if '"type":"exit"' in line] == [143]


def test_preparing_ends_with_its_workers(place: Workplace) -> None:
    config = ("--config", str(CONFIGS / "data/synthetic.yaml"), "--data.source.init_args.n_patients", "1200")
    cache = place.folder / "new_cache"
    process = start(["prepare", *config, "--data.cache_dir", str(cache), "--data.processes", "2"])
    wait_for(lambda: any(cache.glob("*/parts/*.npz")), process)
    assert len(children(process.pid)) >= 2
    stop(process)
    assert not list(cache.glob("*/cache.json"))
    assert not list(cache.rglob(".*.tmp*"))


def test_a_second_command_in_a_run_folder_is_refused(place: Workplace) -> None:
    process = start(fit(place, *ENDLESS))
    run = place.run("long")
    wait_for((run / "checkpoints/last.ckpt").exists, process)
    second = start(maps(place, study="long"))
    said, _ = second.communicate(timeout=60)
    assert process.poll() is None
    assert second.returncode == 1
    assert f"test: `fit` (process {process.pid} on {os.uname().nodename}, since " in said
    assert f"works in {run}" in said
    assert "Traceback" not in said
    assert not (run / "test.yaml").exists()

    with pytest.raises(RunInUseError, match="fit"), RunLock(run, "test"):
        pass
    kill(process)
    with RunLock(run, "test"):  # the system has released it with its holder
        assert json.loads((run / ".lock").read_text())["command"] == "test"


def test_a_folder_that_is_moved_aside_is_locked_again(place: Workplace) -> None:
    process = start(fit(place, *ENDLESS, "--on_mismatch", "replace", study="tiny"))
    wait_for(lambda: any(place.run().parent.glob("seed0.replaced-*")), process)
    wait_for((place.run() / "checkpoints/last.ckpt").exists, process)
    with pytest.raises(RunInUseError, match="fit"), RunLock(place.run(), "test"):
        pass
    kill(process)
