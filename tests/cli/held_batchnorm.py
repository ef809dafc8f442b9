"""A callback for tests of several processes: BatchNorm in eval mode, and the loss of every step of every rank."""

import json
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import nn


class HeldBatchNorm(Callback):
    """Holds BatchNorms at their statistics, which each rank would take from its own ECGs, and writes down the losses.

    ``losses.<rank>.json`` in the run folder: one list an epoch.
    """

    def __init__(self) -> None:
        self.losses: dict[int, list[float]] = {}

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for module in pl_module.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.losses.setdefault(trainer.current_epoch, []).append(float(outputs["loss"]))

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        path = Path(str(trainer.default_root_dir)) / f"losses.{trainer.global_rank}.json"
        path.write_text(json.dumps(self.losses))
