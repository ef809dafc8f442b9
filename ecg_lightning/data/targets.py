"""Targets are data: a diagnosis or a measurement with its name, title, unit and plausible range, read from YAML."""

import difflib
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal, get_args

import numpy as np
import yaml
from numpy.typing import ArrayLike, NDArray

from ecg_lightning.ecg import Target, shown_text

Kind = Literal["binary", "regression"]

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_LONGEST_NAME: Final = 64
_TAKEN: Final = ("all", "comparison", "figures", "logs", "other_target", "tables", "wandb")
"""Names that mean something else in a study's folder and tables."""

_LINES: Final = "targets, 'name: {title: ..., kind: ...}'"
_NEAREST: Final = 5
_LISTED: Final = 12


@dataclass(frozen=True)
class TargetInfo:
    """A target is what a run explains: whether an ECG has a diagnosis, or how large something measured is.

    Attributes:
        name: Name in ``--target``, in tables and of the run's folder.
        title: Name in full; empty: the name with blanks.
        short_title: Name for a label of a few millimetres; empty: the title.
        kind: ``binary``, labels are 1 and 0; or ``regression``, labels are numbers.
        unit: Unit of a regression target.
        low: Least plausible value of a regression target.
        high: Largest plausible value.
        criterion: What makes the diagnosis on the ECG, or how the value was measured, in words.

    Raises:
        ValueError: A name that is no safe folder's, another kind, a range without values, or a binary target with one.
    """

    name: Target
    title: str = ""
    short_title: str = ""
    kind: Kind = "binary"
    unit: str = ""
    low: float = -math.inf
    high: float = math.inf
    criterion: str = ""

    def __post_init__(self) -> None:
        check_name(self.name)
        if self.kind not in get_args(Kind):
            raise ValueError(f"target {self.name}: kind is {self.kind!r}, expected {' or '.join(get_args(Kind))}")
        if self.kind == "binary" and (self.unit or (self.low, self.high) != (-math.inf, math.inf)):
            raise ValueError(f"target {self.name}: a binary target has no unit and no range; is it a regression?")
        if not self.low < self.high:
            raise ValueError(f"target {self.name}: expected low under high, got {self.low:g} and {self.high:g}")
        title = self.title or readable(self.name)
        object.__setattr__(self, "title", title)
        object.__setattr__(self, "short_title", self.short_title or title)

    def fits(self, label: float) -> bool:
        """Return whether a label is one that the target can have; NaN, a missing one, is."""
        if self.kind == "binary":
            return label in (0.0, 1.0) or math.isnan(label)
        return math.isnan(label) or (math.isfinite(label) and self.low <= label <= self.high)

    def present(self, label: ArrayLike) -> NDArray[np.bool_]:
        """Tell which ECGs have it: of a diagnosis those with the label 1, of a measurement those with a value."""
        values = np.asarray(label, dtype=np.float64)
        return np.asarray(values == 1 if self.kind == "binary" else np.isfinite(values), dtype=np.bool_)

    @property
    def having_it(self) -> str:
        """Say in a sentence which ECGs or patients have it."""
        return "with the diagnosis" if self.kind == "binary" else "with a value"

    def output_unit(self, unit: str) -> str:
        """Say a unit that names the logit; of a measurement the network gives standard deviations: ``SD per mV``."""
        return unit if self.kind == "binary" else unit.replace("logit", "SD")

    @property
    def expected(self) -> str:
        """Say what a label must be, for messages."""
        if self.kind == "binary":
            return "1 or 0"
        least, most = (f" {word} {end:g}" * math.isfinite(end) for word, end in (("from", self.low), ("to", self.high)))
        return f"a number{f' of {self.unit}' * bool(self.unit)}{least}{most}"

    def as_dict(self) -> dict[str, Any]:
        """Give what the target says of itself as JSON and a checkpoint keep it, without ends that are open."""
        return {key: value for key, value in asdict(self).items() if value not in (-math.inf, math.inf)}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "TargetInfo":
        """Make the target that ``as_dict`` has described, also by a later version that says more."""
        known = {field.name for field in fields(cls)}
        return cls(**{key: value for key, value in content.items() if key in known})


def readable(name: object) -> str:
    """Write a target's name in words: ``my_class``, My class."""
    text = str(name).replace("_", " ").strip()
    return text[:1].upper() + text[1:]


def is_target_name(name: object) -> bool:
    """Return whether a target may be called so: a run's folder has its name."""
    fits = isinstance(name, str) and len(name) <= _LONGEST_NAME and _NAME.fullmatch(name) is not None
    return fits and str(name).lower() not in _TAKEN


def check_name(name: Target) -> Target:
    """Return the name of a target, where it is one.

    Raises:
        ValueError: It is no safe name of a folder, or means something else in a study's folder.
    """
    if not is_target_name(name):
        raise ValueError(
            f"{shown_text(repr(name))} is no name of a target: a run's folder is called so. Expected at most "
            f"{_LONGEST_NAME} letters (A to Z), digits, _ and -, the first a letter or digit, and none of "
            f"{', '.join(_TAKEN)}"
        )
    return name


def check_distinct(names: Iterable[Target], where: str) -> None:
    """Refuse names that differ in case only: some file systems would put their runs in one folder.

    Raises:
        ValueError: The message names them.
    """
    written = list(names)
    times = Counter(name.lower() for name in written)
    if twice := [name for name in written if times[name.lower()] > 1]:
        raise ValueError(f"{where}: the targets {', '.join(twice)} differ in upper and lower case only; rename one")


def parse_targets(content: object, where: str) -> dict[Target, TargetInfo]:
    """Make targets of the content of a YAML file.

    Args:
        content: Name -> its ``title``, ``short_title``, ``kind``, ``unit``, ``low``, ``high`` and ``criterion``, all of
            which may be left out; or a list of names of binary targets.
        where: The file, for messages.

    Raises:
        ValueError: The message names the file, the target and what is wrong.
    """
    if isinstance(content, (list, tuple)):
        content = dict.fromkeys(map(str, content))
    if not isinstance(content, Mapping):
        raise ValueError(f"{where}: expected {_LINES}, got {shown_text(repr(content))}")
    found = {str(name): _target(str(name), said, where) for name, said in content.items()}
    check_distinct(found, where)
    return found


def _target(name: str, said: object, where: str) -> TargetInfo:
    allowed = {field.name for field in fields(TargetInfo)} - {"name"}
    if said is None or said == "":
        said = {}
    if not isinstance(said, Mapping) or not set(said) <= allowed:
        raise ValueError(
            f"{where}: target {shown_text(name)}: expected some of {', '.join(sorted(allowed))}, got "
            f"{shown_text(repr(said))}"
        )
    try:
        ends = {end: float(said[end]) for end in ("low", "high") if said.get(end) not in (None, "")}
        words = {key: str(value) for key, value in said.items() if key not in ("low", "high")}
        return TargetInfo.from_dict({"name": name, **words, **ends})
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: {error}") from error


def load_targets(path: str | Path) -> dict[Target, TargetInfo]:
    """Read a file of targets.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no YAML, or what it says is no target; the message names the file.
    """
    file = Path(path)
    if not file.is_file():
        raise FileNotFoundError(f"{file}: no such file; expected {_LINES}")
    try:
        return parse_targets(yaml.safe_load(file.read_text(encoding="utf-8")), str(file))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{file}: not YAML ({error})") from error


PAPER_TARGETS: Final[Mapping[Target, TargetInfo]] = MappingProxyType(
    load_targets(str(files("ecg_lightning.data") / "targets.yaml"))
)
"""The nine diagnoses of the paper."""

_met: dict[Target, TargetInfo] = dict(PAPER_TARGETS)


def meet(info: TargetInfo) -> None:
    """Keep what a target says of itself, so that pictures and pages of this process name it by its title."""
    if info.name not in PAPER_TARGETS:
        _met[info.name] = info


def info_of(name: Target) -> TargetInfo | None:
    """Look up what a target says of itself: one of the paper's, or one that was met; None for another name."""
    return _met.get(name)


def known_info(name: Target) -> TargetInfo:
    """Return what is known of a target; of a name that nobody has described, a diagnosis."""
    return _met.get(name) or TargetInfo(name)


def in_order(names: Iterable[Target]) -> list[Target]:
    """Sort targets: the paper's in its order, then the others by name."""
    place = {name: place for place, name in enumerate(PAPER_TARGETS)}
    return sorted(set(names), key=lambda name: (place.get(name, len(place)), name))


def nearest(name: str, known: Iterable[Target]) -> str:
    """Name the targets that somebody may have meant; where none is near, the first of all."""
    by_key = {one.lower(): one for one in known}
    close = difflib.get_close_matches(name.lower(), by_key, n=_NEAREST)
    if close:
        return f"the nearest are {', '.join(by_key[key] for key in close)} (of {len(by_key)})"
    listed = list(by_key.values())[:_LISTED]
    return f"it has {', '.join(listed)}" + (f" and {len(by_key) - _LISTED} more" if len(by_key) > _LISTED else "")
