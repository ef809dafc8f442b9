"""These levels say how often a verdict is false at the margin, as ``benchmarks/verdict_levels.py`` measured it.

Every size and the power stand in ``docs/verdicts.md``; a test holds these numbers to that page.
"""

from typing import Final

SOME_FALSE_PASS: Final = 0.035
"""The highest share of studies in which any of 36 tests passes falsely, 24 to 100 patients and 3 to 10 networks."""

SOME_FALSE_PASS_OF_MANY: Final = 0.074
"""The same with 250 patients and 3 networks: seeds are too few for so many patients."""
