"""Outputs that are probabilities are told from logits, however they are written."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from ecg_lightning.models import ResNet1d
from ecg_lightning.models.output_range import probability_words

ECG = torch.randn(4, 8, 60, generator=torch.Generator().manual_seed(0))
End = Callable[[Tensor], Tensor]


class Net(nn.Module):
    """A convolution and a linear head of a few outputs, with something behind it."""

    def __init__(self, end: End, outputs: int = 2) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.relu, self.head, self.end = nn.Conv1d(8, 6, 9), nn.ReLU(), nn.Linear(6, outputs), end

    def forward(self, ecg: Tensor) -> Tensor:
        return self.end(self.head(self.relu(self.conv(ecg)).mean(-1)))


class OverTime(Net):
    def forward(self, ecg: Tensor) -> Tensor:
        return self.head(self.relu(self.conv(ecg)).transpose(1, 2)).sigmoid()[..., 0].amax(1)


class OverCrops(Net):
    def forward(self, ecg: Tensor) -> Tensor:
        crops = [torch.sigmoid(super(OverCrops, self).forward(one)) for one in (ecg[..., :40], ecg[..., 20:])]
        return torch.stack(crops).mean(0)[:, 0]


class Gated(Net):
    def __init__(self) -> None:
        super().__init__(lambda h: h[:, 0])
        self.gate = nn.Linear(6, 6)

    def forward(self, ecg: Tensor) -> Tensor:
        hidden = self.relu(self.conv(ecg)).mean(-1)
        return self.head(hidden * self.gate(hidden).sigmoid())[:, 0]


class AttentionPooled(Net):
    """The last layer that runs as a module is the attention's; the head is a function."""

    def __init__(self) -> None:
        super().__init__(lambda h: h)
        self.score = nn.Conv1d(6, 1, 1)

    def forward(self, ecg: Tensor) -> Tensor:
        hidden = self.relu(self.conv(ecg))
        pooled = (hidden * self.score(hidden).softmax(-1)).sum(-1)
        return F.linear(pooled, self.head.weight, self.head.bias)[:, 0]


def own_softmax(h: Tensor) -> Tensor:
    return h.exp()[:, 1] / h.exp().sum(1)


PROBABILITIES: dict[str, tuple[nn.Module, str]] = {
    "sigmoid": (Net(lambda h: torch.sigmoid(h[:, 0])), "ends in a sigmoid"),
    "module": (Net(nn.Sequential(nn.Sigmoid(), nn.Flatten(0)), 1), "ends in a sigmoid"),
    "in place": (Net(lambda h: h[:, 0].sigmoid_()), "ends in a sigmoid"),
    "softmax": (Net(lambda h: h.softmax(1)[:, 1]), "ends in a softmax"),
    "classes together": (Net(lambda h: F.softmax(h, -1)[:, 1:].sum(1), 4), "ends in a softmax"),
    "guarded": (Net(lambda h: h.sigmoid().clamp(1e-6, 1 - 1e-6)[:, 0]), "ends in a sigmoid"),
    "any of several": (Net(lambda h: 1 - (1 - h.sigmoid()).prod(1), 3), "ends in a sigmoid"),
    "picked": (Net(lambda h: h.sigmoid().gather(1, torch.ones(len(h), 1).long()).squeeze(1)), "lies in 0..1"),
    "percent": (Net(lambda h: 100 * h.sigmoid()[:, 0]), "lies in 0..100: it is a scaled probability"),
    "centred": (Net(lambda h: 2 * h.sigmoid()[:, 0] - 1), "lies in -1..1: it is a scaled probability"),
    "over time": (OverTime(lambda h: h), "ends in a sigmoid"),
    "over crops": (OverCrops(lambda h: h), "ends in a sigmoid"),
    "log-softmax": (Net(lambda h: h.log_softmax(1)[:, 1]), "the output is the logarithm of a softmax"),
    "log-sigmoid": (Net(lambda h: F.logsigmoid(h)[:, 0]), "the output is the logarithm of a sigmoid"),
    "logarithm": (Net(lambda h: h.sigmoid().log()[:, 0]), "the output is the logarithm of a sigmoid"),
    "own sigmoid": (Net(lambda h: 1 / (1 + torch.exp(-h[:, 0]))), "lies in 0..1"),
    "own softmax": (Net(own_softmax), "lies in 0..1"),
    "error function": (Net(lambda h: 0.5 * (1 + torch.erf(h[:, 0]))), "lies in 0..1"),
    "clamp": (Net(lambda h: (h[:, 0] + 0.5).clamp(0, 1)), "lies in 0..1"),
    "tanh": (Net(lambda h: torch.tanh(h[:, 0])), "lies in -1..1"),
    "softsign": (Net(lambda h: F.softsign(h)[:, 0]), "lies in -1..1"),
    "difference of probabilities": (Net(lambda h: h.softmax(1)[:, 1] - h.softmax(1)[:, 0]), "lies in -1..1"),
}

LOGITS: dict[str, nn.Module] = {
    "plain": Net(lambda h: h[:, 0]),
    "untrained study's network": ResNet1d(widths=(8, 8), strides=(2, 4), length=60),
    "difference of classes": Net(lambda h: h[:, 1] - h[:, 0]),
    "difference of logarithms": Net(lambda h: h.log_softmax(1)[:, 1] - h.log_softmax(1)[:, 0]),
    "back to the logit": Net(lambda h: torch.logit(h.sigmoid())[:, 0]),
    "odds": Net(lambda h: torch.log(h.sigmoid() / (1 - h.sigmoid()))[:, 0]),
    "wide bounds of tanh": Net(lambda h: 30 * torch.tanh(h[:, 0] / 30)),
    "wide bounds of a sigmoid": Net(lambda h: 20 * torch.sigmoid(h[:, 0]) - 10),
    "wide clamp": Net(lambda h: h[:, 0].clamp(-10, 10)),
    "never negative": Net(lambda h: F.softplus(h)[:, 0]),
    "swish": Net(lambda h: (h * h.sigmoid())[:, 0]),
    "gate on the logit": Net(lambda h: h[:, 0] * h[:, 1].sigmoid()),
    "mixture of experts": Net(lambda h: (h[:, :2] * h[:, 2:].softmax(1)).sum(1), 4),
    "gates inside": Gated(),
    "attention inside": AttentionPooled(),
    "by chance in 0..1": Net(lambda h: 0.5 + 0.01 * h[:, 0]),
    "by chance in 0..1, standardised": nn.Sequential(nn.InstanceNorm1d(8), Net(lambda h: 0.4 + 0.1 * h[:, 0])),
    "constant": Net(lambda h: 0 * h[:, 0] + 0.5),
    "cosine times a temperature": Net(lambda h: 10 * F.cosine_similarity(h, torch.ones(1, 2))),
}


@pytest.mark.parametrize("name", PROBABILITIES)
def test_a_probability_is_told_in_words(name: str) -> None:
    network, words = PROBABILITIES[name]
    told = probability_words(network, ECG)
    assert told is not None
    assert words in told
    assert "a logit is needed" in told
    assert "\n" not in told


@pytest.mark.parametrize("name", LOGITS)
def test_a_logit_is_not_blamed(name: str) -> None:
    assert probability_words(LOGITS[name], ECG) is None


def test_the_network_stays_as_it_is_and_a_failing_one_is_left_to_others() -> None:
    network = Net(lambda h: h.sigmoid()[:, 0]).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with torch.inference_mode():
        assert "ends in a sigmoid" in str(probability_words(network, ECG))
    assert network.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not network.head._forward_hooks
    assert probability_words(network, ECG[:, :3]) is None
