"""The paper's numbers beside one's own: printed as the paper prints them, and counted as it counts."""

import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from random_study import write_random_study

from ecg_lightning.report.against_paper import table_1_beside
from ecg_lightning.report.deviations import deviations
from ecg_lightning.report.examples_section import _along_cascade
from ecg_lightning.report.judged_runs import JudgedRuns
from ecg_lightning.report.own_numbers import NUMBERS
from ecg_lightning.report.published import INCONSISTENCIES, READINGS, TABLE_1
from ecg_lightning.statistics.interval_settings import IntervalSettings
from ecg_lightning.storage.store import RowStore, StoreSpec

METHODS = ("saliency", "smoothgrad", "integrated_gradients")


@pytest.fixture
def runs(tmp_path: Path) -> JudgedRuns:
    study = write_random_study(tmp_path / "random", ("sinus_rhythm", "low_qrs_voltage"), (0, 1), METHODS, 12)
    return JudgedRuns.open(study, IntervalSettings(n_resamples=20))


def own_number(runs: JudgedRuns, key: str) -> str:
    return next(one.own(runs) for one in NUMBERS if one.key == key)


def published(key: str) -> str:
    return next(one.value for one in NUMBERS if one.key == key)


def test_the_paper_s_table_1_adds_up_to_its_totals() -> None:
    def total(row: str) -> int:
        return sum(int(cell.split(" ")[0].replace(",", "")) for cell in TABLE_1[row])

    assert f"{total('ECGs, n'):,}" == published("total:ecgs") == "873,710"
    assert f"{total('Patients, n'):,}" == published("total:patients") == "192,257"
    assert f"{100 * total('Female patients, n (%)') / total('Patients, n'):.1f} %" == published("total:female")
    for name, cells in TABLE_1.items():
        if re.search(r"n \(%\)", name) and not name.startswith("Female"):
            for cell, of in zip(cells, TABLE_1["ECGs, n"], strict=True):
                count, share = (
                    float(text) for text in re.fullmatch(r"([\d,]+) \(([\d.]+)\)", cell.replace(",", "")).groups()
                )
                assert share == pytest.approx(100 * count / int(of.replace(",", "")), abs=0.051)


def test_what_is_fair_to_the_paper_is_no_inconsistency() -> None:
    assert not [text for text in INCONSISTENCIES if "1.5 million" in text or "0.41" in text]
    assert {"0.41 to 0.65", "1.5 million"} <= {
        key for key in ("0.41 to 0.65", "1.5 million") if key in " ".join(READINGS)
    }
    assert 90 * 1351 * 12 < 1_500_000 < 90 * 1351 * 12 + 23 * 12 * 250  # with a cascade of 250 ECGs


def test_every_number_has_a_reader_and_a_study_without_tables_a_dash(runs: JudgedRuns) -> None:
    found = {one.key: one.own(runs) for one in NUMBERS}
    assert found["networks"] == "4 (2 x 2)"
    assert found["maps"] == f"{4 * 12 * 3}"
    assert {text for key, text in found.items() if key not in ("networks", "maps")} == {"\N{EN DASH}"}


def test_the_spread_beside_a_mean_over_methods_is_that_of_the_methods(runs: JudgedRuns) -> None:
    means = {"saliency": (0.2, 0.4), "smoothgrad": (0.7, 0.9), "integrated_gradients": (0.5, 0.5)}
    rows = [
        {"target": target, "method": method, "statistic": "pearson", "sign": "native", "mean": mean, "sd": 0.3,
         "n_ecgs": 12, "n_pairs": 1}
        for method, pair in means.items()
        for target, mean in zip(runs.targets, pair, strict=True)
    ]  # fmt: skip
    runs.study.tables.mkdir(exist_ok=True)
    pd.DataFrame(rows).to_parquet(runs.study.tables / "self_consistency.parquet")
    own = np.array(list(means.values())).ravel()
    assert own_number(runs, "consistency:all") == f"{np.mean(own):.2f} ± {np.std(own, ddof=1):.2f}"
    of_class = [pair[0] for pair in means.values()]
    assert own_number(runs, "consistency:sinus_rhythm") == f"{np.mean(of_class):.2f} ± {np.std(of_class, ddof=1):.2f}"
    both = np.sqrt(0.3**2 + np.var(means["smoothgrad"]))  # of one method: over its ECGs, classes and pairs
    assert own_number(runs, "consistency:smoothgrad") == f"0.80 ± {both:.2f}"
    assert own_number(runs, "consistency:most") == "0.30 to 0.50"


def test_the_first_three_steps_and_the_noise(runs: JudgedRuns) -> None:
    keys = {"direction": "from_output", "smooth": False, "statistic": "pearson", "sign": "native", "complete": True}
    rows = [keys | {"method": m, "depth": d, "similarity": s} for m, d, s in (
        ("saliency", 0, 1.0), ("saliency", 3, 0.6), ("smoothgrad", 3, 0.2), ("random", 3, 0.9), ("saliency", 9, 0.4),
        ("smoothgrad", 9, 0.1),
    )]  # fmt: skip
    runs.study.tables.mkdir(exist_ok=True)
    pd.DataFrame(rows).to_parquet(runs.study.tables / "cascade_all.parquet")
    for run in runs:
        (run.path / "tables").mkdir()
        network = pd.DataFrame({"direction": "from_output", "depth": [0, 3], "layer": "", "auroc": [0.95, 0.55]})
        network = network.assign(low=0.5, high=1.0)
        network.to_parquet(run.path / "tables" / "cascade_network.parquet")
    assert own_number(runs, "cascade:first") == (
        "similarity 1 to 0.40 on average (at most 0.60, Saliency); AUROC 0.95 to 0.55"
    )
    assert own_number(runs, "cascade:kept") == "Saliency (similarity of 0.2 or more)"
    run = next(iter(runs))
    spec = StoreSpec(dims=("row",), shape=(12,), unit="logit", settings={"noise": "multiplicative", "sigma": 0.25},
                     network="n", examples="e")  # fmt: skip
    (run.path / "perturbation").mkdir()
    RowStore.create(run.path / "perturbation" / "morf", spec).close()
    assert own_number(runs, "noise") == published("noise")
    assert any("sigma 0.25 without a unit" in text for text in deviations(runs))


@pytest.mark.parametrize(
    ("network", "halvings"),
    [({"widths": [8, 16, 32, 64], "strides": [1, 2, 2, 2]}, "3 times in 8"), ({}, "5 times in 22")],
)
def test_the_stride_rule_is_named(runs: JudgedRuns, network: dict[str, list[int]], halvings: str) -> None:
    chosen = {"class_path": "ecg_lightning.models.ResNet1d", "init_args": network}
    for run in runs:
        (run.path / "fit.yaml").write_text(yaml.safe_dump({"model": {"network": chosen}}))
    (words,) = [text for text in deviations(runs) if text.startswith("Strides:")]
    assert f"halves the length {halvings} convolutions" in words


def test_an_empty_study_shows_the_paper_s_table_1_alone(runs: JudgedRuns) -> None:
    table = table_1_beside(runs).set_index("characteristic")
    assert table.loc["ECGs, n"].tolist() == ["871,273", "\N{EN DASH}", "1,086", "\N{EN DASH}", "1,351", "\N{EN DASH}"]


def test_figure_2_shows_the_high_score_first_in_the_cascade_too(runs: JudgedRuns) -> None:
    """As the caption says, and the paper: one example of a high score, then one of a low score."""
    run = next(iter(runs))
    spec = StoreSpec(
        dims=("row", "repeat", "sign", "method", "depth"), shape=(12, 1, 2, 2, 2), unit="1", settings={}, network="n",
        examples="e", coords={"method": ["saliency", "gradcam"], "depth": [0, 9]},
    )  # fmt: skip
    (run.path / "cascade" / "from_output").mkdir(parents=True)
    values = np.ones((12, 1, 2, 2, 2), dtype=np.float32)
    values[..., 1] = np.linspace(0.0, 0.8, 12)[:, None, None, None]
    values[:, :, :, 1, 1] = -0.5
    with RowStore.create(run.path / "cascade" / "from_output" / "pearson", spec) as store:
        store.write(np.arange(12), values)
    high, low = _along_cascade(runs)
    assert high.score == "correlation 0.80 at the end"
    assert low.score == "correlation 0.00 at the end"
