"""The Lightning module: a binary classifier of one target over any network that reads beats."""

from typing import Any, TypedDict

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.core.mixins.hparams_mixin import _given_hyperparameters
from torch import Tensor, nn
from torchmetrics import Metric, MetricCollection
from torchmetrics.classification import (
    BinaryAccuracy,
    BinaryAUROC,
    BinaryAveragePrecision,
    BinaryF1Score,
    BinaryPrecision,
    BinaryRecall,
    BinarySpecificity,
    MulticlassF1Score,
)
from torchmetrics.utilities import dim_zero_cat

from ecg_lightning.data.dataset import Batch
from ecg_lightning.ecg import TARGETS, Target
from ecg_lightning.functional.threshold import youden_threshold


class StepOutput(TypedDict):
    """What ``test_step`` hands to the callbacks; ``AttributionMaps`` adds ``maps``."""

    logit: Tensor  # (batch,)
    label: Tensor  # (batch,)
    row: Tensor  # (batch,)


class EcgClassifier(LightningModule):
    """Binary classifier of one target: BCE on the logit, Adam, Youden threshold from validation.

    Missing labels (NaN) are left out of the loss and of every metric. The threshold is a buffer, so that the
    checkpoint keeps the one that belongs to its weights. A checkpoint rebuilds its own network:
    ``EcgClassifier.load_from_checkpoint(path)`` needs no other argument where the network was configured from
    YAML or has a ``config`` dict of its constructor's arguments (``ResNet1d`` has); else pass ``network=``.

    Args:
        network: (batch, lead, sample) mV -> (batch,) or (batch, 1) logit.
        target: The diagnosis; only used as a label of the run and to refuse a checkpoint of another one.
        learning_rate: Of Adam (paper's group: 5e-4).
        weight_decay: L2 penalty of Adam.
        seed: The training repetition this network belongs to; kept in the checkpoint, so that its maps' random
            draws are its own wherever it is tested. The command line links it to ``seed_everything``.

    Source: paper, "Model architecture and algorithm development" and "Statistical analysis".
    """

    threshold: Tensor

    def __init__(
        self,
        network: nn.Module,
        target: Target = "sinus_rhythm",
        learning_rate: float = 5e-4,
        weight_decay: float = 0.0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if target not in TARGETS:
            raise ValueError(f"target must be one of {', '.join(TARGETS)}; got {target!r}")
        if not learning_rate > 0 or weight_decay < 0:
            raise ValueError(
                f"learning_rate must be positive and weight_decay >= 0, got {learning_rate} and {weight_decay}"
            )
        # from YAML, Lightning hands the parsed arguments over; a module built in Python must not be pickled
        self.save_hyperparameters(ignore=None if _given_hyperparameters.get() else ["network"])
        self._remember_network(network)
        self.network = network
        self.target = target
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.seed = seed
        # 0.5 until a validation epoch has chosen one: a finite default keeps an untrained module usable
        self.register_buffer("threshold", torch.tensor(0.5, dtype=torch.float64))
        self.validation_scores = MetricCollection(
            {"auroc": BinaryAUROC(), "auprc": BinaryAveragePrecision()}, prefix="val/"
        )
        self.validation_outputs = _LogitsAndLabels()
        self.test_outputs = _LogitsAndLabels()

    def _remember_network(self, network: nn.Module) -> None:
        """Keep the network's constructor in the hyperparameters, so that a checkpoint rebuilds it.

        From the command line the parsed YAML is there already. An instance built in Python is described by its
        class and its ``config``; ``save_hyperparameters`` would pickle the whole module into the checkpoint.
        """
        config = getattr(network, "config", None)
        if "network" in self.hparams or not isinstance(config, dict):
            return
        kind = type(network)
        self.hparams["network"] = {
            "class_path": f"{kind.__module__}.{kind.__qualname__}",
            "init_args": dict(config),
        }
        self.hparams["_instantiator"] = "lightning.pytorch.cli.instantiate_module"
        self._hparams_initial = self.hparams.copy()

    def forward(self, ecg: Tensor) -> Tensor:
        """Logit of the target.

        Args:
            ecg: (batch, lead, sample) mV.

        Returns:
            (batch,) logit.

        Raises:
            ValueError: The network gives something else than one logit an ECG.
        """
        logit: Tensor = self.network(ecg)
        if logit.shape == (len(ecg), 1):
            logit = logit.squeeze(1)
        if logit.shape != (len(ecg),):
            raise ValueError(
                f"the network must give one logit an ECG, (batch,) or (batch, 1), for {len(ecg)} ECGs; "
                f"{type(self.network).__name__} gave {tuple(logit.shape)}"
            )
        return logit

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:  # noqa: ARG002
        """Mean binary cross-entropy of the labelled ECGs."""
        loss = self._loss(self(batch["ecg"]), batch["label"])
        self.log("train/loss", loss, prog_bar=True, batch_size=len(batch["label"]))
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:  # noqa: ARG002
        """Collect loss and scores of the labelled ECGs."""
        logit = self(batch["ecg"])
        labelled = ~torch.isnan(batch["label"])
        loss = self._loss(logit, batch["label"])
        self.log("val/loss", loss, prog_bar=True, sync_dist=True, batch_size=max(int(labelled.sum()), 1))
        self.validation_scores.update(logit[labelled], batch["label"][labelled].long())
        self.validation_outputs.update(logit, batch["label"])

    def on_validation_epoch_end(self) -> None:
        """Log the scores and keep Youden's threshold beside the weights it belongs to."""
        logit, label = self.validation_outputs.compute()
        self.validation_outputs.reset()
        scores = self.validation_scores.compute()
        self.validation_scores.reset()
        if self.trainer.sanity_checking:
            return
        threshold = youden_threshold(torch.sigmoid(logit.double()).cpu().numpy(), label.double().cpu().numpy())
        self.threshold.fill_(threshold)
        self.log_dict(scores, prog_bar=True)
        self.log("val/threshold", self.threshold.float())

    def test_step(self, batch: Batch, batch_idx: int) -> StepOutput:  # noqa: ARG002
        """Logits for the callbacks; nothing is gathered."""
        logit = self(batch["ecg"])
        self.test_outputs.update(logit, batch["label"])
        return {"logit": logit, "label": batch["label"], "row": batch["row"]}

    def on_test_epoch_end(self) -> None:
        """Log the paper's scores at the threshold of the checkpoint (intervals are a callback's)."""
        logit, label = self.test_outputs.compute()
        self.test_outputs.reset()
        labelled = ~torch.isnan(label)
        metrics = classification_metrics(float(self.threshold)).to(logit.device)
        probability = torch.sigmoid(logit[labelled].double())
        self.log_dict({f"test/{name}": value for name, value in metrics(probability, label[labelled].long()).items()})
        self.log("test/threshold", self.threshold.float())

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:  # noqa: ARG002
        """Row, logit and probability of each ECG, and the decision at the checkpoint's threshold."""
        logit = self(batch["ecg"])
        probability = torch.sigmoid(logit.double())
        return {
            "row": batch["row"],
            "logit": logit,
            "probability": probability,
            "positive": probability >= self.threshold,
        }

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam over the network's parameters."""
        return torch.optim.Adam(self.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse a checkpoint of another target or of another network, and say which.

        Raises:
            ValueError: The checkpoint was trained for another target, or its weights have other names or shapes.
        """
        trained_for = checkpoint.get("hyper_parameters", {}).get("target", self.target)
        if trained_for != self.target:
            raise ValueError(
                f"the checkpoint was trained for {trained_for!r}, this run is for {self.target!r}; pass "
                f"`--target {trained_for}` or a checkpoint of {self.target!r}"
            )
        differences = _differences(self.state_dict(), checkpoint["state_dict"])
        if differences:
            raise ValueError(
                "the checkpoint's weights do not fit this network: "
                + "; ".join(differences[:5])
                + (f"; and {len(differences) - 5} more" if len(differences) > 5 else "")
                + ". Configure the network that the checkpoint was trained with, or take another checkpoint"
            )

    def _loss(self, logit: Tensor, label: Tensor) -> Tensor:
        """Mean over the labelled ECGs, without a branch on the data: no device synchronisation."""
        labelled = ~torch.isnan(label)
        known = torch.where(labelled, label, torch.zeros_like(label)).to(logit.dtype)
        losses = nn.functional.binary_cross_entropy_with_logits(logit, known, reduction="none")
        return (losses * labelled).sum() / labelled.sum().clamp(min=1)


def classification_metrics(threshold: float) -> MetricCollection:
    """The paper's scores of a binary classifier ("Statistical analysis"), over probabilities and labels.

    ``f1`` is of the positive class; ``f1_micro`` pools both classes (for two classes it equals the accuracy).
    """
    return MetricCollection(
        {
            "auroc": BinaryAUROC(),
            "auprc": BinaryAveragePrecision(),
            "precision": BinaryPrecision(threshold),
            "recall": BinaryRecall(threshold),
            "specificity": BinarySpecificity(threshold),
            "accuracy": BinaryAccuracy(threshold),
            "f1": BinaryF1Score(threshold),
            "f1_micro": _MicroF1(threshold),
        },
        compute_groups=False,
    )


class _MicroF1(MulticlassF1Score):
    """Micro-averaged F1 over both classes at a threshold."""

    def __init__(self, threshold: float) -> None:
        super().__init__(num_classes=2, average="micro")
        self.threshold = threshold

    def update(self, preds: Tensor, target: Tensor) -> None:
        super().update((preds >= self.threshold).long(), target)


class _LogitsAndLabels(Metric):
    """Every logit and label of an epoch, over all ranks (unequal numbers a rank are fine)."""

    logit: list[Tensor]
    label: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.add_state("logit", default=[], dist_reduce_fx="cat")
        self.add_state("label", default=[], dist_reduce_fx="cat")

    def update(self, logit: Tensor, label: Tensor) -> None:
        self.logit.append(logit.detach())
        self.label.append(label)

    def compute(self) -> tuple[Tensor, Tensor]:
        return dim_zero_cat(self.logit), dim_zero_cat(self.label)


def _differences(own: dict[str, Tensor], saved: dict[str, Tensor]) -> list[str]:
    found = [f"{name} is missing in the checkpoint" for name in own.keys() - saved.keys()]
    found += [f"{name} is only in the checkpoint" for name in saved.keys() - own.keys()]
    found += [
        f"{name} has shape {tuple(saved[name].shape)} in the checkpoint, {tuple(own[name].shape)} here"
        for name in own.keys() & saved.keys()
        if own[name].shape != saved[name].shape
    ]
    return sorted(found)
