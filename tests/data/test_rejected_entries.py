"""One bad line, link or name rejects its own ECG, with its place, and no other."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic_ecg import one_beat, synthetic, write_challenge, write_ptbxl

from ecg_lightning.data.cache import BeatCache
from ecg_lightning.data.prepare import prepare
from ecg_lightning.data.sources import Arrays, Cinc, Entry, PtbXl, Recording, Source
from ecg_lightning.data.sources.archive_table import read_csv
from ecg_lightning.data.sources.base import RejectedEntry
from ecg_lightning.data.sources.entry_checks import checked_entries
from ecg_lightning.data.sources.files import OutsideError, named_file, walk
from ecg_lightning.ecg import BEAT_SAMPLES, FIDUCIAL_SAMPLE

BEAT = one_beat((np.arange(BEAT_SAMPLES) - FIDUCIAL_SAMPLE) / 500.0)
N = 6
TABLE = pd.DataFrame(
    {
        "ecg_id": [f"e{k}" for k in range(N)],
        "patient_id": [f"p{k}" for k in range(N)],
        "age": ["50"] * N,
        "sex": ["female", "male"] * 3,
        "fold": ["1"] * N,
        "heart_rate": ["60"] * N,
        "sinus_rhythm": ["1", "0"] * 3,
    }
)


def arrays(folder: Path, table: pd.DataFrame, kind: str = "csv") -> Arrays:
    folder.mkdir(exist_ok=True)
    np.save(folder / "ecgs.npy", np.stack([BEAT] * N))
    table.to_csv(folder / "ecgs.csv", index=False) if kind == "csv" else table.to_parquet(folder / "ecgs.parquet")
    return Arrays(folder, content="beats")


def cached(source: Source, folder: Path) -> BeatCache:
    return prepare(source, folder / "cache", processes=1, progress=False)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("sinus_rhythm", "-1", "sinus_rhythm is '-1', expected 1 or 0, or nothing"),
        ("sinus_rhythm", "2", "sinus_rhythm is '2'"),
        ("sinus_rhythm", ".5", "sinus_rhythm is '.5'"),
        ("sinus_rhythm", "inf", "sinus_rhythm is 'inf'"),
        ("sinus_rhythm", "yes", "sinus_rhythm is 'yes'"),
        ("age", ">89", "age is '>89', expected years"),
        ("age", "45Y", "age is '45Y'"),
        ("age", "-3", "age of ECG 'e3' is -3.0, expected years from 0 to 130"),
        ("age", "299", "age of ECG 'e3' is 299.0"),
        ("sex", "X", "sex is 'X', expected female or male"),
        ("sex", "1", "sex is '1'"),
        ("fold", "train", "fold is 'train', expected a whole number"),
        ("fold", "1.5", "fold is '1.5'"),
        ("fold", "-2", "fold of ECG 'e3' is -2"),
        ("heart_rate", "75 bpm", "heart_rate is '75 bpm', expected beats per minute"),
        ("patient_id", "", "patient_id is '', expected text"),
        ("patient_id", "NA", "patient_id is 'NA'"),
        ("patient_id", "None", "patient_id is 'None'"),
        ("ecg_id", "nan", "ecg_id is 'nan'"),
        ("ecg_id", "e1", "ecg_id 'e1' stands there already"),
        ("age", "x" * 4000, "age is 'xxxx"),
    ],
)
def test_an_impossible_cell_rejects_its_ecg_alone(
    tmp_path: Path, kind: str, column: str, value: str, words: str
) -> None:
    table = TABLE.copy()
    table.loc[3, column] = value
    cache = cached(arrays(tmp_path, table, kind), tmp_path)
    assert cache.examples["ecg_id"].tolist() == ["e0", "e1", "e2", "e4", "e5"]
    (reason,) = cache.rejected["reason"]
    assert reason.startswith(f"{tmp_path / f'ecgs.{kind}'}, {'line 5' if kind == 'csv' else 'row 4'}: {words}")
    assert len(reason) < 500
    assert cache.rejected["reason_kind"].tolist() == ["table"]


def test_missing_values_are_missing_and_codes_are_understood(tmp_path: Path) -> None:
    table = TABLE.assign(
        age=["300", "", "nan", "90", "0", "16.5"],
        sex=["F", "m", "Female", "MALE", "", "unknown"],
        sinus_rhythm=["1.0", "True", "false", "", "NA", "0"],
    )
    entries = checked_entries(arrays(tmp_path, table))
    assert [entry.age for entry in entries] == pytest.approx([90, np.nan, np.nan, 90, 0, 16.5], nan_ok=True)
    assert [entry.sex for entry in entries] == ["female", "male", "female", "male", "unknown", "unknown"]
    assert [dict(entry.labels) for entry in entries] == [
        *({"sinus_rhythm": 1.0}, {"sinus_rhythm": 1.0}, {"sinus_rhythm": 0.0}, {}, {}, {"sinus_rhythm": 0.0}),
    ]


def test_a_space_beside_an_id_makes_no_other_patient(tmp_path: Path) -> None:
    table = TABLE.assign(patient_id=["17", "17 ", " 17", "18", "18", "19"])
    cache = cached(arrays(tmp_path, table), tmp_path)
    assert cache.examples["patient_id"].tolist() == ["17", "17", "17", "18", "18", "19"]


def test_the_signal_of_a_repeated_id_is_that_of_the_row_that_is_used(tmp_path: Path) -> None:
    table = TABLE.copy()
    table.loc[1, ["ecg_id", "age"]] = ["twice", "old"]
    table.loc[4, "ecg_id"] = "twice"
    source = arrays(tmp_path, table)
    np.save(tmp_path / "ecgs.npy", np.stack([BEAT * (1 + k / 10) for k in range(N)]))
    used = [entry for entry in checked_entries(source) if not isinstance(entry, RejectedEntry)]
    assert [entry.ecg_id for entry in used] == ["e0", "e2", "e3", "twice", "e5"]
    np.testing.assert_allclose(source.read(used[3]).signal, BEAT * 1.4)


@pytest.mark.parametrize("content", [np.array([{}], dtype=object), np.array(["a"])])
def test_an_array_of_no_numbers_is_told(tmp_path: Path, content: np.ndarray) -> None:
    source = arrays(tmp_path, TABLE)
    np.save(tmp_path / "ecgs.npy", content)
    with pytest.raises(ValueError, match=r"ecgs\.npy (can't be read|holds <U1, expected an array of numbers)"):
        source.entries()


# --- tables -------------------------------------------------------------------------------------------------------

CELL = st.text(st.characters(codec="utf-8", exclude_characters="\r\0", exclude_categories=["Cs"]), max_size=8)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(CELL, min_size=3, max_size=3), min_size=1, max_size=8))
def test_a_sound_table_is_read_as_pandas_reads_it(tmp_path_factory: pytest.TempPathFactory, cells: list[Any]) -> None:
    path = tmp_path_factory.mktemp("table") / "t.csv"
    table = pd.DataFrame(cells, columns=["a", "b", "c"])
    table = table[table.astype(bool).any(axis=1)]
    table.to_csv(path, index=False, lineterminator="\n")
    rows = read_csv(path, ("a",), "")
    theirs = pd.read_csv(path, dtype=str, keep_default_na=False, lineterminator="\n")
    assert [list(row.cells.values()) for row in rows] == theirs.to_numpy().tolist()
    assert not any(row.problem for row in rows)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b'3,"open,z', "expected 3 cells, got 1"),
        (b"3,y", "expected 3 cells, got 2"),
        (b"3,y,z,zz", "expected 3 cells, got 4"),
        (b"3,\xff\xfe,z", r"b is '\udcff\udcfe', expected text in UTF-8"),
        (b'3,"y\n', "expected 3 cells, got 1"),
    ],
)
def test_a_broken_line_costs_no_other_and_is_numbered(tmp_path: Path, line: bytes, problem: str) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b'a,b,c\n1,"two\nlines",z\n' + line + b"\n4,y,z\n\n5,y,z\n")
    rows = [row for row in read_csv(path, ("a", "b"), "") if row.cells.get("b") != "" or row.problem]
    broken = [row for row in rows if row.problem]
    assert broken[0].line == 4
    assert problem in broken[0].problem
    whole = [(row.line, row.cells["a"]) for row in rows if not row.problem]
    assert whole[0] == (2, "1")
    assert [name for _, name in whole[-2:]] == ["4", "5"]


# --- any source ---------------------------------------------------------------------------------------------------


class Listed(Source):
    name = "listed"

    def __init__(self, entries: list[Entry]) -> None:
        self.listed = entries

    def entries(self) -> list[Entry]:
        return self.listed

    def read(self, entry: Entry) -> Recording:
        return synthetic().recording

    def settings(self) -> dict[str, object]:
        return {}


GOOD = Entry("a", "p", 50.0, "female", {"sinus_rhythm": 1.0})


@pytest.mark.parametrize("label", [True, np.True_, np.int8(1), np.float32(1.0), 0, float("nan")])
def test_a_label_may_be_a_number_of_any_kind(label: Any) -> None:
    (entry,) = checked_entries(Listed([replace(GOOD, labels={"sinus_rhythm": label})]))
    assert not isinstance(entry, RejectedEntry)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda e: replace(e, ecg_id=7), "ecg_id is 7"),
        (lambda e: replace(e, patient_id=None), "patient_id is None"),
        (lambda e: replace(e, patient_id="<NA>"), "patient_id is '<NA>'"),
        (lambda e: replace(e, age="50"), "age of ECG 'b' is '50'"),
        (lambda e: replace(e, age=float("inf")), "age of ECG 'b' is inf"),
        (lambda e: replace(e, sex="f"), "sex of ECG 'b' is 'f', expected one of female, male, unknown"),
        (lambda e: replace(e, labels={"flutter": 1.0}), "a label of ECG 'b' is 'flutter'"),
        (lambda e: replace(e, labels={"sinus_rhythm": "1"}), "sinus_rhythm of ECG 'b' is '1'"),
        (lambda e: replace(e, labels={"sinus_rhythm": 0.5}), "sinus_rhythm of ECG 'b' is 0.5"),
        (lambda e: replace(e, fold=-1), "fold of ECG 'b' is -1"),
        (lambda e: replace(e, labels=None), "labels of ECG 'b' is None, expected a mapping"),
        (lambda e: replace(e, labels=[1, 0]), "labels of ECG 'b' is [1, 0]"),
        (lambda e: replace(e, patient_id="17 "), "patient_id is '17 ', expected no spaces around it"),
        (lambda e: replace(e, patient_id="\udce4"), r"patient_id is '\udce4', expected text in UTF-8"),
        (lambda e: replace(e, ecg_id="\udce4"), r"ecg_id is '\udce4'"),
    ],
)
def test_what_a_source_of_one_s_own_yields_is_checked(change: Callable[[Entry], Entry], words: str) -> None:
    other = change(replace(GOOD, ecg_id="b"))
    good, bad = checked_entries(Listed([GOOD, other]))
    assert good is GOOD
    assert isinstance(bad, RejectedEntry)
    assert bad.reason.startswith(f"listed, entry 1: {words}")


def test_numpy_s_numbers_and_booleans_are_labels() -> None:
    entry = replace(
        GOOD, age=np.float32(50), fold=np.int64(3), labels={"sinus_rhythm": np.float64(1), "low_qrs_voltage": True}
    )
    assert checked_entries(Listed([entry])) == [entry]


# --- files --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["../x.mat", "/etc/passwd", "a/../../x", "", " ", "C:\\x", "\\\\server\\x", "..\\x", "a\0b", "a/.."]
)
def test_names_that_lead_out_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(OutsideError, match=r"x\.hea, line 2: expected the name of a file in or below"):
        named_file(tmp_path, name, "x.hea, line 2")


def test_names_below_are_files(tmp_path: Path) -> None:
    assert named_file(tmp_path, "a/b..c.mat", "x") == tmp_path / "a/b..c.mat"


@pytest.mark.parametrize("name", ["../secret.mat", "{root}/../secret.mat"])
def test_a_header_reads_no_file_outside_of_its_folder(tmp_path: Path, name: str) -> None:
    root = tmp_path / "root"
    root.mkdir()
    write_challenge(root / "A0001")
    write_challenge(root / "A0002")
    (root / "A0002.mat").rename(tmp_path / "secret.mat")
    header = root / "A0002.hea"
    header.write_text(header.read_text().replace("A0002.mat ", name.format(root=root.as_posix()) + " "))
    cache = cached(Cinc(root), tmp_path)
    assert cache.examples["ecg_id"].tolist() == ["A0001"]
    assert cache.rejected["reason_kind"].tolist() == ["outside"]


def test_a_table_names_no_file_outside_of_the_root(tmp_path: Path) -> None:
    root = tmp_path / "root"
    write_ptbxl(root, [(50.0, "{'SR': 0.0}")] * 3)
    table = root / "ptbxl_database.csv"
    outside = "../elsewhere/00002_hr"
    (tmp_path / "elsewhere").mkdir()
    for path in (root / "records500/00000").glob("00002_hr.*"):
        path.rename(tmp_path / "elsewhere" / path.name)
    table.write_text(table.read_text().replace("records500/00000/00002_hr", outside))
    cache = cached(PtbXl(root), tmp_path)
    assert cache.rejected["ecg_id"].tolist() == ["2"]
    assert cache.rejected["reason_kind"].tolist() == ["outside"]


def test_linked_folders_are_followed_and_loops_end(tmp_path: Path) -> None:
    root, disk = tmp_path / "root", tmp_path / "disk"
    for path in (root / "own/A0001", disk / "georgia/E00001"):
        path.parent.mkdir(parents=True)
        write_challenge(path)
    (root / "georgia").symlink_to(disk / "georgia")
    (root / "own/loop").symlink_to(root)
    (root / "own/nowhere.hea").symlink_to(root / "gone.hea")
    (root / "own/self.hea").symlink_to(root / "own/self.hea")
    with pytest.warns(UserWarning, match=r"1 folders are links to folders that were read already: .*loop"):
        cache = cached(Cinc(root), tmp_path)
    assert sorted(cache.examples["ecg_id"]) == ["A0001", "E00001"]
    assert dict(zip(cache.rejected["ecg_id"], cache.rejected["reason_kind"], strict=True)) == {
        "nowhere": "unreadable",
        "self": "unreadable",
    }


def test_a_walk_tells_folders_that_can_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "closed").mkdir()
    scandir = os.scandir

    def refuse(path: str) -> object:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(PermissionError, match="closed"):
        list(walk(tmp_path))
