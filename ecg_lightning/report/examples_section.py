"""This section shows an example of high and one of low agreement for each experiment (paper, Figure 2)."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from ecg_lightning.data.label_scale import LabelScale
from ecg_lightning.data.targets import known_info
from ecg_lightning.ecg import SignalFormat
from ecg_lightning.experiments.perturbation.published import perturbation_store
from ecg_lightning.functional.similarity import SIGNS, STATISTICS
from ecg_lightning.functional.smoothing import savitzky_golay, smoothing_window
from ecg_lightning.plotting.class_words import class_short
from ecg_lightning.plotting.method_style import method_style
from ecg_lightning.plotting.page_blocks import Paragraph, ReportFiles, Section, number
from ecg_lightning.report.examples_figure import (
    LAYERS,
    SHOWN_SECONDS,
    STEPS,
    Example,
    examples_figure,
    time_label,
    times_of,
)
from ecg_lightning.runs.run import Run
from ecg_lightning.runs.seed_maps import same_ecgs
from ecg_lightning.runs.signal_format import format_of_run, usual_smoothing
from ecg_lightning.runs.study_runs import StudyRuns
from ecg_lightning.storage.store import RowStore

_SEED_COLOURS: Final = ("#08519c", "#e6550d", "#31a354", "#7a0177", "#636363", "#c51b8a", "#fd8d3c", "#006d2c")


def examples_section(runs: StudyRuns, files: ReportFiles) -> Section:
    """Make the paper's Figure 2 from this study's ECGs."""
    title = "Examples of the four experiments"
    target, seeds = max(runs.finished.items(), key=lambda item: len(item[1]))
    rows = [
        pair
        for pair in (
            _between_methods(runs, next(iter(seeds.values()))),
            _between_seeds(runs, target, seeds),
            _along_cascade(runs),
            _along_perturbation(runs, next(iter(seeds.values()))),
        )
        if pair
    ]
    if not rows:
        return Section("examples", title, [Paragraph("No experiment has stored what an example needs.", "note")])
    caption = (
        "Each row is an experiment: on the left the highest score of any test ECG (maps that agree most, the map that "
        "is most like the trained network's when every layer is random, the answer that falls or changes most), "
        f"on the right the lowest. Maps are {usual_smoothing(next(iter(runs)))}, divided by their greatest "
        "magnitude over all leads, and shown in the lead with the most relevance; grey: the ECG in that lead, if the "
        "study keeps its beats. Correlations are over all leads."
    )
    if any(example.trace is not None and example.of_ecgs.fiducial is None for row in rows for example in row):
        caption += f" Of recordings the {SHOWN_SECONDS:g} s with the most relevance are shown."
    return Section(
        "examples", title, [files.picture("examples", lambda text: examples_figure(rows, text), "Figure 2", caption)]
    )


def _between_methods(runs: StudyRuns, run: Run) -> list[Example]:
    if not (run.path / "similarity" / "pearson").is_dir():
        return []
    store = run.row_store("similarity/pearson")
    names = [str(name) for name in store.spec.coords["method"]]
    methods_only = [index for index, name in enumerate(names) if not method_style(name).control]
    values = np.asarray(store.array[:, 0, SIGNS.index("native")], dtype=float)[:, methods_only][:, :, methods_only]
    first, second = np.triu_indices(len(methods_only), 1)
    score = _row_means(values[:, first, second])
    methods = [names[index] for index in methods_only if f"maps/{names[index]}" in run.stores]
    examples = []
    for row in _extremes(score):
        of_ecgs = format_of_run(run)
        maps = {name: _smooth(run.row_store(f"maps/{name}").read(np.array([row]))[0], of_ecgs) for name in methods}
        lead = _lead(list(maps.values()))
        lines = [
            (method_style(n).label, method_style(n).colour, times_of(m, of_ecgs), _scaled(m)[lead])
            for n, m in maps.items()
        ]
        title = f"1 Methods: {_of(runs, run, row)}, lead {_lead_name(lead, of_ecgs)}"
        words, trace = f"mean correlation {number(score[row])}", _trace(run, row, lead)
        examples.append(Example(title, words, lines, trace, time_label(of_ecgs), of_ecgs=of_ecgs))
    return examples


def _between_seeds(runs: StudyRuns, target: str, seeds: dict[int, Run]) -> list[Example]:
    folder = runs.study.comparison / target / "self_consistency"
    method = next((name for name in runs.methods if (folder / name).is_dir()), None)
    if len(seeds) < 2 or method is None:
        return []
    method = "guided_gradcam" if (folder / "guided_gradcam").is_dir() else method  # the paper's choice
    array = RowStore.open(folder / method).array
    score = _row_means(np.asarray(array[:, STATISTICS.index("pearson"), SIGNS.index("native")], dtype=float))
    _, rows = same_ecgs(target, seeds)
    examples = []
    for ecg in _extremes(score):
        run = next(iter(seeds.values()))
        of_ecgs = format_of_run(run)
        maps = {
            seed: _smooth(run.row_store(f"maps/{method}").read(rows[seed_index, [ecg]])[0], of_ecgs)
            for seed_index, (seed, run) in enumerate(seeds.items())
        }
        lead = _lead(list(maps.values()))
        lines = [
            (f"seed {seed}", _SEED_COLOURS[k % len(_SEED_COLOURS)], times_of(one, of_ecgs), _scaled(one)[lead])
            for k, (seed, one) in enumerate(maps.items())
        ]
        label, name = method_style(method).label, _lead_name(lead, of_ecgs)
        title = f"2 Seeds, {label}: {_of(runs, run, int(rows[0, ecg]))}, lead {name}"
        words, trace = f"mean correlation {number(score[ecg])}", _trace(run, int(rows[0, ecg]), lead)
        examples.append(Example(title, words, lines, trace, time_label(of_ecgs), of_ecgs=of_ecgs))
    return examples


def _along_cascade(runs: StudyRuns) -> list[Example]:
    """Choose for one ECG the method that retains its map when every layer is random, and the one that loses it."""
    having = runs.with_store("cascade/from_output/pearson")
    if not having:
        return []
    run = next(iter(next(iter(having.values())).values()))
    store = run.row_store("cascade/from_output/pearson")
    names = [str(name) for name in store.spec.coords["method"]]
    depths = np.asarray(store.spec.coords["depth"], dtype=float)
    values = np.asarray(store.array[:, :, SIGNS.index("native")], dtype=float)
    curves = np.apply_along_axis(lambda over: _row_means(over[None])[0], 1, values)  # (n, method, depth): over repeats
    last = curves[:, :, -1].copy()
    last[:, [method_style(name).control for name in names]] = np.nan
    if not np.isfinite(last).any():
        return []
    examples = []
    # the high score first, as in the paper's Figure 2
    for flat_index in (np.nanargmax(last), np.nanargmin(np.abs(last))):
        row, index = np.unravel_index(int(flat_index), last.shape)
        style = method_style(names[index])
        lines = [(style.label, style.colour, depths, curves[row, index])]
        title = f"3 Randomisation, {style.label}: {_of(runs, run, int(row))}"
        examples.append(
            Example(
                title,
                f"correlation {number(last[row, index])} at the end",
                lines,
                None,
                LAYERS,
                "correlation with the trained map",
            )
        )
    return examples


def _along_perturbation(runs: StudyRuns, run: Run) -> list[Example]:
    """Predicted probability of one ECG with the diagnosis: the steepest and the flattest fall.

    Of a measurement it is the prediction, and the largest and the smallest change.
    """
    name = perturbation_store(run.path)
    if name is None:
        return []
    store = run.row_store(name)
    names = [str(name) for name in store.spec.coords["method"]]
    info, output = known_info(run.target), np.asarray(store.array, dtype=float)  # (n, method, step)
    if info.kind == "regression":
        said = LabelScale.from_dict(run.metrics["label_scale"]).in_unit(output)
        what, fall, digits = f"prediction ({info.unit})", np.abs(said[:, :, 0] - said[:, :, -1]), ".3g"
    else:
        said = 1 / (1 + np.exp(-output))
        what, fall, digits = "probability", said[:, :, 0] - said[:, :, -1], ".2f"
    fall[~info.present(run.examples["label"])] = np.nan
    fall[:, [method_style(name).control for name in names]] = np.nan
    if not np.isfinite(fall).any():
        return []
    steps = np.arange(said.shape[2], dtype=float)
    examples = []
    for flat_index in (np.nanargmax(fall), np.nanargmin(fall)):
        row, index = np.unravel_index(int(flat_index), fall.shape)
        style = method_style(names[index])
        lines = [(style.label, style.colour, steps, said[row, index])]
        score = f"{what} {said[row, index, 0]:{digits}} to {said[row, index, -1]:{digits}}"
        title = f"4 Perturbation, {style.label}: {_of(runs, run, int(row))}"
        examples.append(Example(title, score, lines, None, STEPS, what))
    return examples


def _extremes(score: NDArray[np.float64]) -> list[int]:
    return [int(np.nanargmax(score)), int(np.nanargmin(score))] if np.isfinite(score).any() else []


def _row_means(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Over the last axis, without NaN."""
    known = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        means: NDArray[np.float64] = np.where(known, values, 0.0).sum(axis=-1) / known.sum(axis=-1)
    return means


def _smooth(values: NDArray[np.floating], of_ecgs: SignalFormat) -> NDArray[np.float64]:
    maps = torch.from_numpy(np.asarray(values, dtype=np.float64))
    smoothed: NDArray[np.float64] = savitzky_golay(maps, smoothing_window(of_ecgs.sampling_rate)).numpy()
    return smoothed


def _scaled(values: NDArray[np.float64]) -> NDArray[np.float64]:
    most = np.abs(values).max()
    return values / most if most > 0 else values


def _lead(maps: Sequence[NDArray[np.float64]]) -> int:
    return int(np.nanargmax(np.sum([np.abs(_scaled(values)).sum(axis=1) for values in maps], axis=0)))


def _lead_name(lead: int, of_ecgs: SignalFormat) -> str:
    return of_ecgs.leads[lead] if lead < len(of_ecgs.leads) else str(lead)


def _of(runs: StudyRuns, run: Run, row: int) -> str:
    label, info = float(run.examples["label"].iloc[row]), known_info(run.target)
    has = "yes" if label == 1 else "no"
    if info.kind == "regression":
        has = f"{label:.3g} {info.unit}".rstrip() if np.isfinite(label) else "unknown"
    return f"{runs.ecg(run, row)}, {class_short(run.target)}: {has}"


def _trace(run: Run, row: int, lead: int) -> NDArray[np.float64] | None:
    beats = run.test_beats
    return None if beats is None else np.asarray(beats[row, lead], dtype=np.float64)
