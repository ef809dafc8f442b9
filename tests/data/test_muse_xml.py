"""MUSE's XML: encodings, truncated and hostile files, and how far a head goes."""

import codecs
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from muse_files import STEP, MuseEcg, document, steps, write_muse
from synthetic_ecg import one_beat

from ecg_lightning.data.sources.muse_header import read_header
from ecg_lightning.data.sources.muse_waveforms import read_waveform
from ecg_lightning.data.sources.muse_xml import read_tree
from ecg_lightning.data.sources.wfdb_checks import UnreadableError
from ecg_lightning.ecg import BEAT_SAMPLES, FIDUCIAL_SAMPLE

MEDIAN = steps(one_beat((np.arange(BEAT_SAMPLES) - FIDUCIAL_SAMPLE) / 500.0))
ECG = MuseEcg(median=MEDIAN)

ENCODINGS: dict[str, Callable[[str], bytes]] = {
    "as it says": lambda text: text.encode("latin-1"),
    "utf-8": lambda text: text.replace("ISO-8859-1", "utf-8").encode(),
    "utf-8 with its mark": lambda text: text.replace("ISO-8859-1", "utf-8").encode("utf-8-sig"),
    "utf-8 that says latin": lambda text: text.encode(),
    "latin that says utf-8": lambda text: text.replace("ISO-8859-1", "utf-8").encode("latin-1"),
    "windows": lambda text: text.replace("ISO-8859-1", "windows-1252").encode("cp1252"),
    "utf-16": lambda text: text.replace("ISO-8859-1", "utf-16").encode("utf-16"),
    "utf-16 that says utf-8": lambda text: text.replace("ISO-8859-1", "utf-8").encode("utf-16"),
    "korean": lambda text: text.replace("ISO-8859-1", "cp949").replace("ü", "김").encode("cp949"),
    "none that there is": lambda text: text.replace("ISO-8859-1", "x-hospital").encode("latin-1"),
    "no declaration": lambda text: text.partition("?>")[2].lstrip().encode(),
    "a mark of utf-8 before latin": lambda text: codecs.BOM_UTF8 + text.encode("latin-1"),
    "a blank line first": lambda text: b"\r\n" + text.encode("latin-1"),
    "control characters": lambda text: text.replace("ü", "\x02").encode("latin-1"),
    "zeros at the end": lambda text: text.encode("latin-1") + bytes(512),
    "no document type": lambda text: text.replace('<!DOCTYPE RestingECG SYSTEM "restecg.dtd">', "").encode("latin-1"),
    "a namespace": lambda text: (
        re.sub(r"<(/?)(\w)", r"<\1m:\2", text)
        .replace("<m:RestingECG>", '<m:RestingECG xmlns:m="urn:muse">')
        .encode("latin-1")
    ),
}


@pytest.mark.parametrize("name", ENCODINGS)
def test_encodings(tmp_path: Path, name: str) -> None:
    patient = {"PatientID": "0012", "PatientAge": "60", "AgeUnits": "YEARS", "PatientLastName": "Müller"}
    path = tmp_path / "a.xml"
    path.write_bytes(ENCODINGS[name](document(replace(ECG, patient=patient))))
    median = read_waveform(read_tree(path), "Median", path)
    assert median is not None
    np.testing.assert_array_equal(median.signal, MEDIAN * (STEP * 1e-3))
    head = read_header(read_tree(path, head_only=True))
    assert head == read_header(read_tree(path))
    assert (head.patient_id, head.age, [one.text for one in head.statements or ()]) == (
        "0012",
        60.0,
        ["Normal sinus rhythm", "Normal ECG"],
    )


def test_statements_keep_their_letters(tmp_path: Path) -> None:
    """A control character in a name must not cost a report its accents."""
    ecg = replace(ECG, diagnosis=(("Vorhofflimmern über 80", "ENDSLINE"),), encoding="utf-8")
    path = tmp_path / "a.xml"
    path.write_bytes(document(ecg).replace("MAC55", "MAC\x0155").encode())
    assert [one.text for one in read_header(read_tree(path)).statements or ()] == ["Vorhofflimmern über 80"]


@pytest.mark.parametrize("share", [0.0, 0.001, 0.03, 0.2, 0.5, 0.9999])
def test_a_truncated_file(tmp_path: Path, share: float) -> None:
    path = write_muse(tmp_path / "a.xml", ECG)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(UnreadableError, match=r"a\.xml: truncated, or not XML .*export the ECG from MUSE again"):
        read_tree(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\0" * 1000, "truncated, or not XML"),
        (bytes(range(256)), "truncated, or not XML"),
        (b"<restingecgdata/>", "the root is <restingecgdata>, expected <RestingECG>: not a resting ECG from MUSE"),
        (b"<!DOCTYPE r [<!ENTITY a 'b'>]><RestingECG>&a;</RestingECG>", "declares the entity 'a'"),
        (
            b"<!DOCTYPE r [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><RestingECG>&a;</RestingECG>",
            "declares the entity 'a'",
        ),
        (b"<!DOCTYPE r [<!ENTITY % a SYSTEM 'http://localhost/x'> %a;]><RestingECG/>", "declares the entity 'a'"),
        (
            b"<!DOCTYPE r [<!ENTITY a 'aa'><!ENTITY b '&a;&a;&a;'>]><RestingECG>\xe9&b;</RestingECG>",
            "declares the entity 'a'",
        ),
    ],
)
def test_files_that_are_none(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.xml").write_bytes(content)
    for head_only in (False, True):
        with pytest.raises(UnreadableError, match=message):
            read_tree(tmp_path / "a.xml", head_only=head_only)


def test_a_file_of_another_size_or_none(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match="No such file or directory; correct the source's root"):
        read_tree(tmp_path / "a.xml")
    with (tmp_path / "b.xml").open("wb") as file:
        file.truncate(1 << 27)  # sparse
    with pytest.raises(UnreadableError, match="128 MB, expected under 64 MB"):
        read_tree(tmp_path / "b.xml")


def test_the_document_type_is_not_fetched(tmp_path: Path) -> None:
    (tmp_path / "restecg.dtd").write_text('<!ENTITY age "99">')
    path = tmp_path / "a.xml"
    path.write_text(document(ECG).replace("<PatientAge>60", "<PatientAge>&age;60"), "latin-1")
    assert read_header(read_tree(path)).age == 60.0


def test_the_head_ends_before_the_waveforms_unless_the_diagnosis_comes_later(tmp_path: Path) -> None:
    path = write_muse(tmp_path / "a.xml", ECG)
    assert read_tree(path, head_only=True).find("Waveform") is None
    text = path.read_text("latin-1")
    diagnosis = re.search(r"(?s)   <Diagnosis>.*</OriginalDiagnosis>\n", text)
    assert diagnosis is not None
    path.write_text(text.replace(diagnosis[0], "").replace("</RestingECG>", diagnosis[0] + "</RestingECG>"), "latin-1")
    assert (
        read_header(read_tree(path, head_only=True)).statements == read_header(read_tree(path)).statements is not None
    )
