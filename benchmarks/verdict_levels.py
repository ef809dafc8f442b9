"""How often verdicts are wrong, and what it takes to decide: every check on simulated studies whose truth is known.

    python benchmarks/verdict_levels.py                 # Markdown tables; 4,000 studies of every size
    python benchmarks/verdict_levels.py --studies 200   # a look

The effects are those of the checks' own code (for the scores of single maps held against it at the first studies of
every size), and their tests and states those of the verdicts. Values are simulated as they were seen in trained
networks (an AUROC against the evidence has an SD of .13 over patients, .025 over seeds, and .08 of the rest); the
seeds' part is 0 where there is one network, because its verdict is about that network alone.
Margins are put at the truth, so that a pass and a failure are both false; power is that of a pass where the
truth lies so far beyond its margin. *Long tail*: the patients' part is exponential, towards the side that is worse for
each error. Family-wise: 36 tests (12 methods x 3 diagnoses), half of them null and the others beyond the margin, the
patients' part of skewness -1.
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations, product
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ecg_lightning.experiments.perturbation.checks import abpc_weights
from ecg_lightning.experiments.self_consistency.seed_pairs import corrected_effect
from ecg_lightning.runs.target_runs import TargetRuns
from ecg_lightning.statistics.auroc_area import auroc_effect
from ecg_lightning.statistics.draws import effect_over_draws
from ecg_lightning.statistics.effect import Effect, mean_effect
from ecg_lightning.statistics.multiplicity import holm
from ecg_lightning.verdicts.checks import Margin
from ecg_lightning.verdicts.comparison import Comparison
from ecg_lightning.verdicts.decide import decide
from ecg_lightning.verdicts.paired_scores import PairedScores

PATIENTS: Final = (10, 20, 24, 50, 250)
SEEDS: Final = (1, 3, 10)
BEYOND: Final = (0.05, 0.10, 0.15)
DRAWS: Final = 10
ALPHA: Final = 0.025
BARS: Final = {"normal": 0.035, "long tail": 0.055}
"""Of false passes and of false failures, from 24 patients with the diagnosis; .05 of families of 36 tests."""

FAMILIES: Final = (*product((24, 50, 100), (3, 5, 10)), (250, 3))
FAMILY: Final = 36
_AT_ONCE: Final = 4_000_000
_DECIDED: Final = 10
"""Studies of every size that also go through ``decide``, which must agree."""

Array = NDArray[np.float64]
Tail = str  # normal, left, right


@dataclass(frozen=True)
class Size:
    """Of a study: patients with the diagnosis, as many without it where a check needs them, and seeds."""

    patients: int
    seeds: int


def draw(generator: np.random.Generator, tail: Tail, sd: float, shape: tuple[int, ...]) -> Array:
    """Patients' part, mean 0: normal, or exponential with its long tail to one side."""
    if tail == "normal":
        return generator.normal(scale=sd, size=shape)
    sign = 1 if tail == "right" else -1
    return sd * sign * (generator.exponential(size=shape) - 1)


def over_patients(
    generator: np.random.Generator, size: Size, studies: int, tail: Tail, sds: tuple[float, float, float]
) -> Effect:
    """Differences of scores (localization, faithfulness): patients, seeds, and the rest."""
    of_patients, of_seeds, rest = sds
    values = draw(generator, tail, of_patients, (size.patients, 1, studies))
    if size.seeds > 1:
        values = values + generator.normal(scale=of_seeds, size=(1, size.seeds, studies))
    values = values + generator.normal(scale=rest, size=(size.patients, size.seeds, studies))
    effects = mean_effect(values)
    for study in range(min(2, studies)):
        _as_the_check_has_it(values[:, :, study], effects.at(study))
    return effects


def _as_the_check_has_it(values: Array, effect: Effect) -> None:
    """The effect of (patient, seed) values is that of scores which exceed a control's by them."""
    examples = pd.DataFrame({"label": 1.0, "patient_id": np.arange(len(values))})
    runs = TargetRuns("simulated", {}, examples, np.empty((0, len(values)), dtype=np.int64))
    scores = np.stack([values.T, np.zeros_like(values.T)], axis=-1)  # (seed, ecg, name)
    paired = PairedScores(runs, ("saliency", "random"), scores, {}, np.ones(len(values), dtype=np.bool_))
    found = paired.comparisons("localization")[0].effect
    np.testing.assert_allclose(found.p_above(0.0), effect.p_above(0.0))


def localization(generator: np.random.Generator, size: Size, studies: int, tail: Tail) -> Effect:
    return over_patients(generator, size, studies, tail, (0.13, 0.025, 0.08))


def faithfulness(generator: np.random.Generator, size: Size, studies: int, tail: Tail) -> Effect:
    return over_patients(generator, size, studies, tail, (0.10, 0.025, 0.10))


def perturbation(generator: np.random.Generator, size: Size, studies: int, tail: Tail) -> Effect:
    """Two maps' areas between curves of AUROC; the logits of ECGs with the diagnosis fall as their evidence goes."""
    label = np.repeat([1.0, 0.0], size.patients)
    shape = (studies, size.seeds, len(label))
    logit = (2.5 * label + generator.normal(size=(studies, 1, len(label))))[..., None]
    terms = []
    for kind in (tail, "normal"):  # the own map, and a control
        lost = draw(generator, kind, 0.7, (studies, 1, len(label))) + generator.normal(scale=0.3, size=shape)
        lost += generator.normal(scale=0.1 * (size.seeds > 1), size=(studies, size.seeds, 1))
        most, least = (part * label for part in (0.9 + lost, np.full(shape, 0.3)))  # relevant first
        terms += [logit - relevant[..., None] * [1.0, 2.0] for relevant in (most, least)]  # (study, seed, ecg, step)
    weights, ids = abpc_weights(3), np.arange(len(label))
    both = np.concatenate([weights, -weights])
    return stacked([auroc_effect(study, both, label, ids) for study in np.concatenate(terms, axis=-1)])


def randomization(generator: np.random.Generator, size: Size, studies: int, tail: Tail) -> Effect:
    """Correlations with maps of ten random networks to each trained one."""
    values = draw(generator, tail, 0.10, (1, size.patients, 1, studies))  # (network, patient, draw, study)
    values = values + generator.normal(scale=0.08, size=(size.seeds, 1, DRAWS, studies))
    values = values + generator.normal(scale=0.03 * (size.seeds > 1), size=(size.seeds, 1, 1, studies))
    values = values + generator.normal(scale=0.10, size=(size.seeds, size.patients, DRAWS, studies))
    return effect_over_draws(values, np.arange(size.patients))


def self_consistency(generator: np.random.Generator, size: Size, studies: int, tail: Tail) -> Effect:
    """Correlations of two seeds' maps above their floor, divided by what Monte-Carlo noise leaves of them."""
    seeds, pairs = range(size.seeds), list(combinations(range(size.seeds), 2))
    seed = generator.normal(scale=0.05, size=(size.seeds, studies))
    values = draw(generator, tail, 0.13, (size.patients, 1, studies)) + np.stack([seed[a] + seed[b] for a, b in pairs])
    values = values + generator.normal(scale=0.02, size=(1, len(pairs), studies))
    values = values + generator.normal(scale=0.08, size=(size.patients, len(pairs), studies))
    noise = generator.uniform(0.7, 1.0, size=(size.patients, len(pairs), studies))
    return corrected_effect(values * noise, noise, np.arange(size.patients), seeds)


CHECKS: Final[dict[str, Callable[[np.random.Generator, Size, int, Tail], Effect]]] = {
    "localization": localization,
    "perturbation": perturbation,
    "faithfulness": faithfulness,
    "randomization": randomization,
    "self_consistency": self_consistency,
}


def stacked(effects: list[Effect]) -> Effect:
    """(study,) of scalars or of chunks (study,)."""
    names = ("estimate", "variance", "df", "skewness", "n_patients", "n_left_out")
    parts = {name: np.concatenate([np.atleast_1d(getattr(one, name)) for one in effects]) for name in names}
    return Effect(**parts, n_seeds=effects[0].n_seeds)


def simulated(check: str, size: Size, studies: int, tail: Tail) -> Effect:
    """Effects (study,), a chunk of studies at a time."""
    generator = np.random.default_rng([*map(ord, check + tail), size.patients, size.seeds])
    cells = size.patients * size.seeds * {"randomization": DRAWS, "self_consistency": size.seeds}.get(check, 1)
    step = max(1, min(studies, _AT_ONCE // cells))
    chunks = [min(step, studies - start) for start in range(0, studies, step)]
    return stacked([CHECKS[check](generator, size, chunk, tail) for chunk in chunks])


def rates(check: str, size: Size, studies: int) -> tuple[dict[str, float], Array]:
    """False passes and failures by name; and power (beyond,)."""
    found: dict[str, float] = {}
    studies = studies if size.patients >= 20 else _DECIDED  # of fewer nothing is told
    effects = {tail: simulated(check, size, studies, tail) for tail in ("normal", "left", "right")}
    for name, tails in (("normal", ("normal",)), ("long tail", ("left", "right"))):
        passed, failed = [], []
        for tail in tails:
            truth = float(np.mean(effects[tail].estimate))  # all estimates are unbiased
            _agrees(check, effects[tail], truth, size)
            passed.append(_rate(effects[tail].p_above(truth), size))
            failed.append(_rate(effects[tail].p_below(truth), size))
        found |= {f"pass, {name}": max(passed), f"fail, {name}": max(failed)}
    normal = effects["normal"]
    power = [_rate(normal.p_above(float(np.mean(normal.estimate)) - beyond), size) for beyond in BEYOND]
    return found, np.array(power)


def _rate(p: Array, size: Size) -> float:
    return float((p <= ALPHA).mean()) if size.patients >= 20 else 0.0  # which `_agrees` holds


def _agrees(check: str, effects: Effect, truth: float, size: Size) -> None:
    """The same p-values stand in the verdicts table; under 20 patients there are none."""
    margin = Margin(check, "simulated", "score", "1", "above", truth, truth)
    comparisons = [
        Comparison("x", f"study {k}", False, "truth", margin, effects.at(k), np.nan, size.patients, size.patients)
        for k in range(min(_DECIDED, len(effects.estimate)))
    ]
    table = decide(comparisons)
    if size.patients < 20:
        if set(table["state"]) != {"cannot_tell"} or table[["p_pass", "p_fail"]].notna().any(axis=None):
            raise RuntimeError(f"{check}: {size} was decided")
        return
    np.testing.assert_allclose(table["p_pass"], effects.p_above(truth)[: len(table)])
    np.testing.assert_allclose(table["p_fail"], effects.p_below(truth)[: len(table)])


def family_wise(size: Size, studies: int) -> tuple[float, float, Array]:
    """Share of studies with some false pass, and with some false failure; power of a test, (beyond .10, .15)."""
    generator = np.random.default_rng([size.patients, size.seeds])
    step = max(1, _AT_ONCE // (size.patients * size.seeds * FAMILY))
    null = np.arange(FAMILY) % 2 == 0
    found = []
    for start in range(0, studies, step):
        shape = (min(step, studies - start), FAMILY)
        gamma = generator.gamma(4.0, size=(size.patients, 1, *shape))  # skewness 2 / sqrt(4), mean 4, SD 2
        values = -0.13 * (gamma - 4) / 2 + generator.normal(scale=0.025, size=(1, size.seeds, *shape))
        effects = mean_effect(values + generator.normal(scale=0.08, size=(size.patients, size.seeds, *shape)))
        for beyond in BEYOND[1:]:
            true = np.where(null, 0.0, beyond)
            passed, failed = (
                np.array([holm(study) <= ALPHA for study in p]) for p in (effects.p_above(-true), effects.p_below(true))
            )
            errors = [passed[:, null].any(axis=1), failed[:, null].any(axis=1), passed[:, ~null].mean(axis=1)]
            found.append(np.array(errors, dtype=np.float64))
    low, high = (np.concatenate(found[k::2], axis=1).mean(axis=1) for k in range(2))
    return max(low[0], high[0]), max(low[1], high[1]), np.array([low[2], high[2]])


def level_table(checks: list[str], studies: int) -> Iterator[tuple[str, list[str]]]:
    """Lines of the table, with what in each is above its bar."""
    power_at = " | ".join(f"power at {beyond:.2f}" for beyond in BEYOND)
    yield f"| check | patients with the diagnosis | networks | false pass / fail | with a long tail | {power_at} |", []
    yield "|---|---|---|---|---|" + "---|" * len(BEYOND), []
    for check in checks:
        for size in (Size(n, seeds) for n in PATIENTS for seeds in SEEDS):
            if check == "self_consistency" and size.seeds < 3:
                continue
            found, power = rates(check, size, studies)
            if _above(found, size):  # by chance? ten times as many studies tell
                found, power = rates(check, size, 10 * studies)
            cells = [f"{found[f'pass, {name}']:.3f} / {found[f'fail, {name}']:.3f}" for name in BARS]
            powers = [f"{one:.2f}" for one in power]
            if size.patients < 20:
                cells, powers = ["can't tell"] * 2, ["can't tell"] * len(BEYOND)
            over = [f"{check}, {size}: {name} {rate:.3f}" for name, rate in _above(found, size).items()]
            if (np.diff(power) < 0).any():
                over.append(f"{check}, {size}: power falls, {powers}")
            yield f"| {check} | {size.patients} | {size.seeds} | {' | '.join([*cells, *powers])} |", over


def _above(found: dict[str, float], size: Size) -> dict[str, float]:
    """Rates that are above their bar."""
    return {name: rate for name, rate in found.items() if size.patients >= 24 and rate > BARS[name.split(", ")[1]]}


def family_table(studies: int) -> Iterator[tuple[str, list[str]]]:
    """The same for families of 36 tests."""
    yield "| patients with the diagnosis | networks | some false pass / fail | power at .10 | power at .15 |", []
    yield "|---|---|---|---|---|", []
    for n, seeds in FAMILIES:
        *errors, power = family_wise(Size(n, seeds), studies)
        exceeds = n <= 100 and max(errors) > 0.05  # of more patients and few networks the figure is said
        over = [f"family of {n} patients, {seeds} networks: {max(errors):.3f}"] if exceeds else []
        yield f"| {n} | {seeds} | {errors[0]:.3f} / {errors[1]:.3f} | {power[0]:.2f} | {power[1]:.2f} |", over


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=4000)
    parser.add_argument("--checks", nargs="+", choices=list(CHECKS), default=list(CHECKS))
    arguments = parser.parse_args()
    above_bars: list[str] = []
    for table in (level_table(arguments.checks, arguments.studies), family_table(arguments.studies)):
        for line, over in table:
            print(line, flush=True)
            above_bars += over
        print()
    print("Above its bar:", "; ".join(above_bars) or "nothing")


if __name__ == "__main__":
    main()
