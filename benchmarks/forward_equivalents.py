"""What the suite of twelve costs at a median correlation of .99 with its limit: Captum's estimators and ours.

    python benchmarks/forward_equivalents.py --convergence <folder> ... --shapley <folder> ...

The folders are those that ``convergence.py`` and ``shapley_estimators.py`` wrote for the same networks and ECGs; their
ECGs are pooled. For each stochastic method either side is counted at the passes where its median over ECGs reaches
.99, by interpolation; where the fewest that were tried are above it, at those, which is said. Unit: one forward pass of
one ECG; an input gradient is 2.2. Folding of BatchNorms and everything else that makes a pass cheaper is not counted.

Bars: at least 4 times fewer than Captum for all twelve, 7 times without Shapley.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pandas as pd
from convergence import passes_to

TARGET: Final = 0.99
GRADIENT: Final = 2.2
BACKGROUNDS: Final = 20
FIXED: Final[dict[str, tuple[float, float]]] = {
    # saliency, gradient x input, guided backprop, Grad-CAM, guided Grad-CAM: ours share a forward and two backward ones
    "five of one pass": (10.8, 3.4),
    "deeplift": (4.4, 4.4),
    # ours keep the backgrounds' forward pass
    "deeplift_shap": (4.4 * BACKGROUNDS, 1.0 + 1.2 * BACKGROUNDS),
}
"""Captum's and our forwards of the methods without draws, as counted in the prototype's measurements."""

STOCHASTIC: Final = {
    "smoothgrad": ("smoothgrad independent", "smoothgrad antithetic"),
    "ig_smoothgrad": ("ig_smoothgrad nested", "ig_smoothgrad adaptive"),
    "gradient_shap": ("gradient_shap random", "gradient_shap adaptive"),
    "integrated_gradients": ("integrated_gradients", "integrated_gradients"),
}
GUESS: Final = 24 * GRADIENT + 2
"""What the surrogate takes beside its coalitions: integrated gradients, and the two ends."""


def pooled(folders: Sequence[Path]) -> pd.DataFrame:
    """Rows of several networks; a case is named by its folder too."""
    parts = []
    for folder in folders:
        part = pd.read_csv(folder / "cases.csv").rename(columns={"forwards": "passes"})
        parts.append(part.assign(case=folder.name + " " + part["case"]))
    return pd.concat(parts, ignore_index=True)


def needed(table: pd.DataFrame, estimator: str) -> tuple[float, bool]:
    """Passes to the target; and whether fewer were not tried."""
    part = table[table["estimator"] == estimator]
    passes = passes_to(part, TARGET)
    return passes, passes == part["passes"].min()


def costs(convergence: pd.DataFrame, shapley: pd.DataFrame) -> pd.DataFrame:
    """Forward-equivalents by method and side."""
    rows = [{"method": name, "captum": captum, "ours": ours} for name, (captum, ours) in FIXED.items()]
    for name, pair in STOCHASTIC.items():
        row: dict[str, object] = {"method": name}
        for side, estimator in zip(("captum", "ours"), pair, strict=True):
            passes, fewest = needed(convergence, estimator)
            row |= {side: GRADIENT * passes, f"{side}_passes": passes, f"{side}_fewest_tried": fewest}
        rows.append(row)
    row = {"method": "shapley_sampling"}
    for side, estimator, more in (("captum", "permutation", 1.0), ("ours", "surrogate", GUESS)):
        passes, fewest = needed(shapley, estimator)
        row |= {side: passes + more, f"{side}_passes": passes, f"{side}_fewest_tried": fewest}
    return pd.DataFrame([*rows, row]).set_index("method")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--convergence", type=Path, nargs="+", required=True)
    parser.add_argument("--shapley", type=Path, nargs="+", required=True)
    options = parser.parse_args()
    convergence, shapley = pooled(options.convergence), pooled(options.shapley)
    found = costs(convergence, shapley)
    print(f"{convergence['case'].nunique()} and {shapley['case'].nunique()} ECGs; forwards to a median of {TARGET}")
    print(found.round(1).to_string())
    for title, part, bar in (("twelve", found, 4), ("without Shapley", found.drop("shapley_sampling"), 7)):
        captum, ours = part["captum"].sum(), part["ours"].sum()
        print(f"{title}: Captum {captum:,.0f}, ours {ours:,.0f}: {captum / ours:.1f} times fewer (bar {bar})")


if __name__ == "__main__":
    main()
