"""The Lightning module: one target, a diagnosis or a measurement, over any network that reads ECGs."""

import copy
from collections.abc import Callable
from typing import Any, Final, Self, TypedDict

import torch
from lightning.pytorch.core.mixins.hparams_mixin import _given_hyperparameters
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from ecg_lightning.data.backgrounds import Backgrounds
from ecg_lightning.data.datamodule import EcgDataModule
from ecg_lightning.data.dataset import Batch
from ecg_lightning.data.label_scale import LabelScale
from ecg_lightning.data.targets import check_name, known_info
from ecg_lightning.ecg import DEFAULT_TARGET, Target
from ecg_lightning.models.channels_last_training import training_pass
from ecg_lightning.models.checked_loading import CheckedLoading
from ecg_lightning.models.checkpoint_fit import DATA_KEY, SCALE_KEY, TARGET_INFO_KEY, TARGET_KEY, check_fits, kept_scale
from ecg_lightning.models.checkpoint_paths import with_absolute_paths, with_relative_paths
from ecg_lightning.models.classifier_scores import OutputsAndLabels
from ecg_lightning.models.fit_checks import example_input, prepare_network
from ecg_lightning.models.hyper_parameters import INSTANTIATOR, class_and_arguments
from ecg_lightning.models.outcome import Outcome, outcome_of
from ecg_lightning.models.precision import at_least_float32, full_float32
from ecg_lightning.models.step_seeding import seed_step
from ecg_lightning.models.trained_elsewhere import known_threshold

_BACKGROUNDS_KEY: Final = "ecg_backgrounds"
_CALLBACKS_KEY: Final = "callbacks"  # Lightning's own


class StepOutput(TypedDict):
    """What ``test_step`` hands to the callbacks; ``AttributionMaps`` adds ``maps``."""

    logit: Tensor  # (batch,)
    label: Tensor  # (batch,)
    row: Tensor  # (batch,)


class EcgClassifier(CheckedLoading):
    """Classifier of one diagnosis: BCE on the logit, Adam, Youden threshold from validation.

    Or a regression of one measurement, see ``outcome``. Missing labels (NaN) are left out of the loss and of every
    metric. The threshold is a buffer, so that the checkpoint keeps the one that belongs to its weights. A checkpoint
    rebuilds its own network: ``EcgClassifier.load_from_checkpoint(path)`` needs no other argument where the network was
    configured from YAML or has a ``config`` dict of its constructor's arguments (``ResNet1d`` has); else pass
    ``network=``, and for a class that is not the project's ``network=`` or ``classes=``. It also keeps ``backgrounds``,
    the reference ECGs of the SHAP methods, for a test where the training ECGs are not at hand.

    Args:
        network: (batch, lead, sample) mV -> (batch,) or (batch, 1) logit.
        target: The diagnosis or measurement; a checkpoint of another one is refused.
        learning_rate: Of Adam (paper's group: 5e-4).
        weight_decay: L2 penalty of Adam.
        seed: The training repetition this network belongs to: of dropout in its training; kept in the checkpoint, so
            that its maps' random draws are its own wherever it is tested. The command line links it to
            ``seed_everything``.

    Source: paper, "Model architecture and algorithm development" and "Statistical analysis".
    """

    threshold: Tensor

    def __init__(
        self,
        network: nn.Module,
        target: Target = DEFAULT_TARGET,
        learning_rate: float = 5e-4,
        weight_decay: float = 0.0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if not learning_rate > 0 or weight_decay < 0:
            raise ValueError(
                f"learning_rate must be positive and weight_decay >= 0, got {learning_rate} and {weight_decay}"
            )
        # from YAML, Lightning hands the parsed arguments over; a module built in Python must not be pickled
        self.save_hyperparameters(ignore=None if _given_hyperparameters.get() else ["network"])
        self._remember_network(network)
        self.network = network
        self.example_input_array = example_input(network)
        self.target = check_name(target)
        self.target_info = known_info(target)
        self.label_scale = LabelScale()
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.seed = int(seed)
        # that of the network, or .5 until a validation epoch has chosen one: an untrained module stays usable
        self.register_buffer("threshold", torch.tensor(known_threshold(network)))
        self.backgrounds: Backgrounds | None = None
        self.validation_outputs = OutputsAndLabels()
        self.test_outputs = OutputsAndLabels()

    def _remember_network(self, network: nn.Module) -> None:
        """Keep how the network is made in the hyperparameters, where the parsed YAML is not there already."""
        if "network" not in self.hparams and (described := class_and_arguments(network)) is not None:
            self.hparams["network"] = described
            self.hparams["_instantiator"] = INSTANTIATOR
            self._hparams_initial = copy.deepcopy(self._hparams)

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

    def setup(self, stage: str) -> None:
        """Give lazy modules their weights, and refuse to train a network that could never be tested.

        Args:
            stage: ``fit``, ``validate``, ``test`` or ``predict``.

        Raises:
            ValueError: See :func:`ecg_lightning.models.fit_checks.check_before_fit`.
        """
        datamodule = self._datamodule()
        if datamodule is not None:
            self.target_info = datamodule.target_info
            prepare_network(self.network, datamodule, stage, self.device)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """As PyTorch's; a threshold of half precision would move decisions, and the example goes where weights go."""
        threshold = self.threshold
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.threshold = threshold.to(self.threshold.device)
        weight = next(self.network.parameters(), None)
        if isinstance(self.example_input_array, Tensor) and weight is not None and not is_lazy(weight):
            self.example_input_array = self.example_input_array.to(weight.dtype)
        return self

    @property
    def outcome(self) -> Outcome:
        """What the output is taken for: the logit of a diagnosis, or a measurement in standard deviations."""
        return outcome_of(self.target_info, self.label_scale, self.network)

    def on_fit_start(self) -> None:
        """Choose the backgrounds, and the scale of a measurement, once: a checkpoint is written after every epoch."""
        datamodule = self._datamodule()
        self.backgrounds = None if datamodule is None else datamodule.training_backgrounds()
        if datamodule is not None and self.target_info.kind == "regression":
            self.label_scale = LabelScale.of(datamodule.examples("train")["label"])

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:  # noqa: ARG002
        """Let dropout draw the same whether or not this ``fit`` was resumed."""
        seed_step(self.seed, self.current_epoch, batch_idx, self.global_rank)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:  # noqa: ARG002
        """Mean loss of the labelled ECGs: binary cross-entropy, of a measurement squared error."""
        with training_pass(self.network):
            loss = self.outcome.loss(self(batch["ecg"]), batch["label"])
        self.log("train/loss", loss, prog_bar=True, on_step=True, on_epoch=True, batch_size=len(batch["label"]))
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:  # noqa: ARG002
        """Collect loss and logits; a batch weighs as much in the mean loss as it has labelled ECGs."""
        logit = self(batch["ecg"])
        loss = self.outcome.loss(logit, batch["label"])
        labelled = int((~torch.isnan(batch["label"])).sum())
        self.log("val/loss", loss, prog_bar=True, sync_dist=True, batch_size=labelled)
        self.validation_outputs.update(logit, batch["label"])

    def on_validation_epoch_end(self) -> None:
        """Log the scores and keep Youden's threshold beside the weights it belongs to."""
        output, label = self.validation_outputs.compute()
        self.validation_outputs.reset()
        if self.trainer.sanity_checking:
            return
        scores = self.outcome.validated(output, label, self.threshold)
        self.log_dict({f"val/{name}": value for name, value in scores.items()}, prog_bar=True)
        if self.target_info.kind == "binary":
            self.log("val/threshold", self.threshold)

    def test_step(self, batch: Batch, batch_idx: int) -> StepOutput:  # noqa: ARG002
        """Logits for the callbacks; nothing is gathered."""
        with full_float32():
            logit = at_least_float32(self(batch["ecg"]))
        batch["ecg"] = at_least_float32(batch["ecg"])  # rounded by a true half precision; callbacks go on from there
        self.test_outputs.update(logit, batch["label"])
        return {"logit": logit, "label": batch["label"], "row": batch["row"]}

    def on_test_epoch_end(self) -> None:
        """Log the scores, those of decisions at the threshold of the checkpoint (intervals are a callback's)."""
        scores = self.outcome.tested(*self.test_outputs.compute(), float(self.threshold))
        self.test_outputs.reset()
        self.log_dict({f"test/{name}": value for name, value in scores.items()})

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:  # noqa: ARG002
        """Row and logit, probability and decision of each ECG; of a measurement row, output and prediction."""
        output = at_least_float32(self(batch["ecg"]))
        return {"row": batch["row"]} | self.outcome.predictions(output, float(self.threshold))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam over the network's parameters."""
        weight = next(self.network.parameters())
        eps = max(1e-8, torch.finfo(weight.dtype).tiny)  # 1e-8 is 0 in float16, and the first step would divide by it
        return torch.optim.Adam(self.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay, eps=eps)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep what a test must know: target, data, backgrounds; and no path of this machine.

        The target stands apart because ``load_from_checkpoint(path, target=...)`` overwrites the hyperparameters.
        """
        checkpoint[TARGET_KEY] = self.target
        if self.backgrounds is not None:
            checkpoint[_BACKGROUNDS_KEY] = self.backgrounds.as_dict()
        datamodule = self._datamodule()
        if datamodule is not None:
            checkpoint[DATA_KEY] = datamodule.provenance().as_dict()
            checkpoint[TARGET_INFO_KEY] = datamodule.target_info.as_dict()
        if self.target_info.kind == "regression":
            checkpoint[SCALE_KEY] = self.label_scale.as_dict()
        if self._trainer is not None and _CALLBACKS_KEY in checkpoint:
            checkpoint[_CALLBACKS_KEY] = with_relative_paths(checkpoint[_CALLBACKS_KEY], self.trainer.default_root_dir)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse a checkpoint of another target or of another network, and say which.

        Raises:
            ValueError: See :func:`ecg_lightning.models.checkpoint_fit.check_fits`.
        """
        datamodule = self._datamodule()
        data = (None, None) if datamodule is None else (datamodule.provenance(), datamodule.target_info)
        check_fits(checkpoint, self.target, self.state_dict(), *data)
        self.target_info, self.label_scale = kept_scale(checkpoint, self.target_info)
        if _BACKGROUNDS_KEY in checkpoint:
            self.backgrounds = Backgrounds.from_dict(checkpoint[_BACKGROUNDS_KEY])
        if self._trainer is not None and _CALLBACKS_KEY in checkpoint:
            checkpoint[_CALLBACKS_KEY] = with_absolute_paths(checkpoint[_CALLBACKS_KEY], self.trainer.default_root_dir)

    def _datamodule(self) -> EcgDataModule | None:
        found = getattr(self._trainer, "datamodule", None)
        return found if isinstance(found, EcgDataModule) else None
