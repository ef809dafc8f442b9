"""Kinds of perturbation that ask a fine-tuned copy of the network."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from test_audit import run
from test_perturbation_curves import BLOCKS, METHODS, STEPS, opened_split
from workplace import Workplace

from callbacks import AttributionMaps, LogitsAndMetrics
from callbacks.perturbation_curves import PerturbationCurves
from ecg_lightning import open_run
from ecg_lightning.data.datamodule import EcgDataModule
from ecg_lightning.experiments.perturbation.kinds import PerturbationKind
from ecg_lightning.models import EcgClassifier


@pytest.mark.usefixtures("with_figures")
def test_fine_tuned_logits_are_those_of_a_copy(
    trained: Workplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tuned = PerturbationKind(steps=STEPS, fraction_per_step=0.05, fine_tuned=True)
    waves = PerturbationKind("wave", "zero", "additive_mv", steps=1, orders=["morf"], fine_tuned=True)
    found = []
    for name in ("one", "two"):
        curves = PerturbationCurves([BLOCKS, tuned, waves], n_resamples=100)
        found.append(run(trained, tmp_path / name, AttributionMaps(METHODS), LogitsAndMetrics(), curves))
        plain, copy = curves.maps.source_network.state_dict(), curves.logits.tasks[tuned.name].network
    checkpoint = EcgClassifier.load_from_checkpoint(trained.run() / "checkpoints/best.ckpt").network.state_dict()
    assert all(torch.equal(value, plain[name]) for name, value in checkpoint.items())
    first, second = map(open_run, found)
    for name in (f"{tuned.name}/morf", f"{tuned.name}/lerf", f"{waves.name}/morf"):
        one, two = (opened.store(f"perturbation/{name}").to_numpy() for opened in (first, second))
        np.testing.assert_array_equal(one, two)
    test = opened_split(trained).dataset("test")
    with torch.no_grad():
        start = copy(test.__getitems__(list(range(len(test))))["ecg"])
    morf = first.store(f"perturbation/{tuned.name}/morf")
    np.testing.assert_allclose(morf.sel({"step": 0, "method": "saliency"}), start, atol=1e-4)
    assert np.abs(start.numpy() - first.logits.to_numpy()).max() > 1e-3
    untuned = first.store(f"perturbation/{BLOCKS.name}/morf").sel({"step": 0, "method": "saliency"})
    np.testing.assert_allclose(untuned, first.logits, atol=1e-4)
    table = pd.read_parquet(found[0] / "tables/perturbation_summary.parquet")
    assert set(table["kind"]) == {BLOCKS.name, tuned.name, waves.name}
    # not again where all rows are there
    monkeypatch.setattr("ecg_lightning.experiments.perturbation.fine_tuning.fine_tuned", None)
    again = PerturbationCurves([BLOCKS, tuned, waves], n_resamples=100)
    run(trained, tmp_path / "one", AttributionMaps(METHODS), LogitsAndMetrics(), again)
    assert not again.logits.tasks


def test_fine_tuning_needs_training_ecgs(trained: Workplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    examples = EcgDataModule.examples

    def only_test(self: EcgDataModule, split: str) -> pd.DataFrame:
        return examples(self, split).iloc[: None if split == "test" else 0]  # type: ignore[arg-type]

    monkeypatch.setattr(EcgDataModule, "examples", only_test)
    curves = PerturbationCurves([PerturbationKind(fine_tuned=True)])
    with pytest.raises(ValueError, match="the kinds with fine_tuned need training ECGs with and without"):
        run(trained, tmp_path, AttributionMaps(METHODS), LogitsAndMetrics(), curves)
