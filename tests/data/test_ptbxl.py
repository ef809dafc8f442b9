import math
import pickle
from pathlib import Path

import numpy as np
import pytest
from synthetic_ecg import synthetic, twelve_leads, write_ptbxl, write_record

from ecg_lightning.data.sources import PtbXl, RecordingError
from ecg_lightning.data.sources.label_map import check_label_map, labels_of, load_label_map
from ecg_lightning.data.sources.wfdb_files import UnitError, UnreadableError, read_wfdb
from ecg_lightning.ecg import TARGETS

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
    assert {t for t, v in first.labels.items() if v} == {"sinus_rhythm", "low_qrs_voltage"}
    assert tuple(first.labels) == TARGETS
    assert second.sex == "male"
    assert second.age == 90.0  # coded 300
    assert second.labels["atrial_fibrillation"] == 1.0
    assert math.isnan(third.age)
    assert not any(third.labels.values())


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


@pytest.mark.parametrize("codes", ["{'SR': 0.0", "['SR']", "SR"])
def test_broken_codes_name_the_ecg(root: Path, codes: str) -> None:
    edit(root, "{'AFIB': 0.0}", codes)
    with pytest.raises(ValueError, match="scp_codes of ecg_id 2"):
        PtbXl(root).entries()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("2,102.0,300", "2,,300", r"no patient_id for ecg_id \[2\]"),
        ("2,102.0,300.0", "2,102.0,old", "column age holds values that are not numbers"),
        ("2,102.0,300", "2,p102,300", "column patient_id holds values that are not numbers"),
    ],
)
def test_broken_rows(root: Path, old: str, new: str, message: str) -> None:
    edit(root, old, new)
    with pytest.raises(ValueError, match=message):
        PtbXl(root).entries()


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


def test_label_map_of_ptbxl() -> None:
    label_map = load_label_map("ptbxl")
    assert set(label_map.values()) == set(TARGETS)
    assert label_map["1AVB"] == "first_degree_av_block"
    assert "IRBBB" not in label_map  # incomplete block
    assert labels_of(["VCLVH"], label_map)["left_ventricular_hypertrophy"] == 1.0


def test_a_target_that_an_archive_never_labels_is_missing() -> None:
    assert labels_of(["a"], {"a": "sinus_rhythm"}) == {"sinus_rhythm": 1.0}


def test_label_maps_are_checked() -> None:
    with pytest.raises(ValueError, match=r"x\.yaml: codes \{'SR': 'sinus'\} mean no target"):
        check_label_map({"SR": "sinus"}, "x.yaml")
    with pytest.raises(FileNotFoundError, match="no label map for 'nowhere'"):
        load_label_map("nowhere")


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
