"""A method is one file and one line: a tiny one is registered, linted, tuned, drawn, and goes through a run."""

from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from networks import trained_like_resnet, waves
from torch import Tensor, nn

from ecg_lightning.attribution import METHODS, FrozenModel, MethodSet, RandomKey, build_methods, prepare_task
from ecg_lightning.attribution.base import Passes, SinglePassMethod
from ecg_lightning.attribution.budget import BudgetGrid, BudgetLimits
from ecg_lightning.attribution.lint import lint_network
from ecg_lightning.attribution.methods import registered
from ecg_lightning.attribution.sampling import gradients
from ecg_lightning.attribution.style import MethodStyle
from ecg_lightning.method_names import METHOD_CLASSES
from ecg_lightning.plotting.method_style import know_styles, method_place, method_style, own_styles
from ecg_lightning.tuning.measure import tune_methods
from ecg_lightning.tuning.settings import TuningSettings


@dataclass(frozen=True)
class MeanSlope(SinglePassMethod):
    """Mean gradient over a few scaled copies of the ECG.

    Args:
        n_scales: Copies.
    """

    n_scales: int = 2

    name: ClassVar[str] = "mean_slope"
    unit: ClassVar[str] = "logit per mV"
    style: ClassVar[MethodStyle | None] = MethodStyle("Mean slope", "#123456", behind="saliency")
    needs_module_relu: ClassVar[bool] = False

    def passes(self, shape: tuple[int, int], backgrounds: int) -> Passes:
        return Passes(gradient=self.n_scales)

    def budget_grid(self, task: FrozenModel, limits: BudgetLimits) -> BudgetGrid:
        return BudgetGrid("n_scales", (2, 4, 32), "finer")

    def _attribute(self, task: FrozenModel, ecg: Tensor, key: RandomKey) -> Tensor:
        scales = (torch.arange(self.n_scales) + 0.5) / self.n_scales
        return torch.stack([gradients(task, float(scale) * ecg) for scale in scales]).mean(0)


@dataclass(frozen=True)
class MeanSlopeOfModules(MeanSlope):
    """The same, if it hooked ReLUs."""

    name: ClassVar[str] = "mean_slope_of_modules"
    needs_module_relu: ClassVar[bool] = True


class Functional(nn.Module):
    """A network whose ReLU is a function."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(8, 4, 5)

    def forward(self, ecg: Tensor) -> Tensor:
        return self.convolution(ecg).relu().mean((1, 2))


def test_one_line_registers_a_method() -> None:
    found = registered({**METHOD_CLASSES, "mean_slope": f"{__name__}.MeanSlope"})
    assert list(found) == [*METHODS, "mean_slope"]
    assert found["mean_slope"] is MeanSlope
    with pytest.raises(ValueError, match="registered as 'other', but its name is 'mean_slope'"):
        registered({"other": f"{__name__}.MeanSlope"})


@pytest.mark.parametrize("missing", ["name", "unit", "needs_module_relu"])
def test_a_class_that_leaves_a_trait_unsaid_is_refused(missing: str) -> None:
    stated = {"name": "silent", "unit": "logit", "needs_module_relu": False, "_attribute": MeanSlope._attribute}
    del stated[missing]
    kind = type("Silent", (SinglePassMethod,), stated)
    words = rf"the method class .*\.Silent states no `{missing}`: add `{missing}: ClassVar\["
    with pytest.raises(ValueError, match=words):
        build_methods([kind()])
    with pytest.raises(ValueError, match=words):
        build_methods(MethodSet(own=[kind()]))


def test_it_is_linted_by_what_it_states() -> None:
    report = lint_network(Functional(), waves(4).float(), [MeanSlope(), MeanSlopeOfModules()])
    assert [one.verdict for one in report.verdicts] == ["safe", "refused"]
    assert "one nn.ReLU module for each use" in report.verdicts[1].remedy


def test_its_own_budgets_are_searched() -> None:
    task = prepare_task(trained_like_resnet(), waves(4))
    settings = TuningSettings(target_correlation=0.9, n_ecgs=2)
    (found,) = tune_methods([MeanSlope()], task, waves(2), lambda *_: RandomKey(), settings)
    assert (found.argument, found.evidence) == ("n_scales", "finer")
    assert found.status == "chosen"
    assert found.method == MeanSlope(found.curve[-1].value)
    assert found.curve[0].passes == Passes(gradient=2)


def test_it_is_drawn_as_it_states_also_where_only_its_name_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ecg_lightning.plotting.method_style._OWN", {})
    assert method_style("mean_slope").label == "mean slope"  # nobody has said more
    kept = own_styles(build_methods(["saliency", MeanSlope()]))
    assert list(kept) == ["mean_slope"]
    know_styles(kept)
    assert method_style("mean_slope") == MeanSlope.style
    order = sorted(["random", "mean_slope", "smoothgrad", "saliency", "a_method"], key=method_place)
    assert order == ["saliency", "mean_slope", "smoothgrad", "a_method", "random"]
    know_styles({"saliency": {"label": "other", "colour": "#000000"}})
    assert method_style("saliency").label == "Saliency"
    with pytest.raises(ValueError, match="needs a colour such as #08519c"):
        know_styles({"mean_slope": {"label": "x", "colour": "red; evil"}})


def test_the_frozen_model_may_be_passed_by_its_earlier_name() -> None:
    torch.manual_seed(0)
    ecg, keys = torch.randn(2, 8, 600), [RandomKey(ecg_id=name) for name in "ab"]
    model = prepare_task(trained_like_resnet(torch.float32), torch.randn(4, 8, 600))
    method = METHODS["saliency"]()
    for old, new in (
        (lambda: method(task=model, ecg=ecg, keys=keys), lambda: method(model=model, ecg=ecg, keys=keys)),
        (lambda: method.explain(task=model, ecg=ecg, keys=keys).maps, lambda: method.explain(model, ecg, keys).maps),
        (lambda: gradients(task=model, points=ecg), lambda: gradients(model, ecg)),
    ):
        with pytest.warns(DeprecationWarning, match="the argument task is now called model"):
            assert torch.equal(old(), new())
