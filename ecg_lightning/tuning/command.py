"""The command ``tune`` chooses validation ECGs, measures methods on them, and writes what was found into the run."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn
from rich.console import Console
from torch import Tensor, nn

from ecg_lightning.attribution.base import AttributionMethod
from ecg_lightning.attribution.cost import measure_passes
from ecg_lightning.attribution.seeding import RandomKey
from ecg_lightning.attribution.task import FrozenModel
from ecg_lightning.cards.gate.finding import GateMode
from ecg_lightning.cards.gate.gatekeeping import keep_gate
from ecg_lightning.data.backgrounds import Backgrounds, choose_backgrounds
from ecg_lightning.data.datamodule import EcgDataModule
from ecg_lightning.functional.smoothing import ORDER, smoothing_window
from ecg_lightning.models.classifier import EcgClassifier
from ecg_lightning.models.fit_checks import prepare_network
from ecg_lightning.plotting.figure_files import save_figure
from ecg_lightning.plotting.tuning import PassCurve, passes_figure
from ecg_lightning.randomness import keyed_order
from ecg_lightning.runs.checkpoints import read_checkpoint
from ecg_lightning.storage.atomic import write_parquet_atomic, write_text_atomic
from ecg_lightning.tuning.budget_curves import FINER
from ecg_lightning.tuning.config import Entry, methods_config
from ecg_lightning.tuning.measure import TunedMethod, tune_methods
from ecg_lightning.tuning.results import (
    MethodSummary,
    curve_frame,
    summaries,
    summary_frame,
    summary_table,
    warnings_of,
)
from ecg_lightning.tuning.settings import LOWEST, TuningSettings


class MapMaker(Protocol):
    """The callback that computes the maps, as far as tuning needs it."""

    methods: tuple[AttributionMethod, ...]
    attribution_seed: int
    backgrounds: Tensor
    sampling_rate: float

    def prepared(self, network: nn.Module) -> FrozenModel:
        """Return the frozen network as the callback attributes it, with ``backgrounds``."""


@dataclass(frozen=True)
class TuneJob:
    """A tuning job holds what is tuned.

    Attributes:
        maps: The configured callback.
        module: The classifier with the checkpoint's weights, on its device.
        datamodule: Set up for validation.
        settings: Target and bounds.
        folder: The folder ``<run>/tune``.
        configured: The configuration of ``maps``, resolved.
    """

    maps: MapMaker
    module: EcgClassifier
    datamodule: EcgDataModule
    settings: TuningSettings
    folder: Path
    configured: Entry


def load_trained(
    trainer: Trainer, model: nn.Module, datamodule: EcgDataModule, checkpoint: str | None, gate: GateMode = "off"
) -> EcgClassifier:
    """Load the trained network in the trainer's precision and on its (first) device, with validation data set up.

    Args:
        trainer: Trainer that sets precision and device.
        model: Classifier with the checkpoint's network.
        datamodule: The network's own data.
        checkpoint: File of the checkpoint; None: the model has its weights.
        gate: What is done where a network with a card does not see what it was trained on.

    Raises:
        ValueError: The checkpoint was trained on other data, or the data have no validation ECGs.
        TypeError: Another kind of model.
    """
    if not isinstance(model, EcgClassifier):
        raise TypeError(f"tune needs an EcgClassifier, got {type(model).__name__}")
    content = {} if checkpoint is None else read_checkpoint(Path(checkpoint))
    if "ecg_data" in content:
        datamodule.provenance().check_trained_on(content["ecg_data"])
    datamodule.prepare_data()
    datamodule.setup("validate")
    if checkpoint is None:
        prepare_network(model.network, datamodule, "validate", model.device)
    else:
        model.on_load_checkpoint(content)
        model.load_state_dict(content["state_dict"])
    trainer.strategy.precision_plugin.convert_module(model)
    model = model.to(trainer.strategy.root_device).eval()
    keep_gate(model.network, datamodule, gate)
    return model


def run_tuning(job: TuneJob) -> list[TunedMethod]:
    """Measure, write ``tune.parquet``, ``methods.parquet``, ``curves.png``, ``curves.svg`` and ``methods.yaml``."""
    chosen = validation_ecgs(job.datamodule, job.settings.n_ecgs)
    job.maps.sampling_rate = job.datamodule.signal_format.sampling_rate
    ecgs = torch.as_tensor(job.datamodule.dataset("validation").__getitems__(chosen["row"].tolist())["ecg"])
    task, stated = _task(job, ecgs)
    ids = chosen["ecg_id"].tolist()

    def key(method: str, number: int) -> RandomKey:
        return RandomKey(job.maps.attribution_seed, job.module.seed, method, ids[number])

    more = None if stated is None else _further(job.datamodule, stated)
    methods = [method.fitted(task) for method in job.maps.methods]
    tuned = tune_methods(methods, task, ecgs.to(task.backgrounds), key, job.settings, more)
    n_test = len(job.datamodule.examples("test"))
    found = summaries(tuned, task, n_test, measure_passes(task))
    write_parquet_atomic(job.folder / "tune.parquet", curve_frame(tuned, ids, chosen["label"].tolist()))
    write_parquet_atomic(job.folder / "methods.parquet", summary_frame(found))
    _write_picture(job, tuned, chosen)
    header = _header(job, len(ids))
    write_text_atomic(job.folder / "methods.yaml", methods_config(job.configured, tuned, found, header))
    _tell(job, found, len(ids), n_test)
    return tuned


def validation_ecgs(datamodule: EcgDataModule, n: int) -> pd.DataFrame:
    """Choose labelled validation ECGs of distinct patients by hashed id, half of them with the diagnosis.

    Args:
        datamodule: Set up for validation.
        n: Number of ECGs that are wished for.

    Returns:
        As ``datamodule.examples``; fewer than ``n`` where there are fewer, more of one class where the other has few.
    """
    table = datamodule.examples("validation")
    table = table[table["label"].notna()]
    order = keyed_order(datamodule.split_seed, "tune:" + table["ecg_id"])
    table = table.iloc[order].drop_duplicates("patient_id")
    place = table.groupby("label").cumcount()  # first of each class, second of each class ...
    table = table.iloc[np.argsort(place.to_numpy(), kind="stable")].head(n)
    if len(table) < n:
        rank_zero_warn(f"tune: {n} validation ECGs of distinct patients were asked for, there are {len(table)}")
    return table


def _task(job: TuneJob, ecgs: Tensor) -> tuple[FrozenModel, Backgrounds | None]:
    """The network, and the stated backgrounds where a method needs them; else an ECG, for its shape."""
    used = any(method.uses_backgrounds for method in job.maps.methods)
    stated = job.datamodule.backgrounds(job.module.backgrounds) if used else None
    job.maps.backgrounds = (ecgs[:1] if stated is None else stated.beats).to(job.module.device)
    return job.maps.prepared(job.module.network), stated


def _further(datamodule: EcgDataModule, stated: Backgrounds) -> Tensor | None:
    """Training ECGs of which the stated backgrounds are the first; None where there are no others like them."""
    wanted = FINER * len(stated)
    train = datamodule.examples("train")
    found = choose_backgrounds(datamodule.cache, train, wanted, datamodule.split_seed, datamodule.source.name)
    same = torch.equal(found.beats[: len(stated)], stated.beats)  # a checkpoint stores no ids
    return found.beats if same and len(found) > len(stated) else None


def _header(job: TuneJob, n_ecgs: int) -> str:
    settings = job.settings
    return (
        f"Settings that `tune` found for {job.datamodule.target}, seed {job.module.seed}: the cheapest with which maps "
        f"are predicted to\ncorrelate {settings.target_correlation:g} with their limit (median of {n_ecgs} validation "
        f"ECGs at least {settings.wanted_median:.4g}, lowest decile at least {settings.wanted_lowest:.4g}).\n"
        f"  python -m ecg_lightning.cli test --config configs/test.yaml --config {job.folder / 'methods.yaml'} ...\n"
        "Maps of other settings that the run folder holds already are kept apart with --on_mismatch replace."
    )


def _write_picture(job: TuneJob, tuned: Sequence[TunedMethod], chosen: pd.DataFrame) -> None:
    curves = {one.method.name: _curve(one) for one in tuned if one.curve and one.status != "constant"}
    if not curves:
        rank_zero_warn("tune: no method has a curve, so there is no picture")
        return
    target = job.datamodule.target_info
    having = f"{int(target.present(chosen['label']).sum())} of them {target.having_it}"
    window = smoothing_window(job.datamodule.signal_format.sampling_rate)
    caption = (
        f"{len(chosen)} validation ECGs, {having}. Lines: median ECG; bands: lowest to "
        f"highest decile. Dashed: the target, {job.settings.target_correlation:g}; a setting is chosen (ring) at a "
        f"median of {job.settings.wanted_median:.4g} and a lowest decile of {job.settings.wanted_lowest:.4g}; a cross "
        "is the bound, with which the target is not reached. Stochastic methods: predicted from the agreement of the "
        f"draws (Shapley: from the error's covariance); IG: with {FINER} times the most nodes; DeepLIFT-SHAP: with "
        f"up to {FINER} times the stated backgrounds. After Savitzky-Golay smoothing ({window}/{ORDER})."
    )
    title = f"Passes and convergence: {job.datamodule.target.replace('_', ' ')}, seed {job.module.seed}"
    figure = passes_figure(curves, job.settings.target_correlation, title, caption)
    for suffix in ("png", "svg"):
        save_figure(figure, job.folder / f"curves.{suffix}")


def _curve(one: TunedMethod) -> PassCurve:
    def of(share: float) -> "np.ndarray[Any, np.dtype[np.float64]]":
        return np.array([point.quantile(share) for point in one.curve])

    passes = np.array([point.passes.forward + point.passes.gradient for point in one.curve], dtype=np.float64)
    chosen = one.status in ("chosen", "bound")
    return PassCurve(passes, of(0.5), of(LOWEST), of(1.0 - LOWEST), chosen, one.status == "chosen")


def _tell(job: TuneJob, found: Sequence[MethodSummary], n_ecgs: int, n_test: int) -> None:
    Console().print(summary_table(found, job.settings, n_ecgs, n_test))
    for warning in warnings_of(found, job.settings):
        rank_zero_warn(warning)
    rank_zero_info(f"tune: {job.folder} holds methods.yaml (for `test --config`), curves.png and tune.parquet")
