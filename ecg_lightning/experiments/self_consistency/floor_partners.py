"""Whose map an ECG's map is compared with for the floor of self-consistency: another patient's, predicted alike.

Apart from what measures it, because choosing partners needs the attribution package, which workers start without.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from ecg_lightning.experiments.self_consistency.measure import seed_pairs
from ecg_lightning.runs.finished import target_info_of
from ecg_lightning.runs.run import Run

_KEY: Final = 0
"""Attribution seed of the derangement: not the runs', so that another replicate of the maps has the same partners."""


@dataclass(frozen=True)
class FloorPartners:
    """The partners of every ECG, one for each pair of seeds.

    Attributes:
        agreed: (ecg, pair) the class that both seeds predict, 1 or 0; -1 where they disagree. Of a measurement 1 where
            both predict one, else -1.
        partner: (ecg, pair) an ECG of another patient of which both seeds predict that class; of a measurement, for
            which the mean of their predictions is the nearest; -1 for none.
        order: (ecg,) every ECG once, those near each other that are partners, so that a block of them needs few more.
    """

    agreed: NDArray[np.int64]
    partner: NDArray[np.int64]
    order: NDArray[np.int64]

    def table(self, pairs: Sequence[str]) -> pd.DataFrame:
        """One row an ECG and pair of seeds: ``row, pair, agreed, partner_row``."""
        ecgs, n_pairs = self.agreed.shape
        return pd.DataFrame(
            {
                "row": np.repeat(np.arange(ecgs), n_pairs),
                "pair": np.tile(np.asarray(pairs, dtype=object), ecgs),
                "agreed": self.agreed.ravel(),
                "partner_row": self.partner.ravel(),
            }
        )


def floor_partners(runs: Mapping[int, Run], examples: pd.DataFrame, rows: NDArray[np.int64]) -> FloorPartners:
    """Choose partners by a keyed cyclic derangement of the patients within the class that both seeds predict.

    The key has no seed in it, so that all pairs of seeds share their partners as far as their predictions allow.

    Args:
        runs: Seed -> run, two or more.
        examples: The ECGs, with ``patient_id``.
        rows: (seed, ecg) in which row of each run an ECG stands.
    """
    ids = examples["patient_id"].to_numpy(), examples["ecg_id"].to_numpy()
    if target_info_of(next(iter(runs.values())).paths).kind == "regression":
        outputs = [_outputs(run, own) for run, own in zip(runs.values(), rows, strict=True)]
        return _of_measurement(*ids, np.stack(outputs))
    classes = np.stack([predicted_class(run, own) for run, own in zip(runs.values(), rows, strict=True)])
    pairs = seed_pairs(range(len(classes)))
    agreed = np.stack([np.where(classes[a] == classes[b], classes[a], -1) for a, b in pairs], axis=1)
    partner = np.stack([_partner(*ids, own) for own in agreed.T], axis=1)
    majority = ((classes == 1).sum(axis=0) > (classes == 0).sum(axis=0)).astype(np.int64)
    return FloorPartners(agreed, partner, _neighbours(*ids, majority))


def _of_measurement(
    patients: NDArray[np.object_], ecgs: NDArray[np.object_], outputs: NDArray[np.float64]
) -> FloorPartners:
    """Partners by (seed, ecg) predictions, which all count in standard deviations of the same training labels."""
    from ecg_lightning.attribution.partners import nearest_partners  # brings Captum with it

    means = [(outputs[a] + outputs[b]) / 2 for a, b in seed_pairs(range(len(outputs)))]
    partner = np.stack([nearest_partners(patients, mean, 1, ecgs)[:, 0] for mean in means], axis=1)
    agreed = np.where(np.isfinite(means), 1, -1).T
    return FloorPartners(agreed, partner, np.argsort(outputs.mean(axis=0), kind="stable"))


def _outputs(run: Run, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.asarray(run.row_store("logits").read(rows), dtype=np.float64)


def predicted_class(run: Run, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """The class of some ECGs by the run's threshold on the probability (.5 where it has none).

    Args:
        run: With its logits.
        rows: (ecg,) of the run.

    Returns:
        (ecg,) 1 or 0; -1 where there is no logit.
    """
    logit = _outputs(run, rows)
    threshold = run.metrics["threshold"]["value"] if run.paths.metrics.is_file() else np.nan
    positive = expit(logit) >= (threshold if np.isfinite(threshold) else 0.5)
    return np.where(np.isnan(logit), -1, positive).astype(np.int64)


def _partner(
    patients: NDArray[np.object_], ecgs: NDArray[np.object_], predicted: NDArray[np.int64]
) -> NDArray[np.int64]:
    """(ecg,) another patient's ECG of the same class; -1 for none, or where the class is -1."""
    from ecg_lightning.attribution.partners import partners  # brings Captum with it

    return partners(patients, np.where(predicted >= 0, predicted, np.nan), _KEY, 1, ecgs)[:, 0]


def _neighbours(
    patients: NDArray[np.object_], ecgs: NDArray[np.object_], classes: NDArray[np.int64]
) -> NDArray[np.int64]:
    """(ecg,) the ECGs in the order in which the derangement walks through the patients of each class."""
    partner = _partner(patients, ecgs, classes)
    turn: dict[tuple[int, object], int] = {}
    for start in range(len(patients)):
        ecg = start
        while ecg >= 0 and (key := (int(classes[ecg]), patients[ecg])) not in turn:
            turn[key] = len(turn)
            ecg = int(partner[ecg])
    return np.argsort([turn[int(own), patient] for own, patient in zip(classes, patients, strict=True)], kind="stable")
