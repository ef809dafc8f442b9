"""Do the maps that promise to sum to f(ecg) - f(baseline) keep the promise?"""

from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_warn

from callbacks.attribution_maps import AttributionMaps
from callbacks.ranks import close_store, on_rank_zero, open_derived_store, run_folder
from ecg_lightning.attribution.task import in_chunks
from ecg_lightning.store import RowStore, StoreSpec

DELTA, EXPECTED = 0, 1


class Completeness(Callback):
    """Checks the completeness of IG, DeepLIFT, DeepLIFT-SHAP and Shapley values on every ECG.

    Writes ``scores/completeness/`` (n, method, quantity): ``delta`` = the map's sum minus what it should be,
    and ``expected`` = f(ecg) - f(baseline), both in logits. Logs median and maximum of |delta| over the median
    |expected|, and warns where the median is over the tolerance: DeepLIFT breaks silently on functional or
    reused activations (Sundararajan et al. 2017 for the axiom).

    Args:
        tolerance: Of median |delta| / median |expected|.
    """

    def __init__(self, tolerance: float = 0.05) -> None:
        super().__init__()
        if not tolerance > 0:
            raise ValueError(f"tolerance must be positive, got {tolerance}")
        self.tolerance = tolerance
        self.store: RowStore | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Find the maps' callback."""
        if stage == "test":
            self.maps = maps_before(trainer, self)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Open the store, if any method makes the promise."""
        self.methods = [method for method in self.maps.methods if method.complete]
        if not self.methods:
            return
        names = [method.name for method in self.methods]
        stores = [self.maps.stores[name] for name in names]
        spec = StoreSpec(
            dims=("row", "method", "quantity"),
            shape=(len(stores[0]), len(names), 2),
            coords={"method": names, "quantity": ("delta", "expected")},
            dtype="float64",
            unit="logit",
            settings={"maps": [store.spec.digest for store in stores]},
            network=stores[0].spec.network,
            examples=stores[0].spec.examples,
        )
        self.baselines = [method.baseline_logit(self.maps.task) for method in self.methods]
        self.store = open_derived_store(trainer, run_folder(trainer).path / "scores" / "completeness", spec)

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
        if self.store is None or not len(self.store.missing(rows)):
            return
        values = np.empty((len(rows), len(self.methods), 2))
        with torch.no_grad():
            logit = in_chunks(self.maps.task.network, batch["ecg"], self.maps.task.chunk).double()
        for index, method in enumerate(self.methods):
            expected = logit - self.baselines[index]
            total = outputs["maps"][method.name].double().sum((1, 2))
            values[:, index, DELTA] = (total - expected).cpu().numpy()
            values[:, index, EXPECTED] = expected.cpu().numpy()
        self.store.write(rows, values)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log how well the promise is kept."""
        if self.store is not None:
            close_store(trainer, self.store)
            on_rank_zero(trainer, lambda: self._tell(pl_module))

    def _tell(self, module: LightningModule) -> None:
        if self.store is None:
            return
        values = np.abs(self.store.array[self.store.done])
        for index, method in enumerate(self.methods):
            scale = float(np.median(values[:, index, EXPECTED]))
            typical, worst = (float(f(values[:, index, DELTA])) / scale for f in (np.median, np.max))
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


def maps_before(trainer: Trainer, reader: Callback) -> AttributionMaps:
    """The AttributionMaps callback that stands before a callback that reads maps.

    Raises:
        ValueError: There is none, or it comes later.
    """
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    for callback in callbacks[: callbacks.index(reader)]:
        if isinstance(callback, AttributionMaps):
            return callback
    raise ValueError(
        f"{type(reader).__name__} reads the maps that AttributionMaps computes: put an AttributionMaps before it in "
        "the trainer's `callbacks`"
    )
