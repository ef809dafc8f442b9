"""Shapley values: correlation with the converged map against forwards, of four estimators, with their own forecast.

    python benchmarks/shapley_estimators.py --checkpoint <best.ckpt> --cache <cache> --cache <cache> --out <folder>

rho is the Pearson correlation after Savitzky-Golay 31/3 with a reference of many antithetic permutations from another
attribution seed, divided by the root of the reference's own reliability. A surrogate's forwards are those on
coalitions (its 24 gradients and two forwards come on top); a permutation costs one forward a group. ``--multilabel``
takes nine-output networks of ``multilabel.py``: one output after another, each with ECGs of its own diagnosis.
Bias: share of the map's sum of squares that the mean over ``--replicates`` seeds is off, less what that mean's and
the reference's noise would make of it.
"""

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import matplotlib as mpl
import numpy as np
import pandas as pd
import torch
from multilabel import _load
from torch import Tensor, nn

from ecg_lightning.attribution import FrozenModel, RandomKey, prepare_task
from ecg_lightning.attribution.shapley import Estimator, ShapleySampling
from ecg_lightning.data.cache import BeatCache
from ecg_lightning.ecg import TARGETS
from ecg_lightning.functional.smoothing import savitzky_golay
from ecg_lightning.models.classifier import EcgClassifier

mpl.use("Agg")
from matplotlib import pyplot as plt

GROUPS: Final = 192
ESTIMATORS: Final[tuple[Estimator, ...]] = ("permutation", "antithetic", "surrogate_unbiased", "surrogate")
_REFERENCE_SEED: Final = 1_000_003


class OneOutput(nn.Module):
    """One logit of a network with several."""

    def __init__(self, network: nn.Module, index: int) -> None:
        super().__init__()
        self.network, self.index = network, index

    def forward(self, ecg: Tensor) -> Tensor:
        """(batch, lead, sample) -> (batch,)."""
        logit: Tensor = self.network(ecg)[:, self.index]
        return logit


@dataclass(frozen=True)
class Case:
    """An ECG and a network.

    Attributes:
        name: Network, target, cache, label and ECG.
        task: The prepared network.
        ecg: (1, lead, sample) mV.
    """

    name: str
    task: FrozenModel
    ecg: Tensor


def cases(checkpoint: Path | None, multilabel: Path | None, caches: Sequence[Path], each: int) -> Iterator[Case]:
    """``each`` ECGs with the diagnosis and as many without it, of every cache and target."""
    networks: dict[str, tuple[str, nn.Module]] = {}
    if checkpoint is not None:
        model = EcgClassifier.load_from_checkpoint(checkpoint, weights_only=True, map_location="cpu")
        networks["checkpoint"] = (str(checkpoint.parts[-4]), model.network)
    if multilabel is not None:
        network = _load(multilabel)
        networks |= {f"{multilabel.stem}[{i}]": (target, OneOutput(network, i)) for i, target in enumerate(TARGETS)}
    for number, (name, (target, network)) in enumerate(networks.items()):
        task = prepare_task(network, torch.zeros(1, 8, 600))
        for folder in caches if len(networks) == 1 else [caches[number % len(caches)]]:
            cache = BeatCache.open(folder)
            labels = cache.examples[target].to_numpy(np.float64, na_value=np.nan)
            for label in (1, 0):
                for row in np.flatnonzero(labels == label)[:each]:
                    ecg = torch.from_numpy(cache.read_beats(np.array([row])))
                    yield Case(f"{name} {target} {folder.name.split('-')[0]} {label} {row}", task, ecg)


def smoothed(maps: Tensor) -> Tensor:
    """(n, lead, sample) -> (n, point), centred, after the filter."""
    flat = savitzky_golay(maps).flatten(1)
    return flat - flat.mean(1, keepdim=True)


def method_of(estimator: Estimator, forwards: int) -> ShapleySampling:
    permutations = max(2, round(forwards / GROUPS / 2) * 2)
    return ShapleySampling(estimator, n_forwards=forwards, n_permutations=permutations)


def measure(
    case: Case, estimators: Sequence[Estimator], forwards: Sequence[int], reference_permutations: int, replicates: int
) -> list[dict[str, object]]:
    """One row an estimator and number of forwards."""
    many = ShapleySampling("antithetic", n_permutations=reference_permutations)
    reference = many.explain(case.task, case.ecg, [RandomKey(_REFERENCE_SEED, ecg_id=case.name)])
    limit, attenuation = smoothed(reference.maps)[0], float(reference.reliability.sqrt())
    rows: list[dict[str, object]] = []
    for estimator in estimators:
        for number in forwards:
            start = time.perf_counter()
            method = method_of(estimator, number)
            found = [method.explain(case.task, case.ecg, [RandomKey(k, ecg_id=case.name)]) for k in range(replicates)]
            seconds = (time.perf_counter() - start) / replicates
            maps = torch.cat([smoothed(one.maps) for one in found])
            rho = torch.nn.functional.cosine_similarity(maps, limit[None]) / attenuation
            forecast = torch.cat([one.reliability for one in found]).sqrt()
            rows.append({
                "case": case.name, "estimator": estimator, "forwards": number, "rho": float(rho.mean()),
                "forecast": float(forecast.mean()), "squared_miss": float((forecast - rho).square().mean()),
                "seconds": seconds, "bias": bias(maps, limit, attenuation**2), "reference": attenuation**2,
            })  # fmt: skip
    return rows


def bias(maps: Tensor, limit: Tensor, reliability: float) -> float:
    """Squared bias over the limit's sum of squares, noise of both sides taken off; NaN for one replicate."""
    if len(maps) < 2:
        return float("nan")
    noise = maps.var(0).sum() / len(maps) + (1 - reliability) * limit.square().sum()
    return float(((maps.mean(0) - limit).square().sum() - noise) / (reliability * limit.square().sum()))


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Median and worst decile of rho, RMSE of the forecast, median bias and seconds."""
    groups = table.groupby(["estimator", "forwards"])
    return pd.DataFrame({
        "median": groups["rho"].median(), "worst_decile": groups["rho"].quantile(0.1), "worst": groups["rho"].min(),
        "forecast": groups["forecast"].median(), "rmse": groups["squared_miss"].mean() ** 0.5,
        "bias": groups["bias"].median(), "seconds": groups["seconds"].median(),
    })  # fmt: skip


def picture(table: pd.DataFrame, path: Path) -> None:
    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    for number, estimator in enumerate(table["estimator"].unique()):
        rho = 1 - table[table["estimator"] == estimator].groupby("forwards")["rho"].quantile([0.5, 0.1]).unstack()
        axes.loglog(rho.index, rho[0.5], "o-", color=f"C{number}", label=estimator.replace("_", " "))
        axes.loglog(rho.index, rho[0.1], "o:", color=f"C{number}", mfc="white")
    axes.axhline(0.01, color="0.6", lw=0.8, zorder=0)
    ticks, shown = sorted(table["forwards"].unique()), [0.003, 0.01, 0.03, 0.1, 0.3]
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.set_yticks(shown, [f"{1 - tick:g}" for tick in shown])
    axes.minorticks_off()
    axes.invert_yaxis()
    axes.set_xlabel("forwards an ECG")
    axes.set_ylabel("correlation with the converged map")
    figure.legend(
        title="solid: median\ndotted: worst decile",
        loc="outside right upper",
        frameon=False,
        fontsize=8,
        title_fontsize=8,
    )
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--multilabel", type=Path)
    parser.add_argument("--cache", type=Path, action="append", required=True)
    parser.add_argument("--each", type=int, default=4, help="ECGs with and without the diagnosis, of every cache")
    parser.add_argument("--estimators", nargs="+", choices=ESTIMATORS, default=list(ESTIMATORS))
    parser.add_argument("--forwards", type=int, nargs="+", default=[764, 1528, 2292])
    parser.add_argument("--reference", type=int, default=128, help="permutations of the reference")
    parser.add_argument("--replicates", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("shapley_estimators"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, object]] = []
    for case in cases(arguments.checkpoint, arguments.multilabel, arguments.cache, arguments.each):
        found = measure(case, arguments.estimators, arguments.forwards, arguments.reference, arguments.replicates)
        rows += found
        print(case.name, *(f"{row['rho']:.4f}" for row in found), flush=True)
        table = pd.DataFrame(rows)
        table.to_csv(arguments.out / "cases.csv", index=False)
    summary(table).to_csv(arguments.out / "summary.csv")
    picture(table, arguments.out / "shapley_estimators.png")
    print(summary(table).round(4).to_string())


if __name__ == "__main__":
    main()
