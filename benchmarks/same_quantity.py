"""Whether our estimators estimate what Captum's do: means over many seeds, compared point by point.

    python benchmarks/same_quantity.py --checkpoint <best.ckpt> --cache <cache> --cache <cache>

For SmoothGrad, IG + SmoothGrad and GradientSHAP the mean of ``--seeds`` maps of either estimator, each of ``--draws``
draws, with its standard error; and IG + SmoothGrad beside GradientSHAP with a zero background and the same noise, whose
limits are equal. (That the other estimator of each method is Captum's, draw for draw, is what the tests hold.)

Bars: at every 100th point the difference is within 3 standard errors (with ``--seeds`` of them as degrees of freedom
about six in a thousand are beyond by chance), and the correlation of the means is above .999 without their own noise.
"""

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from shapley_estimators import Case, cases
from torch import Tensor

from ecg_lightning.attribution import AttributionMethod, FrozenModel, RandomKey, prepare_task
from ecg_lightning.attribution.methods import GradientShap, IgSmoothGrad, SmoothGrad
from ecg_lightning.data.cache import BeatCache

BACKGROUNDS: Final = 20
EVERY: Final = 100
NESTED_NODES: Final = 50


def pairs(draws: int) -> dict[str, tuple[AttributionMethod, AttributionMethod, bool]]:
    """Name -> (ours, the other, whether backgrounds are zero)."""
    nested = max(draws // 4, 4)  # each copy has all nodes of its line
    return {
        "smoothgrad": (SmoothGrad(n_samples=draws), SmoothGrad(n_samples=draws, estimator="independent"), False),
        "ig_smoothgrad": (
            IgSmoothGrad(n_samples=draws),
            IgSmoothGrad(n_samples=nested, n_steps=NESTED_NODES, estimator="nested"),
            False,
        ),
        "gradient_shap": (GradientShap(n_samples=draws), GradientShap(n_samples=draws, estimator="random"), False),
        "ig_smoothgrad and gradient_shap at zero": (IgSmoothGrad(n_samples=draws), GradientShap(n_samples=draws), True),
    }


def sampled(method: AttributionMethod, task: FrozenModel, ecg: Tensor, seeds: int) -> NDArray[np.float64]:
    """(seed, point) maps of one ECG under different draws."""
    keys = [RandomKey(attribution_seed=seed, method=method.name, ecg_id="one") for seed in range(seeds)]
    maps = [method(task, ecg, [key])[0].double().flatten().numpy() for key in keys]
    return np.stack(maps)


def compared(ours: NDArray[np.float64], other: NDArray[np.float64]) -> dict[str, float]:
    """Share of the points within 3 standard errors, the largest z, and the correlation without noise."""
    means = [one.mean(axis=0) for one in (ours, other)]
    errors = [one.var(axis=0, ddof=1) / len(one) for one in (ours, other)]
    z = (np.abs(means[0] - means[1]) / np.sqrt(errors[0] + errors[1]))[::EVERY]
    signal = [mean.var() - error.mean() for mean, error in zip(means, errors, strict=True)]
    covariance = np.mean((means[0] - means[0].mean()) * (means[1] - means[1].mean()))
    return {
        "within_3": float(np.mean(z <= 3)),
        "largest_z": float(z.max()),
        "rho": float(covariance / np.sqrt(signal[0] * signal[1])),
    }


def measure(found: Iterable[Case], backgrounds: Tensor, draws: int, seeds: int) -> pd.DataFrame:
    """One row an ECG and pair."""
    rows = []
    for case in found:
        network = case.task.network.network
        usual = prepare_task(network, backgrounds, fold=False)  # folded before
        zero = prepare_task(network, torch.zeros_like(backgrounds[:1]), fold=False)
        for name, (ours, other, at_zero) in pairs(draws).items():
            task = zero if at_zero else usual
            maps = [sampled(method, task, case.ecg, seeds) for method in (ours, other)]
            rows.append({"pair": name, "ecg": case.name, **compared(*maps)})
            print(rows[-1], flush=True)
    return pd.DataFrame(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--multilabel", type=Path)
    parser.add_argument("--cache", type=Path, action="append", required=True)
    parser.add_argument("--each", type=int, default=1, help="ECGs with and without the diagnosis, of every cache")
    parser.add_argument("--draws", type=int, default=160)
    parser.add_argument("--seeds", type=int, default=16)
    options = parser.parse_args()
    backgrounds = torch.from_numpy(BeatCache.open(options.cache[0]).read_beats(np.arange(BACKGROUNDS)))
    found = cases(options.checkpoint, options.multilabel, options.cache, options.each)
    table = measure(found, backgrounds, options.draws, options.seeds)
    by_pair = table.groupby("pair", sort=False)
    print(by_pair.agg(within_3=("within_3", "mean"), largest_z=("largest_z", "max"), rho=("rho", "min")).round(4))


if __name__ == "__main__":
    main()
