"""``test`` in a run folder whose stores were damaged: what is lost is computed again, and nothing wrong is kept."""

import json
import os
import shutil
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from test_audit import run
from test_callbacks import QUICK
from test_patient_controls import OfOthers
from workplace import Workplace

from callbacks import AttributionMaps, Completeness, LogitsAndMetrics, MethodSimilarity
from ecg_lightning import open_run
from ecg_lightning.storage.store import RowStore

METHODS = [*QUICK, "deeplift", "smoothgrad"]
STORES = (
    "logits",
    "maps/saliency",
    "similarity/pearson",
    "scores/completeness_delta",
    "scores/controls/magnitude",
    "reliability/smoothgrad",
)


def flip_in_the_middle(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[(len(content) + 128) // 2] ^= 1  # behind the header of arrays
    path.write_bytes(content)


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def delete(path: Path) -> None:
    path.unlink()


def run_test(place: Workplace, folder: Path) -> Path:
    callbacks = (LogitsAndMetrics(), Completeness(), MethodSimilarity(), OfOthers())
    return run(place, folder, AttributionMaps(METHODS), *callbacks)


@pytest.fixture(scope="module")
def finished(trained: Workplace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    run_test(trained, folder)
    return folder


def values(path: Path) -> dict[str, np.ndarray]:
    return {name: np.array(RowStore.open(path / name).array) for name in open_run(path).stores}


WAYS = list(product(("rows.npy", "done.0.npy", "digests.0.npy", "manifest.json"), (flip_in_the_middle, cut, delete)))


@pytest.mark.parametrize("first", [0, 1])
def test_what_is_damaged_is_computed_again(trained: Workplace, finished: Path, tmp_path: Path, first: int) -> None:
    folder = shutil.copytree(finished, tmp_path / "damaged")
    (path,) = folder.glob("runs/*/*/seed0")
    before, metrics = values(path), json.loads((path / "metrics.json").read_text())
    said_of = {}
    for store, (name, damage) in zip(STORES, WAYS[first::2], strict=True):
        damage(path / store / name)
        said_of[store] = (name, damage) != ("done.0.npy", flip_in_the_middle)  # its digest proves the row
    with pytest.warns(UserWarning, match=f"{path}") as said:
        run_test(trained, folder)
    words = "\n".join(str(one.message) for one in said)
    after = values(path)
    assert set(after) == set(before)
    for store, expected in before.items():
        np.testing.assert_allclose(after[store], expected, rtol=1e-4, atol=1e-6)
        assert RowStore.open(path / store).complete
        said_so = any(f"{path / store}{after_it}" in words for after_it in (": ", " is made anew", "/"))
        assert said_so == said_of.get(store, False)
    assert json.loads((path / "metrics.json").read_text()) == metrics
