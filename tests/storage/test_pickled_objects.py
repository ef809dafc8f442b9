"""Objects in a pickle are named with their place; nothing of them is imported, made or called."""

import argparse
import datetime
import decimal
import enum
import pickle
import sys
from collections import OrderedDict, defaultdict, deque
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from ecg_lightning.storage.pickled_objects import pickle_protocol, pickled_objects


class Colour(enum.Enum):
    RED = 1


class Settings:
    def __init__(self) -> None:
        self.width, self.place = np.float64(3.0), PurePosixPath("/")


class Command:
    """Would make a file if it were loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


OBJECTS = {
    "numpy._core.multiarray.scalar": np.int64(3),
    "numpy._core.multiarray._reconstruct": np.arange(3),
    "pathlib.PurePosixPath": PurePosixPath("/x"),
    f"{__name__}.Colour": Colour.RED,
    f"{__name__}.Settings": Settings(),
    "argparse.Namespace": argparse.Namespace(a=1),
    "datetime.datetime": datetime.datetime(2026, 1, 1),
    "decimal.Decimal": decimal.Decimal(1),
    "collections.deque": deque([1]),
    "collections.defaultdict": defaultdict(list),
    "omegaconf.dictconfig.DictConfig": OmegaConf.create({"a": {"b": [1, 2]}}),
    "torch.nn.modules.linear.Linear": torch.nn.Linear(2, 2),
    "torch.optim.adam.Adam": torch.optim.Adam([torch.zeros(2, requires_grad=True)]),
}
SAVED = ({}, {"_use_new_zipfile_serialization": False}, {"pickle_protocol": 4})


@pytest.mark.parametrize("how", SAVED, ids=str)
@pytest.mark.parametrize("name", OBJECTS)
def test_an_object_is_named_with_its_key(tmp_path: Path, name: str, how: dict[str, Any]) -> None:
    path = tmp_path / "a.ckpt"
    content = {
        "state_dict": OrderedDict(weight=torch.zeros(2, 3)),
        "hyper_parameters": {"lr": 1e-3, "more": [{"it": OBJECTS[name]}]},
    }
    torch.save(content, path, **how)
    found = pickled_objects(path)
    assert list(found) == ["hyper_parameters.more.it"]
    assert found["hyper_parameters.more.it"][0] == name


@pytest.mark.parametrize("how", SAVED, ids=str)
def test_tensors_and_plain_values_are_no_objects(tmp_path: Path, how: dict[str, Any]) -> None:
    path = tmp_path / "a.ckpt"
    plain = [torch.zeros(2), torch.float16, torch.Size([2]), torch.nn.Parameter(torch.ones(3)), {1, 2}, 1j, None, b"x"]
    torch.save({"a": plain, "b": OrderedDict(c=(1.0, "text", True))}, path, **how)
    assert pickled_objects(path) == {}
    assert pickle_protocol(path) == (0 if "_use_new_zipfile_serialization" in how else how.get("pickle_protocol", 2))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_the_whole_content_of_a_pickle(tmp_path: Path, protocol: int) -> None:
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(Settings(), protocol))
    (names,) = pickled_objects(tmp_path / "a.pkl").values()
    assert f"{__name__}.Settings" in names


@pytest.mark.parametrize("how", SAVED, ids=str)
def test_nothing_is_run(tmp_path: Path, how: dict[str, Any]) -> None:
    torch.save({"state_dict": {}, "callbacks": {"evil": Command(tmp_path / "made")}}, tmp_path / "a.ckpt", **how)
    assert "callbacks.evil" in pickled_objects(tmp_path / "a.ckpt")
    assert not (tmp_path / "made").exists()
    torch.load(tmp_path / "a.ckpt", weights_only=False)
    assert (tmp_path / "made").exists()


def test_nothing_is_imported(tmp_path: Path) -> None:
    (tmp_path / "a.pkl").write_bytes(b"cthis_module_is_not.there\nThing\n)R.")
    assert pickled_objects(tmp_path / "a.pkl") == {"": ["this_module_is_not.there.Thing"]}
    (tmp_path / "b.pkl").write_bytes(b"cantigravity\nThing\n)R.")
    assert pickled_objects(tmp_path / "b.pkl") == {"": ["antigravity.Thing"]}
    assert "antigravity" not in sys.modules


def test_names_are_harmless_text(tmp_path: Path) -> None:
    (tmp_path / "a.pkl").write_bytes(b"ca\x1b[31mb\nThing\n)R.")
    (names,) = pickled_objects(tmp_path / "a.pkl").values()
    assert names[0].isprintable()


@given(st.binary(max_size=200))
def test_any_bytes_end_well(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("bytes") / "a.pkl"
    path.write_bytes(content)
    for names in pickled_objects(path).values():
        assert all(isinstance(name, str) for name in names)
