"""What the command line fills in and refuses in a parsed configuration, before any class of it is made."""

from argparse import ArgumentTypeError
from collections.abc import Iterator
from typing import Any

from jsonargparse import Namespace
from lightning.pytorch.utilities import rank_zero_info

from ecg_lightning.data.targets import PAPER_TARGETS, check_name
from ecg_lightning.models.class_names import imported_object
from ecg_lightning.runs.layout import RunPaths


def folder_name(value: object) -> str:
    """The name of a folder, of the command line or of a configuration.

    Raises:
        ValueError: What YAML has read there is no text, as ``study: 007``, which is the number 7.
    """
    if not isinstance(value, str):
        raise ValueError(f'expected a name, and YAML reads {value!r} there: write it in quotes, such as "007"')
    return value


class TargetNameError(ArgumentTypeError, ValueError):
    """A name that no target has. The parser shows the words of the first kind in arguments, of the other in files."""


def target_name(value: object) -> str:
    """The name of a target; whether the source has it is asked when the data are prepared.

    Raises:
        TargetNameError: It is no safe name of a folder, or there is none.
    """
    if value is None:
        raise TargetNameError(f"pass --target, a target of the source; the paper's are {', '.join(PAPER_TARGETS)}")
    try:
        return check_name(folder_name(value))
    except ValueError as error:
        raise TargetNameError(str(error)) from error


def run_path(runs: str, study: str, target: str | None, seed: int) -> str:
    """Folder of a run, for the arguments that are linked to it.

    Links are applied before missing arguments are noticed, so a missing target must not fail here.
    """
    return str(RunPaths.of(runs, study, target or "", seed).path)


def checkpoint_path(runs: str, study: str, target: str | None, seed: int) -> str:
    """Folder of a run's checkpoints, for the arguments that are linked to it."""
    return str(RunPaths.of(runs, study, target or "", seed).checkpoints)


def test_all_of_another_source(config: Namespace, trained: str | None) -> None:
    """Every ECG is a test ECG where the network was trained on another source and nobody asked for a split."""
    source = imported_object(config.data.source.class_path)  # imported since it was parsed
    if config.data.split == "auto" and trained is not None and trained != getattr(source, "name", None):
        config.data.split = "test_only"
        rank_zero_info(f"{config.ckpt_path} was trained on {trained}: every ECG of this source is a test ECG")


def check_root(config: Namespace) -> None:
    """Refuse a source that reads files where nobody said where they are, and a folder that no source reads.

    Raises:
        SystemExit: ``--root`` is missing, or nothing would read it.
    """
    source = config.data.source
    arguments = source.get("init_args") or {}
    if "root" in arguments and arguments["root"] is None:
        raise SystemExit(f"{source.class_path} reads files: pass --root FOLDER, the folder where they lie")
    if "root" not in arguments and config.root is not None:
        raise SystemExit(
            f"{source.class_path} reads no files, so --root {config.root} would do nothing: leave it out, or choose "
            "the source of these files, for instance with --config configs/data/ptbxl.yaml"
        )


def subclass_configs(value: Any) -> Iterator[Namespace]:
    """The class configurations in a setting that holds none, one, or a list of them."""
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, Namespace) and "init_args" in item:
            yield item


def fill(config: Namespace, argument: str, value: object) -> None:
    """Set an argument of a class that has it, where it was left at its default."""
    if argument in config.init_args and config.init_args[argument] in (None, "runs"):
        config.init_args[argument] = value
