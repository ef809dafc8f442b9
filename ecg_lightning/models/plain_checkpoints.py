"""The content of a checkpoint without anything of it being run; what can't be read so is named with a remedy."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Final

import torch
from torch.serialization import DEFAULT_PROTOCOL

from ecg_lightning.storage.file_kinds import kind_of_file
from ecg_lightning.storage.pickled_objects import pickle_protocol, pickled_objects

_SHOWN: Final = 5


class CheckpointError(ValueError):
    """A checkpoint that is missing, broken, or of another run; the message names the file and the remedy."""


def read_plain(path: Path) -> Any:
    """Load what ``torch.save`` has written on the CPU, without running pickled code.

    Raises:
        CheckpointError: The file holds pickled objects, is another kind of file, or was cut short; the message says
            which, and what to do.
    """
    try:
        return torch.load(path, weights_only=True, map_location="cpu")
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, UnpicklingError) as error:
        raise CheckpointError(_why_not_read(path, error)) from error


def _why_not_read(path: Path, error: Exception) -> str:
    if kind := kind_of_file(path):
        return f"{path} can't be read as a checkpoint: it is {kind}"
    if objects := pickled_objects(path):
        return (
            f"{path} holds pickled objects, which are not loaded, since loading them can run any command: "
            f"{_listed(objects)}. Nothing was made of them. If you trust whoever made the file, load it once in Python "
            "with torch.load(path, weights_only=False), replace these by texts and numbers or leave them out, keep the "
            "rest with torch.save under another name, and pass that with --ckpt_path; "
            "EcgClassifier.load_from_checkpoint(path, weights_only=False, classes=[...]) reads it as it is"
        )
    if (protocol := pickle_protocol(path)) > DEFAULT_PROTOCOL:
        return (
            f"{path} was pickled by protocol {protocol} and not by torch.save's own, {DEFAULT_PROTOCOL}, which is not "
            "read without running it. If you trust whoever made it, load it once with torch.load(path, "
            "weights_only=False), keep it with torch.save under another name, and pass that with --ckpt_path"
        )
    # torch's advice for pickles that it can't read is to run them
    words = "" if isinstance(error, UnpicklingError) else ": " + str(error).strip().partition("\n")[0]
    return (
        f"{path} can't be read as a checkpoint ({type(error).__name__}{words}): it was cut short, or is another "
        "kind of file. Take `last.ckpt` beside it with --ckpt_path last, or train again with --on_mismatch replace "
        "after deleting fit.done.json"
    )


def _listed(objects: Mapping[str, Sequence[str]]) -> str:
    """Such as ``hyper_parameters.where (pathlib.PosixPath)``."""
    shown = [f"{key or 'the whole content'} ({_few(names)})" for key, names in objects.items()]
    more = f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
    return f"{', '.join(shown[:_SHOWN])}{more}"


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
