"""The diagnosis of a MUSE export, cut into statements."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple
from xml.etree.ElementTree import Element

_CURRENT, _ORIGINAL = "Diagnosis", "OriginalDiagnosis"
_DELETED, _END_OF_LINE, _TYPED = "DELETED", "ENDSLINE", "USERINSERT"
# 12SL says "with 1st degree AV block" as a statement of its own; readers type it behind the rhythm. MUSE speaks the
# hospital's language.
# "A. fib", "AV block 1. degree" and "inc. RBBB" are one statement, and two of 12SL's have "with" or ":" before an AV
# block of no degree.
_ABBREVIATED: Final = ("inc", "incomp", "incompl", "part", "poss", "prob", "deg", "vent", "atr", "critical test result")
_NOT_BEHIND: Final = "".join(rf"(?<!\b{words})" for words in (r"\w", *_ABBREVIATED))
_CUT: Final = re.compile(
    rf"[,;()*]+|{_NOT_BEHIND}[.:](?=\s|$)|"
    r"(?<!idioventricular rhythm)\s(?=(?:with|met|mit|avec|con|com|med)\s)",
    re.IGNORECASE,
)
_WITH: Final = re.compile(r"^(?:with|met|mit|avec|con|com|med)\s+", re.IGNORECASE)
_COMPARISON: Final = re.compile(
    r"\bcompared (?:with|to)\b|\bsince (?:the )?previous\b|\bhas replaced\b|^previous ecg\b", re.IGNORECASE
)
# Who read the ECG and when: names must not become codes. A clock's time marks such a line in every language.
_SIGNATURE: Final = re.compile(
    r"\d:\d\d|^(?:un)?confirmed\b|\bsigned\b|\b(?:read|reviewed|interpreted|edited|referred|ordered) by\b",
    re.IGNORECASE,
)
_DOUBT: Final = re.compile(
    r"\b(?:no|not|without|poss|possible|possibly|prob|probable|probably|cannot|consider|suspect|suspected|suggests?|question|"
    r"questionable|borderline|rule out|r/o|versus|vs|prior|previous|history of)\b|\?",
    re.IGNORECASE,
)
# Without flags: what ends like these goes on in the next fragment, and what begins like these goes on itself.
_GOES_ON: Final = re.compile(
    r"(?:\b(?:with|and|or|of|for|in|by|to|is|has|no|not|without|possible|possibly|probable|probably|consider|suspect|"
    r"suspected|suggests?|questionable|borderline|rule out|r/o|versus|vs|history|coarse|accelerated|incomplete|"
    r"intermittent|occasional|frequent|minimal|moderate|marked)|[,(&?/-])$",
    re.IGNORECASE,
)
_JOINS: Final = re.compile(
    r"(?:with|and|or|has|have|is|are|may be|cannot be|could be|met|mit|avec|con|com|med|und|et)\b", re.IGNORECASE
)


class Statement(NamedTuple):
    """One statement of a diagnosis.

    Attributes:
        text: The statement as the file spells it, without "with" in front.
        doubted: A word such as "possible" or "no" stands before it in its line.
        typed: A person has put its line in, from the list of 12SL's statements or in words of their own.
    """

    text: str
    doubted: bool = False
    typed: bool = False


def read_statements(root: Element) -> tuple[Statement, ...] | None:
    """Read the statements of a file.

    They are those of ``Diagnosis``, which a physician may have corrected; those of ``OriginalDiagnosis``, which 12SL
    made, only where there are no others. Statements that a reader has deleted, the reader's signature, and the
    comparison with an earlier ECG, up to the end, are left out.

    Args:
        root: The root element, ``RestingECG``.

    Returns:
        The statements in their order; None where the file has none of either kind.
    """
    for name in (_CURRENT, _ORIGINAL):
        said = root.findall(f"{name}/DiagnosisStatement")
        if any((one.findtext("StmtText") or "").strip() for one in said):
            return tuple(_statements(said))
    return None


def _statements(said: Sequence[Element]) -> Iterable[Statement]:
    for line, typed in _lines(said):
        if _COMPARISON.search(line):
            return
        if not _SIGNATURE.search(line):
            yield from _cut(line, typed)


def _lines(said: Sequence[Element]) -> Iterator[tuple[str, bool]]:
    """The lines of a report, from fragments such as "Sinus rhythm", "with", "1st degree AV block".

    A line goes up to a fragment with the flag ``ENDSLINE``. Some exporters leave flags out; where none is set before
    the last fragment, and behind the last that is set, each fragment is a line, but for those that belong together.
    """
    flags = [{(flag.text or "").strip().upper() for flag in one.findall("StmtFlag")} for one in said]
    ends = [place for place, one in enumerate(flags) if _END_OF_LINE in one]
    flagged = ends[-1] + 1 if ends and ends != [len(said) - 1] else 0
    words: list[str] = []
    typed = False
    for place, (one, own) in enumerate(zip(said, flags, strict=True)):
        text = "" if _DELETED in own else " ".join((one.findtext("StmtText") or "").split())
        if place >= flagged and text and words and not _belong_together(words, text):
            yield " ".join(words), typed
            words, typed = [], False
        if text:
            words.append(text)
            typed |= _TYPED in own
        if place < flagged and _END_OF_LINE in own:
            yield " ".join(words), typed
            words, typed = [], False
    yield " ".join(words), typed


def _belong_together(line: Sequence[str], text: str) -> bool:
    """Return whether a fragment continues those before: "Sinus rhythm" and "with PVCs", "Can't rule out" and "LBBB"."""
    in_small_letters = text[0].islower() and not line[0][0].islower()
    goes_on = _GOES_ON.search(line[-1]) or _JOINS.match(text)
    return goes_on is not None or in_small_letters or not (text[0].isalnum() or text[0] in "*?")


def _cut(line: str, typed: bool) -> Iterable[Statement]:
    doubted = False
    for piece in _CUT.split(line):
        text = tidy(piece)
        if text:
            yield Statement(text, doubted, typed)
            doubted |= _DOUBT.search(text) is not None


def tidy(text: str) -> str:
    """Tidy a statement: without "with" in front, and with AV for A-V.

    Args:
        text: A statement of a file or of a label map.
    """
    text = _WITH.sub("", " ".join(text.split()).strip(" -"))
    return re.sub(r"\bA-V\b", "AV", text, flags=re.IGNORECASE)
