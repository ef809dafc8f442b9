"""Verdict tables that no study has made: random effects, decided by the project's own rules. No tests here."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ecg_lightning.plotting.method_style import method_style
from ecg_lightning.statistics.effect import Effect
from ecg_lightning.verdicts.checks import margins
from ecg_lightning.verdicts.comparison import Comparison
from ecg_lightning.verdicts.decide import decide

TARGETS = ("first_degree_av_block", "right_bundle_branch_block", "left_ventricular_hypertrophy")
CONTROLS = ("random", "smoothed_random", "absolute_input", "absolute_slope")
AGAINST = {"uses_the_network": CONTROLS, "is_about_this_patient": ("other_ecg",)}


def random_verdicts(
    seed: int, methods: Sequence[str], *, targets: Sequence[str] = TARGETS, n_seeds: int = 3, missing: float = 0.1
) -> pd.DataFrame:
    """A verdicts table of methods and the four controls.

    Args:
        seed: Of the draws.
        methods: Names.
        targets: Diagnoses.
        n_seeds: Networks.
        missing: Share of comparisons that were not measured.
    """
    draw = np.random.default_rng(seed)
    found = []
    for target in targets:
        patients = int(draw.choice([3, 24, 60]))
        for method in (*methods, *CONTROLS):
            for margin in margins():
                if draw.random() < missing:
                    continue
                for against in AGAINST.get(margin.claim, ("random network",)):
                    if against != method:
                        found.append(  # noqa: PERF401 (a comprehension of four loops reads worse)
                            Comparison(
                                target, method, method_style(method).control, against, margin,
                                _effect(draw, patients, n_seeds), 0.6, patients, 30, patients + 30,
                                undefined="all of its maps are constant" if draw.random() < 0.03 else "",
                            )
                        )  # fmt: skip
    return decide(found)


def _effect(draw: np.random.Generator, patients: int, n_seeds: int) -> Effect:
    estimate, error = draw.normal(0.1, 0.2), draw.choice([0.0, 0.01, 0.05])
    numbers = [np.array(value) for value in (estimate, error**2, patients - 1.0, 0.0)]
    return Effect(*numbers, np.array(patients), np.array(0), n_seeds)
