"""What statements of a MUSE report say of the nine targets."""

from xml.etree.ElementTree import fromstring

import pytest
from hypothesis import given
from hypothesis import strategies as st
from muse_files import Fragment, MuseEcg, document

from ecg_lightning.data.sources.label_map import load_label_map, parse_label_map
from ecg_lightning.data.sources.muse_labels import StatementLabels
from ecg_lightning.data.sources.muse_statements import Statement, read_statements
from ecg_lightning.ecg import TARGETS, Target

MEANING = StatementLabels(load_label_map("muse"))
LINES = st.text(alphabet="abcdLBR ,;.:()*?-/'", max_size=40)  # no digits: a clock's time is a signature


def said(diagnosis: tuple[Fragment, ...] | None, original: tuple[Fragment, ...] | None = None) -> list[str] | None:
    found = read_statements(fromstring(document(MuseEcg(diagnosis=diagnosis, original=original)).encode("latin-1")))
    return None if found is None else [one.text for one in found]


def labels(*lines: str) -> dict[Target, float]:
    """Labels of a report of whole lines."""
    xml = document(MuseEcg(diagnosis=tuple((line, "ENDSLINE") for line in lines), original=None))
    return MEANING.labels(read_statements(fromstring(xml.encode("latin-1"))) or ())


def positive(*lines: str) -> set[Target]:
    return {target for target, label in labels(*lines).items() if label}


def missing(*lines: str) -> set[Target]:
    return set(TARGETS) - set(labels(*lines))


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["Normal sinus rhythm", "Normal ECG"], {"sinus_rhythm"}),
        (["SINUS RHYTHM"], {"sinus_rhythm"}),
        (["Marked sinus bradycardia with sinus arrhythmia"], {"sinus_bradycardia"}),
        (["Sinus tachycardia with occasional Premature ventricular complexes"], {"sinus_tachycardia"}),
        (["Atrial fibrillation with rapid ventricular response"], {"atrial_fibrillation"}),
        (["Sinus rhythm with 1st degree A-V block"], {"sinus_rhythm", "first_degree_av_block"}),
        (["Sinus rhythm with 1st degree AV delay"], {"sinus_rhythm", "first_degree_av_block"}),
        (["Right bundle branch block", "Left anterior fascicular block"], {"right_bundle_branch_block"}),
        (["(RBBB and left anterior fascicular block)"], {"right_bundle_branch_block"}),
        (["*** Left bundle branch block ***"], {"left_bundle_branch_block"}),
        (["Low voltage QRS, consider pulmonary disease, pericardial effusion, or normal variant"], {"low_qrs_voltage"}),
        (["Left ventricular hypertrophy with QRS widening"], {"left_ventricular_hypertrophy"}),
        (
            ["Voltage criteria for left ventricular hypertrophy ( R in aVL , Cornell product )"],
            {"left_ventricular_hypertrophy"},
        ),
        (["Right ventricular hypertrophy", "Atrial flutter", "with 2nd degree AV block (Mobitz I)"], set()),
    ],
)
def test_statements_of_12sl(lines: list[str], expected: set[Target]) -> None:
    assert positive(*lines) == expected
    assert not missing(*lines)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["Possible left ventricular hypertrophy"], {"left_ventricular_hypertrophy"}),
        (["Minimal voltage criteria for LVH, may be normal variant"], {"left_ventricular_hypertrophy"}),
        (["Moderate voltage criteria for LVH, may be normal variant"], {"left_ventricular_hypertrophy"}),
        (["Biventricular hypertrophy"], {"left_ventricular_hypertrophy"}),
        (["Atrial fibrillation/flutter"], {"atrial_fibrillation"}),
        (["? LBBB"], {"left_bundle_branch_block"}),
        (["Sinus rhythm with borderline 1st degree AV block"], {"first_degree_av_block"}),
        (["Atrial-paced rhythm with prolonged AV conduction"], {"first_degree_av_block"}),
        (["No LBBB, RBBB or LVH"], {"left_bundle_branch_block", "right_bundle_branch_block"} | {TARGETS[8]}),
        (["Cannot rule out anteroseptal infarct, RBBB"], {"right_bundle_branch_block"}),
        (["Undetermined rhythm"], set(TARGETS[:4])),
    ],
)
def test_what_is_left_open_is_missing_and_not_negative(lines: list[str], expected: set[Target]) -> None:
    assert missing(*lines) == expected


@pytest.mark.parametrize("block", ["Incomplete right bundle branch block", "Incomplete LBBB", "with incomplete RBBB"])
def test_incomplete_blocks_are_negative(block: str) -> None:
    assert not positive("Atrial flutter", block)
    assert not missing("Atrial flutter", block)


def test_what_is_said_outright_wins_over_a_doubt() -> None:
    assert positive("Possible left bundle branch block", "Left bundle branch block") == {"left_bundle_branch_block"}


def test_fragments_form_lines() -> None:
    report = (("Sinus rhythm",), ("with 1st degree AV delay", "ENDSLINE"), ("Cannot rule out",), ("LBBB", "ENDSLINE"))
    assert said(report) == ["Sinus rhythm", "1st degree AV delay", "Cannot rule out LBBB"]
    open_end = (("Lateral infarct",), (", age undetermined",))  # the last line need not be ended
    assert said(open_end) == ["Lateral infarct", "age undetermined"]


@pytest.mark.parametrize("flags", [(), ("USERINSERT",)])
def test_without_ends_of_lines_each_fragment_is_a_line_unless_it_goes_on(flags: tuple[str, ...]) -> None:
    words = ("Sinus rhythm", "with", "1st degree AV block", "Left bundle branch block", "Cannot rule out", "LVH")
    assert said(tuple((one, *flags) for one in words)) == [
        "Sinus rhythm",
        "1st degree AV block",
        "Left bundle branch block",
        "Cannot rule out LVH",
    ]
    joined = ("Sinus rhythm", "with 1st degree AV block", "Lateral infarct", ", age undetermined", "LBBB", "or", "RBBB")
    assert said(tuple((one, *flags) for one in joined)) == [
        "Sinus rhythm",
        "1st degree AV block",
        "Lateral infarct",
        "age undetermined",
        "LBBB or RBBB",
    ]
    small = ("sinus rhythm", "left bundle branch block", "possible", "lvh")
    assert said(tuple((one, *flags) for one in small)) == ["sinus rhythm", "left bundle branch block", "possible lvh"]
    shouted = (
        "SINUS RHYTHM",
        "LOW VOLTAGE QRS",
        "POSSIBLE",
        "LEFT VENTRICULAR HYPERTROPHY",
        "Confirmed by",
        "Doe, John",
    )
    assert said(tuple((one, *flags) for one in shouted)) == [
        "SINUS RHYTHM",
        "LOW VOLTAGE QRS",
        "POSSIBLE LEFT VENTRICULAR HYPERTROPHY",
    ]
    compared = ("NSR", "LBBB", "When compared with ECG of", "10-MAY-2021", "Sinus rhythm", "has replaced", "AFIB")
    assert said(tuple((one, *flags) for one in compared)) == ["NSR", "LBBB"]


def test_a_report_with_some_of_its_flags() -> None:
    end = "ENDSLINE"
    last_only = (("Sinus rhythm",), ("Left bundle branch block",), ("Possible",), ("LVH",), ("Abnormal ECG", end))
    assert said(last_only) == ["Sinus rhythm", "Left bundle branch block", "Possible LVH", "Abnormal ECG"]
    one_line = (("Sinus rhythm",), ("with 1st degree AV block", end))
    assert said(one_line) == ["Sinus rhythm", "1st degree AV block"]
    typed_behind = (("Sinus rhythm",), ("with PVCs", end), ("LBBB", "USERINSERT"), ("LVH", "USERINSERT"))
    assert said(typed_behind) == ["Sinus rhythm", "PVCs", "LBBB", "LVH"]
    deleted = (("Atrial fibrillation", "DELETED"), ("Sinus rhythm",), ("LBBB",))
    assert said(deleted) == ["Sinus rhythm", "LBBB"]


def test_deleted_statements_are_not_said() -> None:
    report = (("Atrial fibrillation", "ENDSLINE", "DELETED"), ("Sinus rhythm", "ENDSLINE", "USERINSERT"))
    assert said(report) == ["Sinus rhythm"]
    everything = (("Atrial fibrillation", "ENDSLINE", "DELETED"),)
    assert said(everything, (("Atrial fibrillation", "ENDSLINE"),)) == []  # nor does 12SL say it then


def test_a_comparison_is_of_another_ecg() -> None:
    report = (
        ("Sinus rhythm", "ENDSLINE"),
        ("When compared with ECG of",),
        ("10-MAY-2021 14:14,", "ENDSLINE"),
        ("Sinus rhythm",),
        ("has replaced",),
        ("Atrial fibrillation", "ENDSLINE"),
        ("Right bundle branch block", "ENDSLINE"),
    )
    assert said(report) == ["Sinus rhythm"]


@pytest.mark.parametrize(
    "line",
    [
        "Confirmed by Doe, John (123456) on 05/10/2021 1:15:09 PM",
        "Electronically signed by JANE DOE",
        "Referred by: DOE",
        "Bevestigd door Jansen op 10-5-2021 13:15",
    ],
)
def test_signatures_are_no_statements(line: str) -> None:
    assert said((("Sinus rhythm", "ENDSLINE"), (line, "ENDSLINE"))) == ["Sinus rhythm"]


def test_the_corrected_diagnosis_is_taken_before_the_machine_s() -> None:
    machine, physician = (("Wide QRS rhythm", "ENDSLINE"),), (("Ventricular-paced rhythm", "ENDSLINE", "USERINSERT"),)
    assert said(physician, machine) == ["Ventricular-paced rhythm"]
    assert said(None, machine) == ["Wide QRS rhythm"]
    assert said((("", "ENDSLINE"),), machine) == ["Wide QRS rhythm"]
    assert said(None, None) is None


def test_typed_lines_are_known() -> None:
    xml = document(MuseEcg(diagnosis=(("Sinus rhythm",), ("odd, for Mr. Doe", "ENDSLINE", "USERINSERT"))))
    found = read_statements(fromstring(xml.encode("latin-1")))
    assert found == (
        Statement("Sinus rhythm odd", typed=True),
        Statement("for Mr", typed=True),
        Statement("Doe", typed=True),
    )


def test_a_map_in_another_language() -> None:
    text = "Sinusritme: sinus_rhythm\nmet 1e graads AV-blok: first_degree_av_block\nnot_counted: [ander Sinusritme]"
    dutch = StatementLabels(parse_label_map(text, "mine"))
    xml = document(MuseEcg(diagnosis=(("Sinusritme",), ("met 1e graads AV-blok", "ENDSLINE"))))
    both = read_statements(fromstring(xml.encode("latin-1"))) or ()
    assert dutch.labels(both) == {"sinus_rhythm": 1.0, "first_degree_av_block": 1.0}
    assert dutch.labels([Statement("Mogelijk sinusritme")]) == {"first_degree_av_block": 0.0}
    assert dutch.labels([Statement("Ander sinusritme")]) == {"sinus_rhythm": 0.0, "first_degree_av_block": 0.0}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: sinus_rhythm\ndoubtful: [b]", r"mine: doubtful: expected 'code: \[target, ...\]', got \['b'\]"),
        ("a: sinus_rhythm\ndoubtful: {b: [rhythm]}", r"mine: doubtful b means 'rhythm', no target"),
        ("a: sinus_rhythm\nnot_counted: b", "mine: not_counted: expected a list of words, got 'b'"),
    ],
)
def test_tables_that_are_none(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_label_map(text, "mine")


def test_every_statement_of_the_map_is_read_as_itself() -> None:
    for statement, target in load_label_map("muse").codes.items():
        assert positive(statement) == {target}, statement
        assert positive(f"Sinus bradycardia with {statement}") == {"sinus_bradycardia", target}, statement
    assert set(load_label_map("muse").codes.values()) == set(TARGETS)


@given(before=LINES, after=LINES)
def test_no_other_words_turn_a_statement_into_a_negative(before: str, after: str) -> None:
    """Whatever surrounds the words of a target: it is positive or missing."""
    found = labels(f"{before} left bundle branch block {after}")
    assert found.get("left_bundle_branch_block", 1.0) == 1.0


@given(lines=st.lists(LINES, max_size=4))
def test_any_text_gives_labels(lines: list[str]) -> None:
    assert set(labels(*lines).values()) <= {0.0, 1.0}
