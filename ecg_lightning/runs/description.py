"""The content of a run's folder in a few lines, for whoever prints a run."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from ecg_lightning.runs.layout import RunPaths
from ecg_lightning.storage.store import RowStore, StoreError


def describe_files(paths: RunPaths, examples: str, stores: Sequence[str]) -> Iterator[str]:
    """Say which files and stores a run has, a line each.

    Args:
        paths: The run's.
        examples: Its test ECGs, in words.
        stores: Names of its stores, such as ``maps/saliency``.
    """
    files = (paths.config("fit"), paths.config("test"), paths.metrics, paths.best_checkpoint)
    there = [path.relative_to(paths.path).as_posix() for path in files if path.is_file()]
    yield f"  files: {', '.join(there) or 'none'}"
    yield f"  examples: {examples}"
    yield "  stores:" if stores else "  stores: none yet"
    for name in stores:
        yield f"    {name}: {_describe_store(paths.path / name)}"


def _describe_store(path: Path) -> str:
    try:
        store = RowStore.open(path)
        done = int(store.done.sum())
    except (OSError, StoreError) as error:
        return f"not readable ({error})"
    sizes = ", ".join(f"{dim} {size}" for dim, size in zip(store.spec.dims, store.spec.shape, strict=True))
    return f"{sizes}; " + ("complete" if done == len(store) else f"{done} of {len(store)} rows done")
