from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecg_lightning.functional.maps import UnusableMaps, count_unusable

KINDS = ("varied", "zero", "constant", "nan", "inf", "all_nan")


def one_map(kind: str, rng: np.random.Generator) -> np.ndarray:
    values = rng.standard_normal((2, 5)).astype(np.float32)
    place = tuple(rng.integers(0, values.shape))
    if kind in ("zero", "constant"):
        values[:] = 0.0 if kind == "zero" else values[0, 0]
    elif kind in ("nan", "inf"):
        values[place] = np.nan if kind == "nan" else rng.choice([-np.inf, np.inf])
    elif kind == "all_nan":
        values[:] = np.nan
    return values


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(KINDS), st.booleans()), max_size=30), st.sampled_from([1, 3, 256]))
def test_every_kind_is_counted_once(rows: list[tuple[str, bool]], block: int) -> None:
    rng = np.random.default_rng(0)
    maps = np.array([one_map(kind, rng) for kind, _ in rows], dtype=np.float32).reshape(-1, 2, 5)
    done = np.array([is_done for _, is_done in rows], dtype=np.bool_)
    looked_at = [kind for kind, is_done in rows if is_done]
    expected = UnusableMaps(
        done=len(looked_at),
        constant=sum(kind in ("zero", "constant") for kind in looked_at),
        not_finite=sum(kind in ("nan", "inf", "all_nan") for kind in looked_at),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ecg_lightning.functional.maps._BLOCK", block)
        assert count_unusable(maps, done) == expected


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_one_different_point_is_enough(dtype: type) -> None:
    maps: np.ndarray = np.full((2, 8, 600), 0.25, dtype=dtype)
    maps[1, 7, 599] = np.nextafter(dtype(0.25), dtype(1.0))
    assert count_unusable(maps, np.ones(2, dtype=np.bool_)) == (2, 1, 0)


def test_a_memory_map_is_read_and_rows_that_are_not_done_are_not(tmp_path: Path) -> None:
    np.save(tmp_path / "rows.npy", np.zeros((600, 8, 600), dtype=np.float16))
    done = np.zeros(600, dtype=np.bool_)
    done[[0, 255, 256, 599]] = True
    assert count_unusable(np.load(tmp_path / "rows.npy", mmap_mode="r"), done) == (4, 4, 0)


@pytest.mark.parametrize("done", [np.ones(3, dtype=np.bool_), np.ones((2, 2), dtype=np.bool_), np.array([0, 1])])
def test_a_mask_of_other_maps_is_refused(done: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"expected bool \(2,\), one for each map"):
        count_unusable(np.zeros((2, 8, 600)), done)
