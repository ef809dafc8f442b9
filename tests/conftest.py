"""Fixtures of every test: where the real ECGs are, and a W&B that stays offline and quiet."""

import gc
import os
from pathlib import Path

import pytest
from hypothesis import settings
from slow_tests import mark_slow, put_slow_files_first

REPOSITORY = Path(__file__).parents[1]

settings.register_profile("shared_machine", deadline=None)  # a busy machine is no failure
settings.load_profile("shared_machine")


gc.disable()  # looking for garbage among what is imported takes a third of the time of collecting the tests


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.hookimpl(tryfirst=True)  # before tests are chosen by their markers
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    mark_slow(items)
    put_slow_files_first(items)


@pytest.fixture(scope="session")
def data_root() -> Path:
    """Folder with ``ptbxl/``, ``ludb/`` and ``cinc2021/``; skips where it is absent."""
    root = Path(os.environ.get("ECG_LIGHTNING_DATA", REPOSITORY.parent / "shared" / "data"))
    if not (root / "ptbxl" / "ptbxl_database.csv").is_file():
        pytest.skip(f"no real ECGs in {root}; set ECG_LIGHTNING_DATA to the folder that holds ptbxl/")
    return root


@pytest.fixture(autouse=True, scope="session")
def _quiet_wandb(tmp_path_factory: pytest.TempPathFactory) -> None:
    """W&B writes below a temporary folder and never asks for a key."""
    folder = tmp_path_factory.mktemp("wandb")
    os.environ.update(
        WANDB_MODE="offline",
        WANDB_SILENT="true",
        WANDB_DATA_DIR=str(folder),
        WANDB_CACHE_DIR=str(folder),
        WANDB_CONFIG_DIR=str(folder),
    )
