"""The last word of a ``test``: that it is done, and what its files are."""

from collections.abc import Callable
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from callbacks.ranks import on_rank_zero, run_folder
from ecg_lightning.runs.sealing import seal_test


class TestSeal(Callback):
    """Writes ``test.done.json`` when every other callback has written what it writes.

    ``TestRecord`` puts it behind all others, in whatever order a user has given them.

    Attributes:
        content: Gives what the record says besides its seals.
    """

    __test__ = False  # not a pytest class

    content: Callable[[], dict[str, Any]]

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Every callback has written what it writes: the test is done."""
        on_rank_zero(trainer, lambda: seal_test(run_folder(trainer), self.content()))


def last_callback(trainer: Trainer) -> TestSeal:
    """The trainer's TestSeal, put behind all other callbacks; made where there is none yet."""
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    seal = next((one for one in callbacks if isinstance(one, TestSeal)), TestSeal())
    callbacks[:] = [*(one for one in callbacks if one is not seal), seal]
    return seal
