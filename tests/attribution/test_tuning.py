"""Tuning without a run: budget grids, the rule of choice, methods that need care, and the config that comes out."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from networks import LinearReadout, trained_like_resnet, waves
from torch import Tensor

from callbacks import AttributionMaps
from ecg_lightning.attribution import AttributionMethod, FrozenModel, RandomKey, prepare_task
from ecg_lightning.attribution.base import Attribution, Passes
from ecg_lightning.attribution.budget import BudgetGrid, sample_counts
from ecg_lightning.attribution.cost import PassSeconds
from ecg_lightning.attribution.methods import (
    METHODS,
    DeepLiftShap,
    GradientShap,
    IgSmoothGrad,
    IntegratedGradients,
    Saliency,
    ShapleySampling,
    SmoothGrad,
)
from ecg_lightning.tuning.budget_curves import squared_correlation
from ecg_lightning.tuning.config import MAPS, methods_config, without_defaults
from ecg_lightning.tuning.measure import TunedMethod, search, tune_methods
from ecg_lightning.tuning.results import curve_frame, summaries, warnings_of
from ecg_lightning.tuning.settings import TuningSettings

QUICK = TuningSettings(target_correlation=0.9, n_ecgs=3, max_samples=64, max_steps=12)


@pytest.fixture(scope="module")
def task() -> FrozenModel:
    return prepare_task(trained_like_resnet(), waves(4, seed=5))


def key(method: str, number: int) -> RandomKey:
    return RandomKey(method=method, ecg_id=f"ecg{number}")


def tune(method: AttributionMethod, task: FrozenModel, settings: TuningSettings = QUICK, **more: Any) -> Any:
    (found,) = tune_methods([method], task, waves(settings.n_ecgs, seed=8), key, settings, **more)
    return found


@dataclass(frozen=True)
class Scripted(AttributionMethod):
    """A stochastic method of one's own."""

    name = "scripted"
    unit = "mV"
    needs_module_relu = False
    stochastic = True

    def passes(self, shape: tuple[int, int], backgrounds: int) -> Passes:
        return Passes(forward=3)

    def _attribute(self, task: FrozenModel, ecg: Tensor, key: RandomKey) -> Tensor:
        return ecg

    def _explain(self, task: FrozenModel, ecg: Tensor, key: RandomKey) -> Attribution:
        return Attribution(ecg, 0.64)


class Given:
    """Curves whose reliabilities are given, and how many of them were asked for."""

    def __init__(self, *rows: Sequence[float]) -> None:
        self.rows, self.asked = rows, 0

    def __iter__(self) -> Iterator[Iterator[float]]:
        return iter([self._one(row) for row in self.rows])

    def _one(self, row: Sequence[float]) -> Iterator[float]:
        for value in row:
            self.asked += 1
            if value < 0:
                raise ValueError("not this ECG")
            yield value


def search_given(method: AttributionMethod, task: FrozenModel, given: Given) -> TunedMethod:
    values = tuple(8 * (1 + place) for place in range(len(given.rows[0])))
    return search(method, BudgetGrid("n_samples", values), list(given), task, QUICK)


@pytest.mark.parametrize(
    ("unit", "bound", "expected"),
    [
        (4, 128, (8, 16, 32, 48, 64, 96, 128)),
        (4, 200, (8, 16, 32, 48, 64, 96, 128, 192)),
        (20, 1000, (40, 80, 160, 240, 320, 480, 640, 960)),
        (5, 80, (10, 20, 40, 60, 80)),
        (20, 30, (30,)),
    ],
)
def test_the_grid_fills_all_groups_evenly_up_to_the_bound(unit: int, bound: int, expected: tuple[int, ...]) -> None:
    assert sample_counts(unit, bound, 4) == expected


def test_a_setting_needs_the_median_with_a_margin_and_the_lowest_decile() -> None:
    settings = TuningSettings(target_correlation=0.99)
    assert settings.wanted_median == pytest.approx(0.993)
    assert settings.wanted_lowest == pytest.approx(0.985)
    assert settings.reached(np.array([0.986, 0.994, 0.996]))
    assert not settings.reached(np.array([0.986, 0.992, 0.996]))  # the margin is missing
    assert not settings.reached(np.array([0.90, 0.994, 0.996]))  # an ECG is far off
    assert settings.reached(np.array([np.nan, 0.994, 0.996]))  # a constant map has no correlation, and no vote
    assert not settings.reached(np.array([np.nan, np.nan]))


@pytest.mark.parametrize("wrong", [{"target_correlation": 1.0}, {"target_correlation": 0.0}, {"n_ecgs": 1}])
@pytest.mark.parametrize("more", [{}, {"max_steps": 64}])
def test_settings_that_cannot_be_are_refused(wrong: dict[str, Any], more: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=rf"tune\.{next(iter(wrong))} must be"):
        TuningSettings(**wrong, **more)


def test_the_search_ends_with_the_first_setting_that_is_enough(task: FrozenModel) -> None:
    given = Given([0.2, 0.9, 0.99], [0.3, 0.95, 0.99])
    found = search_given(SmoothGrad(), task, given)
    assert (found.status, found.changes, found.method) == ("chosen", {"n_samples": 16}, SmoothGrad(16))
    assert given.asked == 4  # the third budget is not measured
    far = search_given(SmoothGrad(), task, Given([0.2, 0.3], [0.3, 0.4]))
    assert (far.status, far.method) == ("bound", SmoothGrad(16))


def test_constant_maps_keep_the_setting_and_a_failing_ecg_costs_no_other(task: FrozenModel) -> None:
    constant = search_given(SmoothGrad(40), task, Given([math.nan, 0.9], [math.nan, 0.9]))
    assert (constant.status, constant.changes, constant.method) == ("constant", {}, SmoothGrad(40))
    with pytest.warns(
        UserWarning, match=r"failed on ECG 2 in the order of tune.parquet, which is left out: ValueError: not this ECG"
    ):
        one = search_given(SmoothGrad(), task, Given([0.2, 0.9], [0.3, -1.0]))
    assert one.status == "chosen"
    assert np.isnan(one.curve[1].reliability[1])
    (numbers,) = summaries([constant], task, 10, PassSeconds(1.0, 2.0))
    assert numbers.seconds == pytest.approx(10 * 40 * 2.0)
    assert list(warnings_of([numbers], QUICK)) == [
        "smoothgrad: no ECG's map varies, so that it has no correlation; its setting is kept"
    ]


def test_the_curve_is_the_reliability_of_maps_with_that_setting(task: FrozenModel) -> None:
    found = tune(SmoothGrad(target_correlation=0.5), task, replace(QUICK, target_correlation=0.999))
    assert [point.value for point in found.curve] == [8, 16, 32, 48, 64]
    assert found.changes == {"n_samples": 64, "target_correlation": None}
    assert found.method == SmoothGrad(64)
    alone = SmoothGrad(32).explain(task, waves(3, seed=8), [key("smoothgrad", number) for number in range(3)])
    np.testing.assert_allclose(found.curve[2].reliability, alone.reliability)
    assert found.curve[2].passes == Passes(gradient=32)


def test_integrated_gradients_are_compared_with_a_finer_quadrature(task: FrozenModel) -> None:
    found = tune(IntegratedGradients(), task, replace(QUICK, target_correlation=0.99999))
    assert [point.value for point in found.curve] == [3, 4, 6, 8, 12]
    ecg, no_key = waves(3, seed=8), [RandomKey()] * 3
    fine, coarse = (IntegratedGradients(n_steps)(task, ecg, no_key).numpy() for n_steps in (48, 4))
    expected = [
        squared_correlation(torch.tensor(a[None]), torch.tensor(b[None])) for a, b in zip(coarse, fine, strict=True)
    ]
    np.testing.assert_allclose(found.curve[1].reliability, expected)
    linear = prepare_task(LinearReadout(), waves(4))
    exact = tune(IntegratedGradients(), linear)
    assert (exact.status, exact.changes) == ("chosen", {"n_steps": 3})
    assert exact.curve[0].median == pytest.approx(1.0)


def test_deeplift_shap_is_measured_and_its_backgrounds_stay(task: FrozenModel) -> None:
    more = waves(16, seed=5)
    more[:4] = task.backgrounds
    found = tune(DeepLiftShap(), task, more=more)
    assert (found.status, found.argument, found.changes, found.method) == ("kept", "backgrounds", {}, DeepLiftShap())
    assert [point.value for point in found.curve] == [2, 4]
    assert [point.passes.gradient for point in found.curve] == [2, 4]
    wide = DeepLiftShap()(replace(task, backgrounds=more), waves(3, seed=8)[:1], [RandomKey()])
    own = DeepLiftShap()(task, waves(3, seed=8)[:1], [RandomKey()])
    assert found.curve[1].reliability[0] == pytest.approx(squared_correlation(own, wide))
    assert tune(DeepLiftShap(), task).status == "exact"


def test_shapley_values_are_searched_in_forwards_or_permutations(task: FrozenModel) -> None:
    few = replace(QUICK, n_ecgs=2, target_correlation=1 - 1e-12, max_forwards=300)
    found = tune(ShapleySampling(group_samples=100), task, few)  # 48 groups
    assert [point.value for point in found.curve] == [188, 282, 300]
    assert found.changes == {"n_forwards": 300}
    alone = ShapleySampling(n_forwards=282, group_samples=100).explain(
        task, waves(2, seed=8), [key("shapley_sampling", number) for number in range(2)]
    )
    np.testing.assert_allclose(found.curve[1].reliability, alone.reliability)
    found = tune(ShapleySampling("antithetic", group_samples=300), task, replace(few, max_forwards=16 * 18))
    assert [point.value for point in found.curve] == [8, 16, 18]
    assert found.changes == {"n_permutations": 18}
    every = tune(ShapleySampling(group_samples=600, n_forwards=256), task, few)  # all coalitions of 8 groups
    assert (every.status, every.curve) == ("exact", ())


def test_a_method_of_ones_own_is_measured_as_it_is(task: FrozenModel) -> None:
    found = tune(Scripted(), task)
    assert (found.status, found.changes) == ("kept", {})
    assert found.curve[0].median == pytest.approx(0.8)
    assert tune(Saliency(), task).status == "exact"
    assert Saliency().budget_grid(task, QUICK.limits(0)) is None


def test_the_configuration_holds_what_was_found_and_what_differs_from_defaults(task: FrozenModel) -> None:
    methods = [SmoothGrad(target_correlation=0.9, noise=0.2), Saliency(), IgSmoothGrad(), Scripted()]
    tuned = tune_methods(methods, task, waves(2), key, QUICK)
    found = summaries(tuned, task, 100, PassSeconds(0.001, 0.002))
    name = "ecg_lightning.attribution.methods."
    scripted = f"{Scripted.__module__}.Scripted"
    listed = [
        {"class_path": f"{name}SmoothGrad", "init_args": {"target_correlation": 0.9, "noise": 0.2}},
        {"class_path": f"{name}Saliency", "init_args": {"absolute": True}},
        "ig_smoothgrad",
        {"class_path": scripted},
    ]
    arguments = {
        "methods": listed,
        "controls": ["random", "smoothed_random", "absolute_input", "absolute_slope"],
        "attribution_seed": 7,
        "on_mismatch": "replace",
    }
    maps = {"class_path": MAPS, "init_args": arguments}
    text = methods_config(maps, tuned, found, "first\n\nlast")
    assert f"callbacks.{AttributionMaps.__name__}" == MAPS
    assert text.startswith("# first\n#\n# last\nmaps:\n")
    read = yaml.safe_load(text)["maps"]
    assert set(read) == {"attribution_seed", "methods"}
    chosen = {key: settings for key, settings in read["methods"].items() if settings is not None}
    assert list(chosen) == ["saliency", "smoothgrad", "ig_smoothgrad", "own"]  # in the paper's order
    assert chosen.pop("own") == [{"class_path": scripted}]
    assert [METHODS[key](**chosen[key]) for key in ("smoothgrad", "saliency", "ig_smoothgrad")] == [
        one.method for one in tuned[:3]
    ]
    assert chosen["smoothgrad"]["noise"] == 0.2
    with pytest.raises(ValueError, match="expected the 4 methods of the configuration, got 1"):
        methods_config(maps, tuned[:1], found[:1], "")


def test_a_set_and_a_list_of_the_same_methods_are_written_alike(task: FrozenModel) -> None:
    methods = [SmoothGrad(noise=0.2), GradientShap()]
    tuned = tune_methods(methods, task, waves(2), key, QUICK)
    found = summaries(tuned, task, 100, PassSeconds(0.001, 0.002))
    entries = [{"class_path": f"ecg_lightning.attribution.methods.{type(one).__name__}"} for one in methods]
    entries[0]["init_args"] = {"noise": 0.2}  # type: ignore[assignment]
    several = dict.fromkeys(METHODS) | dict(zip(("smoothgrad", "gradient_shap"), entries, strict=True))
    as_set = {"class_path": "ecg_lightning.attribution.MethodSet", "init_args": several}
    texts = [
        methods_config({"class_path": MAPS, "init_args": {"methods": one}}, tuned, found, "")
        for one in (as_set, entries)
    ]
    assert texts[0] == texts[1]


def test_defaults_of_a_class_are_left_out() -> None:
    entry = {"class_path": "ecg_lightning.attribution.methods.SmoothGrad", "init_args": {"n_samples": 64, "noise": 0.3}}
    assert without_defaults(entry)["init_args"] == {"noise": 0.3}


def test_an_exact_method_has_no_rows_and_a_whole_correlation(task: FrozenModel) -> None:
    tuned = tune_methods([Saliency()], task, waves(2), key, QUICK)
    assert curve_frame(tuned, ["a", "b"], [0.0, 1.0]).empty
    (numbers,) = summaries(tuned, task, 7, PassSeconds(1.0, 2.0))
    assert (numbers.median, numbers.setting, numbers.seconds) == (1.0, "exact", 14.0)
