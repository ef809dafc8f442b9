"""A tenth target, which the simulator does not know, beside its nine: from patients to a tested network."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from test_simulated_source import arguments

from ecg_lightning import open_run
from ecg_lightning.cli import main
from ecg_lightning.data.prepare import cache_hash, cache_settings, prepare
from ecg_lightning.data.representations import MedianBeats
from ecg_lightning.data.shards import PrepareSettings
from ecg_lightning.data.sources import Entry, Synthetic
from ecg_lightning.data.targets import TargetInfo
from ecg_lightning.data.twins import TwinShifts
from ecg_lightning.ecg import TARGETS
from ecg_lightning.models.classifier import EcgClassifier


class WithSex(Synthetic):
    """The simulator's patients, whose sex is a target too, and whose age is measured."""

    def targets(self) -> Mapping[str, TargetInfo]:
        own = (TargetInfo("female", "Female sex"), TargetInfo("age", kind="regression", unit="years", low=0, high=130))
        return {**super().targets(), **{info.name: info for info in own}}

    def entries(self) -> Sequence[Entry]:
        return [
            replace(one, labels={**one.labels, "female": float(one.sex == "female"), "age": one.age})
            for one in super().entries()
        ]

    def settings(self) -> dict[str, object]:
        return {**super().settings(), "with": "sex"}


def own(stage: str, folder: Path, target: str, *more: str) -> list[str]:
    line = arguments(stage, folder, *more)
    line[line.index("sinus_rhythm")] = target
    return [*line, "--data.source.class_path", f"{__name__}.WithSex"]


SMALL = ("--model.network.init_args.depth", "2", "--trainer.max_epochs", "1", "--data.batch_size", "24")
COARSE = ("--config", "configs/callbacks/coarse.yaml")


def test_fit_and_test_with_every_experiment(tmp_path: Path) -> None:
    main(own("fit", tmp_path, "female", *SMALL))
    main(own("test", tmp_path, "female", *COARSE))
    run = open_run(tmp_path / "runs/simulated/female/seed0")
    assert set(run.examples["label"]) == {0.0, 1.0}
    assert {"maps", "perturbation", "localization"} <= {name.partition("/")[0] for name in run.stores}
    population = pd.read_parquet(run.paths.population)
    assert {*TARGETS, "female", "age_label"} <= set(population.columns)
    main(own("fit", tmp_path, "sinus_rhythm", *SMALL))  # the simulator's own go on, in the same study


def test_a_measured_target_has_its_own_column_and_is_trained(tmp_path: Path) -> None:
    main(own("fit", tmp_path, "age", *SMALL))
    (table,) = tmp_path.glob("cache/*/examples.parquet")
    examples = pd.read_parquet(table)
    np.testing.assert_array_equal(examples["age_label"], examples["age"])
    (checkpoint,) = tmp_path.rglob("best.ckpt")
    assert EcgClassifier.load_from_checkpoint(checkpoint).target_info.kind == "regression"


def test_the_nine_are_what_they_were(tmp_path: Path) -> None:
    plain, more = (prepare(s, tmp_path, processes=1, progress=False) for s in (Synthetic(6), WithSex(6)))
    np.testing.assert_array_equal(plain.beats, more.beats)
    assert plain.regions == more.regions
    pd.testing.assert_frame_equal(plain.examples, more.examples[plain.examples.columns])
    assert list(plain.examples.columns[7:16]) == list(TARGETS)
    assert {str(dtype) for dtype in plain.examples[list(TARGETS)].dtypes} == {"Int8"}


def test_the_cache_of_unchanged_settings_has_the_same_name() -> None:
    settings = cache_settings(Synthetic(n_patients=12), PrepareSettings(MedianBeats("keep"), 16.0))
    assert cache_hash(settings) == "c1571797eb9a"  # of the version with nine targets


def test_no_twin_lacks_what_the_simulator_does_not_know() -> None:
    TwinShifts(WithSex(2), "sinus_rhythm", "keep")
    with pytest.raises(ValueError, match=r"that the simulator knows .* and not female"):
        TwinShifts(WithSex(2), "female", "keep")
