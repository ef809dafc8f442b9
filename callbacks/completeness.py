"""Do the maps that promise to sum to f(ecg) - f(baseline) keep the promise?"""

from typing import Any

import numpy as np
import pandas as pd
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor

from callbacks.attribution_maps import AttributionMaps
from callbacks.audit_results import AuditResults
from callbacks.current_run import callback_before, classifier_of, on_rank_zero, open_derived_store, run_folder
from callbacks.test_seal import close_store
from ecg_lightning.attribution.task import in_chunks
from ecg_lightning.models.own_statistics import has_own_statistics
from ecg_lightning.models.precision import full_float32
from ecg_lightning.storage.store import RowStore, StoreSpec
from ecg_lightning.verdicts.preconditions import COMPLETENESS_TOLERANCE

QUANTITIES = ("delta", "expected")


class Completeness(Callback):
    """Checks the completeness of IG, DeepLIFT, DeepLIFT-SHAP and Shapley values on every ECG.

    Writes ``scores/completeness_delta/`` (n, method), the map's sum minus what it should be, and
    ``scores/completeness_expected/`` (n, method), f(ecg) - f(baseline), both in logits. Median and maximum of
    |delta| over the median |expected| are logged and kept in ``tables/completeness.parquet``, with a warning where the
    median is over the tolerance: DeepLIFT breaks silently on functional or reused activations (Sundararajan et al. 2017
    for the axiom), and integrated gradients may need more steps.

    Args:
        tolerance: Of median |delta| / median |expected|.
    """

    def __init__(self, tolerance: float = COMPLETENESS_TOLERANCE) -> None:
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
            unit=classifier_of(pl_module, "Completeness").target_info.output_unit("logit"),
            settings={"maps": [store.spec.digest for store in stores]},
            network=stores[0].spec.network,
            examples=stores[0].spec.examples,
        )
        folder = run_folder(trainer).path / "scores"
        self.stores = {name: open_derived_store(trainer, folder / f"completeness_{name}", spec) for name in QUANTITIES}
        # the same for all ECGs, but where each ECG's own statistics are held
        self.baselines = None if has_own_statistics(self.maps.task.network) else self._baselines(torch.zeros(1))

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
        expected = logit[:, None] - (self._baselines(batch["ecg"]) if self.baselines is None else self.baselines)
        sums = [outputs["maps"][method.name].cpu().double().sum((1, 2)) for method in self.methods]
        self.stores["delta"].write(rows, (torch.stack(sums, dim=1) - expected).numpy())
        self.stores["expected"].write(rows, expected.numpy())

    def _baselines(self, ecg: Tensor) -> Tensor:
        """(ecg, method) f(baseline)."""
        return torch.stack([method.baseline_logits(self.maps.task, ecg) for method in self.methods], dim=1)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Tell how well the promise is kept."""
        for store in self.stores.values():
            close_store(trainer, store)
        if self.stores:
            on_rank_zero(trainer, lambda: self._tell(trainer, pl_module))

    def _tell(self, trainer: Trainer, module: LightningModule) -> None:
        table = self._table()
        AuditResults(trainer).table("completeness", table)
        for row in table.to_dict("records"):
            shares = {f"completeness/{row['method']}/{name}": float(row[name]) for name in ("median", "max")}
            module.log_dict(shares, rank_zero_only=True)
            if not row["holds"]:
                rank_zero_warn(
                    f"{row['method']}: the maps' sums miss f(ecg) - f(baseline) by {row['median']:.1%} in the median "
                    f"of {row['n_ecgs']} ECGs (at most {self.tolerance:.1%} was expected): more steps, or look for "
                    "functional, reused or per-call activations and max pooling in the network"
                )

    def _table(self) -> pd.DataFrame:
        """``method, median, max, tolerance, n_ecgs, holds``: |delta| as a share of the median |expected|."""
        done = np.flatnonzero(self.stores["delta"].done & self.stores["expected"].done)
        delta, expected = (np.abs(self.stores[name].read(done)) for name in QUANTITIES)
        rows = []
        for index, method in enumerate(self.methods):
            known = np.isfinite(delta[:, index]) & np.isfinite(expected[:, index])
            scale = float(np.median(expected[known, index])) if known.any() else 0.0
            # a network whose logit never moves keeps any promise, and none
            shares = delta[known, index] / scale if scale > 0 else np.array([np.nan])
            typical, worst = float(np.median(shares)), float(np.max(shares))
            rows.append((method.name, typical, worst, self.tolerance, int(known.sum()), typical <= self.tolerance))
        return pd.DataFrame(rows, columns=["method", "median", "max", "tolerance", "n_ecgs", "holds"])
