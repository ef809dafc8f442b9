"""Targets are data: read from YAML, checked, and looked up among those of a source."""

import re
import string
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecg_lightning.data.datamodule import EcgDataModule
from ecg_lightning.data.label_checks import LabelsError, check_labels
from ecg_lightning.data.label_columns import DESCRIPTION, label_array, label_column, labels_of, targets_in
from ecg_lightning.data.sources import Entry, RejectedEntry, Synthetic
from ecg_lightning.data.sources.entry_checks import checked_entries
from ecg_lightning.data.targets import (
    PAPER_TARGETS,
    TargetInfo,
    check_distinct,
    in_order,
    is_target_name,
    load_targets,
    nearest,
    parse_targets,
)
from ecg_lightning.ecg import TARGETS
from ecg_lightning.models.checkpoint_fit import TARGET_INFO_KEY, check_fits

POTASSIUM = TargetInfo("potassium", kind="regression", unit="mmol/l", low=1.0, high=10.0)
NAMES = st.text(string.ascii_letters + string.digits + "_-", min_size=1, max_size=64)


# --- names ------------------------------------------------------------------------------------------------------


@given(st.text(max_size=70))
def test_a_name_is_one_safe_part_of_a_path(name: str) -> None:
    if is_target_name(name):
        assert Path("runs", name).parts == ("runs", name)
        assert name.isascii()
        assert not name.startswith((".", "-", "_"))


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "a/b",
        "a\\b",
        "../x",
        "/x",
        "a b",
        "_AVB",
        "-x",
        "a.b",
        "x" * 65,
        "all",
        "ALL",
        "tables",
        "é",
        "a\n",
        7,
    ],
)
def test_a_name_that_is_no_safe_folder_is_refused(name: Any) -> None:
    assert not is_target_name(name)
    with pytest.raises(ValueError, match="no name of a target"):
        TargetInfo(name)


@pytest.mark.parametrize("name", [*TARGETS, "STTC", "1AVB", "NST_", "snomed_164889003", "x" * 64])
def test_a_safe_name_is_taken(name: str) -> None:
    assert TargetInfo(name).name == name


def test_names_that_differ_in_case_only_are_refused() -> None:
    check_distinct(["STTC", "NORM"], "here")
    with pytest.raises(ValueError, match="here: the targets STTC, sttc differ in upper and lower case only"):
        check_distinct(["STTC", "NORM", "sttc"], "here")


@given(st.lists(NAMES))
def test_the_paper_s_targets_come_first(names: list[str]) -> None:
    found = in_order([*names, *TARGETS[::-1]])
    assert tuple(found[: len(TARGETS)]) == TARGETS
    assert found[len(TARGETS) :] == sorted(set(names) - set(TARGETS))


# --- what a target says ------------------------------------------------------------------------------------------


def test_the_nine_of_the_paper_are_read_from_yaml() -> None:
    assert tuple(PAPER_TARGETS) == TARGETS
    assert {one.kind for one in PAPER_TARGETS.values()} == {"binary"}
    assert all(one.criterion and one.title and one.short_title for one in PAPER_TARGETS.values())


def test_a_file_of_targets(tmp_path: Path) -> None:
    path = tmp_path / "targets.yaml"
    path.write_text("potassium: {kind: regression, unit: mmol/l, low: 1, high: 10}\nfemale:\n")
    assert load_targets(path) == {"potassium": POTASSIUM, "female": TargetInfo("female")}
    assert parse_targets(["female"], "a list") == {"female": TargetInfo("female")}
    assert TargetInfo.from_dict({**POTASSIUM.as_dict(), "of_a_later_version": 1}) == POTASSIUM
    with pytest.raises(FileNotFoundError, match=r"nowhere\.yaml: no such file; expected targets"):
        load_targets(tmp_path / "nowhere.yaml")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("just text", "expected targets"),
        ({"x": {"titel": "X"}}, "target x: expected some of criterion, .*title.*got .*titel"),
        ({"x": {"kind": "ternary"}}, "kind is 'ternary', expected binary or regression"),
        ({"x": {"unit": "mV"}}, "a binary target has no unit and no range; is it a regression"),
        ({"x": {"kind": "regression", "low": 3, "high": 1}}, "expected low under high, got 3 and 1"),
        ({"x": {"kind": "regression", "low": "few"}}, "here: could not convert"),
        ({"a/b": None}, "'a/b' is no name of a target"),
        ({"ab": None, "AB": None}, "differ in upper and lower case only"),
        ({"x": ["title"]}, "target x: expected some of"),
    ],
)
def test_a_file_that_says_something_else(content: object, message: str) -> None:
    with pytest.raises(ValueError, match=message) as told:
        parse_targets(content, "here")
    assert "here" in str(told.value)


@given(st.floats())
def test_labels_fit_their_target(label: float) -> None:
    missing = np.isnan(label)
    assert TargetInfo("x").fits(label) == bool(missing or label in (0.0, 1.0))
    assert POTASSIUM.fits(label) == bool(missing or 1.0 <= label <= 10.0)
    assert TargetInfo("y", kind="regression").fits(label) == bool(missing or np.isfinite(label))


def test_what_a_label_must_be_is_said() -> None:
    assert POTASSIUM.expected == "a number of mmol/l from 1 to 10"
    assert TargetInfo("x").expected == "1 or 0"


# --- columns -----------------------------------------------------------------------------------------------------


@given(st.lists(st.sampled_from([0.0, 1.0, np.nan]) | st.floats(-1e6, 1e6, width=32)))
def test_labels_come_back_from_their_column(labels: list[float]) -> None:
    table = pd.DataFrame({"ecg_id": [str(k) for k in range(len(labels))], "x": label_array(labels)})
    np.testing.assert_array_equal(labels_of(table, "x"), np.array(labels, dtype=np.float32))
    assert targets_in(table) == ["x"]
    assert str(table["x"].dtype) == ("Int8" if set(np.array(labels)[~np.isnan(labels)]) <= {0.0, 1.0} else "float64")


@pytest.mark.parametrize("target", [*DESCRIPTION, "STTC"])
def test_a_target_is_no_description_of_the_ecg(target: str) -> None:
    assert label_column(target) not in DESCRIPTION
    assert targets_in(pd.DataFrame(columns=["ecg_id", "age", label_column(target)])) == [target]


def test_a_target_that_no_ecg_has_is_missing_in_all() -> None:
    assert np.isnan(labels_of(pd.DataFrame({"ecg_id": ["a", "b"]}), "STTC")).all()


# --- checked once, against what the source has -----------------------------------------------------------------------


def test_an_unknown_target_is_refused_before_anything_is_computed(tmp_path: Path) -> None:
    module = EcgDataModule(Synthetic(n_patients=4), "atrial_fibrilation", cache_dir=str(tmp_path / "cache"))
    with pytest.raises(ValueError, match="synthetic has no target atrial_fibrilation: the nearest are atrial_fibrill"):
        module.prepare_data()
    assert not (tmp_path / "cache").exists()


def test_the_nearest_targets_are_named_whatever_their_case() -> None:
    assert nearest("sttc", ["NORM", "STTC", "CD"]) == "the nearest are STTC (of 3)"
    assert re.fullmatch(r"it has t0, .*, t11 and 8 more", nearest("zzzzz", [f"t{k}" for k in range(20)]))


def test_one_value_only_is_refused() -> None:
    label = np.array([4.0, 4.0, np.nan])
    with pytest.raises(LabelsError, match=r"the test split has 2 ECGs with a value, all 4 mmol/l, and 1 where"):
        check_labels(label, "test", POTASSIUM, str)
    check_labels(np.array([4.0, 4.5]), "test", POTASSIUM, str)
    with pytest.raises(LabelsError, match=r"2 ECGs with it, 0 without and 0 where the label is missing.*: look here"):
        check_labels(np.ones(2), "test", TargetInfo("x"), lambda: "look here")


def test_a_target_of_another_kind_is_refused() -> None:
    then = {"ecg_target": "potassium", TARGET_INFO_KEY: TargetInfo("potassium").as_dict(), "state_dict": {}}
    with pytest.raises(ValueError, match=r"of the kind 'binary', and this .* has the kind 'regression'"):
        check_fits(then, "potassium", {}, None, POTASSIUM)
    check_fits(then, "potassium", {}, None, TargetInfo("potassium"))
    del then[TARGET_INFO_KEY]  # as an earlier version wrote it
    check_fits(then, "potassium", {}, None, POTASSIUM)


def test_those_who_have_a_measurement_have_a_value() -> None:
    label = [0.0, 1.0, np.nan, 4.2]
    assert TargetInfo("x").present(label).tolist() == [False, True, False, False]
    assert POTASSIUM.present(label).tolist() == [True, True, False, True]


class Measured(Synthetic):
    """Patients with a potassium, some of which nobody has."""

    def __init__(self, label: object) -> None:
        super().__init__(n_patients=3)
        self.label = label

    def targets(self) -> Mapping[str, TargetInfo]:
        return {**PAPER_TARGETS, "potassium": POTASSIUM}

    def entries(self) -> Sequence[Entry]:
        first, *others = super().entries()
        return [replace(first, labels={"potassium": self.label}), *others]  # type: ignore[dict-item]


@pytest.mark.parametrize("label", [55.0, 0.5, np.inf, "4.2", None, True])
def test_a_source_s_impossible_label_rejects_its_ecg_alone(label: object) -> None:
    first, *others = checked_entries(Measured(label))
    if label is True:  # a number, and in the range
        assert not isinstance(first, RejectedEntry)
    else:
        assert isinstance(first, RejectedEntry)
        assert re.search(r"potassium of ECG 's0p0e0' is .*, expected a number of mmol/l from 1 to 10", first.reason)
    assert not any(isinstance(one, RejectedEntry) for one in others)


def test_a_label_of_no_target_rejects_its_ecg() -> None:
    source = Measured(4.2)
    source.targets = lambda: PAPER_TARGETS  # type: ignore[method-assign]
    first, *_ = checked_entries(source)
    assert isinstance(first, RejectedEntry)
    assert "a label of ECG 's0p0e0' is 'potassium', expected a target of the source; it has sinus" in first.reason
