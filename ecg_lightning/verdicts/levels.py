"""How often a verdict is false where its truth lies at the margin, as ``benchmarks/verdict_levels.py`` measured it.

Every size and the power stand in ``docs/verdicts.md``; a test holds these numbers to that page.
"""

from typing import Final, NamedTuple


class FalsePasses(NamedTuple):
    """The highest rate of false passes of any size, 20 to 250 patients and 1 to 10 networks, before Holm's adjustment.

    Attributes:
        symmetric: Of patients with normal values.
        long_tail: Of patients with exponential values, towards the worse side.
    """

    symmetric: float
    long_tail: float


FALSE_PASSES: Final = {
    "localization": FalsePasses(0.027, 0.042),
    "perturbation": FalsePasses(0.028, 0.030),
    "faithfulness": FalsePasses(0.034, 0.035),
    "randomization": FalsePasses(0.032, 0.036),
    "self_consistency": FalsePasses(0.029, 0.034),
}
"""Check -> its rates."""

SOME_FALSE_PASS: Final = 0.035
"""The highest share of studies in which any of 36 tests passes falsely, 24 to 100 patients and 3 to 10 networks."""

SOME_FALSE_PASS_OF_MANY: Final = 0.074
"""The same with 250 patients and 3 networks: seeds are too few for so many patients."""
