"""Tables of archives, row by row: a row that can't be read costs no other, and knows its line."""

import csv
import math
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ecg_lightning.data.sources.base import Entry, RejectedEntry
from ecg_lightning.ecg import shown_text

_MISSING: Final = frozenset(("", "na", "n/a", "#n/a", "nan", "-nan", "null", "none", "<na>", "nat"))
_LONGEST_CELL: Final = 1 << 20  # so far a quotation mark that stands alone is followed
_SHORT: Final = 8


class _Cells(Mapping[str, str]):
    """Column -> text of a row. A million rows share the names of their columns, and a dictionary each would not."""

    __slots__ = ("_places", "_texts")

    def __init__(self, places: Mapping[str, int], texts: tuple[str, ...]) -> None:
        self._places, self._texts = places, texts

    def __getitem__(self, column: str) -> str:
        return self._texts[self._places[column]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table.

    Attributes:
        line: Where it begins, counted from 1 as an editor does.
        cells: Column -> text.
        problem: Why it can't be used; "" where it can.
    """

    line: int
    cells: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""


def entries_of(
    rows: Sequence[Row], where: Callable[[int], str], id_column: str, understand: Callable[[Mapping[str, str]], Entry]
) -> Iterator[Entry]:
    """Yield the ECGs of a table's rows, one at a time; one that can't be understood is rejected, with its line.

    Args:
        rows: The rows of the table.
        where: Number of a row, from 0 -> file and line, for the reason.
        id_column: The column of the ECG's id.
        understand: Cells -> ECG; a ``ValueError`` names the column, its value and what is expected.
    """

    def entry(place: int, row: Row) -> Entry:
        problem = row.problem
        if not problem:
            try:
                return understand(row.cells)
            except ValueError as error:
                problem = str(error)
        name = row.cells.get(id_column, "").encode("utf-8", "replace").decode().strip() or f"line {row.line}"
        return RejectedEntry.of(name, f"{where(place)}: {problem}")

    return (entry(place, row) for place, row in enumerate(rows))


def first_places(entries: Iterable[Entry]) -> dict[str, int]:
    """Map each id to the index of the first entry with it that is not rejected."""
    found: dict[str, int] = {}
    for place, entry in enumerate(entries):
        if not isinstance(entry, RejectedEntry):
            found.setdefault(entry.ecg_id, place)
    return found


def is_missing(text: str) -> bool:
    """Return whether a cell is empty, or says in one of the usual words that nothing is known."""
    return text.strip().lower() in _MISSING


def number(cells: Mapping[str, str], column: str, expected: str) -> float:
    """Read the number in a cell; NaN where the cell is empty.

    Args:
        cells: Column -> text; a column that is not there is empty.
        column: Name of the column.
        expected: What the number is, for the message.

    Raises:
        ValueError: Anything else, or an infinite number.
    """
    text = cells.get(column, "")
    if is_missing(text):
        return math.nan
    try:
        value = float(text)
    except ValueError:
        value = math.inf
    if not math.isfinite(value):
        raise ValueError(f"{column} is {shown_text(repr(text))}, expected {expected}")
    return value


def whole_number(cells: Mapping[str, str], column: str) -> int:
    """Read a whole number in a cell, also one that is written as 17.0.

    Raises:
        ValueError: Anything else, or nothing.
    """
    value = number(cells, column, "a whole number")
    if math.isnan(value) or value != int(value):
        raise ValueError(f"{column} is {cells.get(column, '')!r}, expected a whole number")
    return int(value)


def text_of(cells: Mapping[str, str], column: str) -> str:
    """Read the text of a cell, without spaces around it.

    Raises:
        ValueError: There is none.
    """
    text = cells.get(column, "").strip()
    if is_missing(text):
        raise ValueError(f"{column} is {text!r}, expected text")
    return text


def read_csv(path: Path, needed: Sequence[str], get_it: str, keep: Collection[str] | None = None) -> list[Row]:
    """Read a comma-separated table whose first line names the columns.

    Args:
        path: A file of UTF-8 text.
        needed: Columns that must be there; a row whose cell of one of them is not UTF-8 can't be used.
        get_it: What is expected, or how to get it: the end of messages.
        keep: Columns that are kept, where they are there; None keeps all.

    Returns:
        Every row that is not empty.

    Raises:
        ValueError: The file is empty, or a column is missing or stands there twice.
    """
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        records = _records(file.readlines())
    columns = next(records, (0, list[str]()))[1]
    if not columns:
        raise ValueError(f"{path}: the file is empty; {get_it}")
    missing = [name for name in needed if name not in columns]
    twice = [name for name in needed if columns.count(name) > 1]
    if missing or twice:
        problem = f"column {', '.join(missing or twice)} {'missing' if missing else 'stands there twice'}"
        raise ValueError(f"{path}: {problem}; {get_it}")
    kept = [place for place, name in enumerate(columns) if keep is None or name in keep]
    places = {columns[place]: number for number, place in enumerate(kept)}
    return [_row(line, cells, places, kept, len(columns), needed) for line, cells in records]


def rows_of(columns: Sequence[str], texts: Iterable[Sequence[str]]) -> list[Row]:
    """Make rows of texts that are at hand, numbered from 1."""
    places = {name: place for place, name in enumerate(columns)}
    return [Row(line, _Cells(places, _shared(one))) for line, one in enumerate(texts, start=1)]


def _shared(texts: Sequence[str]) -> tuple[str, ...]:
    """The same, short texts once for all rows."""
    return tuple(sys.intern(text) if len(text) <= _SHORT else text for text in texts)


def _records(lines: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """First line (from 1) and cells of each record that is not empty.

    A record of several lines that has not as many cells as the first one is most likely the work of a quotation mark
    that stands alone. Only its first line is given then, so that it does not swallow the rows behind it.
    """
    csv.field_size_limit(_LONGEST_CELL)
    start, width = 0, 0
    while start < len(lines):
        reader = csv.reader(lines[number] for number in range(start, len(lines)))
        try:
            cells = next(reader)
        except csv.Error:
            cells = [lines[start]]
        taken = max(reader.line_num, 1)
        if width and len(cells) != width and taken > 1:
            cells, taken = [lines[start]], 1
        if cells:
            width = width or len(cells)
            yield start + 1, cells
        start += taken


def _row(
    line: int, cells: list[str], places: Mapping[str, int], kept: Sequence[int], width: int, needed: Sequence[str]
) -> Row:
    if len(cells) != width:
        shown = shown_text(repr(",".join(cells).strip()))
        return Row(line, problem=f"expected {width} cells, got {len(cells)}: {shown}")
    row = Row(line, _Cells(places, _shared([cells[place] for place in kept])))
    for name in needed:
        text = row.cells[name]
        if not text.isascii() and any("\udc80" <= letter <= "\udcff" for letter in text):
            return Row(line, row.cells, f"{name} is {text!a}, expected text in UTF-8")
    return row
