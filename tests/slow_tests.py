"""Finds the slow tests by what they call: a trainer, a command, a process; and those that read real ECGs.

Their files come first, so that no process is left alone with a long one at the end.
"""

import inspect
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Final

import pytest

REPOSITORY: Final = Path(__file__).parents[1]
OURS: Final = (REPOSITORY / "tests", REPOSITORY / "benchmarks")
"""Folders whose functions are looked into; those of the packages are not."""

SLOW: Final = {
    "ecg_lightning.cli",
    "ecg_lightning.cli.main",
    "ecg_lightning.study.job_server",
    "lightning.pytorch.trainer.trainer.Trainer",
}
SLOW_LIBRARIES: Final = {"multiprocessing", "nbclient", "subprocess"}
"""Whatever is of these starts a process."""

READS_REAL_ECGS: Final = "data_root"
"""Fixture of the tests that read recordings of the archives."""

STUDY_FOLDERS: Final = {"report", "study"}
"""Folders of ``tests/`` whose slow tests run whole studies."""


def mark_slow(items: list[pytest.Item]) -> None:
    """Give each test that is slow the marker ``slow``, or ``study`` where it runs a study."""
    for item in items:
        if isinstance(item, pytest.Function) and is_slow(item):
            item.add_marker("study" if item.path.parent.name in STUDY_FOLDERS else "slow")


def put_slow_files_first(items: list[pytest.Item]) -> None:
    """Sort files: those that run a study, those with other slow tests, then the quick ones.

    The folders take turns: two files that wait for one fixture, which one of them makes, are not begun together.
    """
    rank: dict[Path, int] = {}
    for item in items:
        own = ("study", "slow").index(slow) if (slow := _slow_marker(item)) else 2
        rank[item.path] = min(own, rank.get(item.path, own))
    before = Counter[tuple[int, Path]]()
    place = {}
    for path, own in rank.items():
        place[path] = (own, before[own, path.parent], path)
        before[own, path.parent] += 1
    items.sort(key=lambda item: place[item.path])


def _slow_marker(item: pytest.Item) -> str | None:
    return next((name for name in ("study", "slow") if item.get_closest_marker(name)), None)


def is_slow(item: pytest.Function) -> bool:
    """Whether the test reads real ECGs, or it or one of its fixtures does what is slow."""
    fixtures = [definitions[-1].func for definitions in item._fixtureinfo.name2fixturedefs.values()]
    return READS_REAL_ECGS in item.fixturenames or reaches_slow(item.function, *fixtures)


def reaches_slow(*functions: object) -> bool:
    """Whether one of the functions, or a function or class of ours that they call, names what is slow."""
    waiting, seen = list(functions), set()
    while waiting:
        thing = inspect.unwrap(waiting.pop())  # type: ignore[arg-type]
        name = thing if isinstance(thing, str) else full_name(thing)
        if name in SLOW or name.partition(".")[0] in SLOW_LIBRARIES:
            return True
        if thing not in seen and is_ours(str(getattr(thing, "__module__", ""))):
            seen.add(thing)
            waiting.extend(named_by(thing))
    return False


def full_name(thing: object) -> str:
    if isinstance(thing, ModuleType):
        return thing.__name__
    return f"{getattr(thing, '__module__', '')}.{getattr(thing, '__qualname__', '')}"


@cache
def is_ours(module: str) -> bool:
    file = getattr(sys.modules.get(module), "__file__", None)
    return file is not None and any(Path(file).is_relative_to(folder) for folder in OURS)


@cache
def named_by(thing: object) -> tuple[object, ...]:
    """List the functions, classes and modules that a function's code names; of a class, its own functions.

    A name that stands for nothing outside of the function comes as it is: a module that is imported inside has one.
    """
    inside: set[str] = set()
    if isinstance(thing, type):
        found = [getattr(one, "fget", getattr(one, "__func__", one)) for one in vars(thing).values()]
    else:
        known = getattr(thing, "__globals__", {})
        named = set(names(getattr(thing, "__code__", None)))
        found = [known[name] for name in named & known.keys()]
        inside = named - known.keys()
    return (*inside, *(one for one in found if isinstance(one, FunctionType | MethodType | type | ModuleType)))


def names(code: CodeType | None) -> Iterator[str]:
    """Go through the names in a function's code and in the functions inside it; imported modules are among them."""
    if code is not None:
        yield from code.co_names
        for constant in code.co_consts:
            if isinstance(constant, CodeType):
                yield from names(constant)
