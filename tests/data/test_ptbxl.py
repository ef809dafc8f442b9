import math
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
from synthetic_ecg import synthetic, twelve_leads, write_ptbxl, write_record

from ecg_lightning.data.representations import MedianBeats, RecordingWindow
from ecg_lightning.data.sources import PtbXl, RecordingError
from ecg_lightning.data.sources.base import RejectedEntry
from ecg_lightning.data.sources.entry_checks import checked_entries, target_of
from ecg_lightning.data.sources.label_map import count_codes, load_label_map, name_codes, parse_label_map
from ecg_lightning.data.sources.wfdb_checks import UnreadableError
from ecg_lightning.data.sources.wfdb_files import UnitError, read_wfdb
from ecg_lightning.ecg import TARGETS, Target
from ecg_lightning.signal.resample import resample

RECORDS = [(56.0, "{'NORM': 100.0, 'SR': 0.0, 'LVOLT': 0.0}"), (300.0, "{'AFIB': 0.0}"), (math.nan, "{}")]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_ptbxl(tmp_path, RECORDS)
    return tmp_path


def edit(root: Path, old: str, new: str) -> None:
    table = root / "ptbxl_database.csv"
    text = table.read_text()
    assert old in text
    table.write_text(text.replace(old, new))


def test_entries(root: Path) -> None:
    first, second, third = PtbXl(root).entries()
    assert (first.ecg_id, first.patient_id, first.age, first.sex, first.fold) == ("1", "101", 56.0, "female", 2)
    assert {t for t in TARGETS if first.labels[t]} == {"sinus_rhythm", "low_qrs_voltage"}
    assert tuple(first.labels) == (*TARGETS, "age")
    assert second.sex == "male"
    assert second.age == 90.0  # coded 300
    assert second.labels["atrial_fibrillation"] == 1.0
    assert math.isnan(third.age)
    assert dict(third.labels) == dict.fromkeys(TARGETS, 0.0)


STATEMENTS = """,description,diagnostic,form,rhythm,diagnostic_class,diagnostic_subclass
NORM,normal ECG,1.0,,,NORM,NORM
NDT,non-diagnostic T abnormalities,1.0,1.0,,STTC,STTC
NST_,non-specific ST changes,1.0,1.0,,STTC,NST_
LAFB,left anterior fascicular block,1.0,,,CD,LAFB/LPFB
2AVB,second degree AV block,1.0,,,CD,_AVB
SR,sinus rhythm,,,1.0,,
"""


def test_statements_and_classes_are_targets(tmp_path: Path) -> None:
    records = [(56.0, "{'NORM': 100.0, 'SR': 0.0}"), (300.0, "{'NDT': 0.0}"), (math.nan, "{'SR': 0.0}")]
    write_ptbxl(tmp_path, records)
    (tmp_path / "scp_statements.csv").write_text(STATEMENTS)
    source = PtbXl(tmp_path)
    assert {*("STTC", "STTC_subclass", "NDT", "NORM", "NORM_subclass", "NORM_statement")} <= set(source.targets())
    assert {*("CD", "LAFB", "LAFB_LPFB", "AVB", "2AVB", "NST_", "NST_statement", "SR")} <= set(source.targets())
    assert (source.targets()["STTC"].title, source.targets()["NDT"].short_title) == ("ST/T change", "NDT")
    normal, changed, unclassified = pickle.loads(pickle.dumps(source.entries()))  # as worker processes get them
    assert [one.labels["SR"] for one in (normal, changed, unclassified)] == [1.0, 0.0, 1.0]
    assert [one.labels["STTC"] for one in (normal, changed)] == [0.0, 1.0]
    assert [one.labels["NORM"] for one in (normal, changed)] == [1.0, 0.0]
    assert "STTC" not in unclassified.labels  # nothing diagnostic was stated: nobody classified it
    assert unclassified.labels["NDT"] == 0.0
    assert not any(isinstance(one, RejectedEntry) for one in checked_entries(source))


def test_an_age_that_is_hidden_is_a_missing_label(root: Path) -> None:
    ages = [entry.labels.get("age", math.nan) for entry in PtbXl(root).entries()]
    np.testing.assert_array_equal(ages, [56.0, math.nan, math.nan])  # 300 and an empty cell
    assert PtbXl(root).targets()["age"].kind == "regression"


def test_statements_need_their_file(root: Path) -> None:
    source = PtbXl(root)
    with pytest.raises(ValueError, match=r"ptbxl has no target STTC: .*scp_statements\.csv is missing.*label map"):
        target_of(source, "STTC")
    (root / "scp_statements.csv").write_text("code,description\nNORM,normal ECG\n")
    with pytest.raises(ValueError, match=r"scp_statements\.csv: column .*diagnostic_class.* missing; get"):
        PtbXl(root).targets()
    (root / "scp_statements.csv").write_text(STATEMENTS + "SR,sinus rhythm\n")
    with pytest.raises(ValueError, match=r"scp_statements\.csv, line 8: expected 7 cells, got 2"):
        PtbXl(root).targets()


def test_read_gives_millivolts(root: Path) -> None:
    source = PtbXl(str(root))
    recording = source.read(source.entries()[0])
    expected = twelve_leads(synthetic(61.0, seconds=6.0, seed=1).recording.signal)
    assert recording.sampling_rate == 500.0
    assert recording.leads[:4] == ("I", "II", "III", "AVR")
    np.testing.assert_allclose(recording.signal, expected, atol=6e-4)  # steps of 1 uV


@pytest.mark.parametrize(("unit", "factor"), [("uV", 1e3), ("V", 1e-3), ("mV", 1.0), ("nV", 1e6)])
def test_units_are_converted(tmp_path: Path, unit: str, factor: float) -> None:
    signal = twelve_leads(synthetic(seconds=4.0).recording.signal)
    write_record(tmp_path / "x", factor * signal, unit=unit, gain=1000.0 / factor)
    np.testing.assert_allclose(read_wfdb(tmp_path / "x").signal, signal, atol=1e-3)


def test_an_unknown_unit_is_refused(tmp_path: Path) -> None:
    write_record(tmp_path / "x", twelve_leads(synthetic(seconds=4.0).recording.signal), unit="mmHg")
    with pytest.raises(UnitError, match=r"x\.hea: unit mmHg, expected mV"):
        read_wfdb(tmp_path / "x")


def test_a_missing_header_and_a_missing_signal(root: Path) -> None:
    source = PtbXl(root)
    record = root / "records500/00000/00001_hr"
    record.with_suffix(".dat").unlink()
    with pytest.raises(UnreadableError, match=r"00001_hr\.dat.* is missing"):
        source.read(source.entries()[0])
    record.with_suffix(".hea").unlink()
    with pytest.raises(UnreadableError, match=r"00001_hr\.hea: no such file"):
        source.read(source.entries()[0])


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.5, 0.99, 0.99999])
def test_a_truncated_signal(root: Path, kept: float) -> None:
    path = root / "records500/00000/00002_hr.dat"
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    source = PtbXl(root)
    with pytest.raises(UnreadableError, match=r"00002_hr\.hea: .*truncated or damaged"):
        source.read(source.entries()[1])


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"garbage\n",
        b"00003_hr 12 500 3000\n",
        b"00003_hr 0 500 0\n",
        bytes(range(256)),
        b"00003_hr 1 500 9\na.dat 16 x",
    ],
)
def test_a_damaged_header(root: Path, header: bytes) -> None:
    (root / "records500/00000/00003_hr.hea").write_bytes(header)
    source = PtbXl(root)
    with pytest.raises(RecordingError, match=r"00003_hr\.hea"):
        source.read(source.entries()[2])


def test_a_missing_table_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"ptbxl_database\.csv: no such file; get PTB-XL 1\.0\.3"):
        PtbXl(tmp_path).entries()
    with pytest.raises(FileNotFoundError, match="physionet"):
        PtbXl(tmp_path).settings()


@pytest.mark.parametrize("column", ["patient_id", "scp_codes", "filename_hr", "strat_fold", "age", "sex", "ecg_id"])
def test_a_missing_column_is_named(root: Path, column: str) -> None:
    edit(root, f"{column}", f"other_{column}") if column != "age" else edit(root, ",age,", ",years,")
    with pytest.raises(ValueError, match=rf"ptbxl_database\.csv: column {column} missing; get PTB-XL"):
        PtbXl(root).entries()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("{'AFIB': 0.0}", "{'SR': 0.0", r"line 3: scp_codes is \"\{'SR': 0.0\", expected \{'code': likelihood"),
        ("{'AFIB': 0.0}", "['SR']", "line 3: scp_codes is"),
        ("{'AFIB': 0.0}", "SR", "line 3: scp_codes is 'SR'"),
        ("2,102.0,300", "2,,300", "line 3: patient_id is '', expected a whole number"),
        ("2,102.0,300.0", "2,102.0,old", "line 3: age is 'old', expected years"),
        ("2,102.0,300", "2,p102,300", "line 3: patient_id is 'p102', expected a whole number"),
        ("2,102.0,300.0", "2,102.0,300.0,5", "line 3: expected 9 cells, got 10"),
        ("2,102.0,300", "2,102.0,-300", "line 3: age of ECG '2' is -300.0, expected years from 0 to 130"),
        ("2,102.0,300", "1,102.0,300", r"line 3: ecg_id '1' stands there already \(.*line 2\)"),
    ],
)
def test_a_broken_row_costs_no_other(root: Path, old: str, new: str, message: str) -> None:
    edit(root, old, new)
    first, second, third = checked_entries(PtbXl(root))
    assert isinstance(second, RejectedEntry)
    assert re.search(rf"ptbxl_database\.csv, {message}", second.reason)
    assert (first.ecg_id, third.ecg_id) == ("1", "3")
    assert not isinstance(first, RejectedEntry)
    assert not isinstance(third, RejectedEntry)


def test_an_empty_table(root: Path) -> None:
    (root / "ptbxl_database.csv").write_text("")
    with pytest.raises(ValueError, match="the file is empty"):
        PtbXl(root).entries()


def test_settings_follow_the_content_and_not_the_place(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    write_ptbxl(elsewhere, RECORDS)
    before = PtbXl(root).settings()
    assert before == PtbXl(elsewhere).settings()
    assert str(root) not in str(before)
    edit(root, "'AFIB'", "'AFLT'")
    assert PtbXl(root).settings() != before


def test_a_pickled_source_is_small_and_reads(root: Path) -> None:
    source = PtbXl(root)
    entry = source.entries()[0]
    packed = pickle.dumps(source)
    assert len(packed) < 1000
    np.testing.assert_array_equal(pickle.loads(packed).read(entry).signal, source.read(entry).signal)


def test_unmapped_codes_are_counted(root: Path) -> None:
    assert dict(PtbXl(root).unmapped_codes()) == {"NORM": 1}
    edit(root, "'AFIB': 0.0", "'IMI': 0.0, 'ASMI': 50.0, 'NORM': 0.0")
    assert list(PtbXl(root).unmapped_codes().items()) == [("NORM", 2), ("ASMI", 1), ("IMI", 1)]


def test_a_map_of_one_s_own(root: Path) -> None:
    path = root / "mine.yaml"
    path.write_text("NORM: sinus_rhythm\n")
    source = PtbXl(root, label_map=str(path))
    assert [e.labels["sinus_rhythm"] for e in source.entries()] == [1.0, 0.0, 0.0]
    assert not any(target in entry.labels for entry in source.entries() for target in TARGETS[1:])
    assert list(source.unmapped_codes()) == ["AFIB", "LVOLT", "SR"]
    assert source.settings() != PtbXl(root).settings()
    assert str(root) not in str(source.settings())
    assert pickle.loads(pickle.dumps(source)).label_map == str(path)


def test_a_map_that_matches_nothing(root: Path) -> None:
    path = root / "snomed.yaml"
    path.write_text("426783006: sinus_rhythm\n164889003: atrial_fibrillation\n")
    message = (
        r"snomed\.yaml: none of its 2 codes occurs in the 3 ECGs of .*; codes that do occur: AFIB x 1, LVOLT x 1, "
    )
    with pytest.raises(ValueError, match=message):
        PtbXl(root, label_map=str(path)).entries()


def test_an_archive_without_codes_may_be_read(root: Path) -> None:
    edit(root, "{'NORM': 100.0, 'SR': 0.0, 'LVOLT': 0.0}", "{}")
    edit(root, "{'AFIB': 0.0}", "{}")
    assert not any(e.labels[target] for e in PtbXl(root).entries() for target in TARGETS)


def test_label_map_of_ptbxl() -> None:
    label_map = load_label_map("ptbxl")
    assert set(label_map.codes.values()) == set(TARGETS)
    assert label_map.codes["1AVB"] == "first_degree_av_block"
    assert "IRBBB" not in label_map.codes  # incomplete block
    assert label_map.labels(["VCLVH"])["left_ventricular_hypertrophy"] == 1.0


@pytest.mark.parametrize("archive", ["ptbxl", "cinc", "ludb"])
def test_the_shipped_map_is_the_one_of_the_data_s_readme(data_root: Path, archive: str) -> None:
    column = ("ptbxl", "cinc", "ludb").index(archive) + 1
    by_name: dict[str, Target] = {target.replace("_", " "): target for target in TARGETS}
    rows = [line.split("|")[1:-1] for line in (data_root / "README.md").read_text().splitlines()]
    expected = {
        (code.strip(), by_name[name])
        for row in rows
        if (name := row[0].strip().lower().replace("-", " ") if row else "") in by_name and "never" not in row[column]
        for code in row[column].split(",")
    }
    assert len({target for _, target in expected}) == (8 if archive == "ludb" else 9)
    assert set(load_label_map(archive).codes.items()) == expected


def test_a_target_that_an_archive_never_labels_is_missing() -> None:
    label_map = parse_label_map("a: sinus_rhythm\nb: low_qrs_voltage\nnever_labelled: {far: [sinus_rhythm]}", "x")
    assert label_map.labels(["A"]) == {"sinus_rhythm": 1.0, "low_qrs_voltage": 0.0}
    assert label_map.labels(["A"], "near") == {"sinus_rhythm": 1.0, "low_qrs_voltage": 0.0}
    assert label_map.labels(["A"], "far") == {"low_qrs_voltage": 0.0}
    assert label_map.unmapped({"A": 3, "c": 1, "d": 2}) == {"d": 2, "c": 1}


def test_a_label_map_defines_targets_of_its_own(root: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "SR: sinus_rhythm\nNORM: normal_ecg\nAFIB: flutter\ntargets:\n  normal_ecg: {title: A normal ECG}\n"
    )
    with pytest.raises(ValueError, match="code AFIB means 'flutter', no target"):
        PtbXl(root, str(path)).entries()
    path.write_text("SR: sinus_rhythm\nNORM: normal_ecg\ntargets:\n  normal_ecg: {title: A normal ECG}\n")
    source = PtbXl(root, str(path))
    assert source.targets()["normal_ecg"].title == "A normal ECG"
    assert [entry.labels["normal_ecg"] for entry in source.entries()] == [1.0, 0.0, 0.0]
    assert set(source.settings()) == {"table_blake2b", "label_map"}  # as before: the codes' meaning is the content
    assert "normal_ecg" not in PtbXl(root).targets()


def test_codes_are_read_as_they_are_written() -> None:
    label_map = parse_label_map("NO: sinus_rhythm\n0123: sinus_rhythm\n1e3: sinus_rhythm\n1_0: sinus_rhythm", "x")
    assert list(label_map.codes) == ["NO", "0123", "1e3", "1_0"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "SR: sinus",
            r"mine\.yaml: code SR means 'sinus', no target; .*sinus_rhythm.*Define one of your own below `targets:`",
        ),
        ("SR: [sinus_rhythm]", r"code SR means \['sinus_rhythm'\], no target"),
        ("SR:", "code SR means '', no target"),
        ("a: sinus_rhythm\nb: sinus_rhythm\na: atrial_fibrillation", r"mine\.yaml: code a is listed twice"),
        ("AFIB: sinus_rhythm\nafib: sinus_rhythm", "code afib is listed twice"),
        ("- sinus_rhythm", r"mine\.yaml: expected lines 'code: target', got '- sinus_rhythm'"),
        ("sinus_rhythm", "expected lines 'code: target'"),
        ("", "expected lines 'code: target', got ''"),
        ("a: {sinus_rhythm", r"mine\.yaml: not YAML"),
        ("[a]: sinus_rhythm", "not YAML"),
        ("never_labelled: {a: [sinus_rhythm]}", "no code; expected lines"),
        ("a: sinus_rhythm\nnever_labelled: [a]", r"never_labelled: expected 'part: \[target, ...\]'"),
        ("a: sinus_rhythm\nnever_labelled: {a: sinus_rhythm}", r"never_labelled: expected 'part: \[target, ...\]'"),
        ("a: sinus_rhythm\nnever_labelled: {far: [flutter]}", "never_labelled far means 'flutter', no target"),
        ("a: sinus_rhythm\ntargets: {sinus_rhythm: }", "sinus_rhythm is one of the nine and needs no lines here"),
        ("a: x\ntargets: {x: {kind: regression}}", "targets: x is measured, and a code is not"),
        ("a: x\ntargets: {x: {titel: X}}", r"mine\.yaml: targets: target x: expected some of"),
        ("a: x/y\ntargets: {x/y: }", "'x/y' is no name of a target"),
    ],
)
def test_label_maps_are_checked(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        load_label_map("ptbxl", str(path))


def test_a_label_map_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no label map for 'nowhere'"):
        load_label_map("nowhere")
    with pytest.raises(FileNotFoundError, match=r"label_map: no such file: expected the file .*mine\.yaml"):
        load_label_map("ptbxl", tmp_path / "mine.yaml")
    with pytest.raises(FileNotFoundError, match="label_map: no such file"):
        load_label_map("ptbxl", tmp_path)


def test_codes_are_counted_once_an_ecg_and_named_in_short() -> None:
    assert count_codes([["a", "b", "a"], [], ["a"]]) == {"a": 2, "b": 1}
    assert name_codes({"a": 1200, "b": 1}) == "a x 1,200, b x 1"
    assert name_codes(dict.fromkeys("abcdef", 1)) == "a x 1, b x 1, c x 1, d x 1, e x 1 ..."


def test_real_ptbxl(data_root: Path) -> None:
    source = PtbXl(data_root / "ptbxl")
    entries = source.entries()
    assert len(entries) == 300
    positives = {t: sum(e.labels[t] for e in entries) for t in TARGETS}
    # Counted with grep in the scp_codes of records 1-300.
    assert positives["sinus_rhythm"] == 250
    assert positives["left_ventricular_hypertrophy"] == 21
    assert positives["low_qrs_voltage"] == 1
    recording = source.read(entries[0])
    assert recording.signal.shape == (12, 5000)
    one, two, three = recording.signal[:3]
    np.testing.assert_allclose(three, two - one, atol=0.003)


def test_the_100_hz_records_are_read_by_choice(root: Path) -> None:
    whole, half = PtbXl(root), PtbXl(root, sampling_rate=100)
    with pytest.raises(FileNotFoundError, match=r"no record of filename_lr, such as lr\.hea: get the 100 Hz records"):
        half.entries()
    edit(root, ",lr,records500/00000/00001_hr", ",records100/00000/00001_lr,records500/00000/00001_hr")
    signal = resample(whole.read(whole.entries()[0]).signal, 500.0, 100.0)
    write_record(root / "records100/00000/00001_lr", signal, rate=100.0)
    half = PtbXl(root, sampling_rate=100)
    first, second, _ = half.entries()
    assert first == whole.entries()[0]
    recording = half.read(first)
    assert recording.sampling_rate == 100.0
    np.testing.assert_allclose(recording.signal, signal, atol=6e-4)
    assert MedianBeats().of(half, first).signal.shape == (8, 600)
    assert RecordingWindow(seconds=5.0).of(half, first).signal.shape == (12, 500)
    with pytest.raises(UnreadableError, match=r"lr\.hea: no such file"):  # one record of many is a rejection
        half.read(second)
    assert "sampling_rate" not in whole.settings()  # hashes of caches of the full rate stay
    assert half.settings() == {**whole.settings(), "sampling_rate": 100}


def test_another_rate_is_refused(root: Path) -> None:
    with pytest.raises(ValueError, match=r"sampling_rate must be one of \(100, 500\) Hz, got 250"):
        PtbXl(root, sampling_rate=250)  # type: ignore[arg-type]
