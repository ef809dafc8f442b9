"""This module holds what a report is made of: sections of paragraphs, pictures and tables."""

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pandas as pd
from matplotlib.image import imsave

from ecg_lightning.plotting.figure_files import PNG_SETTINGS, FigureFile, save_figure_files, seldom_collected
from ecg_lightning.plotting.sheet import CaptionedFigure
from ecg_lightning.runs.study_folder import COMPARED_TABLES, StudyFolder
from ecg_lightning.storage.atomic import atomic_path, write_parquet_atomic

PHONE_REM: Final = 44
"""Width in rem at which a phone shows a figure of usual letters."""

NO_NUMBER: Final = "\N{EN DASH}"
"""What stands where there is no number."""


@dataclass(frozen=True)
class Paragraph:
    """A paragraph holds running text.

    Attributes:
        text: Plain; it is escaped.
        kind: Kind of the style: ``text``, ``note`` or ``warning``.
    """

    text: str
    kind: str = "text"


@dataclass(frozen=True)
class Items:
    """The items are sentences that the page shows as a list.

    Attributes:
        items: Sentences as plain text.
    """

    items: Sequence[str]


@dataclass(frozen=True)
class Picture:
    """A picture is a figure as it stands in the study's folder.

    Attributes:
        path: The PNG, with its caption in it.
        image: The PNG that the page shows, without the caption, which stands below it there.
        caption: What is shown, in which unit, from which settings, with which interval.
        label: Such as ``Figure 3A``.
        wide: Whether a phone shows it at a readable size in a frame that scrolls.
        phone_rem: That size, its width in rem (letters' heights).
    """

    path: Path
    image: bytes
    caption: str
    label: str
    wide: bool = True
    phone_rem: int = PHONE_REM

    @property
    def uri(self) -> str:
        """Return the file itself as a data URI, for a page that needs no other file."""
        return f"data:image/png;base64,{base64.b64encode(self.image).decode()}"


@dataclass(frozen=True)
class Cell:
    """A cell holds what stands in one field of a table.

    Attributes:
        text: What stands there.
        kind: Kind of the style: empty, ``good``, ``mixed``, ``bad``, ``open`` (undecided: neutral) or ``none``.
        title: More, for who points at it; also read aloud.
        detail: Smaller, on a line of its own below the text.
    """

    text: str
    kind: str = ""
    title: str = ""
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.text} {self.detail}".strip()


@dataclass(frozen=True)
class TableBlock:
    """A table block holds one table with its caption.

    Attributes:
        head: Names of the columns.
        rows: Cells, or what is written in one; the first of each row is its name.
        caption: What is shown.
        label: Such as ``Table S2``.
        files: Where its numbers lie, relative to the study.
        prose: Whether cells hold sentences, which wrap.
        groups: Headings above the columns, each with how many columns it spans; none by default.
        stack: Whether a phone shows each row as a card, so that no column is cut; prose always is.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[object]]
    caption: str
    label: str
    files: Sequence[str] = ()
    prose: bool = False
    groups: Sequence[tuple[str, int]] = ()
    stack: bool = False

    @property
    def labels(self) -> list[str]:
        """Return what stands before each cell where a row is a card: the column's heading with its group's."""
        above = [name for name, span in self.groups for _ in range(span)] or [""] * len(self.head)
        return [f"{group}: {name}" if group and name else group or name
                for group, name in zip(above, self.head, strict=True)]  # fmt: skip

    @property
    def marks(self) -> bool:
        """Return whether its cells are marks of checks."""
        return any(cell.kind for row in self.cells() for cell in row) and not self.prose

    def cells(self) -> list[list[Cell]]:
        """Return every row as cells."""
        return [[value if isinstance(value, Cell) else Cell(str(value)) for value in row] for row in self.rows]


@dataclass(frozen=True)
class Gallery:
    """A gallery shows pictures beside each other, or below each other where there is no room.

    Attributes:
        pictures: Each with its own caption.
        caption: What is common to them.
        label: Such as ``Examples``.
    """

    pictures: Sequence[Picture]
    caption: str
    label: str


Block = Paragraph | Items | Picture | TableBlock | Gallery
"""What a section holds."""


@dataclass(frozen=True)
class Section:
    """A section is one part of the report, under its heading.

    Attributes:
        anchor: Anchor of its address.
        title: Heading of the section.
        blocks: What stands in it.
        details: Further blocks that open at a touch: heading -> blocks.
    """

    anchor: str
    title: str
    blocks: Sequence[Block]
    details: Mapping[str, Sequence[Block]] = field(default_factory=dict)


@dataclass(frozen=True)
class ReportFiles:
    """The files of a report are its figures and tables: ``<study>/figures`` and ``<study>/tables``.

    Attributes:
        study: Folder of the study.
        figure_files: Kinds of files of each figure; a PNG is always written.
    """

    study: StudyFolder
    figure_files: Sequence[FigureFile] = ("png",)

    def picture(
        self,
        name: str,
        draw: Callable[[str], CaptionedFigure],
        label: str,
        caption: str,
        *,
        wide: bool = True,
        phone_rem: int = PHONE_REM,
    ) -> Picture:
        """Save a figure as PNG, and as the other files that are wanted.

        Args:
            name: Path below ``figures``, without suffix.
            draw: Caption -> figure; the copy on the page goes without its caption, which stands below it.
            label: Such as ``Figure 3A``.
            caption: What is shown.
            wide: Whether a phone scrolls the figure: see ``Picture``.
            phone_rem: Its width there.
        """
        path = self.study.figures / f"{name}.png"
        image = io.BytesIO()
        with seldom_collected():
            figure = draw(caption)
            save_figure_files(figure, path, self.figure_files)
            imsave(image, figure.without_caption(), format="png", pil_kwargs=PNG_SETTINGS)
        return Picture(path, image.getvalue(), caption, label, wide, phone_rem)

    def table(self, name: str, frame: pd.DataFrame) -> list[str]:
        """Save a table as Parquet and CSV, and return their names relative to the study.

        What ``compare`` has written and sealed stays as it is.
        """
        path = self.study.tables / f"{name}.parquet"
        if name not in COMPARED_TABLES:
            write_parquet_atomic(path, frame)
        with atomic_path(path.with_suffix(".csv")) as part:
            frame.to_csv(part, index=False)
        return [f"{path.parent.name}/{path.with_suffix(suffix).name}" for suffix in (".parquet", ".csv")]


def number(value: Any, digits: int = 2) -> str:
    """Write a number with a real minus sign; a dash where there is none."""
    if pd.isna(value):
        return NO_NUMBER
    text = f"{value:.{digits}f}"
    return (f"{0:.{digits}f}" if float(text) == 0 else text).replace("-", "\N{MINUS SIGN}")


def with_interval(value: Any, low: Any, high: Any, digits: int = 2) -> str:
    """Write a value such as ``0.52 (0.48 to 0.55)``; without the interval where there is none."""
    if pd.isna(low) or pd.isna(high):
        return number(value, digits)
    return f"{number(value, digits)} ({number(low, digits)} to {number(high, digits)})"
