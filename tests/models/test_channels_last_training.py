"""Training passes on channels-last memory are the same steps, and leave the network as it was."""

import copy
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from ecg_lightning.models import ResNet1d
from ecg_lightning.models import channels_last_training as tested
from ecg_lightning.models.channels_last import ChannelsLastConv1d
from ecg_lightning.models.channels_last_training import TrainedBatchNorm1d, training_pass

SMALL = {"widths": [8, 16, 24], "strides": [1, 2, 3], "length": 101}


def network_and_ecgs(dtype: torch.dtype = torch.float64, batch: int = 6) -> tuple[ResNet1d, Tensor]:
    torch.manual_seed(0)
    return ResNet1d(**SMALL).to(dtype), 2 + torch.randn(batch, 8, 101, dtype=dtype)  # type: ignore[arg-type]


def training_state(network: nn.Module, ecg: Tensor, steps: int = 3) -> dict[str, Tensor]:
    """Weights, running statistics and last gradients after some steps with dropout."""
    optimizer = torch.optim.Adam(network.train().parameters(), lr=1e-3)
    for step in range(steps):
        torch.manual_seed(step)
        optimizer.zero_grad()
        with training_pass(network):
            loss = network(ecg).square().mean()
        loss.backward()
        optimizer.step()
    gradients = {f"gradient of {name}": one.grad for name, one in network.named_parameters() if one.grad is not None}
    return {**network.state_dict(), **gradients, "loss": loss.detach()}


@pytest.fixture
def everywhere(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Switch channels-last passes on or off, whatever the network is."""
    return lambda gains: monkeypatch.setattr(tested, "_gains", lambda _: gains)


@pytest.mark.parametrize("shortcut", ["avgpool", "maxpool"])
def test_steps_are_the_same(everywhere: Callable[[bool], None], shortcut: str) -> None:
    ecg = network_and_ecgs()[1]
    torch.manual_seed(1)
    network = ResNet1d(**SMALL, shortcut=shortcut).double()  # type: ignore[arg-type]
    changed = copy.deepcopy(network)
    everywhere(False)
    expected = training_state(network, ecg)
    everywhere(True)
    found = training_state(changed, ecg)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(
            found[name], value, rtol=1e-7, atol=1e-10, msg=lambda words, at=name: f"{at}: {words}"
        )


@given(batch=st.integers(1, 9), channels=st.integers(1, 5), length=st.integers(2, 40), momentum=st.floats(0.01, 1))
def test_batchnorm_is_the_same(batch: int, channels: int, length: int, momentum: float) -> None:
    torch.manual_seed(0)
    layer = nn.BatchNorm1d(channels, momentum=momentum).double()
    changed = copy.deepcopy(layer)
    changed.__class__ = TrainedBatchNorm1d
    leaves = [(3 + torch.randn(batch, channels, length, dtype=torch.float64)).requires_grad_()]
    leaves.append(leaves[0].detach().clone().requires_grad_())
    for one, leaf in zip((layer, changed), leaves, strict=True):
        (one(leaf) * torch.linspace(-1, 2, leaf.numel()).view_as(leaf)).sum().backward()
    torch.testing.assert_close(changed.state_dict(), layer.state_dict())
    for found, expected in zip((leaves[1], *changed.parameters()), (leaves[0], *layer.parameters()), strict=True):
        torch.testing.assert_close(found.grad, expected.grad)


def test_statistics_keep_the_precision_of_float32() -> None:
    torch.manual_seed(0)
    ecg = 3 + torch.randn(128, 8, 600)
    layer = TrainedBatchNorm1d(8, momentum=1.0)
    layer(ecg)
    exact = ecg.double()
    # PyTorch's own statistics of channels-last tensors are off by more than 1e-6
    torch.testing.assert_close(layer.running_mean, exact.mean((0, 2)).float(), rtol=2e-7, atol=0)
    torch.testing.assert_close(layer.running_var, exact.transpose(0, 1).flatten(1).var(1).float(), rtol=3e-7, atol=0)


@pytest.mark.parametrize("layer", [nn.BatchNorm1d(3, affine=False), nn.BatchNorm1d(3, momentum=None)])
def test_other_batchnorms_are_left_to_pytorch(layer: nn.BatchNorm1d) -> None:
    ecg = torch.randn(4, 3, 10)
    changed = copy.deepcopy(layer)
    changed.__class__ = TrainedBatchNorm1d
    torch.testing.assert_close(changed(ecg), layer(ecg))
    torch.testing.assert_close(changed.state_dict(), layer.state_dict())
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        changed(torch.randn(1, 3, 1))


def test_a_network_in_float32_is_changed_for_its_pass_only() -> None:
    network, ecg = network_and_ecgs(torch.float32)
    kinds = [type(layer) for layer in network.modules()]
    parameters = list(network.parameters())
    with training_pass(network):
        assert any(type(layer) is ChannelsLastConv1d for layer in network.modules())
        loss = network(ecg).sum()
    assert [type(layer) for layer in network.modules()] == kinds
    loss.backward()
    assert all(one is other for one, other in zip(network.parameters(), parameters, strict=True))
    assert all(one.grad is not None and one.grad.stride() == one.stride() for one in parameters)  # as other ranks mind
    with pytest.raises(ValueError, match="ResNet1d expects"), training_pass(network):
        network(ecg[:, :4])
    assert [type(layer) for layer in network.modules()] == kinds


class _OfAnother(ResNet1d):
    """A network whose forward pass may be any."""


@pytest.mark.parametrize("network", [network_and_ecgs()[0], _OfAnother(), nn.Sequential(nn.Conv1d(8, 1, 3)), nn.ReLU()])
def test_other_networks_are_left_alone(network: nn.Module) -> None:
    kinds = [type(layer) for layer in network.modules()]
    with training_pass(network):
        assert [type(layer) for layer in network.modules()] == kinds


def test_autocast_is_left_alone() -> None:
    network, _ = network_and_ecgs(torch.float32)
    with torch.autocast("cpu", torch.bfloat16), training_pass(network):
        assert not any(type(layer) is ChannelsLastConv1d for layer in network.modules())
