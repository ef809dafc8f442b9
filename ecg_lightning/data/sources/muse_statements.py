"""The diagnosis of a MUSE export: its statements, and the targets that they state, leave open or exclude."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Final, NamedTuple
from xml.etree.ElementTree import Element

from ecg_lightning.data.sources.label_map import LabelMap
from ecg_lightning.ecg import TARGETS, Target

_CURRENT, _ORIGINAL = "Diagnosis", "OriginalDiagnosis"
_DELETED, _END_OF_LINE, _TYPED = "DELETED", "ENDSLINE", "USERINSERT"
# 12SL says "with 1st degree AV block" as a statement of its own; readers type it behind the rhythm. MUSE speaks the
# hospital's language.
_CUT: Final = re.compile(r"[,;()*]+|[.:](?=\s|$)|\s(?=(?:with|met|mit|avec|con|com|med)\s)", re.IGNORECASE)
_WITH: Final = re.compile(r"^(?:with|met|mit|avec|con|com|med)\s+", re.IGNORECASE)
_COMPARISON: Final = re.compile(
    r"\bcompared (?:with|to)\b|\bsince (?:the )?previous\b|\bhas replaced\b|^previous ecg\b", re.IGNORECASE
)
# Who read the ECG and when: names have no place among codes. A clock's time tells it in every language.
_SIGNATURE: Final = re.compile(
    r"\d:\d\d|^(?:un)?confirmed\b|\bsigned\b|\b(?:read|reviewed|interpreted|edited|referred|ordered) by\b",
    re.IGNORECASE,
)
_DOUBT: Final = re.compile(
    r"\b(?:no|not|without|possible|possibly|probable|probably|cannot|consider|suspect|suspected|suggests?|question|"
    r"questionable|borderline|rule out|r/o|versus|vs|prior|previous|history of)\b|\?",
    re.IGNORECASE,
)


class Statement(NamedTuple):
    """One statement of a diagnosis.

    Attributes:
        text: As the file spells it, without "with" in front.
        doubted: A word such as "possible" or "no" stands before it in its line.
        typed: A person has put its line in, from the list of 12SL's statements or in words of their own.
    """

    text: str
    doubted: bool = False
    typed: bool = False


def read_statements(root: Element) -> tuple[Statement, ...] | None:
    """The statements of a file.

    They are those of ``Diagnosis``, which a physician may have corrected; those of ``OriginalDiagnosis``, which 12SL
    made, only where there are no others. Statements that a reader has deleted, the reader's signature, and the
    comparison with an earlier ECG, up to the end, are left out.

    Args:
        root: ``RestingECG``.

    Returns:
        The statements in their order; None where the file has none of either kind.
    """
    for name in (_CURRENT, _ORIGINAL):
        said = root.findall(f"{name}/DiagnosisStatement")
        if any((one.findtext("StmtText") or "").strip() for one in said):
            return tuple(_statements(said))
    return None


def _statements(said: Iterable[Element]) -> Iterable[Statement]:
    for line, typed in _lines(said):
        if _COMPARISON.search(line):
            return
        if not _SIGNATURE.search(line):
            yield from _cut(line, typed)


def _lines(said: Iterable[Element]) -> Iterable[tuple[str, bool]]:
    """The lines of a report, from fragments such as "Sinus rhythm", "with", "1st degree AV block"."""
    words: list[str] = []
    typed = False
    for one in said:
        flags = {(flag.text or "").strip().upper() for flag in one.findall("StmtFlag")}
        if _DELETED not in flags:
            words += (one.findtext("StmtText") or "").split()
            typed |= _TYPED in flags
        if _END_OF_LINE in flags:
            yield " ".join(words), typed
            words, typed = [], False
    yield " ".join(words), typed


def _cut(line: str, typed: bool) -> Iterable[Statement]:
    doubted = False
    for piece in _CUT.split(line):
        text = tidy(piece)
        if text:
            yield Statement(text, doubted, typed)
            doubted |= _DOUBT.search(text) is not None


def tidy(text: str) -> str:
    """A statement without "with" in front, and with AV for A-V.

    Args:
        text: Of a file or of a label map.
    """
    text = _WITH.sub("", " ".join(text.split()).strip(" -"))
    return re.sub(r"\bA-V\b", "AV", text, flags=re.IGNORECASE)


class StatementLabels:
    """What statements mean, by a label map. Each statement is looked up once.

    Args:
        label_map: Its codes are statements.
    """

    def __init__(self, label_map: LabelMap) -> None:
        self.label_map = replace(
            label_map,
            codes={tidy(code): target for code, target in label_map.codes.items()},
            doubtful={tidy(code): targets for code, targets in label_map.doubtful.items()},
        )
        self._open: dict[str, frozenset[Target]] = {}

    def labels(self, statements: Sequence[Statement]) -> dict[Target, float]:
        """Turn the statements of one ECG into labels.

        Args:
            statements: See :func:`read_statements`.

        Returns:
            Target -> 1.0 where a statement is one of the map's, else 0.0; without the targets that are left open: by a
            statement of the map's table ``doubtful``, by one that contains a code of the map and is none, or by one
            that is doubted.
        """
        stated = [one.text for one in statements if not one.doubted]
        labels = self.label_map.labels(stated)
        left_open = frozenset[Target]().union(*(self._left_open(one) for one in statements))
        return {target: label for target, label in labels.items() if label or target not in left_open}

    def _left_open(self, statement: Statement) -> frozenset[Target]:
        """Targets that a statement may mean and does not state."""
        key = statement.text.casefold()
        if key not in self._open:
            rest = self._not_counted.sub(" ", key) if self.label_map.not_counted else key
            named = {target for target, words in self._words.items() if words.search(rest)}
            self._open[key] = frozenset(named.union(self._doubtful.get(key, ())))
        return self._open[key]

    @cached_property
    def _doubtful(self) -> Mapping[str, tuple[Target, ...]]:
        return {code.casefold(): targets for code, targets in self.label_map.doubtful.items()}

    @cached_property
    def _not_counted(self) -> re.Pattern[str]:
        return _any_of(self.label_map.not_counted)

    @cached_property
    def _words(self) -> Mapping[Target, re.Pattern[str]]:
        by_target = {t: [code for code, target in self.label_map.codes.items() if target == t] for t in TARGETS}
        return {target: _any_of(codes) for target, codes in by_target.items() if codes}


def _any_of(words: Iterable[str]) -> re.Pattern[str]:
    """Finds any of the words, whole, in text in small letters."""
    return re.compile("|".join(rf"(?<!\w){re.escape(tidy(one).casefold())}(?!\w)" for one in words))
