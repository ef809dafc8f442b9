"""The audit's numbers against Quantus 0.6, on the same networks, maps and perturbations.

What Quantus does otherwise, found by reading and by trying it, and how these tests go around it:

- ``get_random_layer_generator`` seeds every layer alike, so that layers of equal shape get equal weights; it goes by
the
  order of registration, not of execution, and resets BatchNorms as layers of their own. Its generator is replaced by
  one that yields our random networks.
- It sets torch's global seed and leaves it there.
- ``PixelFlipping`` takes the softmax of the outputs, which is 1 for a network of one logit: ``softmax=False``. It ranks
  the signed map unless ``abs=True``, and perturbs what it has perturbed before, so that an interpolation would chain:
  the function handed to it keeps the untouched beat and interpolates from it.
  Its steps must divide the samples of one lead, so 1 % of 4,800 points can't be asked for.
- ``Sparseness`` adds 1e-7 to every |map|.
- Localisation takes one mask for all channels.
- It has no smoothing: similarities are compared without.
"""

import zlib
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn

quantus = pytest.importorskip("quantus", reason="the peer is not installed: pip install 'ecg-lightning[dev]'")

from quantus.helpers.model.pytorch_model import PyTorchModel  # noqa: E402

from ecg_lightning.experiments.localization.measure import localization_scores  # noqa: E402
from ecg_lightning.experiments.perturbation.measure import perturb, relevance_positions, step_counts  # noqa: E402
from ecg_lightning.experiments.randomization.random_weights import layers_at, randomised, weight_layers  # noqa: E402
from ecg_lightning.functional.map_shape import complexity, histogram_entropy, sparseness  # noqa: E402
from ecg_lightning.functional.similarity import paired_similarities  # noqa: E402
from ecg_lightning.models import ResNet1d  # noqa: E402

ECGS, LEADS, SAMPLES = 3, 8, 600
ECG = torch.randn(ECGS, LEADS, SAMPLES, generator=torch.Generator().manual_seed(0))
LABEL = np.zeros(ECGS, dtype=int)


class OneColumn(nn.Module):
    """(batch, 1), as Quantus wants its outputs."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, ecg: Tensor) -> Tensor:
        return self.network(ecg)[:, None]


@pytest.fixture(scope="module")
def network() -> nn.Module:
    torch.manual_seed(0)
    made = ResNet1d(widths=(8, 16, 16), strides=(1, 2, 2))
    made.train()(ECG)
    return OneColumn(made).eval()


def seed_of(name: str) -> int:
    return zlib.crc32(name.encode())


def saliency(model: nn.Module, inputs: np.ndarray, **_: object) -> np.ndarray:
    probe = torch.as_tensor(np.asarray(inputs)).float().requires_grad_()
    (gradient,) = torch.autograd.grad(model(probe).sum(), probe)
    return gradient.abs().numpy()


def gradient_x_input(model: nn.Module, inputs: np.ndarray, **_: object) -> np.ndarray:
    probe = torch.as_tensor(np.asarray(inputs)).float().requires_grad_()
    (gradient,) = torch.autograd.grad(model(probe).sum(), probe)
    return (gradient * probe).detach().numpy()


@pytest.mark.parametrize("explain", [saliency, gradient_x_input])
@pytest.mark.parametrize("statistic", ["pearson", "spearman"])
def test_similarities_along_the_cascade(
    network: nn.Module, explain, statistic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    layers = weight_layers(network, ECG[:1])
    chosen = [1, 3, len(layers)]
    random = [randomised(network, layers_at(layers, "from_output", depth), seed_of) for depth in chosen]

    def generator(self: PyTorchModel, order: str = "", seed: int = 0) -> Iterator[tuple[str, nn.Module]]:
        yield from zip(map(str, chosen), random, strict=True)

    monkeypatch.setattr(PyTorchModel, "get_random_layer_generator", generator)
    monkeypatch.setattr(PyTorchModel, "random_layer_generator_length", property(lambda _: len(chosen)))
    test = quantus.MPRT(
        similarity_func=getattr(quantus, f"correlation_{statistic}"),
        skip_layers=False,
        abs=False,
        normalise=False,
        disable_warnings=True,
    )
    trained = explain(network, ECG.numpy())
    expected = test(
        model=network, x_batch=ECG.numpy(), y_batch=LABEL, a_batch=trained, explain_func=explain, channel_first=True
    )
    for depth, one in zip(chosen, random, strict=True):
        maps = [torch.from_numpy(one) for one in (trained, explain(one, ECG.numpy()))]
        found = paired_similarities(*maps, window=None)[statistic][..., 0]
        np.testing.assert_allclose(found.numpy(), expected[str(depth)], atol=1e-6)


def test_layers_of_equal_shape_get_equal_weights_there_and_not_here(network: nn.Module) -> None:
    *_, (_, theirs) = PyTorchModel(network).get_random_layer_generator(order="top_down", seed=1)
    ours = randomised(network, weight_layers(network, ECG[:1]), seed_of)
    names = ["network.blocks.1.conv2", "network.blocks.2.conv1"]  # 16 -> 16 channels both
    first, second = (theirs.get_submodule(name).weight for name in names)
    assert torch.equal(first, second)
    first, second = (ours.get_submodule(name).weight for name in names)
    assert not torch.equal(first, second)


def test_curves_of_pixel_flipping(network: nn.Module) -> None:
    maps = torch.from_numpy(gradient_x_input(network, ECG.numpy()))
    step, untouched = 600, ECG.numpy().astype(float)
    gone = np.zeros((ECGS, LEADS * SAMPLES), dtype=bool)

    def interpolate(arr: np.ndarray, indices: np.ndarray, **_: object) -> np.ndarray:
        """From the untouched beat, whatever was perturbed before."""
        result = untouched.copy()
        for ecg in range(ECGS):
            gone[ecg, indices[ecg]] = True
            for lead, out in enumerate(gone[ecg].reshape(LEADS, SAMPLES)):
                time = np.arange(SAMPLES)
                line = np.interp(time, time[~out], untouched[ecg, lead, ~out]) if not out.all() else np.zeros(SAMPLES)
                result[ecg, lead, out] = line[out]
        return result.reshape(arr.shape).astype(np.float32)

    test = quantus.PixelFlipping(
        features_in_step=step, abs=True, normalise=False, perturb_func=interpolate, disable_warnings=True
    )
    expected = np.array(
        test(
            model=network,
            x_batch=ECG.numpy(),
            y_batch=LABEL,
            a_batch=maps.numpy(),
            softmax=False,
            channel_first=True,
        )
    )
    positions = relevance_positions(maps[:, None], torch.rand(ECGS, 1, LEADS, SAMPLES))
    counts = step_counts(LEADS * SAMPLES, 8, 0.125)[1:]
    beats = perturb(ECG, positions, counts, torch.zeros_like(ECG), "none")
    with torch.no_grad():
        found = network(beats.flatten(0, 2))[:, 0].reshape(ECGS, 8)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)


def test_scores_of_single_maps(network: nn.Module) -> None:
    maps = gradient_x_input(network, ECG.numpy())
    masks = torch.rand(ECGS, 1, LEADS, SAMPLES, generator=torch.Generator().manual_seed(3)) < 0.2
    given = {
        "model": network,
        "x_batch": ECG.numpy(),
        "y_batch": LABEL,
        "a_batch": maps,
        "channel_first": True,
        "softmax": False,
    }
    quiet = {"abs": True, "normalise": False, "disable_warnings": True}
    tensor = torch.from_numpy(maps)
    shifted = tensor.double().abs() + 1e-7  # as there
    np.testing.assert_allclose(sparseness(shifted).numpy(), quantus.Sparseness(**quiet)(**given), atol=1e-6)
    np.testing.assert_allclose(complexity(tensor).numpy(), quantus.Complexity(**quiet)(**given), atol=1e-5)
    found = localization_scores(tensor[:, None], masks)
    for name, kind in (
        ("relevance_mass", quantus.RelevanceMassAccuracy),
        ("relevance_rank_accuracy", quantus.RelevanceRankAccuracy),
        ("pointing_game", quantus.PointingGame),
        ("auroc", quantus.AUC),
    ):
        # one mask for all channels is all that it takes: the leads are laid end to end
        flat = {key: given[key].reshape(ECGS, 1, -1) for key in ("x_batch", "a_batch")}
        expected = np.array(kind(**quiet)(**given | flat, s_batch=masks.reshape(ECGS, 1, -1).numpy()), dtype=float)
        np.testing.assert_allclose(found[name].flatten().numpy(), expected.ravel(), atol=1e-5, err_msg=name)


def test_the_histogram_s_entropy(network: nn.Module) -> None:
    from quantus.functions.complexity_func import discrete_entropy

    maps = saliency(network, ECG.numpy())
    expected = [discrete_entropy(one.ravel().astype(float), one) for one in maps]
    np.testing.assert_allclose(histogram_entropy(torch.from_numpy(maps)).numpy(), expected, atol=1e-3)
