"""The verdict on whether seeds agree, of maps whose agreement is known."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from changed_stores import rewrite_rows

sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks"))

from random_study import write_random_study

from ecg_lightning import open_run
from ecg_lightning.experiments.self_consistency.checks import comparisons
from ecg_lightning.experiments.self_consistency.compare import compare_maps
from ecg_lightning.runs.study_folder import StudyFolder
from ecg_lightning.runs.target_runs import TargetRuns
from ecg_lightning.verdicts.comparison import Comparison
from ecg_lightning.verdicts.decide import decide

TARGET = "sinus_rhythm"
SEEDS = (0, 1, 2)
METHODS = ("saliency", "deeplift")
N_ECGS = 160


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seeds share half of saliency's maps; those of deeplift are the seed's and the same for all ECGs."""
    folder = write_random_study(tmp_path_factory.mktemp("runs") / "random", (TARGET,), SEEDS, METHODS, N_ECGS)
    for seed in SEEDS:
        path = folder / TARGET / f"seed{seed}" / "maps" / "deeplift"
        rows = np.load(path / "rows.npy")
        rows[:] = rows[0]
        rewrite_rows(path, rows)
    compare_maps(StudyFolder.open(folder), processes=1)
    return folder


def compared(study: Path, seeds: tuple[int, ...] = SEEDS) -> dict[str, Comparison]:
    runs = TargetRuns.of(TARGET, {seed: open_run(study / TARGET / f"seed{seed}") for seed in seeds})
    return {one.method: one for one in comparisons(runs, study / "comparison")}


def test_what_seeds_share_passes_and_one_map_for_all_patients_fails(study: Path) -> None:
    found = compared(study)
    assert list(found) == list(METHODS)
    assert float(found["saliency"].effect.estimate) == pytest.approx(0.5, abs=0.03)
    assert float(found["deeplift"].effect.estimate) == pytest.approx(0.0, abs=1e-6)
    assert found["deeplift"].value == pytest.approx(0.5, abs=0.15)  # seeds agree, on nothing about the patient
    assert found["saliency"].n_positive >= 20
    table = decide(found.values()).set_index("method")
    assert table["state"].to_dict() == {"saliency": "passes", "deeplift": "fails"}
    assert set(table["networks"]) == {"these_networks"}
    assert table.loc["saliency", "low"] < 0.5 < table.loc["saliency", "high"]


def test_noise_that_is_known_is_taken_out_of_the_difference(study: Path, tmp_path: Path) -> None:
    """Reliabilities of .8 turn the half that seeds share into five eighths."""
    shutil.copytree(study, tmp_path / "random")
    for seed in SEEDS:
        run = tmp_path / "random" / TARGET / f"seed{seed}"
        shutil.copytree(run / "logits", run / "reliability" / "saliency")
        rewrite_rows(run / "reliability" / "saliency", np.full(N_ECGS, 0.8, dtype=np.float32))
    plain, corrected = compared(study)["saliency"], compared(tmp_path / "random")["saliency"]
    assert float(corrected.effect.estimate) == pytest.approx(float(plain.effect.estimate) / 0.8, rel=1e-6)
    assert float(corrected.effect.variance) == pytest.approx(float(plain.effect.variance) / 0.64, rel=1e-6)


def test_two_seeds_can_t_tell_and_no_floor_is_not_measured(study: Path, tmp_path: Path) -> None:
    two = tmp_path / "two"
    shutil.copytree(study, two)
    shutil.rmtree(two / TARGET / "seed2")
    assert compared(two, SEEDS[:2]) == {}  # compared when there were three
    compare_maps(StudyFolder.open(two), processes=1)
    table = decide(compared(two, SEEDS[:2]).values())
    assert set(table["state"]) == {"cannot_tell"}
    assert set(table["reason"]) == {"two seeds are a single pair, which says nothing of other seeds"}
    shutil.rmtree(two / "comparison" / TARGET / "self_consistency_floor")
    assert compared(two, SEEDS[:2]) == {}
