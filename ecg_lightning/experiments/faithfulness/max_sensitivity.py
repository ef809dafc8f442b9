"""Max-sensitivity of a map: the greatest relative change over perturbations of the ECG within a small ball."""

import torch
from captum.metrics import sensitivity_max
from torch import Tensor

from ecg_lightning.attribution import AttributionMethod, FrozenModel, RandomKey


def max_sensitivity(
    method: AttributionMethod, task: FrozenModel, ecg: Tensor, key: RandomKey, draws: int, radius: float
) -> float:
    """Captum's ``sensitivity_max`` of one ECG, with keyed perturbations (Yeh et al., NeurIPS 2019).

    Args:
        method: Computes maps anew; its own draws stay the same.
        task: The network.
        ecg: (1, lead, sample) mV.
        key: Of the map.
        draws: Perturbations.
        radius: Of their ball (mV, per point).

    Returns:
        The change over the map's norm; NaN where it is not finite.
    """
    moves = key.for_purpose("max sensitivity").uniform(draws, *ecg.shape[1:]).to(ecg)

    def perturb(inputs: Tensor, radius: float) -> Tensor:
        return inputs + radius * (2.0 * moves[: len(inputs)] - 1.0)

    def explain(inputs: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        ecgs = inputs if isinstance(inputs, Tensor) else inputs[0]  # Captum hands both around
        return (method(task, ecgs, [key] * len(ecgs)),)

    with torch.inference_mode(False):
        found = sensitivity_max(
            explain, ecg.clone(), perturb_func=perturb, perturb_radius=radius, n_perturb_samples=draws
        )
    return float(found) if bool(found.isfinite()) else float("nan")
