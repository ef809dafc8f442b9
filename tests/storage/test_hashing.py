"""Digests: the same for the same content, different for any other."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ecg_lightning.storage import hashing


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
