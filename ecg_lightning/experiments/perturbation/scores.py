"""Numbers of a perturbation curve: how far a network falls when the relevant, or the irrelevant, is taken away."""

import warnings

import numpy as np
from numpy.typing import ArrayLike, NDArray


def mean_height(curve: ArrayLike, fractions: ArrayLike) -> NDArray[np.float64]:
    """Area under a curve over the perturbed range, divided by the range: the height that a flat curve would have.

    Args:
        curve: (..., step).
        fractions: (step,) shares of the points that are perturbed, rising.

    Returns:
        (...) in the curve's unit, by the trapezoid rule; NaN where a step is NaN.

    Raises:
        ValueError: Fewer than two steps, or fractions that do not rise.
    """
    heights, shares = np.asarray(curve, dtype=np.float64), np.asarray(fractions, dtype=np.float64)
    if shares.ndim != 1 or len(shares) < 2 or heights.shape[-1:] != shares.shape or not (np.diff(shares) > 0).all():
        raise ValueError(f"expected a curve (..., step) and as many rising fractions, got {heights.shape} and {shares}")
    area = np.asarray(np.trapezoid(heights, shares, axis=-1), dtype=np.float64)
    return np.asarray(area / (shares[-1] - shares[0]), dtype=np.float64)


def area_over_curve(curve: ArrayLike, fractions: ArrayLike) -> NDArray[np.float64]:
    """How far a curve falls below its start on average (Samek et al., IEEE TNNLS 2017;28:2660-2673).

    Args:
        curve: (..., step), its first step untouched.
        fractions: (step,).

    Returns:
        (...) in the curve's unit: 0 for a flat curve, the more the faster it falls.
    """
    heights = np.asarray(curve, dtype=np.float64)
    return np.asarray(heights[..., 0] - mean_height(heights, fractions), dtype=np.float64)


def area_between_curves(morf: ArrayLike, lerf: ArrayLike, fractions: ArrayLike) -> NDArray[np.float64]:
    """Area between the perturbation curves (ABPC; Schulz et al., ICLR 2020): LeRF's mean height less MoRF's.

    A map that ranks at random has 0 whatever perturbation does to the network; a faithful one is above.

    Args:
        morf: (..., step) most relevant first.
        lerf: (..., step) least relevant first.
        fractions: (step,).

    Returns:
        (...) in the curves' unit.
    """
    return mean_height(lerf, fractions) - mean_height(morf, fractions)


def prediction_deviation(outputs: ArrayLike) -> NDArray[np.float64]:
    """Standard deviation over the ECGs of a network's untouched predictions.

    Args:
        outputs: (..., ecg, map, step), step 0 untouched; NaN where a map has no order, so that the ECG has no curve.

    Returns:
        (...), one a network; NaN where no two predictions differ.
    """
    untouched = np.asarray(outputs, dtype=np.float64)[..., 0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # an ECG that no map ranks
        deviation = np.nanstd(np.nanmean(untouched, axis=-1), axis=-1)
    return np.where(deviation > 0, deviation, np.nan)


def relative_change(outputs: ArrayLike, deviation: ArrayLike) -> NDArray[np.float64]:
    """Magnitude of each prediction's change, in standard deviations of the untouched predictions.

    Args:
        outputs: (..., ecg, map, step), step 0 untouched.
        deviation: (...) of ``prediction_deviation``.

    Returns:
        The shape of the outputs.
    """
    values = np.asarray(outputs, dtype=np.float64)
    change = np.abs(values - values[..., :1])
    return np.asarray(change / np.asarray(deviation)[..., None, None, None], dtype=np.float64)
