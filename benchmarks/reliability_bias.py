"""Reliability as a run foretells it against what independent replicates correlate, of every stochastic method.

    python benchmarks/reliability_bias.py --out <folder>
    python benchmarks/reliability_bias.py --checkpoint <best.ckpt> --checkpoint <best.ckpt> --out <folder>

Without a checkpoint a small network learns first-degree AV block on simulated ECGs first (a minute). Every map is made
under ``--seeds`` attribution seeds. *Predicted*: mean of the maps' own reliabilities; *actual*: mean correlation of two
of them after Savitzky-Golay 31/3; *corrected*: their similarity divided by the roots of their reliabilities, mean over
all pairs, which is 1 where the noise of draws is taken away exactly. Over ECGs, then networks. ``bias.csv`` has one row
an ECG.

Bars: bias of every method at most .01, corrected similarity within .01 of 1.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import torch
from lightning.pytorch import Trainer, seed_everything
from simulated import FirstEcgs

from ecg_lightning.attribution import AttributionMethod, FrozenModel, RandomKey, prepare_task
from ecg_lightning.attribution.methods import GradientShap, IgSmoothGrad, ShapleySampling, SmoothGrad
from ecg_lightning.data.datamodule import EcgDataModule
from ecg_lightning.functional.similarity import disattenuated
from ecg_lightning.functional.smoothing import savitzky_golay
from ecg_lightning.models import EcgClassifier, ResNet1d

TARGET: Final = "first_degree_av_block"
BAR: Final = 0.01
METHODS: Final[dict[str, AttributionMethod]] = {
    "quickstart: 16": SmoothGrad(16),
    "default: 64": SmoothGrad(),
    "quickstart: 32": IgSmoothGrad(32),
    "default: 200": IgSmoothGrad(),
    "quickstart: 40": GradientShap(40),
    "default: 320": GradientShap(),
    "quickstart: 256 of 96 groups": ShapleySampling(n_forwards=256, group_samples=50),
    "default: 2292 of 192 groups": ShapleySampling(),
}
"""Settings in words -> method."""


def networks(checkpoints: list[Path], out: Path, n_ecgs: int) -> Iterator[tuple[str, FrozenModel, torch.Tensor]]:
    """Name, prepared network with its own backgrounds, and ECGs that it was not trained on (ecg, lead, sample) mV."""
    data = EcgDataModule(FirstEcgs(1700, evidence=False), TARGET, cache_dir=str(out / "cache"), held_out_patients=50)
    data.prepare_cache(progress=False)
    data.setup("fit")
    data.setup("test")
    rows = np.linspace(0, len(data.examples("test")) - 1, n_ecgs).astype(int).tolist()
    ecgs = data.dataset("test").__getitems__(rows)["ecg"]
    for path in checkpoints:
        model = EcgClassifier.load_from_checkpoint(path, weights_only=True, map_location="cpu")
        kept = data.backgrounds(model.backgrounds)
        yield f"{path.parts[-4]} {path.parts[-3]}", prepare_task(model.network, kept.beats), ecgs
    if not checkpoints:
        seed_everything(0)
        model = EcgClassifier(ResNet1d(widths=(8, 16, 32, 64), strides=(1, 2, 2, 2)), TARGET)
        Trainer(
            max_epochs=8, logger=False, enable_checkpointing=False, accelerator="cpu", use_distributed_sampler=False
        ).fit(model, datamodule=data)
        yield TARGET, prepare_task(model.network, data.training_backgrounds().beats), ecgs


def measure(method: AttributionMethod, task: FrozenModel, ecg: torch.Tensor, seeds: int, name: str) -> list[float]:
    """Predicted, actual and corrected of one ECG (1, lead, sample)."""
    keys = [RandomKey(seed, method=method.name, ecg_id=name) for seed in range(seeds)]
    found = method.explain(task, ecg.expand(seeds, -1, -1), keys)
    between = np.corrcoef(savitzky_golay(found.maps).flatten(1).numpy())
    first, second = np.triu_indices(seeds, 1)
    reliability = found.reliability.numpy()
    corrected = disattenuated(between[first, second], reliability[first], reliability[second])
    return [float(reliability.mean()), float(between[first, second].mean()), float(corrected.mean())]


def table_of(rows: pd.DataFrame) -> pd.DataFrame:
    """One row a method and setting."""
    columns = ["predicted", "actual", "corrected"]
    of_network = rows.groupby(["method", "settings", "network"], sort=False)[columns].mean()
    table = of_network.groupby(["method", "settings"], sort=False).mean()
    table.insert(2, "bias", table["predicted"] - table["actual"])
    each = (of_network["predicted"] - of_network["actual"]).abs()
    table["largest_of_a_network"] = each.groupby(["method", "settings"], sort=False).max()
    table["meets_bars"] = (table["bias"].abs() < BAR) & ((table["corrected"] - 1).abs() < BAR)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, action="append", default=[])
    parser.add_argument("--seeds", type=int, default=8, help="replicates of a map")
    parser.add_argument("--ecgs", type=int, default=12)
    parser.add_argument("--only", default="", help="settings that begin so, such as quickstart")
    parser.add_argument("--out", type=Path, default=Path("reliability_bias"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    rows: list[dict[str, object]] = []
    for network, task, ecgs in networks(options.checkpoint, options.out, options.ecgs):
        for settings, method in METHODS.items():
            for number in range(len(ecgs)) if settings.startswith(options.only) else ():
                values = measure(method, task, ecgs[number : number + 1], options.seeds, str(number))
                head = {"network": network, "method": method.name, "settings": settings, "ecg": number}
                rows.append(head | dict(zip(("predicted", "actual", "corrected"), values, strict=True)))
            pd.DataFrame(rows).to_csv(options.out / "bias.csv", index=False)
    print(f"{options.ecgs} ECGs, {options.seeds} seeds; bars: |bias| and |corrected - 1| below {BAR:g}")
    print(table_of(pd.DataFrame(rows)).round(4).to_string())


if __name__ == "__main__":
    main()
