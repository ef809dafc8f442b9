"""Attribution maps of every test ECG, computed once, published to the other callbacks, and kept on disk."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn
from rich.console import Console
from rich.table import Table
from torch import Tensor

from callbacks.ranks import (
    classifier_of,
    close_store,
    datamodule_of,
    identity,
    on_rank_zero,
    open_store,
    run_folder,
)
from ecg_lightning.atomic import write_parquet_atomic
from ecg_lightning.attribution import AttributionMethod, MethodName, RandomKey, build_methods, prepare_task
from ecg_lightning.attribution.cost import MethodCost, estimate, measure_passes
from ecg_lightning.data.backgrounds import Backgrounds
from ecg_lightning.data.datamodule import EcgDataModule
from ecg_lightning.digest import JSON, digest_array_rows
from ecg_lightning.ecg import LEADS
from ecg_lightning.functional.maps import count_unusable
from ecg_lightning.models.classifier import EcgClassifier
from ecg_lightning.run_layout import OnMismatch
from ecg_lightning.store import RowStore, StoreSpec


class AttributionMaps(Callback):
    """Computes the maps of the test ECGs and puts them in ``outputs["maps"]``, name -> (batch, lead, sample).

    Stands before every callback that reads maps. Rows that are in their store already are read from there, so
    that a killed run resumes, and a callback can be added to a finished run without computing a map again.

    Args:
        methods: Names of the twelve methods (default hyperparameters), or objects; None: all twelve.
        attribution_seed: Another seed gives another Monte-Carlo replicate of the stochastic maps.
        dtype: Of the stores; ``float16`` halves them and keeps 3 digits.
        memory_budget_mb: What one pass may take (MB).
        gradcam_layer: Dotted name of the module that Grad-CAM reads; None: the network's ``gradcam_layer``.
        on_mismatch: What to do with a store of other settings: ``error``, or ``replace``: move it aside.

    Raises:
        ValueError: An unknown method, or one listed twice.
    """

    def __init__(
        self,
        methods: Sequence[MethodName | AttributionMethod] | None = None,
        attribution_seed: int = 0,
        dtype: Literal["float32", "float16"] = "float32",
        memory_budget_mb: float = 1024.0,
        gradcam_layer: str | None = None,
        on_mismatch: OnMismatch = "error",
    ) -> None:
        super().__init__()
        self.methods = build_methods(methods)
        self.attribution_seed = attribution_seed
        self.dtype: Literal["float32", "float16"] = dtype
        self.memory_budget_mb = memory_budget_mb
        self.gradcam_layer = gradcam_layer
        self.on_mismatch: OnMismatch = on_mismatch
        self.stores: dict[str, RowStore] = {}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse what can't work before anything is computed."""
        if stage == "test":
            datamodule_of(trainer, "AttributionMaps")
            classifier_of(pl_module, "AttributionMaps")

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Freeze a copy of the network, open the stores, say what it will cost."""
        module = classifier_of(pl_module, "AttributionMaps")
        datamodule = datamodule_of(trainer, "AttributionMaps")
        self.ecg_ids = datamodule.examples("test")["ecg_id"].tolist()
        backgrounds = self._backgrounds(module, datamodule)
        self.task = prepare_task(
            module.network,
            backgrounds.beats.to(module.device),
            memory_budget_mb=self.memory_budget_mb,
            gradcam_layer=self.gradcam_layer,
        )
        self.training_seed = module.seed
        self._try_methods()
        content = digest_array_rows(backgrounds.beats.numpy(), backgrounds.ecg_ids)
        self.stores = self._open_stores(trainer, module, {"ecg_ids": backgrounds.ecg_ids, "content": content})
        self._tell_cost(trainer)

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Publish the batch's maps; those that are not in their store are computed first."""
        rows = outputs["row"].cpu().numpy()
        outputs["maps"] = {
            method.name: self._maps(method, self.stores[method.name], batch["ecg"], rows) for method in self.methods
        }

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Unite the ranks' rows; count maps that are constant or not finite."""
        for store in self.stores.values():
            close_store(trainer, store)
        on_rank_zero(trainer, lambda: self._count_unusable(trainer, pl_module))

    def _backgrounds(self, module: EcgClassifier, datamodule: EcgDataModule) -> Backgrounds:
        """Reference ECGs where a method needs them; else one test ECG, whose shape is all that matters then."""
        if any(method.uses_backgrounds for method in self.methods):
            return datamodule.backgrounds(module.backgrounds)
        return Backgrounds(datamodule.dataset("test")[0]["ecg"], self.ecg_ids[:1], datamodule.source.name)

    def _try_methods(self) -> None:
        """One map of each cheap method: what can't work is told before hours are spent and stores are made."""
        for method in self.methods:
            method.resolved_settings(self.task)
            if method.single_pass:
                method(self.task, self.task.backgrounds[:1], [RandomKey()])

    def _open_stores(self, trainer: Trainer, module: EcgClassifier, backgrounds: JSON) -> dict[str, RowStore]:
        network, examples, common = identity(module, datamodule_of(trainer, "AttributionMaps"))
        shape = (len(self.ecg_ids), *(int(length) for length in self.task.backgrounds.shape[1:]))
        leads = LEADS if shape[1] == len(LEADS) else tuple(str(lead) for lead in range(shape[1]))
        stores = {}
        for method in self.methods:
            spec = StoreSpec(
                dims=("row", "lead", "sample"),
                shape=shape,
                coords={"lead": leads},
                dtype=self.dtype,
                unit=method.unit,
                settings={**common, **self._settings(method, backgrounds)},
                network=network,
                examples=examples,
            )
            path = run_folder(trainer).path / "maps" / method.name
            stores[method.name] = open_store(trainer, path, spec, self.on_mismatch)
        return stores

    def _settings(self, method: AttributionMethod, backgrounds: JSON) -> dict[str, JSON]:
        """What determines this method's rows, and nothing else: a new background must not redo Shapley values."""
        settings = method.resolved_settings(self.task) | {"precision": str(self.task.backgrounds.dtype)}
        if method.stochastic:
            settings |= {"attribution_seed": self.attribution_seed, "training_seed": self.training_seed}
        if method.uses_backgrounds:
            settings["backgrounds"] = backgrounds
        return settings

    def _maps(self, method: AttributionMethod, store: RowStore, ecg: Tensor, rows: np.ndarray[Any, Any]) -> Tensor:
        missing = set(store.missing(rows).tolist())
        todo = [index for index, row in enumerate(rows.tolist()) if row in missing]
        # one write a map where a map is dear, so that a kill costs one map at most
        step = len(todo) if method.single_pass else 1
        for start in range(0, len(todo), max(step, 1)):
            part = todo[start : start + step]
            keys = [self._key(method, int(rows[index])) for index in part]
            maps = method(self.task, ecg[part], keys).cpu()
            store.write(rows[part], (maps if maps.dtype == torch.float64 else maps.float()).numpy())
        return torch.from_numpy(store.read(rows)).to(ecg.device, torch.float32)

    def _key(self, method: AttributionMethod, row: int) -> RandomKey:
        return RandomKey(self.attribution_seed, self.training_seed, method.name, self.ecg_ids[row])

    def _tell_cost(self, trainer: Trainer) -> None:
        missing = [len(self.stores[method.name].missing()) for method in self.methods]
        if not any(missing):
            rank_zero_info("Attribution: every map is in its store already; none is computed.")
            return
        seconds = measure_passes(self.task)
        share = [-(-number // trainer.world_size) for number in missing]
        costs = estimate(self.methods, share, self.task, seconds)
        if trainer.is_global_zero:
            gigabytes = sum(store.spec.row_bytes * len(store) for store in self.stores.values()) / 1e9
            Console().print(_cost_table(costs, trainer.world_size, gigabytes))

    def _count_unusable(self, trainer: Trainer, module: LightningModule) -> None:
        counts = {name: count_unusable(store.array, store.done) for name, store in self.stores.items()}
        table = pd.DataFrame(
            [
                {"method": method.name, "unit": method.unit, "signed": method.signed, **counts[method.name]._asdict()}
                for method in self.methods
            ]
        )
        write_parquet_atomic(run_folder(trainer).path / "tables" / "maps.parquet", table)
        totals = table[["done", "constant", "not_finite"]].sum()
        module.log_dict({f"maps/{name}": float(total) for name, total in totals.items()}, rank_zero_only=True)
        for name, count in counts.items():
            if count.constant or count.not_finite:
                rank_zero_warn(
                    f"{name}: of {count.done} maps {count.constant} are constant and {count.not_finite} are not "
                    "finite; they have no correlation and are left out of every average"
                    + ("; `rectified: false` keeps the sign of the CAM" if name == "guided_gradcam" else "")
                )


def _cost_table(costs: Sequence[MethodCost], ranks: int, gigabytes: float) -> Table:
    total = sum(cost.seconds for cost in costs)
    table = Table(
        title=f"Attribution: about {_duration(total)} ({ranks} ranks), {gigabytes:.2f} GB on disk",
        caption="maps to compute a rank; passes a map; maps x passes x the measured time of a pass",
    )
    for column in ("method", "maps", "forwards", "gradients", "time"):
        table.add_column(column, justify="left" if column == "method" else "right")
    for cost in costs:
        table.add_row(
            cost.method, f"{cost.maps:,}", f"{cost.forwards:,}", f"{cost.gradients:,}", _duration(cost.seconds)
        )
    return table


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"
