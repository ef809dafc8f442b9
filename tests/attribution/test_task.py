"""The frozen network, its chunk and its Grad-CAM layer; keyed randomness."""

import gc
import warnings
import weakref

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import LinearReadout, trained_like_resnet, waves
from torch import Tensor, nn

from ecg_lightning.attribution import FrozenModel, RandomKey, prepare_task
from ecg_lightning.attribution.cost import estimate, measure_passes
from ecg_lightning.attribution.methods import DeepLift, GradCam, GuidedBackprop, Saliency, ShapleySampling
from ecg_lightning.attribution.task import even_chunk, in_chunks, saved_bytes


def test_a_column_of_logits_is_accepted_and_two_are_not() -> None:
    class Columns(nn.Module):
        def __init__(self, columns: int) -> None:
            super().__init__()
            self.columns = columns

        def forward(self, ecg: Tensor) -> Tensor:
            return ecg.sum((1, 2))[:, None].repeat(1, self.columns)

    task = prepare_task(Columns(1), waves(2))
    assert Saliency()(task, waves(3), [RandomKey()] * 3).shape == (3, 8, 600)
    with pytest.raises(ValueError, match=r"one logit an ECG.*Columns gave \(1, 2\)"):
        prepare_task(Columns(2), waves(2))


def test_the_copy_is_frozen_and_in_eval_mode() -> None:
    network = trained_like_resnet().train()
    task = prepare_task(network, waves(2))
    assert network.training
    assert not any(module.training for module in task.network.modules())
    assert not any(parameter.requires_grad for parameter in task.network.parameters())
    assert all(parameter.requires_grad for parameter in network.parameters())
    with torch.no_grad():
        network.linear.bias += 1
    assert not torch.equal(task.network.network.linear.bias, network.linear.bias)


def test_chunk_follows_the_budget() -> None:
    network = trained_like_resnet(torch.float32)
    one = 4 * saved_bytes(prepare_task(network, waves(2).float()).network, waves(1).float())
    assert prepare_task(network, waves(2).float(), memory_budget_mb=9 * one / 2**20).chunk == 8
    assert prepare_task(network, waves(2).float(), memory_budget_mb=1e6).chunk == 32
    with pytest.raises(ValueError, match="memory_budget_mb"):
        prepare_task(network, waves(2).float(), memory_budget_mb=0.5 * one / 2**20)


def test_saved_bytes_of_one_relu_are_its_output() -> None:
    assert saved_bytes(nn.Sequential(nn.ReLU()), torch.ones(1, 8, 600)) == 8 * 600 * 4


def test_a_task_that_goes_takes_its_network_along() -> None:
    task = prepare_task(trained_like_resnet(), waves(2))
    weight = weakref.ref(task.network.network.blocks[0].conv1.weight)
    assert weight() is not None
    del task
    gc.collect()
    assert weight() is None


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(1, 16))
def test_chunks_have_one_shape_and_give_every_ecg_once(batch: int, chunk: int) -> None:
    shapes = set()

    def double(part: Tensor) -> Tensor:
        shapes.add(tuple(part.shape))
        return 2 * part

    ecg = torch.arange(batch * 6.0).reshape(batch, 2, 3)
    assert torch.equal(in_chunks(double, ecg, chunk), 2 * ecg)
    assert shapes == {(chunk, 2, 3)}


def test_gradcam_layer_must_exist() -> None:
    task = prepare_task(trained_like_resnet(), waves(2))
    with pytest.raises(ValueError, match=r"no 'blocks\.9'.*blocks\.0\.conv1"):
        GradCam(layer="blocks.9")(task, waves(1), [RandomKey()])

    class Nameless(LinearReadout):
        gradcam_layer = None

    with pytest.raises(ValueError, match=r"no `gradcam_layer`.*leave Grad-CAM out"):
        GradCam()(prepare_task(Nameless(), waves(2)), waves(1), [RandomKey()])


# --- folded BatchNorms ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [Saliency(), GuidedBackprop(), DeepLift(), GradCam()], ids=lambda m: m.name)
def test_maps_of_the_folded_network_are_the_same(method) -> None:
    folded, plain = (prepare_task(trained_like_resnet(), waves(2), fold=fold) for fold in (True, False))
    assert folded.folded
    assert not plain.folded
    maps, expected = (method(task, waves(3), [RandomKey()] * 3) for task in (folded, plain))
    assert (maps - expected).abs().max() <= 1e-12 * expected.abs().max()


def test_the_layer_that_gradcam_reads_is_not_folded() -> None:
    layer = "blocks.3.conv2"
    plain = prepare_task(trained_like_resnet(), waves(2), fold=False)
    expected = GradCam(layer)(plain, waves(2), [RandomKey()] * 2)
    for task in (
        prepare_task(trained_like_resnet(), waves(2), gradcam_layer=layer),
        prepare_task(trained_like_resnet(), waves(2), keep=[layer]),
    ):
        torch.testing.assert_close(GradCam(layer)(task, waves(2), [RandomKey()] * 2), expected, rtol=1e-9, atol=1e-12)
        assert task.folded
    with pytest.raises(ValueError, match=r"'blocks\.3\.conv2' is no longer its own.*`keep`.*`fold`"):
        GradCam(layer)(prepare_task(trained_like_resnet(), waves(2)), waves(2), [RandomKey()] * 2)


def test_a_network_that_cannot_be_folded_is_used_unfolded_and_says_why() -> None:
    network = nn.Sequential(nn.BatchNorm1d(8), nn.ReLU(), nn.Flatten(), nn.Linear(4800, 1)).double()
    with pytest.warns(UserWarning, match=r"Sequential is attributed without folding.*none of its 1 BatchNorms"):
        task = prepare_task(network, waves(2))
    assert not task.folded
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not prepare_task(network, waves(2), fold=False).folded
        assert not prepare_task(LinearReadout(), waves(2)).folded  # no BatchNorm: nothing to tell


# --- precision --------------------------------------------------------------------------------------------------


def test_bfloat16_is_for_the_sampling_network_only() -> None:
    task = prepare_task(trained_like_resnet(torch.float32), waves(2).float(), precision="bfloat16")
    probe = waves(4).float().requires_grad_()
    exact, rounded = task.network(probe), task.sampling_network(probe)
    assert exact.dtype == rounded.dtype == torch.float32
    error = (rounded - exact).abs().max() / exact.abs().max()
    assert 1e-6 < error < 5e-2  # bfloat16 has 8 bits
    slopes = [torch.autograd.grad(logit.sum(), probe)[0] for logit in (exact, rounded)]
    assert slopes[1].dtype == torch.float32
    assert torch.corrcoef(torch.stack([slope.flatten() for slope in slopes]))[0, 1] > 0.95
    assert len(saved := {tensor.dtype for tensor in task.sampling_network.parameters()}) == 1
    assert saved == {torch.float32}


def test_float32_samples_with_the_network_itself() -> None:
    task = prepare_task(trained_like_resnet(torch.float32), waves(2).float())
    assert task.sampling_network is task.network


def test_bfloat16_of_a_float64_network_is_refused() -> None:
    with pytest.raises(ValueError, match=r"bfloat16 is for networks of float32, this one is torch.float64"):
        prepare_task(trained_like_resnet(), waves(2), precision="bfloat16")


def test_one_key_an_ecg() -> None:
    task = prepare_task(LinearReadout(), waves(2))
    with pytest.raises(ValueError, match="one key an ECG"):
        Saliency()(task, waves(2), [RandomKey()])


def test_cost_is_maps_times_passes_times_seconds() -> None:
    task = prepare_task(trained_like_resnet(), waves(3))
    seconds = measure_passes(task)
    assert seconds.gradient > 0
    assert seconds.forward > 0
    costs = estimate([Saliency(), ShapleySampling("permutation", n_permutations=2)], [5, 7], task, seconds)
    assert [cost.method for cost in costs] == ["saliency", "shapley_sampling"]
    assert costs[0].seconds == pytest.approx(5 * seconds.gradient)
    assert costs[1].seconds == pytest.approx(7 * (2 * 192 + 1) * seconds.forward)


KEY = RandomKey(1, 2, "smoothgrad", "ecg", "noise", "from_output", 3, 4)


@pytest.mark.parametrize(
    "other",
    [
        RandomKey(0, 2, "smoothgrad", "ecg", "noise", "from_output", 3, 4),
        RandomKey(1, 0, "smoothgrad", "ecg", "noise", "from_output", 3, 4),
        RandomKey(1, 2, "ig_smoothgrad", "ecg", "noise", "from_output", 3, 4),
        RandomKey(1, 2, "smoothgrad", "ecg1", "noise", "from_output", 3, 4),
        RandomKey(1, 2, "smoothgrad", "ecg", "alpha", "from_output", 3, 4),
        RandomKey(1, 2, "smoothgrad", "ecg", "noise", "from_input", 3, 4),
        RandomKey(1, 2, "smoothgrad", "ecg", "noise", "from_output", 0, 4),
        RandomKey(1, 2, "smoothgrad", "ecg", "noise", "from_output", 3, 0),
    ],
)
def test_every_part_of_the_key_counts(other: RandomKey) -> None:
    assert KEY.seed != other.seed
    assert not torch.equal(KEY.normal(5), other.normal(5))


def test_draws_are_the_same_on_every_machine() -> None:
    # golden values: a change of the key's hash or of the generator would change every stochastic map
    assert RandomKey().seed == 8123556403194041068
    expected = torch.tensor([0.035550154745578766, -1.0996919870376587])
    torch.testing.assert_close(RandomKey(ecg_id="1", purpose="noise").normal(2), expected)
    assert RandomKey(ecg_id="1", purpose="permutation").permutations(6, 1) == [[2, 4, 0, 3, 5, 1]]


@given(st.integers(1, 3000), st.integers(1, 1024))
def test_even_chunks_take_no_more_passes(inputs: int, most: int) -> None:
    chunk = even_chunk(inputs, most)
    assert 1 <= chunk <= most
    assert -(-inputs // chunk) == -(-inputs // most)
    assert chunk == 1 or -(-inputs // (chunk - 1)) > -(-inputs // most)


def test_the_old_name_of_the_frozen_model_still_imports() -> None:
    with pytest.warns(DeprecationWarning, match="now called FrozenModel"):
        from ecg_lightning.attribution import AttributionTask
    assert AttributionTask is FrozenModel
