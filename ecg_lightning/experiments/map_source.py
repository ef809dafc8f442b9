"""What an experiment needs of whoever computes the maps; a test's ``AttributionMaps`` is one."""

from collections.abc import Sequence

from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor, nn

from ecg_lightning.attribution import AttributionMethod, RandomKey, prepare_task
from ecg_lightning.attribution.folding_check import folding_error
from ecg_lightning.attribution.task import FrozenModel, Precision
from ecg_lightning.ecg import MEDIAN_BEAT
from ecg_lightning.functional.smoothing import window_setting
from ecg_lightning.models.lint import Finding
from ecg_lightning.storage.hashing import JSON


class MapSource:
    """Prepares networks for attribution and says by which keys their maps draw.

    Attributes:
        methods: Whose maps are computed.
        ecg_ids: Id of each test ECG.
        attribution_seed: Another seed gives another Monte-Carlo replicate of the stochastic maps.
        training_seed: Of the tested network.
        source_network: The tested network.
        backgrounds: (background, lead, sample) mV reference ECGs.
        task: The tested network, prepared.
        memory_budget_mb: What one pass may take (MB).
        gradcam_layer: Dotted name of the module that Grad-CAM reads; None: the network's ``gradcam_layer``.
        precision: Of the passes of the sampling methods.
        sampling_rate: Of the ECGs (Hz).
        fold: Whether BatchNorms are folded into the convolutions before them.
    """

    methods: Sequence[AttributionMethod]
    ecg_ids: list[str]
    attribution_seed: int
    training_seed: int
    source_network: nn.Module
    backgrounds: Tensor
    task: FrozenModel
    memory_budget_mb: float
    gradcam_layer: str | None
    precision: Precision
    sampling_rate: float = MEDIAN_BEAT.sampling_rate
    fold: bool = True

    def prepared(self, network: nn.Module, *, fold: bool = True) -> FrozenModel:
        """Prepare another network, such as a randomised one, as the trained one is.

        Args:
            network: (batch, lead, sample) mV -> one logit an ECG.
            fold: Fold BatchNorms, unless that harmed the trained network.
        """
        return prepare_task(
            network,
            self.backgrounds,
            memory_budget_mb=self.memory_budget_mb,
            gradcam_layer=self.gradcam_layer,
            fold=fold and self.fold,
            keep=[layer for method in self.methods for layer in method.kept_layers],
            precision=self.precision,
            sampling_rate=self.sampling_rate,
        )

    def key(self, name: str, row: int) -> RandomKey:
        """Return what the draws of a method or control for one ECG are keyed by."""
        return RandomKey(self.attribution_seed, self.training_seed, name, self.ecg_ids[row])

    def choose_folding(self, ecgs: Tensor) -> list[Finding]:
        """Take the network with its BatchNorms unfolded where folding clearly harms; says what was measured."""
        if not self.task.folded:
            return []
        error = folding_error(self.source_network, self.task, self.prepared(self.source_network, fold=False), ecgs)
        if error is not None and error.worse:
            name = type(self.source_network).__name__
            rank_zero_warn(f"{name} is attributed without folding its BatchNorms, in slower passes: {error}")
            self.fold = False
            self.task = self.prepared(self.source_network)
        return [] if error is None else [Finding("folding", "", str(error))]

    @property
    def draws(self) -> dict[str, JSON]:
        """Return what determines the draws of the stochastic methods, their reliability, and their passes' rounding."""
        draws: dict[str, JSON] = {"attribution_seed": self.attribution_seed, "training_seed": self.training_seed}
        draws |= window_setting(self.task.smoothing_window)
        if self.precision != "float32":
            draws["passes"] = self.precision
        return draws
