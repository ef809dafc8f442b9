"""What a card promises stands beside what was measured here; nothing fails by it."""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ecg_lightning.cards.card import Promise
from ecg_lightning.cards.gate.finding import Finding
from ecg_lightning.cards.gate.known_answer import Labelled
from ecg_lightning.statistics.auroc_area import auroc_effect

_OF_95_PERCENT: Final = 1.96


def promise_findings(logits: NDArray[np.float64], labelled: Labelled, promises: Sequence[Promise]) -> list[Finding]:
    """Compare each promise with the AUROC of these ECGs.

    Args:
        logits: (ecg, output) with the card's setting.
        labelled: The labels.
        promises: What the card's owner says.
    """
    return [_finding(logits, labelled, promise) for promise in promises]


def _finding(logits: NDArray[np.float64], labelled: Labelled, promise: Promise) -> Finding:
    name = f"promise for {promise.target}"
    told = f"the card promises {promise.metric} {promise.value:g}" + f" on {promise.data}" * bool(promise.data)
    is_auroc = promise.metric.lower() == "auroc"
    if not is_auroc or promise.target not in labelled.known():
        why = "it has no output, or not both labels" if is_auroc else "only auroc is measured"
        return Finding(name, "promise", "not tested", f"{told}; it was not measured here: {why}")
    chosen, label = logits[None, :, [labelled.outputs[promise.target]]], labelled.labels[promise.target]
    effect = auroc_effect(chosen, [1.0], label, labelled.patient_ids)
    found, half = float(effect.estimate), _OF_95_PERCENT * math.sqrt(float(effect.variance))
    words = f"{told}; here it is {found:.3f} (95% interval +-{half:.3f}, {labelled.positives(promise.target)} positive)"
    missed = found + half < promise.value
    return Finding(name, "promise", "warning" if missed else "agrees", words, auroc=found)
