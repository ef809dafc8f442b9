"""This section says what the networks are made of, and how well they read ECGs (paper, Tables S1 and S2)."""

from typing import Any, Final

import pandas as pd
import torch
from torch import Tensor, nn

from ecg_lightning.data.targets import known_info
from ecg_lightning.ecg import MEDIAN_BEAT, SignalFormat
from ecg_lightning.models.classifier import EcgClassifier
from ecg_lightning.models.hyper_parameters import network_name
from ecg_lightning.plotting.class_words import class_name
from ecg_lightning.plotting.page_blocks import Block, Cell, Paragraph, ReportFiles, Section, TableBlock, number
from ecg_lightning.report.config_words import card_of
from ecg_lightning.runs.checkpoints import check_as_sealed, read_checkpoint
from ecg_lightning.runs.performance import METRICS, METRICS_OF_MEASUREMENT, performance_table
from ecg_lightning.runs.signal_format import format_of_run
from ecg_lightning.runs.study_runs import StudyRuns
from ecg_lightning.storage.plain_values import UntrustedContentError
from ecg_lightning.storage.readers import DamagedFileError

_ERRORS: Final = (
    "Errors are in the measurement's unit. R2 is the share of the variance that is explained; below 0 the mean of the "
    "values would predict better."
)


def networks_section(runs: StudyRuns, files: ReportFiles) -> Section:
    """Show the architecture of the networks, and their performance."""
    performance = performance_table(runs)
    details: dict[str, list[Block]] = {"Architecture (Table S1)": _architecture(runs, files)}
    if performance.empty:
        why = "No run has a metrics.json (LogitsAndMetrics was left out), so their performance is unknown."
        missing = Paragraph(why, "warning")
        return Section("networks", "Networks and their performance", [missing], details)
    saved = files.table("performance", performance)
    of_measurements = performance["target"].map(lambda name: known_info(name).kind == "regression")
    parts = (
        (performance[~of_measurements], ("Diagnosis", "Patients with it", "Their ECGs"), METRICS, _thresholds(runs)),
        (performance[of_measurements], ("Measurement", "Patients", "ECGs"), METRICS_OF_MEASUREMENT, _ERRORS),
    )
    blocks: list[Block] = [
        TableBlock(
            head=(*heads, *metrics.values()),
            rows=[
                [_name(str(target)), *_with_it(runs, str(target)), *(_over_seeds(of_one[name]) for name in metrics)]
                for target, of_one in part.groupby("target", sort=False)
            ],
            caption=f"Of the test ECGs: mean over {_seed_words(runs)}, and below it the lowest and the highest seed, "
            f"which is a range and no interval. {words} Intervals over patients of every network stand in its "
            "metrics.json.",
            label="Table S2" if metrics is METRICS else "Performance of measurements",
            files=saved,
            stack=True,
        )
        for part, heads, metrics, words in parts
        if len(part)
    ]
    return Section("networks", "Networks and their performance", blocks, details)


def _thresholds(runs: StudyRuns) -> str:
    """Say where the thresholds of decisions come from."""
    known = [run.metrics.get("threshold", {}).get("chosen_by") for run in runs if run.paths.metrics.is_file()]
    return f"Thresholds by {' or '.join(dict.fromkeys(str(one) for one in known if one))}."


def _name(target: str) -> str:
    """Write a target's name, with the unit of a measurement."""
    unit = known_info(target).unit
    return f"{class_name(target)} ({unit})" if unit else class_name(target)


def _over_seeds(values: "pd.Series[float]") -> Cell:
    known = values.dropna()
    if len(known) < 2:
        return Cell(number(float(values.iloc[0])))
    return Cell(number(known.mean()), detail=f"seeds {number(known.min())}\N{EN DASH}{number(known.max())}")


def _with_it(runs: StudyRuns, target: str) -> tuple[str, str]:
    """Patients with the diagnosis, or with a value, among the test ECGs, and their ECGs that have it."""
    examples = next(iter(runs.finished[target].values())).examples
    positive = examples[known_info(target).present(examples["label"])]
    return f"{positive['patient_id'].nunique():,}", f"{len(positive):,}"


def _seed_words(runs: StudyRuns) -> str:
    counts = {len(seeds) for seeds in runs.finished.values()}
    return f"{counts.pop()} training repetitions" if len(counts) == 1 else f"{min(counts)} to {max(counts)} repetitions"


def _architecture(runs: StudyRuns, files: ReportFiles) -> list[Block]:
    run = next(iter(runs))
    if not run.paths.best_checkpoint.is_file():
        named = card_of(run)
        why = f"is the network of the card {named}" if named else "has no checkpoint any more"
        return [Paragraph(f"{run.target}, seed {run.seed} {why}: no architecture.", "note" if named else "warning")]
    try:
        check_as_sealed(run.checkpoint)
        module = EcgClassifier.load_from_checkpoint(run.checkpoint, map_location="cpu")
    except DamagedFileError as error:
        words = f"{run.target}, seed {run.seed}: {error.path.name} is damaged ({error.why}), so no architecture"
        return [Paragraph(f"{words}. {error.remedy}.", "warning")]
    except UntrustedContentError:
        name = network_name(read_checkpoint(run.checkpoint))
        what = f"The network of {run.target}, seed {run.seed} is {name}: no architecture, since a report makes nothing "
        return [Paragraph(f"{what}of what a checkpoint names beside the project's own networks.", "warning")]
    table = architecture_table(module.network, input_shape(module, format_of_run(run)))
    total = sum(parameter.numel() for parameter in module.network.parameters())
    rows = [[str(cell) for cell in row] for row in table.to_numpy().tolist()]
    return [
        TableBlock(
            head=("Layer", "Kind", "Settings", "Output (channel, sample)", "Parameters"),
            rows=rows,
            caption=f"{type(module.network).__name__}, {total:,} parameters, read from the checkpoint of {run.target}, "
            f"seed {run.seed}, in the order of execution.",
            label="Table S1",
            files=files.table("architecture", table),
        )
    ]


def input_shape(module: EcgClassifier, tested: SignalFormat = MEDIAN_BEAT) -> tuple[int, int]:
    """Return the (lead, sample) that a network reads: as it says, as its backgrounds have, or as it was tested on."""
    ecgs = module.example_input_array
    if ecgs is None and module.backgrounds is not None:
        ecgs = module.backgrounds.beats
    return (ecgs.shape[-2], ecgs.shape[-1]) if isinstance(ecgs, Tensor) else tested.shape


def architecture_table(network: nn.Module, shape: tuple[int, int] = MEDIAN_BEAT.shape) -> pd.DataFrame:
    """List every layer of a network in the order of execution.

    Args:
        network: (batch, lead, sample) -> logit.
        shape: (lead, sample) of its input.

    Returns:
        ``layer, kind, settings, output, parameters``, one row for each call of a module without modules in it.
    """
    rows: list[dict[str, Any]] = []

    def note(name: str, module: nn.Module, output: Tensor) -> None:
        n_parameters = sum(parameter.numel() for parameter in module.parameters())
        size = " x ".join(str(length) for length in output.shape[1:])
        rows.append(
            {
                "layer": name,
                "kind": type(module).__name__,
                "settings": _settings(module),
                "output": size,
                "parameters": f"{n_parameters:,}" if n_parameters else "",
            }
        )

    leaves = [(name, module) for name, module in network.named_modules() if not list(module.children())]
    hooks = [
        module.register_forward_hook(lambda module, _, output, name=name: note(name, module, output))
        for name, module in leaves
    ]
    try:
        with torch.no_grad():
            network.eval()(torch.zeros(1, *shape))
    finally:
        for hook in hooks:
            hook.remove()
    return pd.DataFrame(rows)


def _settings(module: nn.Module) -> str:
    """What distinguishes a layer from others of its kind."""
    if isinstance(module, nn.Conv1d):
        channels = f"{module.in_channels} to {module.out_channels} channels"
        return f"{channels}, kernel {_single_number(module.kernel_size)}, stride {_single_number(module.stride)}"
    if isinstance(module, nn.AvgPool1d | nn.MaxPool1d):
        return f"window {_single_number(module.kernel_size)}, stride {_single_number(module.stride)}"
    if isinstance(module, nn.Linear):
        return f"{module.in_features:,} to {module.out_features:,}"
    if isinstance(module, nn.Dropout):
        return f"probability {module.p:g}"
    return "" if isinstance(module, nn.BatchNorm1d | nn.Flatten) else module.extra_repr()


def _single_number(value: Any) -> Any:
    return value[0] if isinstance(value, tuple) else value
