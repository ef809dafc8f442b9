"""A study has one data: what differs is named, with both values, where it lies, and what to do."""

from pathlib import Path

import pandas as pd
import pytest

from ecg_lightning.data.datamodule import EcgDataModule
from ecg_lightning.data.sources.synthetic import Synthetic
from ecg_lightning.data.study_splits import SETTINGS, check_study_settings, check_study_splits, flat_settings
from ecg_lightning.storage.atomic import write_parquet_atomic


def table(settings: dict[str, object], **splits: str) -> pd.DataFrame:
    made = pd.DataFrame({"ecg_id": list(splits), "patient_id": list(splits), "split": list(splits.values())})
    made.attrs = {SETTINGS: settings}
    return made


@pytest.fixture
def study(tmp_path: Path) -> Path:
    path = tmp_path / "mine" / "splits.parquet"
    path.parent.mkdir()
    settings = {"data.split_seed": 0, "data.source.n_patients": 4}
    write_parquet_atomic(path, table(settings, a="train", b="train", c="validation", d="test"))
    return path


def test_the_same_data_pass(study: Path, tmp_path: Path) -> None:
    settings = {"data.split_seed": 0, "data.source.n_patients": 4}
    check_study_settings(study, settings)
    check_study_splits(study, table(settings, a="train", b="train", c="validation", d="test"))
    check_study_settings(tmp_path / "new" / "splits.parquet", {"data.split_seed": 1})  # a study without any run yet
    check_study_splits(tmp_path / "new" / "splits.parquet", table({}, a="train"))


def test_other_settings_are_named_with_both_values_and_the_way_out(study: Path) -> None:
    with pytest.raises(ValueError, match="the study mine was made from other data") as refused:
        check_study_settings(study, {"data.split_seed": 3, "data.source.n_patients": 4, "data.min_age": 16.0})
    assert str(study) in str(refused.value)
    assert "data.split_seed: 0 then, 3 now; data.min_age: (absent) then, 16 now. Use another --study" in str(
        refused.value
    )


def test_other_splits_are_counted_and_the_first_ecg_is_named(study: Path) -> None:
    now = table({"data.split_seed": 3, "data.source.n_patients": 4}, a="test", b="train", c="validation", e="test")
    with pytest.raises(ValueError, match=f"{study} has 1 test, 2 train, 1 validation, this run has 2 test") as refused:
        check_study_splits(study, now)
    for part in (
        "data.split_seed: 0 then, 3 now; ",
        "only the study has 1 of the ECGs (first: d); only this run has 1 of the ECGs (first: e); ",
        "1 are in another split (first: a, train then, test now). Use another --study",
    ):
        assert part in str(refused.value)


def test_the_order_of_the_ecgs_counts_because_rows_are_numbered_by_it(study: Path) -> None:
    now = table({"data.split_seed": 0, "data.source.n_patients": 4}, d="test", a="train", b="train", c="validation")
    with pytest.raises(ValueError, match="the same ECGs come in another order"):
        check_study_splits(study, now)


def test_a_study_of_an_earlier_version_is_told_apart_by_its_ecgs_alone(study: Path) -> None:
    plain = pd.read_parquet(study)
    plain.attrs = {}
    write_parquet_atomic(study, plain)
    check_study_settings(study, {"data.split_seed": 3})
    check_study_splits(study, table({"data.split_seed": 3}, a="train", b="train", c="validation", d="test"))
    with pytest.raises(ValueError, match="only the study has 3"):
        check_study_splits(study, table({"data.split_seed": 3}, a="train"))


def test_settings_come_back_from_the_disk_as_they_were(study: Path, tmp_path: Path) -> None:
    """Whatever JSON makes of them: a tuple that comes back as a list is no difference."""
    source = Synthetic(n_patients=30)
    datamodule = EcgDataModule(source, cache_dir=str(tmp_path / "cache"), held_out_patients=3)
    settings = datamodule.settings()
    assert settings["data.source"] == "synthetic"
    assert settings["data.source.n_patients"] == 30
    assert settings["data.held_out_patients"] == 3
    settings |= flat_settings({"codes": {"AF": ("atrial", 1), "none": {}}}, "data.source.label_map")
    write_parquet_atomic(study, table(settings, a="train"))
    check_study_settings(study, settings)
    assert set(settings) >= {"data.source.label_map.codes.AF", "data.source.label_map.codes.none"}
