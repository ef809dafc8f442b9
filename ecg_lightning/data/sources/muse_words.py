"""Words of reports that people type: abbreviated, with hyphens or without, mistyped."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

_TOLERANT_FROM: Final = {9: 2, 5: 1}
"""Letters of a word, and how many of them may be wrong, missing, too many, or changed in place with the next one.

None in abbreviations, which are words without a vowel: IRBBB is not CRBBB."""

_INITIALS: Final = re.compile(r"\b(\w)\.(?=\w\b)")
_WORD: Final = re.compile(r"\w+'?|[?<>=~+\N{PLUS-MINUS SIGN}]")  # RSR' is not RSR, and "LBBB?" is not LBBB
_AV: Final = re.compile(r"\ba v\b")
_VOWEL: Final = re.compile("[aeiouy]")
_ANYTHING: Final = "*"


def words_of(text: str) -> tuple[str, ...]:
    """List the words of a text in small letters, without accents and punctuation that means nothing.

    ``1° A-V Block`` has ``1 degree av block``; a question mark is a word.

    Args:
        text: The text of a statement.
    """
    plain = unicodedata.normalize("NFKD", re.sub("[\N{DEGREE SIGN}\N{MASCULINE ORDINAL INDICATOR}]", " degree ", text))
    plain = "".join(letter for letter in plain.casefold() if not unicodedata.combining(letter))
    return tuple(_AV.sub("av", " ".join(_WORD.findall(_INITIALS.sub(r"\1", plain)))).split())


@lru_cache(maxsize=1 << 18)
def is_near(word: str, wanted: str) -> bool:
    """Return whether a word is spelled as wanted, or nearly: one letter off from five letters on, two from nine.

    Args:
        word: The word, in small letters.
        wanted: The spelling, in small letters; ``fibril*`` is any word that begins so, ``*fibril*`` any that contains
            it exactly.
    """
    stem = wanted.strip(_ANYTHING)
    if wanted.startswith(_ANYTHING):
        return stem in word
    if wanted.endswith(_ANYTHING) and word.startswith(stem):
        return True
    off = _wrong_letters(stem)
    if not wanted.endswith(_ANYTHING):
        return _distance(word, stem, off) <= off
    lengths = range(len(stem) - off, len(stem) + off + 1)
    return any(_distance(word[:length], stem, off) <= off for length in lengths)


def _wrong_letters(word: str) -> int:
    if not _VOWEL.search(word):
        return 0
    return next((off for letters, off in _TOLERANT_FROM.items() if len(word) >= letters), 0)


def _distance(one: str, other: str, most: int) -> int:
    """Letters that differ, neighbours that are swapped once (optimal string alignment); no figure above ``most``."""
    if one == other or most == 0 or abs(len(one) - len(other)) > most:
        return 0 if one == other else most + 1
    rows = [list(range(len(other) + 1))]
    for i, letter in enumerate(one, start=1):
        row = [i]
        for j, wanted in enumerate(other, start=1):
            cost = min(rows[-1][j] + 1, row[-1] + 1, rows[-1][j - 1] + (letter != wanted))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == wanted:
                cost = min(cost, rows[-2][j - 2] + 1)
            row.append(cost)
        rows.append(row)
    return rows[-1][-1]


def contains_nearly(words: Sequence[str], phrase: Sequence[str]) -> bool:
    """Return whether the words of a phrase stand in a text, one behind the other, spelled so or nearly so."""
    starts = range(len(words) - len(phrase) + 1)
    return any(all(map(is_near, words[start : start + len(phrase)], phrase)) for start in starts)


@dataclass(frozen=True)
class Wording:
    """Words that together may mean something, in any order.

    Attributes:
        needed: Each must be there, spelled so or nearly so.
        excluding: None may be there.
    """

    needed: tuple[str, ...]
    excluding: tuple[str, ...]

    @classmethod
    def of(cls, written: str) -> "Wording":
        """Read one as a label map writes it: ``av block -2nd -complete``."""
        parts = written.casefold().split()
        return cls(tuple(part for part in parts if part[0] != "-"), tuple(part[1:] for part in parts if part[0] == "-"))

    def fits(self, words: Sequence[str]) -> bool:
        """Return whether a statement of these words may mean it."""
        return all(_among(words, wanted) for wanted in self.needed) and not any(
            _among(words, wanted) for wanted in self.excluding
        )


def _among(words: Sequence[str], wanted: str) -> bool:
    return any(is_near(word, wanted) for word in words)
