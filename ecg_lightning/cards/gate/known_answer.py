"""How well a setting's outputs agree with the labels that the user has, beside those of the card's own setting."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from ecg_lightning.ecg import Target
from ecg_lightning.statistics.auroc_area import auroc_effect

LEAST_Z: Final = 3.0
LEAST_GAIN: Final = 0.03
LEAST_T: Final = 4.0
LEAST_PATIENTS: Final = 10
"""Of each class: of fewer the variance of an AUROC is underestimated, and nothing but a warning is said."""

_FALSE_ALARM: Final = 0.01
"""Of all outputs together that are compared with the card's: networks have up to hundreds."""

_MOST: Final = 0.5
_NEARLY_ALL: Final = 0.95


@dataclass(frozen=True)
class Labelled:
    """The labelled ECGs are those that the answer is known of.

    Attributes:
        outputs: Target -> its place among the network's outputs.
        labels: Target -> (ecg,) 1, 0 or NaN.
        patient_ids: (ecg,).
        target: The run's target.
    """

    outputs: Mapping[Target, int]
    labels: Mapping[Target, NDArray[np.float64]]
    patient_ids: NDArray[Any]
    target: Target

    def known(self) -> list[Target]:
        """Return the card's targets that the ECGs have both labels of."""
        return [
            name for name in self.outputs if name in self.labels and {0.0, 1.0} <= set(np.unique(self.labels[name]))
        ]

    def is_enough(self, target: Target) -> bool:
        """Tell whether as many patients have a diagnosis, and lack it, as an AUROC needs."""
        label = self.labels[target]
        return all(len(np.unique(self.patient_ids[label == value])) >= LEAST_PATIENTS for value in (0, 1))

    def positives(self, target: Target) -> int:
        """Count the ECGs that have a diagnosis."""
        return int((self.labels[target] == 1).sum()) if target in self.labels else 0


def auroc(logits: NDArray[np.float64], labelled: Labelled, target: Target) -> float:
    """Return the AUROC of a target's output; NaN where it is not known.

    Args:
        logits: (ecg, output).
        labelled: The labels.
        target: One of the card's.
    """
    if target not in labelled.known():
        return math.nan
    chosen = logits[None, :, [labelled.outputs[target]]]
    return float(auroc_effect(chosen, [1.0], labelled.labels[target], labelled.patient_ids).estimate)


def log_losses(logits: NDArray[np.float64], labelled: Labelled) -> NDArray[np.float64]:
    """Return each ECG's log-loss, the mean over the outputs that have a label.

    Args:
        logits: (ecg, output).
        labelled: The labels.

    Returns:
        (ecg,) nat; NaN where no label is known.
    """
    known = labelled.known()
    if not known:
        return np.full(len(logits), np.nan)
    chosen = logits[:, [labelled.outputs[name] for name in known]]
    label = np.stack([labelled.labels[name] for name in known], axis=1)
    losses = np.logaddexp(0, chosen) - label * chosen
    there = np.isfinite(losses)
    return np.where(there.any(1), np.where(there, losses, 0).sum(1) / np.maximum(there.sum(1), 1), np.nan)


def better_auroc(
    ours: NDArray[np.float64], other: NDArray[np.float64], label: NDArray[np.float64], patients: NDArray[Any], z: float
) -> tuple[float, float] | None:
    """Return both AUROCs where the other logits rank clearly better; else None.

    Args:
        ours: (ecg,) logits of the card.
        other: (ecg,) logits of what is compared with it.
        label: (ecg,) 1, 0 or NaN.
        patients: (ecg,).
        z: Least standard errors of the difference.
    """
    pair = np.stack([other, ours], axis=1)[None]
    difference = auroc_effect(pair, [1.0, -1.0], label, patients)
    gained, error = float(difference.estimate), math.sqrt(float(difference.variance))
    if not (gained > LEAST_GAIN and gained > z * error):
        return None
    own, better = (float(auroc_effect(pair, weights, label, patients).estimate) for weights in ([0, 1.0], [1.0, 0]))
    return own, better


def better_log_loss(ours: NDArray[np.float64], other: NDArray[np.float64], patients: NDArray[Any]) -> float:
    """Return t of how much lower the other setting's log-losses are, over patients; NaN where it is not known."""
    gained = ours - other
    there = np.isfinite(gained)
    _, codes = np.unique(patients[there], return_inverse=True)
    if not len(codes) or codes.max() < 1:
        return math.nan
    of_patients = np.bincount(codes, gained[there]) / np.bincount(codes)
    error = of_patients.std(ddof=1) / math.sqrt(len(of_patients))
    return float(of_patients.mean() / error) if error > 0 else math.nan


def least_z(compared: int) -> float:
    """Return the standard errors that a difference needs where so many outputs are compared."""
    return max(LEAST_Z, float(stats.norm.isf(_FALSE_ALARM / max(1, compared))))


def is_general(labels: Mapping[Target, NDArray[np.float64]]) -> bool:
    """Tell a general population from ECGs that were chosen for a diagnosis.

    Its most frequent label (sinus rhythm, or a normal ECG) is that of most ECGs and not of nearly all.

    Args:
        labels: Diagnosis -> (ecg,) 1, 0 or NaN; of every diagnosis that the data know.
    """
    known = [values for values in labels.values() if np.isfinite(values).mean() >= _MOST]
    most = max((float(np.nanmean(values)) for values in known), default=0.0)
    return _MOST < most <= _NEARLY_ALL
