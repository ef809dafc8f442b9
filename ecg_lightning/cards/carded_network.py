"""A network that was trained elsewhere, from the recording in mV to the logit of one target."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ecg_lightning.cards.card import PER_MILLIVOLT, Gives, NetworkCard, Reads, load_card
from ecg_lightning.cards.fields import CardError
from ecg_lightning.cards.weights import load_weights, read_weights
from ecg_lightning.ecg import SignalFormat, Target
from ecg_lightning.models.class_names import named_object
from ecg_lightning.models.own_statistics import Over, OwnStatistics
from ecg_lightning.models.trained_elsewhere import TrainedElsewhere


class CardedNetwork(TrainedElsewhere):
    """Everything between the recording and the output is inside, and can be differentiated: maps are of the mV.

    Args:
        card: Path of the card.
        target: Which of its outputs is the logit.

    Raises:
        CardError: The card, its class or its weights can't be used; the message says what to do.
    """

    def __init__(self, card: str, target: Target) -> None:
        super().__init__()
        told = load_card(card)
        self.config = {"card": card, "target": target}
        self.reads, self.gives, self.promises = told.reads, told.gives, told.promises
        try:
            self.index = told.gives.index(target)
        except ValueError as error:
            raise CardError(f"{card}: gives.{error}") from error
        self.network = build(told)
        self.standardise = standardising(told.reads)
        known = told.gives.thresholds.get(target)
        self.decision_threshold = 0.5 if known is None else known
        self.threshold_origin = "its card" if known is not None else ".5, since its card names none"
        if layer := told.gradcam_layer or getattr(self.network, "gradcam_layer", ""):
            self.gradcam_layer = f"network.{layer}"

    def extra_repr(self) -> str:
        """Say what is no weight and makes another network all the same: stores are told apart by it."""
        return f"{self.reads}, output {self.index} of {self.gives.part!r}, {self.gives.kind}"

    @property
    def signal_format(self) -> SignalFormat:
        """Leads, rate and samples of the ECGs that it is given."""
        return self.reads.signal_format

    def check(self, ecg: Tensor) -> None:
        """Refuse a network whose outputs are not what its card says.

        Args:
            ecg: (batch, lead, sample) mV.

        Raises:
            CardError: An output that is not finite, or a probability outside of [0, 1].
        """
        with torch.no_grad():
            values = picked(self.network(self.arranged(ecg)), self.gives)
            logit = self(ecg)
        least, most = float(values.min()), float(values.max())
        if self.gives.kind == "probability" and not (least >= 0 and most <= 1):
            raise CardError(f"gives.kind: probabilities lie in [0, 1], and the network gave {least:.3g} to {most:.3g}")
        if not logit.isfinite().all():
            raise CardError(f"{int((~logit.isfinite()).sum())} of {len(logit)} ECGs have a logit that is not finite")

    def forward(self, ecg: Tensor) -> Tensor:
        """Give the logit of the target.

        Args:
            ecg: (batch, lead, sample) mV, in the card's leads and rate.

        Returns:
            (batch,) logit.
        """
        return self.logit(self.network(self.arranged(ecg)))

    def arranged(self, ecg: Tensor) -> Tensor:
        """Turn mV into what the network reads: unit, gain, standardisation, layout."""
        return arranged(self.reads, self.standardise, ecg)

    def logit(self, output: Any) -> Tensor:
        """Pick the target's output, and make a logit of it.

        Raises:
            CardError: The network returns something else than the card says.
        """
        chosen = self.values(output)[:, self.index]
        return torch.logit(chosen) if self.gives.kind == "probability" else chosen

    def values(self, output: Any) -> Tensor:
        """Take the (batch, output) values out of what the network returns.

        Raises:
            CardError: The network returns something else than the card says.
        """
        values = picked(output, self.gives)
        if values.ndim == 1:
            values = values[:, None]
        if values.ndim != 2 or self.index >= values.shape[1]:
            raise CardError(
                f"gives: expected output {self.index} of (batch, output), and the network gave {tuple(values.shape)}"
            )
        return values


def arranged(reads: Reads, standardise: nn.Module, ecg: Tensor) -> Tensor:
    """Turn ECGs into what a network reads: unit, gain, standardisation, layout.

    Args:
        reads: What the card says.
        standardise: What :func:`standardising` returns.
        ecg: (batch, lead, sample) mV.
    """
    values: Tensor = standardise(ecg * (PER_MILLIVOLT[reads.unit] * reads.gain))
    if reads.layout == "time_lead":
        return values.transpose(1, 2)
    return values.flatten(1) if reads.layout == "flat" else values


def build(card: NetworkCard) -> nn.Module:
    """Make the network of a card, with its weights.

    Raises:
        CardError: The class can't be imported or made, or the weights are of another one.
    """
    kind = named_object(card.class_path)
    if not (isinstance(kind, type) and issubclass(kind, nn.Module)):
        raise CardError(
            f"class_path: {card.class_path} is no importable class of a torch.nn.Module; is its folder on PYTHONPATH?"
        )
    try:
        network: nn.Module = kind(**card.init_args)
    except (TypeError, ValueError) as error:
        raise CardError(f"init_args: {card.class_path} can't be made: {error}") from error
    if card.weights is not None:
        load_weights(network, read_weights(card.weights, card.folder), card.weights.path)
    return network.eval()


def picked(output: Any, gives: Gives) -> Tensor:
    """Take the outputs out of what a network returns.

    Raises:
        CardError: It is no tensor, and the card does not say which part of it is; or has no such part.
    """
    if gives.part is not None:
        there = isinstance(output, Mapping) and gives.part in output
        there |= isinstance(output, tuple | list) and isinstance(gives.part, int) and gives.part < len(output)
        if not there:
            raise CardError(f"gives.part: the network gives {_parts(output)}, and no {gives.part!r}")
        output = output[gives.part]
    if not isinstance(output, Tensor):
        raise CardError(f"gives.part: the network gives {_parts(output)}: say which part holds the outputs")
    return output


def _parts(output: Any) -> str:
    if isinstance(output, Mapping):
        return f"a dict of {', '.join(map(str, output))}"
    return f"a {type(output).__name__}" + (f" of {len(output)}" if isinstance(output, tuple | list) else "")


class Standardised(nn.Module):
    """Standardises by a mean and a standard deviation that the card gives, of each lead or of all.

    Args:
        reads: What the card says.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, reads: Reads) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(reads.mean)[:, None], persistent=False)
        self.register_buffer("deviation", torch.tensor(reads.deviation)[:, None], persistent=False)

    def forward(self, values: Tensor) -> Tensor:
        """Standardise (batch, lead, sample)."""
        return (values - self.mean) / self.deviation


def standardising(reads: Reads) -> nn.Module:
    """Return the module that standardises ECGs as the card says."""
    own: dict[str, Over] = {"per_lead": "lead", "per_recording": "recording"}
    if reads.standardise in own:
        return OwnStatistics(own[reads.standardise])
    return Standardised(reads) if reads.standardise == "given" else nn.Identity()
