"""The resolved configuration of each stage, in the run folder and on the dashboard."""

from pathlib import Path

import yaml
from jsonargparse import Namespace
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.cli import LightningArgumentParser, SaveConfigCallback

from ecg_lightning.runs.shared_config import shared_config
from ecg_lightning.storage.atomic import write_text_atomic


class StageConfig(SaveConfigCallback):
    """Writes the resolved configuration of each stage into the run folder: ``fit.yaml``, ``test.yaml`` ...

    It is the last callback, and writes when the stage starts and not at ``setup``: a stage that another callback
    refuses must not overwrite the configuration of the results that are there. Loggers get it without paths that lie
    outside of the working folder and without ids of ECGs.
    """

    def __init__(self, parser: LightningArgumentParser, config: Namespace, stage: str = "fit") -> None:
        super().__init__(parser, config, save_to_log_dir=False)
        self.stage = stage

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Do nothing: the stage writes when it starts."""

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write ``fit.yaml`` into the run folder."""
        self._write(trainer)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write ``validate.yaml``; validation inside ``fit`` has its configuration already."""
        if self.stage == "validate":
            self._write(trainer)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write ``test.yaml`` into the run folder."""
        self._write(trainer)

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write ``predict.yaml`` into the run folder."""
        self._write(trainer)

    def save_config(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Not called by this class's ``setup``, but its parent asks for it."""
        self._write(trainer)

    def _write(self, trainer: Trainer) -> None:
        if not trainer.is_global_zero:
            return
        path = Path(trainer.default_root_dir) / f"{self.stage}.yaml"
        write_text_atomic(path, self.parser.dump(self.config, skip_none=False))
        for logger in trainer.loggers:
            logger.log_hyperparams({"config": shared_config(yaml.safe_load(path.read_text()))})
