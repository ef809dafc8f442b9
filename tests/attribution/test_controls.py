"""Controls: maps that know nothing of the network."""

import numpy as np
import pytest
import torch
from torch import Tensor

from ecg_lightning.attribution.controls import (
    CONTROLS,
    SMOOTHING_SECONDS,
    ControlName,
    check_controls,
    control_maps,
)
from ecg_lightning.attribution.seeding import RandomKey

IDS = ("a", "b", "c")

NOISE: tuple[ControlName, ...] = ("random", "smoothed_random")


def ecgs() -> Tensor:
    time = torch.linspace(0.0, 1.2, 600, dtype=torch.float64)
    return torch.stack([torch.sin(2 * torch.pi * (k + 1) * time).repeat(8, 1) for k in range(len(IDS))])


def key(name: str, place: int) -> RandomKey:
    return RandomKey(method=name, ecg_id=IDS[place])


def test_the_input_and_its_slope_have_closed_forms() -> None:
    ecg = ecgs()
    found = control_maps(("absolute_input", "absolute_slope"), ecg, key)
    assert torch.equal(found["absolute_input"], ecg.abs())
    expected = np.abs(np.gradient(ecg.numpy(), 1 / 500, axis=-1))
    np.testing.assert_allclose(found["absolute_slope"].numpy(), expected, atol=1e-12)
    assert found["absolute_slope"][0].max() == pytest.approx(2 * np.pi, rel=1e-2)  # mV/s of a 1-Hz sine of 1 mV


def test_controls_of_recordings_have_the_same_units_and_the_same_width_in_time() -> None:
    time = torch.arange(1000, dtype=torch.float64) / 100
    sine = torch.sin(2 * torch.pi * time).repeat(64, 12, 1)
    found = control_maps(CONTROLS, sine, lambda name, at: RandomKey(method=name, ecg_id=str(at)), sampling_rate=100)
    assert found["absolute_slope"].max() == pytest.approx(2 * np.pi, rel=1e-2)  # mV/s of a 1-Hz sine of 1 mV
    smooth, lag = found["smoothed_random"], round(SMOOTHING_SECONDS * 100)
    assert float((smooth[..., 50:900] * smooth[..., 50 + lag : 900 + lag]).mean()) == pytest.approx(
        np.exp(-0.25), abs=0.05
    )


@pytest.mark.parametrize("name", NOISE)
def test_noise_belongs_to_the_ecg_and_not_to_its_batch(name: ControlName) -> None:
    together = control_maps((name,), ecgs(), key)[name]
    alone = control_maps((name,), ecgs()[2:], lambda name, _: key(name, 2))[name]
    assert torch.equal(together[2:], alone)
    assert not torch.equal(together[0], together[1])


def test_both_kinds_of_noise_have_unit_variance_and_only_one_is_smooth() -> None:
    ecg = torch.zeros(64, 8, 600)
    found = control_maps(NOISE, ecg, lambda name, place: RandomKey(method=name, ecg_id=str(place)))
    for name in NOISE:
        inner = found[name][..., 50:550]  # mirrored edges vary more
        assert inner.std() == pytest.approx(1.0, abs=0.03)
        assert inner.mean() == pytest.approx(0.0, abs=0.03)
    lag = round(SMOOTHING_SECONDS * 500)
    neighbours = {
        name: float((maps[..., 50 : 550 - lag] * maps[..., 50 + lag : 550]).mean()) for name, maps in found.items()
    }
    assert neighbours["random"] == pytest.approx(0.0, abs=0.02)
    assert neighbours["smoothed_random"] == pytest.approx(np.exp(-0.25), abs=0.05)  # two Gaussians' overlap


def test_a_control_does_not_move_the_global_random_state() -> None:
    before = torch.get_rng_state()
    control_maps(CONTROLS, ecgs(), key)
    assert torch.equal(before, torch.get_rng_state())


def test_an_empty_batch_is_an_empty_batch() -> None:
    for name, maps in control_maps(CONTROLS, torch.zeros(0, 8, 600), key).items():
        assert maps.shape == (0, 8, 600), name


def test_names_are_checked() -> None:
    assert check_controls(CONTROLS) == CONTROLS
    with pytest.raises(ValueError, match="unknown: edges"):
        check_controls(["edges"])
    with pytest.raises(ValueError, match="at most once"):
        check_controls(["random", "random"])
