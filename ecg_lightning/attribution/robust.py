"""This module makes the maps of many ECGs so that one that fails costs no other."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ecg_lightning.attribution.base import AttributionBatch, AttributionMethod
from ecg_lightning.attribution.seeding import RandomKey
from ecg_lightning.attribution.task import FrozenModel


def explain_or_nan(
    method: AttributionMethod, model: FrozenModel, ecg: Tensor, keys: Sequence[RandomKey]
) -> tuple[AttributionBatch, dict[str, str]]:
    """Explain a batch; an ECG that the method fails on has a map of NaN.

    Args:
        method: The method that makes the maps.
        model: The frozen network.
        ecg: (batch, lead, sample) mV.
        keys: One an ECG.

    Returns:
        The maps; and id of each ECG that failed -> why.

    Raises:
        torch.OutOfMemoryError: The device has no memory left, which is no property of an ECG.
    """
    try:
        return method.explain(model, ecg, keys), {}
    except torch.OutOfMemoryError:
        raise
    except (ValueError, RuntimeError, ArithmeticError) as error:
        if len(ecg) > 1:
            return _each_ecg_alone(method, model, ecg, keys)
        unknown = torch.full((len(ecg),), torch.nan, dtype=torch.float64)
        nothing = AttributionBatch(torch.full_like(ecg, torch.nan), unknown, torch.zeros(len(ecg), dtype=torch.int64))
        return nothing, {key.ecg_id: f"{type(error).__name__}: {error}" for key in keys}


def suite_maps(
    methods: Sequence[AttributionMethod],
    model: FrozenModel,
    ecg: Tensor,
    keys: Callable[[str, int], RandomKey],
) -> tuple[dict[str, Tensor], dict[str, dict[str, str]]]:
    """Make the maps of several methods.

    Args:
        methods: The methods that make the maps.
        model: The frozen network.
        ecg: (batch, lead, sample) mV.
        keys: Method and index in the batch -> key.

    Returns:
        Name -> (batch, lead, sample), NaN where a method fails on an ECG; and name -> ECG that failed -> why.
    """
    maps: dict[str, Tensor] = {}
    failures: dict[str, dict[str, str]] = {}
    for method in methods:
        batch, failed = explain_or_nan(method, model, ecg, [keys(method.name, index) for index in range(len(ecg))])
        maps[method.name] = batch.maps
        if failed:
            failures[method.name] = failed
    return maps, failures


def _each_ecg_alone(
    method: AttributionMethod, model: FrozenModel, ecg: Tensor, keys: Sequence[RandomKey]
) -> tuple[AttributionBatch, dict[str, str]]:
    parts = [explain_or_nan(method, model, ecg[[index]], [key]) for index, key in enumerate(keys)]
    joined = AttributionBatch(
        torch.cat([part.maps for part, _ in parts]),
        torch.cat([part.reliability for part, _ in parts]),
        torch.cat([part.n_samples for part, _ in parts]),
    )
    return joined, {ecg_id: why for _, failed in parts for ecg_id, why in failed.items()}
