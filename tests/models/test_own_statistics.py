"""Networks that standardise each ECG by itself: what is held for maps, and what maps of them must be."""

import copy

import pytest
import torch
from torch import Tensor, nn

from ecg_lightning.attribution import METHODS, RandomKey, prepare_task
from ecg_lightning.models.own_statistics import OwnStatistics, has_own_statistics, holding_statistics

ECG = torch.randn(3, 2, 40, generator=torch.Generator().manual_seed(0)) * torch.tensor([0.5, 1.0, 3.0])[:, None, None]
KEYS = [RandomKey(ecg_id=str(k)) for k in range(3)]


def standardised(over: str = "lead") -> nn.Sequential:
    torch.manual_seed(0)
    layers = nn.Conv1d(2, 4, 5, padding=2), nn.ReLU(), nn.Flatten(), nn.Linear(160, 1)
    return nn.Sequential(OwnStatistics(over), *layers).eval()  # type: ignore[arg-type]


@pytest.mark.parametrize("over", ["lead", "recording"])
def test_each_ecg_is_standardised_by_itself(over: str) -> None:
    axes = (-1,) if over == "lead" else (-2, -1)
    found = standardised(over)[0](ECG)
    expected = (ECG - ECG.mean(axes, keepdim=True)) / (ECG.std(axes, keepdim=True, correction=0) + 1e-6)
    torch.testing.assert_close(found, expected)
    assert has_own_statistics(standardised(over))
    assert not has_own_statistics(standardised(over)[1:])


def test_statistics_are_held_and_let_go() -> None:
    network = standardised()
    free = network(2 * ECG[:1])
    torch.testing.assert_close(free, network(ECG[:1]), atol=1e-4, rtol=1e-4)  # a z-score knows no scale
    with holding_statistics(network, ECG[:1]):
        held = network(2 * ECG[:1])
        with holding_statistics(network, ECG[1:2]):  # what is held already stays
            torch.testing.assert_close(network(2 * ECG[:1]), held)
    assert (held - free).abs() > 0.01
    torch.testing.assert_close(network(2 * ECG[:1]), free)
    with pytest.raises(ValueError, match="one ECG at a time, got 3"), holding_statistics(network, ECG):
        pass
    with pytest.raises(RuntimeError, match="stop"), holding_statistics(network, ECG[:1]):
        raise RuntimeError("stop")
    torch.testing.assert_close(network(2 * ECG[:1]), free)


def as_affine(network: nn.Sequential, ecg: Tensor) -> nn.Module:
    """The network with the statistics of one ECG written in."""
    mean, deviation = ecg.mean(-1, keepdim=True), ecg.std(-1, keepdim=True, correction=0) + 1e-6

    class Affine(nn.Module):
        def forward(self, values: Tensor) -> Tensor:
            return (values - mean) / deviation

    return nn.Sequential(Affine(), *copy.deepcopy(network[1:]))


@pytest.mark.parametrize("name", ["saliency", "integrated_gradients", "deeplift", "smoothgrad", "gradient_shap"])
def test_maps_are_those_of_the_network_with_the_statistics_written_in(name: str) -> None:
    """One ECG at a time, in a batch, and after an ECG of another size: every map has its own statistics."""
    network, method = standardised(), METHODS[name]()
    found = method(prepare_task(network, ECG), ECG, KEYS)
    for index in range(3):
        one = slice(index, index + 1)
        task = prepare_task(as_affine(network, ECG[one]), ECG)
        torch.testing.assert_close(found[one], method(task, ECG[one], KEYS[one]), rtol=1e-4, atol=1e-5)


def test_integrated_gradients_keep_their_promise() -> None:
    network = standardised()
    task, method = prepare_task(network, ECG), METHODS["integrated_gradients"](n_steps=256)
    sums = method(task, ECG, KEYS).double().sum((1, 2))
    baselines = method.baseline_logits(task, ECG)
    assert len(set(baselines.tolist())) == 3  # 0 mV is something else to each ECG
    expected = task.network(ECG).double() - baselines
    torch.testing.assert_close(sums, expected, rtol=0.01, atol=0.01)
    free = network(torch.zeros(1, 2, 40)).item()
    assert (baselines - free).abs().max() > 0.01
