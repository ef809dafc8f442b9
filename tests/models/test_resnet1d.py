from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from ecg_lightning.models.resnet1d import (
    DoubleConvBlock,
    ResNet1d,
    Shortcut,
    WeightlessShortcut,
    default_strides,
    default_widths,
)

CONFIGS = Path(__file__).parents[2] / "configs"
EPS = 1e-5  # of nn.BatchNorm1d


@pytest.fixture(scope="module")
def full() -> ResNet1d:
    torch.manual_seed(0)
    network: ResNet1d = with_random_statistics(ResNet1d())
    return network.eval()


def with_random_statistics(network: nn.Module) -> Any:
    """BatchNorms that do something in eval mode."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d):
            nn.init.normal_(module.get_buffer("running_mean"), std=0.3)
            nn.init.uniform_(module.get_buffer("running_var"), 0.5, 2.0)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.2)
    return network


def modules_of(network: nn.Module, kind: type[nn.Module]) -> list[nn.Module]:
    return [module for module in network.modules() if isinstance(module, kind)]


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


# --- the architecture of the paper and of the design -----------------------------------------------------------


def test_the_paper_s_numbers(full: ResNet1d) -> None:
    convolutions = modules_of(full, nn.Conv1d)
    assert len(convolutions) == 22
    assert {module.kernel_size for module in convolutions} == {(7,)}
    assert len(modules_of(full, nn.BatchNorm1d)) == 33
    assert len(modules_of(full, nn.Linear)) == 1
    assert [module.p for module in modules_of(full, nn.Dropout)] == [0.2] * 11
    assert parameters(full) == 2_150_017
    assert full.linear.in_features == 256 * 19


def test_flops_of_a_forward(full: ResNet1d) -> None:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        full(torch.zeros(1, 8, 600))
    assert counter.get_total_flops() == pytest.approx(169e6, rel=0.002)


def test_widths_and_strides_of_each_block(full: ResNet1d) -> None:
    assert default_widths(11) == (8, 16, 16, 32, 32, 64, 64, 128, 128, 256, 256)
    assert default_strides(11) == (1, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2)
    assert default_widths(15)[10:] == (256,) * 5
    shapes: list[tuple[int, ...]] = []
    handles = [
        block.register_forward_hook(lambda _m, _i, out: shapes.append(tuple(out.shape))) for block in full.blocks
    ]
    full(torch.zeros(2, 8, 600))
    for handle in handles:
        handle.remove()
    samples = (600, 600, 300, 300, 150, 150, 75, 75, 38, 38, 19)
    assert shapes == [(2, width, length) for width, length in zip(default_widths(11), samples, strict=True)]


def test_each_block_is_in_the_order_of_the_paper(full: ResNet1d) -> None:
    names = {module: name for name, module in full.blocks[5].named_modules()}
    order: list[str] = []
    handles = [
        module.register_forward_hook(lambda module, *_: order.append(names[module]))
        for module in full.blocks[5].modules()
        if not list(module.children())
    ]
    full(torch.zeros(1, 8, 600))
    for handle in handles:
        handle.remove()
    branch = ["norm1", "relu1", "conv1", "norm2", "relu2", "dropout", "conv2", "norm3"]
    assert [name for name in order if not name.startswith("shortcut")] == branch


def test_the_grad_cam_layer_is_the_last_block(full: ResNet1d) -> None:
    assert full.get_submodule(full.gradcam_layer) is full.blocks[-1]
    assert ResNet1d(widths=[8, 8], strides=[1, 2]).gradcam_layer == "blocks.1"


def test_the_small_preset() -> None:
    preset = yaml.safe_load((CONFIGS / "model" / "small.yaml").read_text())["model"]["network"]
    assert preset["class_path"] == "ecg_lightning.models.ResNet1d"
    network = ResNet1d(**preset["init_args"])
    assert 55_000 < parameters(network) < 65_000
    assert network(torch.zeros(3, 8, 600)).shape == (3,)


def test_the_config_rebuilds_the_network() -> None:
    first = ResNet1d(widths=(8, 12), leads=3, length=50, kernel_size=5, shortcut="maxpool", input_activation=False)
    again = ResNet1d(**first.config)  # type: ignore[arg-type]
    assert str(again) == str(first)
    assert again.config == first.config
    assert yaml.safe_load(yaml.safe_dump(first.config)) == first.config


# --- safe to attribute ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("input_activation", "expected"), [(True, 22), (False, 21)])
def test_every_relu_module_works_once_a_forward_and_not_in_place(input_activation: bool, expected: int) -> None:
    network = ResNet1d(input_activation=input_activation).eval()
    relus = modules_of(network, nn.ReLU)
    assert not any(module.inplace for module in relus)
    calls: Counter[nn.Module] = Counter()
    for module in relus:
        module.register_forward_hook(lambda module, *_: calls.update([module]))
    network(torch.randn(2, 8, 600))
    assert len(calls) == len(relus) == expected
    assert set(calls.values()) == {1}


@pytest.mark.parametrize("input_activation", [True, False])
def test_every_rectifier_of_the_graph_is_a_module(input_activation: bool) -> None:
    """A functional ReLU would show up as a node that no module accounts for."""
    network = ResNet1d(input_activation=input_activation).eval()
    names: list[str] = []
    pending = [network(torch.randn(1, 8, 600, requires_grad=True)).sum().grad_fn]
    seen = set()
    while pending:
        node = pending.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        names.append(node.name())
        pending += [following for following, _ in node.next_functions]
    assert sum("Relu" in name for name in names) == len(modules_of(network, nn.ReLU))


def test_input_activation_false_leaves_out_exactly_the_first_relu() -> None:
    rectified, raw = ResNet1d(), ResNet1d(input_activation=False)
    with_it, without = (
        {name for name, m in network.named_modules() if isinstance(m, nn.ReLU)} for network in (rectified, raw)
    )
    assert with_it - without == {"blocks.0.relu1"}
    assert without < with_it
    assert rectified.state_dict().keys() == raw.state_dict().keys()


def test_negative_deflections_reach_the_first_convolution_only_without_the_first_relu() -> None:
    ecg = -torch.rand(1, 8, 600) - 0.1
    for input_activation, reaches in ((True, False), (False, True)):
        network = ResNet1d(input_activation=input_activation).eval()
        seen: list[Tensor] = []
        network.get_submodule("blocks.0.conv1").register_forward_hook(
            lambda _m, inputs, _o, seen=seen: seen.append(inputs[0])
        )
        network(ecg)
        assert bool(seen[0].any()) is reaches


def test_no_relu_after_the_sum(full: ResNet1d) -> None:
    outputs: list[Tensor] = []
    handles = [block.register_forward_hook(lambda _m, _i, out: outputs.append(out)) for block in full.blocks]
    full(torch.randn(2, 8, 600))
    for handle in handles:
        handle.remove()
    assert all((out < 0).any() for out in outputs)


# --- one block against a slow reference --------------------------------------------------------------------------


def norm(x: NDArray[np.float64], module: nn.BatchNorm1d) -> NDArray[np.float64]:
    names = ("running_mean", "running_var", "weight", "bias")
    mean, var, weight, bias = (module.state_dict()[name].numpy()[:, None] for name in names)
    return np.asarray((x - mean) / np.sqrt(var + EPS) * weight + bias)


def convolution(x: NDArray[np.float64], weight: NDArray[np.float64], stride: int) -> NDArray[np.float64]:
    out_channels, _, kernel = weight.shape
    padded = np.pad(x, ((0, 0), (kernel // 2, kernel // 2)))
    places = range(0, x.shape[1], stride)
    out = np.empty((out_channels, len(places)))
    for column, start in enumerate(places):
        out[:, column] = [(kernels * padded[:, start : start + kernel]).sum() for kernels in weight]
    return out


def shortcut_by_hand(x: NDArray[np.float64], out_channels: int, stride: int, kind: str) -> NDArray[np.float64]:
    pool = np.mean if kind == "avgpool" else np.max
    windows = [x[:, start : start + stride] for start in range(0, x.shape[1], stride)]  # the last may be short
    pooled = np.stack([pool(window, axis=1) for window in windows], axis=1)
    return np.concatenate([pooled, np.zeros((out_channels - len(x), pooled.shape[1]))])


def block_by_hand(block: DoubleConvBlock, x: NDArray[np.float64], stride: int, kind: str) -> NDArray[np.float64]:
    hidden = norm(x, block.norm1)
    if isinstance(block.relu1, nn.ReLU):
        hidden = np.maximum(hidden, 0)
    hidden = convolution(hidden, block.conv1.weight.detach().numpy(), stride)
    hidden = np.maximum(norm(hidden, block.norm2), 0)
    hidden = convolution(hidden, block.conv2.weight.detach().numpy(), 1)
    return norm(hidden, block.norm3) + shortcut_by_hand(x, len(hidden), stride, kind)


@settings(max_examples=40, deadline=None)
@given(
    length=st.integers(1, 40),
    stride=st.integers(1, 3),
    channels=st.tuples(st.integers(1, 4), st.integers(0, 3)),
    kernel=st.sampled_from([1, 3, 7]),
    kind=st.sampled_from(["avgpool", "maxpool"]),
    input_activation=st.booleans(),
)
def test_a_block_is_its_slow_reference(
    length: int, stride: int, channels: tuple[int, int], kernel: int, kind: Shortcut, input_activation: bool
) -> None:
    torch.manual_seed(length)
    block = DoubleConvBlock(
        channels[0],
        sum(channels),
        stride,
        kernel_size=kernel,
        dropout=0.5,
        shortcut=kind,
        input_activation=input_activation,
    )
    block = with_random_statistics(block).double().eval()
    x = torch.randn(2, channels[0], length, dtype=torch.float64)
    expected = [block_by_hand(block, ecg.numpy(), stride, kind) for ecg in x]
    np.testing.assert_allclose(block(x).detach().numpy(), np.stack(expected), atol=1e-12)


def test_an_odd_length_keeps_its_last_sample() -> None:
    x = torch.tensor([[[1.0, 3.0, 5.0]]])
    assert WeightlessShortcut(1, 2, 2, "avgpool")(x).tolist() == [[[2.0, 5.0], [0.0, 0.0]]]
    assert WeightlessShortcut(1, 1, 2, "maxpool")(x).tolist() == [[[3.0, 5.0]]]
    assert WeightlessShortcut(1, 1, 1, "maxpool")(x).tolist() == x.tolist()


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 64), st.lists(st.integers(1, 3), min_size=1, max_size=4))
def test_any_length_fits_the_linear_unit(length: int, strides: list[int]) -> None:
    network = ResNet1d(widths=[2] * len(strides), strides=strides, leads=2, length=length, kernel_size=3)
    assert network.eval()(torch.zeros(3, 2, length)).shape == (3,)


# --- what eval promises ------------------------------------------------------------------------------------------


def test_eval_is_deterministic_and_training_is_not(full: ResNet1d) -> None:
    ecg = torch.randn(4, 8, 600)
    with torch.no_grad():
        assert torch.equal(full(ecg), full(ecg))
        training = ResNet1d(widths=[8, 8]).train()
        assert not torch.equal(training(ecg), training(ecg))  # dropout


def test_an_ecg_s_logit_does_not_depend_on_its_batch() -> None:
    torch.manual_seed(1)
    network = with_random_statistics(ResNet1d()).double().eval()
    ecg = torch.randn(5, 8, 600, dtype=torch.float64)
    with torch.no_grad():
        together = network(ecg)
        alone = torch.cat([network(one[None]) for one in ecg])
        reversed_ = network(ecg.flip(0)).flip(0)
    assert together.std() > 1e-3
    torch.testing.assert_close(alone, together, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(reversed_, together, rtol=1e-12, atol=1e-12)


def test_every_parameter_gets_a_gradient() -> None:
    network = ResNet1d()
    network(torch.randn(4, 8, 600)).sum().backward()
    assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []


# --- errors ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"depth": 0}, "at least one block; got 0 widths"),
        ({"depth": -2}, "at least one block"),
        ({"widths": []}, "at least one block"),
        ({"widths": [8, 16], "strides": [1]}, "got 2 widths and 1 strides"),
        ({"depth": 3, "strides": [1, 1]}, "got 3 widths and 2 strides"),
        ({"widths": [16, 8]}, r"widths must not fall .* got \(16, 8\)"),
        ({"widths": [4]}, r"start at `leads` \(8\)"),
        ({"leads": 0}, r"leads \(0\), .* must be positive"),
        ({"length": 0}, r"length \(0\)"),
        ({"widths": [8], "strides": [0]}, r"strides \(\(0,\)\) must be positive"),
        ({"kernel_size": 6}, "kernel_size must be odd and positive, got 6"),
        ({"kernel_size": -1}, "kernel_size must be odd and positive, got -1"),
        ({"shortcut": "conv"}, "'avgpool' or 'maxpool', got 'conv'"),
        ({"dropout": 1.5}, "between 0 and 1"),
    ],
)
def test_arguments_that_build_no_network(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ResNet1d(**arguments)


@pytest.mark.parametrize("shape", [(8, 600), (2, 12, 600), (2, 8, 500), (2, 600, 8), (1, 2, 8, 600)])
def test_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    network = ResNet1d(widths=[8])
    with pytest.raises(ValueError, match=r"expects \(batch, lead, sample\) = \(batch, 8, 600\), got") as caught:
        network(torch.zeros(shape))
    assert str(shape) in str(caught.value)
