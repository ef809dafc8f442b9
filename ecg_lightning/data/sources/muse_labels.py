"""This module reads from the statements of a MUSE report which targets are present, absent or left open."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Final

from ecg_lightning.data.sources.label_map import LabelMap
from ecg_lightning.data.sources.muse_statements import Statement, tidy
from ecg_lightning.data.sources.muse_words import Wording, contains_nearly, words_of
from ecg_lightning.ecg import Target

_RATE: Final = re.compile(r"\d+|rate|hr|bpm|beats|per|min|minute|at|of")
_ELSEWHERE: Final = "|"
"""Stands where words that are not counted were: what is before and behind them is no phrase."""

_OTHER_SINUS: Final[tuple[Target, ...]] = ("sinus_bradycardia", "sinus_tachycardia")


class StatementLabels:
    """Statements are turned into labels by a label map. Each statement is looked up once.

    Args:
        label_map: A map whose codes are statements.
    """

    def __init__(self, label_map: LabelMap) -> None:
        self.label_map = replace(
            label_map,
            codes={tidy(code): target for code, target in label_map.codes.items()},
            doubtful={tidy(code): targets for code, targets in label_map.doubtful.items()},
        )
        self._codes = {words_of(code): target for code, target in self.label_map.codes.items()}
        self._doubtful = {words_of(code): targets for code, targets in self.label_map.doubtful.items()}
        self._wordings = [(t, Wording.of(one)) for t, written in label_map.may_mean.items() for one in written]
        self._named: dict[str, tuple[frozenset[Target], frozenset[Target]]] = {}

    def labels(self, statements: Sequence[Statement]) -> dict[Target, float]:
        """Turn the statements of one ECG into labels.

        Args:
            statements: What :func:`read_statements` gave.

        Returns:
            Target -> 1.0 where a statement is one of the map's, else 0.0; without the targets that are left open: by a
            statement of the map's table ``doubtful``, by one that contains a code of the map or words of its table
            ``may_mean``, spelled so or nearly so, and is no code, or by one that is doubted.
        """
        stated = {self._codes.get(words_of(one.text)) for one in statements if not one.doubted}
        named = [self._named_by(one.text) for one in statements]
        contained = frozenset[Target]().union(*(codes for codes, _ in named))
        meant = frozenset[Target]().union(*(words for _, words in named))
        if stated.intersection(_OTHER_SINUS):
            meant -= {"sinus_rhythm"}  # "sinus arrhythmia" may mean a sinus rhythm, but not beside a bradycardia
        labels = self.label_map.labels(())
        return {
            target: float(target in stated)
            for target in labels
            if target in stated or target not in contained.union(meant)
        }

    def is_code(self, text: str) -> bool:
        """Return whether a statement is one of the map's codes, but for accents, hyphens and the like."""
        return words_of(text) in self._codes

    def _named_by(self, text: str) -> tuple[frozenset[Target], frozenset[Target]]:
        """Targets whose codes a statement contains or that it leaves open, and those that its words may mean."""
        if text not in self._named:
            self._named[text] = self._named_by_words(words_of(text))
        return self._named[text]

    def _named_by_words(self, words: tuple[str, ...]) -> tuple[frozenset[Target], frozenset[Target]]:
        bare = tuple(word for word in words if not _RATE.fullmatch(word))
        doubtful = frozenset((*self._doubtful.get(words, ()), *self._doubtful.get(bare, ())))
        if words in self._codes:
            return doubtful | {self._codes[words]}, frozenset()
        rest = self._not_counted.sub(f" {_ELSEWHERE} ", " ".join(words)).split() if self._not_counted else words
        contained = {target for code, target in self._codes.items() if contains_nearly(rest, code)}
        return doubtful | contained, frozenset(target for target, one in self._wordings if one.fits(rest))

    @cached_property
    def _not_counted(self) -> re.Pattern[str] | None:
        phrases = self.label_map.not_counted
        return _any_of(phrases) if phrases else None


def _any_of(phrases: Iterable[str]) -> re.Pattern[str]:
    """Finds any of the phrases, whole, among words; ``*`` at the end of a phrase stands for the rest of a word."""
    written = (" ".join(words_of(tidy(one))) + (r"\w*" if one.endswith("*") else "") for one in phrases)
    return re.compile("|".join(rf"(?<!\S){one}(?!\S)" for one in written))
