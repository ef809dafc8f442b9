"""The checkpoint that a stage evaluates: found, whole, and of the run that was asked for."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from torch import Tensor

from ecg_lightning.models.plain_checkpoints import CheckpointError, read_plain
from ecg_lightning.runs.layout import RunPaths
from ecg_lightning.runs.sealing import record_of, remedy_of
from ecg_lightning.storage.file_kinds import kind_of_file
from ecg_lightning.storage.readers import DamagedFileError
from ecg_lightning.storage.seals import SEALED, broken

_LIGHTNING: Final = "pytorch-lightning_version"
_KEEP_IT: Final = (
    "Load the weights in Python into the network that they are of, EcgClassifier(network), and keep that with "
    "Trainer.save_checkpoint"
)


def find_checkpoint(paths: RunPaths, requested: str | None) -> Path:
    """The file to evaluate.

    Args:
        paths: The run.
        requested: ``None`` or ``best``: lowest validation loss; ``last``: newest epoch; else a path.

    Raises:
        CheckpointError: It isn't there.
    """
    named = {None: paths.best_checkpoint, "best": paths.best_checkpoint, "last": paths.last_checkpoint}
    path = named[requested] if requested in named else Path(str(requested))
    if path.is_dir():
        raise CheckpointError(f"{path} is {kind_of_file(path)}")
    if not path.is_file():
        raise CheckpointError(
            f"no checkpoint {path}; train it first, with the same --runs, --study, --target and --seed_everything: "
            "python -m ecg_lightning.cli fit --config configs/fit.yaml ...; or name a file with --ckpt_path"
        )
    return path


def check_as_sealed(path: Path) -> None:
    """Refuse a checkpoint that has changed since the ``fit`` of its run folder ended.

    Args:
        path: The file. One outside of a run, or of a fit that has not ended, has no seal, and is used as it is.

    Raises:
        DamagedFileError: It, or the record that seals it, was changed; the message says what to do.
    """
    paths = RunPaths(path.absolute().parent.parent)
    name = f"{path.parent.name}/{path.name}"
    if path.absolute().parent != paths.checkpoints:
        return
    sealed = (record_of(paths, "fit") or {}).get(SEALED, {})
    for damage in broken(paths.path, {name: sealed[name]} if name in sealed else {}):
        raise DamagedFileError(path, damage.why, remedy_of(name))


def check_trained(paths: RunPaths) -> None:
    """Refuse to call a run trained whose checkpoints have changed since.

    Raises:
        DamagedFileError: A checkpoint, or the record that seals it, was changed; the message says what to do.
    """
    for path in (paths.best_checkpoint, paths.last_checkpoint):
        check_as_sealed(path)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Load a checkpoint's content on the CPU, without running pickled code.

    Raises:
        CheckpointError: The file holds pickled objects, is truncated, or is no checkpoint; the message says which.
    """
    content = read_plain(path)
    if not isinstance(content, dict) or "state_dict" not in content:
        raise CheckpointError(f"{path} holds no `state_dict`: it is not a Lightning checkpoint{_what_else(content)}")
    if not isinstance(content.get("hyper_parameters", {}), dict):
        raise CheckpointError(f"{path}: hyper_parameters: expected a mapping, as `fit` writes it")
    if _LIGHTNING not in content:
        raise CheckpointError(
            f"{path} has a `state_dict` and no {_LIGHTNING}: Lightning did not write it, and can't load it. {_KEEP_IT}"
        )
    return content


def _what_else(content: object) -> str:
    """Of what is no checkpoint: what it seems to be, and what to do, as the end of a sentence."""
    if not isinstance(content, Mapping):
        return f", but a {type(content).__name__}"
    if content and all(isinstance(value, Tensor) for value in content.values()):
        return f", but the weights alone ({len(content)} tensors, the first is {next(iter(content))}). {_KEEP_IT}"
    return f"; it holds {', '.join(map(str, content)) or 'nothing'}"[:300]


def check_same_model(path: Path, content: Mapping[str, Any], target: str, seed: int) -> None:
    """Refuse a checkpoint of another target or another training seed.

    At test a checkpoint's hyperparameters override the command line's silently, and the run folder is named by
    the command line's.

    Args:
        path: The file, for messages.
        content: What :func:`read_checkpoint` gave.
        target: The run's.
        seed: The run's.

    Raises:
        CheckpointError: Another target or seed; the message says which to pass.
    """
    trained = content.get("hyper_parameters", {})
    if trained.get("target", target) != target:
        raise CheckpointError(
            f"{path} was trained for {trained['target']}, this run is for {target}: pass "
            f"--target {trained['target']}, or a checkpoint of {target} with --ckpt_path"
        )
    if trained.get("seed", seed) != seed:
        raise CheckpointError(
            f"{path} was trained with seed {trained['seed']}, this run is of seed {seed}: pass "
            f"--seed_everything {trained['seed']} (and another --study to keep it apart)"
        )


def epoch_of(content: Mapping[str, Any]) -> str:
    """After which epoch a checkpoint was kept, counted from 1, in words.

    Args:
        content: What :func:`read_checkpoint` gave.
    """
    epoch = content.get("epoch")
    return f"epoch {epoch + 1}" if isinstance(epoch, int) else "an unknown epoch"


def trained_source(content: Mapping[str, Any]) -> str | None:
    """Name of the source whose ECGs a checkpoint was trained on; None where it doesn't say.

    Args:
        content: What :func:`read_checkpoint` gave.
    """
    source = content.get("ecg_data", {}).get("source")
    return None if source is None else str(source)
