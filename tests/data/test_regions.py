"""Segments between waves, by hand and on a cardiologist's marks."""

from pathlib import Path

import numpy as np
import pytest

from ecg_lightning.data.cache import BeatCache
from ecg_lightning.data.prepare import prepare
from ecg_lightning.data.regions import known_regions, pr_segment, read_regions, st_segment, wave_labels, windows
from ecg_lightning.data.sources import Ludb, PtbXl, Synthetic


def stretch(*ranges: tuple[int, int]) -> np.ndarray:
    mask = np.zeros(600, dtype=bool)
    for first, last in ranges:
        mask[first:last] = True
    return mask


def test_segments_lie_between_the_waves_of_the_beat_at_the_fiducial() -> None:
    p, qrs, t = stretch((10, 40), (150, 190), (560, 590)), stretch((50, 90), (220, 270)), stretch((95, 130), (320, 400))
    np.testing.assert_array_equal(pr_segment(p, qrs), stretch((190, 220)))
    np.testing.assert_array_equal(st_segment(qrs, t), stretch((270, 320)))


def test_without_a_wave_there_is_no_segment() -> None:
    qrs = stretch((220, 270))
    assert not pr_segment(stretch(), qrs).any()
    assert not pr_segment(stretch((150, 190)), stretch((300, 340))).any()  # no complex at the fiducial
    assert not st_segment(qrs, stretch((100, 150))).any()
    assert not pr_segment(stretch((0, 10)), qrs).any()  # 420 ms away: another beat's


def test_each_lead_has_its_own() -> None:
    p = np.stack([stretch((150, 190)), stretch((150, 180)), stretch()])
    qrs = np.stack([stretch((220, 270))] * 3)
    assert pr_segment(p, qrs).sum(axis=1).tolist() == [30, 40, 0]


@pytest.mark.slow
def test_simulated_ecgs_know_every_region(tmp_path: Path) -> None:
    cache = prepare(Synthetic(n_patients=30), tmp_path, processes=1, progress=False)
    target = "first_degree_av_block"
    assert known_regions(cache, target) == ("causal", "core", "P", "PR", "QRS", "ST", "T")
    rows = np.arange(len(cache))[::-1]
    found = read_regions(cache, rows, target)
    have_it = cache.examples[target].fillna(0).to_numpy(dtype=int)[rows] == 1
    for kind in ("causal", "core"):
        masks, known = found[kind]
        assert masks.shape == (len(rows), 8, 600)
        assert not known[~have_it].any()
    pr, known = found["PR"]
    # in sinus rhythm the segment is there; it lies before the complex
    assert pr[known].any(axis=(1, 2)).mean() > 0.5
    assert not pr[:, :, 240:].any()
    assert not (pr & found["QRS"][0]).any()
    assert not (found["ST"][0] & found["QRS"][0]).any()


@pytest.fixture(scope="module")
def ludb(data_root: Path, tmp_path_factory: pytest.TempPathFactory) -> BeatCache:
    return prepare(Ludb(data_root / "ludb"), tmp_path_factory.mktemp("ludb"), processes=1, progress=False)


@pytest.mark.parametrize("wave", ["PR", "ST"])
def test_ludb_s_segments_have_physiological_lengths(ludb: BeatCache, wave: str) -> None:
    assert known_regions(ludb, "sinus_rhythm") == ("P", "PR", "QRS", "ST", "T")
    masks, known = read_regions(ludb, np.arange(len(ludb)), "sinus_rhythm")[wave]
    lengths = 2 * masks[known].sum(axis=-1)[masks[known].any(axis=-1)]  # ms
    assert len(lengths) > 300
    assert 20 <= np.median(lengths) <= 140


def test_an_archive_without_marks_knows_nothing(data_root: Path, tmp_path: Path) -> None:
    from synthetic_ecg import write_ptbxl

    root = tmp_path / "archive"
    write_ptbxl(root, [(50.0, "{'SR': 0.0}")] * 3)
    cache = prepare(PtbXl(root), tmp_path / "cache", processes=1, progress=False)
    assert known_regions(cache, "sinus_rhythm") == ()
    labels = wave_labels(cache, np.arange(2))
    for number, inside in enumerate(windows().values()):
        assert ((labels[1, 3] == 18 + number) == inside).all()
    assert read_regions(cache, np.arange(3), "sinus_rhythm") == {}


def test_points_are_of_the_waves_that_are_known_and_else_of_fixed_windows(tmp_path: Path) -> None:
    target = "first_degree_av_block"
    cache = prepare(Synthetic(n_patients=6), tmp_path, processes=1, progress=False)
    rows = np.arange(len(cache))
    labels, found = wave_labels(cache, rows), read_regions(cache, rows, target)
    assert (labels // 6 == np.arange(8)[:, None]).all()
    place, waves = labels % 6, ("P", "PR", "QRS", "ST", "T")
    for number, wave in enumerate(waves):
        later = np.any([found[other][0] for other in waves[number + 1 :]] or [np.zeros_like(found[wave][0])], axis=0)
        np.testing.assert_array_equal(place == number, found[wave][0] & ~later, err_msg=wave)
