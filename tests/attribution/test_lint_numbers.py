"""Each of the twelve methods has a number that its maps must keep, and a method or network that does not is told."""

from dataclasses import dataclass

import pytest
import torch
from networks import trained_like_resnet, waves
from torch import Tensor, nn

from ecg_lightning.attribution import FrozenModel, RandomKey, build_methods, prepare_task
from ecg_lightning.attribution.activation import GradCam, GuidedGradCam
from ecg_lightning.attribution.background import GradientShap
from ecg_lightning.attribution.base import AttributionMethod
from ecg_lightning.attribution.contribution import IgSmoothGrad
from ecg_lightning.attribution.guided_reference import layer_cam
from ecg_lightning.attribution.lint import lint_network, lint_task
from ecg_lightning.attribution.lint_numbers import few_passes
from ecg_lightning.attribution.probe import Probe
from ecg_lightning.attribution.sensitivity import Saliency, SmoothGrad
from ecg_lightning.attribution.shapley import ShapleySampling
from ecg_lightning.method_names import METHOD_NAMES

SAMPLING = ("smoothgrad", "ig_smoothgrad", "gradient_shap", "shapley_sampling")


@pytest.fixture(scope="module")
def task() -> FrozenModel:
    return prepare_task(trained_like_resnet(torch.float32), waves(5, seed=9).float())


@dataclass(frozen=True)
class HalfSmoothGrad(SmoothGrad):
    def _draw(self, task: FrozenModel, ecg: Tensor, key: RandomKey, first: int, count: int) -> Tensor:
        return 0.5 * super()._draw(task, ecg, key, first, count)


@dataclass(frozen=True)
class HalfIgSmoothGrad(IgSmoothGrad):
    def _draw(self, task: FrozenModel, ecg: Tensor, key: RandomKey, first: int, count: int) -> Tensor:
        return 0.5 * super()._draw(task, ecg, key, first, count)


@dataclass(frozen=True)
class HalfGradientShap(GradientShap):
    def _contributions(
        self, task: FrozenModel, ecg: Tensor, key: RandomKey, chosen: Tensor, places: Tensor, first: int
    ) -> tuple[Tensor, Tensor]:
        found, ways = super()._contributions(task, ecg, key, chosen, places, first)
        return 0.5 * found, ways


@dataclass(frozen=True)
class GroupsAsAWhole(ShapleySampling):
    """As Captum: each sample has its whole group's value."""

    def _attribute_with_reliability(self, task: FrozenModel, ecg: Tensor, key: RandomKey) -> tuple[Tensor, float]:
        found, reliability = super()._attribute_with_reliability(task, ecg, key)
        return found * self.group_samples, reliability


@dataclass(frozen=True)
class HalfCam(GradCam):
    def _attribute(self, task: FrozenModel, ecg: Tensor, key: RandomKey) -> Tensor:
        return 0.5 * super()._attribute(task, ecg, key)


@dataclass(frozen=True)
class Fails(SmoothGrad):
    def _draw(self, task: FrozenModel, ecg: Tensor, key: RandomKey, first: int, count: int) -> Tensor:
        raise RuntimeError("no draw today")


def complaints(method: AttributionMethod, task: FrozenModel) -> list[tuple[str, str]]:
    ecg = waves(2, seed=1).float()
    with torch.no_grad():
        logit = task.network(ecg).double()
    return [(verdict, reason) for verdict, reason, _ in few_passes(method, Probe(task.network, task, ecg, logit))]


@pytest.mark.parametrize("name", SAMPLING)
def test_a_method_of_many_passes_keeps_its_number_in_a_few(name: str, task: FrozenModel) -> None:
    for method in build_methods([name]):  # type: ignore[list-item]
        assert complaints(method, task) == []


def test_hyperparameters_do_not_matter(task: FrozenModel) -> None:
    for method in (
        SmoothGrad(absolute=False, estimator="independent", target_correlation=0.9),
        IgSmoothGrad(estimator="joint"),
        IgSmoothGrad(estimator="nested", noise=0.3),
        GradientShap(estimator="random", target_correlation=0.99),
        GradientShap(estimator="balanced", noise=0.0),
        ShapleySampling(estimator="antithetic", group_samples=7),
    ):
        assert complaints(method, task) == [], method


@pytest.mark.parametrize(
    ("method", "words"),
    [
        (HalfSmoothGrad(), "without noise the gradient is what it must be, and it is off by 50%"),
        (HalfIgSmoothGrad(), "without noise integrated gradients is what it must be, and it is off by 50%"),
        (HalfGradientShap(), "from a background like the ECG the gradient times their difference is what it must be"),
        (GroupsAsAWhole(), "the steps of one permutation miss f(ecg) - f(baseline) by"),
    ],
)
def test_a_method_that_misses_its_number_is_doubtful(method: AttributionMethod, words: str, task: FrozenModel) -> None:
    ((verdict, reason),) = complaints(method, task)
    assert verdict == "doubtful"
    assert words in reason


def test_a_method_that_fails_is_refused_with_its_own_words(task: FrozenModel) -> None:
    assert complaints(Fails(), task) == [("refused", "it fails: RuntimeError: no draw today")]


def test_rounding_that_was_chosen_is_no_fault() -> None:
    network = trained_like_resnet(torch.float32)
    half = prepare_task(network, waves(5, seed=9).float(), precision="bfloat16")
    assert complaints(SmoothGrad(), half) == []


def test_gradcam_is_compared_with_the_layer_s_output_and_gradient(task: FrozenModel) -> None:
    network = trained_like_resnet(torch.float32)
    ecg = waves(4, seed=1).float()
    report = lint_task(network, task, ecg, [Saliency(), HalfCam(), GuidedGradCam(rectified=False)])
    assert [one.verdict for one in report.verdicts] == ["safe", "doubtful", "safe"]
    assert "off by 50% of its largest value" in report.verdicts[1].reasons[0]


def test_the_reference_of_gradcam_by_hand() -> None:
    """One layer, a mean over time and a weighted sum of channels: the mean gradient of a channel is its weight."""
    conv, head = nn.Conv1d(2, 3, 5), nn.Linear(3, 1)
    network = nn.Sequential(conv, nn.AdaptiveAvgPool1d(1), nn.Flatten(), head)
    ecg = torch.randn(4, 2, 24)
    cam = layer_cam(network, "0", ecg)
    torch.testing.assert_close(cam, (conv(ecg) * head.weight[..., None] / 20).sum(1, keepdim=True).detach())


class Detached(nn.Module):
    """Half of the logit has no gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.network = trained_like_resnet(torch.float32)

    def forward(self, ecg: Tensor) -> Tensor:
        logit = self.network(ecg)
        return logit + logit.detach()


def test_a_gradient_that_is_not_the_logit_s_is_doubtful() -> None:
    report = lint_network(Detached(), waves(4).float(), ["saliency", "gradient_x_input"])
    assert [one.verdict for one in report.verdicts] == ["doubtful", "doubtful"]
    assert "the logit changes otherwise than its gradient says, by 50%" in report.verdicts[0].reasons[0]


def test_a_probability_is_doubtful_for_every_method() -> None:
    report = lint_network(nn.Sequential(trained_like_resnet(torch.float32), nn.Sigmoid()), waves(4).float())
    doubtful = {one.method for one in report.verdicts if "it is a probability" in "; ".join(one.reasons)}
    assert doubtful == set(METHOD_NAMES)
    assert not {one.method for one in report.verdicts if one.verdict == "safe"}
