"""Gaussian kernels and their sum over beats."""

import numpy as np
import pytest

from ecg_lightning.simulator.kernels import Kernels, Timing, add_waves, evaluate


def slow_kernel(t: float, centre: float, before: float, after: float) -> float:
    width = before if t < centre else after
    return float(np.exp(-0.5 * ((t - centre) / width) ** 2))


def test_evaluate_is_the_two_sided_gaussian() -> None:
    rng = np.random.default_rng(0)
    time, centre, before, after = np.arange(-50, 80, 2.0), *rng.uniform(5, 30, size=(3, 4))
    expected = [[slow_kernel(t, c, b, a) for t in time] for c, b, a in zip(centre, before, after, strict=True)]
    np.testing.assert_allclose(evaluate(time, centre, before, after), expected, atol=1e-14)


def test_waves_of_all_beats_are_their_dense_sum() -> None:
    rng = np.random.default_rng(1)
    beats, kernels, samples = 5, 3, 2000
    times = np.sort(rng.uniform(500, 3000, size=beats))
    centre, before, after = rng.uniform(-80, 80, (beats, kernels)), *rng.uniform(4, 40, (2, beats, kernels))
    amplitude = rng.normal(size=(beats, kernels, 8))
    signal = np.ones((8, samples))
    add_waves(signal, -200.0, times, Timing(centre, before, after), amplitude)
    grid = np.arange(samples) * 2.0 - 200.0
    dense = np.ones((8, samples))
    for b in range(beats):
        for k in range(kernels):
            wave = evaluate(grid - times[b], centre[b, [k]], before[b, [k]], after[b, [k]])[0]
            dense += amplitude[b, k][:, None] * wave
    np.testing.assert_allclose(signal, dense, atol=4e-4 * np.abs(amplitude).max() * kernels)


def test_a_wave_beyond_the_signal_is_refused() -> None:
    one = np.ones((1, 1))
    with pytest.raises(ValueError, match="expected within 0 to 100"):
        add_waves(np.zeros((8, 100)), 0.0, np.array([190.0]), Timing(0 * one, 10 * one, 10 * one), np.ones((1, 1, 8)))


def test_onset_offset_and_area() -> None:
    kernels = Kernels.of((-10.0, 5.0, 6.0, np.array([1.0, 0, 0])), (20.0, 8.0, 10.0, np.array([0, 2.0, 0])))
    assert kernels.onset == pytest.approx(-10 - 2.3 * 5 - 9)
    assert kernels.offset == pytest.approx(20 + 2.2 * 10 + 5)
    time = np.arange(-200, 300, 0.01)
    integral = kernels.vector.T @ evaluate(time, kernels.centre, kernels.before, kernels.after).sum(axis=1) * 1e-5
    np.testing.assert_allclose(np.sqrt(np.pi / 2) * kernels.area, integral, rtol=1e-4)
    assert len((kernels + kernels).centre) == 4
