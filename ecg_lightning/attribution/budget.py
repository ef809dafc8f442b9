"""The budget grid of a method says what ``tune`` tries: an argument, its values, and how maps of each are judged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from ecg_lightning.storage.hashing import JSON

Judged = Literal["draws", "finer", "backgrounds"]
"""``draws``: by the reliability that the method gives its maps; ``finer``: by their correlation with a map of four
times the largest value; ``backgrounds``: with a map over further backgrounds."""


@dataclass(frozen=True)
class BudgetGrid:
    """A budget grid is what ``tune`` tries of one method.

    Attributes:
        argument: Name of the hyperparameter.
        values: What is tried, growing.
        judged: How the distance of a map to its limit is measured.
        fixed: Whether the argument is part of what the method means, so that it is measured but not chosen.
        also: Further hyperparameters that a chosen value needs.
    """

    argument: str
    values: tuple[int, ...]
    judged: Judged = "draws"
    fixed: bool = False
    also: Mapping[str, JSON] = field(default_factory=dict)

    def changes(self, value: int) -> dict[str, JSON]:
        """Return the hyperparameters that set a value."""
        return {} if self.fixed else {self.argument: value, **self.also}


@dataclass(frozen=True)
class BudgetLimits:
    """The budget limits say how far a grid may go.

    Attributes:
        max_samples: Samples at most; None: each method's own ``max_samples``.
        max_steps: Nodes of integrated gradients at most.
        max_forwards: Forwards of Shapley sampling at most; None: the method's own bound.
        backgrounds: Training ECGs at hand as backgrounds, the stated ones among them.
    """

    max_samples: int | None = None
    max_steps: int = 96
    max_forwards: int | None = None
    backgrounds: int = 0


AS_CONFIGURED: Final = BudgetGrid("as configured", (1,), fixed=True)
"""Grid of a stochastic method that states no grid: what it reaches as it is."""

_OCTAVE: Final = (1.0, 1.5)
"""Steps between powers of two."""


def up_to(values: Sequence[int], bound: int) -> tuple[int, ...]:
    """Return those values below the bound, and the bound."""
    return (*(value for value in values if value < bound), bound)


def sample_counts(unit: int, bound: int, groups: int) -> tuple[int, ...]:
    """List multiples of a unit up to a bound: 2, 4, 8, 12, 16, 24, 32, 48 ... for 4 groups, and the bound's own.

    Beyond the number of groups they are multiples of it, so that each gets as many; half as many fill half of them.

    Args:
        unit: Samples that belong together.
        bound: Largest number of samples.
        groups: Groups of samples whose agreement is measured.
    """
    larger = [int(groups * 2**octave * step) for octave in range(1, 20) for step in _OCTAVE]
    last = bound // (groups * unit) * groups * unit or bound
    return up_to([unit * times for times in (groups // 2, groups, *larger)], last)
