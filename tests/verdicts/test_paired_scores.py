"""Two claims from scores of single ECGs: pairs, patients, and the states that follow from known scores."""

import numpy as np
import pandas as pd

from ecg_lightning.attribution.controls import CONTROLS
from ecg_lightning.runs.target_runs import TargetRuns
from ecg_lightning.statistics.effect import mean_effect
from ecg_lightning.verdicts.decide import decide
from ecg_lightning.verdicts.paired_scores import PairedScores

NAMES = ("finds", "same_for_all", "sometimes_zero", *CONTROLS)
PATIENTS, SEEDS = 40, 3


def scores() -> PairedScores:
    """Two ECGs a patient; ``finds`` is better by .1, noise is noise, and half of the maps of one method are zero."""
    rng = np.random.default_rng(0)
    ecgs = 2 * PATIENTS
    own, other = (0.5 + 0.02 * rng.standard_normal((SEEDS, ecgs, len(NAMES))) for _ in range(2))
    own[:, :, 0] += 0.1
    own[:, :, 1] = other[:, :, 1] = own[:, :, 1] + 0.1
    own[:, ::2, 2], own[:, 1::2, 3:] = np.nan, own[:, 1::2, 3:] - 0.3  # controls are bad where the map is there
    examples = pd.DataFrame({"patient_id": np.repeat([f"p{k}" for k in range(PATIENTS)], 2), "label": 1.0})
    runs = TargetRuns("atrial_fibrillation", {}, examples, np.zeros((SEEDS, ecgs), dtype=np.int64))
    return PairedScores(runs, NAMES, own, {"other_ecg": other}, np.ones(ecgs, dtype=np.bool_))


def test_states_follow_from_the_scores() -> None:
    table = decide(scores().comparisons("localization")).set_index(["claim", "method"])["state"]
    assert table["uses_the_network", "finds"] == table["is_about_this_patient", "finds"] == "passes"
    assert table["uses_the_network", "same_for_all"] == "passes"
    assert table["is_about_this_patient", "same_for_all"] == "fails"  # a difference of exactly 0
    for name in ("random", "smoothed_random"):
        assert "passes" not in (table["uses_the_network", name], table["is_about_this_patient", name])


def test_a_method_is_compared_on_the_ecgs_that_it_has_a_map_of() -> None:
    one = scores()
    found = {(c.method, c.against): c for c in one.comparisons("localization")}
    pair = found["sometimes_zero", "random"]
    gap = (one.own[:, 1::2, 2] - one.own[:, 1::2, 3]).T  # (patient, seed): the second ECG of each
    expected = mean_effect(gap)
    np.testing.assert_allclose(pair.effect.estimate, expected.estimate, rtol=1e-12)
    np.testing.assert_allclose(pair.effect.variance, expected.variance, rtol=1e-12)
    assert (pair.n_positive, pair.n_ecgs, int(pair.effect.n_left_out)) == (PATIENTS, PATIENTS, 0)
    both = found["finds", "random"]
    means = (one.own[:, :, 0] - one.own[:, :, 3]).reshape(SEEDS, PATIENTS, 2).mean(2).T  # a patient's ECGs first
    np.testing.assert_allclose(both.effect.variance, mean_effect(means).variance, rtol=1e-12)
    assert both.n_ecgs == 2 * PATIENTS
    assert {c.method for c in found.values() if c.method == c.against} == set(CONTROLS) & set(one.names)
