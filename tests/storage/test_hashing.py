"""Digests: the same for the same content, different for any other; and in what settings differ, in words."""

import datetime
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ecg_lightning.data.backgrounds import beat_name
from ecg_lightning.data.sources.cinc import Cinc
from ecg_lightning.data.sources.muse import Muse
from ecg_lightning.runs.pseudonyms import EcgNames
from ecg_lightning.storage import hashing
from ecg_lightning.storage.manifest import StoreSpec
from ecg_lightning.storage.row_digests import digest_rows
from ecg_lightning.study.jobs import _digest
from ecg_lightning.wandb_logger import own_run_id

# --- golden hashes, of the version before all came from here: they stand on disks ----------------------------------


def test_hashes_on_the_disk_are_what_they_were() -> None:
    settings: dict[str, hashing.JSON] = {"b": [1.0, 2.5, None], "a": {"é": True, "n": 1e300}, "c": "x"}
    assert hashing.canonical_json(settings) == r'{"a":{"n":1e+300,"\u00e9":true},"b":[1,2.5,null],"c":"x"}'
    assert hashing.digest_settings(settings) == "7dac5937ed3c2006965c384148fdb32f"
    assert hashing.digest_without({**settings, "own": "q"}, "own") == "7dac5937ed3c2006965c384148fdb32f"
    state = {"w": torch.arange(4.0).reshape(2, 2), "b": torch.tensor([1], dtype=torch.bfloat16)}
    assert hashing.digest_state_dict(state) == "f5f2e81b18320a6e7ba0fc8635fd3607"
    rows = np.arange(6, dtype=">f4").reshape(3, 2)
    assert hashing.digest_array_rows(rows, ["a", "bc", 3], chunk_rows=2) == "67e34b96205c9107349b1ddf2e3af6cb"
    assert hashing.digest_array_rows(rows) == "fa57f8120f9fdea5398fe22721f912f5"
    assert hashing.digest_bytes(b"ECG") == "1453822db81700731917d8ecb4e4d459"
    spec = StoreSpec(
        ("row", "lead"),
        (3, 2),
        {"lead": ("I", "II")},
        "float32",
        "mV",
        {"method": "saliency", "sigma": 0.1},
        "aa",
        "bb",
    )
    assert spec.digest == "8af4207fa9e4d9e1d50ede6c563ef4c0"


def test_rows_and_names_are_what_they_were() -> None:
    values = np.arange(4, dtype="<f4").reshape(2, 2)
    assert digest_rows(np.array([4, 9]), values).tolist() == [7745900929162889817, 17692774953720363536]
    assert beat_name(np.ones((2, 3), np.float32)) == "beat-f1a762205e"
    assert EcgNames("pseudonyms", b"k" * 32).pseudonym("ECG é/7") == "ecg-b29023b9bc"
    assert own_run_id("x" * 80, "s/t/seed0", "fit").endswith("x-c84bf573b48d")


def test_files_and_folders_are_what_they_were(tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_bytes(b"a: 1\n")
    assert hashing.digest_file(config) == "d0b970de6740691aa906909481c490c8"
    assert _digest(["--config", str(config), "--x", "1"]) == "c06bdd6ce7398481b7e1edc4bbba4164"
    (tmp_path / "cinc/sub").mkdir(parents=True)
    for name in ("a", "sub/b"):
        (tmp_path / f"cinc/{name}.hea").write_text(f"{name[-1]} 1 500 10\n# Dx: 164889003\n")
    assert Cinc(tmp_path / "cinc")._scan[1] == "f2cd8d22a78dbff96b39ba47d44d0596"
    (tmp_path / "muse").mkdir()
    (tmp_path / "muse/a.xml").write_text("<a/>")
    (tmp_path / "muse/é.xml").write_text("<b></b>")
    assert Muse(tmp_path / "muse")._scan[1] == "0dfd7e0ec4507b699da8f8f7d63688ac"


# --- what they promise ---------------------------------------------------------------------------------------------


def test_digest_of_settings_knows_no_order_and_no_integral_floats() -> None:
    first = hashing.digest_settings({"a": 1, "b": [1.0, 2.5], "c": {"x": None, "y": True}})
    assert first == hashing.digest_settings({"c": {"y": True, "x": None}, "b": (1, 2.5), "a": 1.0})
    assert len(first) == 32


@pytest.mark.parametrize(
    ("left", "right"), [(1, True), (1, "1"), (None, "null"), ([1, 2], [2, 1]), ([[1], 2], [1, 2]), (0.1, 0.1 + 1e-17)]
)
def test_digests_of_different_settings_differ(left: object, right: object) -> None:
    same = left == right and type(left) is type(right)
    assert (hashing.digest_settings({"a": left}) == hashing.digest_settings({"a": right})) == same


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (math.nan, r"settings\.a\[1\] is nan"),
        (math.inf, r"settings\.a\[1\] is inf"),
        (np.int64(3), r"settings\.a\[1\] is a int64.*item"),
        (torch.ones(1), r"settings\.a\[1\] is a Tensor"),
        ({1: 2}, r"settings\.a\[1\] has the key 1"),
        ({1, 2}, r"settings\.a\[1\] is a set"),
    ],
)
def test_settings_that_json_lacks_are_errors(value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        hashing.digest_settings({"a": [0, value]})


def test_digest_of_weights_is_of_their_content() -> None:
    network = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    state = network.state_dict()
    first = hashing.digest_state_dict(state)
    assert first == hashing.digest_state_dict(dict(reversed(state.items())))
    assert first == hashing.digest_state_dict({name: tensor.clone() for name, tensor in state.items()})
    columns_first = state | {"0.weight": state["0.weight"].T.contiguous().T}
    assert not columns_first["0.weight"].is_contiguous()
    assert first == hashing.digest_state_dict(columns_first)
    changed = [
        state | {"0.weight": torch.nextafter(state["0.weight"], torch.tensor(9.0))},
        state | {"0.weight": state["0.weight"].double()},
        state | {"0.weight": state["0.weight"].reshape(3, 2)},
        {f"m.{name}": tensor for name, tensor in state.items()},
        {name: tensor for name, tensor in state.items() if name != "0.bias"},
    ]
    assert len({first, *map(hashing.digest_state_dict, changed)}) == 6
    half = {"w": torch.ones(2, dtype=torch.bfloat16)}
    assert hashing.digest_state_dict(half) != hashing.digest_state_dict({"w": torch.ones(2, dtype=torch.float16)})
    with pytest.raises(ValueError, match="'extra' of the state dict is a dict"):
        hashing.digest_state_dict({"extra": {}})  # type: ignore[dict-item]


@given(hnp.arrays(np.float32, (7, 3), elements=st.floats(-9, 9, width=32)), st.integers(1, 9))
def test_digest_of_rows_does_not_know_its_chunks(rows: np.ndarray, chunk: int) -> None:
    ids = [f"ecg{index}" for index in range(7)]
    first = hashing.digest_array_rows(rows, ids)
    assert first == hashing.digest_array_rows(np.asfortranarray(rows), ids, chunk_rows=chunk)
    assert first == hashing.digest_array_rows(rows.astype(">f4"), ids)
    assert first != hashing.digest_array_rows(rows, [*ids[:-1], "other"])
    assert first != hashing.digest_array_rows(rows)
    assert first != hashing.digest_array_rows(rows + 1, ids)
    assert first != hashing.digest_array_rows(rows.astype(np.float64), ids)


def test_digest_of_rows_separates_ids_and_checks_its_input() -> None:
    rows = np.zeros((2, 1))
    assert hashing.digest_array_rows(rows, ["ab", "c"]) != hashing.digest_array_rows(rows, ["a", "bc"])
    with pytest.raises(ValueError, match="1 ids for 2 rows"):
        hashing.digest_array_rows(rows, ["a"])
    with pytest.raises(ValueError, match="plain dtype"):
        hashing.digest_array_rows(np.array([{}]))


# --- in what settings differ ---------------------------------------------------------------------------------------

SETTINGS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        ({"a": {"b": 1}}, {"a": {"b": 2.0}}, ["a.b: 1 then, 2 now"]),
        ({"a": [1, "é"]}, {"a": (1, "ö", None)}, ['a[1]: "é" then, "ö" now', "a[2]: (absent) then, null now"]),
        ({"a": 1}, {"b": {"c": True}}, ["a: 1 then, (absent) now", "b.c: (absent) then, true now"]),
        ({"a": math.nan, "b": 5e-4, "c": [{}]}, {"a": math.inf, "b": 5e-4, "c": []}, ["a: NaN then, Infinity now"]),
        ({"a": datetime.date(2026, 1, 2)}, {"a": 1}, ['a: "datetime.date(2026, 1, 2)" then, 1 now']),
        ({"a": {"b": None, "c": {}}}, {}, []),
        ({"may": {"differ": 1}, "maybe": 1}, {"maybe": 2}, ["maybe: 1 then, 2 now"]),
    ],
)
def test_every_difference_is_named_with_both_values(
    before: dict[str, object], now: dict[str, object], expected: list[str]
) -> None:
    found = hashing.differences(before, now, apart_from=("may", "c"))
    assert found == expected


def test_null_counts_where_it_is_asked_for() -> None:
    lines = hashing.differences({"a": None, "b": {}}, {}, ("there", "here"), null_counts=True)
    assert lines == ["a: null there, (absent) here", "b: {} there, (absent) here"]


@given(st.dictionaries(st.sampled_from("abc"), SETTINGS), st.dictionaries(st.sampled_from("abc"), SETTINGS))
def test_settings_differ_in_words_where_their_hashes_differ(one: dict[str, object], other: dict[str, object]) -> None:
    try:
        same = hashing.canonical_json(one) == hashing.canonical_json(other)
    except ValueError:  # no finite numbers: there is no hash
        assert hashing.differences(one, one, null_counts=True) == []
        return
    assert (hashing.differences(one, other, null_counts=True) == []) == same
    assert hashing.differences(one, one) == []


def test_a_long_list_is_cut_and_counted() -> None:
    assert hashing.listed(["a", "b"], "; ", 2) == "a; b"
    assert hashing.listed(["a", "b", "c", "d"], "; ", 2) == "a; b; ... and 2 more"
