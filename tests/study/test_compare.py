"""Self-consistency over seeds, from stores whose answer is known or is computed again slowly."""

import shutil
import sys
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from scipy.signal import savgol_filter

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from random_study import write_random_study

from ecg_lightning import open_run
from ecg_lightning.functional.intervals import patient_resamples
from ecg_lightning.functional.self_consistency import kendall_w, mean_over_pairs, pair_weights, seed_pairs
from ecg_lightning.store import RowStore
from ecg_lightning.study.compare import compare_maps
from ecg_lightning.study.consistency_tables import IntervalSettings, consistency_table, network_table, rank_table
from ecg_lightning.study.folder import StudyFolder

TARGETS = ("sinus_rhythm", "atrial_fibrillation")
METHODS = ("saliency", "deeplift")
SEEDS = (0, 3, 5)
N_ECGS = 13
QUICK = IntervalSettings(n_resamples=200)


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
    maps = [open_run(study / target / f"seed{seed}").maps[method].to_numpy().astype(float) for seed in SEEDS]
    smooth = [savgol_filter(one, 31, 3, axis=-1).reshape(N_ECGS, -1) for one in maps]
    return np.array([[correlate(a[k], b[k])[0] for a, b in combinations(smooth, 2)] for k in range(N_ECGS)])


def test_stores_and_table_are_what_scipy_says(study: Path) -> None:
    found = compare_maps(StudyFolder.open(study), processes=1)
    assert [one.target for one in found.targets] == list(TARGETS)
    table = consistency_table(found.targets, QUICK).set_index(["target", "method", "statistic", "sign"])
    for target, method in ((TARGETS[0], METHODS[1]), (TARGETS[1], METHODS[0])):
        store = RowStore.open(study / "comparison" / target / "self_consistency" / method)
        for index, correlate in enumerate((stats.pearsonr, stats.spearmanr)):
            expected = slow(study, target, method, correlate)
            np.testing.assert_allclose(store.array[:, index, 0], expected, atol=1e-6)
            row = table.loc[target, method, ("pearson", "spearman")[index], "native"]
            assert row["mean"] == pytest.approx(expected.mean(), abs=1e-6)
            assert row["sd"] == pytest.approx(expected.std(), abs=1e-6)
    assert table.loc["all", METHODS[0], "pearson", "native"]["mean"] == pytest.approx(
        np.mean([slow(study, target, METHODS[0], stats.pearsonr).mean() for target in TARGETS]), abs=1e-6
    )


def test_the_share_that_seeds_have_in_common_is_found(study: Path) -> None:
    table = consistency_table(compare_maps(StudyFolder.open(study), processes=1).targets, QUICK)
    native = table[(table["statistic"] == "pearson") & (table["sign"] == "native") & (table["target"] != "all")]
    assert native["mean"].to_numpy() == pytest.approx(0.5, abs=0.05)
    assert (native["low"] < native["mean"]).all()
    assert (native["mean"] < native["high"]).all()
    assert set(native["seed_interval"]) == {"range"}
    assert (native["seed_low"] <= native["mean"]).all()


def test_intervals_over_patients_are_scipy_s_on_the_same_resamples(study: Path) -> None:
    found = compare_maps(StudyFolder.open(study), processes=1)
    row = consistency_table(found.targets, QUICK).iloc[0]
    per_ecg = slow(study, TARGETS[0], METHODS[0], stats.pearsonr).mean(axis=1)
    weights = patient_resamples(found.targets[0].examples["patient_id"], QUICK.n_resamples, QUICK.seed).astype(float)
    means = np.array([np.average(per_ecg, weights=w) for w in weights])
    bounds = stats.mstats.mquantiles(means, [0.025, 0.975], alphap=1, betap=1)
    assert (row["low"], row["high"]) == pytest.approx(tuple(bounds), abs=1e-6)


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
    for path in (*run.glob("maps/*/rows.npy"), run / "logits/rows.npy"):
        np.save(path, np.load(path)[order])
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


def test_constant_maps_have_no_consistency_and_are_counted(study: Path) -> None:
    path = study / TARGETS[0] / "seed0" / "maps" / METHODS[0] / "rows.npy"
    rows = np.load(path)
    rows[2] = 0.0
    np.save(path, rows)
    found = compare_maps(StudyFolder.open(study), processes=1)
    assert np.isnan(found.targets[0].consistency[METHODS[0]].array[2, 0, 0]).tolist() == [True, True, False]
    assert consistency_table(found.targets, QUICK).iloc[0]["n_undefined"] == 2


def test_ranks_agree_where_targets_do(study: Path) -> None:
    found = compare_maps(StudyFolder.open(study), processes=1)
    table = rank_table(consistency_table(found.targets, QUICK))
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


def test_pairs_of_seeds_and_their_weights() -> None:
    assert seed_pairs([4, 2, 9]) == [(4, 2), (4, 9), (2, 9)]
    with pytest.raises(ValueError, match="two or more distinct"):
        seed_pairs([1, 1])
    weights = pair_weights(6, 500, seed=1)
    assert weights.shape == (500, 15)
    assert (weights.sum(axis=1) > 0).all()
    # of 6 draws two distinct seeds meet in 6 * 5 / 36 ordered pairs each
    assert weights.mean() == pytest.approx(30 / 36, rel=0.1)


def test_a_pair_that_is_unknown_is_left_out_of_the_mean() -> None:
    values = np.array([[1.0, np.nan, 3.0], [np.nan, np.nan, np.nan]])
    mean = mean_over_pairs(values, np.array([[1.0, 1.0, 1.0], [1.0, 0.0, 3.0]]))
    np.testing.assert_allclose(mean[:, 0], [2.0, 2.5])
    assert np.isnan(mean[:, 1]).all()


def test_ten_seeds_have_an_interval() -> None:
    maps = torch.randn(4, 6, 8, 600)
    from ecg_lightning.functional.self_consistency import self_consistency
    from ecg_lightning.study.consistency_tables import _over_seeds

    values = self_consistency(maps)["pearson"][:, 0].numpy()
    low, high, kind = _over_seeds(values, 6, QUICK)
    assert kind == "bootstrap"
    assert low < values.mean() < high


def test_a_folder_that_is_no_study(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no folder"):
        StudyFolder.open(tmp_path / "nothing")
    with pytest.raises(ValueError, match=r"holds no runs: expected <target>/seed<k>/"):
        StudyFolder.open(tmp_path)
