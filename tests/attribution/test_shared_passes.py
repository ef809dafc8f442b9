"""One forward and two backward passes give what five methods give by themselves."""

import itertools

import pytest
import torch
from networks import LinearReadout, trained_like_resnet, waves
from torch import Tensor, nn

from ecg_lightning.attribution import AttributionMethod, AttributionTask, RandomKey, build_methods, prepare_task
from ecg_lightning.attribution.methods import (
    DeepLift,
    GradCam,
    GradientXInput,
    GuidedBackprop,
    GuidedGradCam,
    Saliency,
)
from ecg_lightning.attribution.shared import shareable, shared_maps

FIVE = (Saliency(), GradientXInput(), GuidedBackprop(), GradCam(), GuidedGradCam())
VARIANTS = (Saliency(absolute=False), GradCam("blocks.1", rectified=True), GuidedGradCam("blocks.2", rectified=False))


@pytest.fixture(scope="module")
def task() -> AttributionTask:
    return prepare_task(trained_like_resnet(), waves(2))


def each_by_itself(methods: tuple[AttributionMethod, ...], task: AttributionTask, ecg: Tensor) -> dict[str, Tensor]:
    return {method.name: method(task, ecg, [RandomKey()] * len(ecg)) for method in methods}


def assert_equal(maps: dict[str, Tensor], expected: dict[str, Tensor], tolerance: float) -> None:
    assert list(maps) == list(expected)
    for name, one in expected.items():
        assert maps[name].dtype == one.dtype
        assert not maps[name].requires_grad
        assert one.abs().max() > 0
        assert ((maps[name] - one).abs().amax((1, 2)) <= tolerance * one.abs().amax((1, 2))).all(), name


@pytest.mark.parametrize("fold", [True, False])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-6)])
@pytest.mark.parametrize("methods", [FIVE, VARIANTS], ids=["defaults", "variants"])
def test_shared_maps_are_each_methods_own(
    methods: tuple[AttributionMethod, ...], dtype: torch.dtype, tolerance: float, fold: bool
) -> None:
    task = prepare_task(trained_like_resnet(dtype), waves(2).to(dtype), fold=fold)
    ecg = waves(11, seed=3).to(dtype)
    assert_equal(shared_maps(methods, task, ecg), each_by_itself(methods, task, ecg), tolerance)


@pytest.mark.parametrize("number", [1, 2])
def test_any_of_the_five_alone_or_in_pairs(task: AttributionTask, number: int) -> None:
    ecg = waves(2)
    for methods in itertools.combinations(FIVE, number):
        assert_equal(shared_maps(methods, task, ecg), each_by_itself(methods, task, ecg), 1e-12)


def test_the_chunk_changes_no_map(task: AttributionTask) -> None:
    ecg = waves(5)
    assert_equal(shared_maps(FIVE, task, ecg, chunk=2), shared_maps(FIVE, task, ecg), 1e-12)


def test_one_forward_and_two_backward_passes(task: AttributionTask) -> None:
    passes = {"forward": 0, "backward": 0}

    def forward(_: nn.Module, __: tuple[Tensor, ...], output: Tensor) -> None:
        passes["forward"] += 1
        output.register_hook(lambda _: passes.update(backward=passes["backward"] + 1))

    handle = task.network.network.flatten.register_forward_hook(forward)
    try:
        shared_maps(FIVE, task, waves(3))
    finally:
        handle.remove()
    assert passes == {"forward": 1, "backward": 2}


class Relus(nn.Module):
    """Two convolutions with ReLUs of some kind in between."""

    gradcam_layer = "second"

    def __init__(self, kind: str) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.kind = kind
        self.first = nn.Conv1d(8, 6, 5)
        self.relu = nn.ReLU(inplace=kind == "in place")
        self.second = nn.Conv1d(6, 6, 5)
        self.last = self.relu if kind == "used twice" else nn.ReLU(inplace=kind == "in place")

    def forward(self, ecg: Tensor) -> Tensor:
        if self.kind == "functional":
            return self.second(self.first(ecg).relu()).relu().mean((1, 2))
        return self.last(self.second(self.relu(self.first(ecg)))).mean((1, 2))


@pytest.mark.parametrize("kind", ["module", "in place", "used twice", "functional"])
def test_the_guided_rule_reaches_the_relus_that_captum_reaches(kind: str) -> None:
    task = prepare_task(Relus(kind).double(), waves(2))
    ecg = waves(3)
    assert_equal(shared_maps(FIVE, task, ecg), each_by_itself(FIVE, task, ecg), 1e-12)


def test_no_hook_stays_and_inference_mode_is_no_hindrance(task: AttributionTask) -> None:
    expected = shared_maps(FIVE, task, waves(2))
    with torch.inference_mode():
        assert_equal(shared_maps(FIVE, task, waves(2)), expected, 0.0)
    assert not [m for m in task.network.modules() if m._forward_hooks or m._backward_hooks or m._forward_pre_hooks]


def test_a_method_of_ones_own_shares_nothing(task: AttributionTask) -> None:
    class Doubled(Saliency):
        def _attribute(self, task: AttributionTask, ecg: Tensor, key: RandomKey) -> Tensor:
            return 2 * super()._attribute(task, ecg, key)

    assert [method.name for method in shareable(build_methods())] == [method.name for method in FIVE]
    assert shareable([Doubled()]) == ()
    with pytest.raises(ValueError, match="no passes are shared by saliency, deeplift"):
        shared_maps([Doubled(), DeepLift()], task, waves(1))
    with pytest.raises(ValueError, match="no passes are shared by no methods"):
        shared_maps([], task, waves(1))


def test_a_layer_that_cannot_be_shared_is_named(task: AttributionTask) -> None:
    with pytest.raises(ValueError, match=r"output of flatten can't be shared: expected \(batch, channel, sample\)"):
        shared_maps([GradCam("flatten")], task, waves(1))
    twice = prepare_task(Relus("used twice").double(), waves(1))
    with pytest.raises(ValueError, match=r"output of relu can't be shared.*called once"):
        shared_maps([GradCam("relu")], twice, waves(1))
    with pytest.raises(ValueError, match=r"no 'blocks\.9'"):
        shared_maps([GradCam("blocks.9")], task, waves(1))


def test_gradients_of_a_linear_network_are_its_weights() -> None:
    linear = prepare_task(LinearReadout(), waves(2))
    maps = shared_maps([Saliency(absolute=False), GradientXInput(), GuidedBackprop()], linear, waves(2))
    weight = linear.network.network.weight.detach().expand(2, -1, -1)
    torch.testing.assert_close(maps["saliency"], weight)
    torch.testing.assert_close(maps["guided_backprop"], weight)
    torch.testing.assert_close(maps["gradient_x_input"], weight * waves(2))
