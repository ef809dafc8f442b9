"""Localisation through the callbacks, on simulated ECGs whose evidence is known and on an archive without any."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from lightning.pytorch import Callback, Trainer
from torch import Tensor, nn
from workplace import Workplace

from callbacks import AttributionMaps, EvidenceLocalization, LogitsAndMetrics, PerturbationCurves
from ecg_lightning import open_run
from ecg_lightning.attribution import METHODS, RandomKey, prepare_task
from ecg_lightning.attribution.controls import CONTROLS
from ecg_lightning.attribution.shapley import ShapleySampling
from ecg_lightning.data.datamodule import EcgDataModule
from ecg_lightning.data.regions import read_regions
from ecg_lightning.data.sources import Synthetic
from ecg_lightning.data.splits import Split
from ecg_lightning.data.twins import TwinShifts
from ecg_lightning.experiments.localization.checks import comparisons, mean_map_effects
from ecg_lightning.experiments.localization.measure import localization_scores
from ecg_lightning.experiments.perturbation.kinds import PerturbationKind
from ecg_lightning.models import EcgClassifier
from ecg_lightning.runs.target_runs import TargetRuns

TARGET = "low_qrs_voltage"
LEAD, SAMPLE = 5, 240


class ReadsOneSample(nn.Module):
    """Looks at one known sample."""

    def forward(self, ecg: Tensor) -> Tensor:
        return 3.0 * ecg[:, LEAD, SAMPLE]


class ReadsOneSampleThroughRelu(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.relu = nn.ReLU()

    def forward(self, ecg: Tensor) -> Tensor:
        return self.relu(ecg[:, LEAD, SAMPLE] + 10.0)


def run(
    folder: Path, network: nn.Module, *callbacks: Callback, module: EcgDataModule | None = None
) -> tuple[Path, EcgDataModule]:
    module = module or EcgDataModule(
        Synthetic(n_patients=40), TARGET, cache_dir=str(folder / "cache"), split="test_only", processes=1
    )
    path = folder / "runs/located" / TARGET / "seed0"
    trainer = Trainer(
        default_root_dir=path,
        callbacks=list(callbacks),
        logger=False,
        accelerator="cpu",
        inference_mode=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    trainer.test(EcgClassifier(network, target=TARGET), datamodule=module, verbose=False)
    return path, module


@pytest.fixture(scope="module")
def located(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, EcgDataModule]:
    audit = EvidenceLocalization(n_resamples=100)
    maps = AttributionMaps(["saliency", "gradient_x_input"])
    return run(tmp_path_factory.mktemp("located"), ReadsOneSample(), maps, LogitsAndMetrics(), audit)


def test_stores_hold_the_scores_of_the_maps(located: tuple[Path, EcgDataModule]) -> None:
    path, module = located
    opened = open_run(path)
    examples = module.examples("test")
    cache_rows = examples["cache_row"].to_numpy(dtype=np.intp)
    masks, known = read_regions(module.cache, cache_rows, TARGET)["causal"]
    assert known.any()
    row = int(np.flatnonzero(known)[0])
    maps = torch.from_numpy(np.array(opened.maps["gradient_x_input"][row]))[None, None]
    for name, score in localization_scores(maps, torch.from_numpy(masks[row])[None, None]).items():
        store = opened.store(f"localization/{name}")
        found = store.sel({"region": "causal", "method": "gradient_x_input"})
        assert float(found[row]) == pytest.approx(float(score), abs=1e-6)
        np.testing.assert_array_equal(np.isnan(found), ~known)
    share = opened.store("localization/share").sel({"region": "causal"})
    assert float(share[row]) == pytest.approx(masks[row].mean(), abs=1e-6)


def test_maps_of_others_are_scored_against_the_patient_s_own_evidence(located: tuple[Path, EcgDataModule]) -> None:
    path, module = located
    opened = open_run(path)
    examples = module.examples("test")
    masks, known = read_regions(module.cache, examples["cache_row"].to_numpy(dtype=np.intp), TARGET)["causal"]
    partner = pd.read_parquet(path / "partners.parquet").set_index(["row", "place"])["partner_row"].unstack()
    found = opened.store("localization/controls/auroc").sel({"region": "causal", "method": "gradient_x_input"})
    maps = torch.from_numpy(np.array(opened.maps["gradient_x_input"]))
    for row in np.flatnonzero(known)[:5]:
        mask = torch.from_numpy(masks[row])[None, None]
        rows = [k for k in partner.loc[row] if k >= 0]
        scores = [float(localization_scores(maps[k][None, None], mask)["auroc"]) for k in rows]
        assert float(found.sel({"control": "other_ecg"})[row]) == pytest.approx(np.mean(scores), abs=1e-6)
        others = np.flatnonzero(examples["patient_id"] != examples["patient_id"][row])
        scaled = pd.DataFrame(
            (maps[others].double() / maps[others].double().abs().sum((1, 2), keepdim=True)).flatten(1)
        )
        mean = scaled.groupby(examples["patient_id"][others].to_numpy()).mean().mean()  # patients count once
        score = localization_scores(torch.from_numpy(mean.to_numpy()).reshape(1, 1, 8, 600), mask)["auroc"]
        assert float(found.sel({"control": "mean_map"})[row]) == pytest.approx(float(score), abs=1e-6)
    assert examples["patient_id"].duplicated().any()  # else nothing was averaged


def test_a_map_that_is_the_same_for_everybody_is_not_about_its_patient(located: tuple[Path, EcgDataModule]) -> None:
    runs = TargetRuns.of(TARGET, {0: open_run(located[0])})
    found = {(one.method, one.against): one for one in comparisons(runs)}
    assert {against for method, against in found if method == "saliency"} == {*CONTROLS, "other_ecg"}
    assert {against for method, against in found if method == "random"} == {*CONTROLS, "other_ecg"}
    assert found["random", "random"].effect.p_above(0.0) == 1.0  # so that a control never passes as using the network
    constant = found["saliency", "other_ecg"].effect  # the slope of a linear network
    assert (constant.estimate, constant.variance) == (0.0, 0.0)
    assert constant.p_above(0.0) == 1.0
    assert mean_map_effects(runs)["saliency"].estimate == 0.0
    label = runs.label == 1
    patients = runs.patient_ids[label]
    score = open_run(located[0]).store("localization/auroc").sel({"region": "causal"})
    gap = (score.sel({"method": "gradient_x_input"}) - score.sel({"method": "random"})).to_numpy()[label]
    means = pd.Series(gap.astype(float)).groupby(patients).mean()
    one = found["gradient_x_input", "random"]
    assert float(one.effect.estimate) == pytest.approx(means.mean(), abs=1e-12)
    assert float(one.effect.variance) == pytest.approx(means.var() / len(means), rel=1e-9)
    assert (one.n_positive, one.n_ecgs, one.control) == (len(means), label.sum(), False)


def test_tables_show_chance_and_what_stands_in_for_a_map(located: tuple[Path, EcgDataModule]) -> None:
    table = pd.read_parquet(located[0] / "tables/localization.parquet")
    assert set(table["region"]) == {"causal", "core", "P", "PR", "QRS", "ST", "T"}
    assert set(table["method"]) == {"saliency", "gradient_x_input", *CONTROLS}
    assert set(table["map"]) == {"own", "other_ecg", "mean_map"}
    rows = table.set_index(["score", "region", "method", "map"])
    # the network looks at one sample inside the QRS complex, in everybody
    for name in ("own", "other_ecg", "mean_map"):
        assert rows.loc[("pointing_game", "QRS", "saliency", name), "value"] > 0.95
    noise = rows.loc[("auroc", "QRS", "random", "own")]
    assert noise["low"] < 0.5 < noise["high"] or abs(noise["value"] - 0.5) < 0.02
    examples = open_run(located[0]).examples
    sick = examples["patient_id"][examples["label"] == 1].nunique()
    causal = rows.loc[("auroc", "causal", "saliency", "own")]
    assert (causal["n_patients"], causal["n_patients_without"]) == (sick, 0)
    assert rows.loc[("auroc", "QRS", "saliency", "own"), "n_patients_without"] > 0
    for region in ("causal", "QRS"):
        assert (located[0] / f"figures/localization/{region}.png").stat().st_size > 10_000


class OnePatient(EcgDataModule):
    """One ECG with and one without the diagnosis, of one patient."""

    def examples(self, split: Split) -> pd.DataFrame:
        table = super().examples(split)
        firsts = [int(np.flatnonzero(table["label"] == label)[0]) for label in (1, 0)]
        return table.iloc[firsts].reset_index(drop=True).assign(row=[0, 1], patient_id="p")


def test_groups_over_100_ms_are_left_out_and_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    wide = ShapleySampling("permutation", n_permutations=2, group_samples=60)
    maps, audit = AttributionMaps(["saliency", wide]), EvidenceLocalization(100)
    path, _ = run(tmp_path, ReadsOneSample(), maps, LogitsAndMetrics(), audit)
    for name in ("localization/auroc", "localization/controls/auroc"):
        assert list(open_run(path).store(name).coords["method"].values) == ["saliency", *CONTROLS]
    assert set(pd.read_parquet(path / "tables/localization.parquet")["method"]) == {"saliency", *CONTROLS}
    said = "1 of 2 methods left out, whose maps have one value for more than 100 ms: shapley_sampling (120 ms)"
    assert said in caplog.text


@pytest.mark.usefixtures("with_figures")
def test_without_other_patients_nothing_stands_in(tmp_path: Path) -> None:
    module = OnePatient(Synthetic(40), TARGET, cache_dir=str(tmp_path / "cache"), split="test_only", processes=1)
    audit = EvidenceLocalization(n_resamples=100)
    with pytest.warns(UserWarning, match="2 of 2 test ECGs have no partner"):
        path, _ = run(
            tmp_path, ReadsOneSample(), AttributionMaps(["saliency"]), LogitsAndMetrics(), audit, module=module
        )
    assert np.isnan(open_run(path).store("localization/controls/auroc")).all()
    table = pd.read_parquet(path / "tables/localization.parquet").set_index(["score", "region", "method", "map"])
    assert table.loc[("auroc", "QRS", "saliency", "other_ecg"), "n_undefined"] > 0
    about = [one for one in comparisons(TargetRuns.of(TARGET, {0: open_run(path)})) if one.against == "other_ecg"]
    assert len(about) == 5
    assert {one.undefined for one in about} == {"no ECG has another patient with the same predicted class"}
    assert all(np.isnan(one.effect.estimate) and one.n_positive == 0 for one in about)


def test_an_archive_without_marks_has_nothing_to_localise(
    trained: Workplace, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from test_audit import run as run_on_archive

    path = run_on_archive(trained, tmp_path, AttributionMaps(["saliency"]), LogitsAndMetrics(), EvidenceLocalization())
    assert not (path / "localization").exists()
    assert "neither evidence nor waves" in caplog.text


GRADIENT_METHODS = [
    "saliency",
    "smoothgrad",
    "gradient_x_input",
    "integrated_gradients",
    "ig_smoothgrad",
    "gradient_shap",
    "deeplift",
    "deeplift_shap",
    "guided_backprop",
]


@pytest.mark.parametrize("name", GRADIENT_METHODS)
def test_a_network_that_looks_at_one_sample_is_localised(name: str) -> None:
    ecg = torch.randn(3, 8, 600, generator=torch.Generator().manual_seed(0))
    network = ReadsOneSampleThroughRelu() if name == "guided_backprop" else ReadsOneSample()
    task = prepare_task(network, torch.randn(4, 8, 600, generator=torch.Generator().manual_seed(1)))
    maps = METHODS[name]()(task, ecg, [RandomKey(ecg_id=str(k)) for k in range(3)])
    mask = torch.zeros(3, 1, 8, 600, dtype=torch.bool)
    mask[:, :, LEAD, SAMPLE] = True
    scores = localization_scores(maps[:, None], mask)
    for score, values in scores.items():
        assert values.flatten().tolist() == pytest.approx([1.0, 1.0, 1.0]), score


def test_its_morf_curve_falls_at_the_first_step(tmp_path: Path) -> None:
    kind = PerturbationKind("point", noise="additive_mv", steps=3, fraction_per_step=0.01)
    curves = PerturbationCurves([kind], n_resamples=100)
    path, _ = run(tmp_path, ReadsOneSample(), AttributionMaps(["saliency"]), LogitsAndMetrics(), curves)
    opened = open_run(path)
    change = np.abs(opened.store(f"perturbation/{kind.name}/morf").sel({"method": "saliency"}).to_numpy())
    start, first = change[:, 0], change[:, 1]
    assert (np.abs(start - first) > 0).all()  # the one sample is replaced, and noise makes it another
    lerf = opened.store(f"perturbation/{kind.name}/lerf").sel({"method": "saliency"}).to_numpy()
    np.testing.assert_allclose(lerf, lerf[:, :1].repeat(4, axis=1), atol=1e-6)


@pytest.mark.usefixtures("with_figures")
def test_a_twin_takes_the_diagnosis_away_and_nothing_else(tmp_path: Path) -> None:
    whole = PerturbationKind("block100", "twin", steps=1, fraction_per_step=1.0)
    curves = PerturbationCurves([whole, PerturbationKind("wave", steps=2)], n_resamples=100)
    with pytest.warns(UserWarning, match="test ECGs have a twin without the diagnosis"):
        path, module = run(tmp_path, ReadsOneSample(), AttributionMaps(["saliency"]), LogitsAndMetrics(), curves)
    opened = open_run(path)
    logits = opened.store(f"perturbation/{whole.name}/morf").sel({"method": "random"}).to_numpy()
    label = opened.examples["label"].to_numpy() == 1
    assert np.isnan(logits[~label, 1]).all()
    assert np.isfinite(logits[:, 0]).all()
    twins = TwinShifts(module.source, TARGET, module.neighbours)
    known = np.flatnonzero(label & np.isfinite(logits[:, 1]))
    assert len(known) > 0.8 * label.sum()
    for row in known[:5]:
        shift = twins.of(opened.examples["ecg_id"][row])
        assert shift is not None
        assert logits[row, 1] - logits[row, 0] == pytest.approx(3 * shift[LEAD, SAMPLE], abs=1e-5)
    assert np.median(np.abs(logits[known, 1])) > 1.2 * np.median(np.abs(logits[known, 0]))  # no low voltage any more
    assert twins.of(opened.examples["ecg_id"][np.flatnonzero(~label)[0]]) is None
    table = pd.read_parquet(path / "tables/perturbation.parquet").set_index(
        ["kind", "metric", "step", "method", "order"]
    )
    assert np.isfinite(table.loc[(whole.name, "auroc_positives", 1, "random", "morf"), "value"])
    assert np.isnan(table.loc[(whole.name, "auroc", 1, "random", "morf"), "value"])


@pytest.mark.usefixtures("with_figures")
def test_without_training_ecgs_distances_are_unknown_and_their_means_refused(tmp_path: Path) -> None:
    kind = PerturbationKind(steps=1)
    with pytest.warns(UserWarning, match="0 training ECGs are at hand, too few to tell how far"):
        path, _ = run(tmp_path, ReadsOneSample(), AttributionMaps(["saliency"]), PerturbationCurves([kind]))
    assert np.isnan(open_run(path).store(f"perturbation/{kind.name}/morf_distance")).all()
    for replacement in ("conditional", "class_mean"):
        curves = PerturbationCurves([PerturbationKind(replacement=replacement)])  # type: ignore[arg-type]
        with pytest.raises(ValueError, match=f"{replacement} need 50 training ECGs or more, and 0 are at hand"):
            run(tmp_path, ReadsOneSample(), AttributionMaps(["saliency"]), curves)
