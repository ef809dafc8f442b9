"""Which layers a cascade randomises, and with what."""

import copy

import numpy as np
import pytest
import scipy.stats
import torch
from torch import Tensor, nn

from ecg_lightning.experiments.randomization.random_weights import layers_at, randomised, weight_layers
from ecg_lightning.functional.map_shape import histogram_entropy
from ecg_lightning.models import ResNet1d

ECG = torch.randn(4, 8, 600, generator=torch.Generator().manual_seed(0))


class OutOfOrder(nn.Module):
    """Registered in another order than it is executed; two layers of equal shape; one that is never called."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(8, 1)
        self.late = nn.Conv1d(8, 8, 3, padding=1)
        self.early = nn.Conv1d(8, 8, 3, padding=1)
        self.norm = nn.BatchNorm1d(8)
        self.idle = nn.Linear(2, 2)

    def forward(self, ecg: Tensor) -> Tensor:
        return self.head(self.late(torch.relu(self.norm(self.early(ecg)))).mean(-1)).squeeze(-1)


class Scale(nn.Module):
    """Has a weight and no way to draw it anew."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.arange(1.0, 9.0)[:, None])

    def forward(self, ecg: Tensor) -> Tensor:
        return ecg * self.weight


def seed_of(name: str) -> int:
    return sum(name.encode())


def weights(network: nn.Module, name: str) -> Tensor:
    return dict(network.named_modules())[name].weight.detach()


def test_the_study_s_network_has_22_convolutions_and_a_linear_unit() -> None:
    layers = weight_layers(ResNet1d(), ECG[:1])
    assert len(layers) == 23
    assert layers[:3] == ("blocks.0.conv1", "blocks.0.conv2", "blocks.1.conv1")
    assert layers[-1] == "linear"


def test_layers_follow_execution_and_not_registration() -> None:
    network = OutOfOrder().train()
    assert weight_layers(network, ECG[:1]) == ("early", "late", "head")
    assert network.training
    assert not any(module._forward_pre_hooks for module in network.modules())


def test_directions() -> None:
    layers = ("a", "b", "c", "d")
    assert layers_at(layers, "from_output", 2) == ("c", "d")
    assert layers_at(layers, "from_input", 3) == ("a", "b", "c")
    assert layers_at(layers, "independent", 1) == ("d",)
    assert layers_at(layers, "independent", 4) == ("a",)
    for direction in ("from_output", "from_input", "independent"):
        assert layers_at(layers, direction, 0) == ()  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="depths 0 to 4, got 5"):
        layers_at(layers, "from_output", 5)
    with pytest.raises(ValueError, match="a direction is one of"):
        layers_at(layers, "sideways", 1)  # type: ignore[arg-type]


def test_network_and_random_state_stay_as_they_are() -> None:
    network = OutOfOrder()
    before, state = copy.deepcopy(network.state_dict()), torch.get_rng_state()
    randomised(network, ("early", "head"), seed_of, batchnorm="recalibrated", ecgs=ECG)
    assert torch.equal(torch.get_rng_state(), state)
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_layers_of_equal_shape_differ_and_a_layer_is_the_same_at_every_depth() -> None:
    network = OutOfOrder()
    two, one = (randomised(network, layers, seed_of) for layers in (("early", "late"), ("late",)))
    assert not torch.equal(weights(two, "early"), weights(two, "late"))
    assert torch.equal(weights(two, "late"), weights(one, "late"))
    assert torch.equal(weights(one, "early"), weights(network, "early"))
    assert not torch.equal(weights(one, "late"), weights(network, "late"))
    torch.manual_seed(99)  # what ran before does not matter
    assert torch.equal(weights(randomised(network, ("late",), seed_of), "late"), weights(one, "late"))


def test_a_permutation_keeps_the_weights_and_needs_no_reset() -> None:
    network = nn.Sequential(Scale(), nn.Flatten(), nn.Linear(4800, 1))
    mixed = randomised(network, ("0", "2"), seed_of, how="permutation")
    for name in ("0", "2"):
        assert not torch.equal(weights(mixed, name), weights(network, name))
        assert torch.equal(weights(mixed, name).flatten().sort().values, weights(network, name).flatten().sort().values)
    with pytest.raises(ValueError, match=r"0 can't be reset: give it a method `reset_parameters\(\)`"):
        randomised(network, ("0",), seed_of)


def test_batchnorms_are_kept_reset_or_recalibrated() -> None:
    network = OutOfOrder()
    with torch.no_grad():
        network.norm.weight.fill_(3.0)
        network.train()(ECG)
    network.eval()
    assert torch.equal(randomised(network, ("early",), seed_of).norm.running_mean, network.norm.running_mean)
    # the norm is executed after `early`: it belongs to it, not to `late`
    fresh = randomised(network, ("early",), seed_of, batchnorm="reset", ecgs=ECG)
    assert torch.equal(fresh.norm.weight, torch.ones(8))
    assert torch.equal(fresh.norm.running_mean, torch.zeros(8))
    other = randomised(network, ("late",), seed_of, batchnorm="reset", ecgs=ECG)
    assert torch.equal(other.norm.running_mean, network.norm.running_mean)
    again = randomised(network, ("early",), seed_of, batchnorm="recalibrated", ecgs=ECG)
    with torch.no_grad():
        hidden = again.early(ECG)
    torch.testing.assert_close(again.norm.running_mean, hidden.mean((0, 2)))
    torch.testing.assert_close(again.norm.running_var, hidden.transpose(0, 1).flatten(1).var(1))
    assert torch.equal(again.norm.weight, network.norm.weight)
    assert again.norm.momentum == network.norm.momentum
    assert not again.norm.training
    # as a network that was never trained: new scales, and the statistics of its own hidden values
    both = randomised(network, ("early",), seed_of, batchnorm="reset_recalibrated", ecgs=ECG)
    assert torch.equal(both.norm.weight, torch.ones(8))
    torch.testing.assert_close(both.norm.running_mean, again.norm.running_mean)
    torch.testing.assert_close(both.norm.running_var, again.norm.running_var)
    last = randomised(network, ("late",), seed_of, batchnorm="reset_recalibrated", ecgs=ECG)
    assert torch.equal(last.norm.weight, network.norm.weight)  # its own layer is not random


def test_with_every_layer_random_nothing_of_the_training_is_left() -> None:
    networks = []
    for scale in (1.0, 3.0):
        network = ResNet1d(widths=(8, 16), strides=(1, 2))
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.mul_(scale).add_(0.1)
        every = weight_layers(network, ECG[:1])
        networks.append(randomised(network, every, seed_of, batchnorm="reset_recalibrated", ecgs=ECG))
    for one, other in zip(*(network.state_dict().values() for network in networks), strict=True):
        torch.testing.assert_close(one.double(), other.double())


def test_a_norm_before_all_layers_belongs_to_the_first() -> None:
    network = ResNet1d(widths=(8, 16), strides=(1, 2))
    with torch.no_grad():
        network.blocks[0].norm1.weight.fill_(2.0)
    first = randomised(network, ("blocks.0.conv1",), seed_of, batchnorm="reset", ecgs=ECG)
    assert torch.equal(first.blocks[0].norm1.weight, torch.ones(8))
    second = randomised(network, ("blocks.0.conv2",), seed_of, batchnorm="reset", ecgs=ECG)
    assert torch.equal(second.blocks[0].norm1.weight, torch.full((8,), 2.0))


def test_bad_input() -> None:
    network = OutOfOrder()
    with pytest.raises(ValueError, match="no module middle"):
        randomised(network, ("middle",), seed_of)
    with pytest.raises(ValueError, match="needs ECGs"):
        randomised(network, ("late",), seed_of, batchnorm="recalibrated")
    with pytest.raises(ValueError, match="how is one of"):
        randomised(network, ("late",), seed_of, how="zeros")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no layer with weights"):
        weight_layers(nn.Sequential(nn.Flatten()), ECG[:1])


def test_histogram_entropy_is_numpy_s() -> None:
    maps = torch.randn(3, 8, 600, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    expected = [scipy.stats.entropy(np.histogram(one.numpy(), bins=100)[0]) for one in maps]
    np.testing.assert_allclose(histogram_entropy(maps).numpy(), expected, atol=1e-3)  # a value on a bin's edge
    two_values = torch.zeros(8, 600)
    two_values[:4] = 1.0
    assert float(histogram_entropy(two_values)) == pytest.approx(np.log(2))
    assert histogram_entropy(torch.ones(2, 8, 600)).isnan().all()
    assert histogram_entropy(torch.full((8, 600), torch.nan)).isnan()
