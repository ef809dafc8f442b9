"""Which tests are found to be slow, so that ``make check`` leaves them out."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace

import pytest
from lightning.pytorch import Trainer
from slow_tests import put_slow_files_first, reaches_slow


def starts_a_process() -> None:
    subprocess.run([sys.executable, "-c", ""], check=True)


def trains() -> None:
    Trainer().fit(None)


def runs_a_command() -> None:
    from ecg_lightning.cli import main

    main(["report"])


class Holder:
    @property
    def process(self) -> None:
        return starts_a_process()


def reads_a_holder() -> None:
    return Holder().process


def in_an_inner_function() -> list[None]:
    return [starts_a_process() for _ in range(2)]


@contextmanager
def held() -> Iterator[None]:
    starts_a_process()
    yield


def enters_a_context() -> None:
    with held():
        pass


def one_of_a_circle(depth: int = 0) -> None:
    if depth < 2:
        other_of_a_circle(depth + 1)


def other_of_a_circle(depth: int = 0) -> None:
    one_of_a_circle(depth)
    starts_a_process()


COMMAND = "ecg_lightning.cli"


def only_computes() -> str:
    return COMMAND + json.dumps({"subprocess": sys.executable})


@pytest.mark.parametrize(
    "function",
    [
        starts_a_process,
        trains,
        runs_a_command,
        reads_a_holder,
        in_an_inner_function,
        enters_a_context,
        one_of_a_circle,
        other_of_a_circle,
        lambda: get_context("spawn"),
    ],
)
def test_what_trains_runs_a_command_or_starts_a_process_is_slow(function: Callable[[], object]) -> None:
    assert reaches_slow(only_computes, function)


def test_what_only_computes_is_not() -> None:
    assert not reaches_slow(only_computes, test_what_only_computes_is_not)


def test_the_marks_follow(request: pytest.FixtureRequest) -> None:
    assert not {"slow", "study"} & {one.name for one in request.node.iter_markers()}
    items = [
        item for item in request.session.items if {"fitted", "micro_study"} & set(getattr(item, "fixturenames", ()))
    ]
    assert all({"slow", "study"} & {one.name for one in item.iter_markers()} for item in items)


def test_slow_files_come_first_and_folders_take_turns() -> None:
    def item(file: str, marker: str = "") -> SimpleNamespace:
        return SimpleNamespace(path=Path(file), get_closest_marker=lambda name: name == marker)

    items = [item("a/1"), item("a/2"), item("a/2", "slow"), item("a/3", "slow"), item("b/4", "slow"), item("c/5")]
    items += [item("d/6", "study"), item("d/6")]
    put_slow_files_first(items)  # type: ignore[arg-type]
    assert [one.path.name for one in items] == ["6", "6", "2", "2", "4", "3", "1", "5"]
