"""Do networks that differ in their seed only agree on a map, more than on maps of different patients?"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecg_lightning.experiments.self_consistency.compare import CONSISTENCY, FLOOR
from ecg_lightning.experiments.self_consistency.measure import seed_pairs
from ecg_lightning.experiments.self_consistency.seed_pairs import corrected_effect, noise_of_pairs, reliability_of
from ecg_lightning.functional.similarity import SIGNS, STATISTICS
from ecg_lightning.runs.seed_maps import in_paper_order
from ecg_lightning.runs.target_runs import TargetRuns
from ecg_lightning.storage.store import RowStore
from ecg_lightning.verdicts.checks import margins_of
from ecg_lightning.verdicts.comparison import Comparison

AGAINST = "maps of different patients"


def comparisons(runs: TargetRuns, comparison: Path) -> list[Comparison]:
    """Similarity between seeds above the floor, without Monte-Carlo noise, of every method that was compared.

    The effect is over all ECGs of which two seeds predict the same class (of a measurement, over all), whatever their
    label. Two seeds are one pair,
    which has no interval: its effect has no variance, and the verdict is "can't tell".

    Args:
        runs: Of the target.
        comparison: ``<study>/comparison``, which ``compare`` writes; that of an earlier version has no floors.

    Returns:
        Empty where nothing was compared, or of other seeds or ECGs than these.
    """
    own = comparison / runs.target
    methods = [path.name for path in (own / FLOOR).glob("*") if (own / CONSISTENCY / path.name).is_dir()]
    found = []
    for method in in_paper_order([name for name in methods if ".replaced-" not in name]):
        stores = [RowStore.open(own / kind / method) for kind in (CONSISTENCY, FLOOR)]
        if len(runs.runs) > 1 and all(_of_these(store, runs) for store in stores):
            found.append(_compared(runs, method, *(_pearson(store) for store in stores)))
    return found


def _of_these(store: RowStore, runs: TargetRuns) -> bool:
    pairs = tuple(f"{a}-{b}" for a, b in seed_pairs(list(runs.runs)))
    return store.spec.coords["pair"] == pairs and len(store) == len(runs.examples)


def _pearson(store: RowStore) -> NDArray[np.float64]:
    """(ecg, pair) of maps with their sign."""
    values = store.read(np.arange(len(store)))[:, STATISTICS.index("pearson"), SIGNS.index("native")]
    return np.asarray(values, dtype=np.float64)


def _compared(runs: TargetRuns, method: str, values: NDArray[np.float64], floor: NDArray[np.float64]) -> Comparison:
    (margin,) = margins_of("self_consistency", "seeds_agree")
    noise = noise_of_pairs(reliability_of(runs.runs, runs.rows, method), values.shape)
    above = values - floor
    counted = np.asarray(np.isfinite(above * noise).any(axis=1))
    patients, positive = runs.patient_ids[counted], runs.has_it[counted]
    with_diagnosis = set(patients[positive])
    return Comparison(
        target=runs.target,
        method=method,
        control=False,
        against=AGAINST,
        margin=margin,
        effect=corrected_effect(above, noise, runs.patient_ids, list(runs.runs)),
        value=float(corrected_effect(values, noise, runs.patient_ids, list(runs.runs)).estimate),
        n_positive=len(with_diagnosis),
        n_negative=len(set(patients) - with_diagnosis),
        n_ecgs=int(counted.sum()),
        undefined=_undefined(runs, bool(counted.any())),
    )


def _undefined(runs: TargetRuns, any_counted: bool) -> str:
    """Why there is no effect or no interval of it, in words."""
    if not any_counted:
        alike = "of the class that both predict" if runs.target_info.kind == "binary" else "with a prediction of both"
        return f"no ECG has maps of two seeds and a partner {alike}"
    return "two seeds are a single pair, which says nothing of other seeds" if len(runs.runs) < 3 else ""
