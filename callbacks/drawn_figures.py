"""Figures of a run are drawn, left out, or also written as vector graphics, as one callback of the trainer says."""

from collections.abc import Sequence
from typing import Final, Literal, get_args

from lightning.pytorch import Callback, Trainer

from ecg_lightning.plotting.figure_files import FigureFile, figure_kinds

DrawnFigures = Literal["none", "summary", "all"]
DRAWN: Final[tuple[DrawnFigures, ...]] = get_args(DrawnFigures)


class Figures(Callback):
    """Says which figures a test draws, and into which files.

    It does nothing by itself: callbacks that draw look for it among the trainer's callbacks, and draw everything, as
    PNG, where there is none. The command line makes it of ``--figures`` and ``--figure_files``.

    Args:
        draw: ``all``; ``summary``: one figure of each audit, and of the maps those that show all methods at once;
            ``none``: none but the maps of ECGs that ``MapPictures`` is given by their ids. Tables are written anyway.
        files: Kinds of files of each figure: ``png``, ``svg``, ``pdf``. A PNG is always written.

    Raises:
        ValueError: ``draw`` or one of ``files`` is none of these.
    """

    def __init__(self, draw: DrawnFigures = "all", files: Sequence[FigureFile] = ("png",)) -> None:
        super().__init__()
        if draw not in DRAWN:
            raise ValueError(f"Figures: draw is {draw!r}, expected one of {', '.join(DRAWN)}")
        self.draw: DrawnFigures = draw
        self.files = figure_kinds(files)

    def wants(self, *, summary: bool) -> bool:
        """Return whether a figure is drawn; ``summary`` says whether it is one of the few."""
        return self.draw == "all" or (summary and self.draw == "summary")


def figures_of(trainer: Trainer) -> Figures:
    """Return what the trainer's callbacks say of figures; everything is drawn where none of them says it."""
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    return next((one for one in callbacks if isinstance(one, Figures)), Figures())
