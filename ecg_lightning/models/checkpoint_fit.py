"""What a checkpoint must agree with: the target, the data and the network of the run that loads it."""

from collections.abc import Mapping
from typing import Any, Final

from torch import Tensor

from ecg_lightning.data.label_scale import LabelScale
from ecg_lightning.data.provenance import DataProvenance
from ecg_lightning.data.targets import TargetInfo
from ecg_lightning.models.checked_loading import weight_differences

TARGET_KEY: Final = "ecg_target"
TARGET_INFO_KEY: Final = "ecg_target_info"
DATA_KEY: Final = "ecg_data"
SCALE_KEY: Final = "ecg_label_scale"

_SHOWN: Final = 5  # differences of weights


def check_fits(
    checkpoint: Mapping[str, Any],
    target: str,
    weights: Mapping[str, Tensor],
    provenance: DataProvenance | None = None,
    info: TargetInfo | None = None,
) -> None:
    """Refuse a checkpoint of another target, of other data or of another network, and say which.

    Args:
        checkpoint: Its content.
        target: The target of the run.
        weights: State of the run's network.
        provenance: How the run's ECGs came about; None where no datamodule tells it.
        info: What the run's source says of the target; None likewise.

    Raises:
        ValueError: The checkpoint was trained for another target, or for one of another kind, or on otherwise made or
            split beats, or its weights have other names or shapes.
    """
    trained_for = checkpoint.get(TARGET_KEY, checkpoint.get("hyper_parameters", {}).get("target", target))
    if trained_for != target:
        raise ValueError(
            f"the checkpoint was trained for {trained_for!r}, this run is for {target!r}; pass "
            f"`--target {trained_for}` or a checkpoint of {target!r}"
        )
    if info is not None:
        _check_same_kind(checkpoint.get(TARGET_INFO_KEY, {}), info)
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


def _check_same_kind(trained: Mapping[str, Any], target: TargetInfo) -> None:
    """Refuse a target whose labels were of another kind or unit; a checkpoint of an earlier version tells neither."""
    for what, here in (("kind", target.kind), ("unit", target.unit)):
        then = trained.get(what, here)
        if then != here:
            raise ValueError(
                f"the checkpoint was trained for {target.name} of the {what} {then!r}, and this source's {target.name} "
                f"has the {what} {here!r}: one of them should have another name"
            )


def kept_scale(checkpoint: Mapping[str, Any], info: TargetInfo) -> tuple[TargetInfo, LabelScale]:
    """Return what the target is, and the scale that the network's outputs have.

    Args:
        checkpoint: Its content.
        info: What the run knows of the target, where the checkpoint (of an earlier version) says nothing.

    Raises:
        ValueError: The target is a measurement, and the checkpoint does not say in which scale.
    """
    if TARGET_INFO_KEY in checkpoint:
        info = TargetInfo.from_dict(checkpoint[TARGET_INFO_KEY])
    if info.kind == "binary":
        return info, LabelScale()
    if SCALE_KEY not in checkpoint:
        raise ValueError(
            f"{info.name} is a measurement, and the checkpoint does not keep the mean and standard deviation of its "
            "training labels, which its network counts in: train it with `fit`"
        )
    return info, LabelScale.from_dict(checkpoint[SCALE_KEY])
