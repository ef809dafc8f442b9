"""The threshold is the probability above which an ECG is called positive."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ecg_lightning.functional.classification import labelled


def youden_threshold(probability: ArrayLike, label: ArrayLike) -> float:
    """Find the threshold of the largest Youden's J = sensitivity + specificity - 1, for ``probability >= threshold``.

    All thresholds between two neighbouring probabilities decide alike on these ECGs, but not on new ones: of
    such a gap the middle is returned, as far from both neighbours as can be. Where several gaps reach the same
    J, the widest is taken (the upper one of equally wide ones). In simulations (60 ECGs, 10 % positive,
    well separated) the J on new ECGs is .82 so, and .78 at the gap's upper edge, which is where ROC curves put
    their thresholds; the choice between tied gaps matters by less than .01.

    A network that is no better than chance has J = 0 at best, where everything is called positive; the
    threshold then says nothing, and is returned all the same.

    Args:
        probability: (n,) in [0, 1].
        label: (n,) 1 present, 0 absent, NaN missing; ECGs without a label are left out.

    Returns:
        A number in [0, 1]; one that float32 holds exactly where the gap has room for it, so that a float32
        comparison decides alike.

    Raises:
        ValueError: One class only, a probability that is NaN or outside of [0, 1], another label, or shapes
            that do not agree.

    Source:
        Youden, Cancer 3:32-35 (1950); paper, Methods, "Statistical analysis".
    """
    values, positive, _ = labelled(probability, label)
    if positive.all() or not positive.any():
        raise ValueError(
            f"Youden's J needs both classes: {positive.sum()} of {positive.size} labelled ECGs are positive; "
            "take a larger validation set or another target"
        )
    if values.min() < 0 or values.max() > 1:
        raise ValueError(f"probabilities lie in [{values.min()}, {values.max()}], expected [0, 1] (not logits)")
    upper, numerator = _youden_numerator(values, positive)
    lower = np.concatenate([[0.0], upper[:-1]])
    best = np.flatnonzero(numerator == numerator.max())
    widest = best[::-1][np.argmax((upper - lower)[best[::-1]])]
    return _between(lower[widest], upper[widest])


def _youden_numerator(
    probability: NDArray[np.float64], positive: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Distinct probabilities, ascending, and J x positives x negatives with each as threshold: exact integers."""
    distinct, group = np.unique(probability, return_inverse=True)
    positives = np.bincount(group[positive], minlength=len(distinct))
    negatives = np.bincount(group[~positive], minlength=len(distinct))
    true = positives[::-1].cumsum()[::-1]  # at or above the threshold
    false = negatives[::-1].cumsum()[::-1]
    return distinct, (true * negatives.sum() - false * positives.sum()).astype(np.int64)


def _between(lower: float, upper: float) -> float:
    """The middle of (lower, upper], a float32 if one lies there; upper where rounding leaves nothing between."""
    middle = float(lower + (upper - lower) / 2)
    for candidate in (float(np.float32(middle)), float(np.float32(upper)), middle):
        if lower < candidate <= upper:
            return candidate
    return float(upper)
