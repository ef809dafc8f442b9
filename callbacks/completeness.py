"""Do the maps that promise to sum to f(ecg) - f(baseline) keep the promise?"""

from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_warn

from callbacks.attribution_maps import AttributionMaps
from callbacks.ranks import callback_before, close_store, on_rank_zero, open_derived_store, run_folder
from ecg_lightning.attribution.task import in_chunks
from ecg_lightning.models.precision import full_float32
from ecg_lightning.store import RowStore, StoreSpec

QUANTITIES = ("delta", "expected")


class Completeness(Callback):
    """Checks the completeness of IG, DeepLIFT, DeepLIFT-SHAP and Shapley values on every ECG.

    Writes ``scores/completeness_delta/`` (n, method), the map's sum minus what it should be, and
    ``scores/completeness_expected/`` (n, method), f(ecg) - f(baseline), both in logits. Logs median and maximum of
    |delta| over the median |expected|, and warns where the median is over the tolerance: DeepLIFT breaks silently
    on functional or reused activations (Sundararajan et al. 2017 for the axiom).

    Args:
        tolerance: Of median |delta| / median |expected|.
    """

    def __init__(self, tolerance: float = 0.05) -> None:
        super().__init__()
        if not tolerance > 0:
            raise ValueError(f"tolerance must be positive, got {tolerance}")
        self.tolerance = tolerance
        self.stores: dict[str, RowStore] = {}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Find the maps' callback."""
        if stage == "test":
            self.maps = callback_before(trainer, self, AttributionMaps)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Open the store, if any method makes the promise."""
        self.methods = [method for method in self.maps.methods if method.complete]
        if not self.methods:
            return
        names = [method.name for method in self.methods]
        stores = [self.maps.stores[name] for name in names]
        spec = StoreSpec(
            dims=("row", "method"),
            shape=(len(stores[0]), len(names)),
            coords={"method": names},
            dtype="float64",
            unit="logit",
            settings={"maps": [store.spec.digest for store in stores]},
            network=stores[0].spec.network,
            examples=stores[0].spec.examples,
        )
        folder = run_folder(trainer).path / "scores"
        self.stores = {name: open_derived_store(trainer, folder / f"completeness_{name}", spec) for name in QUANTITIES}
        self.baselines = [method.baseline_logit(self.maps.task) for method in self.methods]

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Compare each map's sum with the logits."""
        rows = outputs["row"].cpu().numpy()
        if not any(len(store.missing(rows)) for store in self.stores.values()):
            return
        with torch.no_grad(), full_float32():
            logit = in_chunks(self.maps.task.network, batch["ecg"], self.maps.task.chunk).cpu().double()
        expected = logit[:, None] - torch.tensor(self.baselines, dtype=torch.float64)
        sums = [outputs["maps"][method.name].cpu().double().sum((1, 2)) for method in self.methods]
        self.stores["delta"].write(rows, (torch.stack(sums, dim=1) - expected).numpy())
        self.stores["expected"].write(rows, expected.numpy())

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log how well the promise is kept."""
        for store in self.stores.values():
            close_store(trainer, store)
        if self.stores:
            on_rank_zero(trainer, lambda: self._tell(pl_module))

    def _tell(self, module: LightningModule) -> None:
        delta, expected = (
            np.abs(np.asarray(self.stores[name].array)[self.stores["expected"].done]) for name in QUANTITIES
        )
        for index, method in enumerate(self.methods):
            scale = float(np.median(expected[:, index])) if len(expected) else 0.0
            # a network whose logit never moves keeps any promise, and none
            shares = delta[:, index] / scale if scale > 0 else np.array([np.nan])
            typical, worst = float(np.median(shares)), float(np.max(shares))
            module.log_dict(
                {f"completeness/{method.name}/median": typical, f"completeness/{method.name}/max": worst},
                rank_zero_only=True,
            )
            if not typical <= self.tolerance:
                rank_zero_warn(
                    f"{method.name}: the maps' sums miss f(ecg) - f(baseline) by {typical:.1%} in the median ECG "
                    f"(at most {self.tolerance:.1%} was expected): more steps, or look for functional, reused or "
                    "per-call activations and max pooling in the network"
                )
