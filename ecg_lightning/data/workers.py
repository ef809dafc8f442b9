"""The processes that compute the parts of a cache."""

import multiprocessing
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import as_completed
from functools import partial

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ecg_lightning.data.shards import PrepareSettings, Shard, run_shard, start_worker, write_shard
from ecg_lightning.data.sources.base import Source
from ecg_lightning.data.worker_pool import worker_pool


def check_not_importing_main() -> None:
    """Refuse to work in a worker process that imports the script that started it.

    Raises:
        RuntimeError: It is one.
    """
    # The same mark as in multiprocessing.spawn: a worker imports the script that started it. Without this check it
    # would wait here for the lock that its own parent holds.
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise RuntimeError(
            "prepare was called by a worker process that imports the main script: put the call in the script under "
            "'if __name__ == \"__main__\":', or give processes=1"
        )


def run_shards(
    source: Source, shards: Sequence[Shard], settings: PrepareSettings, workers: int, console: Console
) -> None:
    """Write the part files of shards, with a bar on a terminal.

    Args:
        source: Where the ECGs are from.
        shards: What is to be done.
        settings: What is kept of each ECG.
        workers: Worker processes; 1 to work in this process.
        console: Where the bar goes.

    Raises:
        DiskSpaceError: The disk is full.
        RuntimeError: A worker process died.
    """
    workers = min(workers, len(shards))
    with _progress(console) as bar:
        task = bar.add_task(source.name, total=sum(len(shard.entries) for shard in shards))
        done = _run_here(source, shards, settings) if workers <= 1 else _run_parallel(source, shards, settings, workers)
        for shard in done:
            bar.advance(task, len(shard.entries))


def _progress(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, disable=not console.is_terminal, transient=True)


def _run_here(source: Source, shards: Sequence[Shard], settings: PrepareSettings) -> Iterator[Shard]:
    for shard in shards:
        write_shard(source, shard, settings)
        yield shard


def _run_parallel(source: Source, shards: Sequence[Shard], settings: PrepareSettings, workers: int) -> Iterator[Shard]:
    start = partial(start_worker, source)
    with worker_pool(workers, _context(), start, f"preparing {source.name}") as pool:
        futures = {pool.submit(run_shard, shard, settings): shard for shard in shards}
        for future in as_completed(futures):
            future.result()
            yield futures[future]


def _context() -> multiprocessing.context.BaseContext:
    """Workers fork from a server process that has imported what they need once."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    # Workers import the main module again; torch is then better imported once, in the server.
    heavy = [name for name in ("torch", "lightning") if name in sys.modules and _main_is_module()]
    context.set_forkserver_preload(["__main__", "ecg_lightning.data.shards", *heavy])
    return context


def _main_is_module() -> bool:
    """Return whether the program was started by ``python -m``."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return spec is not None and not spec.name.endswith("__main__")
