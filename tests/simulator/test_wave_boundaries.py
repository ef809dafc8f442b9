"""Wave boundaries lie where cardiologists mark them, on LUDB."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from ecg_lightning.data.sources import Ludb
from ecg_lightning.data.sources.synthetic import Synthetic
from ecg_lightning.signal.beat import MedianBeat

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from wave_boundaries import BOUNDARIES, MAX_DIFFERENCE, distances, marked_waves, median_distances

LUDB = Path(os.environ.get("ECG_LIGHTNING_DATA", "")) / "ludb"


def beat_of_ramps(late: int) -> MedianBeat:
    """P, QRS and T as trapezia whose marks lie ``late`` samples after their edges."""
    beat, masks = np.zeros((8, 600)), {}
    for wave, (start, end, size) in {"P": (130, 180, 0.1), "QRS": (220, 265, 1.0), "T": (330, 420, 0.3)}.items():
        flank = (end - start) // 4
        beat += size * np.interp(np.arange(600), [start, start + flank, end - flank, end], [0.0, 1.0, 1.0, 0.0])
        mask = np.zeros(600, dtype=bool)
        mask[start + late : end + late] = True
        masks[wave] = np.broadcast_to(mask, (8, 600))
    return MedianBeat(beat, np.empty(0, dtype=np.intp), np.array([240.0]), 60.0, masks)


def test_later_marks_are_later_by_as_much() -> None:
    in_place, late = distances(beat_of_ramps(0)), distances(beat_of_ramps(4))
    np.testing.assert_allclose(in_place, 0.0, atol=8.0)
    np.testing.assert_allclose(late - in_place, 8.0)  # ms


def test_a_wave_that_few_leads_have_is_left_out() -> None:
    beat = beat_of_ramps(0)
    p = beat.wave_masks["P"].copy()
    p[4:] = False
    few = MedianBeat(beat.beat, beat.r_peaks, beat.fiducials, 60.0, {**beat.wave_masks, "P": p})
    assert set(marked_waves(few)) == {"QRS", "T"}
    assert np.isnan(distances(few)).tolist() == [True, False, False, False]


@pytest.fixture(scope="module")
def marked() -> np.ndarray:
    """Median distances on LUDB, of both simulations' test."""
    return median_distances(Ludb(LUDB))


@pytest.mark.slow
@pytest.mark.skipif(not (LUDB / "ludb.csv").is_file(), reason="needs LUDB under ECG_LIGHTNING_DATA")
@pytest.mark.parametrize("simulation_seed", [0, 1])
def test_boundaries_lie_where_cardiologists_mark_them(simulation_seed: int, marked: np.ndarray) -> None:
    simulated = median_distances(Synthetic(200, simulation_seed, evidence=False), 200)
    difference = simulated - marked
    assert len(difference) == len(BOUNDARIES)
    assert np.abs(difference).max() <= MAX_DIFFERENCE, dict(zip(BOUNDARIES, difference, strict=True))
