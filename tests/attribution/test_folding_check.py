"""Folding's error is that of float32 on good networks; where it harms, it is left."""

import pytest
import torch
from networks import trained_like_resnet, waves
from torch import Tensor, nn

from ecg_lightning.attribution import prepare_task
from ecg_lightning.attribution.folding_check import FoldingError, folding_error


class Difference(nn.Module):
    """A convolution whose weights add up to 0: float32 takes an offset of the ECG out without rounding.

    ECGs are multiples of 1/16 mV and weights of 1/2. Folded, the weights no longer add up to 0. The logit's constant
    hides that from a look at logits alone.
    """

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.conv, self.norm, self.relu = nn.Conv1d(8, 16, 9, bias=False), nn.BatchNorm1d(16), nn.ReLU()
        self.head = nn.Linear(16 * 592, 1)
        weight = torch.randint(-2, 3, (16, 8, 9), generator=generator) / 2
        weight[:, 0, 0] -= weight.sum((1, 2))
        with torch.no_grad():
            self.conv.weight.copy_(weight)
            self.head.weight.normal_(0, 0.01, generator=generator)
            self.head.bias.fill_(1000.0)
            for seed in range(10):
                self.train()(offset_waves(8, seed))
        self.eval()

    def forward(self, ecg: Tensor) -> Tensor:
        return self.head(self.relu(self.norm(self.conv(ecg))).flatten(1)).squeeze(-1)


def offset_waves(count: int, seed: int) -> Tensor:
    return (10 * waves(count, seed) * 16).round().float() / 16 + 4096.0


def measured(network: nn.Module, ecg: Tensor) -> FoldingError:
    folded, unfolded = (prepare_task(network, ecg, fold=fold) for fold in (True, False))
    assert folded.folded
    error = folding_error(network, folded, unfolded, ecg)
    assert error is not None
    return error


@pytest.mark.parametrize("seed", range(3))
def test_a_trained_network_stays_folded(seed: int) -> None:
    error = measured(trained_like_resnet(torch.float32), waves(4, seed).float())
    assert not error.worse
    assert float(error.folded.median()) < 1e-5
    assert "of 16 gradients" in str(error)


def test_a_network_on_which_folding_harms_is_told() -> None:
    error = measured(Difference(), offset_waves(4, 1))
    assert error.worse, str(error)
    assert float(error.folded.median()) > 3 * float(error.unfolded.median())


def test_more_gradients_off_by_chance_are_no_harm() -> None:
    usual = torch.full((16,), 4e-7)
    unlucky = usual.clone()
    unlucky[3] = 0.01
    assert not FoldingError(unlucky, usual).worse
    assert not FoldingError(5 * usual, usual).worse  # none is off
    assert FoldingError(torch.full((16,), 2e-3), usual).worse
    assert not FoldingError(torch.full((16,), 2e-3), torch.full((16,), 2e-3)).worse
    assert str(FoldingError(unlucky, usual)).startswith("of 16 gradients 1 are off by more than 0.001 of their largest")


def test_there_is_nothing_to_measure_in_float64() -> None:
    network = trained_like_resnet()
    folded, unfolded = (prepare_task(network, waves(2), fold=fold) for fold in (True, False))
    assert folding_error(network, folded, unfolded, waves(2)) is None
