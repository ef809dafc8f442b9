"""This section puts the settings of a study in words: the methods text for a paper."""

import math
from collections.abc import Mapping
from typing import Any, Final

import pandas as pd

from ecg_lightning.data.targets import known_info
from ecg_lightning.experiments.similarity.smoothing_words import filter_of, smoothing_of
from ecg_lightning.plotting.class_words import class_in_text, class_name, kind_word
from ecg_lightning.plotting.method_style import method_place, method_style
from ecg_lightning.plotting.page_blocks import Block, Paragraph, ReportFiles, Section, TableBlock
from ecg_lightning.report.config_words import at, card_of, config_of, listed, short_name, trained_config
from ecg_lightning.report.population import enrichment_words
from ecg_lightning.report.published import CITATION
from ecg_lightning.runs.run import Run
from ecg_lightning.runs.signal_format import format_of_run
from ecg_lightning.runs.study_runs import StudyRuns, records
from ecg_lightning.storage.manifest import read_manifest

_NO_SETTINGS: Final = (
    "target", "network_structure", "method", "precision", "attribution_seed", "training_seed", "backgrounds",
    "signal_format",
)  # fmt: skip


def methods_text_section(runs: StudyRuns, files: ReportFiles) -> Section:
    """Write what a paper would say of this study, with versions and hashes."""
    run = next(iter(runs))
    blocks: list[Block] = [Paragraph(text) for text in methods_text(runs)]
    table = method_settings(run)
    blocks.append(
        TableBlock(
            head=("Method", "Settings", "Hash of settings, network and ECGs"),
            rows=[[method_style(row["method"]).label, row["settings"], row["digest"]] for row in records(table)],
            caption=f"Of {class_name(run.target)}, seed {run.seed}; "
            "settings that are not listed have their defaults. Hashes of every run stand in the manifests of its "
            "stores.",
            label="Settings of the methods",
            files=files.table("method_settings", table),
            prose=True,
        )
    )
    return Section("methods-text", "Methods text", blocks)


def methods_text(runs: StudyRuns) -> list[str]:
    """Write paragraphs for the methods part of a paper."""
    run = next(iter(runs))
    test = config_of(run, "test")
    versions = read_manifest(run.paths.logits).packages
    names = ", ".join(class_in_text(target) for target in runs.targets)
    data = at(trained_config(run), "data") or {}
    source = data.get("source") or {}
    return [
        f"ECGs came from {short_name(source.get('class_path', 'an unknown source'))} "
        f"({listed(source.get('init_args') or {})}). {_split_words(runs.population)} {_ecg_words(run, data)}",
        _training_words(runs, run, names),
        f"Attribution maps of {_outputs(runs)} were computed for {len(run.examples):,} test ECGs with "
        f"{len(runs.methods)} methods ({', '.join(method_style(name).label for name in runs.methods)}); their "
        f"settings stand in the table. Draws are keyed by attribution seed ({_attribution_seed(test)}), training "
        f"seed, method and ECG. Maps were {smoothing_of(run)}{_filter_words(run)} before Pearson and "
        f"Spearman correlations over all {_points(run):,} points. Perturbation ranks the unsmoothed magnitude.",
        "A method is judged by effects with their intervals against margins that were stated beforehand "
        "(ecg_lightning/experiments/*/claims.yaml): each check's score less that of every control without a network "
        "(random, smoothed random, |ECG|, |slope|), and less that of the same method's map of another patient with the "
        "same predicted class (of a measurement, with the nearest prediction). Tests are one-sided at 0.025 with "
        "Holm's correction over methods and targets; "
        "intervals and tests are closed forms over patients and training seeds, and none is made under 20 patients "
        "with the diagnosis (of a measurement, under 20 patients). "
        f"Intervals that only describe ({runs.intervals.confidence:.0%}) are percentiles of "
        f"{runs.intervals.n_resamples:,} bootstrap resamples of patients (seed {runs.intervals.seed}). The experiments "
        "follow " + CITATION,
        "Software: " + ", ".join(f"{name} {version}" for name, version in versions.items()) + ".",
    ]


def _training_words(runs: StudyRuns, run: Run, names: str) -> str:
    """Say how the networks were trained, or that they were trained elsewhere."""
    kinds = f"{len(runs.targets)} {kind_word(runs.targets, len(runs.targets))} ({names})"
    if card := card_of(run):
        return f"The network of {kinds} was trained elsewhere; its card is {card}."
    fit = config_of(run, "fit")
    data = at(fit, "data") or {}
    return (
        f"For each of {kinds} a network was trained {_repetitions(runs)} with different seeds: "
        f"{short_name(at(fit, 'model', 'network', 'class_path') or 'unknown')} "
        f"({listed(at(fit, 'model', 'network', 'init_args') or {})}), Adam with a learning rate of "
        f"{at(fit, 'model', 'learning_rate')}, batches of {data.get('batch_size')}, at most "
        f"{at(fit, 'trainer', 'max_epochs')} epochs; the epoch with the lowest validation loss was kept. "
        f"{_outcomes(runs)}"
    )


def _kinds(runs: StudyRuns) -> set[str]:
    return {known_info(target).kind for target in runs.targets}


def _outcomes(runs: StudyRuns) -> str:
    """Say what networks were trained for: losses, thresholds and scales."""
    words = {
        "binary": "Of diagnoses the loss is the binary cross-entropy, and thresholds maximise Youden's J on the "
        "validation set.",
        "regression": "Of measurements the loss is the squared error, and networks count in standard deviations from "
        "the mean of their training labels.",
    }
    return " ".join(text for kind, text in words.items() if kind in _kinds(runs))


def _outputs(runs: StudyRuns) -> str:
    """Say what was explained."""
    words = {"binary": "the positive logit", "regression": "the predicted measurement"}
    return " and of ".join(text for kind, text in words.items() if kind in _kinds(runs))


def _ecg_words(run: Run, data: Mapping[str, Any]) -> str:
    """Say what of each recording the network sees."""
    of_ecgs = format_of_run(run)
    if of_ecgs.fiducial is None:
        made = at(data, "representation", "init_args") or {}
        return f"Windows of the recordings, {of_ecgs} ({listed(made)})."
    return (
        f"Median beats of {len(of_ecgs.leads)} leads ({', '.join(of_ecgs.leads)}), {of_ecgs.samples} samples at "
        f"{of_ecgs.sampling_rate:g} Hz, with the QRS fiducial at "
        f"{1000 * of_ecgs.fiducial / of_ecgs.sampling_rate:g} ms; neighbouring beats inside the window: "
        f"{data.get('neighbours', 'unknown')}."
    )


def _filter_words(run: Run) -> str:
    """Say how long the filter is that smooths maps, in brackets; nothing where there is none."""
    window, order = filter_of(run)
    if window is None:
        return ""
    lasts = 1000 * window / format_of_run(run).sampling_rate
    return f" (polynomials of degree {order} over {window} samples, {lasts:.3g} ms)"


def _points(run: Run) -> int:
    """Return how many points a map of a run has, leads times samples."""
    shapes = [run.row_store(f"maps/{name}").spec.shape[1:] for name in run.maps]
    return math.prod(shapes[0] if shapes else format_of_run(run).shape)


def method_settings(run: Run) -> pd.DataFrame:
    """List ``method, settings, digest`` of the maps of one run."""
    rows = []
    for name in sorted(run.maps, key=method_place):
        spec = run.row_store(f"maps/{name}").spec
        hyperparameters = {
            key: value for key, value in spec.settings.items() if key not in _NO_SETTINGS and value is not None
        }
        rows.append({"method": name, "settings": listed(hyperparameters), "digest": spec.digest})
    return pd.DataFrame(rows, columns=["method", "settings", "digest"])


def _repetitions(runs: StudyRuns) -> str:
    counts = sorted({len(seeds) for seeds in runs.finished.values()})
    return f"{counts[0]} times" if len(counts) == 1 else f"{counts[0]} to {counts[-1]} times"


def _split_words(population: pd.DataFrame) -> str:
    if population.empty:
        return ""
    parts = [
        f"{split} {len(part):,} ECGs of {part['patient_id'].nunique():,} patients"
        for split in ("train", "validation", "test")
        if len(part := population[population["split"] == split])
    ]
    return " ".join(filter(None, (f"Split by patient: {'; '.join(parts)}.", enrichment_words(population))))


def _attribution_seed(test: Mapping[str, Any]) -> Any:
    """Return the seed of the key ``maps``, or of the list of callbacks in which it stood earlier."""
    listed = [at(test, "maps"), *(at(test, "trainer", "callbacks") or ())]
    for callback in listed:
        if str((callback or {}).get("class_path", "")).endswith("AttributionMaps"):
            return (callback.get("init_args") or {}).get("attribution_seed", 0)
    return 0
