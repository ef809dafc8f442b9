"""The report of a study: what stands in it is what the stores say, and it needs nothing but itself."""

import json
import re
import shutil
import sys
from html.parser import HTMLParser
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy.signal import savgol_filter
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from random_study import write_random_study

from ecg_lightning import open_run
from ecg_lightning.data.regions import windows
from ecg_lightning.experiments.perturbation.study_tables import perturbation_means
from ecg_lightning.experiments.randomization.section import cascade_means
from ecg_lightning.experiments.self_consistency.compare import compare_maps
from ecg_lightning.experiments.self_consistency.study_results import write_comparison
from ecg_lightning.functional.intervals import patient_resamples
from ecg_lightning.plotting.page_blocks import number, with_interval
from ecg_lightning.report.class_relevance import class_relevance
from ecg_lightning.report.commands import run
from ecg_lightning.report.deviations import deviations
from ecg_lightning.report.judged_runs import JudgedRuns
from ecg_lightning.report.networks import architecture_table
from ecg_lightning.report.page import write_report
from ecg_lightning.report.population import population_table
from ecg_lightning.runs.run import Run
from ecg_lightning.runs.run_means import means_over_runs
from ecg_lightning.runs.study_folder import StudyFolder
from ecg_lightning.statistics.interval_settings import IntervalSettings

QUICK = IntervalSettings(n_resamples=100)
METHODS = ("saliency", "deeplift")


class Page(HTMLParser):
    """Ids, links, sources and text of a page; unclosed elements are an error."""

    VOID = frozenset({"meta", "link", "img", "br"})

    def __init__(self, content: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.sources: list[str] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(content)
        assert not self.open

    def handle_starttag(self, tag, attrs) -> None:
        given = dict(attrs)
        if tag not in self.VOID:
            self.open.append(tag)
        if "id" in given:
            assert given["id"] not in self.ids
            self.ids.add(given["id"])
        self.links += [given["href"]] if "href" in given else []
        self.sources += [given["src"]] if "src" in given else []
        if tag == "img":
            assert given["alt"]

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data) -> None:
        self.words.append(data)


@pytest.fixture(scope="module")
def reported(micro_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    study = tmp_path_factory.mktemp("reported") / "micro"
    shutil.copytree(micro_study, study)
    write_report(study, QUICK)
    return study


@pytest.fixture
def random_study(tmp_path: Path) -> Path:
    return write_random_study(tmp_path / "random", ("sinus_rhythm", "low_qrs_voltage"), (0, 1, 2), METHODS, 20)


def page_of(study: Path) -> Page:
    return Page((study / "report.html").read_text())


def text_of(page: Page) -> str:
    return re.sub(r"\s+", " ", " ".join(page.words))


def test_the_page_is_whole_and_needs_no_other_file(reported: Path) -> None:
    page = page_of(reported)
    assert {link.removeprefix("#") for link in page.links if link.startswith("#")} <= page.ids
    assert all(link.startswith(("#", "data:")) for link in page.links)
    assert page.sources
    assert all(source.startswith("data:image/") for source in page.sources)
    text = text_of(page)
    for label in (
        *("Table 1.", "Table S1.", "Table S2.", "Table S3.", "Figure 2.", "Figure 3A.", "Figure 3B.", "Figure 4A."),
        *("Figure 4B.", "Figure S1.", "Figure S2.", "Figure S3.", "Figure S4.", "Figure S5.", "Scorecard."),
        *("Published vs this study", "Methods text", "Cost and reliability", "Localisation of the causal evidence"),
    ):
        assert label in text, label
    assert "nan" not in text.lower().split()
    assert re.search(r"\b(None|NaN|inf)\b", text.replace("widths None", "")) is None


def test_every_figure_and_table_is_kept_beside_the_page(reported: Path) -> None:
    files = [path for path in reported.glob("figures/**/*") if path.is_file()]
    assert {path.suffix for path in files} == {".png"}
    assert len(files) > 20
    assert all(path.stat().st_size > 1000 for path in files)
    assert "lies in <code>figures/</code> as PNG, every" in (reported / "report.html").read_text()
    named = re.findall(r"(?:tables)/[\w]+\.(?:parquet|csv)", (reported / "report.html").read_text())
    assert len(set(named)) > 20
    assert all((reported / name).is_file() for name in named)


def test_words_that_a_physician_could_misread_are_named(reported: Path) -> None:
    text = text_of(page_of(reported))
    assert "the same heart without the diagnosis" in text  # a twin
    assert "another heart" not in text
    assert re.search(r"0\.\d\d seeds 0\.\d\d\N{EN DASH}[01]\.\d\d", text)  # a range of seeds is no interval
    examples = open_run(reported / "first_degree_av_block" / "seed0").examples
    patients = examples[examples["label"] == 1]["patient_id"].nunique()
    assert f"{patients} test patients with the diagnosis" in text
    assert "fewest" not in text
    assert "in every network" not in text


def test_similarity_is_a_short_recomputation_from_the_maps(reported: Path) -> None:
    """Thirty lines of NumPy instead of the project's functions."""
    runs = [open_run(reported / "first_degree_av_block" / f"seed{seed}") for seed in (0, 1)]
    table = pd.read_parquet(reported / "tables" / "similarity_by_class.parquet")
    own = table[(table["target"] == "all") & (table["statistic"] == "pearson") & (table["sign"] == "native")]
    for first, second in (("saliency", "smoothgrad"), ("saliency", "integrated_gradients")):
        each = []
        for one in runs:
            a, b = (savgol_filter(one.maps[name].to_numpy().astype(float), 31, 3, axis=-1) for name in (first, second))
            a, b = a.reshape(len(a), -1), b.reshape(len(b), -1)
            a, b = a - a.mean(1, keepdims=True), b - b.mean(1, keepdims=True)
            each.append((a * b).sum(1) / np.sqrt((a**2).sum(1) * (b**2).sum(1)))
        row = own[(own["method"] == first) & (own["other_method"] == second)].iloc[0]
        assert row["mean"] == pytest.approx(np.mean([np.nanmean(one) for one in each]), abs=1e-6)
        assert row["sd"] == pytest.approx(np.nanstd(np.concatenate(each)), abs=1e-6)


def test_self_consistency_is_a_short_recomputation_from_the_maps(reported: Path) -> None:
    maps = [
        open_run(reported / "first_degree_av_block" / f"seed{seed}").maps["integrated_gradients"].to_numpy()
        for seed in (0, 1)
    ]
    smooth = [savgol_filter(one.astype(float), 31, 3, axis=-1).reshape(len(one), -1) for one in maps]
    each = pd.Series([np.corrcoef(a, b)[0, 1] for a, b in zip(*smooth, strict=True)])
    patients = open_run(reported / "first_degree_av_block" / "seed0").examples["patient_id"]
    expected = each.groupby(patients.to_numpy()).mean().mean()
    table = pd.read_parquet(reported / "tables" / "self_consistency.parquet")
    chosen = table[(table["statistic"] == "pearson") & (table["sign"] == "native")].set_index(["target", "method"])
    row = chosen.loc[("all", "integrated_gradients")]
    assert row["mean"] == pytest.approx(expected, abs=1e-6)
    assert row["mean_over_ecgs"] == pytest.approx(each.mean(), abs=1e-6)
    assert row["interval"] == "none: two seeds"
    text = text_of(page_of(reported))
    assert f"{expected:.2f}".replace("-", "\N{MINUS SIGN}") in text
    assert "Two seeds: no interval." in text


@pytest.mark.study
def test_a_comparison_without_floors_is_shown_raw_and_says_what_to_do(random_study: Path) -> None:
    """Tables of the last version: boxes and means as they were, and no word of a verdict."""
    study = StudyFolder.open(random_study)
    write_comparison(study, compare_maps(study, 1), QUICK)
    path = study.tables / "self_consistency.parquet"
    known = ["target", "method", "statistic", "sign", "mean", "sd", "low", "high", "n_ecgs", "n_patients", "n_pairs"]
    pd.read_parquet(path)[known].to_parquet(path)
    study.compare_record.write_text(json.dumps({"seeds": {}}))  # it sealed nothing then
    text = text_of(Page(write_report(random_study, QUICK).read_text()))
    assert "Figure 3B." in text
    assert "run `compare` on this folder again" in text
    assert "Table S3 above the floor" not in text


@pytest.mark.study
def test_intervals_over_runs_resample_the_same_patients(random_study: Path) -> None:
    """Of each target and of all, as NumPy recomputes them from one list of resamples."""
    runs = JudgedRuns.open(random_study, QUICK)
    generator = np.random.default_rng(0)
    values = {run.path: generator.normal(size=(20, 3)) for run in runs}
    asked: list[Path] = []

    def measured(run: Run) -> tuple[np.ndarray, np.ndarray]:
        asked.append(run.path)
        return values[run.path], run.examples["patient_id"].to_numpy()

    found = means_over_runs(runs.finished, measured, QUICK)
    assert asked == list(values)  # every run once, not once more for the mean over all targets
    assert list(found) == [*runs.targets, "all"]
    patients = next(iter(runs)).examples["patient_id"]
    weights = patient_resamples(patients, QUICK.n_resamples, QUICK.seed).astype(float)
    for target, means in found.items():
        chosen = runs.finished if target == "all" else {target: runs.finished[target]}
        replicates = [
            np.mean(
                [
                    np.mean([np.average(values[run.path], axis=0, weights=own) for run in seeds.values()], axis=0)
                    for seeds in chosen.values()
                ],
                axis=0,
            )
            for own in weights
        ]
        parts = [values[run.path] for seeds in chosen.values() for run in seeds.values()]
        np.testing.assert_allclose(means.mean, np.mean(parts, axis=(0, 1)))
        np.testing.assert_allclose(means.low, np.quantile(replicates, 0.025, axis=0))
        np.testing.assert_allclose(means.high, np.quantile(replicates, 0.975, axis=0))
        np.testing.assert_allclose(means.sd, np.std(np.concatenate(parts), axis=0))
        assert means.n_values.tolist() == [20 * len(parts)] * 3


def test_runs_of_other_patients_are_resampled_by_their_own(random_study: Path) -> None:
    runs = JudgedRuns.open(random_study, QUICK)
    values = np.random.default_rng(0).normal(size=(20, 3))
    ids = {run.path: np.arange(20) // (2 + number % 2) for number, run in enumerate(runs)}  # ten patients, or seven
    found = means_over_runs(runs.finished, lambda run: (values, ids[run.path]), QUICK)
    for target, seeds in runs.finished.items():
        weights = [
            patient_resamples(ids[run.path], QUICK.n_resamples, QUICK.seed).astype(float) for run in seeds.values()
        ]
        replicates = [own @ values / own.sum(axis=1, keepdims=True) for own in weights]
        np.testing.assert_allclose(found[target].low, np.quantile(np.mean(replicates, axis=0), 0.025, axis=0))


def test_values_that_are_missing_are_left_out_of_means(random_study: Path) -> None:
    runs = JudgedRuns.open(random_study, QUICK)
    holes = np.tile(np.arange(20.0), (2, 1)).T
    holes[3:, 1] = np.nan
    found = means_over_runs(runs.finished, lambda run: (holes, run.examples["patient_id"].to_numpy()), QUICK)["all"]
    assert found.mean.tolist() == [9.5, 1.0]
    assert found.n_values.tolist() == [120, 18]


def test_means_over_no_run_are_refused() -> None:
    with pytest.raises(ValueError, match="expected one run or more, got none"):
        means_over_runs({"sinus_rhythm": {}}, lambda run: (np.empty(0), np.empty(0)), QUICK)


@pytest.mark.study
def test_a_study_of_maps_alone_is_reported_with_what_it_has(random_study: Path) -> None:
    study = StudyFolder.open(random_study)
    write_comparison(study, compare_maps(study, 1), QUICK)
    text = text_of(Page(write_report(random_study, QUICK).read_text()))
    assert "Figure 3B." in text
    assert "No run has measured it (MethodSimilarity was left out)" in text
    assert "no population.parquet" in text
    assert "What can be said" in text
    table = pd.read_parquet(random_study / "tables" / "verdicts.parquet")
    assert set(table["target"]) == {"sinus_rhythm", "low_qrs_voltage"}
    assert set(table[table["check"] != "self_consistency"]["state"]) == {"not_measured"}


@pytest.mark.study
def test_runs_that_are_not_finished_are_named_and_the_rest_goes_on(random_study: Path) -> None:
    (random_study / "low_qrs_voltage" / "seed2" / "test.done.json").unlink()
    (random_study / "low_qrs_voltage" / "seed1" / "fit.done.json").unlink()
    (random_study / "low_qrs_voltage" / "seed1" / "test.done.json").unlink()
    text = text_of(Page(write_report(random_study, QUICK).read_text()))
    assert "2 runs are left out: Low QRS voltage, seed 1 (not trained to the end" in text
    assert "Low QRS voltage, seed 2 (not tested to the end" in text


def test_one_seed_says_that_there_is_nothing_to_agree_with(tmp_path: Path) -> None:
    folder = write_random_study(tmp_path / "one", ("sinus_rhythm",), (0,), METHODS, 12)
    study = StudyFolder.open(folder)
    write_comparison(study, compare_maps(study, 1), QUICK)
    assert "one finished seed only" in text_of(Page(write_report(folder, QUICK).read_text()))


@pytest.mark.parametrize("words", [["png", "svg"], ["[svg, png]"]])
def test_files_of_figures_are_an_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    written = Mock()
    monkeypatch.setattr("ecg_lightning.report.page.write_report", written)
    run("report", [str(tmp_path), "--figure_files", *words])
    assert written.call_args.args[3] == ("png", "svg")
    with pytest.raises(SystemExit, match="report: files of figures are png, svg, pdf, got gif"):
        run("report", [str(tmp_path), "--figure_files", "gif"])


def test_nothing_finished_and_no_study_are_told(random_study: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="report: there is no folder"):
        run("report", [str(tmp_path / "nowhere")])
    for record in random_study.glob("*/*/test.done.json"):
        record.unlink()
    with pytest.raises(SystemExit, match=r"holds no finished run.*not tested to the end"):
        run("report", [str(random_study)])


def test_the_paper_s_arithmetic_of_one_class() -> None:
    population = pd.DataFrame(
        {
            "ecg_id": list("abcde"),
            "patient_id": ["p", "p", "q", "r", "r"],
            "split": ["train", "train", "train", "test", "test"],
            "age": [50.0, 52.0, 60.0, np.nan, np.nan],
            "sex": ["female", "female", "male", None, None],
            "source": "x",
        }
        | dict.fromkeys(
            (
                *("sinus_rhythm", "atrial_fibrillation", "sinus_bradycardia", "sinus_tachycardia"),
                *("first_degree_av_block", "right_bundle_branch_block", "left_bundle_branch_block"),
                *("low_qrs_voltage", "left_ventricular_hypertrophy"),
            ),
            pd.array([1, 0, None, 1, 1], dtype="Int8"),
        )
    )
    table = population_table(population).set_index("characteristic")
    assert list(table.columns) == ["train", "test"]
    assert table.loc["ECGs, n"].tolist() == ["3", "2"]
    assert table.loc["Patients, n"].tolist() == ["2", "1"]
    assert table.loc["ECGs per patient, mean (SD)", "train"] == "1.5 (0.7)"
    assert table.loc["Female patients, n (%)"].tolist() == ["1 (50.0)", "unknown"]
    assert table.loc["Sinus rhythm, n (%)"].tolist() == ["1 (50.0)", "2 (100.0)"]
    assert table.loc["Age in years, mean (SD)", "test"] == "unknown"


def test_seeds_are_averaged_before_targets() -> None:
    keys = {"direction": "from_output", "smooth": False, "statistic": "pearson", "sign": "native", "method": "saliency"}
    rows = [("a", 0, 1.0), ("a", 1, 0.0), ("a", 2, 0.5), ("b", 0, 0.9)]
    tables = pd.DataFrame(
        [
            keys
            | {"depth": 1, "target": target, "seed": seed, "similarity": value, "low": 0.0, "high": 1.0}
            | {"layer": "x", "complete": True, "ceiling": np.nan}
            for target, seed, value in rows
        ]
    )
    found = cascade_means(tables).iloc[0]
    assert found["similarity"] == pytest.approx((0.5 + 0.9) / 2)
    assert (found["low"], found["high"], found["n_networks"]) == (0.0, 1.0, 4)
    alone = cascade_means(tables[tables["target"] == "b"]).iloc[0]
    assert (alone["similarity"], alone["low"], alone["high"]) == (0.9, 0.0, 1.0)


def test_perturbation_bands_are_of_seeds() -> None:
    head = {"kind": "blocks", "map": "own", "order": "morf", "method": "saliency", "control": False}
    head |= {"metric": "auroc", "step": 0, "fraction": 0.0}
    rows = [("a", 0, 0.9), ("a", 1, 0.7), ("b", 0, 0.5), ("b", 1, 0.5)]
    tables = pd.DataFrame([head | {"target": t, "seed": s, "value": v, "low": 0, "high": 1} for t, s, v in rows])
    found = perturbation_means(tables).iloc[0]
    assert found["value"] == pytest.approx(0.65)
    assert (found["low"], found["high"]) == pytest.approx((0.6, 0.7))
    assert found["interval"] == "seeds"
    one_seed = perturbation_means(tables[tables["seed"] == 0]).iloc[0]
    assert np.isnan(one_seed["low"])


def test_shares_of_leads_and_waves_are_whole(reported: Path) -> None:
    means, shares = class_relevance(open_run(reported / "first_degree_av_block" / "seed0"), ["saliency"])
    for _, part in shares.groupby("kind"):
        assert part["share"].sum() == pytest.approx(1.0)
    assert np.abs(means["saliency"]).sum() == pytest.approx(1.0)  # unsigned maps: the mean of shares is a share
    assert np.sum(list(windows().values()), axis=0).tolist() == [1] * 600


def test_the_architecture_counts_every_parameter() -> None:
    network = nn.Sequential(nn.Conv1d(8, 4, 5), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 596, 1))
    table = architecture_table(network)
    assert table["layer"].tolist() == ["0", "1", "2", "3"]
    counted = sum(int(text.replace(",", "")) for text in table["parameters"] if text)
    assert counted == sum(parameter.numel() for parameter in network.parameters())
    assert table["output"].tolist()[0] == "4 x 596"
    assert not any(module._forward_hooks for module in network.modules())


def test_numbers_for_people() -> None:
    assert number(-0.001) == "0.00"
    assert number(-0.25) == "\N{MINUS SIGN}0.25"
    assert number(0.0, 0) == "0"
    assert number(np.nan) == "\N{EN DASH}"
    assert with_interval(0.5, np.nan, 0.7) == "0.50"


def test_published_table_holds_what_the_stores_say(reported: Path) -> None:
    table = pd.read_parquet(reported / "tables" / "published_vs_this_study.parquet").set_index("quantity")
    counted = len(open_run(reported / "first_degree_av_block" / "seed0").examples)
    first = pd.read_parquet(reported / "tables" / "published_table_1.parquet").set_index("characteristic")
    assert first.loc["ECGs, n"].tolist()[4:] == ["1,351", str(counted)]
    assert table.loc["networks (classes x seeds)", "this_study"] == "2 (1 x 2)"
    assert table.loc["attribution maps", "this_study"] == f"{counted * 2 * 4:,}"
    # two of the paper's Figure 3A that this study has not
    assert table.loc["similarity of IG + SmoothGrad and GradientSHAP", "this_study"] == "\N{EN DASH}"
    metrics = [json.loads(path.read_text())["auroc"]["value"] for path in reported.glob("*/*/metrics.json")]
    assert table.loc["lowest class mean of AUROC", "this_study"].startswith(f"{np.mean(metrics):.2f} ")


@pytest.mark.study
@pytest.mark.parametrize(
    ("source", "settings", "expected"),
    [
        ("Muse", {"beats": "vendor"}, "taken as the electrocardiograph made them"),
        ("Muse", {"beats": "own"}, "made here"),
        ("Arrays", {"content": "beats"}, "taken as the electrocardiograph made them"),
        ("Arrays", {"content": "recordings"}, "made here"),
        ("PtbXl", {}, "made here"),
    ],
)
def test_the_report_says_who_has_made_the_beats(random_study: Path, source: str, settings: dict, expected: str) -> None:
    chosen = {"class_path": f"ecg_lightning.data.sources.{source}", "init_args": settings}
    for folder in random_study.glob("*/seed*/"):
        (folder / "fit.yaml").write_text(yaml.safe_dump({"data": {"source": chosen}}))
    first = deviations(JudgedRuns.open(random_study, QUICK))[0]
    assert first.startswith(f"ECGs: {source};")
    assert f"Median beats are {expected}" in first
