"""Layers that Grad-CAM can't read are refused with the reason, and those that it can are not."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from ecg_lightning.attribution.lint import lint_network
from ecg_lightning.attribution.lint_layer import layer_complaints
from ecg_lightning.models import ResNet1d

ECG = 0.5 * torch.randn(4, 8, 240, generator=torch.Generator().manual_seed(0))
Use = Callable[["Net", Tensor], Tensor]


class Transpose(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.transpose(1, 2)


class Net(nn.Module):
    """Parts, and a forward pass of the test's own; ``read`` is what Grad-CAM reads."""

    def __init__(self, read: nn.Module, use: Use) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.relu = nn.Conv1d(8, 6, 9, stride=4, padding=4), nn.ReLU()
        self.one_lead = nn.Conv1d(1, 6, 9, stride=4, padding=4)
        self.position = nn.Parameter(0.1 * torch.randn(1, 60, 6))
        self.read, self.use, self.head = read, use, nn.Linear(6, 1)

    def forward(self, ecg: Tensor) -> Tensor:
        return self.head(self.use(self, ecg)).reshape(len(ecg))


def features(net: Net, ecg: Tensor) -> Tensor:
    return net.relu(net.conv(ecg))


def per_lead(net: Net, ecg: Tensor) -> Tensor:
    return torch.stack([net.read(net.one_lead(ecg[:, [lead]])).mean(-1) for lead in range(8)]).sum(0)


def leads_in_batch(net: Net, ecg: Tensor) -> Tensor:
    hidden = net.read(net.one_lead(ecg.reshape(-1, 1, ecg.shape[-1])))
    return hidden.mean(-1).reshape(len(ecg), 8, 6).sum(1)


def fixed_positions(net: Net, ecg: Tensor) -> Tensor:
    return net.read(features(net, ecg).transpose(1, 2) + net.position).mean(1)


def time_first(net: Net, ecg: Tensor) -> Tensor:
    return net.read(features(net, ecg).permute(2, 0, 1)).mean(0)


def looped(net: Net, ecg: Tensor) -> Tensor:
    return torch.cat([net.read(net.conv(one)).mean(-1) for one in ecg.split(1)])


UNREADABLE: dict[str, tuple[nn.Module, Use, str]] = {
    "once a lead": (nn.ReLU(), per_lead, "read runs 8 times in a pass"),
    "once an ECG": (nn.ReLU(), looped, "read runs 4 times in a pass"),
    "twice in a row": (nn.ReLU(), lambda net, x: net.read(net.read(net.conv(x))).mean(-1), "read runs 2 times"),
    "never": (nn.Conv1d(8, 6, 9), lambda net, x: features(net, x).mean(-1), "does not run in a pass"),
    "a list of modules": (nn.ModuleList([nn.ReLU()]), lambda net, x: net.read[0](net.conv(x)).mean(-1), "does not run"),
    "leads in the batch": (nn.ReLU(), leads_in_batch, "the first axis of the output of read is not the batch: (32, 6"),
    "time before the batch": (nn.Identity(), time_first, "is not the batch: (60, 4, 6)"),
    "recurrent": (
        nn.GRU(6, 6, batch_first=True),
        lambda net, x: net.read(features(net, x).transpose(1, 2))[0].mean(1),
        "the output of read is a tuple",
    ),
    "no time": (nn.Identity(), lambda net, x: net.read(features(net, x).mean(-1)), "has 2 axes, (4, 6) for 4 ECGs"),
    "two dimensions": (nn.Identity(), lambda net, x: net.read(features(net, x)[:, :, None]).mean((2, 3)), "has 4 axes"),
    "pooled": (nn.AdaptiveAvgPool1d(1), lambda net, x: net.read(features(net, x)).squeeze(-1), "has one sample left"),
    "detached": (nn.ReLU(), lambda net, x: net.read(net.conv(x)).detach().mean(-1) + 0 * x.sum(), "no gradient comes"),
    "beside the logit": (
        nn.ReLU(),
        lambda net, x: (features(net, x).mean(-1), net.read(net.conv(x)))[0],
        "no gradient comes from the logit",
    ),
    "transposed": (Transpose(), lambda net, x: net.read(features(net, x)).mean(1), "seems to be (batch, sample, chan"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_cannot_be_read_is_refused(name: str) -> None:
    read, use, words = UNREADABLE[name]
    ((verdict, reason, remedy),) = layer_complaints(Net(read, use).eval(), "read", ECG)
    assert verdict == "refused"
    assert words in reason
    assert remedy


def test_time_behind_fixed_positions_is_found_by_where_places_read() -> None:
    ((verdict, reason, _),) = layer_complaints(Net(nn.LayerNorm(6), fixed_positions).eval(), "read", ECG)
    assert verdict == "doubtful"
    assert "seems to be (batch, sample, channel), (4, 60, 6)" in reason


def test_an_axis_that_is_no_time_is_doubtful() -> None:
    def frequencies(net: Net, ecg: Tensor) -> Tensor:
        return net.read(torch.fft.rfft(features(net, ecg)).abs()[..., :20]).mean(-1)

    ((verdict, reason, _),) = layer_complaints(Net(nn.Identity(), frequencies).eval(), "read", ECG)
    assert verdict == "doubtful"
    assert "don't follow the ECG's time" in reason


@pytest.mark.parametrize(
    ("read", "use"),
    [
        (nn.ReLU(), lambda net, x: net.read(net.conv(x)).mean(-1)),
        (nn.ReLU(inplace=True), lambda net, x: net.read(net.conv(x)).mean(-1)),
        (nn.InstanceNorm1d(6), lambda net, x: net.read(features(net, x)).amax(-1)),
        (nn.AdaptiveAvgPool1d(4), lambda net, x: net.read(features(net, x)).amax(-1)),
        (Transpose(), lambda net, x: net.read(features(net, x).transpose(1, 2) + net.position).mean(-1)),
        (nn.Sequential(nn.Conv1d(6, 6, 5), nn.ReLU()), lambda net, x: net.read(features(net, x)).mean(-1)),
    ],
    ids=["relu", "in place", "instance norm", "few places", "back from a transformer", "sequential"],
)
def test_what_can_be_read_is_not_blamed(read: nn.Module, use: Use) -> None:
    assert layer_complaints(Net(read, use).eval(), "read", ECG) == []


def test_the_study_s_network_is_read_at_any_block() -> None:
    torch.manual_seed(0)
    network = ResNet1d(widths=(8, 8, 16), strides=(1, 2, 4), length=240).eval()
    for name in ("blocks.0", "blocks.2", "blocks.1.conv2"):
        assert layer_complaints(network, name, ECG) == []


def test_the_linter_refuses_both_methods_with_reason_and_remedy() -> None:
    report = lint_network(Net(nn.ReLU(), per_lead).eval(), ECG, ["saliency", "gradcam", "guided_gradcam"], "read")
    assert set(report.refused()) == {"gradcam", "guided_gradcam"}
    one = report.refused()["gradcam"]
    assert "runs 8 times" in one.reasons[0]
    assert "runs once" in one.remedy
