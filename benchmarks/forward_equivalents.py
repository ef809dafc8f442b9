"""What the suite of twelve costs at a median correlation of .99 with its limit: Captum's estimators and ours.

    python benchmarks/forward_equivalents.py --convergence <folder> ... --shapley <folder> ... --checkpoint <best.ckpt>

The folders are those that ``convergence.py`` and ``shapley_estimators.py`` wrote for the same networks and ECGs; their
ECGs are pooled. For each stochastic method either side is counted at the passes where its median over ECGs reaches
.99, by interpolation; a number that is only known to be at most or at least so large is marked.

Unit: one forward pass of one ECG through the network as it was trained. Passes are counted twice: all alike, an input
gradient as 2.2 forwards; and at their measured cost in that unit (``--checkpoint``), Captum's through the network as it
is, ours through the prepared copy (BatchNorms folded, channels last), in turns, medians.

Bars: at least 4 times fewer than Captum for all twelve, 7 times without Shapley.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

import pandas as pd
import torch
from convergence import passes_to

from ecg_lightning.attribution import prepare_task
from ecg_lightning.models.classifier import EcgClassifier

TARGET: Final = 0.99
BACKGROUNDS: Final = 20
PASS_SIZE: Final = 32
STOCHASTIC: Final = {
    "smoothgrad": ("smoothgrad independent", "smoothgrad antithetic"),
    "ig_smoothgrad": ("ig_smoothgrad nested", "ig_smoothgrad adaptive"),
    "gradient_shap": ("gradient_shap random", "gradient_shap adaptive"),
    "integrated_gradients": ("integrated_gradients", "integrated_gradients"),
}
GUESS: Final = 24
"""Gradients of the Shapley surrogate's first guess."""


@dataclass(frozen=True)
class Units:
    """What a pass costs, in forwards of the network as it was trained.

    Attributes:
        forward: One forward pass.
        gradient: One forward and backward pass to the input.
    """

    forward: float = 1.0
    gradient: float = 2.2


def measured(checkpoint: Path, repeats: int) -> tuple[Units, Units]:
    """Units of the network as it is, and of the prepared copy."""
    network = EcgClassifier.load_from_checkpoint(checkpoint, weights_only=True, map_location="cpu").network
    network.eval().requires_grad_(False)
    ecg = torch.randn(PASS_SIZE, 8, 600)
    networks = {"plain": network, "prepared": prepare_task(network, ecg[:8]).network}
    times: dict[tuple[str, str], list[float]] = {}
    for _ in range(repeats):
        for name, one in networks.items():
            start = time.perf_counter()
            with torch.no_grad():
                one(ecg)
            middle = time.perf_counter()
            probe = ecg.clone().requires_grad_()
            torch.autograd.grad(one(probe).sum(), probe)
            times.setdefault((name, "forward"), []).append(middle - start)
            times.setdefault((name, "gradient"), []).append(time.perf_counter() - middle)
    unit = median(times["plain", "forward"])
    plain, prepared = (
        Units(*(median(times[name, kind]) / unit for kind in ("forward", "gradient"))) for name in networks
    )
    return plain, prepared


def without_draws(captum: Units, ours: Units) -> dict[str, tuple[float, float]]:
    """Cost of the methods without draws; a backward pass is a gradient less its forward pass."""
    back = ours.gradient - ours.forward
    return {
        # saliency, gradient x input, guided backprop, Grad-CAM, guided Grad-CAM (of its two passes one is to a layer):
        # ours share one forward and two backward passes
        "five of one pass": (5 * captum.gradient, ours.forward + 2 * back),
        "deeplift": (2 * captum.gradient, 2 * ours.gradient),
        # ours keep the backgrounds' forward pass
        "deeplift_shap": (2 * BACKGROUNDS * captum.gradient, ours.forward + BACKGROUNDS * back),
    }


def pooled(folders: Sequence[Path]) -> pd.DataFrame:
    """Rows of several networks and runs."""
    parts = [pd.read_csv(folder / "cases.csv").rename(columns={"forwards": "passes"}) for folder in folders]
    return pd.concat(parts, ignore_index=True)


def needed(table: pd.DataFrame, estimator: str) -> tuple[float, str]:
    """Passes to the target; "at most" where fewer were not tried, "at least" where the most that were tried are short.

    Raises:
        ValueError: The estimator isn't in the table.
    """
    tried = table[table["estimator"] == estimator]
    if tried.empty:
        raise ValueError(f"expected rows of the estimator {estimator!r} in cases.csv, found none; run its benchmark")
    passes = passes_to(tried, TARGET)
    if pd.isna(passes):
        return float(tried["passes"].max()), "at least"
    return passes, "at most" if passes == tried["passes"].min() else ""


def costs(convergence: pd.DataFrame, shapley: pd.DataFrame, captum: Units, ours: Units) -> pd.DataFrame:
    """Forward-equivalents by method and side."""
    rows: list[dict[str, object]] = [
        {"method": name, "captum": theirs, "ours": own} for name, (theirs, own) in without_draws(captum, ours).items()
    ]
    for name, pair in STOCHASTIC.items():
        row: dict[str, object] = {"method": name}
        for side, units, estimator in zip(("captum", "ours"), (captum, ours), pair, strict=True):
            passes, bound = needed(convergence, estimator)
            row |= {side: units.gradient * passes, f"{side}_passes": passes, f"{side}_bound": bound}
        rows.append(row)
    row = {"method": "shapley_sampling"}
    more = {"captum": captum.forward, "ours": 2 * ours.forward + GUESS * ours.gradient}
    for side, units, estimator in (("captum", captum, "permutation"), ("ours", ours, "surrogate")):
        passes, bound = needed(shapley, estimator)
        row |= {side: units.forward * passes + more[side], f"{side}_passes": passes, f"{side}_bound": bound}
    return pd.DataFrame([*rows, row]).set_index("method")


def report(found: pd.DataFrame) -> None:
    """The table and the two ratios."""
    print(found.round(1).to_string())
    for title, part, bar in (("twelve", found, 4), ("without Shapley", found.drop("shapley_sampling"), 7)):
        captum, ours = part["captum"].sum(), part["ours"].sum()
        differ = part[part["captum_passes"] != part["ours_passes"]]
        flattered = (differ["ours_bound"] == "at least").any() or (differ["captum_bound"] == "at most").any()
        print(
            f"{title}: Captum {captum:,.0f}, ours {ours:,.0f}: {captum / ours:.1f} times fewer (bar {bar})"
            + ("; a bound above makes it look better than it is" if flattered else "")
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--convergence", type=Path, nargs="+", required=True)
    parser.add_argument("--shapley", type=Path, nargs="+", required=True)
    parser.add_argument("--checkpoint", type=Path, help="whose passes are timed")
    parser.add_argument("--repeats", type=int, default=15)
    options = parser.parse_args()
    convergence, shapley = pooled(options.convergence), pooled(options.shapley)
    print(f"{convergence['case'].nunique()} and {shapley['case'].nunique()} ECGs; cost of a median of {TARGET}")
    print("\npasses counted, a gradient as 2.2 forwards")
    report(costs(convergence, shapley, Units(), Units()))
    if options.checkpoint:
        captum, ours = measured(options.checkpoint, options.repeats)
        print(f"\npasses at their measured cost: Captum's {captum}, ours {ours}")
        report(costs(convergence, shapley, captum, ours))


if __name__ == "__main__":
    main()
