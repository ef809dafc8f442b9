"""The data before any network: limb leads are sums of each other, and neighbouring chest leads are alike."""

import math
from collections.abc import Sequence
from itertools import permutations
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ecg_lightning.cards.gate.finding import Finding, Verdict
from ecg_lightning.signal.leads import LIMB_LEADS

_TOLERANCE: Final = 0.1
"""Residual, in the leads' amplitude, up to which identities hold: right data have less than .01, wrong orders .4."""

_CLEARLY: Final = 6.0
"""Standard errors by which another order of the chest leads has to be smoother."""

_LEAST_TESTED: Final = 3


def data_findings(ecg: NDArray[np.floating], leads: Sequence[str]) -> list[Finding]:
    """Test the order of the leads by what every ECG has to obey.

    Arm reversal and other orders with changed signs obey Einthoven's and Goldberger's equations too, and are not seen.

    Args:
        ecg: (ecg, lead, sample) mV.
        leads: Name of each row.
    """
    limb = [name for name in leads if name in LIMB_LEADS]
    chest = sorted((name for name in leads if name.startswith("V")), key=lambda name: (len(name), name))
    return [
        _limb_finding(_rows(ecg, leads, limb), limb),
        _chest_finding(_rows(ecg, leads, chest), chest),
    ]


def limb_residual(covariance: NDArray[np.float64], leads: Sequence[str]) -> NDArray[np.float64]:
    """Return the share of the amplitude that Einthoven's and Goldberger's equations leave over.

    Args:
        covariance: (ecg, lead, lead) of limb leads.
        leads: Name of each lead.

    Returns:
        (ecg,).
    """
    total = np.trace(covariance, axis1=1, axis2=2)
    left = np.einsum("ij,nji->n", _residual_maker(leads), covariance)
    return np.asarray(np.sqrt(np.maximum(left, 0) / np.maximum(total, np.finfo(float).tiny)))


def gain_residual(covariance: NDArray[np.float64], leads: Sequence[str]) -> NDArray[np.float64]:
    """Return the same where every lead of every ECG may have a positive gain of its own; 1 where none fits."""
    deviation = np.sqrt(np.maximum(np.diagonal(covariance, axis1=1, axis2=2), np.finfo(float).tiny))
    correlation = covariance / deviation[:, :, None] / deviation[:, None, :]
    values, vectors = np.linalg.eigh(_residual_maker(leads) * correlation)
    weights = vectors[:, :, 0]
    positive = (weights > 0).all(axis=1) | (weights < 0).all(axis=1)
    return np.where(positive, np.sqrt(np.maximum(values[:, 0], 0)), 1.0)


def _rows(ecg: NDArray[np.floating], leads: Sequence[str], names: Sequence[str]) -> NDArray[np.float64]:
    """(ecg, name, name) covariances of the leads that are named."""
    signal = np.asarray(ecg, dtype=np.float64)[:, [list(leads).index(name) for name in names]]
    signal = signal - signal.mean(axis=2, keepdims=True)
    return np.asarray(signal @ signal.transpose(0, 2, 1) / signal.shape[2])


def _limb_finding(covariance: NDArray[np.float64], leads: list[str]) -> Finding:
    if len(leads) < _LEAST_TESTED:
        words = (
            f"of the limb leads the ECGs have {', '.join(leads) or 'none'}: their order can't be tested, for "
            "Einthoven's and Goldberger's equations take three or more"
        )
        return Finding("limb leads", "data", "not tested", words)
    residual = float(np.median(limb_residual(covariance, leads)))
    told = f"Einthoven's and Goldberger's equations leave {residual:.1%} of the limb leads' amplitude over"
    if residual <= _TOLERANCE:
        return Finding("limb leads", "data", "agrees", told)
    summed = covariance.mean(axis=0, keepdims=True)
    best = min(permutations(range(len(leads))), key=lambda order: limb_residual(_ordered(summed, order), leads)[0])
    found = float(np.median(limb_residual(_ordered(covariance, best), leads)))
    if found <= _TOLERANCE:
        moved = ", ".join(f"{leads[row]} holds {name}" for name, row in zip(leads, best, strict=True)
                          if leads[row] != name)  # fmt: skip
        words = f"{told}, and {found:.1%} in another order of the data's rows: {moved}"
        return Finding("limb leads", "data", "wrong", words, "correct the names of the leads in the data")
    gains = float(np.median(gain_residual(covariance, leads)))
    if gains <= _TOLERANCE:
        words = f"{told}, and {gains:.1%} where each lead has a gain of its own: a fault of gain and not of order"
        return Finding("limb leads", "data", "warning", words, "voltages of these ECGs can't be trusted")
    words = f"{told}, in no order less than {found:.1%}: the limb leads were not recorded or filtered alike"
    return Finding("limb leads", "data", "warning", words)


def _chest_finding(covariance: NDArray[np.float64], leads: list[str]) -> Finding:
    if len(leads) < _LEAST_TESTED:
        words = f"of the chest leads the ECGs have {', '.join(leads) or 'none'}: their order can't be tested"
        return Finding("chest leads", "data", "not tested", words)
    deviation = np.sqrt(np.maximum(np.diagonal(covariance, axis1=1, axis2=2), np.finfo(float).tiny))
    correlation = covariance / deviation[:, :, None] / deviation[:, None, :]
    orders = [order for order in permutations(range(len(leads))) if order[0] < order[-1]]
    smoothness = np.stack([correlation[:, order[:-1], order[1:]].mean(axis=1) for order in orders])  # (order, ecg)
    best = int(smoothness.mean(axis=1).argmax())
    named = orders.index(tuple(range(len(leads))))
    gained = smoothness[best] - smoothness[named]
    error = gained.std(ddof=1) / math.sqrt(len(gained)) if len(gained) > 1 else np.inf
    told = f"neighbours in the chest leads' order correlate by {smoothness[named].mean():.2f}"
    if best == named:
        return Finding("chest leads", "data", "agrees", f"{told}, in no other order more")
    order = ", ".join(leads[row] for row in orders[best])
    words = f"{told}, and by {smoothness[best].mean():.2f} in the order {order}, or its reverse"
    verdict: Verdict = "wrong" if gained.mean() > _CLEARLY * error else "undetermined"
    return Finding("chest leads", "data", verdict, words, "correct the names of the leads in the data")


def _residual_maker(leads: Sequence[str]) -> NDArray[np.float64]:
    """(lead, lead) projector on what is no combination of I and II."""
    system = np.array([LIMB_LEADS[name] for name in leads])
    return np.asarray(np.eye(len(leads)) - system @ np.linalg.pinv(system))


def _ordered(covariance: NDArray[np.float64], order: Sequence[int]) -> NDArray[np.float64]:
    return covariance[:, order][:, :, order]
