"""Fine-tuning a copy on perturbed inputs: what stays as it is, and what it is good for."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from ecg_lightning.models import ResNet1d
from ecg_lightning.models.masked_fine_tuning import even_batches, fine_tuned

LEADS, SAMPLES = 2, 40
Batches = list[tuple[Tensor, Tensor]]


def simulated(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Noisy ECGs; those with the diagnosis have a bump at two places, either of which is enough."""
    generator = torch.Generator().manual_seed(seed)
    label = (torch.arange(count) % 2).float()
    ecg = 0.3 * torch.randn(count, LEADS, SAMPLES, generator=generator)
    ecg[:, :, 5:15] += label[:, None, None]
    ecg[:, :, 25:35] += label[:, None, None]
    return ecg, label


def masked(ecg: Tensor, seed: int, greatest: float = 0.6) -> Tensor:
    """A random share of the points far outside what the network was trained on."""
    generator = torch.Generator().manual_seed(seed)
    share = greatest * torch.rand(len(ecg), 1, 1, generator=generator)
    return torch.where(torch.rand(ecg.shape, generator=generator) < share, 3.0, ecg)


def batches(seed: int = 0, count: int = 8) -> Batches:
    parts = [simulated(64, seed + place) for place in range(count)]
    return [(masked(ecg, seed + place), label) for place, (ecg, label) in enumerate(parts)]


@pytest.fixture(scope="module")
def network() -> nn.Module:
    """Trained on beats as they are, with BatchNorm and dropout."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        made = nn.Sequential(
            nn.Conv1d(LEADS, 8, 5, padding=2),
            nn.BatchNorm1d(8),
            nn.ReLU(),
            nn.Dropout(0.2),
            nn.Flatten(),
            nn.Linear(8 * SAMPLES, 1),
        )
        optimizer = torch.optim.Adam(made.parameters(), lr=1e-2)
        for step in range(20):
            ecg, label = simulated(64, 100 + step)
            loss = nn.functional.binary_cross_entropy_with_logits(made(ecg)[:, 0], label)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return made.eval()


def state_of(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


def test_without_a_step_it_is_the_same_network(network: nn.Module) -> None:
    ecg = simulated(16, 7)[0]
    copy = fine_tuned(network, [], learning_rate=1e-2, seed=0)
    assert not any(module.training for module in copy.modules())
    torch.testing.assert_close(copy(ecg), network(ecg), rtol=0, atol=0)


def test_a_learning_rate_of_0_moves_nothing_but_batchnorm_statistics(network: nn.Module) -> None:
    copy = fine_tuned(network, batches(), learning_rate=0.0, seed=0)
    assert all(torch.equal(old, new) for old, new in zip(network.parameters(), copy.parameters(), strict=True))
    moved = {name for name, old in network.named_buffers() if not torch.equal(old, copy.get_buffer(name))}
    assert moved == {"1.running_mean", "1.running_var", "1.num_batches_tracked"}


def test_the_network_and_the_global_random_state_stay_and_two_runs_are_equal(network: nn.Module) -> None:
    before, random_state = state_of(network), torch.get_rng_state()

    def under_inference_mode() -> Iterator[tuple[Tensor, Tensor]]:
        assert not torch.is_inference_mode_enabled()
        yield from batches()

    with torch.inference_mode():  # as Lightning tests
        first = fine_tuned(network, under_inference_mode(), learning_rate=1e-3, seed=0)
    assert torch.equal(torch.get_rng_state(), random_state)
    torch.manual_seed(99)
    second = fine_tuned(network, batches(), learning_rate=1e-3, seed=0)
    torch.set_rng_state(random_state)
    assert all(torch.equal(value, network.state_dict()[name]) for name, value in before.items())
    assert all(weight.grad is None for weight in first.parameters())
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name
    other = fine_tuned(network, batches(), learning_rate=1e-3, seed=1)
    assert not torch.equal(first[5].weight, other[5].weight)  # type: ignore[index]  # other dropout


def test_the_copy_is_less_affected_by_random_masking(network: nn.Module) -> None:
    copy = fine_tuned(network, batches(count=16), learning_rate=1e-2, seed=0)
    ecg, label = simulated(400, 1000)
    seen = masked(ecg, 1000)

    def right(model: nn.Module, beats: Tensor) -> float:
        with torch.no_grad():
            return float(((model(beats)[:, 0] > 0) == (label == 1)).float().mean())

    assert right(network, ecg) > 0.98
    assert right(copy, ecg) > 0.95  # the masks tell nothing of the label, so that the evidence is still used
    assert right(copy, seen) > right(network, seen) + 0.1


def test_a_step_is_one_of_adam_on_the_mean_cross_entropy() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        resnet = ResNet1d(leads=LEADS, widths=(4, 4), strides=(1, 2), dropout=0.0, length=SAMPLES)
    ecg, label = simulated(6, 2)
    copy = fine_tuned(resnet, [(ecg, label)], learning_rate=1e-3, seed=0, weight_decay=0.1)
    resnet.train()
    logit = resnet(ecg).reshape(-1)
    loss = torch.log1p(torch.exp(-(2 * label - 1) * logit)).mean()
    loss.backward()
    for old, new in zip(resnet.parameters(), copy.parameters(), strict=True):
        slope = old.grad + 0.1 * old  # type: ignore[operator]
        expected = old - 1e-3 * slope / (slope.abs() + 1e-8)  # the first step, whose moments are the slope itself
        clear = slope.abs() > 1e-5
        torch.testing.assert_close(new[clear], expected[clear], rtol=0, atol=1e-6)


@pytest.mark.parametrize("rows", [1, 127, 128, 129, 300])
def test_batches_are_even(rows: int) -> None:
    parts = even_batches(torch.arange(rows))
    assert torch.equal(torch.cat(parts), torch.arange(rows))
    sizes = [len(part) for part in parts]
    assert max(sizes) <= 128
    assert max(sizes) - min(sizes) <= 1
    assert len(sizes) == -(-rows // 128)


def test_what_cannot_be_fine_tuned() -> None:
    with pytest.raises(ValueError, match="a network with trainable weights"):
        fine_tuned(nn.Linear(3, 1).requires_grad_(False), [], learning_rate=0.1, seed=0)
