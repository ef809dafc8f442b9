"""The checks are questions to a method's maps: their claims and margins, stated beforehand and never changed.

A check is data: ``ecg_lightning/experiments/<name>/claims.yaml``. How it measures an effect is its experiment's code.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final, Literal, NamedTuple, get_args

import yaml

Side = Literal["above", "below"]

_CLAIMS: Final = "claims.yaml"
_EXPLAINING: Final = frozenset(("uses_the_network", "is_about_this_patient"))


@dataclass(frozen=True)
class Margin:
    """A margin is what one score of a check is tested against.

    Attributes:
        check: Name of the experiment.
        claim: ``uses_the_network``, ``is_about_this_patient``, ``needs_the_weights`` or ``seeds_agree``.
        score: Name of the score.
        unit: Unit of effect and margins.
        side: Whether a pass lies above or below the margin.
        margin_pass: A pass is an effect beyond this.
        margin_fail: A failure is an effect that does not reach this.
        found: How a sentence on this score begins; empty: as the check says.
        kind: Kind of the targets that it is for, ``binary`` or ``regression``; empty: for both.
    """

    check: str
    claim: str
    score: str
    unit: str
    side: Side
    margin_pass: float
    margin_fail: float
    found: str = ""
    kind: str = ""


class FalsePasses(NamedTuple):
    """The highest rate of false passes of any size, 20 to 250 patients and 1 to 10 networks, before Holm's adjustment.

    Attributes:
        symmetric: Rate for patients with normal values.
        long_tail: Rate for patients with exponential values, towards the worse side.
    """

    symmetric: float
    long_tail: float


@dataclass(frozen=True)
class Check:
    """An experiment's question, and what decides it.

    Attributes:
        name: Name of the experiment.
        title: Heading of its column.
        question: The question in words.
        column: Index of its column in the scorecard.
        margins: Margins of its claims; a claim with several must meet each.
        found: How a sentence on its effect begins, such as ``Its infidelity is``.
        above: How a positive difference to another map is said; empty where no maps are compared.
        below: How a negative one is said.
        any_label: Whether patients of any label count.
        compares_seeds: Whether it needs several seeds.
        false_passes: How often a method without merit passes one test; None where nobody has simulated it.
        false_passes_of_measurements: The same, where a measurement is decided by another closed form.
    """

    name: str
    title: str
    question: str
    column: int
    margins: tuple[Margin, ...]
    found: str = ""
    above: str = ""
    below: str = ""
    any_label: bool = False
    compares_seeds: bool = False
    false_passes: FalsePasses | None = None
    false_passes_of_measurements: FalsePasses | None = None

    def rates(self, kinds: Collection[str]) -> FalsePasses | None:
        """Return how often a method without merit passes one test of targets of these kinds, the larger of several."""
        other = self.false_passes_of_measurements or self.false_passes
        found = [self.false_passes if kind == "binary" else other for kind in kinds]
        known = [one for one in found if one is not None]
        return FalsePasses(*map(max, zip(*known, strict=True))) if known else None

    @property
    def claims(self) -> tuple[str, ...]:
        """Return the names of its claims, in the order of the file."""
        return tuple(dict.fromkeys(margin.claim for margin in self.margins))

    @property
    def explains(self) -> bool:
        """Return whether its claims together make a map an explanation."""
        return set(self.claims) >= _EXPLAINING


@cache
def checks() -> tuple[Check, ...]:
    """Return every check, in the order of the scorecard.

    Raises:
        ValueError: A file without a needed key, or with one that nobody reads; it is named.
    """
    folders = files("ecg_lightning.experiments").iterdir()
    all_checks = [_read(folder.name, folder / _CLAIMS) for folder in folders if (folder / _CLAIMS).is_file()]
    return tuple(sorted(all_checks, key=lambda check: (check.column, check.name)))


def check_named(name: str) -> Check:
    """Return the check of an experiment.

    Raises:
        ValueError: There is none of this name.
    """
    for check in checks():
        if check.name == name:
            return check
    raise ValueError(f"there is no check {name}; there are {', '.join(check.name for check in checks())}")


def margins() -> tuple[Margin, ...]:
    """Return every margin, in the order of the checks."""
    return tuple(margin for check in checks() for margin in check.margins)


def margins_of(check: str, claim: str, kind: str = "binary") -> tuple[Margin, ...]:
    """Return the margins of a check's claim; a claim with several must meet each.

    Args:
        check: Name of the experiment.
        claim: Name of the claim.
        kind: Kind of the target, ``binary`` or ``regression``.

    Raises:
        ValueError: There is no such check or claim.
    """
    of_claim = (margin for margin in check_named(check).margins if margin.claim == claim)
    margins = tuple(margin for margin in of_claim if margin.kind in ("", kind))
    if not margins:
        raise ValueError(f"the check {check} has no claim {claim}; it has {', '.join(check_named(check).claims)}")
    return margins


def _read(name: str, path: Any) -> Check:
    content: Mapping[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    try:
        margins = tuple(Margin(check=name, **entry) for entry in content["margins"])
        keys = ("false_passes", "false_passes_of_measurements")
        rates = {key: FalsePasses(**content[key]) for key in keys if key in content}
        check = Check(name=name, **{**content, "margins": margins, **rates})
    except (TypeError, KeyError) as error:
        raise ValueError(f"{path}: {error}") from None
    for margin in margins:
        if margin.side not in get_args(Side):
            raise ValueError(f"{path}: side is one of {', '.join(get_args(Side))}, got {margin.side!r}")
    return check
