"""Maps of one ECG by networks of different targets, against SciPy and against what random maps must give."""

import shutil
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from changed_stores import rewrite_rows
from scipy import stats
from scipy.signal import savgol_filter

sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks"))

from random_study import write_random_study

from ecg_lightning import open_run
from ecg_lightning.experiments.self_consistency.compare import compare_maps
from ecg_lightning.experiments.self_consistency.other_target_blocks import other_target_words
from ecg_lightning.experiments.self_consistency.other_target_table import other_target_table
from ecg_lightning.experiments.self_consistency.study_results import write_comparison
from ecg_lightning.runs.study_folder import StudyFolder
from ecg_lightning.statistics.interval_settings import IntervalSettings
from ecg_lightning.storage.store import RowStore

A, B = "sinus_rhythm", "atrial_fibrillation"
METHODS = ("saliency", "deeplift")
N_ECGS = 110


@pytest.fixture(scope="module")
def random_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A of seeds 0 and 3, B of seeds 3 and 5: only 3 is common."""
    study = write_random_study(tmp_path_factory.mktemp("runs") / "random", [A], [0, 3], METHODS, N_ECGS)
    return write_random_study(study, [B], [3, 5], METHODS, N_ECGS)


@pytest.fixture
def study(random_study: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    shutil.copytree(random_study, tmp_path / "random")
    return tmp_path / "random"


def compared(study: Path) -> pd.DataFrame:
    others = compare_maps(StudyFolder.open(study), processes=1).others
    assert others is not None
    return other_target_table(others, 0.95).set_index(["target", "other_target", "method", "statistic", "sign"])


def permute(run: Path, order: np.ndarray) -> None:
    """The same ECGs and maps in another order, or some of them in none."""
    table = pd.read_parquet(run / "examples.parquet").iloc[order].reset_index(drop=True)
    table["row"] = np.arange(len(table))
    table.to_parquet(run / "examples.parquet")
    for path in (*run.glob("maps/*"), run / "logits"):
        rewrite_rows(path, np.load(path / "rows.npy")[order])


def smoothed(study: Path, target: str, method: str, seed: int = 3) -> pd.DataFrame:
    """(ecg, point), by ECG id."""
    maps = open_run(study / target / f"seed{seed}").maps[method]
    smooth = savgol_filter(maps.to_numpy().astype(float), 31, 3, axis=-1).reshape(len(maps), -1)
    return pd.DataFrame(smooth, index=maps["ecg_id"].to_numpy())


@pytest.mark.slow
def test_store_and_table_are_what_scipy_says_of_ecgs_joined_by_their_ids(study: Path) -> None:
    order = np.random.default_rng(0).permutation(N_ECGS)
    for seed in (3, 5):
        permute(study / B / f"seed{seed}", order)
    path = study / B / "seed3" / "maps" / METHODS[0]
    shared = np.load(path / "rows.npy")
    shared += smoothed(study, A, METHODS[0]).loc[[f"e{k}" for k in order]].to_numpy().reshape(shared.shape)
    rewrite_rows(path, shared)  # so that there is something to find
    table = compared(study)
    a, b = (smoothed(study, target, METHODS[0]) for target in (A, B))
    for (s, correlate), (k, change) in product(
        enumerate((stats.pearsonr, stats.spearmanr)), enumerate((np.asarray, np.abs))
    ):
        expected = np.array([correlate(change(a.loc[ecg]), change(b.loc[ecg]))[0] for ecg in a.index])
        store = RowStore.open(study / "comparison" / "other_target" / METHODS[0])
        seeds = list(store.spec.coords["seed"])
        np.testing.assert_allclose(store.array[:, s, k, 0, seeds.index(3)], expected, atol=1e-6)
        assert np.isnan(np.delete(store.array, seeds.index(3), axis=-1)).all()
        row = table.loc[A, B, METHODS[0], ("pearson", "spearman")[s], ("native", "absolute")[k]]
        means = pd.Series(expected).groupby(np.arange(N_ECGS) // 5).mean()
        assert row["mean"] == pytest.approx(means.mean(), abs=1e-6)
        half = stats.t.ppf(0.975, len(means) - 1) * stats.sem(means)
        assert row["low"] == pytest.approx(means.mean() - half, abs=1e-6)
        assert row["high"] == pytest.approx(means.mean() + half, abs=1e-6)
        assert row["interval"] == "t over patients: one seed"
    labels = open_run(study / A / "seed3").examples
    assert row["n_patients"] == 22
    assert row["n_patients_with"] == labels.loc[labels["label"] == 1, "patient_id"].nunique()
    assert (row["n_ecgs"], row["n_seeds"], row["n_undefined"]) == (N_ECGS, 1, 0)


def test_independent_maps_agree_by_nothing_and_equal_ones_by_one(study: Path) -> None:
    rewrite_rows(study / B / "seed3/maps/deeplift", np.load(study / A / "seed3/maps/deeplift/rows.npy"))
    table = compared(study)
    assert table.loc[A, B, "saliency", "pearson", "native"]["mean"] == pytest.approx(0.0, abs=0.01)
    assert table.loc[A, B, "deeplift"]["mean"].to_numpy() == pytest.approx(1.0)
    assert table.loc["all", "all", "deeplift", "pearson", "native"]["n_pairs"] == 1


def test_only_shared_ecgs_count_and_a_broken_map_is_counted(study: Path) -> None:
    for seed in (3, 5):
        permute(study / B / f"seed{seed}", np.arange(30, N_ECGS))
    rows = np.load(study / A / "seed3/maps/saliency/rows.npy")
    rows[40] = 0.0
    rewrite_rows(study / A / "seed3/maps/saliency", rows)
    row = compared(study).loc[A, B, "saliency", "pearson", "native"]
    assert (row["n_ecgs"], row["n_undefined"], row["n_patients"]) == (N_ECGS - 31, 1, 16)
    assert row["interval"] == "none: fewer than 20 patients"
    assert np.isnan(row["low"])


@pytest.mark.slow
def test_nothing_is_measured_twice_and_two_processes_give_the_same(study: Path) -> None:
    path = study / "comparison/other_target/saliency/rows.npy"
    compare_maps(StudyFolder.open(study), processes=2)
    before, values = path.stat().st_mtime_ns, np.load(path)
    compare_maps(StudyFolder.open(study), processes=1)
    assert path.stat().st_mtime_ns == before
    shutil.rmtree(study / "comparison")
    compare_maps(StudyFolder.open(study), processes=1)
    np.testing.assert_array_equal(np.load(path), values)


def test_a_method_that_a_target_lacks_is_left_out_and_said(study: Path) -> None:
    for seed in (3, 5):
        shutil.rmtree(study / B / f"seed{seed}/maps/saliency")
    with pytest.warns(UserWarning, match="atrial_fibrillation: saliency is not compared with other targets: it has no"):
        table = compared(study)
    assert set(table.index.get_level_values("method")) == {"deeplift"}


def test_one_seed_each_is_compared_and_targets_without_common_ecgs_are_not(study: Path) -> None:
    shutil.rmtree(study / A / "seed0")
    shutil.rmtree(study / B / "seed5")
    opened = StudyFolder.open(study)
    lines = write_comparison(opened, compare_maps(opened, 1), IntervalSettings())
    assert any("by networks of another target, 1 pairs" in line for line in lines)
    assert (opened.tables / "other_target.parquet").is_file()
    examples = pd.read_parquet(study / B / "seed3/examples.parquet")
    examples["ecg_id"] = "other " + examples["ecg_id"]
    examples.to_parquet(study / B / "seed3/examples.parquet")
    found = compare_maps(opened, 1)
    assert found.others is None
    write_comparison(opened, found, IntervalSettings())
    assert not (opened.tables / "other_target.parquet").is_file()


def test_the_sentence_follows_from_the_numbers() -> None:
    same = pd.Series({"saliency": 0.5, "deeplift": 0.5, "gradcam": 0.1})
    said = other_target_words(same, pd.Series({"saliency": 0.41, "deeplift": 0.39, "gradcam": 0.1}))
    assert "for Saliency: such a map shows the ECG or the architecture" in said
    assert "Nothing can be said of Grad-CAM" in said
    assert "For no method" in other_target_words(same, pd.Series({"saliency": 0.1, "deeplift": 0.3, "gradcam": 0.1}))
    assert "no seeds" in other_target_words(same * np.nan, same)
