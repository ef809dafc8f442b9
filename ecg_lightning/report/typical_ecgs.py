"""This module chooses test ECGs that stand for a network's right and wrong answers, by a rule and not by eye."""

from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecg_lightning.data.cache import MARKER, BeatCache
from ecg_lightning.data.label_scale import LabelScale
from ecg_lightning.data.targets import known_info
from ecg_lightning.plotting.cached_beats import mask_of
from ecg_lightning.plotting.class_words import class_in_text
from ecg_lightning.report.config_words import at, config_of
from ecg_lightning.runs.run import Run

OUTCOMES: Final = {
    "true positive": (1.0, True),
    "false positive": (0.0, True),
    "false negative": (1.0, False),
}
"""Outcome -> label, and whether the network says yes."""

THIRDS: Final = ("lowest third of the predictions", "middle third", "highest third")
"""What stands in for outcomes where a measurement is predicted."""

RULE: Final = (
    "Of each {group} the ECG with the median {output} (the lower of two) is shown, so that nobody picks favourites."
)

_SAME_BEAT: Final = 2e-3
"""Millivolts: two copies of one beat agree within the cache's steps of 1 microvolt."""


class TypicalEcg(NamedTuple):
    """A typical ECG stands for one outcome of a network.

    Attributes:
        row: Row of the test set.
        ecg_id: Id of the ECG.
        predicted: The network's probability of the diagnosis, or its prediction of the measurement.
        n_like_it: ECGs with this outcome.
    """

    row: int
    ecg_id: str
    predicted: float
    n_like_it: int


def rule(run: Run) -> str:
    """Say how the ECGs were chosen."""
    if known_info(run.target).kind == "regression":
        return RULE.format(group="third", output="prediction")
    return RULE.format(group="outcome", output="logit")


def said_of(run: Run, ecg: TypicalEcg, name: str, outcome: str) -> str:
    """Say what the network says of an ECG, and what is true."""
    info = known_info(run.target)
    if info.kind == "regression":
        label = float(run.examples["label"].iloc[ecg.row])
        measured = f"{label:.3g} {info.unit}".rstrip() if np.isfinite(label) else "unknown"
        predicted = f"{ecg.predicted:.3g} {info.unit}".rstrip()
        return (
            f"ECG {name}: the network predicts {class_in_text(run.target)} of {predicted}; measured: {measured}. It "
            f"has the median prediction of the {ecg.n_like_it} ECGs of its third."
        )
    has = "has" if OUTCOMES[outcome][0] else "does not have"
    return (
        f"ECG {name} {has} {class_in_text(run.target)}; the network gives it a probability of "
        f"{ecg.predicted:.2f} (threshold {run.metrics['threshold']['value']:.2f}). It is the "
        f"{'only ECG' if ecg.n_like_it == 1 else f'median of {ecg.n_like_it} ECGs'} with this outcome"
        + (", and has no evidence to outline." if not OUTCOMES[outcome][0] else ".")
    )


def typical_ecgs(run: Run) -> dict[str, TypicalEcg | None]:
    """Choose the ECG of the median logit of each outcome, or of each third of predictions; None where there is none."""
    logit = np.asarray(run.row_store("logits").array, dtype=np.float64)
    if known_info(run.target).kind == "regression":
        return _of_thirds(run, LabelScale.from_dict(run.metrics["label_scale"]).in_unit(logit))
    label = run.examples["label"].to_numpy(dtype=np.float64)
    probability = 1 / (1 + np.exp(-logit))
    says_yes = probability >= run.metrics["threshold"]["value"]
    chosen: dict[str, TypicalEcg | None] = {}
    for outcome, (truth, answer) in OUTCOMES.items():
        rows = np.flatnonzero((label == truth) & (says_yes == answer) & np.isfinite(logit))
        if not len(rows):
            chosen[outcome] = None
            continue
        row = int(rows[np.argsort(logit[rows], kind="stable")[(len(rows) - 1) // 2]])
        chosen[outcome] = TypicalEcg(row, str(run.examples["ecg_id"].iloc[row]), float(probability[row]), len(rows))
    return chosen


def _of_thirds(run: Run, predicted: NDArray[np.float64]) -> dict[str, TypicalEcg | None]:
    """Choose the ECG of the median prediction of each third."""
    rows = np.flatnonzero(np.isfinite(predicted))
    ranked = rows[np.argsort(predicted[rows], kind="stable")]
    chosen: dict[str, TypicalEcg | None] = {}
    for third, part in zip(THIRDS, np.array_split(ranked, len(THIRDS)), strict=True):
        row = int(part[(len(part) - 1) // 2]) if len(part) else -1
        ecg_id = str(run.examples["ecg_id"].iloc[row])
        chosen[third] = TypicalEcg(row, ecg_id, float(predicted[row]), len(part)) if len(part) else None
    return chosen


def test_beat(run: Run, row: int) -> NDArray[np.float64] | None:
    """Read the beat of a test ECG, (lead, sample) mV; None where the study stores no beats, or those of other ECGs."""
    beats = run.test_beats
    return None if beats is None else np.asarray(beats[row], dtype=np.float64)


def evidence_cache(run: Run) -> BeatCache | None:
    """Open the cache that a run's ECGs came from, if it still lies where the run's settings say.

    A cache is the run's own if it holds its ECGs with the same beats; one of another simulation is not.
    """
    folder = at(config_of(run, "test"), "data", "cache_dir")
    if not folder:
        return None
    for marker in sorted(Path(str(folder)).glob(f"*/{MARKER}")):
        try:
            cache = BeatCache.open(marker.parent)
        except (FileNotFoundError, ValueError) as error:
            print(f"report: {marker.parent} is not read: {error}")
            continue
        if _holds(cache, run):
            return cache
    return None


def _holds(cache: BeatCache, run: Run) -> bool:
    first, beat = str(run.examples["ecg_id"].iloc[0]), test_beat(run, 0)
    rows = np.flatnonzero((cache.examples["ecg_id"] == first).to_numpy())
    return (
        len(rows) == 1
        and beat is not None
        and bool((np.abs(cache.read_beats(rows)[0] - beat) <= _SAME_BEAT).all())
        and set(run.examples["ecg_id"]) <= set(cache.examples["ecg_id"])
    )


def evidence_of(cache: BeatCache | None, run: Run, ecg_id: str) -> NDArray[np.bool_] | None:
    """Mark where the diagnosis of an ECG lies, (lead, sample); None where it is not known."""
    if cache is None:
        return None
    row = int(np.flatnonzero((cache.examples["ecg_id"] == ecg_id).to_numpy())[0])
    return mask_of(cache, row, f"causal/{run.target}")
