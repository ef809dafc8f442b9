"""How much of the wall time of ``fit`` is not the network's own work.

Usage: ``python benchmarks/training_throughput.py [--threads 2] [--small-steps 100] [--full-steps 12]``

Trains the preset of ``configs/model/small.yaml`` and the ``ResNet1d`` of ``configs/fit.yaml`` for a few steps on tiled
beats (see ``data_throughput.py``) with the batch size, learning rate, logger and logging interval of
``configs/fit.yaml``; the logger is W&B, offline, in a temporary folder. There is no validation: the training loop alone
is measured.

How it is measured: a callback takes the time at five places of each step. A step lasts from the end of the step before
it to its own end, so that loading the batch, moving it, logging and every hook are in it. Of that, three intervals are
the network's work:

- forward: from the forward pre-hook to the forward hook of ``EcgClassifier.network``; the loss is not in it;
- backward: from Lightning's ``on_before_backward`` to ``on_after_backward``;
- optimizer: from Lightning's ``on_before_optimizer_step`` to the post-hook of Adam's ``step``.

The rest is the share *outside*: (step - forward - backward - optimizer) / step. The first steps are left out (memory,
threads and W&B's service start up); medians over the others are printed, and the outside share of all of them together,
which a few slow steps can't hide from. Bar: under 10 %.
"""

import argparse
import math
import statistics
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import yaml
from data_throughput import TiledBeats, build_apart
from lightning.pytorch import Callback, LightningModule, Trainer, seed_everything

from ecg_lightning.data.datamodule import EcgDataModule
from ecg_lightning.models import EcgClassifier, ResNet1d
from ecg_lightning.wandb_logger import RunLogger

CONFIGS = Path(__file__).parents[1] / "configs"
WARM_UP = 3
MAX_OUTSIDE = 0.10
PARTS = ("forward", "backward", "optimizer")


class StepClock(Callback):
    """Seconds of each step and of its parts."""

    def __init__(self) -> None:
        self.steps: list[dict[str, float]] = []
        self._now: dict[str, float] = {}
        self._since: dict[str, float] = {}

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Hook the network and the optimizer."""
        network, optimizer = pl_module.network, trainer.optimizers[0]
        network.register_forward_pre_hook(lambda *_: self._begin("forward"))  # type: ignore[union-attr]
        network.register_forward_hook(lambda *_: self._end("forward"))  # type: ignore[union-attr]
        optimizer.register_step_post_hook(lambda *_: self._end("optimizer"))

    def on_train_start(self, *_: object) -> None:
        """The first step begins."""
        self._begin("step")

    def on_before_backward(self, *_: object) -> None:
        """Backward begins."""
        self._begin("backward")

    def on_after_backward(self, *_: object) -> None:
        """Backward ends."""
        self._end("backward")

    def on_before_optimizer_step(self, *_: object) -> None:
        """The update begins."""
        self._begin("optimizer")

    def on_train_batch_end(self, *_: object) -> None:
        """A step ends and the next begins."""
        self._end("step")
        self.steps.append(self._now)
        self._now = {}
        self._begin("step")

    def _begin(self, part: str) -> None:
        self._since[part] = time.perf_counter()

    def _end(self, part: str) -> None:
        self._now[part] = time.perf_counter() - self._since[part]


def fit(network: ResNet1d, steps: int, beats: int, cache_dir: Path) -> list[dict[str, float]]:
    """Train for some steps as ``configs/fit.yaml`` has it, and give the times of each."""
    shipped = yaml.safe_load((CONFIGS / "fit.yaml").read_text())
    seed_everything(0, verbose=False)
    datamodule = EcgDataModule(TiledBeats(beats), cache_dir=str(cache_dir), batch_size=shipped["data"]["batch_size"])
    clock = StepClock()
    logger_settings: Mapping[str, Any] = shipped["trainer"]["logger"]["init_args"]
    with tempfile.TemporaryDirectory() as folder:
        logger = RunLogger(**{**logger_settings, "save_dir": folder, "offline": True})
        trainer = Trainer(
            accelerator="cpu",
            max_steps=steps,
            limit_val_batches=0,
            log_every_n_steps=shipped["trainer"]["log_every_n_steps"],
            logger=logger,
            callbacks=[clock],
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(EcgClassifier(network, learning_rate=shipped["model"]["learning_rate"]), datamodule=datamodule)
        logger.finish()
    return clock.steps[WARM_UP:]


def report(name: str, steps: list[dict[str, float]], batch_size: int) -> None:
    """Print medians of a run's steps."""
    outside = [1 - sum(step[part] for part in PARTS) / step["step"] for step in steps]
    total = 1 - sum(step[part] for step in steps for part in PARTS) / sum(step["step"] for step in steps)
    medians = {part: 1e3 * statistics.median(step[part] for step in steps) for part in (*PARTS, "step")}
    print(f"{name}: {len(steps)} steps of {batch_size} beats")
    print("  median ms: " + ", ".join(f"{part} {value:.1f}" for part, value in medians.items()))
    print(f"  {1e3 * batch_size / medians['step']:,.0f} beats/s")
    outside_ms = statistics.median(1e3 * share * step["step"] for share, step in zip(outside, steps, strict=True))
    print(
        f"  outside: median {statistics.median(outside):.1%} ({outside_ms:.1f} ms), of all steps together {total:.1%} "
        f"(bar: under {MAX_OUTSIDE:.0%})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--small-steps", type=int, default=100)
    parser.add_argument("--full-steps", type=int, default=12)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    small = yaml.safe_load((CONFIGS / "model" / "small.yaml").read_text())["model"]["network"]["init_args"]
    batch_size = yaml.safe_load((CONFIGS / "fit.yaml").read_text())["data"]["batch_size"]
    beats = 1000 + batch_size * math.ceil(max(options.small_steps, options.full_steps))  # one epoch holds every step
    with tempfile.TemporaryDirectory() as cache_dir:
        build_apart(beats, Path(cache_dir))
        for name, network, steps in (
            ("small preset", ResNet1d(**small), options.small_steps),
            ("full ResNet1d", ResNet1d(), options.full_steps),
        ):
            report(name, fit(network, steps + WARM_UP, beats, Path(cache_dir)), batch_size)


if __name__ == "__main__":
    main()
