"""Correlation with the converged map against gradient passes: our estimators and Captum's, on trained networks.

    python benchmarks/convergence.py --multilabel <net.pt> --cache <cache> --cache <cache> --out <folder>

For SmoothGrad, IG + SmoothGrad and GradientSHAP over 20 fixed backgrounds, each with all of its estimators, and IG.
rho is the Pearson correlation after Savitzky-Golay 31/3 with a reference of many draws from another attribution seed,
divided by the root of the reference's own reliability. Draws are continued, so that one run gives the whole curve. Also
the RMSE of what a map's own reliability foretells at the default number of draws. ``shapley_estimators.py`` does the
same for Shapley sampling. ``cases.csv``, ``summary.csv`` and a picture go to ``--out``.

Bars: passes to a median rho of .99: SmoothGrad 25, IG + SmoothGrad 100, GradientSHAP 120; RMSE at most .01 for
SmoothGrad and IG + SmoothGrad, .025 for GradientSHAP.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import matplotlib as mpl
import numpy as np
import pandas as pd
import torch
from shapley_estimators import Case, cases, smoothed
from torch import Tensor

from ecg_lightning.attribution import RandomKey, prepare_task
from ecg_lightning.attribution.methods import GradientShap, IgSmoothGrad, IntegratedGradients, SmoothGrad
from ecg_lightning.attribution.sampling import GroupSums, SampledMethod
from ecg_lightning.data.cache import BeatCache
from ecg_lightning.models.precision import full_float32

mpl.use("Agg")
from matplotlib import pyplot as plt

COUNTS: Final = (8, 16, 24, 32, 48, 64, 96, 120, 160, 200, 320, 480)
NODES: Final = (4, 8, 16, 24)
NESTED_NODES: Final = 50
REFERENCE_SEED: Final = 1_000_003
ESTIMATORS: Final[dict[str, SampledMethod]] = {
    "smoothgrad antithetic": SmoothGrad(),
    "smoothgrad independent": SmoothGrad(estimator="independent"),
    "ig_smoothgrad adaptive": IgSmoothGrad(),
    "ig_smoothgrad joint": IgSmoothGrad(estimator="joint"),
    "ig_smoothgrad nested": IgSmoothGrad(estimator="nested", n_steps=NESTED_NODES),
    "gradient_shap adaptive": GradientShap(),
    "gradient_shap balanced": GradientShap(estimator="balanced"),
    "gradient_shap random": GradientShap(estimator="random"),
}
BARS: Final = {"smoothgrad": 25, "ig_smoothgrad": 100, "gradient_shap": 120}
"""Passes to a median rho of .99."""


def passes_of(name: str, draws: int) -> int:
    """Gradient passes of so many draws."""
    return draws * (NESTED_NODES if name.endswith("nested") else 1)


def counts_of(name: str, most: int) -> list[int]:
    """Draws that are looked at; nested ones are expensive."""
    return [count for count in COUNTS if passes_of(name, count) <= most * (4 if name.endswith("nested") else 1)]


def curve(method: SampledMethod, case: Case, seed: int, counts: Sequence[int]) -> Iterator[tuple[int, Tensor, float]]:
    """Draws, map and own reliability after each count, of one run that is continued."""
    key = RandomKey(seed, method=method.name, ecg_id=case.name)
    sums, draws = GroupSums(case.ecg, method.stretch(case.task)), method._begin(case.task, case.ecg, key)
    for count in counts:
        with full_float32(), torch.enable_grad():
            sums.add(*draws(sums.count, count - sums.count))
        yield count, sums.mean(), sums.reliability()


def measure(case: Case, reference: int, most: int) -> list[dict[str, object]]:
    """One row an estimator and count."""
    limits = {}
    for kind in (SmoothGrad, IgSmoothGrad, GradientShap):
        _, mean, reliability = list(curve(kind(), case, REFERENCE_SEED, [reference]))[-1]
        limits[kind.name] = smoothed(mean)[0], float(np.sqrt(reliability))
    rows: list[dict[str, object]] = []
    for name, method in ESTIMATORS.items():
        limit, attenuation = limits[method.name]
        for count, mean, reliability in curve(method, case, 0, counts_of(name, most)):
            rho = float(torch.nn.functional.cosine_similarity(smoothed(mean)[0], limit, dim=0)) / attenuation
            rows.append(
                {
                    "case": case.name,
                    "estimator": name,
                    "passes": passes_of(name, count),
                    "draws": count,
                    "rho": rho,
                    "foretold": float(np.sqrt(reliability)),
                    "default": count == method.n_samples,
                }
            )
    fine = smoothed(IntegratedGradients(n_steps=96)(case.task, case.ecg, [RandomKey()]))[0]
    for nodes in NODES:
        coarse = smoothed(IntegratedGradients(n_steps=nodes)(case.task, case.ecg, [RandomKey()]))[0]
        rho = float(torch.nn.functional.cosine_similarity(coarse, fine, dim=0))
        head = {"case": case.name, "estimator": "integrated_gradients"}
        rows.append(head | {"passes": nodes, "draws": nodes, "rho": rho})
    return rows


def passes_to(table: pd.DataFrame, target: float) -> float:
    """Passes at which the median over ECGs reaches a correlation, by interpolation of log(1 - rho) over log(passes)."""
    median = table.groupby("passes")["rho"].median()
    missing, passes = np.log(1 - median.to_numpy().clip(max=1 - 1e-9)), np.log(median.index.to_numpy(dtype=float))
    reached = np.flatnonzero(median.to_numpy() >= target)
    if not len(reached):
        return float("nan")
    k = reached[0]
    if k == 0:
        return float(median.index[0])
    share = (np.log(1 - target) - missing[k - 1]) / (missing[k] - missing[k - 1])
    return float(np.exp(passes[k - 1] + share * (passes[k] - passes[k - 1])))


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Passes to .95, .99 and .999; at the default draws the median, the worst decile and the RMSE of the forecast."""
    rows = []
    for name, part in table.groupby("estimator", sort=False):
        default = part[part["default"].fillna(False).astype(bool)]
        row = {"estimator": name} | {f"to_{target}": passes_to(part, target) for target in (0.95, 0.99, 0.999)}
        if len(default):
            miss = default["foretold"] - default["rho"]
            row |= {
                "default_passes": int(default["passes"].iloc[0]),
                "median": default["rho"].median(),
                "worst_decile": default["rho"].quantile(0.1),
                "rmse": float(np.sqrt((miss**2).mean())),
            }
        rows.append(row)
    return pd.DataFrame(rows).set_index("estimator")


def picture(table: pd.DataFrame, path: Path) -> None:
    """One panel a method, 1 - rho against passes, both logarithmic."""
    methods = list(dict.fromkeys(name.split()[0] for name in table["estimator"]))
    figure, panels = plt.subplots(1, len(methods), figsize=(3.2 * len(methods), 3.4), sharey=True, layout="constrained")
    for axes, method in zip(panels, methods, strict=True):
        names = [name for name in table["estimator"].unique() if name.split()[0] == method]
        for number, name in enumerate(names):
            part = table[table["estimator"] == name].groupby("passes")["rho"].quantile([0.5, 0.1]).unstack()
            label = name.partition(" ")[2] or "Gauss-Legendre"
            axes.loglog(part.index, 1 - part[0.5], "o-", color=f"C{number}", label=label, markersize=3)
            axes.loglog(part.index, 1 - part[0.1], ":", color=f"C{number}")
        axes.axhline(0.01, color="0.6", linewidth=0.8, zorder=0)
        axes.set_title(method.replace("_", " "), fontsize=9)
        axes.set_xlabel("gradient passes an ECG", fontsize=8)
        axes.legend(fontsize=7, frameon=False, title="solid: median, dotted: worst decile", title_fontsize=6)
        axes.spines[["top", "right"]].set_visible(False)
    shown = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3]
    panels[0].set_yticks(shown, [f"{1 - tick:g}" for tick in shown])
    panels[0].minorticks_off()
    panels[0].invert_yaxis()
    panels[0].set_ylabel("correlation with the converged map", fontsize=8)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def with_backgrounds(case: Case, caches: Sequence[Path]) -> Case:
    """The case's network with 20 backgrounds of the first cache."""
    cache = BeatCache.open(caches[0])
    rows = np.linspace(0, len(cache) - 1, 20).astype(np.intp)
    task = prepare_task(case.task.network.network, torch.from_numpy(cache.read_beats(rows)))
    return Case(case.name, task, case.ecg)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, help="a network that the command line has trained")
    parser.add_argument("--multilabel", type=Path, help="a nine-output network of multilabel.py")
    parser.add_argument("--cache", type=Path, action="append", required=True)
    parser.add_argument("--each", type=int, default=1, help="ECGs with and without the diagnosis, of every cache")
    parser.add_argument("--reference", type=int, default=2000, help="draws of the reference")
    parser.add_argument("--most", type=int, default=480, help="passes at most")
    parser.add_argument("--out", type=Path, default=Path("convergence"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, object]] = []
    for case in cases(options.checkpoint, options.multilabel, options.cache, options.each):
        rows += measure(with_backgrounds(case, options.cache), options.reference, options.most)
        print(case.name, flush=True)
        pd.DataFrame(rows).to_csv(options.out / "cases.csv", index=False)
    table = pd.DataFrame(rows)
    found = summary(table)
    found.to_csv(options.out / "summary.csv")
    picture(table, options.out / "convergence.png")
    print(f"{table['case'].nunique()} ECGs; bars: passes to .99 at most {BARS}")
    print(found.round(4).to_string())


if __name__ == "__main__":
    main()
