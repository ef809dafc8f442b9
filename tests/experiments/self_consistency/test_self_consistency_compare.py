"""Self-consistency over seeds, from stores whose answer is known or is computed again slowly."""

import shutil
import sys
from itertools import combinations
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
from ecg_lightning.experiments.self_consistency.agreement_tables import network_table, rank_table
from ecg_lightning.experiments.self_consistency.compare import compare_maps
from ecg_lightning.experiments.self_consistency.floor_partners import predicted_class
from ecg_lightning.experiments.self_consistency.measure import kendall_w, seed_pairs
from ecg_lightning.experiments.self_consistency.tables import consistency_table
from ecg_lightning.runs.study_folder import StudyFolder
from ecg_lightning.statistics.interval_settings import IntervalSettings
from ecg_lightning.storage.atomic import write_json_atomic
from ecg_lightning.storage.store import RowStore

TARGETS = ("sinus_rhythm", "atrial_fibrillation")
METHODS = ("saliency", "deeplift")
SEEDS = (0, 3, 5)
N_ECGS = 13
SETTINGS = IntervalSettings()
PATIENTS = np.arange(N_ECGS) // 5


@pytest.fixture(scope="module")
def random_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_study(tmp_path_factory.mktemp("runs") / "random", TARGETS, SEEDS, METHODS, N_ECGS)


@pytest.fixture
def study(random_study: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    shutil.copytree(random_study, tmp_path / "random")
    return tmp_path / "random"


def slow(study: Path, target: str, method: str, correlate) -> np.ndarray:
    """(ecg, pair), as SciPy says."""
    smooth = smoothed(study, target, method)
    return np.array([[correlate(a[k], b[k])[0] for a, b in combinations(smooth, 2)] for k in range(N_ECGS)])


def smoothed(study: Path, target: str, method: str) -> list[np.ndarray]:
    """(ecg, point) of every seed."""
    maps = [open_run(study / target / f"seed{seed}").maps[method].to_numpy().astype(float) for seed in SEEDS]
    return [savgol_filter(one, 31, 3, axis=-1).reshape(N_ECGS, -1) for one in maps]


def patients_first(values: np.ndarray) -> float:
    """Mean over patients of the mean over their ECGs and pairs."""
    return np.mean([values[patient == PATIENTS].mean() for patient in np.unique(PATIENTS)])


def native(found, target: str = TARGETS[0]) -> pd.DataFrame:
    table = consistency_table(found.targets, SETTINGS)
    chosen = (table["statistic"] == "pearson") & (table["sign"] == "native") & (table["target"] == target)
    return table[chosen].set_index("method")


def test_stores_and_table_are_what_scipy_says(study: Path) -> None:
    found = compare_maps(StudyFolder.open(study), processes=1)
    assert [one.target for one in found.targets] == list(TARGETS)
    table = consistency_table(found.targets, SETTINGS).set_index(["target", "method", "statistic", "sign"])
    for target, method in ((TARGETS[0], METHODS[1]), (TARGETS[1], METHODS[0])):
        store = RowStore.open(study / "comparison" / target / "self_consistency" / method)
        for index, correlate in enumerate((stats.pearsonr, stats.spearmanr)):
            expected = slow(study, target, method, correlate)
            np.testing.assert_allclose(store.array[:, index, 0], expected, atol=1e-6)
            row = table.loc[target, method, ("pearson", "spearman")[index], "native"]
            assert row["mean"] == pytest.approx(patients_first(expected), abs=1e-6)
            assert row["mean_over_ecgs"] == pytest.approx(expected.mean(), abs=1e-6)
            assert row["mean_fisher_z"] == pytest.approx(np.tanh(patients_first(np.arctanh(expected))), abs=1e-6)
            assert row["sd"] == pytest.approx(expected.std(), abs=1e-6)
            assert row["lowest_pair"] == pytest.approx(expected.mean(axis=0).min(), abs=1e-6)
    means = [patients_first(slow(study, target, METHODS[0], stats.pearsonr)) for target in TARGETS]
    overall = table.loc["all", METHODS[0], "pearson", "native"]
    assert overall["mean"] == pytest.approx(np.mean(means), abs=1e-6)
    assert overall["sd"] == pytest.approx(np.std(means), abs=1e-6)
    assert overall["interval"] == "none: several classes"


def test_the_floor_is_the_same_seeds_maps_of_other_patients_predicted_alike(study: Path) -> None:
    found = compare_maps(StudyFolder.open(study), processes=1)
    partners = pd.read_parquet(study / "comparison" / TARGETS[0] / "partners.parquet")
    smooth = smoothed(study, TARGETS[0], METHODS[0])
    logits = [open_run(study / TARGETS[0] / f"seed{seed}").logits.to_numpy() for seed in SEEDS]
    expected = np.full((N_ECGS, 3), np.nan)
    for place, (a, b) in enumerate(combinations(range(3), 2)):
        own = partners[partners["pair"] == f"{SEEDS[a]}-{SEEDS[b]}"].set_index("row")
        for ecg, other in own["partner_row"].items():
            classes = [int(logits[seed][one] >= 0) for seed in (a, b) for one in (ecg, max(other, 0))]
            assert own.loc[ecg, "agreed"] == (classes[0] if classes[0] == classes[2] else -1)
            if other >= 0:
                assert len(set(classes)) == 1
                assert PATIENTS[other] != PATIENTS[ecg]
                across = [stats.pearsonr(smooth[x][ecg], smooth[y][other])[0] for x, y in ((a, b), (b, a))]
                expected[ecg, place] = np.mean(across)
    assert np.isfinite(expected).mean() > 0.5
    np.testing.assert_allclose(found.targets[0].floor[METHODS[0]].array[:, 0, 0], expected, atol=1e-6)
    row = native(found).loc[METHODS[0]]
    assert row["n_disagreeing"] == (partners["agreed"] < 0).sum()
    assert row["n_without_partner"] == ((partners["agreed"] >= 0) & (partners["partner_row"] < 0)).sum()
    assert row["n_disagreeing"] + row["n_without_partner"] == np.isnan(expected).sum()


def test_the_share_that_seeds_have_in_common_stands_above_a_floor_of_nothing(study: Path) -> None:
    found = compare_maps(StudyFolder.open(study), processes=1)
    for target in TARGETS:
        rows = native(found, target)
        assert rows["mean"].to_numpy() == pytest.approx(0.5, abs=0.05)
        assert rows["floor"].to_numpy() == pytest.approx(0.0, abs=0.03)
        assert rows["corrected_above_floor"].to_numpy() == pytest.approx(0.5, abs=0.05)
        assert rows["n_patients"].tolist() == [3, 3]
        assert set(rows["interval"]) == {"none: fewer than 20 patients"}
        assert rows[["low", "high", "corrected_low", "corrected_high"]].isna().all(axis=None)


def test_a_map_that_is_the_same_for_all_patients_is_not_above_its_floor(study: Path) -> None:
    for seed in SEEDS:
        path = study / TARGETS[0] / f"seed{seed}" / "maps" / METHODS[0]
        rows = np.load(path / "rows.npy")
        rows[:] = rows[0]
        rewrite_rows(path, rows)
    row = native(compare_maps(StudyFolder.open(study), processes=1)).loc[METHODS[0]]
    assert row["floor"] == pytest.approx(row["mean_matched"], abs=0.05)
    assert row["mean"] == pytest.approx(0.5, abs=0.15)
    assert row["corrected_above_floor"] == pytest.approx(0.0, abs=1e-7)


def test_classes_are_those_of_each_run_s_threshold(study: Path) -> None:
    run = open_run(study / TARGETS[0] / "seed0")
    logits, rows = run.logits.to_numpy(), np.arange(N_ECGS)
    np.testing.assert_array_equal(predicted_class(run, rows), logits >= 0)
    write_json_atomic(run.path / "metrics.json", {"threshold": {"value": 0.9}})
    np.testing.assert_array_equal(predicted_class(run, rows[::-1]), (logits >= np.log(9))[::-1])


def test_a_comparison_without_floors_gets_them_and_keeps_the_rest(study: Path) -> None:
    folder = study / "comparison" / TARGETS[0]
    compare_maps(StudyFolder.open(study), processes=1)
    floor = np.load(folder / "self_consistency_floor" / METHODS[0] / "rows.npy")
    shutil.rmtree(folder / "self_consistency_floor")
    before = (folder / "self_consistency" / METHODS[0] / "rows.npy").stat().st_mtime_ns
    compare_maps(StudyFolder.open(study), processes=1)
    assert (folder / "self_consistency" / METHODS[0] / "rows.npy").stat().st_mtime_ns == before
    np.testing.assert_array_equal(np.load(folder / "self_consistency_floor" / METHODS[0] / "rows.npy"), floor)


def test_partners_in_other_blocks_are_the_same(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = compare_maps(StudyFolder.open(study), processes=1).targets[0].floor[METHODS[0]].array.copy()
    shutil.rmtree(study / "comparison")
    monkeypatch.setattr("ecg_lightning.experiments.self_consistency.map_blocks.BLOCK_MAPS", 6)
    parts = compare_maps(StudyFolder.open(study), processes=1).targets[0].floor[METHODS[0]].array
    np.testing.assert_allclose(parts, whole, atol=1e-7)


@pytest.mark.slow
def test_two_processes_give_the_same_and_nothing_is_measured_twice(study: Path, random_study: Path) -> None:
    compare_maps(StudyFolder.open(study), processes=2)
    first = study / "comparison" / TARGETS[0] / "self_consistency" / METHODS[0] / "rows.npy"
    before = first.stat().st_mtime_ns
    compare_maps(StudyFolder.open(study), processes=1)
    assert first.stat().st_mtime_ns == before
    values = np.load(first)
    shutil.rmtree(study / "comparison")
    compare_maps(StudyFolder.open(study), processes=1)
    np.testing.assert_array_equal(np.load(first), values)


def test_ecgs_are_joined_by_their_ids(study: Path) -> None:
    """A run that tested the same ECGs in another order gives the same numbers."""
    run = study / TARGETS[0] / "seed3"
    order = np.random.default_rng(0).permutation(N_ECGS)
    table = pd.read_parquet(run / "examples.parquet").iloc[order].reset_index(drop=True)
    table["row"] = np.arange(N_ECGS)
    table.to_parquet(run / "examples.parquet")
    for path in (*run.glob("maps/*"), run / "logits"):
        rewrite_rows(path, np.load(path / "rows.npy")[order])
    found = compare_maps(StudyFolder.open(study), processes=1)
    store = found.targets[0].consistency[METHODS[0]]
    shutil.copy(run / "examples.parquet", run / "other.parquet")
    maps = {seed: open_run(study / TARGETS[0] / f"seed{seed}").maps[METHODS[0]] for seed in SEEDS}
    smooth = [
        savgol_filter(maps[seed].sel(ecg_id="e4").to_numpy().astype(float), 31, 3, axis=-1).ravel() for seed in SEEDS
    ]
    expected = [stats.pearsonr(a, b)[0] for a, b in combinations(smooth, 2)]
    np.testing.assert_allclose(store.array[4, 0, 0], expected, atol=1e-6)
    assert network_table(found.targets)["pearson"].between(0.5, 1).all()


def test_other_ecgs_and_other_settings_are_refused_with_both_names(study: Path) -> None:
    table = pd.read_parquet(study / TARGETS[0] / "seed3/examples.parquet")
    table.loc[2, "ecg_id"] = "stranger"
    table.to_parquet(study / TARGETS[0] / "seed3/examples.parquet")
    with pytest.raises(ValueError, match=r"seed0 and .*seed3 were tested on other ECGs.*stranger"):
        compare_maps(StudyFolder.open(study))


def test_maps_of_other_settings_are_refused_with_both_names(study: Path) -> None:
    path = study / TARGETS[0] / "seed3" / "maps" / METHODS[0]
    store = RowStore.open(path)
    rows, spec = np.array(store.array), store.spec
    shutil.rmtree(path)
    changed = type(spec)(spec.dims, spec.shape, spec.coords, spec.dtype, "mV", spec.settings, spec.network)
    with RowStore.create(path, changed) as new:
        new.write(np.arange(N_ECGS), rows)
    with pytest.raises(ValueError, match=r"(?s)saliency in .*seed0.* and .*seed3.*unit"):
        compare_maps(StudyFolder.open(study))


def test_unfinished_runs_are_named_and_the_rest_goes_on(study: Path) -> None:
    (study / TARGETS[0] / "seed5/test.done.json").unlink()
    with pytest.warns(UserWarning, match=r"sinus_rhythm, seed 5 is left out: not tested to the end"):
        found = compare_maps(StudyFolder.open(study), processes=1)
    assert found.targets[0].seeds == (0, 3)
    assert [(one.target, one.seed) for one in found.unfinished] == [("sinus_rhythm", 5)]
    assert found.targets[1].seeds == SEEDS


def test_one_seed_has_no_partner(study: Path) -> None:
    for seed in SEEDS[1:]:
        shutil.rmtree(study / TARGETS[0] / f"seed{seed}")
    found = compare_maps(StudyFolder.open(study), processes=1)
    assert found.single == [TARGETS[0]]
    assert [one.target for one in found.targets] == [TARGETS[1]]


def test_a_method_that_a_seed_lacks_is_left_out_with_the_reason(study: Path) -> None:
    shutil.rmtree(study / TARGETS[0] / "seed3" / "maps" / METHODS[0])
    with pytest.warns(UserWarning, match="saliency is not compared: no maps of seed 3"):
        found = compare_maps(StudyFolder.open(study), processes=1)
    assert list(found.targets[0].consistency) == [METHODS[1]]


def test_a_method_of_which_a_seed_has_a_part_is_left_out_with_the_reason(study: Path) -> None:
    """Left by a test that was killed; the test that was finished did not ask for it."""
    mask = study / TARGETS[0] / "seed5" / "maps" / METHODS[0] / "done.0.npy"
    np.save(mask, np.arange(N_ECGS) < 4)
    with pytest.warns(UserWarning, match="saliency is not compared: seed 5 has maps of 4 of 13 ECGs"):
        found = compare_maps(StudyFolder.open(study), processes=1)
    assert list(found.targets[0].consistency) == [METHODS[1]]


def test_constant_maps_have_no_consistency_and_are_counted(study: Path) -> None:
    path = study / TARGETS[0] / "seed0" / "maps" / METHODS[0]
    rows = np.load(path / "rows.npy")
    rows[2] = 0.0
    rewrite_rows(path, rows)
    found = compare_maps(StudyFolder.open(study), processes=1)
    assert np.isnan(found.targets[0].consistency[METHODS[0]].array[2, 0, 0]).tolist() == [True, True, False]
    assert consistency_table(found.targets, SETTINGS).iloc[0]["n_undefined"] == 2


def test_ranks_agree_where_targets_do(study: Path) -> None:
    found = compare_maps(StudyFolder.open(study), processes=1)
    table = rank_table(consistency_table(found.targets, SETTINGS))
    assert set(table["method"]) == set(METHODS)
    assert table[[*TARGETS]].sum().tolist() == [3.0, 3.0]
    assert 0 <= table.attrs["kendall_w"] <= 1


@pytest.mark.parametrize("raters", [2, 5])
def test_kendall_s_w_is_the_definition_s(raters: int) -> None:
    rankings = np.stack([np.random.default_rng(k).permutation(40) + 1.0 for k in range(raters)])
    sums = rankings.sum(0)
    expected = 12 * ((sums - sums.mean()) ** 2).sum() / (raters**2 * (40**3 - 40))
    pairs = [stats.spearmanr(a, b)[0] for a, b in combinations(rankings, 2)]
    assert float(kendall_w(np.array(np.mean(pairs)), raters)) == pytest.approx(expected)
    with pytest.raises(ValueError, match="two raters"):
        kendall_w(np.array(0.5), 1)


def test_pairs_of_seeds() -> None:
    assert seed_pairs([4, 2, 9]) == [(4, 2), (4, 9), (2, 9)]
    with pytest.raises(ValueError, match="two or more distinct"):
        seed_pairs([1, 1])


def test_a_folder_that_is_no_study(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no folder"):
        StudyFolder.open(tmp_path / "nothing")
    with pytest.raises(ValueError, match=r"holds no runs: expected <target>/seed<k>/"):
        StudyFolder.open(tmp_path)
