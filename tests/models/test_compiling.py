"""Compiled networks: the same gradients, or not used."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch._inductor.config
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from ecg_lightning.attribution import RandomKey, prepare_task
from ecg_lightning.attribution.methods import SmoothGrad
from ecg_lightning.models.compiling import EvenAvgPool1d


@pytest.fixture(scope="module")
def compiler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Compiled files go into a folder of their own, not into the user's; without a compiler the test is skipped."""
    if shutil.which("g++") is None:
        pytest.skip("torch.compile needs a C++ compiler on a CPU")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path_factory.mktemp("inductor")))
        yield


class Small(nn.Module):
    """Odd length, so that the last window of the pooling is incomplete."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        self.relu = nn.ReLU()
        self.pool = nn.AvgPool1d(2, ceil_mode=True)
        self.weight = nn.Parameter(torch.randn(2, 18, generator=generator, dtype=torch.float64))

    def forward(self, ecg: Tensor) -> Tensor:
        return (self.pool(self.relu(ecg)) * self.weight).sum((1, 2))


class OtherWhenCompiled(Small):
    """Its compiled gradient is another."""

    def forward(self, ecg: Tensor) -> Tensor:
        logit = super().forward(ecg)
        return (
            logit + 0.01 * ecg.sum((1, 2)) - 0.01 * ecg.detach().sum((1, 2)) if torch.compiler.is_compiling() else logit
        )


def ecgs(count: int = 3) -> Tensor:
    return torch.randn(count, 2, 35, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@given(st.integers(1, 5), st.integers(1, 5), st.integers(5, 40))
def test_the_pooling_that_can_be_compiled_is_the_same(kernel: int, stride: int, length: int) -> None:
    stride = min(stride, kernel)
    x = torch.randn(2, 3, length, generator=torch.Generator().manual_seed(length), dtype=torch.float64)
    expected = nn.AvgPool1d(kernel, stride, ceil_mode=True)
    results = []
    for pool in (expected, EvenAvgPool1d(kernel, stride)):
        leaf = x.clone().requires_grad_()
        out = pool(leaf)
        results.append((out.detach(), torch.autograd.grad((out**2).sum(), leaf)[0]))
    for found, wanted in zip(results[1], results[0], strict=True):
        torch.testing.assert_close(found, wanted)


@pytest.mark.usefixtures("compiler")
def test_compiled_maps_are_the_same() -> None:
    task, plain = (prepare_task(Small(), ecgs(), compiled=compiled) for compiled in (True, False))
    assert task.compiled is not None
    assert task.sampling_network is task.compiled
    assert plain.compiled is None
    assert isinstance(task.network.network.pool, nn.AvgPool1d)  # type: ignore[union-attr]  # hooks see the network as it is
    assert plain.chunk == 32  # what was compiled for the check; another number would be compiled anew
    keys = [RandomKey(ecg_id=str(number)) for number in range(2)]
    found, expected = (SmoothGrad(32)(one, ecgs(2), keys) for one in (task, plain))
    torch.testing.assert_close(found, expected)


@pytest.mark.usefixtures("compiler")
def test_a_network_whose_compiled_gradient_is_another_is_not_used() -> None:
    with pytest.warns(UserWarning, match=r"OtherWhenCompiled is attributed without torch\.compile .*gradients differ"):
        task = prepare_task(OtherWhenCompiled(), ecgs(), compiled=True)
    assert task.compiled is None
    assert task.sampling_network is task.network


def test_without_a_compiler_the_network_is_used_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))  # nothing that was compiled before
    torch._dynamo.reset()
    with (
        torch._inductor.config.patch({"cpp.cxx": ("no-such-compiler",)}),
        pytest.warns(UserWarning, match=r"Small is attributed without torch\.compile"),
    ):
        task = prepare_task(Small(), ecgs(), compiled=True)
    assert task.compiled is None
