"""The channels-last copy of a network is the same function with the same gradients."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from ecg_lightning.attribution import RandomKey, prepare_task
from ecg_lightning.attribution.methods import DeepLiftShap
from ecg_lightning.models import ResNet1d
from ecg_lightning.models.channels_last import ChannelsLastConv1d, to_channels_last


def _logit_and_gradient(network: nn.Module, ecg: Tensor) -> tuple[Tensor, Tensor]:
    leaf = ecg.clone().requires_grad_()
    output = network(leaf)
    weights = torch.linspace(0.5, 1.5, output.numel(), dtype=output.dtype).view_as(output)
    (gradient,) = torch.autograd.grad((output * weights).sum(), leaf)
    return output.detach(), gradient


def _same(network: nn.Module, ecg: Tensor) -> int:
    changed = copy.deepcopy(network)
    count = to_channels_last(changed)
    expected, found = _logit_and_gradient(network, ecg), _logit_and_gradient(changed, ecg)
    for one, other in zip(expected, found, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-10, atol=1e-12)
    return count


@given(
    channels=st.integers(1, 6),
    groups=st.sampled_from([1, 2]),
    kernel=st.integers(1, 7),
    stride=st.integers(1, 3),
    padding=st.integers(0, 4),
    dilation=st.integers(1, 2),
    length=st.integers(14, 40),
    bias=st.booleans(),
)
def test_convolution_is_the_same(
    channels: int, groups: int, kernel: int, stride: int, padding: int, dilation: int, length: int, bias: bool
) -> None:
    torch.manual_seed(0)
    layer = nn.Conv1d(
        2 * groups, channels * groups, kernel, stride, padding, dilation, groups=groups, bias=bias, dtype=torch.float64
    )
    assert _same(layer, torch.randn(3, 2 * groups, length, dtype=torch.float64)) == 1


@given(
    kernel=st.integers(2, 4),
    stride=st.integers(1, 3),
    ceil_mode=st.booleans(),
    count_include_pad=st.booleans(),
    length=st.integers(9, 30),
)
def test_pooling_is_the_same(kernel: int, stride: int, ceil_mode: bool, count_include_pad: bool, length: int) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv1d(2, 3, 3, padding=1), nn.AvgPool1d(kernel, stride, kernel // 2, ceil_mode, count_include_pad)
    ).double()
    assert _same(network, torch.randn(2, 2, length, dtype=torch.float64)) == 1


def test_whole_network_is_the_same() -> None:
    torch.manual_seed(0)
    network = ResNet1d(depth=5, leads=8, length=301)
    with torch.no_grad():
        for _ in range(3):
            network(torch.randn(16, 8, 301))  # running statistics other than 0 and 1
    assert _same(network.double().eval().requires_grad_(False), torch.randn(3, 8, 301, dtype=torch.float64)) == 10


def test_layers_keep_names_parameters_hooks_and_kind() -> None:
    network = nn.Sequential(nn.Conv1d(2, 3, 3), nn.ReLU(), nn.Conv1d(3, 1, 3, padding="same"), nn.Flatten())
    seen: list[str] = []
    network[0].register_forward_hook(lambda *_: seen.append("hooked"))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    assert to_channels_last(network) == 1  # padding by name is left alone
    assert isinstance(network[0], nn.Conv1d)
    assert type(network[2]) is nn.Conv1d
    torch.testing.assert_close(network.state_dict(), before)
    network(torch.randn(1, 2, 9))
    assert seen == ["hooked"]


def test_networks_without_convolution_are_left_alone() -> None:
    network = nn.Sequential(nn.BatchNorm1d(2), nn.AvgPool1d(2))
    assert to_channels_last(network) == 0
    assert type(network[0]) is nn.BatchNorm1d


@pytest.mark.filterwarnings("error:deeplift_shap goes through Captum")
def test_global_pooling_stays_readable_for_deeplift_shap() -> None:
    network = nn.Sequential(nn.Conv1d(8, 4, 5), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(4, 1))
    task = prepare_task(network, torch.randn(3, 8, 64))
    ecg = torch.randn(2, 8, 64)
    found = DeepLiftShap()(task, ecg, [RandomKey(method="deeplift_shap", ecg_id=str(row)) for row in range(2)])
    # one ReLU before a linear read-out: completeness holds for the mean over backgrounds
    with torch.no_grad():
        rise = task.network(ecg) - task.network(task.backgrounds).mean()
    torch.testing.assert_close(found.sum((1, 2)), rise, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_tasks_use_it_in_float32_and_leave_the_network_as_it_was(dtype: torch.dtype) -> None:
    network = ResNet1d(depth=2, leads=8, length=64).to(dtype).eval()
    task = prepare_task(network, torch.zeros(1, 8, 64))
    assert any(isinstance(one, ChannelsLastConv1d) for one in task.network.modules()) == (dtype == torch.float32)
    assert not any(isinstance(one, ChannelsLastConv1d) for one in network.modules())
