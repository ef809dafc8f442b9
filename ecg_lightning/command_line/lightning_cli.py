"""Lightning's command line with this project's arguments: ``fit|validate|test|predict|prepare|tune``.

With ``callbacks/`` it brings Lightning and Captum, so that ``cli.py`` imports it only for the commands that need them.
"""

import os
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Final

import jsonargparse
import yaml
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.cli import ArgsType, LightningArgumentParser
from lightning.pytorch.utilities import rank_zero_info

from callbacks import StageConfig
from ecg_lightning.command_line.checked_cli import CheckedCLI
from ecg_lightning.command_line.checked_parser import CheckedParser
from ecg_lightning.command_line.run_arguments import (
    add_checkpoint_arguments,
    add_network,
    add_root,
    add_run_arguments,
    link_run_arguments,
)
from ecg_lightning.command_line.run_config import check_root, fill, subclass_configs, test_all_of_another_source
from ecg_lightning.command_line.stage_guard import end_trainer_when_told, lock_of, warn_if_unfinished
from ecg_lightning.command_line.test_keys import (
    add_test_keys,
    check_setting_names,
    in_order,
    keyed_configs,
    take_listed_callbacks,
)
from ecg_lightning.command_line.typed_words import TypedWords
from ecg_lightning.data.datamodule import EcgDataModule
from ecg_lightning.data.study_splits import check_study_settings
from ecg_lightning.endings import is_rank_zero
from ecg_lightning.models.classifier import EcgClassifier
from ecg_lightning.runs.checkpoints import (
    check_as_sealed,
    check_same_model,
    check_trained,
    find_checkpoint,
    read_checkpoint,
    trained_source,
)
from ecg_lightning.runs.layout import RunPaths
from ecg_lightning.runs.run_lock import RunLock
from ecg_lightning.runs.same_run import check_same_run
from ecg_lightning.tuning.command import TuneJob, load_trained, run_tuning
from ecg_lightning.tuning.settings import TuningSettings
from ecg_lightning.wandb_logger import RunLogger, run_group

_PREPARE: Final = "prepare"
_TUNE: Final = "tune"
_COMMANDS: Final = ("fit", "validate", "test", "predict", _PREPARE, _TUNE)


class EcgCLI(CheckedCLI):
    """Lightning's command line with the run folder of the contract, resume, and ``prepare``."""

    _lock: RunLock | None = None

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the top-level arguments, and link them with what each of them sets."""
        add_run_arguments(parser)
        add_checkpoint_arguments(parser)
        link_run_arguments(parser)

    def _check_typed(self, words: TypedWords) -> None:
        check_setting_names(words)
        super()._check_typed(words)

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self._command = _first_word(named.get("args"))
        super().__init__(*arguments, **named)

    def _prepare_subcommand_parser(self, klass: type, subcommand: str, **kwargs: Any) -> LightningArgumentParser:
        """Make the parser of one command; that of a command which was not given stays empty, since each takes 0.1 s."""
        command = kwargs.pop("command", subcommand)
        if self._command not in (None, command):
            self._subcommand_method_arguments.setdefault(subcommand, [])
            return self.init_parser(**kwargs)
        parser = super()._prepare_subcommand_parser(klass, subcommand, **kwargs)
        if subcommand != "fit":
            add_test_keys(parser)
            add_network(parser)
        return parser

    def _add_subcommands(self, parser: LightningArgumentParser, **kwargs: Any) -> None:
        super()._add_subcommands(parser, **kwargs)
        prepare = self.init_parser(**kwargs.get(_PREPARE, {}))
        if self._command in (None, _PREPARE):
            prepare.add_lightning_class_args(EcgDataModule, "data")
            add_root(prepare)
            prepare.add_argument("--overwrite", type=bool, default=False, help="Make the cache anew.")
        self._subcommand_parsers[_PREPARE] = prepare
        parser._subcommands_action.add_subcommand(  # Lightning keeps the action to itself
            _PREPARE, prepare, help="Turn a source's recordings into cached median beats."
        )
        tune = self._prepare_subcommand_parser(Trainer, "test", command=_TUNE, **kwargs.get(_TUNE, {}))
        tune.add_class_arguments(TuningSettings, _TUNE)
        self._subcommand_parsers[_TUNE] = tune
        parser._subcommands_action.add_subcommand(
            _TUNE, tune, help="Measure how many passes each method needs, on validation ECGs."
        )

    def _parse_ckpt_path(self) -> None:
        """Take the run's own best checkpoint unless told otherwise, and the network it was trained with."""
        stage = self.config.get("subcommand")
        if stage != _PREPARE and self.config[stage].weights_only is None:
            self.config[stage].weights_only = True  # the project's checkpoints hold no pickled code
        config = self.config[stage]
        if stage not in ("fit", _PREPARE) and config.network is not None:
            config.ckpt_path = None  # its card names its weights
        elif stage in ("validate", "test", "predict", _TUNE):
            path = find_checkpoint(RunPaths(Path(config.trainer.default_root_dir)), config.ckpt_path)
            check_as_sealed(path)
            check_same_model(path, content := read_checkpoint(path), config.target, config.seed_everything)
            warn_if_unfinished(path, content)
            config.ckpt_path = str(path)
            if stage != "validate":
                test_all_of_another_source(config, trained_source(content))
        if stage != _PREPARE:
            super()._parse_ckpt_path()

    def _set_seed(self) -> None:
        if self.subcommand != _PREPARE:
            super()._set_seed()

    def before_instantiate_classes(self) -> None:
        """Tell loggers and callbacks where the run is."""
        config = self.config[str(self.subcommand)]
        check_root(config)
        if self.subcommand == _PREPARE:
            return
        for logger in subclass_configs(config.trainer.logger):
            fill(logger, "save_dir", config.trainer.default_root_dir)
            fill(logger, "group", run_group(config.study, config.target, config.seed_everything))
            fill(logger, "job_type", self.subcommand)
        if self.subcommand != "fit":
            take_listed_callbacks(config, self._parser(self.subcommand).get_defaults())
        for callback in (*subclass_configs(config.trainer.callbacks), *keyed_configs(config)):
            for argument in ("on_mismatch", "ids"):
                if argument in callback.init_args:
                    callback.init_args[argument] = config[argument]
        self.save_config_kwargs = {"stage": self.subcommand}

    def instantiate_classes(self) -> None:
        """``prepare`` needs the datamodule alone."""
        if self.subcommand != _PREPARE:
            super().instantiate_classes()
            end_trainer_when_told(self.trainer)
            return
        self.config_init = self.parser.instantiate(self.config)
        self.datamodule = self._get(self.config_init, "data")

    def _instantiate_trainer(self, config: dict[str, Any], callbacks: list[Callback]) -> Trainer:
        config["callbacks"] = in_order(self.config_init[self.subcommand], config["callbacks"] or [])
        return super()._instantiate_trainer(config, callbacks)

    def _run_subcommand(self, subcommand: str) -> None:
        if subcommand == _PREPARE:
            self.datamodule.prepare_cache(overwrite=self.config[_PREPARE].overwrite)
            return
        self._lock = lock_of(subcommand, self.config[subcommand].trainer.default_root_dir)
        with self._lock or nullcontext():
            if subcommand == _TUNE:
                self.tune()
                return
            try:
                super()._run_subcommand(subcommand)
            finally:
                for logger in self.trainer.loggers:
                    if isinstance(logger, RunLogger):
                        logger.finish()  # a next stage of the same process is a run of its own

    def fit(self, **kwargs: Any) -> None:
        """Train; resume a killed run of the same settings, leave a finished one alone."""
        config = self.config["fit"]
        paths = RunPaths(Path(config.trainer.default_root_dir))
        check_study_settings(paths.splits, self.datamodule.settings())  # before a run is moved aside, or beats made
        settings = yaml.safe_load(self._parser("fit").dump(config, skip_none=False))
        resumable = check_same_run(paths, settings, config.on_mismatch, moves=is_rank_zero())
        if self._lock is not None:
            self._lock.renew()  # the folder that was moved aside took the first one with it
        if resumable:
            check_trained(paths)
        if resumable and paths.fit_record.is_file() and paths.best_checkpoint.is_file():
            rank_zero_info(f"{paths.path} is trained already with these settings; nothing to do")
            return
        if resumable and kwargs.get("ckpt_path") is None:
            rank_zero_info(f"resuming from {paths.last_checkpoint}")
            kwargs["ckpt_path"] = str(paths.last_checkpoint)
        self.trainer.fit(**kwargs)

    def tune(self) -> None:
        """Find the passes that the configured methods need; on one device, and on validation ECGs only.

        Raises:
            ValueError: There are no maps, so there are no methods to tune.
        """
        config = self.config[_TUNE]
        maps = self.config_init[_TUNE].maps
        if maps is None:
            raise ValueError("tune measures the methods of the key `maps`, which is null: leave `maps: null` out")
        if is_rank_zero():
            module = load_trained(self.trainer, self.model, self.datamodule, config.ckpt_path, config.gate)
            configured = yaml.safe_load(self._parser(_TUNE).dump(config, skip_none=False))["maps"]
            folder = Path(config.trainer.default_root_dir) / _TUNE
            settings = self.config_init[_TUNE][_TUNE]
            run_tuning(TuneJob(maps, module, self.datamodule, settings, folder, configured))


def _first_word(args: ArgsType) -> str | None:
    """Return the command that was given; None where the first word names none, so that any may follow."""
    words = sys.argv[1:] if args is None else args
    first = words[0] if isinstance(words, list) and words else None
    return first if first in _COMMANDS else None


def run_lightning(args: ArgsType, kind: type[EcgCLI] = EcgCLI) -> EcgCLI:
    """Run a command of one network.

    Args:
        args: Arguments; None: the process's own.
        kind: The command line.
    """
    # Lightning 2.6 calls jsonargparse by names that the newest jsonargparse deprecates; users can't mend that
    os.environ.setdefault("JSONARGPARSE_DEPRECATION_WARNINGS", "off")
    # values that refer to others (${...}) are resolved after the command line's overrides
    # what lies where no class is declared stays what it is, and what runs commands is not looked up at all
    jsonargparse.set_parsing_settings(
        omegaconf_absolute_to_relative_paths=True, instantiate_subclass_spec_in_any=False, import_path_denylist=[]
    )
    return kind(
        EcgClassifier,
        EcgDataModule,
        save_config_callback=StageConfig,
        seed_everything_default=0,
        auto_configure_optimizers=False,  # the module has its own, with its settings in the checkpoint
        trainer_defaults={"use_distributed_sampler": False},  # the datamodule shards by itself, without padding
        parser_class=CheckedParser,
        parser_kwargs={"parser_mode": "omegaconf+"},
        args=args,
    )
