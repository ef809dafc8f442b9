"""The gate measures, on some ECGs, whether a network sees what its card says that it was trained on."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ecg_lightning.cards.card import Promise, Reads
from ecg_lightning.cards.gate.alternatives import Setting, settings_of
from ecg_lightning.cards.gate.arriving_statistics import Response, passed, response
from ecg_lightning.cards.gate.finding import NAN, Finding
from ecg_lightning.cards.gate.judge import Judge, Measured
from ecg_lightning.cards.gate.known_answer import Labelled, is_general
from ecg_lightning.cards.gate.lead_identities import data_findings
from ecg_lightning.cards.gate.output_places import output_findings
from ecg_lightning.cards.gate.promises import promise_findings
from ecg_lightning.ecg import Target

_SAME: Final = 1e-4
_SAME_LOGITS: Final = 0.02
"""Of the largest logit: what is added to a deviation of 0 makes a z-score of 1000 times smaller ECGs 1 % smaller."""


@dataclass(frozen=True)
class Looked:
    """What the gate looks at.

    Attributes:
        network: The network itself, in evaluation mode.
        read: What it returns -> (batch, output) logits.
        reads: What the card says that it reads.
        threshold: Probability from which on the target is decided.
        promises: What the card promises.
    """

    network: nn.Module
    read: Callable[[Any], Tensor]
    reads: Reads
    threshold: float = 0.5
    promises: Sequence[Promise] = ()


def look(
    looked: Looked, ecg: Tensor, labelled: Labelled, diagnoses: Mapping[Target, NDArray[np.float64]]
) -> list[Finding]:
    """Compare the card's setting with others, on ECGs that somebody knows the answer of, or nobody does.

    Args:
        looked: The network and what its card says.
        ecg: (ecg, lead, sample) mV, 100 are enough.
        labelled: Labels of the network's outputs.
        diagnoses: Every diagnosis that is known of the ECGs, which tells whether they are of a general population.
    """
    card, *others = settings_of(looked.reads)
    first = response(looked.network, card.arranged, ecg)
    own = measured(looked, card, ecg, first)
    judge = Judge(own, labelled, is_general(diagnoses), len(others))
    findings = [*data_findings(ecg.cpu().numpy(), looked.reads.leads), judge.own_finding()]
    findings += [judge.finding(compare(looked, other, ecg, own, labelled, first)) for other in others]
    return [*findings, *output_findings(own.logits, labelled), *promise_findings(own.logits, labelled, looked.promises)]


def measured(looked: Looked, setting: Setting, ecg: Tensor, of_card: Response) -> Measured:
    """Measure one setting by its divergences and its logits.

    Args:
        looked: The network and what its card says.
        setting: The setting.
        ecg: (ecg, lead, sample) mV.
        of_card: What the card's setting makes arrive, which tells that of other gains, too.
    """
    told = setting.check == "card" or (setting.factor != 1 and of_card.at_zero is not None)
    like = of_card if setting.reads == looked.reads else None  # what differs is the ECG, and 0 mV is 0 mV in any order
    first = of_card if told else response(looked.network, setting.arranged, ecg, like)
    logits, s2 = passed(looked.network, setting.arranged(ecg), looked.read)
    return Measured(setting, first.score(setting.factor if told else 1.0), s2, logits.numpy())


def compare(
    looked: Looked, setting: Setting, ecg: Tensor, own: Measured, labelled: Labelled, of_card: Response
) -> Measured:
    """Measure another setting; where it makes no difference to what the network reads, no pass is made."""
    given, changed = own.setting.arranged(ecg), setting.arranged(ecg)
    if torch.allclose(given, changed, rtol=_SAME, atol=_SAME * float(given.std())):
        return Measured(setting, own.first, own.s2, own.logits, 0.0, same=True)
    found = measured(looked, setting, ecg, of_card)
    scale = max(1.0, float(np.abs(own.logits).max()))
    flipped = _flipped(looked, own.logits, found.logits, labelled)
    same = bool(np.abs(found.logits - own.logits).max() <= _SAME_LOGITS * scale) and not flipped > 0
    return replace(found, flipped=flipped, same=same)


def _flipped(looked: Looked, ours: NDArray[np.float64], theirs: NDArray[np.float64], labelled: Labelled) -> float:
    """Share of the target's decisions that differ; NaN of a measurement, where nothing is decided."""
    if labelled.target not in labelled.labels:
        return NAN
    at, threshold = labelled.outputs[labelled.target], math.log(looked.threshold / (1 - looked.threshold))
    return float(((theirs[:, at] >= threshold) != (ours[:, at] >= threshold)).mean())
