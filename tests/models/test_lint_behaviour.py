"""Networks whose logit depends on more than its ECG are found, whatever it is, and the module that does it is named."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from ecg_lightning.models.lint import Finding, trace_structure
from ecg_lightning.models.lint_behaviour import behaviour
from ecg_lightning.models.strangers import Crowd, mild_crowd, wild_crowd

Change = Callable[[Tensor], Tensor]


def same(x: Tensor) -> Tensor:
    return x


def ecgs(seed: int, count: int = 4) -> Tensor:
    """Alike, as real ones are: one wave, and little of their own."""
    generator = torch.Generator().manual_seed(seed)
    time = torch.linspace(0, 1, 120)
    wave = torch.exp(-0.5 * ((time - 0.4) / 0.03) ** 2) * torch.linspace(-1, 1, 8)[:, None]
    return wave + 0.02 * torch.randn(count, 8, 120, generator=generator)


class Plain(nn.Module):
    """Two convolutions with something done to the ECG, to the features, or to the logit."""

    def __init__(self, ecg: Change = same, features: Change = same, logit: Change = same) -> None:
        super().__init__()
        self.conv1, self.relu1 = nn.Conv1d(8, 6, 9, stride=2), nn.ReLU()
        self.conv2, self.relu2 = nn.Conv1d(6, 6, 5, stride=2), nn.ReLU()
        self.head = nn.Linear(6, 1)
        self.of_ecg, self.of_features, self.of_logit = ecg, features, logit

    def forward(self, ecg: Tensor) -> Tensor:
        hidden = self.of_features(self.relu1(self.conv1(self.of_ecg(ecg))))
        return self.of_logit(self.head(self.relu2(self.conv2(hidden)).mean(-1)).squeeze(-1))


class AlwaysTraining(nn.BatchNorm1d):
    def train(self, mode: bool = True) -> "AlwaysTraining":
        del mode
        return super().train(True)


class SequenceFirst(nn.Module):
    """A recurrent layer that takes the batch for time, for want of ``batch_first``."""

    def __init__(self) -> None:
        super().__init__()
        self.recurrent, self.head = nn.GRU(8, 4), nn.Linear(4, 1)

    def forward(self, ecg: Tensor) -> Tensor:
        return self.head(self.recurrent(ecg.transpose(1, 2))[0].mean(1)).squeeze(-1)


class AttendsAcross(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.attention, self.head = nn.Conv1d(8, 4, 9), nn.MultiheadAttention(4, 2), nn.Linear(4, 1)

    def forward(self, ecg: Tensor) -> Tensor:
        hidden = self.conv(ecg).transpose(1, 2)
        return self.head(self.attention(hidden, hidden, hidden)[0].mean(1)).squeeze(-1)


class Remembers(nn.Module):
    """Subtracts a running mean of what it saw, in evaluation mode, too."""

    def __init__(self) -> None:
        super().__init__()
        self.network = Plain()
        self.register_buffer("mean", torch.zeros(8, 1))

    def forward(self, ecg: Tensor) -> Tensor:
        found = self.network(ecg - self.mean)
        self.mean = 0.9 * self.mean + 0.1 * ecg.mean((0, 2))[:, None]
        return found


class RemembersLast(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.network, self.last = Plain(), 0.0

    def forward(self, ecg: Tensor) -> Tensor:
        found = self.network(ecg) + 0.1 * self.last
        self.last = float(found.mean())
        return found


def standardised(x: Tensor) -> Tensor:
    return (x - x.mean((1, 2), keepdim=True)) / x.std((1, 2), keepdim=True)


MIXING: dict[str, Callable[[], nn.Module]] = {
    "maximum": lambda: Plain(lambda x: x / x.abs().max()),
    "minimum and maximum": lambda: Plain(lambda x: (x - x.min()) / (x.max() - x.min())),
    "mean and deviation": lambda: Plain(lambda x: (x - x.mean()) / x.std()),
    "deviation alone": lambda: Plain(lambda x: x / x.std()),
    "mean of each sample": lambda: Plain(lambda x: x - x.mean(0)),
    "median of each sample": lambda: Plain(lambda x: x - x.median(0).values),
    "maximum once standardised": lambda: Plain(lambda x: standardised(x) / standardised(x).abs().max()),
    "maximum of what is clipped": lambda: Plain(lambda x: x.clamp(-5, 5) / x.clamp(-5, 5).max()),
    "maximum in float32": lambda: Plain(lambda x: (x / x.abs().max()).float().to(x.dtype)),
    "maximum in the features": lambda: Plain(features=lambda x: x / (x.amax((0, 2), keepdim=True) + 1e-3)),
    "functional BatchNorm": lambda: Plain(features=lambda x: F.batch_norm(x, None, None, training=True)),
    "BatchNorm without statistics": lambda: Plain(features=nn.BatchNorm1d(6, track_running_stats=False)),
    "BatchNorm in training mode": lambda: Plain(features=AlwaysTraining(6)),
    "BatchNorm of parts": lambda: Plain(
        features=lambda x: torch.cat([F.batch_norm(part, None, None, training=True) for part in x.split(4)])
    ),
    "softmax over the batch": lambda: Plain(logit=lambda x: x.softmax(0)),
    "attention weights over the batch": lambda: Plain(features=lambda x: x * x.softmax(0)),
    "attention across the batch": AttendsAcross,
    "batch taken for time": SequenceFirst,
    "rank": lambda: Plain(logit=lambda x: x.argsort().argsort().to(x) + 0 * x),
    "sorted": lambda: Plain(logit=lambda x: x.sort().values),
    "size of the batch": lambda: Plain(logit=lambda x: x / len(x)),
    "place in the batch": lambda: Plain(logit=lambda x: x + 0.01 * torch.arange(len(x)).to(x)),
    "first of the batch": lambda: Plain(lambda x: x - 0.1 * x[:1]),
    "neighbour": lambda: Plain(lambda x: x + 0.1 * x.roll(1, 0)),
    "tiny logits": lambda: Plain(lambda x: x / x.abs().max(), logit=lambda x: 1e-9 * x),
    "huge logits": lambda: Plain(lambda x: x / x.abs().max(), logit=lambda x: 1e9 * x),
    "large constant": lambda: Plain(lambda x: x / x.abs().max(), logit=lambda x: 1000 + 1e-3 * x),
    "running mean": Remembers,
    "last logit": RemembersLast,
}

OWN: dict[str, Callable[[], nn.Module]] = {
    "plain": Plain,
    "standardised": lambda: Plain(standardised),
    "maximum of each": lambda: Plain(lambda x: x / x.abs().amax((1, 2), keepdim=True)),
    "divides by next to nothing": lambda: Plain(
        lambda x: (x - x.mean(-1, keepdim=True)) / (x.std(-1, keepdim=True) + 1e-8)
    ),
    "float32 inside": lambda: Plain(lambda x: x.float().to(x.dtype)),
    "BatchNorm": lambda: Plain(features=nn.BatchNorm1d(6)),
    "InstanceNorm": lambda: Plain(features=nn.InstanceNorm1d(6)),
    "GroupNorm": lambda: Plain(features=nn.GroupNorm(2, 6)),
    "softmax over time": lambda: Plain(features=lambda x: x * x.softmax(-1)),
    "reshaped batch": lambda: Plain(lambda x: x.reshape(-1, 120).reshape(x.shape)),
    "tiny logits": lambda: Plain(logit=lambda x: 1e-9 * x),
    "huge logits": lambda: Plain(logit=lambda x: 1e9 * x),
    "large constant": lambda: Plain(logit=lambda x: 1e5 + x),
    "constant": lambda: Plain(logit=lambda x: 0 * x + 3),
    "float32 only": lambda: Plain(lambda x: torch.cat([x.float(), x.float()])[: len(x)].float()),
}


def found(make: Callable[[], nn.Module], seed: int) -> list[Finding]:
    torch.manual_seed(seed)
    network = make().eval()
    ecg = ecgs(seed)
    trace = trace_structure(network, ecg)
    before = copy.deepcopy(network.state_dict())
    behaviour(network, ecg, trace)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items()), "network was changed"
    return [one for one in trace.findings if one.kind in ("mixes_ecgs", "random_in_eval", "fails", "not_finite")]


@pytest.mark.parametrize("name", MIXING)
def test_what_depends_on_more_than_its_ecg_is_always_found(name: str) -> None:
    for seed in range(2):
        (finding,) = found(MIXING[name], seed)
        assert finding.kind == "mixes_ecgs", (seed, finding)


@pytest.mark.parametrize("name", OWN)
def test_what_depends_on_its_ecg_alone_is_not_blamed(name: str) -> None:
    for seed in range(2):
        assert found(OWN[name], seed) == [], seed


@pytest.mark.parametrize(
    ("name", "where", "words"),
    [
        ("BatchNorm without statistics", "of_features", "other ECGs of its batch: BatchNorm1d 'of_features' takes its"),
        ("BatchNorm without statistics", "of_features", "(track_running_stats=False)"),
        ("BatchNorm in training mode", "of_features", "(it is in training mode after eval())"),
        ("attention across the batch", "attention", "it begins in MultiheadAttention 'attention'"),
        ("batch taken for time", "recurrent", "it begins in GRU 'recurrent'"),
        ("maximum", "", "it begins in the forward pass of Plain"),
        ("size of the batch", "", "on the size of its batch"),
        ("place in the batch", "", "on its place in the batch"),
        ("last logit", "", "on the ECGs that the network saw before"),
    ],
)
def test_the_words_name_what_it_is_and_where(name: str, where: str, words: str) -> None:
    (finding,) = found(MIXING[name], 0)
    assert finding.where == where
    assert words in finding.text


def test_a_network_that_needs_company_is_told_by_name() -> None:
    class AfterPooling(Plain):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm1d(6, track_running_stats=False)

        def forward(self, ecg: Tensor) -> Tensor:
            hidden = self.relu2(self.conv2(self.relu1(self.conv1(ecg)))).mean(-1)
            return self.head(self.norm(hidden)).squeeze(-1)

    fails, mixes = found(AfterPooling, 0)
    assert "a pass of one ECG by itself fails" in fails.text
    assert "BatchNorm1d 'norm' takes its mean and variance from the batch" in mixes.text


def test_a_network_that_is_random_and_holds_a_training_batchnorm_is_told_both() -> None:
    kinds = [one.kind for one in found(lambda: Plain(F.dropout, AlwaysTraining(6)), 0)]
    assert kinds == ["random_in_eval", "mixes_ecgs"]
    assert [one.kind for one in found(lambda: Plain(F.dropout), 0)] == ["random_in_eval"]


def test_a_network_that_refuses_what_is_no_ecg_is_looked_at_among_milder_ones() -> None:
    def checked(x: Tensor) -> Tensor:
        if x.abs().max() > 10:
            raise ValueError("this is no ECG")
        return x

    assert found(lambda: Plain(checked), 0) == []
    (finding,) = found(lambda: Plain(lambda x: checked(x) / x.abs().max()), 0)
    assert finding.kind == "mixes_ecgs"


@pytest.mark.parametrize("crowd", [wild_crowd, mild_crowd])
def test_own_ecgs_stand_at_their_places_among_strangers(crowd: Callable[[Tensor], Crowd]) -> None:
    ecg = ecgs(3)
    among = crowd(ecg)
    assert torch.equal(among.ecg[list(among.places)], ecg)
    assert 0 not in among.places
    assert len(among.ecg) > 2 * len(ecg)
