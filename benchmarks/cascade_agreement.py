"""Do two disjoint sets of draws of random networks give the same verdicts?

Usage: ``OMP_NUM_THREADS=1 python benchmarks/cascade_agreement.py [--folder /tmp/agreement] [--draws 10] [--ecgs 24]
[--seeds 3]``

Small networks (three diagnoses) are trained on simulated ECGs as the quickstart does, and tested by
``RandomizationCascade`` with twice the draws, cheap methods only. Each half of the draws goes through
``ecg_lightning.verdicts`` by itself, network by network. Bar: of the method x network pairs that neither half leaves at
"can't tell", at least 95 % get the same verdict. A folder that is kept is measured again in seconds.
"""

import argparse
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
import pandas as pd
import torch
from lightning import Trainer

from callbacks import AttributionMaps, LogitsAndMetrics
from callbacks.randomization_cascade import RandomizationCascade
from ecg_lightning.attribution.methods import SmoothGrad
from ecg_lightning.data.datamodule import EcgDataModule
from ecg_lightning.data.sources import Synthetic
from ecg_lightning.ecg import Target
from ecg_lightning.experiments.randomization.checks import comparisons
from ecg_lightning.experiments.randomization.draws import BASIS
from ecg_lightning.models import EcgClassifier, ResNet1d
from ecg_lightning.runs.run import Run, open_run
from ecg_lightning.runs.target_runs import TargetRuns
from ecg_lightning.storage.store import RowStore, StoreSpec
from ecg_lightning.verdicts.decide import decide

TARGETS: Final[tuple[Target, ...]] = (
    "first_degree_av_block",
    "right_bundle_branch_block",
    "left_ventricular_hypertrophy",
)
METHODS: Final = ("saliency", "gradient_x_input", "guided_backprop", "gradcam", "guided_gradcam", "deeplift",
                  "integrated_gradients")  # fmt: skip
QUANTITIES: Final = ("partial", "magnitude")


def run_of(folder: Path, target: Target, seed: int, draws: int, ecgs: int) -> Path:
    """Train and test one network, unless it is there."""
    path = folder / "runs/agreement" / target / f"seed{seed}"
    if (path / "tables/random_networks.parquet").is_file():
        return path
    source = Synthetic(900, simulation_seed=0)
    data = EcgDataModule(
        source, target, cache_dir=str(folder / "cache"), held_out_patients=30, shuffle_seed=seed, processes=2
    )
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    torch.manual_seed(seed)
    network = ResNet1d(widths=(8, 16, 32, 64), strides=(1, 2, 2, 2))
    module = EcgClassifier(network, target, seed=seed)
    common = {"default_root_dir": path, "use_distributed_sampler": False, **quiet}
    Trainer(max_epochs=8, enable_checkpointing=False, **common).fit(module, data)
    cascade = RandomizationCascade(
        draws=2 * draws, draws_of_expensive_methods=2 * draws, depths=[9], full_repeats=3, max_examples=ecgs
    )
    maps = AttributionMaps([*METHODS, SmoothGrad(n_samples=16)])
    Trainer(callbacks=[maps, LogitsAndMetrics(), cascade], inference_mode=False, **common).test(
        module, data, verbose=False
    )
    return path


def half_of(run: Run, draws: slice, folder: Path) -> Run:
    """A run folder that holds the stores of some of the draws only."""
    path = folder / run.target / f"seed{run.seed}"
    path.mkdir(parents=True)
    run.examples.to_parquet(path / "examples.parquet")
    for quantity in QUANTITIES:
        store = run.row_store(f"{BASIS}/{quantity}")
        values = np.asarray(store.array)[:, draws]
        spec = StoreSpec(
            dims=store.spec.dims, shape=values.shape, dtype="float32", unit="correlation", settings={}, network="",
            coords={"draw": list(range(values.shape[1])), "method": list(store.spec.coords["method"])}, examples="",
        )  # fmt: skip
        part = RowStore.create(path / BASIS / quantity, spec)
        part.write(np.flatnonzero(store.done), values[store.done])
        part.merge()
        part.close()
    return open_run(path)


def states_of(run: Run) -> pd.DataFrame:
    """The verdict on each method and control of one network."""
    return decide(comparisons(TargetRuns.of(run.target, {run.seed: run}))).set_index(["target", "method"])


def main() -> None:
    """Train, test, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("/tmp/agreement"))
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--ecgs", type=int, default=24)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    pairs = []
    for target in TARGETS:
        for seed in range(options.seeds):
            run = open_run(run_of(options.folder, target, seed, options.draws, options.ecgs))
            with TemporaryDirectory() as folder:
                parts = (slice(0, options.draws), slice(options.draws, 2 * options.draws))
                first, second = (states_of(half_of(run, part, Path(folder) / str(k))) for k, part in enumerate(parts))
            again = second[["state", "effect"]].add_suffix("_again")
            both = first[["control", "state", "effect"]].join(again)
            pairs.append(both.assign(seed=seed).reset_index())
            print(f"{target}, seed {seed}: AUROC {run.metrics['auroc']['value']:.2f}", flush=True)
            print(both.droplevel("target").round(2).to_string(), flush=True)
    table = pd.concat(pairs, ignore_index=True)
    for kind, part in table.groupby("control"):
        first, again = part["state"] != "cannot_tell", part["state_again"] != "cannot_tell"
        same = part["state"] == part["state_again"]
        away = (part["effect"] - part["effect_again"]).abs().median()
        print(
            f"{'controls' if kind else 'methods'}: of {len(part)} pairs both halves of {options.draws} draws decide "
            f"{(first & again).sum()}, of which {(same & first & again).sum()} agree (bar 95 %); only one half decides "
            f"{(first ^ again).sum()}; median difference of the effect {away:.3f}"
        )


if __name__ == "__main__":
    main()
