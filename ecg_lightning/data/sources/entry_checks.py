"""This module checks the entries of any source; a wrong one is rejected, with its position and its value."""

import math
from collections.abc import Iterator, Mapping, Sequence
from numbers import Real
from typing import Any, Final

import numpy as np

from ecg_lightning.data.label_checks import LabelsError
from ecg_lightning.data.sources.archive_table import is_missing
from ecg_lightning.data.sources.base import Entry, RejectedEntry, Source
from ecg_lightning.data.targets import TargetInfo, check_distinct, meet, nearest
from ecg_lightning.ecg import MEDIAN_BEAT, SignalFormat, Target, shown_text

LONGEST_LIFE: Final = 130.0
"""Years; no age is greater."""

_SEXES: Final = ("female", "male", "unknown")


def target_of(source: Source, name: Target, signal_format: SignalFormat = MEDIAN_BEAT) -> TargetInfo:
    """Look up a target among those that a source has.

    Args:
        source: Of the ECGs.
        name: The target's.
        signal_format: Of the ECGs.

    Raises:
        LabelsError: It has no such target, and the nearest ones are named, and how to give it more; or ECGs of this
            format have no labels of it.
    """
    targets = source.targets()
    check_distinct(targets, source.name)
    if name not in targets:
        more = f". {source.more_targets}" if source.more_targets else ""
        raise LabelsError(f"the source {source.name} has no target {name}: {nearest(name, targets)}{more}")
    if why := source.why_no_labels(name, signal_format):
        raise LabelsError(f"the source {source.name} has no target {name} here: {why}")
    meet(targets[name])
    return targets[name]


def checked_entries(source: Source) -> list[Entry]:
    """List the entries of a source; those with an impossible value, or with the id of an earlier one, rejected.

    Args:
        source: Any source, also one of the user's own.

    Raises:
        ValueError: The source has no entry at all.
        TypeError: It yields something else than entries.
    """
    entries = source.entries()
    if not entries:
        raise ValueError(f"{source.name}: its table holds no ECG; look at the table and at the source's settings")
    return list(_checked(source, entries))


def _checked(source: Source, entries: Sequence[Entry]) -> Iterator[Entry]:
    first: dict[str, int] = {}
    targets = source.targets()
    for place, entry in enumerate(entries):
        if not isinstance(entry, Entry):
            raise TypeError(f"{source.where(place)}: expected an Entry, got {type(entry).__name__}")
        if isinstance(entry, RejectedEntry):
            yield entry
        elif problem := _problem(entry, targets):
            yield _rejected(entry, f"{source.where(place)}: {problem}")
        elif (earlier := first.setdefault(entry.ecg_id, place)) != place:
            yield _rejected(
                entry,
                f"{source.where(place)}: ecg_id {_shown(entry.ecg_id)} stands there already ({source.where(earlier)}); "
                "give each ECG an id of its own",
            )
        else:
            yield entry


def _rejected(entry: Entry, reason: str) -> RejectedEntry:
    ecg_id, patient_id = (_in_unicode(str(one)) for one in (entry.ecg_id, entry.patient_id))
    return RejectedEntry.of(ecg_id, reason, patient_id=patient_id)


def _problem(entry: Entry, targets: Mapping[Target, TargetInfo]) -> str | None:
    """What is impossible, in words; None where nothing is."""
    for name, value in (("ecg_id", entry.ecg_id), ("patient_id", entry.patient_id)):
        if not isinstance(value, str) or is_missing(value):
            return _expected(name, value, "text, and none that stands for nothing")
        if _in_unicode(value) != value:
            return _expected(name, value, "text in UTF-8")
    if entry.patient_id != entry.patient_id.strip() and entry.patient_id != entry.ecg_id:  # a file may be named so
        return _expected(
            "patient_id", entry.patient_id, "no spaces around it: '17 ' would be another patient than '17'"
        )
    who = f"of ECG {_shown(entry.ecg_id)}"
    if not _is_number(entry.age) or not (math.isnan(entry.age) or 0.0 <= entry.age <= LONGEST_LIFE):
        return _expected(f"age {who}", entry.age, f"years from 0 to {LONGEST_LIFE:g}, NaN where unknown")
    if entry.sex not in _SEXES:
        return _expected(f"sex {who}", entry.sex, f"one of {', '.join(_SEXES)}")
    if not _is_number(entry.fold) or not 0 <= entry.fold < 2**31 or entry.fold != int(entry.fold):
        return _expected(f"fold {who}", entry.fold, "a whole number from 1, 0 where there is none")
    return _problem_of_labels(entry.labels, targets, who)


def _problem_of_labels(labels: Any, targets: Mapping[Target, TargetInfo], who: str) -> str | None:
    """The same of the labels alone; a source of one's own may give anything."""
    if not isinstance(labels, Mapping):
        return _expected(f"labels {who}", labels, "a mapping of target -> 1, 0 or a measured value")
    for target, label in labels.items():
        info = targets.get(target)
        if info is None:
            return _expected(f"a label {who}", target, f"a target of the source; {nearest(str(target), targets)}")
        if not _is_number(label) or not info.fits(label):
            return _expected(f"{target} {who}", label, f"{info.expected}, or no label where it is missing")
    return None


def _is_number(value: object) -> bool:
    return isinstance(value, Real | np.bool_)


def _in_unicode(text: str) -> str:
    """The text, with what UTF-8 can't hold written as an escape."""
    return text.encode("utf-8", "backslashreplace").decode()


def _expected(what: str, value: Any, expected: str) -> str:
    return f"{what} is {_shown(value)}, expected {expected}"


def _shown(value: object) -> str:
    return shown_text(repr(value))
