"""Kills commands at random moments and compares what their repetition leaves with what an undisturbed run leaves.

    python benchmarks/kills.py --kills 30 --seed 0

Four kinds by turns: a ``test``, a ``fit``, one rank of a two-rank ``test``, and a ``study``. A kill (SIGKILL) falls at
a moment drawn evenly from the duration of the undisturbed command, imports included; then the same command is given
again. Rows of all stores, tables, scores and weights must be the same to the last bit. It prints one line a kill and
exits with 1 where something differs.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import yaml

TARGET = "first_degree_av_block"
CONFIGS = Path(__file__).parents[1] / "configs"
CALLBACKS = """
trainer:
  callbacks:
    - class_path: callbacks.AttributionMaps
      init_args:
        methods:
          - class_path: ecg_lightning.attribution.methods.Saliency
          - class_path: ecg_lightning.attribution.methods.SmoothGrad
          - class_path: ecg_lightning.attribution.methods.IntegratedGradients
            init_args: { n_steps: 16 }
    - class_path: callbacks.LogitsAndMetrics
      init_args: { n_resamples: 100 }
    - class_path: callbacks.MethodSimilarity
      init_args: { n_resamples: 100 }
    - class_path: callbacks.PerturbationCurves
      init_args:
        kinds: [{ unit: point, noise: multiplicative, steps: 4, fraction_per_step: 0.01 }]
        n_resamples: 100
"""
DATA = {
    "data.source.init_args.n_patients": 160,
    "data.source.init_args.evidence": False,
    "data.split_seed": 1,
    "data.n_backgrounds": 4,
    "trainer.logger": False,
    "trainer.accelerator": "cpu",
    "trainer.enable_progress_bar": False,
}


@dataclass(frozen=True)
class Kind:
    """A command that is killed.

    Attributes:
        name: For the printed line.
        arguments: Name of a study -> the command line that works in it.
        one_rank: Whether one of two ranks is killed, and not the whole command.
    """

    name: str
    arguments: Callable[[str], list[str]]
    one_rank: bool = False


def main() -> None:
    """Run as a script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    draw = random.Random(given.seed)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        kinds = _kinds()
        _finish(_start(kinds[1].arguments("base")))  # prepares the beats, and trains the network of the tests
        seconds = {kind.name: _undisturbed(kind) for kind in kinds}
        wrong = 0
        for number in range(given.kills):
            kind = kinds[number % len(kinds)]
            differences = _kill_and_repeat(kind, f"killed{number}", draw, seconds[kind.name])
            wrong += bool(differences)
        print(f"{given.kills} kills, {wrong} ended with other values")
    sys.exit(1 if wrong else 0)


def _kinds() -> list[Kind]:
    Path("few.yaml").write_text(CALLBACKS)
    options = [part for name, value in DATA.items() for part in (f"--{name}", json.dumps(value).strip('"'))]
    shared = [
        *("--config", str(CONFIGS / "data/synthetic.yaml")),
        *options,
        "--target",
        TARGET,
        "--seed_everything",
        "0",
    ]
    fit = [*("--config", str(CONFIGS / "fit.yaml"), "--config", str(CONFIGS / "model/small.yaml")), *shared]
    fit += ["--trainer.max_epochs", "6", "--early_stopping.patience", "6"]
    test = [*("--config", str(CONFIGS / "test.yaml")), *shared, *("--config", "few.yaml")]
    test += ["--ckpt_path", f"runs/base/{TARGET}/seed0/checkpoints/best.ckpt", "--data.eval_batch_size", "4"]
    ranks = ["--trainer.devices", "2", "--trainer.strategy", "ddp"]
    return [
        Kind("test", lambda study: ["test", *test, "--study", study]),
        Kind("fit", lambda study: ["fit", *fit, "--study", study]),
        Kind("one rank of two", lambda study: ["test", *test, *ranks, "--study", study], one_rank=True),
        Kind("study", lambda study: ["study", "--config", _study_file(), "--study", study, "--cores", "2"]),
    ]


def _study_file() -> str:
    content = {
        "study": "named by --study",
        "targets": [TARGET],
        "seeds": [0, 1],
        "fit": {
            "configs": ["configs/fit.yaml", "configs/data/synthetic.yaml", "configs/model/small.yaml"],
            "options": {**DATA, "trainer.max_epochs": 2},
        },
        "test": {"configs": ["configs/test.yaml", "configs/data/synthetic.yaml", "few.yaml"], "options": DATA},
    }
    Path("study.yaml").write_text(yaml.safe_dump(content))
    return "study.yaml"


def _undisturbed(kind: Kind) -> float:
    begin = time.monotonic()
    _finish(_start(kind.arguments(f"whole_{kind.name.replace(' ', '_')}")))
    return time.monotonic() - begin


def _kill_and_repeat(kind: Kind, study: str, draw: random.Random, duration: float) -> list[str]:
    process = _start(kind.arguments(study))
    moment = draw.uniform(0.1, 1.0) * duration
    try:
        process.wait(moment)
        ended = "ended before it"
    except subprocess.TimeoutExpired:
        ended = _kill(process, draw, one_rank=kind.one_rank)
    _finish(_start(kind.arguments(study)))
    whole = Path("runs") / f"whole_{kind.name.replace(' ', '_')}"
    compared = _compared(whole)
    differences = list(_differences(whole, Path("runs") / study, compared))
    found = f"{len(compared)} files, {', '.join(differences) or 'all the same'}"
    print(f"{kind.name} after {moment:.1f} of {duration:.1f} s ({ended}): {found}", flush=True)
    return differences


def _kill(process: "subprocess.Popen[bytes]", draw: random.Random, *, one_rank: bool) -> str:
    ranks = _ranks(process.pid) if one_rank else []
    if len(ranks) == 2:
        os.kill(draw.choice(ranks), signal.SIGKILL)
        try:
            process.wait(60)
            return f"one rank killed, the command ended with {process.returncode}"
        except subprocess.TimeoutExpired:
            pass  # the other rank waits for the killed one: killed like a job that a scheduler ends
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return "killed"


def _ranks(parent: int) -> list[int]:
    """The command's own process and the rank that it has launched."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    launched = [int(one) for one in children if b"ecg_lightning.cli" in Path(f"/proc/{one}/cmdline").read_bytes()]
    return [parent, *launched]


def _start(arguments: list[str]) -> "subprocess.Popen[bytes]":
    with Path("log.txt").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "ecg_lightning.cli", *arguments],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _finish(process: "subprocess.Popen[bytes]") -> None:
    if process.wait():
        sys.exit(f"the undisturbed or repeated command failed:\n{Path('log.txt').read_text()[-4000:]}")


def _compared(study: Path) -> list[Path]:
    """The files that hold results, relative to the study's folder."""
    names = ("rows.npy", "test_beats.npy", "metrics.json", "best.ckpt")
    files = (path for path in study.rglob("*") if path.name in names or path.suffix == ".parquet")
    return sorted(path.relative_to(study) for path in files)


def _differences(whole: Path, killed: Path, compared: list[Path]) -> Iterator[str]:
    for name in compared:
        if not (killed / name).is_file():
            yield f"{name} is missing"
        elif not _same(whole / name, killed / name):
            yield f"{name} differs"


def _same(path: Path, other: Path) -> bool:
    if path.suffix == ".npy":
        return bool(np.array_equal(np.load(path), np.load(other), equal_nan=True))
    if path.suffix == ".parquet":
        return bool(pd.read_parquet(path).equals(pd.read_parquet(other)))
    if path.suffix == ".json":
        return bool(json.loads(path.read_text()) == json.loads(other.read_text()))
    one, two = (torch.load(file, weights_only=True)["state_dict"] for file in (path, other))
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


if __name__ == "__main__":
    main()
