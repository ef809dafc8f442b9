"""The cascade's verdict from stores: what passes, what fails, what can't be told."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from ecg_lightning.experiments.randomization.checks import comparisons
from ecg_lightning.experiments.randomization.draws import BASIS
from ecg_lightning.experiments.randomization.random_network_table import table_of_runs
from ecg_lightning.runs.run import open_run
from ecg_lightning.runs.target_runs import TargetRuns
from ecg_lightning.statistics.draws import effect_over_draws
from ecg_lightning.storage.store import RowStore, StoreSpec
from ecg_lightning.verdicts.decide import decide

N = 24
METHODS = ("keeps", "forgets", "anticorrelates", "mostly_ecg", "random", "absolute_input")
PARTIAL = (0.5, 0.02, -0.5, 0.0, 0.0, np.nan)
MAGNITUDE = (0.55, 0.3, 0.3, 0.8, 0.0, 1.0)


def values(means: tuple[float, ...], draws: int, seed: int, of_draws: float = 0.03) -> np.ndarray:
    """(ecg, draw, method): each mean with a spread over ECGs and draws; |ECG| is 1 without any."""
    random = np.random.default_rng(seed)
    spread = 0.1 * random.normal(size=(N, 1, len(means))) + of_draws * random.normal(size=(1, draws, len(means)))
    return np.where(np.isin(means, (1.0,)), means, np.array(means) + spread)


def write_run(folder: Path, seed: int, partial: np.ndarray, magnitude: np.ndarray, n: int = N) -> None:
    run = folder / "runs/s/atrial_fibrillation" / f"seed{seed}"
    examples = {"row": range(n), "ecg_id": [f"e{k}" for k in range(n)], "patient_id": [f"p{k}" for k in range(n)]}
    examples |= {"label": np.arange(n) % 2, "age": 50.0, "sex": "female", "source": "s"}
    run.mkdir(parents=True)
    pd.DataFrame(examples).to_parquet(run / "examples.parquet")
    for quantity, table in (("partial", partial), ("magnitude", magnitude)):
        coords = {"draw": range(table.shape[1]), "method": METHODS}
        spec = StoreSpec(
            dims=("row", "draw", "method"), shape=table.shape, coords=coords, dtype="float32", unit="correlation",
            settings={}, network="n", examples="e",
        )  # fmt: skip
        store = RowStore.create(run / BASIS / quantity, spec)
        store.write(np.arange(n), table)
        store.merge()
        store.close()


def runs_of(folder: Path, seeds: int, draws: int = 10, n: int = N, **more: float) -> TargetRuns:
    for seed in range(seeds):
        write_run(
            folder, seed, values(PARTIAL, draws, seed, **more)[:n], values(MAGNITUDE, draws, 50 + seed, **more)[:n], n
        )
    opened = {seed: open_run(folder / f"runs/s/atrial_fibrillation/seed{seed}") for seed in range(seeds)}
    return TargetRuns.of("atrial_fibrillation", opened)


@pytest.mark.parametrize("seeds", [1, 3])
def test_states(tmp_path: Path, seeds: int) -> None:
    table = decide(comparisons(runs_of(tmp_path, seeds))).set_index("method")
    assert table["state"].to_dict() == {
        "keeps": "fails",
        "forgets": "passes",
        "anticorrelates": "fails",  # two-sided: no map forgets by turning round
        "mostly_ecg": "fails",  # nothing beside the ECG, and that it keeps
        "random": "passes",
        "absolute_input": "fails",  # no residual, so by its magnitude
    }
    assert table.loc["absolute_input", "reason"] == "given |ECG| and |slope|, nothing is left of these maps"
    assert table.loc["forgets", "n_seeds"] == seeds
    assert (table["n_patients"] == N // 2).all()  # with the diagnosis; those without count as well


def test_one_network_s_interval_is_over_draws_and_patients(tmp_path: Path) -> None:
    runs = runs_of(tmp_path, 1)
    found = next(one for one in comparisons(runs) if one.method == "forgets" and one.margin.score == "partial")
    own = runs.read(f"{BASIS}/partial")[0, :, :, METHODS.index("forgets")]
    variances = np.array([own.mean(1).var(ddof=1) / N, own.mean(0).var(ddof=1) / 10])
    share = variances / variances.sum()
    df = 1 / sum(part ** (2 - part) / own_df for part, own_df in zip(share, (N - 1, 9), strict=True))
    half = stats.t.ppf(0.975, df) * np.sqrt(variances.sum())
    np.testing.assert_allclose(found.effect.interval(), (own.mean() - half, own.mean() + half))
    assert (found.effect.n_seeds, found.n_ecgs, found.any_label) == (1, N, True)


def test_draws_that_differ_much_leave_it_open(tmp_path: Path) -> None:
    """Grad-CAM's draws: from -.58 to +.71 in one network."""
    table = decide(comparisons(runs_of(tmp_path, 1, of_draws=0.4))).set_index("method")
    assert table.loc["forgets", "state"] == "cannot_tell"


def test_too_little_to_decide(tmp_path: Path) -> None:
    few = decide(comparisons(runs_of(tmp_path / "few", 3, n=19)))
    assert set(few["state"]) == {"cannot_tell"}
    one_draw = decide(comparisons(runs_of(tmp_path / "draw", 1, draws=1))).set_index("method")
    assert one_draw.loc["forgets", "state"] == "cannot_tell"
    assert "one draw" in one_draw.loc["forgets", "reason"]


def test_runs_of_an_earlier_version_have_nothing_to_decide(tmp_path: Path) -> None:
    runs = runs_of(tmp_path, 1)
    for path in sorted((tmp_path / "runs/s/atrial_fibrillation/seed0/cascade").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    assert comparisons(runs) == []
    assert table_of_runs(runs).empty


def test_dear_methods_have_the_draws_that_they_were_measured_in() -> None:
    table = np.random.default_rng(0).normal(size=(1, N, 10, 2))
    fewer = table.copy()
    fewer[:, :, 3:, 1] = np.nan
    patients = [f"p{k}" for k in range(N)]
    own, alone = effect_over_draws(fewer, patients), effect_over_draws(table[:, :, :3, 1:], patients)
    for name in ("estimate", "variance", "df"):
        np.testing.assert_allclose(getattr(own, name)[1], getattr(alone, name)[0])
    assert np.isnan(effect_over_draws(table[:, :, :1], patients).variance).all()


def test_networks_of_few_draws_are_as_uncertain_as_they_differ() -> None:
    """Coverage of a nominal 95 % interval, with draws anew in each network."""
    random = np.random.default_rng(1)
    inside = []
    for _ in range(400):
        of_patients = 0.1 * random.normal(size=(1, N, 1))
        of_networks = 0.05 * random.normal(size=(3, 1, 1)) + 0.1 * random.normal(size=(3, 1, 3))
        found = effect_over_draws(of_patients + of_networks + 0.1 * random.normal(size=(3, N, 3)), range(N))
        low, high = found.interval()
        inside.append(low <= 0 <= high)
    assert 0.92 <= np.mean(inside) <= 0.995


def test_a_patient_s_ecgs_count_once() -> None:
    random = np.random.default_rng(2)
    one = random.normal(size=(2, N, 4))
    ids = np.repeat([f"p{k}" for k in range(N)], 3)
    thrice = effect_over_draws(np.repeat(one, 3, axis=1), ids)
    once = effect_over_draws(one, ids[::3])
    np.testing.assert_allclose([thrice.estimate, thrice.variance], [once.estimate, once.variance])
