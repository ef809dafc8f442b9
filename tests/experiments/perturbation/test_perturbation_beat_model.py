"""The Gaussian of beats against dense linear algebra."""

import numpy as np
import pytest
import torch
from torch import Tensor

from ecg_lightning.experiments.perturbation.beat_model import BeatModel
from ecg_lightning.experiments.perturbation.measure import perturb, relevance_positions, step_counts

LEADS, SAMPLES = 2, 30


def beats(seed: int, n: int, scale: float = 0.05) -> Tensor:
    """Three shapes of any size, and noise."""
    generator = torch.Generator().manual_seed(seed)
    shapes = torch.randn(3, LEADS, SAMPLES, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    sizes = torch.randn(n, 3, generator=generator, dtype=torch.float64)
    noise = torch.randn(n, LEADS, SAMPLES, generator=generator, dtype=torch.float64)
    return 1 + torch.einsum("nk,kls->nls", sizes, shapes) + scale * noise


def dense(model: BeatModel) -> tuple[np.ndarray, np.ndarray]:
    loadings = (model.components * model.variances.sqrt()[:, None]).numpy()
    return model.mean.flatten().numpy(), loadings.T @ loadings + np.diag(model.noise.numpy())


def test_what_is_replaced_is_the_dense_conditional_mean() -> None:
    model = BeatModel.fit(beats(1, 60), components=5)
    mean, covariance = dense(model)
    ecg = beats(2, 2)
    replaced = torch.rand(2, 3, 4, LEADS, SAMPLES, generator=torch.Generator().manual_seed(3)) < 0.4
    replaced[0, 0, 0] = False
    replaced[1, 2, 3] = True
    found = model.conditional_mean(ecg, replaced)
    for index in np.ndindex(2, 3, 4):
        gone, beat = replaced[index].flatten().numpy(), ecg[index[0]].flatten().numpy()
        expected = beat.copy()
        kept = ~gone
        weights = np.linalg.solve(covariance[np.ix_(kept, kept)], beat[kept] - mean[kept])
        expected[gone] = mean[gone] + covariance[np.ix_(gone, kept)] @ weights
        np.testing.assert_allclose(found[index].flatten().numpy(), expected, atol=1e-9)
    assert torch.equal(found[1, 2, 3], model.mean)


def test_it_finds_what_is_hidden_better_than_the_mean_does() -> None:
    model, ecg = BeatModel.fit(beats(1, 200), components=3), beats(2, 5)
    positions = relevance_positions(beats(3, 5)[:, None], beats(4, 5)[:, None])
    counts = step_counts(LEADS * SAMPLES, 1, 0.3)[1:]
    found = perturb(ecg, positions, counts, ecg, "none", fill=model.conditional_mean)[:, 0, 0]
    hidden = positions[:, 0] < counts
    error, spread = ((found - ecg)[hidden].square().mean(), (model.mean - ecg)[hidden].square().mean())
    assert error < 0.02 * spread
    assert float(error.sqrt()) == pytest.approx(0.05, rel=0.3)  # what is left is the noise


def test_components_are_those_of_a_singular_value_decomposition() -> None:
    train = beats(1, 40)
    model = BeatModel.fit(train, components=4)
    _, values, rows = np.linalg.svd((train - train.mean(0)).flatten(1).numpy(), full_matrices=False)
    np.testing.assert_allclose(model.variances.flip(0).numpy(), values[:4] ** 2 / 39, rtol=1e-9)
    np.testing.assert_allclose(np.abs(model.components.flip(0).numpy() @ rows[:4].T), np.eye(4), atol=1e-8)


def test_distances() -> None:
    model, held_out = BeatModel.fit(beats(1, 400), components=3), beats(2, 400)
    assert float(model.distance(held_out).square().mean()) == pytest.approx(1.0, rel=0.1)
    assert float(model.distance(model.mean[None])) == pytest.approx(0.0, abs=1e-6)
    # the scores' part alone: three standard deviations along one of three components
    along = model.mean + 3 * (model.variances[-1].sqrt() * model.components[-1]).reshape(LEADS, SAMPLES)
    assert float(model.distance(along)) == pytest.approx(np.sqrt(9 / 3 / 2), rel=1e-6)
    strange = held_out + torch.randn(LEADS, SAMPLES, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    assert (model.distance(strange) > model.distance(held_out)).float().mean() > 0.99
    np.testing.assert_allclose(model.distance(held_out.float()), model.distance(held_out), rtol=1e-3)


@pytest.mark.parametrize("together", [1, 2, 7, 64])
def test_a_distance_does_not_depend_on_the_beats_beside_it(together: int) -> None:
    model, asked = BeatModel.fit(beats(1, 400), components=3), beats(2, 200).float()
    parts = torch.cat([model.distance(part) for part in asked.split(together)])
    assert torch.equal(parts, model.distance(asked))


def test_few_beats_are_refused() -> None:
    with pytest.raises(ValueError, match="give more training ECGs"):
        BeatModel.fit(beats(1, 7))
    assert len(BeatModel.fit(beats(1, 20)).components) == 5
