"""Which ECGs a dear audit measures, where it may not measure all."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ecg_lightning.attribution.seeding import RandomKey


def balanced_choice(ecg_ids: Sequence[str], label: NDArray[np.float64], at_most: int | None) -> NDArray[np.bool_]:
    """Choose ECGs by a hash of their ids, as many with as without the diagnosis where there are.

    Args:
        ecg_ids: (n,).
        label: (n,) 1, 0 or NaN; those without a label come last.
        at_most: How many; None: all.

    Returns:
        (n,) which are chosen; the same ECGs whatever their order.
    """
    chosen = np.ones(len(ecg_ids), dtype=np.bool_)
    if at_most is None or at_most >= len(ecg_ids):
        return chosen
    place = np.argsort([RandomKey(ecg_id=str(one), purpose="choice").seed for one in ecg_ids], kind="stable")
    order = np.empty(len(ecg_ids), dtype=np.int64)
    for kind in (label == 1, label == 0, np.isnan(label)):
        of_kind = place[kind[place]]
        order[of_kind] = np.arange(len(of_kind)) + (len(ecg_ids) if np.isnan(label[of_kind]).any() else 0)
    chosen[:] = False
    # one with the diagnosis, one without, and so on
    chosen[np.lexsort((-np.nan_to_num(label), order))[:at_most]] = True
    return chosen
