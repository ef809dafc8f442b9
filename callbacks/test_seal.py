"""The last word of a ``test``: how much of it is done, and what its files are."""

from collections.abc import Callable
from typing import Any

import numpy as np
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_warn
from numpy.typing import ArrayLike

from callbacks.current_run import on_rank_zero, run_folder
from ecg_lightning.runs.finished import INCOMPLETE, TEST_SET, WITHOUT_LIMITS, why_partial
from ecg_lightning.runs.sealing import seal_test
from ecg_lightning.storage.store import RowStore


class TestSeal(Callback):
    """Writes ``test.done.json`` when every other callback has written what it writes.

    ``LogitsAndMetrics`` puts it behind all others, in whatever order a user has given them.

    Attributes:
        content: Gives what the record says besides its seals.
        before: What rank zero does before it seals: maps that are not kept go when nobody reads them any more.
        incomplete: Store, below the run -> how many of the rows that its callback wanted are done, and how many it
            wanted; of those that lack some.
    """

    __test__ = False  # not a pytest class

    content: Callable[[], dict[str, Any]]

    def __init__(self) -> None:
        super().__init__()
        self.incomplete: dict[str, tuple[int, int]] = {}
        self.before: list[Callable[[], None]] = []

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Every callback has written what it writes: the test has ended, and says so if it is a part of one only."""
        on_rank_zero(trainer, lambda: self._seal(trainer))

    def _seal(self, trainer: Trainer) -> None:
        for step in self.before:
            step()
        paths = run_folder(trainer)
        content = self.content()
        seal_test(paths, {**content, INCOMPLETE: self.incomplete})
        leave_out = "compare and report leave this run out, and study repeats its test"
        if untested := content[TEST_SET] - content["n_ecgs"]:
            what = f"{untested} of {content[TEST_SET]} test ECGs were not tested"
            rank_zero_warn(f"{paths.path}: {what}; {leave_out}: {WITHOUT_LIMITS}")
        elif why := why_partial(paths):
            rank_zero_warn(f"{paths.path} is not finished; {leave_out}: {why}")


def last_callback(trainer: Trainer) -> TestSeal:
    """The trainer's TestSeal, put behind all other callbacks; made where there is none yet."""
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    seal = _seal_of(trainer) or TestSeal()
    callbacks[:] = [*(one for one in callbacks if one is not seal), seal]
    return seal


def close_store(trainer: Trainer, store: RowStore, wanted: ArrayLike | None = None) -> None:
    """Unite the ranks' masks once all have written, and note for the record of the test what the store lacks.

    Args:
        trainer: The trainer.
        store: Opened by ``callbacks.current_run.open_store``.
        wanted: Rows that belong into it; by default all.
    """
    trainer.strategy.barrier()
    on_rank_zero(trainer, lambda: _merge(trainer, store, wanted))
    store.close()


def _merge(trainer: Trainer, store: RowStore, wanted: ArrayLike | None) -> None:
    store.merge()
    seal = _seal_of(trainer)
    if seal is None:  # no LogitsAndMetrics, and so no record
        return
    name = store.path.relative_to(run_folder(trainer).path).as_posix()
    rows = np.arange(len(store)) if wanted is None else np.asarray(wanted)
    seal.incomplete.pop(name, None)  # of an earlier test of the same trainer
    if missing := len(store.missing(rows)):
        seal.incomplete[name] = (len(rows) - missing, len(rows))


def _seal_of(trainer: Trainer) -> TestSeal | None:
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    return next((one for one in callbacks if isinstance(one, TestSeal)), None)
