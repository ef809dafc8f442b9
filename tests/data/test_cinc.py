import csv
import math
import pickle
from pathlib import Path

import numpy as np
import pytest
import wfdb
from synthetic_ecg import TWELVE_LEADS, synthetic, twelve_leads, write_challenge

from ecg_lightning.data.prepare import prepare
from ecg_lightning.data.sources import Cinc, Entry, RejectedEntry
from ecg_lightning.data.sources.cinc import correct_gain, parse_comments, part_of
from ecg_lightning.data.sources.entry_checks import checked_entries
from ecg_lightning.data.sources.label_map import load_label_map
from ecg_lightning.data.sources.wfdb_checks import UnreadableError
from ecg_lightning.data.sources.wfdb_files import Header, UnitError, parse_header, read_header
from ecg_lightning.ecg import TARGETS
from ecg_lightning.signal.beat import median_beat

SIGNAL = twelve_leads(synthetic(61.0, seconds=6.0, seed=1).recording.signal)
PARTS = ("CPSC", "CPSC_Extra", "StPetersburg", "PTB", "PTB_XL", "Georgia", "Chapman_Shaoxing", "Ningbo")


def mapped(entry: Entry) -> dict[str, float]:
    """The labels that the label map gives, without those of the codes themselves."""
    return {target: label for target, label in entry.labels.items() if not target.startswith("snomed_")}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_challenge(tmp_path / "WFDB_Ningbo/g1/JS20001")
    write_challenge(tmp_path / "WFDB_ChapmanShaoxing/JS00001", comments=["# Age: NaN", "# Sex: F", "# Dx: 164889003"])
    return tmp_path


def test_entries_are_sorted_and_found_in_any_folder(root: Path) -> None:
    first, second = Cinc(root).entries()
    assert (first.ecg_id, first.patient_id, first.sex, first.fold) == ("JS00001", "JS00001", "female", 0)
    assert math.isnan(first.age)
    assert {t for t, v in mapped(first).items() if v} == {"atrial_fibrillation"}
    assert set(mapped(first)) == set(TARGETS)
    assert (second.ecg_id, second.age, second.sex) == ("JS20001", 54.0, "male")
    assert {t for t, v in mapped(second).items() if v} == {"sinus_rhythm", "right_bundle_branch_block"}
    assert set(mapped(second)) == set(TARGETS) - {"atrial_fibrillation"}  # Ningbo never labels it


def test_entries_read_no_signal(root: Path) -> None:
    for path in root.rglob("*.mat"):
        path.unlink()
    assert len(Cinc(root).entries()) == 2


def test_hidden_files_are_no_records(root: Path) -> None:
    (root / "._JS00001.hea").write_bytes(b"\0\5\26\7")
    assert len(Cinc(root).entries()) == 2


def test_a_name_in_two_folders_is_told_apart(root: Path) -> None:
    write_challenge(root / "copy/JS00001", signal=2.0 * SIGNAL)
    source = Cinc(root)
    entries = source.entries()
    assert [e.ecg_id for e in entries] == ["WFDB_ChapmanShaoxing/JS00001", "JS20001", "copy/JS00001"]
    assert set(mapped(entries[0])) == set(TARGETS)  # still known as Chapman's
    first, last = source.read(entries[0]), source.read(entries[2])
    np.testing.assert_allclose(last.signal, 2.0 * first.signal, atol=0.0011)


def test_read_gives_millivolts(root: Path) -> None:
    source = Cinc(str(root))
    recording = source.read(source.entries()[1])
    assert recording.leads == TWELVE_LEADS
    assert recording.sampling_rate == 500.0
    np.testing.assert_allclose(recording.signal, SIGNAL, atol=0.00051)


@pytest.mark.parametrize(("gain", "factor"), [("1/uV", 1.0), ("1000/mv", 1.0), ("500(100)/mV", 2.0), ("1e3", 1.0)])
def test_gains_units_and_baselines(tmp_path: Path, gain: str, factor: float) -> None:
    write_challenge(tmp_path / "A0001", gain=gain)
    source = Cinc(tmp_path)
    baseline = -0.2 if "(" in gain else 0.0
    np.testing.assert_allclose(source.read(source.entries()[0]).signal, factor * SIGNAL + baseline, atol=0.0011)


@pytest.mark.parametrize(
    ("record", "gain", "expected"),
    [
        ("E00001", "4880/mV", 1.0),  # the trap
        ("E00001", "1000/mV", 1.0),  # the release of 2021
        ("E00001", "4000/mV", 0.25),
        ("HR00001", "4880/mV", 1 / 4.88),  # another archive
        ("E000011", "4880/mV", 1 / 4.88),  # not a name of Georgia's
    ],
)
def test_georgia_s_first_headers(tmp_path: Path, record: str, gain: str, expected: float) -> None:
    write_challenge(tmp_path / record, gain=gain, name=f"{record}.mat")
    with pytest.raises(wfdb.io.header.HeaderSyntaxError):  # why this project reads these headers itself
        wfdb.rdheader(str(tmp_path / record))
    source = Cinc(tmp_path)
    (entry,) = source.entries()
    assert entry.ecg_id == record
    np.testing.assert_allclose(source.read(entry).signal, expected * SIGNAL, atol=0.00051)


def test_only_wrong_gains_are_corrected(tmp_path: Path) -> None:
    write_challenge(tmp_path / "E00001", gain="4880/mV")
    header = read_header(tmp_path / "E00001.hea")
    assert {s.gain for s in header.signals} == {4880.0}
    assert {s.gain for s in correct_gain(header).signals} == {1000.0}
    elsewhere = Header(tmp_path / "JS00001.hea", 500.0, 1, header.signals)
    assert correct_gain(elsewhere) is elsewhere


@pytest.mark.parametrize("rate", [250.0, 257.0, 1000.0])
def test_other_rates_give_the_same_beat(tmp_path: Path, rate: float) -> None:
    synthesised = synthetic(64.0, rate=rate, noise=0.0).recording.signal
    write_challenge(tmp_path / "S0001", signal=twelve_leads(synthesised), rate=rate)
    source = Cinc(tmp_path)
    beat = median_beat(source.read(source.entries()[0]))
    expected = median_beat(synthetic(64.0, noise=0.0).recording)
    assert beat.heart_rate == pytest.approx(expected.heart_rate, abs=0.3)
    lags = [np.abs(np.roll(beat.beat, lag, axis=1) - expected.beat)[:, 10:-10].max() for lag in (-1, 0, 1)]
    assert min(lags) < 0.08  # mV, of R waves of 1.2 mV and half a sample of jitter


def test_long_records_are_cut(tmp_path: Path) -> None:
    write_challenge(tmp_path / "I0001", signal=np.tile(SIGNAL, 10), rate=257.0)
    for seconds in (10.0, 7.5):
        source = Cinc(tmp_path, max_seconds=seconds)
        signal = source.read(source.entries()[0]).signal
        assert signal.shape == (12, round(seconds * 257))
        np.testing.assert_allclose(signal, np.tile(SIGNAL, 10)[:, : signal.shape[1]], atol=0.00051)
    assert Cinc(tmp_path).settings() != Cinc(tmp_path, max_seconds=7.5).settings()


@pytest.mark.parametrize("seconds", [2.9, 0.0, -1.0, math.nan, math.inf])
def test_max_seconds_must_hold_three_beats(tmp_path: Path, seconds: float) -> None:
    with pytest.raises(ValueError, match="max_seconds: expected at least 3 s"):
        Cinc(tmp_path, max_seconds=seconds)


def test_invalid_samples_are_not_numbers(tmp_path: Path) -> None:
    signal = SIGNAL.copy()
    signal[3, 7] = -32.768
    write_challenge(tmp_path / "A0001", signal=signal)
    source = Cinc(tmp_path)
    assert np.argwhere(np.isnan(source.read(source.entries()[0]).signal)).tolist() == [[3, 7]]


@pytest.mark.parametrize(
    ("lines", "age", "sex"),
    [
        (["#Age: 54", "#Sex: Female"], 54.0, "female"),
        (["# Age: 54.5", "# Sex: M"], 54.5, "male"),
        (["#Age: NaN", "#Sex: Unknown"], math.nan, "unknown"),
        (["#age:  0 ", "#sex: F"], 0.0, "female"),
        (["#Age: 300"], 90.0, "unknown"),
        (["#Age: -1"], math.nan, "unknown"),
        (["#Age: 121"], math.nan, "unknown"),
        (["#Age: inf"], math.nan, "unknown"),
        (["#Age:", "#Sex:"], math.nan, "unknown"),
        ([], math.nan, "unknown"),
    ],
)
def test_ages_and_sexes(lines: list[str], age: float, sex: str) -> None:
    found = parse_comments("\n".join(["A0001 12 500 5000", *lines]))
    assert found.age == pytest.approx(age, nan_ok=True)
    assert found.sex == sex


@pytest.mark.parametrize("dx", [["#Dx: "], ["#Dx: Unknown"], ["#Dx: nan"], []])
def test_no_diagnosis_is_no_label(root: Path, dx: list[str]) -> None:
    write_challenge(root / "A0001", comments=["#Age: 20", *dx])
    assert {e.ecg_id: bool(e.labels) for e in Cinc(root).entries()} == {
        "A0001": False,
        "JS00001": True,
        "JS20001": True,
    }


@pytest.mark.parametrize(
    ("record", "part"),
    [
        ("A0001", "CPSC"),
        ("Q0001", "CPSC_Extra"),
        ("I0001", "StPetersburg"),
        ("S0001", "PTB"),
        ("HR00001", "PTB_XL"),
        ("E00001", "Georgia"),
        ("JS10646", "Chapman_Shaoxing"),
        ("JS10647", "Ningbo"),
        ("patient7", None),
        ("X0001", None),
        ("HR0001a", None),
    ],
)
def test_parts_by_name(record: str, part: str | None) -> None:
    assert part_of(record) == part


def test_a_record_of_another_name_lacks_no_label(tmp_path: Path) -> None:
    write_challenge(tmp_path / "mine")
    assert set(mapped(Cinc(tmp_path).entries()[0])) == set(TARGETS)


def test_what_is_never_labelled_follows_the_challenge_s_tables(data_root: Path) -> None:
    label_map = load_label_map("cinc")
    totals: dict[str, dict[str, int]] = {}
    for name in ("dx_mapping_scored.csv", "dx_mapping_unscored.csv"):
        with (data_root / "cinc2021" / name).open(newline="") as file:
            for row in csv.DictReader(file):
                for part in PARTS:
                    if target := label_map.codes.get(row["SNOMEDCTCode"]):
                        totals.setdefault(part, dict.fromkeys(TARGETS, 0))[target] += int(row[part])
    assert set(label_map.codes.values()) == set(TARGETS)
    expected = {part: {t for t, n in counts.items() if n == 0} for part, counts in totals.items()}
    assert {part: set(targets) for part, targets in label_map.never_labelled.items()} == {
        part: targets for part, targets in expected.items() if targets
    }


def test_an_empty_root_says_how_to_get_records(tmp_path: Path) -> None:
    for root in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(FileNotFoundError, match=r"no \.hea file in or below it; get the training data from https"):
            Cinc(root).entries()
        with pytest.raises(FileNotFoundError, match="physionet"):
            Cinc(root).settings()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("JS20001 12 500 3000", "JS20001 12 500", "invalid literal for int"),
        ("JS20001 12 500 3000", "JS20001 13 500 3000", "12 signal lines, the record line says 13"),
        ("JS20001 12 500 3000", "JS20001 12 fast 3000", "could not convert string to float"),
        ("JS20001 12 500 3000", "JS20001 12 0 3000", "rate 0, expected Hz"),
        ("JS20001 12 500 3000", "JS20001 12 500 4000", r"shape \(12, 3000\), expected \(12, 4000\) by the header"),
        (" 16+24 1000/mV", " 16+24 0/mV", "gain '0/mV', expected such as 1000/mV"),
        (" 16+24 1000/mV", " 16+24 many/mV", "gain 'many/mV'"),
        (" 0 V6", "", "7 fields, expected 9"),
        (".mat 16+24 1000/mV 16 0", ".dat 16+24 1000/mV 16 0", "is missing"),
    ],
)
def test_a_damaged_header_rejects_its_record(root: Path, old: str, new: str, message: str) -> None:
    header = root / "WFDB_Ningbo/g1/JS20001.hea"
    text = header.read_text()
    assert old in text
    header.write_text(text.replace(old, new))
    source = Cinc(root)
    entries = source.entries()  # the others are there
    with pytest.raises(UnreadableError, match=message) as caught:
        source.read(entries[1])
    assert "JS20001" in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"garbage\n", b"#Dx: 1\n", bytes(range(256))])
def test_a_header_that_is_none(root: Path, content: bytes) -> None:
    (root / "WFDB_Ningbo/g1/JS20001.hea").write_bytes(content)
    source = Cinc(root)
    with pytest.raises(UnreadableError, match=r"JS20001\.hea: .* expected a first line"):
        source.read(source.entries()[1])


def test_several_signal_files_are_refused(root: Path) -> None:
    header = root / "WFDB_Ningbo/g1/JS20001.hea"
    header.write_text(header.read_text().replace("JS20001.mat", "other.mat", 1))
    source = Cinc(root)
    with pytest.raises(UnreadableError, match=r"expected one signal file, got JS20001\.mat, other\.mat"):
        source.read(source.entries()[1])


def test_an_unknown_unit_is_refused(tmp_path: Path) -> None:
    write_challenge(tmp_path / "A0001", gain="1000/mmHg")
    source = Cinc(tmp_path)
    with pytest.raises(UnitError, match=r"A0001\.hea: unit mmHg, expected mV"):
        source.read(source.entries()[0])


@pytest.mark.parametrize("kept", [0.0, 0.0001, 0.5, 0.9999])
def test_a_truncated_signal(root: Path, kept: float) -> None:
    path = root / "WFDB_Ningbo/g1/JS20001.mat"
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    source = Cinc(root)
    with pytest.raises(UnreadableError, match=r"JS20001\.hea: .*truncated or damaged"):
        source.read(source.entries()[1])


def test_files_that_go_away(root: Path) -> None:
    source = Cinc(root)
    entry = source.entries()[1]
    (root / "WFDB_Ningbo/g1/JS20001.mat").unlink()
    with pytest.raises(UnreadableError, match=r"its signal file .*JS20001\.mat is missing"):
        source.read(entry)
    (root / "WFDB_Ningbo/g1/JS20001.hea").unlink()
    with pytest.raises(UnreadableError, match=r"JS20001\.hea: no such file"):
        source.read(entry)


def test_too_short_a_record_is_rejected_with_its_reason(root: Path) -> None:
    write_challenge(root / "A0001", signal=SIGNAL[:, :1200])
    cache = prepare(Cinc(root), root / "cache", processes=1, progress=False)
    assert cache.rejected["ecg_id"].tolist() == ["A0001"]
    assert cache.rejected["reason_kind"].tolist() == ["too_short"]
    assert cache.examples["atrial_fibrillation"].isna().tolist() == [False, True]


def test_settings_follow_the_content_and_not_the_place(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    for path in root.rglob("*.hea"):
        copy = elsewhere / path.relative_to(root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    before = Cinc(root).settings()
    assert before == Cinc(elsewhere).settings()
    assert str(root) not in str(before)
    header = root / "WFDB_Ningbo/g1/JS20001.hea"
    header.write_text(header.read_text().replace("59118001", "164909002"))
    assert Cinc(root).settings() != before


def test_a_pickled_source_is_small_and_reads(root: Path) -> None:
    source = Cinc(root, max_seconds=5.0)
    entry = source.entries()[0]
    packed = pickle.dumps(source)
    assert len(packed) < 1000
    np.testing.assert_array_equal(pickle.loads(packed).read(entry).signal, source.read(entry).signal)


def test_unmapped_codes_are_counted(root: Path) -> None:
    write_challenge(root / "A0001", comments=["#Dx: 164884008,426783006,164884008"])
    write_challenge(root / "A0002", comments=["#Dx: 164884008,270492004,39732003"])
    assert list(Cinc(root).unmapped_codes().items()) == [("164884008", 2), ("39732003", 1)]


def test_a_map_of_one_s_own(root: Path) -> None:
    path = root / "mine.yaml"
    path.write_text("164889003: sinus_rhythm\nnever_labelled: {Ningbo: [sinus_rhythm]}\n")
    source = Cinc(root, label_map=str(path))
    assert [mapped(e) for e in source.entries()] == [{"sinus_rhythm": 1.0}, {}]
    assert source.settings() != Cinc(root).settings()
    path.write_text("AFIB: atrial_fibrillation\n")
    with pytest.raises(ValueError, match=r"mine\.yaml: none of its 1 codes occurs in the 2 ECGs of .*164889003 x 1"):
        Cinc(root, label_map=str(path)).entries()


def test_header_parser_against_wfdb(data_root: Path) -> None:
    for path in sorted((data_root / "cinc2021").glob("*.hea"))[::4]:
        ours = parse_header(path.read_text(), path)
        theirs = wfdb.rdheader(str(path.with_suffix("")))
        assert (ours.sampling_rate, ours.samples) == (theirs.fs, theirs.sig_len)
        assert [s.lead for s in ours.signals] == theirs.sig_name
        assert [s.gain for s in ours.signals] == theirs.adc_gain
        assert [s.baseline for s in ours.signals] == theirs.baseline
        assert [s.unit for s in ours.signals] == theirs.units


def test_real_records_against_wfdb(data_root: Path) -> None:
    source = Cinc(data_root / "cinc2021")
    entries = source.entries()
    assert len(entries) == 74
    # Counted with grep in the comments.
    assert sum(e.labels["sinus_rhythm"] for e in entries) == 29
    assert sum("atrial_fibrillation" in e.labels for e in entries) == 38
    for entry in entries[::8]:
        ours = source.read(entry)
        theirs = wfdb.rdrecord(str(data_root / "cinc2021" / entry.ecg_id))
        assert ours.leads == tuple(theirs.sig_name)
        np.testing.assert_allclose(ours.signal, theirs.p_signal.T, atol=1e-9)


def test_any_code_is_a_target_and_missing_where_a_sub_archive_never_has_it(tmp_path: Path) -> None:
    said = {"JS00001": "164889003,39732003", "JS00002": "39732003", "JS10647": "426783006", "JS10648": "Unknown"}
    for name, codes in said.items():
        write_challenge(tmp_path / name, comments=["#Age: 54", "#Sex: Male", f"#Dx: {codes}"])
    source = Cinc(tmp_path)
    labels = {entry.ecg_id: entry.labels for entry in source.entries()}
    assert labels["JS00001"]["snomed_39732003"] == labels["JS00001"]["snomed_164889003"] == 1.0
    assert labels["JS00002"]["snomed_164889003"] == 0.0
    assert labels["JS10647"]["snomed_426783006"] == 1.0  # Ningbo
    assert "snomed_164889003" not in labels["JS10647"]
    assert "snomed_426783006" not in labels["JS00001"]  # no ECG of Chapman's has it here
    assert not labels["JS10648"]
    assert {"snomed_39732003", "snomed_164889003", "snomed_426783006", *TARGETS} == set(source.targets())
    assert not any(isinstance(one, RejectedEntry) for one in checked_entries(source))
    assert set(source.settings()) == {"headers_blake2b", "label_map", "never_labelled", "max_seconds"}
