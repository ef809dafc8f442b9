"""The verdict on perturbation from stores: what passes, what fails, what can't be told."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from ecg_lightning.experiments.perturbation.checks import comparisons, mean_map_effects
from ecg_lightning.experiments.perturbation.kinds import VERDICT_KIND
from ecg_lightning.runs.run import open_run
from ecg_lightning.runs.target_runs import TargetRuns
from ecg_lightning.storage.store import RowStore, StoreSpec
from ecg_lightning.verdicts.comparison import Comparison
from ecg_lightning.verdicts.decide import decide

NAMES = ("explains", "same_for_all", "random", "absolute_input")
FALLS = {"own": (2.5, 2.5, 0.2, 1.2), "other_ecg": (1.0, 2.5, 0.2, 0.2), "mean_map": (2.5, 2.5, 0.2, 1.2)}
"""By how much the logit of an ECG with the diagnosis falls until the last step, most relevant first."""
STEPS = 4


def curves(fall: float, noise: float, label: np.ndarray, start: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """(ecg, step) logits."""
    share = np.arange(STEPS) / (STEPS - 1)
    size = 1 + 0.2 * random.normal(size=(len(label), 1))
    return start[:, None] + share * (noise * random.normal(size=(len(label), 1)) - fall * size * label[:, None])


def logits(what: str, order: str, label: np.ndarray, seed: int) -> np.ndarray:
    """(ecg, method, step); a map that is the same for all has the same logits whoever's map it is."""
    start = np.random.default_rng(99).normal(size=len(label)) + 2 * label
    found = []
    for place, name in enumerate(NAMES):
        whose = "own" if name == "same_for_all" or what == "mean_map" else what
        random = np.random.default_rng([seed, place, order == "morf", sum(map(ord, whose))])
        found.append(curves(FALLS[what][place] if order == "morf" else 0.0, 0.3, label, start, random))
    return np.stack(found, axis=1)


def write(folder: Path, table: np.ndarray, coords: dict[str, tuple[str, ...] | range]) -> None:
    dims = ("row", *coords)
    spec = StoreSpec(
        dims=dims, shape=table.shape, coords=coords, dtype="float32", unit="logit", settings={}, network="n",
        examples="e",
    )  # fmt: skip
    store = RowStore.create(folder, spec)
    store.write(np.arange(len(table)), table)
    store.merge()
    store.close()


def runs_of(folder: Path, seeds: int, patients: int = 30, kind: str = VERDICT_KIND.name, spoil=None) -> TargetRuns:
    """As many patients with the diagnosis as without it, two ECGs each."""
    n = 4 * patients
    label = (np.arange(n) % 4 < 2).astype(float)
    examples = {"row": range(n), "ecg_id": [f"e{k}" for k in range(n)], "patient_id": [f"p{k // 2}" for k in range(n)]}
    examples |= {"label": label, "age": 50.0, "sex": "female", "source": "s"}
    opened = {}
    for seed in range(seeds):
        run = folder / "runs/s/atrial_fibrillation" / f"seed{seed}"
        run.mkdir(parents=True)
        pd.DataFrame(examples).to_parquet(run / "examples.parquet")
        for order in ("morf", "lerf"):
            own = logits("own", order, label, seed)
            others = np.stack([logits(what, order, label, seed) for what in ("other_ecg", "mean_map")], axis=2)
            if spoil is not None:
                spoil(own)
            coords = {"method": NAMES, "step": range(STEPS)}
            write(run / f"perturbation/{kind}/{order}", own, coords)
            controls = {"method": NAMES, "control": ("other_ecg", "mean_map"), "step": range(STEPS)}
            write(run / f"perturbation/{kind}/controls/{order}", others, controls)
        opened[seed] = open_run(run)
    return TargetRuns.of("atrial_fibrillation", opened)


def slow_abpc(own: np.ndarray, label: np.ndarray) -> float:
    """Of one seed, (order, ecg, step)."""
    morf, lerf = (np.array([roc_auc_score(label, order[:, k]) for k in range(STEPS)]) for order in own)
    return float(np.trapezoid(lerf - morf) / (STEPS - 1))


def one_of(found: list[Comparison], method: str, against: str) -> Comparison:
    return next(one for one in found if (one.method, one.against) == (method, against))


@pytest.mark.parametrize("seeds", [1, 3])
def test_states(tmp_path: Path, seeds: int) -> None:
    table = decide(comparisons(runs_of(tmp_path, seeds))).set_index(["claim", "method"])
    assert table["state"].loc["uses_the_network"].to_dict() == {
        "explains": "passes",
        "same_for_all": "passes",
        "random": "fails",
        "absolute_input": "fails",  # it does not exceed itself, whatever it does beside the random map
    }
    about = table["state"].loc["is_about_this_patient"].to_dict()
    assert about.pop("random") in ("fails", "cannot_tell")
    assert about == {"explains": "passes", "same_for_all": "fails", "absolute_input": "passes"}
    assert table.loc[("is_about_this_patient", "same_for_all"), "why"] == "no_variance"
    assert (table["n_patients"] == 30).all()
    assert (table["n_patients_without"] == 30).all()


def test_the_effect_is_the_difference_of_the_areas(tmp_path: Path) -> None:
    runs = runs_of(tmp_path, 2)
    found = comparisons(runs)
    folder = f"perturbation/{VERDICT_KIND.name}"
    own = np.stack([runs.read(f"{folder}/{order}") for order in ("morf", "lerf")], axis=1)
    others = np.stack([runs.read(f"{folder}/controls/{order}") for order in ("morf", "lerf")], axis=1)
    areas = [np.mean([slow_abpc(seed[:, :, place], runs.label) for seed in own]) for place in range(len(NAMES))]
    of_others = np.mean([slow_abpc(seed[:, :, 0, 0], runs.label) for seed in others])
    one = one_of(found, "explains", "absolute_input")
    assert float(one.effect.estimate) == pytest.approx(areas[0] - areas[3])
    assert one.value == pytest.approx(areas[0])
    assert float(one_of(found, "explains", "other_ecg").effect.estimate) == pytest.approx(areas[0] - of_others)
    means = mean_map_effects(runs)
    expected = areas[0] - np.mean([slow_abpc(seed[:, :, 0, 1], runs.label) for seed in others])
    assert float(means["explains"].estimate) == pytest.approx(expected)
    assert {one.method for one in found if one.method == one.against} == {"random", "absolute_input"}
    itself = one_of(found, "absolute_input", "absolute_input").effect  # so that a control never passes
    assert float(itself.variance) == 0.0
    assert abs(float(itself.estimate)) < 1e-12


def test_both_maps_are_compared_on_the_same_ecgs(tmp_path: Path) -> None:
    def spoil(own: np.ndarray) -> None:
        own[:8, 0] = np.nan  # two patients with the diagnosis and two without
        own[:, 2] = np.nan

    runs = runs_of(tmp_path, 1, spoil=spoil)
    found = comparisons(runs)
    one = one_of(found, "explains", "absolute_input")
    assert (one.n_positive, one.n_negative, one.n_ecgs) == (28, 28, 112)
    own = np.stack([runs.read(f"perturbation/{VERDICT_KIND.name}/{order}")[0] for order in ("morf", "lerf")])
    areas = [slow_abpc(own[:, 8:, place], runs.label[8:]) for place in (0, 3)]
    assert float(one.effect.estimate) == pytest.approx(areas[0] - areas[1])
    assert one.value == pytest.approx(areas[0])
    assert one_of(found, "explains", "random").undefined == "no ECG is ranked by both this map and random"
    assert one_of(found, "random", "absolute_input").undefined == "every map is constant or not finite"


def test_what_was_not_measured_in_blocks_has_no_verdict(tmp_path: Path) -> None:
    runs = runs_of(tmp_path, 1, kind="point_interpolation_multiplicative")
    assert comparisons(runs) == []
    assert mean_map_effects(runs) == {}
