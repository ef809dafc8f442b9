"""Wordings of readers: what means a target is present, what may mean it is missing, and nothing else is."""

from itertools import chain
from xml.etree.ElementTree import fromstring

import pytest
from hypothesis import given
from hypothesis import strategies as st
from muse_files import MuseEcg, document
from twelve_sl import (
    ABSENT,
    AV_BLOCK,
    BRADYCARDIA,
    FIBRILLATION,
    HYPERTROPHY,
    LEFT,
    LOW,
    OPEN,
    PRESENT,
    RIGHT,
    SINUS,
    TACHYCARDIA,
)

from ecg_lightning.data.sources.label_map import load_label_map, parse_label_map
from ecg_lightning.data.sources.muse_labels import StatementLabels
from ecg_lightning.data.sources.muse_statements import Statement, read_statements
from ecg_lightning.data.sources.muse_words import Wording, contains_nearly, is_near, words_of
from ecg_lightning.ecg import TARGETS, Target

MEANING = StatementLabels(load_label_map("muse"))


def wordings(text: str) -> tuple[str, ...]:
    """Those of a text, between bars."""
    return tuple(" ".join(one.split()) for one in text.split("|"))


TYPED: dict[Target, tuple[str, ...]] = {
    SINUS: wordings(
        """
        NSR | nsr. | SR | Normal sinus | Regular sinus rhythm | sinus-rhythm | NSR with PVCs
        """
    ),
    FIBRILLATION: wordings(
        """
        AFIB | A-fib with RVR | A fib | a. fib | AF | A.F. | Atrial fib | afib, rapid ventricular response | AF with
        slow ventricular response | Auricular fibrillation | A-fibrillation | LBBB, AF
        """
    ),
    BRADYCARDIA: wordings(
        """
        Sinus brady | sinus-brady | SB | SINUS BRADYCARDIA | Sinus brady with 1st degree AVB
        """
    ),
    TACHYCARDIA: wordings(
        """
        Sinus tach | Sinus tachy | sinus tach, PVCs
        """
    ),
    AV_BLOCK: wordings(
        """
        1st degree AVB | First degree heart block | 1° AV block | 1° AVB | first-degree A-V block | 1st deg AVB |
        First degree atrioventricular block | sinus brady with 1st degree heart block
        """
    ),
    RIGHT: wordings(
        """
        RBBB | R BBB | right bundle-branch block | Complete RBBB | CRBBB | Right BBB | RBBB and LAFB
        """
    ),
    LEFT: wordings(
        """
        LBBB | L BBB | L.B.B.B. | left bundle-branch block | complete LBBB | CLBBB | (Left BBB)
        """
    ),
    LOW: wordings(
        """
        Low voltage | low-voltage QRS | Low QRS voltages | low voltages, limb leads
        """
    ),
    HYPERTROPHY: wordings(
        """
        LVH | LV hypertrophy | Voltage criteria for LVH | LVH by voltage | LVH with strain
        """
    ),
}
MAY_MEAN: dict[Target, tuple[str, ...]] = {
    SINUS: wordings(
        """
        sinus rythm | Sinus rhthm | sinsu rhythm | SR 72 | NSR rate 70 | sinus mechanism | Rhythm: sinus | Sinus
        arrhythmia | underlying rhythm is sinus | RSR | regular rhythm | Sinusritme | Sinusrhythmus 70/min | rythme
        sinusal | ritmo sinusal | possible sinus rhythm | NSR?
        """
    ),
    FIBRILLATION: wordings(
        """
        atrial fibrilation | atrial fibrilllation | Atrial fibrulation | aflbrillation or AF | AF/AFL | AF RVR |
        chronic AF | afib/flutter | flutter-fibrillation | coarse fib | Rapid afib | atfib | AFibb | PAF |
        irregularly irregular rhythm | Vorhofflimmern | VHF | boezemfibrilleren | atriumfibrilleren | fibrillation
        auriculaire | fibrilación auricular | FA | fibrillazione atriale | AF? | no AF | absolute Arrhythmie
        """
    ),
    BRADYCARDIA: wordings(
        """
        sinus bradycardic | Bradycardia | bradycardic | sinus bradicardia | S brady | SB 48 | marked brady |
        Sinusbradykardie | bradicardia sinusal | bardycardia | sinus rhythm with slow rate | slow sinus rhythm
        """
    ),
    TACHYCARDIA: wordings(
        """
        ST 110 | ST | ST at 120 bpm | tachycardia | sinustachycardie | Sinustachykardie | sinus tachicardia | tachy
        | S tach | taquicardia sinusal | sinus tahcycardia | tachycardic | rapid sinus rhythm
        """
    ),
    AV_BLOCK: wordings(
        """
        AVB I | AV block | PR prolongation | prolonged PR | long PR interval | PR interval is prolonged | 1st dgree
        AV block | first degree block | heart block | 1AVB | borderline 1st degree AVB | PQ verlengd | AV-Block I° |
        AV-Block 1. Grades | 1e graads AV-blok | BAV 1er degré | bloqueo AV de primer grado | first degreee AV blok
        """
    ),
    RIGHT: wordings(
        """
        right bundle | right bunlde branch block | rigth bundle branch block | bundle branch block | rate related
        BBB | RBBB pattern | RBBB/LAFB | atypical RBBB | rt bundle branch block | Rechtsschenkelblock | RSB | BRD |
        rechter bundeltakblok | bloc de branche droit | blocco di branca destra | RBBB? | Rbbb and LVH | poss. RBBB
        | prob. RBBB
        """
    ),
    LEFT: wordings(
        """
        left bundle | Left bundle branch blcok | left budle branch block | LBBB pattern | LBBB like | lt BBB |
        Linksschenkelblock | LSB | linker bundeltakblok | bloc de branche gauche | rama izquierda | LBBB? | BBB
        """
    ),
    LOW: wordings(
        """
        low voltage limb leads | Low voltages in limb leads | low volts | lower voltage | low amplitude QRS |
        diffuse low voltage | reduced voltage | decreased QRS voltage | Niedervoltage | microvoltage | low QRS |
        bajo voltaje | lage voltages | low votlage QRS
        """
    ),
    HYPERTROPHY: wordings(
        """
        left ventr hypertrophy | left ventricular hypertropy | LV hyperthrophy | hypertrophy | LVH criteria met |
        meets voltage criteria | left ventricular enlargement | combined ventricular hypertrophy | high voltage |
        Linksherzhypertrophie | linker ventrikel hypertrofie | hypertrophie ventriculaire gauche | HVG | LVH? |
        hipertrofia ventricular izquierda | LVH/strain | increased QRS voltage
        """
    ),
}
NAMES_NONE: tuple[str, ...] = wordings(
    """
    ST elevation | ST depression in V5 | nonspecific ST-T changes | ST segment abnormality | aVF | RSR' in V1 |
    Atrial flutter | AFL | A flutter with 2:1 block | V fib | ventricular fibrillation | V tach | VT | SVT |
    atrial tach | ventricular tachycardia | AV nodal reentrant tachycardia | wide complex tachycardia | IRBBB |
    incomplete RBBB | Inc RBBB | incompl. RBBB | incomplete right bundle-branch block | inc. LBBB | LAFB | LAHB
    | IVCD | 2nd degree AVB | Mobitz II AV block | 3rd degree heart block | complete AV block | CHB | AV
    dissociation | RVH | right ventricular hypertrophy | septal hypertrophy | LAE | low atrial rhythm | short PR
    | PR depression | ventricular paced | A-V paced | V-paced rhythm | junctional rhythm | junctional brady |
    ectopic atrial rhythm | old inferior MI | T wave inversion | Q waves in III | long QT | PVCs | bigeminy |
    poor R wave progression | early repol | low amplitude T waves | lead reversal | artifact | Abnormal ECG |
    Dr. Strand | see old tracing | safe | half-standard | stable | left axis deviation | right axis | first
    tracing | block | defibrillator
    """
)


def labels(line: str, *flags: str) -> dict[Target, float]:
    xml = document(MuseEcg(diagnosis=((line, "ENDSLINE", *flags),), original=None))
    return MEANING.labels(read_statements(fromstring(xml.encode("latin-1"))) or ())


def pairs(table: dict[Target, tuple[str, ...]]) -> list[tuple[str, Target]]:
    return [(words, target) for target, wordings in table.items() for words in wordings]


@pytest.mark.parametrize(("words", "target"), pairs(TYPED))
def test_what_clearly_means_a_target_is_present(words: str, target: Target) -> None:
    for spelled in (words, words.upper(), words.lower()):
        assert labels(spelled, "USERINSERT").get(target) == 1.0
    assert labels(f"Possible {words}", "USERINSERT").get(target, "missing") == "missing"


@pytest.mark.parametrize(("words", "target"), pairs(MAY_MEAN))
def test_what_may_mean_a_target_is_missing(words: str, target: Target) -> None:
    for spelled in (words, words.lower()):
        assert labels(spelled, "USERINSERT").get(target, "missing") == "missing"


@pytest.mark.parametrize("words", NAMES_NONE)
def test_what_names_no_target_leaves_none_open(words: str) -> None:
    assert labels(words, "USERINSERT") == dict.fromkeys(TARGETS, 0.0)


def test_the_tables_are_large() -> None:
    assert len(pairs(TYPED)) + len(pairs(MAY_MEAN)) + len(NAMES_NONE) > 250


@pytest.mark.parametrize("statement", [*PRESENT, *OPEN, *ABSENT])
def test_statements_of_12sl_are_read_as_ever(statement: str) -> None:
    said = labels(statement)
    assert (
        {target for target, label in said.items() if label} == {PRESENT[statement]} & {*PRESENT.values()}
        if (statement in PRESENT)
        else not any(said.values())
    )
    assert set(TARGETS) - set(said) == OPEN.get(statement, set())


def test_a_sinus_rhythm_that_is_said_settles_what_sinus_means() -> None:
    said = (Statement("Sinus bradycardia"), Statement("sinus arrhythmia"), Statement("rate 48"))
    assert MEANING.labels(said) == {target: float(target == BRADYCARDIA) for target in TARGETS}
    assert SINUS not in MEANING.labels(said[1:])
    slow = MEANING.labels((Statement("Sinus rhythm"), Statement("slow rate")))
    assert slow[SINUS] == 1.0
    assert BRADYCARDIA not in slow
    assert TACHYCARDIA not in MEANING.labels((said[0], Statement("sinus tachycardia", doubted=True)))


@given(chain_of=st.lists(st.sampled_from([*PRESENT, *OPEN, *ABSENT]), max_size=4))
def test_a_report_says_what_its_statements_say(chain_of: list[str]) -> None:
    """One line a statement: present in one is present in all, and what one leaves open no other denies."""
    xml = document(MuseEcg(diagnosis=tuple((line, "ENDSLINE") for line in chain_of), original=None))
    said = MEANING.labels(read_statements(fromstring(xml.encode("latin-1"))) or ())
    present = {PRESENT[line] for line in chain_of if line in PRESENT}
    left_open = set(chain.from_iterable(OPEN.get(line, set()) for line in chain_of)) - present
    assert {target for target, label in said.items() if label} == present
    assert set(TARGETS) - set(said) == left_open


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1\u00b0 A-V Block", "1 degree av block"),
        ("A.F., a. fib", "af a fib"),
        ("bundle-branch", "bundle branch"),
        ("RSR' R/S LBBB?", "rsr' r s lbbb ?"),
        ("fibrilaci\u00f3n", "fibrilacion"),
        ("2:1", "2 1"),
        ("", ""),
    ],
)
def test_words(text: str, expected: str) -> None:
    assert " ".join(words_of(text)) == expected


@pytest.mark.parametrize(
    ("word", "wanted", "near"),
    [
        ("rythm", "rhythm", True),
        ("rhtyhm", "rhythm", True),  # neighbours changed in place
        ("rithm", "rhythm", False),
        ("bundel", "bundle", True),
        ("fibrilaton", "fibrillation", True),
        ("fibrillate", "fibrillation", False),
        ("lead", "leads", True),
        ("left", "lefr", False),  # under five letters none may be wrong
        ("afibrillating", "afib*", True),
        ("fibrulating", "fibril*", True),
        ("fibrosis", "fibril*", False),
        ("boezemfibrilleren", "*fibril*", True),
        ("af", "a*", True),
        ("irbbb", "crbbb", False),  # an abbreviation
    ],
)
def test_near_spellings(word: str, wanted: str, near: bool) -> None:
    assert is_near(word, wanted) is near


@given(word=st.text("aei", min_size=5, max_size=8), other=st.text("aei", min_size=5, max_size=8))
def test_nearness_of_words_is_symmetric_where_they_are_of_a_length(word: str, other: str) -> None:
    assert is_near(word, word)
    assert is_near(word, other) == is_near(other, word)


def test_phrases_are_found_in_their_order() -> None:
    assert contains_nearly(("old", "left", "budle", "branch", "block"), ("left", "bundle", "branch", "block"))
    assert not contains_nearly(("block", "branch", "bundle", "left"), ("left", "bundle", "branch", "block"))
    assert Wording.of("av block -2nd").fits(("block", "of", "av"))
    assert not Wording.of("av block -2nd").fits(("2nd", "av", "block"))


def test_a_map_of_one_s_own_may_have_words_too() -> None:
    own = StatementLabels(
        parse_label_map("Sinusritme: sinus_rhythm\nmay_mean: {sinus_rhythm: [SR, sin* ritme]}", "mine")
    )
    assert own.labels([Statement("Sinusritme")]) == {"sinus_rhythm": 1.0}
    for words in ("SR 70", "ritme sinoatriaal", "sinusritmee"):
        assert own.labels([Statement(words)]) == {}
    assert own.labels([Statement("flutter")]) == {"sinus_rhythm": 0.0}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: sinus_rhythm\nmay_mean: [b]", r"mine: may_mean: expected 'target: \[words, ...\]', got \['b'\]"),
        (
            "a: sinus_rhythm\nmay_mean: {sinus_rhythm: b}",
            "mine: may_mean sinus_rhythm: expected a list of words, got 'b'",
        ),
        ("a: sinus_rhythm\nmay_mean: {rhythm: [b]}", "mine: may_mean: a line means 'rhythm', no target"),
    ],
)
def test_tables_that_are_none(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_label_map(text, "mine")
