"""A small archive in PTB-XL's shape, and one model trained on it through the command line."""

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from synthetic_ecg import write_ptbxl
from workplace import N_RECORDS, Workplace

from ecg_lightning.cli import main


@pytest.fixture(autouse=True, scope="session")
def _no_arguments() -> Iterator[None]:
    """LightningCLI warns where the process has arguments of its own."""
    before, sys.argv = sys.argv, ["ecg_lightning"]
    yield
    sys.argv = before


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recordings of 61 to 150 beats a minute; those above 100 carry STACH."""
    root = tmp_path_factory.mktemp("archive")
    codes = ["{'STACH': 0.0}" if 60 + k > 100 else "{'SR': 0.0}" for k in range(1, N_RECORDS + 1)]
    write_ptbxl(root, [(50.0, code) for code in codes])
    return root


@pytest.fixture(scope="session")
def trained(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """A finished ``fit``."""
    place = Workplace(archive, tmp_path_factory.mktemp("trained"))
    main(place.arguments("fit", "--trainer.max_epochs", "3", "--data.batch_size", "24"))
    return place


@pytest.fixture(scope="session")
def tested(trained: Workplace, tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """A copy of the same run after ``test``; ``trained`` stays as ``fit`` left it, whatever ran before."""
    folder = tmp_path_factory.mktemp("tested") / "place"
    shutil.copytree(trained.folder, folder)
    place = Workplace(trained.root, folder)
    main(place.arguments("test"))
    return place


@pytest.fixture
def copy_of(tmp_path: Path) -> Callable[[Workplace], Workplace]:
    """A workplace of a test's own, with the other's cache and runs."""

    def copy(place: Workplace) -> Workplace:
        shutil.copytree(place.folder, tmp_path / "place", ignore=shutil.ignore_patterns("wandb"))
        return Workplace(place.root, tmp_path / "place")

    return copy
