"""The codes of an archive and the targets they mean, read from YAML files."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Final

import yaml

from ecg_lightning.data.targets import TargetInfo, nearest, parse_targets
from ecg_lightning.ecg import TARGETS, Target

_NEVER_LABELLED: Final = "never_labelled"
_DOUBTFUL: Final = "doubtful"
_MAY_MEAN: Final = "may_mean"
_NOT_COUNTED: Final = "not_counted"
_TARGETS: Final = "targets"
_LINES: Final = "lines 'code: target'"
_SHOWN: Final = 5


@dataclass(frozen=True)
class LabelMap:
    """A label map says which codes mean which target. Case does not matter in codes.

    Attributes:
        where: The file, for messages.
        codes: Code -> target.
        never_labelled: Part of the archive -> targets that it has no code for, although other parts have.
        doubtful: Code -> targets that it leaves open, in archives whose codes are words.
        may_mean: Target -> words, abbreviations and beginnings of words that leave it open, in the same archives.
        not_counted: Words that say nothing of the target whose code they contain, in the same archives.
        targets: Targets that the map defines beside the paper's nine.
    """

    where: str
    codes: Mapping[str, Target]
    never_labelled: Mapping[str, tuple[Target, ...]] = field(default_factory=dict)
    doubtful: Mapping[str, tuple[Target, ...]] = field(default_factory=dict)
    may_mean: Mapping[Target, tuple[str, ...]] = field(default_factory=dict)
    not_counted: tuple[str, ...] = ()
    targets: Mapping[Target, TargetInfo] = field(default_factory=dict)

    @cached_property
    def _by_key(self) -> dict[str, Target]:
        return {code.casefold(): target for code, target in self.codes.items()}

    def labels(self, codes: Iterable[str], part: str | None = None) -> dict[Target, float]:
        """Turn the codes of one ECG into labels.

        Args:
            codes: The codes that the archive gives this ECG.
            part: The part of the archive that it is from.

        Returns:
            Every target of the map -> 1.0 where one of its codes is there, else 0.0. A target that the map does not
            know, or that this part of the archive never labels, is not in the result: it is missing and not negative.
        """
        present = {self._by_key.get(code.casefold()) for code in codes}
        never = self.never_labelled.get(part, ()) if part is not None else ()
        labelled = set(self._by_key.values()).difference(never)
        return {target: float(target in present) for target in (*TARGETS, *self.targets) if target in labelled}

    def unmapped(self, counts: Mapping[str, int]) -> dict[str, int]:
        """Return the codes that mean no target, most frequent first.

        Args:
            counts: Code -> number of ECGs, see :func:`count_codes`.
        """
        strange = [(code, n) for code, n in counts.items() if code.casefold() not in self._by_key]
        return dict(sorted(strange, key=lambda item: (-item[1], item[0])))

    def check_occurs(self, counts: Mapping[str, int], n_ecgs: int, root: Path) -> None:
        """Refuse a map that fits no code of an archive; an archive without any code may pass.

        Args:
            counts: Code -> number of ECGs.
            n_ecgs: Number of ECGs of the archive.
            root: Where the archive lies, for the message.

        Raises:
            ValueError: None of the map's codes occurs.
        """
        strange = self.unmapped(counts)
        if counts and len(strange) == len(counts):
            raise ValueError(
                f"label map {self.where}: none of its {len(self.codes)} codes occurs in the {n_ecgs:,} ECGs of {root}; "
                f"codes that do occur: {name_codes(strange)}. Write {_LINES} for these codes, or correct the root"
            )


def count_codes(codes_of_ecgs: Iterable[Iterable[str]]) -> dict[str, int]:
    """Count the ECGs that carry each code; a code that an ECG carries twice counts once.

    Args:
        codes_of_ecgs: The codes of each ECG.
    """
    return dict(Counter(code for codes in codes_of_ecgs for code in set(codes)))


def name_codes(counts: Mapping[str, int]) -> str:
    """Name the first five codes with their counts, such as ``NORM x 12, IRBBB x 3 ...``."""
    named = ", ".join(f"{code} x {n:,}" for code, n in list(counts.items())[:_SHOWN])
    return f"{named} ..." if len(counts) > _SHOWN else named


def load_label_map(archive: str, path: str | Path | None = None) -> LabelMap:
    """Read a label map: lines ``code: target``, and maybe tables.

    They are ``never_labelled``, ``doubtful``, ``may_mean``, ``not_counted`` and ``targets``, see :class:`LabelMap`.

    Args:
        archive: Name of the shipped map, ``labels/<archive>.yaml``.
        path: A map of one's own instead.

    Returns:
        The map.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is no mapping, holds a code twice, or a code means something that is neither one of the
            nine targets nor one that the file defines.
    """
    resource = files("ecg_lightning.data.sources") / "labels" / f"{archive}.yaml" if path is None else Path(path)
    if not resource.is_file():
        problem = f"no label map for {archive!r}" if path is None else "label_map: no such file"
        raise FileNotFoundError(f"{problem}: expected the file {resource}, with {_LINES}")
    return parse_label_map(resource.read_text(encoding="utf-8"), str(resource))


def parse_label_map(text: str, where: str) -> LabelMap:
    """Read the text of a label map.

    Args:
        text: The map as YAML text.
        where: The file, for messages.

    Raises:
        ValueError: See :func:`load_label_map`; the message names the file and the codes.
    """
    try:
        # Every scalar as it is written: NO, 1e5 and 0123 are codes, not a boolean and numbers.
        root = yaml.compose(text, Loader=yaml.BaseLoader)
        content = yaml.load(text, Loader=yaml.BaseLoader)
    except yaml.YAMLError as error:
        raise ValueError(f"label map {where}: not YAML ({error}); expected {_LINES}") from error
    if not isinstance(root, yaml.MappingNode) or not isinstance(content, dict):
        raise ValueError(f"label map {where}: expected {_LINES}, got {text[:40]!r}")
    _check_unique([key.value for key, _ in root.value], where)
    own = _own_targets(content.pop(_TARGETS, {}), where)
    known = (*TARGETS, *own)
    never = _table(content.pop(_NEVER_LABELLED, {}), _NEVER_LABELLED, where, known)
    doubtful = _table(content.pop(_DOUBTFUL, {}), _DOUBTFUL, where, known)
    may_mean = _words_of_targets(content.pop(_MAY_MEAN, {}), where, known)
    not_counted = _words(content.pop(_NOT_COUNTED, []), _NOT_COUNTED, where)
    codes = {code: _target(target, f"code {code}", where, known) for code, target in content.items()}
    if not codes:
        raise ValueError(f"label map {where}: no code; expected {_LINES}")
    return LabelMap(where, codes, never, doubtful, may_mean, not_counted, own)


def _own_targets(content: object, where: str) -> dict[Target, TargetInfo]:
    """The targets that a map defines: binary ones, since a code is there or is not."""
    own = parse_targets(content, f"label map {where}: {_TARGETS}")
    for name, info in own.items():
        if name in TARGETS or info.kind != "binary":
            why = "is one of the nine and needs no lines here" if name in TARGETS else "is measured, and a code is not"
            raise ValueError(f"label map {where}: {_TARGETS}: {name} {why}; take it out, or give yours another name")
    return own


def _table(content: object, name: str, where: str, known: Collection[str]) -> dict[str, tuple[Target, ...]]:
    if not isinstance(content, dict) or not all(isinstance(targets, list) for targets in content.values()):
        key = "part" if name == _NEVER_LABELLED else "code"
        raise ValueError(f"label map {where}: {name}: expected '{key}: [target, ...]', got {content!r}")
    return {
        key: tuple(_target(target, f"{name} {key}", where, known) for target in targets)
        for key, targets in content.items()
    }


def _words(content: object, name: str, where: str) -> tuple[str, ...]:
    if not isinstance(content, list) or not all(isinstance(words, str) and words.strip() for words in content):
        raise ValueError(f"label map {where}: {name}: expected a list of words, got {content!r}")
    return tuple(content)


def _words_of_targets(content: object, where: str, known: Collection[str]) -> dict[Target, tuple[str, ...]]:
    if not isinstance(content, dict):
        raise ValueError(f"label map {where}: {_MAY_MEAN}: expected 'target: [words, ...]', got {content!r}")
    return {
        _target(target, f"{_MAY_MEAN}: a line", where, known): _words(words, f"{_MAY_MEAN} {target}", where)
        for target, words in content.items()
    }


def _check_unique(codes: Collection[object], where: str) -> None:
    twice = [code for code, n in Counter(str(code).casefold() for code in codes).items() if n > 1]
    if twice:
        raise ValueError(f"label map {where}: code {', '.join(twice)} is listed twice; keep one line for each code")


def _target(name: object, what: str, where: str, known: Collection[str]) -> Target:
    if not isinstance(name, str) or name not in known:
        raise ValueError(
            f"label map {where}: {what} means {name!r}, no target; {nearest(str(name), known)}. Define one of your own "
            f"below `{_TARGETS}:` (name: {{title: ...}})"
        )
    return name
