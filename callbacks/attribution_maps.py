"""Attribution maps of every test ECG, computed once, published to the other callbacks, and kept on disk."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn
from rich.console import Console
from torch import Tensor

from callbacks.attribution_report import cost_table, maps_table, warnings_of
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
from ecg_lightning.attribution.cost import estimate, measure_passes
from ecg_lightning.attribution.shared import shareable, shared_maps
from ecg_lightning.attribution.task import Precision
from ecg_lightning.data.backgrounds import Backgrounds
from ecg_lightning.data.datamodule import EcgDataModule
from ecg_lightning.digest import JSON, digest_array_rows
from ecg_lightning.ecg import LEADS
from ecg_lightning.models.classifier import EcgClassifier
from ecg_lightning.run_layout import OnMismatch
from ecg_lightning.store import RowStore, StoreSpec


class AttributionMaps(Callback):
    """Computes the maps of the test ECGs and puts them in ``outputs["maps"]``, name -> (batch, lead, sample).

    Stands before every callback that reads maps. Rows that are in their store already are read from there, so
    that a killed run resumes, and a callback can be added to a finished run without computing a map again. The
    reliability of each stochastic map (see :func:`ecg_lightning.functional.reliability.split_reliability`) is kept in
    ``reliability/<method>/``.

    Args:
        methods: Names of the twelve methods (default hyperparameters), or objects; None: all twelve.
        attribution_seed: Another seed gives another Monte-Carlo replicate of the stochastic maps.
        dtype: Of the stores; ``float16`` halves them and keeps 3 digits.
        memory_budget_mb: What one pass may take (MB).
        gradcam_layer: Dotted name of the module that Grad-CAM reads; None: the network's ``gradcam_layer``.
        precision: Of the passes of the sampling methods: ``bfloat16`` is up to twice as fast where the hardware has it;
            its maps correlate above .998 with those of float32, and depend on the batch that they were computed in.
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
        precision: Precision = "float32",
        on_mismatch: OnMismatch = "error",
    ) -> None:
        super().__init__()
        self.methods = build_methods(methods)
        self.attribution_seed = attribution_seed
        self.dtype: Literal["float32", "float16"] = dtype
        self.memory_budget_mb = memory_budget_mb
        self.gradcam_layer = gradcam_layer
        self.precision: Precision = precision
        self.on_mismatch: OnMismatch = on_mismatch
        self.stores: dict[str, RowStore] = {}
        self.reliability: dict[str, RowStore] = {}
        self.shared: tuple[str, ...] = ()

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
            keep=[str(layer) for method in self.methods if (layer := getattr(method, "layer", None))],
            precision=self.precision,
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
        self._share_passes(batch["ecg"], rows)
        outputs["maps"] = {
            method.name: self._maps(method, self.stores[method.name], batch["ecg"], rows) for method in self.methods
        }

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Unite the ranks' rows; count maps that are constant, not finite, or less reliable than asked for."""
        for store in (*self.reliability.values(), *self.stores.values()):
            close_store(trainer, store)
        on_rank_zero(trainer, lambda: self._summarise(trainer, pl_module))

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
        family = shareable(self.methods)
        try:
            self.shared = tuple(shared_maps(family, self.task, self.task.backgrounds[:1])) if len(family) > 1 else ()
        except ValueError as error:
            self.shared = ()
            rank_zero_warn(f"{', '.join(one.name for one in family)} share no passes on this network: {error}")

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
            path = run_folder(trainer).path
            stores[method.name] = open_store(trainer, path / "maps" / method.name, spec, self.on_mismatch)
            if method.stochastic:
                alone = replace(spec, dims=("row",), shape=shape[:1], coords={}, dtype="float32", unit="correlation")
                store = open_store(trainer, path / "reliability" / method.name, alone, self.on_mismatch)
                self.reliability[method.name] = store
        return stores

    def _settings(self, method: AttributionMethod, backgrounds: JSON) -> dict[str, JSON]:
        """What determines this method's rows, and nothing else: a new background must not redo Shapley values."""
        settings = method.resolved_settings(self.task) | {"precision": str(self.task.backgrounds.dtype)}
        if method.stochastic and self.precision != "float32":
            settings["passes"] = self.precision
        if method.stochastic:
            settings |= {"attribution_seed": self.attribution_seed, "training_seed": self.training_seed}
        if method.uses_backgrounds:
            settings["backgrounds"] = backgrounds
        return settings

    def _maps(self, method: AttributionMethod, store: RowStore, ecg: Tensor, rows: np.ndarray[Any, Any]) -> Tensor:
        missing = set(self._missing(method, rows).tolist())
        todo = [index for index, row in enumerate(rows.tolist()) if row in missing]
        # one write a map where a map is dear, so that a kill costs one map at most
        step = len(todo) if method.single_pass else 1
        for start in range(0, len(todo), max(step, 1)):
            part = todo[start : start + step]
            keys = [self._key(method, int(rows[index])) for index in part]
            found = method.explain(self.task, ecg[part], keys)
            if method.stochastic:  # before the maps: a row of these is done when both are
                self.reliability[method.name].write(rows[part], found.reliability.float().numpy())
            self._write(store, rows[part], found.maps)
        return torch.from_numpy(store.read(rows)).to(ecg.device, torch.float32)

    @staticmethod
    def _write(store: RowStore, rows: np.ndarray[Any, Any], maps: Tensor) -> None:
        maps = maps.cpu()
        store.write(rows, (maps if maps.dtype == torch.float64 else maps.float()).numpy())

    def _share_passes(self, ecg: Tensor, rows: np.ndarray[Any, Any]) -> None:
        """Compute what the gradient family lacks from passes that its methods share."""
        for missing, methods in self._lacking(rows).items():
            if len(methods) > 1:
                places = np.flatnonzero(np.isin(rows, missing))
                for name, maps in shared_maps(methods, self.task, ecg[places]).items():
                    self._write(self.stores[name], rows[places], maps)

    def _lacking(self, rows: np.ndarray[Any, Any]) -> dict[tuple[int, ...], list[AttributionMethod]]:
        """Missing rows -> the methods of the gradient family that lack just these."""
        lacking: dict[tuple[int, ...], list[AttributionMethod]] = {}
        for method in self.methods:
            if method.name not in self.shared:
                continue
            if missing := tuple(self.stores[method.name].missing(rows).tolist()):
                lacking.setdefault(missing, []).append(method)
        return lacking

    def _missing(self, method: AttributionMethod, rows: np.ndarray[Any, Any] | None = None) -> np.ndarray[Any, Any]:
        """Rows without a map, or without the reliability of a map that has one."""
        missing = self.stores[method.name].missing(rows)
        if method.stochastic:
            missing = np.union1d(missing, self.reliability[method.name].missing(rows))
        return missing

    def _key(self, method: AttributionMethod, row: int) -> RandomKey:
        return RandomKey(self.attribution_seed, self.training_seed, method.name, self.ecg_ids[row])

    def _tell_cost(self, trainer: Trainer) -> None:
        missing = [len(self._missing(method)) for method in self.methods]
        if not any(missing):
            rank_zero_info("Attribution: every map is in its store already; none is computed.")
            return
        seconds = measure_passes(self.task)
        share = [-(-number // trainer.world_size) for number in missing]
        costs = estimate(self.methods, share, self.task, seconds)
        if trainer.is_global_zero:
            gigabytes = sum(store.spec.row_bytes * len(store) for store in self.stores.values()) / 1e9
            Console().print(cost_table(costs, trainer.world_size, gigabytes))

    def _summarise(self, trainer: Trainer, module: LightningModule) -> None:
        table = maps_table(self.methods, self.stores, self.reliability)
        write_parquet_atomic(run_folder(trainer).path / "tables" / "maps.parquet", table)
        totals = table[["done", "constant", "not_finite", "unreliable"]].sum()
        logged = {f"maps/{name}": float(total) for name, total in totals.items()}
        for name, value in table.set_index("method")["reliability_median"].dropna().items():
            logged[f"reliability/{name}"] = float(value)
        module.log_dict(logged, rank_zero_only=True)
        for warning in warnings_of(table):
            rank_zero_warn(warning)
