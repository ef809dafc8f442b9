"""What a network's output is taken for: the logit of a diagnosis, or a measurement in standard deviations.

A network of a regression target gives how far its prediction lies from the mean of the training labels, in their
standard deviations, so that age in years and potassium in mmol/l are learnt alike; scores have the label's unit.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from lightning.pytorch.utilities import rank_zero_warn
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from ecg_lightning.data.label_scale import LabelScale
from ecg_lightning.data.targets import TargetInfo
from ecg_lightning.functional.classification import binary_metrics_with_intervals
from ecg_lightning.functional.regression import regression_metrics_with_intervals
from ecg_lightning.functional.threshold import youden_threshold
from ecg_lightning.models.classifier_scores import decision_scores, has_both_classes, ranking_scores
from ecg_lightning.models.loss import labelled_cross_entropy, labelled_squared_error
from ecg_lightning.models.regression_scores import regression_scores
from ecg_lightning.models.trained_elsewhere import TrainedElsewhere
from ecg_lightning.storage.hashing import JSON


class Resampling(NamedTuple):
    """How intervals come about.

    Attributes:
        patient_ids: (n,) whose ECG it is.
        n_resamples: Bootstrap resamples of the patients.
        confidence: Confidence level.
        seed: Seed of the resamples.
    """

    patient_ids: NDArray[Any]
    n_resamples: int
    confidence: float
    seed: int

    def call(self, scores: Callable[..., dict[str, dict[str, float]]], *arguments: ArrayLike) -> dict[str, Any]:
        """Ask for scores with intervals."""
        patients, n_resamples, confidence, seed = self
        return {**scores(*arguments, patients, n_resamples=n_resamples, confidence=confidence, seed=seed)}


class Outcome(ABC):
    """What is asked of a network's outputs (n,) and their labels (n,), which are NaN where missing.

    Attributes:
        unit: Unit of the output.
    """

    unit: ClassVar[str]

    @abstractmethod
    def loss(self, output: Tensor, label: Tensor) -> Tensor:
        """Average the loss over the labelled ECGs of a batch; 0 where none is."""

    @abstractmethod
    def validated(self, output: Tensor, label: Tensor, threshold: Tensor) -> dict[str, float]:
        """Score the validation ECGs, and set the threshold (a tensor of one number) where decisions need one."""

    @abstractmethod
    def tested(self, output: Tensor, label: Tensor, threshold: float) -> dict[str, float]:
        """Score the test ECGs."""

    @abstractmethod
    def predictions(self, output: Tensor, threshold: float) -> dict[str, Tensor]:
        """Return what `predict` says of each ECG."""

    @abstractmethod
    def metrics(
        self, output: NDArray[np.float64], label: NDArray[np.float64], threshold: float, resampling: Resampling
    ) -> dict[str, Any]:
        """Return every score with its interval over patients, of labelled ECGs, and what the scores depend on."""

    def settings(self) -> dict[str, JSON]:
        """Return what somebody must know who reads outputs; nothing of a logit."""
        return {}


@dataclass(frozen=True)
class Diagnosis(Outcome):
    """The output is the logit of a diagnosis (paper, "Statistical analysis").

    Attributes:
        threshold_origin: Where the threshold comes from, in words.
    """

    unit = "logit"
    threshold_origin: str = "Youden's J on the validation set"

    def loss(self, output: Tensor, label: Tensor) -> Tensor:
        """Average the binary cross-entropy."""
        return labelled_cross_entropy(output, label)

    def validated(self, output: Tensor, label: Tensor, threshold: Tensor) -> dict[str, float]:
        """Give AUROC and AUPRC, and set Youden's threshold of the probability."""
        probability = torch.sigmoid(output)
        if has_both_classes(label):
            threshold.fill_(youden_threshold(probability.numpy(), label.numpy()))
        else:  # a part of the validation set, as with `limit_val_batches`; the whole set was checked at setup
            rank_zero_warn("the validated ECGs have one class only: no AUROC, and the threshold stays as it was")
        return ranking_scores(probability, label)

    def tested(self, output: Tensor, label: Tensor, threshold: float) -> dict[str, float]:
        """Give the paper's scores, those of decisions at the threshold of the checkpoint."""
        probability = torch.sigmoid(output)
        return (
            ranking_scores(probability, label)
            | decision_scores(probability, label, threshold)
            | {"threshold": threshold}
        )

    def predictions(self, output: Tensor, threshold: float) -> dict[str, Tensor]:
        """Give probability and decision."""
        probability = torch.sigmoid(output.cpu().double())  # as in the scores
        return {"logit": output, "probability": probability, "positive": probability >= threshold}

    def metrics(
        self, output: NDArray[np.float64], label: NDArray[np.float64], threshold: float, resampling: Resampling
    ) -> dict[str, Any]:
        """Return the paper's scores, the threshold of decisions, and the number of ECGs with the diagnosis."""
        probability = 1 / (1 + np.exp(-output))
        scores = resampling.call(binary_metrics_with_intervals, probability, label, threshold)
        chosen = {"value": threshold, "chosen_by": self.threshold_origin}
        return {**scores, "threshold": chosen, "n_positive": int((label == 1).sum())}


@dataclass(frozen=True)
class Measurement(Outcome):
    """The output is a measurement, in standard deviations from the mean of the training labels.

    Attributes:
        scale: The mean and the standard deviation.
        target_unit: Unit of the labels.
    """

    unit = "standard deviations of the training labels"
    scale: LabelScale
    target_unit: str = ""

    def loss(self, output: Tensor, label: Tensor) -> Tensor:
        """Average the squared error, in squared standard deviations."""
        return labelled_squared_error(output, self.scale.scaled(label))

    def validated(self, output: Tensor, label: Tensor, threshold: Tensor) -> dict[str, float]:  # noqa: ARG002
        """Give the same scores as of a test; nothing is decided, so there is no threshold."""
        return regression_scores(self.scale.in_unit(output), label)

    def tested(self, output: Tensor, label: Tensor, threshold: float) -> dict[str, float]:  # noqa: ARG002
        """Give mean absolute error and root mean squared error in the label's unit, R2, Pearson's and Spearman's r."""
        return regression_scores(self.scale.in_unit(output), label)

    def predictions(self, output: Tensor, threshold: float) -> dict[str, Tensor]:  # noqa: ARG002
        """Give the prediction in the target's unit."""
        return {"output": output, "prediction": self.scale.in_unit(output.cpu().double())}

    def metrics(
        self,
        output: NDArray[np.float64],
        label: NDArray[np.float64],
        threshold: float,  # noqa: ARG002
        resampling: Resampling,
    ) -> dict[str, Any]:
        """Return errors in the target's unit, R2 and correlations, and the scale that the network counts in."""
        scores = resampling.call(regression_metrics_with_intervals, self.scale.in_unit(output), label)
        return {**scores, "unit": self.target_unit, **self.settings()}

    def settings(self) -> dict[str, JSON]:
        """Return the scale: outputs times its deviation plus its mean are predictions in the target's unit."""
        return {"label_scale": {**self.scale.as_dict()}}


def outcome_of(target: TargetInfo, scale: LabelScale, network: nn.Module | None = None) -> Outcome:
    """Return what the output of a network is taken for that explains a target.

    Args:
        target: A diagnosis or a measurement.
        scale: The scale that the network counts a measurement in.
        network: The network, where it may know its threshold.
    """
    if target.kind == "regression":
        return Measurement(scale, target.unit)
    return Diagnosis(network.threshold_origin) if isinstance(network, TrainedElsewhere) else Diagnosis()
