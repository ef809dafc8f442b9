"""The perturbation's verdict on measurements: its effect, how often it passes by chance, and whether it finds merit."""

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from ecg_lightning.data.targets import TargetInfo, meet
from ecg_lightning.experiments.perturbation.checks import comparisons, mean_map_effects
from ecg_lightning.experiments.perturbation.kinds import VERDICT_KIND
from ecg_lightning.experiments.perturbation.scores import prediction_deviation, relative_change
from ecg_lightning.runs.target_runs import TargetRuns
from ecg_lightning.verdicts.decide import decide
from ecg_lightning.verdicts.words import sentence

NAMES = ("saliency", "random")
FOLDER = f"perturbation/{VERDICT_KIND.name}"
STEPS = 6


class Perturbed(TargetRuns):
    """Runs whose stores are given as arrays."""

    stores: dict[str, NDArray[np.float64]]

    def has(self, store: str) -> bool:
        return store in self.stores

    def read(self, store: str) -> NDArray[np.float64]:
        return self.stores[store]

    def coordinate(self, store: str, dim: str) -> tuple[str, ...]:
        return {"method": NAMES, "control": ("other_ecg", "mean_map"), "step": tuple(map(str, range(STEPS)))}[dim]


@pytest.fixture(autouse=True)
def _potassium() -> None:
    meet(TargetInfo("potassium_of_a_test", kind="regression", unit="mmol/l"))


def study(seed: int, merit: float, patients: int = 40, seeds: int = 1) -> Perturbed:
    """Predictions that every step changes by as much for all maps, but ``merit`` more for the first one's own."""
    rng = np.random.default_rng(seed)
    untouched = rng.standard_normal((seeds, patients))
    size = rng.exponential(0.4, patients)  # how much an ECG's prediction moves at all: patients differ

    def outputs(more: float) -> NDArray[np.float64]:
        noise = rng.standard_normal((seeds, patients, STEPS)) * 0.3 * size[:, None]
        change = size[:, None] * np.linspace(0, 1, STEPS) + noise + more
        change[..., 0] = 0.0
        return untouched[..., None] + change * rng.choice([-1.0, 1.0], (seeds, patients, 1))

    own = np.stack([outputs(merit), outputs(0.0)], axis=2)
    of_others = np.stack([np.stack([outputs(0.0), outputs(0.0)], axis=2) for _ in range(2)], axis=3)
    examples = pd.DataFrame({"patient_id": [f"p{k}" for k in range(patients)], "label": np.nan})
    runs = Perturbed("potassium_of_a_test", {}, examples, np.zeros((seeds, patients), dtype=np.int64))
    object.__setattr__(runs, "stores", {f"{FOLDER}/morf": own, f"{FOLDER}/controls/morf": of_others})
    return runs


def test_the_effect_is_the_mean_change_in_deviations_of_the_predictions() -> None:
    runs = study(0, 0.2)
    found = {(one.method, one.against): one for one in comparisons(runs)}
    outputs = runs.read(f"{FOLDER}/morf")[0]
    deviation = outputs[:, 0, 0].std()
    change = np.abs(outputs - outputs[:, :, :1]) / deviation
    height = np.trapezoid(change, axis=-1) / (STEPS - 1)
    assert found["saliency", "random"].effect.estimate == pytest.approx((height[:, 0] - height[:, 1]).mean())
    assert found["saliency", "random"].value == pytest.approx(height[:, 0].mean())
    assert found["saliency", "random"].n_positive == 40  # no ECG has a label, and none is needed
    assert found["saliency", "random"].margin.unit == "SD of the predictions"
    assert {one.against for one in comparisons(runs)} == {"random", "other_ecg"}
    assert set(mean_map_effects(runs)) == set(NAMES)


def test_a_network_s_own_deviation_is_its_yardstick() -> None:
    outputs = study(1, 0.0, seeds=2).read(f"{FOLDER}/morf")
    outputs[1] *= 7.0
    deviation = prediction_deviation(outputs)
    assert deviation.shape == (2,)
    np.testing.assert_allclose(deviation, outputs[:, :, 0, 0].std(axis=1))
    outputs[0, 0] = np.nan  # an ECG that no map ranks
    assert np.isfinite(prediction_deviation(outputs)).all()
    assert np.isnan(relative_change(outputs, deviation)[0, 0]).all()
    assert np.isnan(prediction_deviation(np.ones((1, 4, 2, STEPS)))).all()  # a network that says the same of all


@pytest.mark.parametrize("seeds", [1, 3])
def test_without_merit_few_pass_and_with_it_most_do(seeds: int) -> None:
    states = {merit: [] for merit in (0.0, 0.25)}
    for merit, found in states.items():
        for number in range(200):
            table = decide(comparisons(study(number, merit, seeds=seeds))).set_index(["claim", "method"])["state"]
            found.append([table[claim, "saliency"] for claim in ("uses_the_network", "is_about_this_patient")])
    by_chance = (np.array(states[0.0]) == "passes").mean(axis=0)
    assert (by_chance <= 0.06).all(), by_chance  # nominal .025; 200 studies: .06 is three deviations above
    assert ((np.array(states[0.25]) == "passes").mean(axis=0) > 0.8).all()


def test_the_sentence_names_the_change_and_no_diagnosis() -> None:
    table = decide(comparisons(study(3, 0.6)))
    row = table[(table["method"] == "saliency") & (table["claim"] == "uses_the_network")].iloc[0]
    words = sentence(row)
    assert words.startswith("The mean change of the prediction, the most relevant perturbed first, is 0.")
    assert " SD above that of a random map (95 % interval " in words
    assert "40 patients; this network): passes." in words
    few = decide(comparisons(study(3, 0.6, patients=12))).iloc[0]
    assert "can't tell, fewer than 20 patients." in sentence(few)
