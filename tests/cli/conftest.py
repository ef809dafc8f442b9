"""A small archive in PTB-XL's shape, and one model trained on it through the command line."""

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from made_once import made_once
from synthetic_ecg import write_ptbxl
from workplace import N_RECORDS, Workplace

from callbacks.audit_results import AuditResults
from ecg_lightning.cli import main

DRAW = AuditResults.figure


@pytest.fixture(autouse=True, scope="session")
def _no_arguments() -> Iterator[None]:
    """LightningCLI warns where the process has arguments of its own."""
    before, sys.argv = sys.argv, ["ecg_lightning"]
    yield
    sys.argv = before


@pytest.fixture(autouse=True)
def _no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Audits draw in the runs that many tests share; in a test's own run only where it asks ``with_figures``."""
    monkeypatch.setattr(AuditResults, "figure", lambda *_, **__: None)


@pytest.fixture
def with_figures(_no_figures: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AuditResults, "figure", DRAW)


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recordings of 61 to 150 beats a minute; those above 100 carry STACH. Not to be changed."""
    codes = ["{'STACH': 0.0}" if 60 + k > 100 else "{'SR': 0.0}" for k in range(1, N_RECORDS + 1)]
    return made_once(tmp_path_factory, "archive", lambda root: write_ptbxl(root, [(50.0, code) for code in codes]))


@pytest.fixture(scope="session")
def fitted(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """A finished ``fit``, of all test processes; not to be changed."""

    def fit(folder: Path) -> None:
        main(Workplace(archive, folder).arguments("fit", "--trainer.max_epochs", "3", "--data.batch_size", "24"))

    return Workplace(archive, made_once(tmp_path_factory, "fitted", fit))


@pytest.fixture(scope="session")
def trained(fitted: Workplace, tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """This process's copy of the ``fit``; tests write runs of their own beside it."""
    return copied(fitted, tmp_path_factory.mktemp("trained"))


@pytest.fixture(scope="session")
def tested(fitted: Workplace, tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """This process's copy of the same run after ``test``."""
    made = made_once(tmp_path_factory, "tested", lambda folder: main(copied(fitted, folder).arguments("test")))
    return copied(Workplace(fitted.root, made), tmp_path_factory.mktemp("tested"))


def copied(place: Workplace, folder: Path) -> Workplace:
    """Copy cache and runs into a folder that is there already."""
    shutil.copytree(place.folder, folder, dirs_exist_ok=True)
    return Workplace(place.root, folder)


@pytest.fixture
def copy_of(tmp_path: Path) -> Callable[[Workplace], Workplace]:
    """A workplace of a test's own, with the other's cache and runs."""

    def copy(place: Workplace) -> Workplace:
        shutil.copytree(place.folder, tmp_path / "place", ignore=shutil.ignore_patterns("wandb"))
        return Workplace(place.root, tmp_path / "place")

    return copy
