"""The top-level arguments of a command on one network, and the settings that each of them fills in."""

from typing import Final

from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.cli import LightningArgumentParser

from ecg_lightning.cards.gate.finding import GateMode
from ecg_lightning.command_line.run_config import checkpoint_path, folder_name, run_path, target_name
from ecg_lightning.runs.layout import OnMismatch
from ecg_lightning.runs.pseudonyms import IdChoice

_RUN_ARGUMENTS: Final = ("runs", "study", "target", "seed_everything")
_CHECKPOINT_DEFAULTS: Final = {
    "checkpoint.monitor": "val/loss",
    "checkpoint.filename": "best",
    "checkpoint.enable_version_counter": False,  # a resumed run keeps its one best.ckpt
    "last_checkpoint.filename": "last",
    "last_checkpoint.enable_version_counter": False,
    "early_stopping.monitor": "val/loss",
    "early_stopping.patience": 5,
}


def add_run_arguments(parser: LightningArgumentParser) -> None:
    """Add the arguments that say which run a command works on, and how its ECGs are named."""
    parser.add_argument(
        "--study", type=folder_name, default="default", help="Name of the study; its runs are compared."
    )
    parser.add_argument("--target", type=target_name, required=True, help="The diagnosis to classify, of the source's.")
    parser.add_argument("--runs", type=folder_name, default="runs", help="Folder of all studies.")
    parser.add_argument(
        "--on_mismatch",
        type=OnMismatch,
        default="error",
        help="What to do with results of other settings in the run folder: stop, or move them aside.",
    )
    parser.add_argument(
        "--ids",
        type=IdChoice,
        default="pseudonyms",
        help="How ECGs are named in pictures and on W&B: rows with pseudonyms, or with their ids (keep).",
    )
    add_root(parser)


def add_checkpoint_arguments(parser: LightningArgumentParser) -> None:
    """Add the settings of the checkpoints and of early stopping, with the project's defaults."""
    parser.add_lightning_class_args(ModelCheckpoint, "checkpoint")
    # Lightning's own `save_last` only saves when the best improved, so a resumed run would fall back to it
    parser.add_lightning_class_args(ModelCheckpoint, "last_checkpoint")
    parser.add_lightning_class_args(EarlyStopping, "early_stopping")
    parser.set_defaults(_CHECKPOINT_DEFAULTS)


def link_run_arguments(parser: LightningArgumentParser) -> None:
    """Have target, seed and folder fill in the settings that must agree with them."""
    parser.link_arguments("target", "data.target")
    parser.link_arguments("target", "model.target")
    parser.link_arguments("seed_everything", "model.seed")
    parser.link_arguments("seed_everything", "data.shuffle_seed")
    parser.link_arguments(_RUN_ARGUMENTS, "trainer.default_root_dir", compute_fn=run_path)
    parser.link_arguments(_RUN_ARGUMENTS, "checkpoint.dirpath", compute_fn=checkpoint_path)
    parser.link_arguments(_RUN_ARGUMENTS, "last_checkpoint.dirpath", compute_fn=checkpoint_path)


def add_network(parser: LightningArgumentParser) -> None:
    """Add the card of a network that was trained elsewhere, to commands that train none."""
    parser.add_argument(
        "--network", type=str | None, default=None, help="Card of a network that was trained elsewhere."
    )
    parser.add_argument(
        "--gate", type=GateMode, default="error", help="Where another setting is clearly better than the card's."
    )
    parser.link_arguments("target", "model.network.init_args.target")


def add_root(parser: LightningArgumentParser) -> None:
    """Add the folder of the source's files, also to commands that work on no run."""
    parser.add_argument("--root", type=str | None, default=None, help="Folder where the source's files lie.")
    parser.link_arguments("root", "data.source.init_args.root")
