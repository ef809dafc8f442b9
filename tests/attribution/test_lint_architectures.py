"""Usual architectures are judged as they deserve: what has no fault is safe."""

from collections.abc import Callable

import pytest
import torch
from networks import waves
from torch import Tensor, nn

from ecg_lightning.attribution.lint import lint_network
from ecg_lightning.attribution.lint_report import LintReport
from ecg_lightning.models import ResNet1d

ECG = waves(4, seed=5, length=240).float()
GRADIENTS = {"saliency", "smoothgrad", "gradient_x_input", "gradcam"}
SUMS = {"shapley_sampling", "ig_smoothgrad", "gradient_shap"}
RELUS = {"guided_backprop", "guided_gradcam"}


class Inception(nn.Module):
    """Convolutions of several widths and a pooling beside each other, and a shortcut."""

    gradcam_layer = "relu"

    def __init__(self) -> None:
        super().__init__()
        self.branches = nn.ModuleList(nn.Conv1d(8, 4, size, padding=size // 2) for size in (5, 11, 23))
        self.pool, self.after_pool = nn.MaxPool1d(3, 1, 1), nn.Conv1d(8, 4, 1)
        self.norm, self.shortcut, self.relu = nn.BatchNorm1d(16), nn.Conv1d(8, 16, 1), nn.ReLU()
        self.head = nn.Linear(16, 1)

    def forward(self, ecg: Tensor) -> Tensor:
        parts = [branch(ecg) for branch in self.branches]
        hidden = self.norm(torch.cat([*parts, self.after_pool(self.pool(ecg))], 1))
        return self.head(self.relu(hidden + self.shortcut(ecg)).mean(-1)).squeeze(-1)


class Recurrent(nn.Module):
    """A convolution and a bidirectional GRU, whose first state is made as it goes."""

    gradcam_layer = "conv"

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.relu = nn.Conv1d(8, 8, 15, stride=8, padding=7), nn.ReLU()
        self.recurrent, self.head = nn.GRU(8, 4, batch_first=True, bidirectional=True), nn.Linear(8, 1)

    def forward(self, ecg: Tensor) -> Tensor:
        first = torch.zeros(2, len(ecg), 4)
        return self.head(self.recurrent(self.relu(self.conv(ecg)).transpose(1, 2), first)[0].mean(1)).squeeze(-1)


class Attention(nn.Module):
    """Patches with fixed positions and a class token, (batch, time, channel) inside."""

    def __init__(self, gradcam_layer: str = "patches") -> None:
        super().__init__()
        self.gradcam_layer = gradcam_layer
        self.patches = nn.Conv1d(8, 8, 10, stride=10)
        self.position = nn.Parameter(0.02 * torch.randn(1, 24, 8))
        self.token = nn.Parameter(0.02 * torch.randn(1, 1, 8))
        layer = nn.TransformerEncoderLayer(8, 2, 16, activation=nn.ReLU(), batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.norm, self.head = nn.LayerNorm(8), nn.Linear(8, 1)

    def forward(self, ecg: Tensor) -> Tensor:
        patches = self.patches(ecg).transpose(1, 2) + self.position
        encoded = self.encoder(torch.cat([self.token.expand(len(ecg), -1, -1), patches], 1))
        return self.head(self.norm(encoded)[:, 0]).squeeze(-1)


class Convolutional(nn.Module):
    """Two convolutions with a norm, squeezed and excited, and pooled by attention."""

    gradcam_layer = "relu2"

    def __init__(
        self, norm: Callable[[int], nn.Module] = nn.BatchNorm1d, excite: bool = False, pool: bool = False
    ) -> None:
        super().__init__()
        self.conv1, self.norm1, self.relu1 = nn.Conv1d(8, 8, 9, stride=2, padding=4), norm(8), nn.ReLU()
        self.conv2, self.norm2, self.relu2 = nn.Conv1d(8, 8, 5, stride=2, padding=2), norm(8), nn.ReLU()
        self.gate = nn.Sequential(nn.Linear(8, 8), nn.Sigmoid()) if excite else None
        self.score = nn.Conv1d(8, 1, 1) if pool else None
        self.head = nn.Linear(8, 1)

    def forward(self, ecg: Tensor) -> Tensor:
        hidden = self.relu1(self.norm1(self.conv1(ecg)))
        if self.gate is not None:
            hidden = hidden * self.gate(hidden.mean(-1))[..., None]
        hidden = self.relu2(self.norm2(self.conv2(hidden)))
        weights = 1 / hidden.shape[-1] if self.score is None else self.score(hidden).softmax(-1)
        return self.head((hidden * weights).sum(-1)).squeeze(-1)


class Standardised(nn.Module):
    """Takes each lead's mean and deviation out first."""

    gradcam_layer = "network.relu2"

    def __init__(self) -> None:
        super().__init__()
        self.network = Convolutional()

    def forward(self, ecg: Tensor) -> Tensor:
        return self.network((ecg - ecg.mean(-1, keepdim=True)) / (ecg.std(-1, keepdim=True) + 1e-8))


def resnet(**arguments: object) -> nn.Module:
    return ResNet1d(widths=(8, 8, 16), strides=(1, 2, 4), length=240, **arguments)  # type: ignore[arg-type]


ARCHITECTURES: dict[str, tuple[Callable[[], nn.Module], set[str]]] = {
    "study's": (resnet, GRADIENTS | SUMS | RELUS | {"deeplift", "deeplift_shap"}),
    "study's, without the first ReLU": (lambda: resnet(input_activation=False), GRADIENTS | SUMS | RELUS),
    "study's, maximum pooling": (lambda: resnet(shortcut="maxpool"), GRADIENTS | SUMS | RELUS),
    "inception": (Inception, GRADIENTS | SUMS | RELUS),
    "recurrent": (Recurrent, GRADIENTS | SUMS | RELUS),
    "transformer": (Attention, GRADIENTS | SUMS),
    "squeeze and excitation": (lambda: Convolutional(excite=True), GRADIENTS | SUMS),
    "GroupNorm": (lambda: Convolutional(lambda width: nn.GroupNorm(2, width)), GRADIENTS | SUMS | RELUS),
    "InstanceNorm": (lambda: Convolutional(nn.InstanceNorm1d), GRADIENTS | SUMS | RELUS),
    "attention pooling": (lambda: Convolutional(pool=True), GRADIENTS | SUMS | RELUS),
    "standardised": (Standardised, GRADIENTS | SUMS | RELUS),
}


def report(make: Callable[[], nn.Module]) -> LintReport:
    torch.manual_seed(0)
    network = make().train()
    with torch.no_grad():
        for seed in range(3):
            network(waves(16, seed, length=240).float())
    return lint_network(network.eval(), ECG)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_what_has_no_fault_is_safe(name: str) -> None:
    make, safe = ARCHITECTURES[name]
    found = report(make)
    assert {one.method for one in found.verdicts if one.verdict == "safe"} >= safe, str(found)
    assert not {one.kind for one in found.findings} & {"mixes_ecgs", "probability", "random_in_eval", "fails"}


def test_gradcam_behind_a_transformer_s_encoder_is_not_safe() -> None:
    verdicts = {one.method: one.verdict for one in report(lambda: Attention("encoder")).verdicts}
    assert verdicts["gradcam"] == "doubtful"
    assert verdicts["saliency"] == "safe"
