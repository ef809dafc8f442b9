"""The gate of a network with a card, on ECGs of the data that it is about to be tested on."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import torch
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn
from numpy.typing import NDArray
from torch import Tensor, nn

from ecg_lightning.cards.carded_network import CardedNetwork
from ecg_lightning.cards.gate.finding import Finding, GateError, GateMode, refusal
from ecg_lightning.cards.gate.known_answer import Labelled
from ecg_lightning.cards.gate.look import Looked, look
from ecg_lightning.data.datamodule import EcgDataModule
from ecg_lightning.data.label_columns import is_binary, labels_of, targets_in
from ecg_lightning.data.splits import Split
from ecg_lightning.ecg import Target
from ecg_lightning.models.precision import full_float32

LOOKED_AT: Final = 100
"""ECGs are enough: more make it slower and hardly better."""

_ROUNDED: Final = 1e-12


def gate_findings(network: CardedNetwork, datamodule: EcgDataModule, split: Split) -> list[Finding]:
    """Measure whether a network sees what its card says that it was trained on.

    Args:
        network: On its device, in evaluation mode.
        datamodule: Set up for the split.
        split: ECGs that are looked at, ``LOOKED_AT`` of them at most, evenly over its rows.
    """
    table = datamodule.examples(split)
    rows = np.unique(np.linspace(0, len(table) - 1, min(len(table), LOOKED_AT)).astype(np.intp))
    weight = next(network.parameters())
    ecg = datamodule.dataset(split).__getitems__(rows.tolist())["ecg"].to(weight)
    diagnoses = _diagnoses(datamodule, table["cache_row"].to_numpy(np.intp)[rows])
    gives, target = network.gives, str(network.config["target"])
    outputs = {name: gives.index(name) for name in gives.targets}
    labelled = Labelled(outputs, diagnoses, table["patient_id"].to_numpy()[rows], target)
    looked = Looked(
        network.network,
        lambda output: _logits(network, output),
        network.reads,
        network.decision_threshold,
        network.promises,
    )
    with full_float32(), torch.random.fork_rng(devices=[]):
        return look(looked, ecg, labelled, diagnoses)


def keep_gate(network: nn.Module, datamodule: EcgDataModule, mode: GateMode) -> None:
    """Look at validation ECGs before methods are tuned on them; networks without a card pass.

    Args:
        network: On its device, in evaluation mode.
        datamodule: Set up for validation.
        mode: What is done where another setting is clearly better.

    Raises:
        GateError: See :func:`tell`.
    """
    if mode != "off" and isinstance(network, CardedNetwork):
        tell(gate_findings(network, datamodule, "validation"), mode)


def tell(findings: list[Finding], mode: GateMode) -> None:
    """Stop, or warn, where another setting is clearly better than the card's; say what else was found.

    Args:
        findings: What the gate found.
        mode: ``error`` or ``warn``.

    Raises:
        GateError: Another setting is clearly better, and ``mode`` is ``error``.
    """
    for one in findings:
        if one.verdict == "warning":
            rank_zero_warn(f"gate: {one.words}")
        elif one.verdict in ("undetermined", "not tested", "card"):
            rank_zero_info(f"gate: {one.words}")
    if told := refusal(findings):
        words = f"the network does not see what its card says: {told}"
        if mode == "error":
            raise GateError(f"{words}. Mend the card, or go on with --gate warn")
        rank_zero_warn(f"gate: {words}")


def _logits(network: CardedNetwork, output: Any) -> Tensor:
    """(batch, output); a probability that was rounded to 0 or 1 stays finite."""
    values = network.values(output).double()
    return torch.logit(values, eps=_ROUNDED) if network.gives.kind == "probability" else values


def _diagnoses(datamodule: EcgDataModule, rows: NDArray[np.intp]) -> Mapping[Target, NDArray[np.float64]]:
    """Label of every diagnosis that the data know, of these rows of the cache."""
    examples = datamodule.cache.examples
    names = [name for name in targets_in(examples) if is_binary(examples, name)]
    return {name: np.asarray(labels_of(examples, name), dtype=np.float64)[rows] for name in names}
