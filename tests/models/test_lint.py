"""The linter on networks whose faults are known."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from ecg_lightning.attribution.guided_reference import guided_gradient
from ecg_lightning.attribution.lint import lint_network
from ecg_lightning.attribution.lint_report import LintReport
from ecg_lightning.method_names import METHOD_NAMES
from ecg_lightning.models import ResNet1d

ECG = 0.5 * torch.randn(4, 8, 600, generator=torch.Generator().manual_seed(0))
DEEPLIFT = ("deeplift", "deeplift_shap")
GUIDED = ("guided_backprop", "guided_gradcam")


class Net(nn.Module):
    """Two convolutions with an activation each, given as modules or functions."""

    gradcam_layer = "conv2"

    def __init__(self, first: object, second: object, pool: nn.Module | None = None) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.conv1, self.conv2 = nn.Conv1d(8, 6, 7, padding=3), nn.Conv1d(6, 6, 7, padding=3)
        self.first, self.second = first, second
        self.pool = pool or nn.AvgPool1d(2)
        self.linear = nn.Linear(6, 1)

    def forward(self, ecg: Tensor) -> Tensor:
        hidden = self.pool(self.first(self.conv1(ecg)))
        return self.linear(self.second(self.conv2(hidden)).mean(-1)).squeeze(-1)


class MadeInForward(Net):
    def forward(self, ecg: Tensor) -> Tensor:
        hidden = nn.ReLU()(self.conv1(ecg))
        return self.linear(nn.ReLU()(self.conv2(hidden)).mean(-1)).squeeze(-1)


class BasicBlock(nn.Module):
    """As torchvision writes it: one in-place ReLU that is called twice."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(channels, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm1d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv1d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm1d(channels)

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(out)) + x)


class Torchvision(nn.Module):
    gradcam_layer = "block"

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.block = nn.Conv1d(8, 8, 7, padding=3), BasicBlock(8)
        self.fc = nn.Linear(8, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.block(self.stem(x)).mean(-1)).squeeze(-1)


def verdicts(report: LintReport) -> dict[str, str]:
    return {one.method: one.verdict for one in report.verdicts}


def refused(report: LintReport) -> set[str]:
    return set(report.refused())


def kinds(report: LintReport) -> set[str]:
    return {finding.kind for finding in report.findings}


def test_the_study_s_network_is_safe_for_all_twelve() -> None:
    torch.manual_seed(0)
    network = ResNet1d(widths=(8, 16, 16), strides=(1, 2, 2))
    network.train()(ECG)
    report = lint_network(network, ECG)
    assert verdicts(report) == dict.fromkeys(METHOD_NAMES, "safe"), str(report)
    assert network.training  # stays as it was


def test_separate_relus_are_safe() -> None:
    report = lint_network(Net(nn.ReLU(), nn.ReLU()), ECG)
    assert refused(report) == set()
    assert {one for one, verdict in verdicts(report).items() if verdict == "doubtful"} <= {"integrated_gradients"}


def test_inplace_relus_are_noted_and_judged_by_their_maps() -> None:
    network = Net(nn.ReLU(inplace=True), nn.ReLU(inplace=True))
    report = lint_network(network, ECG)
    assert kinds(report) == {"inplace_relu"}
    assert not {"saliency", "smoothgrad", "integrated_gradients", "shapley_sampling"} & refused(report)


@pytest.mark.parametrize("activation", [F.relu, torch.relu, lambda x: x.relu(), lambda x: x.clamp(min=0)])
def test_functional_relus_are_refused_where_modules_are_hooked(activation: object) -> None:
    report = lint_network(Net(activation, nn.ReLU()), ECG)
    assert "functional_relu" in kinds(report)
    assert refused(report) == {*DEEPLIFT, *GUIDED}
    one = report.refused()["deeplift"]
    assert "called as a function in Net" in one.reasons[0]
    assert "one nn.ReLU module for each use" in one.remedy


def test_relus_made_in_forward_are_refused() -> None:
    report = lint_network(MadeInForward(nn.ReLU(), nn.ReLU()), ECG)
    assert "relu_made_in_forward" in kinds(report)
    assert "functional_relu" not in kinds(report)
    assert refused(report) == {*DEEPLIFT, *GUIDED}


def test_a_reused_relu_is_refused_for_deeplift_only() -> None:
    relu = nn.ReLU()
    report = lint_network(Net(relu, relu), ECG)
    assert "reused_relu" in kinds(report)
    assert "deeplift" in refused(report)
    assert not set(GUIDED) & refused(report)


def test_max_pooling_after_a_relu_is_doubted_or_refused_for_deeplift() -> None:
    report = lint_network(Net(nn.ReLU(), nn.ReLU(), nn.MaxPool1d(2)), ECG)
    assert "max_pool_after_relu" in kinds(report)
    found = verdicts(report)
    assert found["deeplift_shap"] in ("doubtful", "refused")
    assert {found[name] for name in (*GUIDED, "saliency", "gradcam")} == {"safe"}


@pytest.mark.parametrize("module", [nn.SiLU, nn.GELU])
def test_smooth_activations(module: type[nn.Module]) -> None:
    for activation in (module(), F.silu if module is nn.SiLU else F.gelu):
        report = lint_network(Net(activation, nn.ReLU()), ECG)
        found = verdicts(report)
        assert {found[name] for name in DEEPLIFT} <= {"doubtful", "refused"}
        assert {found[name] for name in GUIDED} == {"doubtful"}
        assert found["saliency"] == "safe"


def test_without_a_relu_guided_backprop_is_the_gradient_and_says_so() -> None:
    network = nn.Sequential(nn.Conv1d(8, 4, 7), nn.Flatten(), nn.Linear(4 * 594, 1))
    report = lint_network(network, ECG, ["guided_backprop", "saliency", "deeplift"])
    assert verdicts(report) == {"guided_backprop": "doubtful", "saliency": "safe", "deeplift": "safe"}
    assert "plain gradient" in report.verdicts[0].reasons[0]


def test_torchvision_s_block() -> None:
    report = lint_network(Torchvision().eval(), ECG)
    assert {"reused_relu", "inplace_relu"} <= kinds(report)
    assert "deeplift" in refused(report)
    assert not {"saliency", "gradient_x_input", "integrated_gradients"} & refused(report)


def test_other_leads_and_lengths_give_no_false_alarm() -> None:
    network = nn.Sequential(
        nn.Conv1d(12, 4, 5, stride=2), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(4, 1)
    )
    report = lint_network(network, torch.randn(3, 12, 1000), gradcam_layer="0")
    assert refused(report) == set(), str(report)


def test_hooks_of_others_are_told() -> None:
    network = Net(nn.ReLU(), nn.ReLU())
    network.conv1.register_forward_hook(lambda *_: None)
    report = lint_network(network, ECG)
    assert "carries_hooks" in kinds(report)
    assert verdicts(report)["deeplift"] == "doubtful"
    assert verdicts(report)["saliency"] == "safe"


def test_no_convolution_or_no_layer_for_gradcam() -> None:
    linear = nn.Sequential(nn.Flatten(), nn.Linear(4800, 8), nn.ReLU(), nn.Linear(8, 1))
    report = lint_network(linear, ECG)
    assert {"gradcam", "guided_gradcam"} <= refused(report)
    nameless = nn.Sequential(nn.Conv1d(8, 4, 7), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 594, 1))
    report = lint_network(nameless, ECG)
    assert {"gradcam", "guided_gradcam"} <= refused(report)
    assert "gradcam_layer" in report.refused()["gradcam"].reasons[0]


class Restless(Net):
    def forward(self, ecg: Tensor) -> Tensor:
        return super().forward(F.dropout(ecg, 0.5))  # always on


class Mixing(Net):
    def forward(self, ecg: Tensor) -> Tensor:
        return super().forward(ecg - ecg.mean(0))


class Broken(Net):
    def forward(self, ecg: Tensor) -> Tensor:
        return super().forward(ecg) / 0.0 * 0.0


class Failing(Net):
    def forward(self, ecg: Tensor) -> Tensor:
        raise RuntimeError("no pass today")


@pytest.mark.parametrize(
    ("kind", "finding", "verdict"),
    [
        (Restless, "random_in_eval", "doubtful"),
        (Mixing, "mixes_ecgs", "refused"),
        (Broken, "not_finite", "refused"),
        (Failing, "fails", "refused"),
    ],
)
def test_networks_that_no_method_can_explain(kind: type[Net], finding: str, verdict: str) -> None:
    report = lint_network(kind(nn.ReLU(), nn.ReLU()), ECG)
    assert finding in kinds(report)
    assert verdicts(report)["saliency"] == verdict


def test_the_reference_of_the_guided_gradient_is_the_rule() -> None:
    """One ReLU between two linear maps: by hand."""
    first, second = nn.Linear(6, 5), nn.Linear(5, 1)
    network = nn.Sequential(nn.Flatten(), first, nn.ReLU(), second)
    ecg = torch.randn(3, 2, 3)
    positive = (first(ecg.flatten(1)) > 0).float()
    expected = (positive * second.weight.clamp_min(0.0)) @ first.weight
    torch.testing.assert_close(guided_gradient(network, ecg).flatten(1), expected)


def test_the_report_is_readable() -> None:
    report = lint_network(Net(F.relu, nn.ReLU()), ECG, ["saliency", "deeplift"])
    assert "deeplift" in str(report)
    frame = report.as_frame()
    assert frame["verdict"].tolist() == ["safe", "refused"]
    assert '"functional_relu"' in report.as_json()
    with pytest.raises(ValueError, match="two ECGs or more"):
        lint_network(Net(F.relu, nn.ReLU()), ECG[:1])
