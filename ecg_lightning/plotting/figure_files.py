"""Figures are written to files: whole, laid out once, and the same figure always as the same bytes."""

import gc
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal, get_args

from matplotlib.figure import Figure

from ecg_lightning.storage.atomic import atomic_path

SAVE_DPI: Final = 200
FigureFile = Literal["png", "svg", "pdf"]
FILE_KINDS: Final[tuple[FigureFile, ...]] = get_args(FigureFile)
FORMATS: Final = tuple(f".{kind}" for kind in FILE_KINDS)
WITHOUT_DATE: Final[dict[str, dict[str, None]]] = {"png": {}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
"""Format -> metadata that Matplotlib leaves out: the same figure gives the same file."""

PNG_SETTINGS: Final = {"compress_level": 4}
"""A fifth faster than the default, for a fiftieth more bytes."""

_SELDOM: Final = 100_000


def figure_kinds(words: Sequence[str]) -> tuple[FigureFile, ...]:
    """Read kinds of files from words such as ``png`` or ``[png, svg]``.

    Raises:
        ValueError: There is another kind among them.
    """
    kinds = [kind for word in words for kind in re.findall(r"\w+", word)]
    if unknown := sorted(set(kinds) - set(FILE_KINDS)):
        raise ValueError(f"files of figures are {', '.join(FILE_KINDS)}, got {', '.join(unknown)}")
    return tuple(kind for kind in FILE_KINDS if kind in kinds)


def save_figure(figure: Figure, path: str | os.PathLike[str], dpi: int = SAVE_DPI) -> Path:
    """Write a figure whole: a reader sees the old file or the new one, never half of one.

    Args:
        figure: The figure; its size does not change, so that a print at 100 % is to scale. It keeps its layout.
        path: Where to write; the suffix (``.png``, ``.svg``, ``.pdf``) is the format. Folders are made.
        dpi: Dots per inch of a PNG and of the coloured parts of an SVG or PDF.

    Returns:
        The path that was written.

    Raises:
        ValueError: The suffix is none of the three.
    """
    path = Path(path)
    if path.suffix.lower() not in FORMATS:
        raise ValueError(f"expected a file name that ends in {', '.join(FORMATS)}, got {path.name!r} ({path})")
    if (layout := figure.get_layout_engine()) is not None:
        figure.set_dpi(dpi)
        layout.execute(figure)
        figure.set_layout_engine("none")  # else it is done for each file, and everything drawn twice for it
    with atomic_path(path) as temporary:
        kind = path.suffix.lower().removeprefix(".")
        more: dict[str, Any] = {"pil_kwargs": PNG_SETTINGS} if kind == "png" else {}
        figure.savefig(temporary, dpi=dpi, format=kind, metadata=WITHOUT_DATE[kind], **more)
    return path


def save_figure_files(figure: Figure, path: Path, files: Sequence[FigureFile]) -> None:
    """Write a figure as PNG, and as files of other kinds beside it.

    Args:
        figure: The figure.
        path: Where to write the PNG.
        files: Kinds of the files.
    """
    save_figure(figure, path)
    for kind in dict.fromkeys(files):
        if kind != "png":
            save_figure(figure, path.with_suffix(f".{kind}"))


@contextmanager
def seldom_collected() -> Iterator[None]:
    """Let Python look for unused objects seldom while figures are drawn.

    A figure is ten thousands of small objects that refer to each other, and each search goes through all that libraries
    hold as well: it took half of the time of making a figure.
    """
    first, *others = gc.get_threshold()
    gc.set_threshold(max(first, _SELDOM), *others)
    try:
        yield
    finally:
        gc.set_threshold(first, *others)
