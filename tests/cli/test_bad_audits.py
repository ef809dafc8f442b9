"""Audits of what can't be decided: each ends in an error that says what to do, or in a state that says why."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from lightning.pytorch import Callback, Trainer
from torch import Tensor, nn

from callbacks import (
    AttributionMaps,
    AuditSummary,
    EvidenceLocalization,
    FaithfulnessScores,
    LogitsAndMetrics,
    MethodSimilarity,
    PerturbationCurves,
    RandomizationCascade,
)
from callbacks.audit_results import AuditResults
from ecg_lightning import open_run
from ecg_lightning.attribution.controls import CONTROLS
from ecg_lightning.cli import main
from ecg_lightning.data.datamodule import EcgDataModule
from ecg_lightning.data.sources import Entry, Synthetic
from ecg_lightning.ecg import Target
from ecg_lightning.experiments.perturbation.kinds import PerturbationKind
from ecg_lightning.experiments.verdicts import verdicts_of as all_verdicts
from ecg_lightning.models import EcgClassifier
from ecg_lightning.runs.run import Run
from ecg_lightning.runs.target_runs import TargetRuns
from ecg_lightning.storage.store import RowStore, StoreMismatchError

TARGET: Target = "low_qrs_voltage"
LABELS = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


class Voltages(nn.Module):
    """A linear unit over the points of one lead, so that it has a layer to randomise."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(600, 1)

    def forward(self, ecg: Tensor) -> Tensor:
        out: Tensor = self.linear(ecg[:, 5])[:, 0]
        return out


class Labelled(Synthetic):
    """Simulated patients of one ECG each, with labels of one's own.

    Args:
        labels: Of each patient.
    """

    def __init__(self, labels: Sequence[float]) -> None:
        super().__init__(n_patients=len(labels))
        self.given = tuple(labels)

    def entries(self) -> Sequence[Entry]:
        return [Entry(f"s0p{k}e0", f"s0p{k}", 50.0, "female", {TARGET: label}) for k, label in enumerate(self.given)]

    def settings(self) -> dict[str, object]:
        return super().settings() | {"labels": list(self.given)}

    def evidence(self, entry: Entry, neighbours="keep"):
        region = np.zeros((8, 600), dtype=np.bool_)
        region[:, 220:260] = True
        return {f"causal/{TARGET}": region} if entry.labels[TARGET] else {}


def audits() -> list[Callback]:
    """One of each, as cheap as can be."""
    return [
        RandomizationCascade(max_examples=4, depths=[0, 1], n_resamples=100),
        PerturbationCurves(kinds=[PerturbationKind(steps=2)], n_resamples=100),
        EvidenceLocalization(n_resamples=100),
        FaithfulnessScores(draws=4, sensitivity_draws=0, n_resamples=100),
        AuditSummary(),
    ]


def run_with(
    folder: Path, labels: Sequence[float], maps: AttributionMaps, *others: Callback, alone: bool = False
) -> Path:
    """The run folder of a test with these audits, of ECGs with these labels.

    With ``alone`` the threshold lies so that one ECG only is predicted to have the diagnosis.
    """
    torch.manual_seed(0)
    module = EcgDataModule(
        Labelled(labels), TARGET, str(folder / "cache"), split="test_only", processes=1, n_backgrounds=2
    )
    path = folder / "runs/bad" / TARGET / "seed0"
    trainer = Trainer(
        default_root_dir=path,
        callbacks=[maps, LogitsAndMetrics(n_resamples=100), *others],
        logger=False,
        accelerator="cpu",
        inference_mode=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    classifier = EcgClassifier(Voltages(), target=TARGET)
    if alone:
        module.setup("test")
        with torch.no_grad():
            logits = classifier.network(module.dataset("test").__getitems__(range(len(labels)))["ecg"])
        classifier.threshold.fill_(float(torch.sigmoid(logits).topk(2).values.mean()))
    trainer.test(classifier, datamodule=module, verbose=False)
    return path


def verdicts_of(path: Path) -> pd.DataFrame:
    return pd.read_parquet(path / "tables/verdicts.parquet")


@pytest.mark.parametrize(
    ("labels", "counts"),
    [((0.0,) * 4, "0 ECGs with it, 4 without"), ((1.0,) * 4, "4 ECGs with it, 0 without"), ((1.0,), "1 ECGs with it")],
    ids=["no positive patient", "all patients positive", "one test ECG"],
)
def test_one_class_only_is_refused_before_anything_is_computed(
    tmp_path: Path, labels: tuple[float, ...], counts: str
) -> None:
    with pytest.raises(ValueError, match=rf"target {TARGET}: the test split has {counts}.*both classes are needed"):
        run_with(tmp_path, labels, AttributionMaps(["saliency"]), *audits())
    assert not (tmp_path / "runs").exists()


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six patients, two with the diagnosis, one method, every audit; not to be changed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AuditResults, "figure", lambda *_, **__: None)  # pictures are other tests' matter
        folder = tmp_path_factory.mktemp("few")
        return run_with(folder, LABELS, AttributionMaps(["saliency"]), MethodSimilarity(), *audits())


def test_few_patients_can_t_tell_and_say_how_many(few: Path) -> None:
    table = verdicts_of(few)
    assert set(table["state"]) == {"cannot_tell"}
    assert set(table["networks"]) == {"this_network"}  # one seed claims nothing of others
    of_diagnosis = table[table["check"].isin(["localization", "perturbation", "faithfulness"])]
    assert set(of_diagnosis["why"]) <= {"few_patients", "undefined"}
    assert of_diagnosis.loc[of_diagnosis["why"] == "few_patients", "n_patients"].max() == 2
    assert table[["low", "high"]].isna().all(axis=None)


def test_one_method_is_compared_with_controls_alone(few: Path) -> None:
    similar = pd.read_parquet(few / "tables/similarity.parquet")
    assert set(similar["method"]) | set(similar["other_method"]) == {"saliency", *CONTROLS}
    own = verdicts_of(few).query("not control")
    assert set(own["method"]) == {"saliency"}
    assert set(own["family"]) == {1}


def test_one_seed_has_no_self_consistency_and_says_so(few: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["compare", str(few.parents[1])])
    told = capsys.readouterr().out
    assert f"{TARGET}: one seed only (0), so there is no self-consistency" in told
    assert not (few.parents[1] / "tables/self_consistency.parquet").exists()


def test_without_controls_no_method_uses_the_network(tmp_path: Path) -> None:
    """What a claim is measured against is gone, so the claim is not measured: never passed by default."""
    maps = AttributionMaps(["saliency", "gradient_x_input"], controls=[])
    path = run_with(tmp_path, LABELS, maps, MethodSimilarity(), *audits()[1:])
    states = verdicts_of(path).groupby("claim")["state"].agg(set).to_dict()
    assert states["uses_the_network"] == {"not_measured"}
    assert states["is_about_this_patient"] == {"cannot_tell"}
    for name in ("localization", "perturbation", "scores", "similarity"):
        assert set(pd.read_parquet(path / f"tables/{name}.parquet")["method"]) <= {"saliency", "gradient_x_input"}


def test_without_patient_controls_nothing_is_about_the_patient(tmp_path: Path) -> None:
    path = run_with(tmp_path, LABELS, AttributionMaps(["saliency"], patient_controls=[]), *audits()[1:])
    states = verdicts_of(path).groupby("claim")["state"].agg(set).to_dict()
    assert states["is_about_this_patient"] == {"not_measured"}
    assert states["uses_the_network"] == {"cannot_tell"}
    assert not (path / "partners.parquet").exists()


def test_one_method_without_controls_has_nothing_to_be_compared_with(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="compares two methods or controls at least, got saliency"):
        run_with(tmp_path, LABELS, AttributionMaps(["saliency"], controls=[]), MethodSimilarity())


def test_ecgs_without_a_partner_are_counted_told_and_left_out(tmp_path: Path) -> None:
    """One patient alone is predicted to have the diagnosis: no other map can stand in for theirs."""
    with pytest.warns(UserWarning, match=r"1 of 3 test ECGs have no partner, another patient with the same predicted"):
        path = run_with(tmp_path, (1.0, 0.0, 0.0), AttributionMaps(["saliency"]), EvidenceLocalization(), alone=True)
    partners = pd.read_parquet(path / "partners.parquet")
    alone = partners.groupby("row")["partner_row"].max() < 0
    assert alone.sum() == 1
    other = open_run(path).store("localization/controls/auroc").sel({"control": "other_ecg"})
    assert np.isnan(other[np.flatnonzero(alone)]).all()
    table = pd.read_parquet(path / "tables/localization.parquet").query("region == 'causal' and map == 'other_ecg'")
    assert len(table)


def test_an_audit_of_other_settings_is_refused_by_name_and_moved_aside_where_asked(tmp_path: Path) -> None:
    first = PerturbationCurves(kinds=[PerturbationKind(steps=2)], n_resamples=100)
    path = run_with(tmp_path, LABELS, AttributionMaps(["saliency"]), first)
    before = np.array(open_run(path).row_store("perturbation/block50_interpolation_none/morf").array)
    other = PerturbationKind(steps=2, fraction_per_step=0.05)
    with pytest.raises(StoreMismatchError, match=r"fraction_per_step"):
        run_with(tmp_path, LABELS, AttributionMaps(["saliency"]), PerturbationCurves(kinds=[other], n_resamples=100))
    store = open_run(path).row_store("perturbation/block50_interpolation_none/morf")
    np.testing.assert_array_equal(store.array, before)  # refused, not overwritten
    replacing = PerturbationCurves(kinds=[other], n_resamples=100, on_mismatch="replace")
    run_with(tmp_path, LABELS, AttributionMaps(["saliency"]), replacing)
    kept = [one for one in path.glob("perturbation/**/manifest.json") if "replaced" in str(one)]
    assert kept


def test_stores_of_an_earlier_version_are_shown_as_not_measured(few: Path, tmp_path: Path) -> None:
    """Its perturbation had no kinds, its infidelity was not related to the change: they stay and decide nothing."""
    path = tmp_path / "runs/old" / TARGET / "seed0"
    shutil.copytree(few, path)
    (path / "perturbation/block50_interpolation_none/morf").rename(path / "perturbation/morf")
    infidelity = RowStore.open(path / "scores/infidelity")
    spec, values = replace(infidelity.spec, unit="logit^2"), np.array(infidelity.array)
    shutil.rmtree(infidelity.path)
    old = RowStore.create(infidelity.path, spec)
    old.write(np.arange(len(values)), values)
    old.merge()
    table = all_verdicts([TargetRuns.of(TARGET, {0: Run(path)})])
    states = table[~table["control"]].groupby("check")["state"].agg(set).to_dict()
    assert states["perturbation"] == states["faithfulness"] == {"not_measured"}
    assert states["localization"] == {"cannot_tell"}
