"""Holds what docstrings and functions must be: a first line that a newcomer understands, a body that fits a screen."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

REPOSITORY = Path(__file__).parents[1]
FRAGMENTS = ("Of", "Where", "Whether")
MIN_WORDS = 4
MAX_LINES = 40

FRAGMENTS_LEFT = {
    "ecg_lightning/models": 7,
    "ecg_lightning/runs": 22,
    "ecg_lightning/command_line": 5,
    "ecg_lightning/wandb_logger.py": 1,
    "ecg_lightning/endings.py": 2,
    "ecg_lightning/data/datamodule.py": 1,
}
"""Folder or file that is not mended yet -> how many fragments it may have at most."""

LONG_FUNCTIONS = {
    "ecg_lightning/command_line/lightning_cli.py:add_arguments_to_parser": 41,
    "ecg_lightning/data/datamodule.py:__init__": 47,
    "ecg_lightning/models/resnet1d.py:__init__": 46,
    "ecg_lightning/plotting/maps.py:map_figure": 44,
    "ecg_lightning/report/methods_section.py:methods_section": 46,
}
"""Function that is longer than ``MAX_LINES`` -> the lines that it may have at most, without its docstring."""

Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


class FirstLine(NamedTuple):
    """The first line of a docstring, and where it stands."""

    file: str
    line: int
    name: str
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.name}: {self.text!r}"


def sources() -> Iterator[tuple[str, ast.Module]]:
    """Yield every module of the product as its path in the repository and its syntax tree."""
    for top in ("ecg_lightning", "callbacks"):
        for path in sorted((REPOSITORY / top).rglob("*.py")):
            yield path.relative_to(REPOSITORY).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def first_lines(file: str, node: ast.Module | Definition) -> Iterator[FirstLine]:
    """Yield the first docstring line of a module or definition and of what is public inside."""
    if text := ast.get_docstring(node):
        name = "module" if isinstance(node, ast.Module) else node.name
        yield FirstLine(file, node.body[0].lineno, name, text.splitlines()[0])
    for part in ast.iter_child_nodes(node):
        if isinstance(part, Definition) and not part.name.startswith("_"):
            yield from first_lines(file, part)


def is_fragment(text: str) -> bool:
    """Return whether a line is no sentence, as far as its first word and its length show."""
    words = text.split()
    return words[0] in FRAGMENTS or len(words) < MIN_WORDS


def room_of(file: str) -> str:
    """Return the entry of ``FRAGMENTS_LEFT`` that a file belongs to; the file itself where it has none."""
    return next((room for room in FRAGMENTS_LEFT if file == room or file.startswith(f"{room}/")), file)


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count the lines of a function without its docstring and decorators."""
    docstring = function.body[0] if ast.get_docstring(function) else None
    of_docstring = docstring.end_lineno - docstring.lineno + 1 if docstring and docstring.end_lineno else 0
    return (function.end_lineno or function.lineno) - function.lineno + 1 - of_docstring


def long_functions(file: str, tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Yield the functions of a module that are longer than they may be, each with its lines."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            name, lines = f"{file}:{node.name}", body_lines(node)
            if lines > LONG_FUNCTIONS.get(name, MAX_LINES):
                yield name, lines


def test_first_lines_are_sentences() -> None:
    found: dict[str, list[FirstLine]] = {}
    for file, tree in sources():
        for line in first_lines(file, tree):
            if is_fragment(line.text):
                found.setdefault(room_of(file), []).append(line)
    too_many = [one for room, lines in found.items() if len(lines) > FRAGMENTS_LEFT.get(room, 0) for one in lines]
    assert not too_many, "\n".join(["say these in a sentence:", *map(str, too_many)])


def test_functions_fit_a_screen() -> None:
    found = [f"{name}: {lines} lines" for file, tree in sources() for name, lines in long_functions(file, tree)]
    assert not found, "\n".join([f"split these, {MAX_LINES} lines at most:", *found])


def test_fragments_and_long_functions_are_found() -> None:
    body = "\n".join(f"    x{number} = {number}" for number in range(MAX_LINES))
    tree = ast.parse(f'"""Of the beats of a cache."""\n\n\ndef long():\n    """Read a table."""\n{body}\n')
    assert [line.name for line in first_lines("a.py", tree) if is_fragment(line.text)] == ["module", "long"]
    assert list(long_functions("a.py", tree)) == [("a.py:long", MAX_LINES + 1)]
