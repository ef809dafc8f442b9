"""Folded BatchNorms: the same function, the right pairs, and a refusal wherever a pair isn't safe."""

import copy
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from ecg_lightning.models import ResNet1d
from ecg_lightning.models.folding import FoldedBatchNorm, FoldingError, fold_batchnorm


def ecgs(count: int = 8, leads: int = 8, length: int = 600) -> Tensor:
    generator = torch.Generator().manual_seed(4)
    return torch.randn(count, leads, length, generator=generator, dtype=torch.float64)


def with_statistics(network: nn.Module, ecg: Tensor) -> nn.Module:
    """BatchNorms with the means and variances of a layer, and scales and shifts that aren't 1 and 0."""
    generator = torch.Generator().manual_seed(5)
    network.train()
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) and module.affine:
                module.weight.uniform_(-2, 2, generator=generator)
                module.bias.uniform_(-1, 1, generator=generator)
        for _ in range(3):
            network(ecg.to(next(network.parameters()).dtype))
    return network.eval()


def folded_names(network: nn.Module) -> list[str]:
    return [name for name, module in network.named_modules() if isinstance(module, FoldedBatchNorm)]


@pytest.fixture(scope="module")
def resnet() -> nn.Module:
    torch.manual_seed(0)
    return with_statistics(ResNet1d().double(), ecgs(4))


def test_two_of_three_batchnorms_of_the_study_network_fold(resnet: nn.Module) -> None:
    folded = fold_batchnorm(resnet, ecgs(2))
    assert folded_names(folded) == [f"blocks.{block}.norm{norm}" for block in range(11) for norm in (2, 3)]
    assert sum(isinstance(module, nn.BatchNorm1d) for module in folded.modules()) == 11
    assert [name for name, _ in folded.named_modules()] == [name for name, _ in resnet.named_modules()]
    assert folded.blocks[0].norm3.into == "blocks.0.conv2"
    assert "into=blocks.0.conv2" in str(folded)


def test_logit_and_gradient_are_the_same(resnet: nn.Module) -> None:
    ecg = ecgs(3).requires_grad_()
    logits = [network(ecg) for network in (resnet, fold_batchnorm(resnet, ecgs(2)))]
    slopes = [torch.autograd.grad(logit.sum(), ecg)[0] for logit in logits]
    torch.testing.assert_close(logits[1], logits[0], rtol=1e-12, atol=1e-12)
    assert (slopes[1] - slopes[0]).abs().max() <= 1e-12 * slopes[0].abs().max()


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 1e-1)])
def test_other_precisions_fold_too(resnet: nn.Module, dtype: torch.dtype, tolerance: float) -> None:
    network = copy.deepcopy(resnet).to(dtype)
    folded = fold_batchnorm(network, ecgs(2).to(dtype))
    assert {parameter.dtype for parameter in folded.parameters()} == {dtype}
    with torch.no_grad():
        logit, expected = folded(ecgs().to(dtype)), network(ecgs().to(dtype))
    assert (logit - expected).abs().max() <= tolerance * expected.abs().max()


def test_the_network_handed_in_stays_as_it_is(resnet: nn.Module) -> None:
    network = copy.deepcopy(resnet).train()
    before = copy.deepcopy(network.state_dict())
    folded = fold_batchnorm(network, ecgs(2))
    assert network.training
    assert not any(module.training for module in folded.modules())
    assert not folded_names(network)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in folded.modules())
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name])


def test_what_is_trained_stays_trained_and_what_is_frozen_frozen(resnet: nn.Module) -> None:
    assert all(parameter.requires_grad for parameter in fold_batchnorm(resnet, ecgs(2)).parameters())
    frozen = copy.deepcopy(resnet).requires_grad_(False)
    assert not any(parameter.requires_grad for parameter in fold_batchnorm(frozen, ecgs(2)).parameters())


@settings(max_examples=25, deadline=None)
@given(
    groups=st.sampled_from([1, 2, 4]),
    kernel=st.integers(1, 5),
    stride=st.integers(1, 3),
    dilation=st.integers(1, 2),
    bias=st.booleans(),
    affine=st.booleans(),
    padding_mode=st.sampled_from(["zeros", "circular", "reflect"]),
)
def test_any_convolution_takes_its_batchnorm_in(
    groups: int, kernel: int, stride: int, dilation: int, bias: bool, affine: bool, padding_mode: str
) -> None:
    conv = nn.Conv1d(8, 4, kernel, stride, 2, dilation, groups, bias, padding_mode)
    network = with_statistics(nn.Sequential(conv, nn.BatchNorm1d(4, affine=affine)).double(), ecgs(4, length=40))
    folded = fold_batchnorm(network, ecgs(2, length=40))
    assert folded_names(folded) == ["1"]
    torch.testing.assert_close(folded(ecgs(3, length=40)), network(ecgs(3, length=40)), rtol=1e-11, atol=1e-11)


def test_a_linear_layer_and_a_two_dimensional_convolution_too() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 3, 5)
            self.norm = nn.BatchNorm2d(3)
            self.linear = nn.Linear(3 * 4 * 36, 6)
            self.norm_of_linear = nn.BatchNorm1d(6)

        def forward(self, ecg: Tensor) -> Tensor:
            return self.norm_of_linear(self.linear(self.norm(self.conv(ecg[:, None])).relu().flatten(1))).sum(1)

    network = with_statistics(Two().double(), ecgs(8, length=40))
    folded = fold_batchnorm(network, ecgs(2, length=40))
    assert folded_names(folded) == ["norm", "norm_of_linear"]
    torch.testing.assert_close(folded(ecgs(3, length=40)), network(ecgs(3, length=40)), rtol=1e-11, atol=1e-11)


class Pair(nn.Module):
    """Convolution and BatchNorm, used in a way of the test's own."""

    def __init__(self, use: Callable[[nn.Module, Tensor], Tensor]) -> None:
        super().__init__()
        self.conv = nn.Conv1d(8, 8, 3, padding=1)
        self.norm = nn.BatchNorm1d(8)
        self.use = use

    def forward(self, ecg: Tensor) -> Tensor:
        return self.use(self, ecg).sum((1, 2))


@pytest.mark.parametrize(
    "use",
    [
        lambda net, x: net.norm(h := net.conv(x)) + h,
        lambda net, x: net.norm(h := net.conv(x)) * (h.detach() > 0),
        lambda net, x: torch.cat([net.norm(h := net.conv(x)), h], dim=1),
        lambda net, x: net.norm(net.norm(net.conv(x))),
        lambda net, x: net.norm(net.conv(net.conv(x))),
        lambda net, x: net.norm(net.conv(x).relu()),
        lambda net, x: net.conv(net.norm(x)),
        lambda net, x: net.norm(net.conv(x).mul_(2)),
        lambda net, x: net.norm(input=net.conv(x)),
    ],
    ids=[
        "skip",
        "gate",
        "concatenated",
        "norm twice",
        "conv twice",
        "relu between",
        "norm first",
        "in place",
        "keyword",
    ],
)
def test_an_unsafe_pair_is_left_alone(use: Callable[[nn.Module, Tensor], Tensor]) -> None:
    network = with_statistics(Pair(use).double(), ecgs(4, length=40))
    with pytest.raises(FoldingError, match="none of its 1 BatchNorms directly and only follows a convolution"):
        fold_batchnorm(network, ecgs(2, length=40))


def test_asking_for_a_shape_is_no_use() -> None:
    def use(net: nn.Module, x: Tensor) -> Tensor:
        hidden = net.conv(x)
        if hidden.ndim != 3 or hidden.shape[1] != hidden.size(1) or len(hidden) != len(x):
            raise ValueError
        return net.norm(hidden)

    network = with_statistics(Pair(use).double(), ecgs(4, length=40))
    assert folded_names(fold_batchnorm(network, ecgs(2, length=40))) == ["norm"]


def special(change: str) -> nn.Sequential:
    class ScaledConv1d(nn.Conv1d):
        def forward(self, x: Tensor) -> Tensor:
            return 2 * super().forward(x)

    conv: nn.Module = (ScaledConv1d if change == "subclass" else nn.Conv1d)(8, 8, 3)
    if change == "weight norm":
        conv = parametrizations.weight_norm(conv)
    if change == "hook":
        conv.register_forward_hook(lambda module, inputs, output: output.abs())
    if change == "linear over time":
        return nn.Sequential(nn.Linear(40, 8), nn.BatchNorm1d(8))
    return nn.Sequential(conv, nn.BatchNorm1d(8, track_running_stats=change != "own statistics"))


@pytest.mark.parametrize("change", ["subclass", "weight norm", "hook", "linear over time", "own statistics"])
def test_a_layer_that_does_more_is_left_alone(change: str) -> None:
    network = with_statistics(special(change).double(), ecgs(4, length=40))
    with pytest.raises(FoldingError, match="none of its 1 BatchNorms"):
        fold_batchnorm(network, ecgs(2, length=40))


def test_a_layer_to_keep_is_kept(resnet: nn.Module) -> None:
    folded = fold_batchnorm(resnet, ecgs(2), keep=["blocks.0.conv1", "blocks.1.norm3", "blocks.2"])
    assert len(folded_names(folded)) == 20
    assert isinstance(folded.blocks[0].norm2, nn.BatchNorm1d)
    assert isinstance(folded.blocks[1].norm3, nn.BatchNorm1d)
    assert isinstance(folded.blocks[2].norm2, FoldedBatchNorm)  # a block's own output is the same


def test_a_batchnorm_with_two_names_is_replaced_under_both() -> None:
    network = Pair(lambda net, x: net.again(net.conv(x)))
    network.again = network.norm
    with_statistics(network.double(), ecgs(4, length=40))
    folded = fold_batchnorm(network, ecgs(2, length=40))
    torch.testing.assert_close(folded(ecgs(3, length=40)), network(ecgs(3, length=40)), rtol=1e-11, atol=1e-11)


def test_tied_weights_are_untied() -> None:
    network = Pair(lambda net, x: net.norm(net.conv(net.first(x))))
    network.first = nn.Conv1d(8, 8, 3, padding=1)
    network.first.weight = network.conv.weight
    with_statistics(network.double(), ecgs(4, length=40))
    folded = fold_batchnorm(network, ecgs(2, length=40))
    torch.testing.assert_close(folded(ecgs(3, length=40)), network(ecgs(3, length=40)), rtol=1e-11, atol=1e-11)
    assert torch.equal(folded.first.weight, network.first.weight)


@pytest.mark.parametrize("value", [1.0, float("nan")])
def test_a_use_that_no_hook_sees_is_found_by_the_logits(value: float) -> None:
    network = Pair(lambda net, x: value * net.norm(net.conv(x)) * net.conv.weight.sum())
    with_statistics(network.double(), ecgs(4, length=40))
    with pytest.raises(FoldingError, match="logits on 2 ECGs differ by up to"):
        fold_batchnorm(network, ecgs(2, length=40))
