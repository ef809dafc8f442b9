"""DeepLIFT-SHAP from kept backgrounds equals Captum's, and refuses what it can't read."""

import gc
import weakref
from collections.abc import Callable

import captum.attr as captum
import pytest
import torch
from networks import LinearReadout, trained_like_resnet, waves
from torch import Tensor, nn

from ecg_lightning.attribution import FrozenModel, prepare_task
from ecg_lightning.attribution import rescale as rescale_module
from ecg_lightning.attribution.rescale import RescaleError, rescale_maps


def plain_network() -> nn.Module:
    torch.manual_seed(6)
    return nn.Sequential(
        nn.Conv1d(8, 6, 7, 2),
        nn.ReLU(),
        nn.AvgPool1d(4),
        nn.Conv1d(6, 6, 5),
        nn.ReLU(),
        nn.AdaptiveAvgPool1d(9),
        nn.Flatten(),
        nn.Linear(54, 7),
        nn.ReLU(),
        nn.Linear(7, 1),
    ).double()


NETWORKS: dict[str, Callable[[], nn.Module]] = {"resnet": trained_like_resnet, "plain": plain_network}


@pytest.fixture(params=NETWORKS)
def task(request: pytest.FixtureRequest) -> FrozenModel:
    return prepare_task(NETWORKS[request.param](), waves(20, seed=9))


def captums(task: FrozenModel, ecg: Tensor, backgrounds: Tensor) -> Tensor:
    method = captum.DeepLiftShap(task.network)
    result: Tensor = method.attribute(ecg.clone().requires_grad_(), baselines=backgrounds)
    return result.detach()


def relative_error(maps: Tensor, expected: Tensor) -> float:
    assert maps.shape == expected.shape
    assert not maps.requires_grad
    return float((maps - expected).abs().max() / expected.abs().max())


def test_equals_captum(task: FrozenModel) -> None:
    for ecg in waves(3, seed=1).split(1):
        assert relative_error(rescale_maps(task, ecg, task.backgrounds), captums(task, ecg, task.backgrounds)) <= 1e-10


def test_equals_captum_in_float32() -> None:
    task = prepare_task(trained_like_resnet(torch.float32), waves(20, seed=9).float())
    ecg = waves(1, seed=1).float()
    assert relative_error(rescale_maps(task, ecg, task.backgrounds), captums(task, ecg, task.backgrounds)) <= 1e-4


def test_sums_to_the_difference_of_logits(task: FrozenModel) -> None:
    ecg = waves(1, seed=1)
    with torch.no_grad():
        expected = task.network(ecg) - task.network(task.backgrounds).mean()
    torch.testing.assert_close(rescale_maps(task, ecg, task.backgrounds).sum((1, 2)), expected, rtol=1e-10, atol=1e-12)


def test_a_linear_network_gives_weight_times_difference() -> None:
    linear = nn.Linear(4800, 1, dtype=torch.float64)
    task = prepare_task(nn.Sequential(nn.Flatten(), linear), waves(5))
    expected = linear.weight.detach().reshape(8, 600) * (waves(1, seed=1) - waves(5).mean(0))
    torch.testing.assert_close(rescale_maps(task, waves(1, seed=1), waves(5)), expected)


def test_an_ecg_that_is_its_own_background_has_a_map_of_zeros(task: FrozenModel) -> None:
    ecg = waves(1, seed=1)
    assert torch.equal(rescale_maps(task, ecg, ecg), torch.zeros_like(ecg))
    two = torch.cat([ecg, waves(1, seed=2)])  # differences of 0 take the ReLU's own slope, as Captum's do
    assert relative_error(rescale_maps(task, ecg, two), captums(task, ecg, two)) <= 1e-10


@pytest.mark.parametrize(("chunk", "kept"), [(32, 1), (12, 2), (4, None)])
def test_many_backgrounds_go_in_parts(task: FrozenModel, chunk: int, kept: int | None) -> None:
    small = FrozenModel(task.network, task.backgrounds, chunk)
    ecg = waves(1, seed=1)
    assert relative_error(rescale_maps(small, ecg, task.backgrounds), captums(task, ecg, task.backgrounds)) <= 1e-10
    recordings = rescale_module._recorded.get(task.network)
    assert (recordings if recordings is None else len(recordings)) == kept  # type: ignore[arg-type]


def test_an_ecg_costs_one_forward_pass_of_its_own(task: FrozenModel) -> None:
    seen: list[int] = []
    handle = task.network.network.register_forward_hook(lambda module, inputs, output: seen.append(len(output)))
    try:
        for ecg in waves(3).split(1):
            rescale_maps(task, ecg, task.backgrounds)
    finally:
        handle.remove()
    assert seen == [1, 20, 1, 1]


def test_other_backgrounds_are_noticed(task: FrozenModel) -> None:
    ecg, backgrounds = waves(1, seed=1), task.backgrounds.clone()
    for other in (backgrounds, backgrounds[:7], backgrounds + 0.1):
        assert relative_error(rescale_maps(task, ecg, other), captums(task, ecg, other)) <= 1e-10
    backgrounds += 0.2  # changed where it lies
    assert relative_error(rescale_maps(task, ecg, backgrounds), captums(task, ecg, backgrounds)) <= 1e-10


def test_memory_goes_with_the_network_or_with_other_backgrounds(task: FrozenModel) -> None:
    def kept(task: FrozenModel, backgrounds: Tensor) -> "weakref.ref[object]":
        rescale_maps(task, waves(1), backgrounds)
        recordings = rescale_module._recorded[task.network]
        assert isinstance(recordings, list)
        return weakref.ref(recordings[0].inputs)  # held by the hooks of the recorded pass

    first = kept(task, task.backgrounds)
    second = kept(task, task.backgrounds + 0.1)
    assert first() is None
    assert second() is not None
    own = prepare_task(trained_like_resnet(), task.backgrounds)
    third = kept(own, own.backgrounds)
    del own
    gc.collect()
    assert third() is None


def test_works_under_inference_mode_and_leaves_no_hook(task: FrozenModel) -> None:
    with torch.inference_mode():
        maps = rescale_maps(task, waves(1, seed=1), task.backgrounds.clone())
    assert relative_error(maps, captums(task, waves(1, seed=1), task.backgrounds)) <= 1e-10
    assert not [m for m in task.network.modules() if m._forward_hooks or m._backward_hooks or m._forward_pre_hooks]


class Changed(nn.Module):
    """A small network with something in the middle."""

    def __init__(self, middle: nn.Module | Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(7)
        self.first = nn.Conv1d(8, 4, 5, dtype=torch.float64)
        self.relu = nn.ReLU()
        self.middle = middle
        self.last = nn.Linear(4, 1, dtype=torch.float64)

    def forward(self, ecg: Tensor) -> Tensor:
        return self.last(self.middle(self.relu(self.first(ecg))).mean(2))


class Twice(nn.ReLU):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


@pytest.mark.parametrize(
    ("middle", "message"),
    [
        (nn.MaxPool1d(2), "neither linear nor an nn.ReLU module: MaxPool"),
        (nn.Sigmoid(), "SigmoidBackward"),
        (nn.GELU(), "GeluBackward"),
        (nn.functional.relu, "ReluBackward"),
        (Twice(), "Backward"),
        (nn.ReLU(inplace=True), "in place"),
        (nn.Sequential(relu := nn.ReLU(), nn.Conv1d(4, 4, 1, dtype=torch.float64), relu), "more than once"),
        (nn.InstanceNorm1d(4), "BatchNormBackward"),
        (lambda x: x * x, "MulBackward"),
        (lambda x: x * (x.detach() > 0.1), "MulBackward"),
        (lambda x: torch.matmul(x, x.transpose(1, 2)), "BmmBackward"),
        (lambda x: x.detach(), "doesn't depend on the ECG"),
        (lambda x: x.mul_(2.0), "MulBackward"),
    ],
)
def test_what_is_not_linear_is_refused_at_once_and_again(middle, message: str) -> None:
    task = prepare_task(Changed(middle), waves(3))
    for _ in range(2):
        with pytest.raises(RescaleError, match=message):
            rescale_maps(task, waves(1), task.backgrounds)


def test_what_a_relu_reads_must_not_change_afterwards() -> None:
    class InPlace(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.relu = nn.ReLU()
            self.linear = nn.Linear(4800, 1, dtype=torch.float64)

        def forward(self, ecg: Tensor) -> Tensor:
            shifted = ecg + 0.0
            rectified = self.relu(shifted)
            shifted += 1.0
            return self.linear((rectified + shifted).flatten(1))

    task = prepare_task(InPlace(), waves(2))
    with pytest.raises(RescaleError, match=r"what network\.relu reads is changed in place afterwards"):
        rescale_maps(task, waves(1), waves(2))


def test_another_way_through_the_network_is_refused() -> None:
    class Branch(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.small, self.large = nn.ReLU(), nn.ReLU()
            self.linear = nn.Linear(4800, 1, dtype=torch.float64)

        def forward(self, ecg: Tensor) -> Tensor:
            relu = self.large if ecg.abs().max() > 50 else self.small
            return self.linear(relu(ecg).flatten(1))

    task = prepare_task(Branch(), waves(2))
    rescale_maps(task, waves(1), waves(2))
    with pytest.raises(RescaleError, match="other ReLUs for this ECG"):
        rescale_maps(task, 100 + waves(1), waves(2))


def test_one_ecg_and_a_background_at_least() -> None:
    task = prepare_task(LinearReadout(), waves(2))
    with pytest.raises(ValueError, match=r"one ECG.*got \(2, 8, 600\) and \(2, 8, 600\)"):
        rescale_maps(task, waves(2), waves(2))
    with pytest.raises(ValueError, match=r"at least one background.*\(0, 8, 600\)"):
        rescale_maps(task, waves(1), waves(0))
