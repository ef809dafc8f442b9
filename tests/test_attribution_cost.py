"""The benchmark of a map's cost: plain Captum makes the passes it is charged for, and the figures add up."""

import sys
import time
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import attribution_cost
from attribution_cost import Cost, suite, timed
from plain_captum import BACKGROUNDS, PLAIN

from ecg_lightning.attribution import METHODS
from ecg_lightning.models import ResNet1d


@pytest.fixture(scope="module")
def ecg() -> Tensor:
    return torch.randn(2 + BACKGROUNDS, 8, 50, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def network() -> nn.Module:
    torch.manual_seed(0)
    return ResNet1d(widths=(8, 8), strides=(2, 2), length=50).eval().requires_grad_(False)


def test_every_method_is_compared() -> None:
    assert set(PLAIN) == set(METHODS)


@pytest.mark.parametrize("batch", [None, 8, 32])
@pytest.mark.parametrize("name", PLAIN)
def test_plain_captum_makes_the_passes_it_is_charged_for(
    name: str, batch: int | None, network: nn.Module, ecg: Tensor
) -> None:
    sizes: list[int] = []
    handle = network.register_forward_hook(lambda module, inputs, output: sizes.append(len(inputs[0])))
    plain = PLAIN[name]
    try:
        plain.call(network, ecg[:2].clone().requires_grad_(), ecg[2:], plain.timed, batch)
    finally:
        handle.remove()
    expected = (plain.passes.gradient + plain.passes.forward) * plain.timed / plain.draws
    if name == "shapley_sampling":  # of the shorter ECG: 2 groups a lead; and the bare baseline
        expected = plain.timed * 16 + 1
    allowed = 1.0 if name in ("deeplift", "deeplift_shap") else 0.0  # Captum's hook doubles the batch behind ours
    assert expected * 2 in (sum(sizes), (1 + allowed) * sum(sizes))
    if name not in ("deeplift", "deeplift_shap") and batch is not None:
        assert max(sizes) <= batch


def test_a_suite_takes_each_method_at_its_best_batch() -> None:
    costs = {
        ("a", "batch 8"): Cost(3.0, None, 0.0),
        ("a", "batch 32"): Cost(2.0, None, 0.0),
        ("b", "batch 8"): Cost(5.0, None, 0.0),
        ("b", "batch 32"): Cost(7.0, None, 0.0),
    }
    assert suite(costs, "best batch", ["a", "b"]) == 7.0
    assert suite(costs, "batch 32", ["a", "b"]) == 9.0


@pytest.mark.skipif(sys.platform != "linux", reason="anonymous memory is read from /proc")
def test_the_peak_of_memory_is_seen() -> None:
    def hold() -> None:
        held = bytearray(b"x" * 60_000_000)
        time.sleep(0.1)
        held.clear()

    _, before = timed(lambda: time.sleep(0.02))
    _, during = timed(hold)
    _, after = timed(lambda: time.sleep(0.02))
    assert before + 50 < during
    assert after < during - 50


def test_it_runs_on_a_short_ecg(network: nn.Module, ecg: Tensor, capsys: pytest.CaptureFixture[str]) -> None:
    bench = attribution_cost.Bench(network, ecg[:2].clone(), ecg[2:6].clone())
    bench.methods = tuple(method for method in bench.methods if method.single_pass)
    attribution_cost.report(bench.measure(1), bench)
    printed = capsys.readouterr().out
    assert "share of the limit" in printed
    assert "peak memory, ours" in printed
