"""Digests of rows: the documented hash, whatever the chunks; ranks that disagree are settled by what stands there."""

from hashlib import blake2b

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ecg_lightning.storage.row_digests as module
from ecg_lightning.storage.row_digests import digest_rows, digest_rows_of, fits, unite


@pytest.mark.parametrize("shape", [(), (1,), (2, 3)])
@pytest.mark.parametrize("dtype", ["float32", "bool", "int64", "float16"])
def test_a_digest_is_blake2b_of_the_number_and_the_bytes(shape: tuple[int, ...], dtype: str) -> None:
    rows = np.array([3, 0, 7])
    values = np.random.default_rng(0).integers(0, 2, (3, *shape)).astype(dtype)
    expected = [
        int.from_bytes(blake2b(int(row).to_bytes(8, "little") + value.tobytes(), digest_size=8).digest(), "little")
        for row, value in zip(rows, values, strict=True)
    ]
    assert digest_rows(rows, values).tolist() == expected
    assert digest_rows(rows, np.asfortranarray(values)).tolist() == expected


def test_every_bit_and_the_place_count() -> None:
    values = np.zeros((1, 4), np.float32)
    first = digest_rows(np.array([5]), values)
    flipped = {digest_rows(np.array([5]), _flip(values, bit))[0] for bit in range(8 * values.nbytes)}
    assert len({first[0], digest_rows(np.array([6]), values)[0], *flipped}) == 2 + 8 * values.nbytes


def _flip(values: np.ndarray, bit: int) -> np.ndarray:
    raw = bytearray(values.tobytes())
    raw[bit // 8] ^= 1 << bit % 8
    return np.frombuffer(bytes(raw), values.dtype).reshape(values.shape)


@given(rows=st.lists(st.integers(0, 19), max_size=30))
def test_chunks_do_not_change_digests(rows: list[int]) -> None:
    array = np.random.default_rng(1).normal(size=(20, 3))
    wanted = np.array(rows, dtype=np.int64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_CHUNK_BYTES", 50)
        chunked = digest_rows_of(array, wanted)
    np.testing.assert_array_equal(chunked, digest_rows(wanted, array[wanted]))
    assert chunked.dtype == np.uint64


def test_a_digest_is_never_that_of_no_row(monkeypatch: pytest.MonkeyPatch) -> None:
    class Zero:
        def __init__(self, *_: object, **__: object) -> None: ...
        def update(self, data: object) -> None: ...
        def digest(self) -> bytes:
            return bytes(8)

    monkeypatch.setattr(module, "blake2b", Zero)
    assert digest_rows(np.array([0]), np.zeros(1)).tolist() == [1]


def test_either_of_two_writers_may_fit() -> None:
    found = np.array([1, 2, 3], np.uint64)
    assert fits(found, [np.array([1, 0, 9], np.uint64), np.array([8, 2, 0], np.uint64)]).tolist() == [True, True, False]
    assert not fits(found, []).any()


def test_ranks_are_united_and_what_stands_there_settles_a_dispute() -> None:
    array = np.arange(5.0)
    of_rows = digest_rows(np.arange(5), array)
    first, second = of_rows.copy(), np.zeros(5, np.uint64)
    first[1], second[1] = 0, of_rows[1]  # written by the second only
    first[2], second[2] = 77, of_rows[2]  # written again by the second
    second[3] = 77  # written again by the first
    first[4], second[4] = 77, 78  # damaged
    for order in ([first, second], [second, first]):
        united = unite(order, array)
        assert united[:4].tolist() == of_rows[:4].tolist()
        assert united[4] in (77, 78)
    assert unite([], array).tolist() == [0] * 5


def test_as_many_rows_as_numbers() -> None:
    assert digest_rows(np.array([], np.int64), np.zeros((0, 3))).tolist() == []
    with pytest.raises(ValueError, match="2 row numbers for 1 rows"):
        digest_rows(np.array([1, 2]), np.zeros(1))
