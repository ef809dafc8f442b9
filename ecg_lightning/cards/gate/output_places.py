"""The place of a target among a network's outputs, tested by labels: does another output rank its ECGs better?"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from ecg_lightning.cards.gate.finding import Finding, Verdict
from ecg_lightning.cards.gate.judge import LEAST_ECGS
from ecg_lightning.cards.gate.known_answer import Labelled, better_auroc, least_z

_ENOUGH: Final = 20
"""Positive ECGs from which on a wrong index is found in every draw; of 10 it is in .97, of 5 in .78."""


def output_findings(logits: NDArray[np.float64], labelled: Labelled) -> list[Finding]:
    """Compare the output of every labelled target with the others.

    Args:
        logits: (ecg, output) with the card's setting.
        labelled: The labels.
    """
    known = labelled.known()
    if not known:
        words = "no output has ECGs with and without its diagnosis: which one is which can't be told"
        return [Finding("place of the outputs", "output", "not tested", words)]
    return [_finding(logits, labelled, target) for target in known]


def _finding(logits: NDArray[np.float64], labelled: Labelled, target: str) -> Finding:
    own, label, patients = labelled.outputs[target], labelled.labels[target], labelled.patient_ids
    z = least_z(logits.shape[1] - 1)
    found = {}
    for place in range(logits.shape[1]):
        if place != own and (both := better_auroc(logits[:, own], logits[:, place], label, patients, z)):
            found[place] = both
    name, positives = f"place of {target}", labelled.positives(target)
    few = f"; {positives} ECGs have it, {_ENOUGH} find every wrong place" * (positives < _ENOUGH)
    if not found:
        return Finding(name, "output", "agrees", f"no other output ranks {target} clearly better than {own}{few}")
    best = max(found, key=lambda place: found[place][1])
    words = f"output {best} ranks {target} with AUROC {found[best][1]:.3f}, the card's output {own} with "
    words += f"{found[best][0]:.3f}{few}"
    verdict: Verdict = "wrong" if len(logits) >= LEAST_ECGS and labelled.is_enough(target) else "warning"
    change = f"gives.targets.{target}: {best}"
    return Finding(name, "output", verdict, words, change, auroc=found[best][1])
