"""What a checkpoint must agree with: the target, the data and the network of the run that loads it."""

from collections.abc import Mapping
from typing import Any, Final

from torch import Tensor

from ecg_lightning.data.provenance import DataProvenance
from ecg_lightning.models.checked_loading import weight_differences

TARGET_KEY: Final = "ecg_target"
DATA_KEY: Final = "ecg_data"

_SHOWN: Final = 5  # differences of weights


def check_fits(
    checkpoint: Mapping[str, Any], target: str, provenance: DataProvenance | None, weights: Mapping[str, Tensor]
) -> None:
    """Refuse a checkpoint of another target, of other data or of another network, and say which.

    Args:
        checkpoint: Its content.
        target: The diagnosis of the run.
        provenance: How the run's ECGs came about; None where no datamodule tells it.
        weights: State of the run's network.

    Raises:
        ValueError: The checkpoint was trained for another target or on otherwise made or split beats, or its weights
            have other names or shapes.
    """
    trained_for = checkpoint.get(TARGET_KEY, checkpoint.get("hyper_parameters", {}).get("target", target))
    if trained_for != target:
        raise ValueError(
            f"the checkpoint was trained for {trained_for!r}, this run is for {target!r}; pass "
            f"`--target {trained_for}` or a checkpoint of {target!r}"
        )
    if provenance is not None and DATA_KEY in checkpoint:
        provenance.check_trained_on(checkpoint[DATA_KEY])
    differences = weight_differences(weights, checkpoint["state_dict"])
    if differences:
        raise ValueError(
            "the checkpoint's weights do not fit this network: "
            + "; ".join(differences[:_SHOWN])
            + (f"; and {len(differences) - _SHOWN} more" if len(differences) > _SHOWN else "")
            + ". Configure the network that the checkpoint was trained with, or take another checkpoint"
        )
