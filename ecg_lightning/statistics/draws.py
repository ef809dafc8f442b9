"""This module averages over patients, draws and networks, where each network has draws of its own."""

from dataclasses import fields, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ecg_lightning.statistics.effect import Effect, mean_effect, patient_means


def effect_over_draws(values: ArrayLike, patient_ids: ArrayLike) -> Effect:
    """Average over patients and networks, or over patients and draws where there is one network.

    A network's draws are averaged first; what they leave of chance is then part of what differs between networks. Of
    one network the draws stand for the networks: the interval is about new draws and new patients.

    Args:
        values: (network, ecg, draw, ...); NaN is left out of the mean over an ECG's draws.
        patient_ids: Patient of each ECG, (ecg,).

    Returns:
        Effects of shape (...); the variance is NaN for one draw of one network, which says nothing of another draw.
        ``n_seeds`` counts networks.

    Raises:
        ValueError: Shapes that do not agree.

    Example:
        >>> values = [[[0.1, 0.3], [0.2, 0.2], [0.0, 0.4]]]  # one network, three ECGs, two draws
        >>> effect = effect_over_draws(values, ["anna", "ben", "carl"])
        >>> float(effect.estimate.round(3)), int(effect.n_patients)
        (0.2, 3)
    """
    table = np.asarray(values, dtype=np.float64)
    if table.ndim < 3:
        raise ValueError(f"expected values (network, ecg, draw, ...), got {table.shape}")
    networks = table.shape[0]
    if networks > 1:
        means, _ = patient_means(np.swapaxes(known_mean(table, axis=2), 0, 1), patient_ids)
        return mean_effect(means)
    means, _ = patient_means(table[0], patient_ids)  # (patient, draw, ...)
    return _over_draws(means)


def known_mean(values: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Average the values that are not NaN; NaN where there is none.

    Example:
        >>> known_mean(np.array([[0.1, np.nan], [np.nan, np.nan]]), axis=1).tolist()
        [0.1, nan]
    """
    known = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        mean: NDArray[np.float64] = np.where(known, values, 0.0).sum(axis=axis) / known.sum(axis=axis)
    return mean


def _over_draws(means: NDArray[np.float64]) -> Effect:
    """Each effect from the draws that it was measured in: expensive methods have fewer."""
    flat = means.reshape(*means.shape[:2], -1)
    effects = []
    for column in np.moveaxis(flat, 2, 0):
        measured = np.isfinite(column).any(axis=0)
        effect = mean_effect(column[:, measured] if measured.any() else column[:, :1])
        effects.append(effect if measured.sum() > 1 else replace(effect, variance=np.asarray(np.nan)))
    shape = means.shape[2:]
    parts = {
        f.name: np.array([getattr(effect, f.name) for effect in effects]).reshape(shape)
        for f in fields(Effect)
        if f.name != "n_seeds"
    }
    return Effect(**parts, n_seeds=1)
