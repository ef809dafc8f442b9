"""The settings of a study in words: the methods text for a paper, and what deviates from the published study."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import pandas as pd

from ecg_lightning.ecg import TARGETS
from ecg_lightning.manifest import read_manifest
from ecg_lightning.plotting.class_words import class_name, class_short
from ecg_lightning.plotting.method_style import METHOD_STYLES, method_style
from ecg_lightning.report.blocks import Block, Paragraph, ReportFiles, Section, TableBlock
from ecg_lightning.report.population import enrichment_words
from ecg_lightning.report.published import CITATION
from ecg_lightning.report.runs import StudyRuns, method_place, records
from ecg_lightning.run import Run

_PAPER_SEEDS: Final = 10
_PAPER_TEST_ECGS: Final = 1351
_FULL_NETWORK: Final = {"depth": 11, "widths": None, "strides": None, "kernel_size": 7}
_NO_SETTINGS: Final = (
    "target", "network_structure", "method", "precision", "attribution_seed", "training_seed", "backgrounds",
)  # fmt: skip


def deviations(runs: StudyRuns) -> list[str]:
    """Every setting that differs from the published study, one sentence each."""
    return list(_deviations(runs))


def _are_ready_made(source_settings: Mapping[str, Any]) -> bool:
    """Whether a source's beats are an electrocardiograph's."""
    return source_settings.get("content") == "beats" or source_settings.get("beats") == "vendor"


def _deviations(runs: StudyRuns) -> Iterator[str]:
    run = next(iter(runs))
    fit = _config(run, "fit")
    source = _short(_at(fit, "data", "source", "class_path") or "unknown")
    ready_made = _are_ready_made(_at(fit, "data", "source", "init_args") or {})
    made = (
        "taken as the electrocardiograph made them" if ready_made else "made here by alignment of a recording's beats"
    )
    yield (
        f"ECGs: {source}; the paper's are 873,710 median beats by Marquette 12SL (MUSE), which are not public. Median "
        f"beats are {made}."
    )
    absent = [class_name(target) for target in TARGETS if target not in runs.targets]
    if absent:
        yield f"Diagnoses: {len(runs.targets)} of the paper's 9; without {', '.join(absent)}."
    if len(runs.seeds) != _PAPER_SEEDS:
        yield f"Training repetitions: {len(runs.seeds)} a diagnosis; the paper has {_PAPER_SEEDS}."
    if len(run.examples) != _PAPER_TEST_ECGS:
        yield f"Test ECGs: {len(run.examples):,}; the paper has {_PAPER_TEST_ECGS:,} of 250 patients."
    network = _at(fit, "model", "network") or {}
    settings = network.get("init_args") or {}
    if any(settings.get(name, value) != value for name, value in _FULL_NETWORK.items()):
        yield f"Network: {_short(network.get('class_path', 'unknown'))} with {_listed(settings)}, not the paper's size."
    else:
        yield (
            "Network: 22 convolutions of kernel 7 as in the paper; shortcuts, place of BatchNorms and dropout follow "
            "the group's public code where the paper says nothing."
        )
    epochs = _at(fit, "trainer", "max_epochs")
    yield (
        f"Training: Adam, learning rate {_at(fit, 'model', 'learning_rate')}, at most {epochs} epochs, early stopping; "
        "the paper does not say."
    )
    yield (
        "Passes of the stochastic methods: the table below; the paper raised them until nothing visible changed, and "
        "gives them in a supplement."
    )
    cascades = {(one.target, one.seed) for one in runs if (one.path / "cascade").is_dir()}
    if cascades != {("atrial_fibrillation", 0)}:
        named = ", ".join(f"{class_short(target)} seed {seed}" for target, seed in sorted(cascades)) or "no network"
        yield f"Randomisation: {named}; the paper did one network of atrial fibrillation."
    missing = [
        method_style(name).label
        for name, style in METHOD_STYLES.items()
        if not style.control and name not in runs.methods
    ]
    if missing:
        yield f"Methods that are missing: {', '.join(missing)}."


def methods_text_section(runs: StudyRuns, files: ReportFiles) -> Section:
    """What a paper would say of this study, with versions and hashes."""
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
    """Paragraphs for the methods part of a paper."""
    run = next(iter(runs))
    fit, test = _config(run, "fit"), _config(run, "test")
    _, versions = read_manifest(run.path / "logits")
    names = ", ".join(_in_text(class_name(target)) for target in runs.targets)
    data = _at(fit, "data") or {}
    source = data.get("source") or {}
    return [
        f"ECGs came from {_short(source.get('class_path', 'an unknown source'))} "
        f"({_listed(source.get('init_args') or {})}). {_split_words(runs.population)} Median beats of 8 leads "
        "(I, II, V1 to V6), 600 samples at 500 Hz, with the QRS fiducial at 480 ms; neighbouring beats inside "
        "the window: "
        f"{data.get('neighbours', 'unknown')}.",
        f"For each of {len(runs.targets)} diagnoses ({names}) a binary classifier was trained {_repetitions(runs)} "
        f"with different seeds: {_short(_at(fit, 'model', 'network', 'class_path') or 'unknown')} "
        f"({_listed(_at(fit, 'model', 'network', 'init_args') or {})}), Adam with a learning rate of "
        f"{_at(fit, 'model', 'learning_rate')}, batches of {data.get('batch_size')}, at most "
        f"{_at(fit, 'trainer', 'max_epochs')} epochs; the epoch with the lowest validation loss was kept. Thresholds "
        "maximise Youden's J on the validation set.",
        f"Attribution maps of the positive logit were computed for {len(run.examples):,} test ECGs with "
        f"{len(runs.methods)} methods ({', '.join(method_style(name).label for name in runs.methods)}); their "
        f"settings stand in the table. Draws are keyed by attribution seed ({_attribution_seed(test)}), training "
        "seed, method and ECG. Maps were smoothed by a Savitzky-Golay filter (31 samples, third order) before "
        "Pearson and Spearman correlations over all 4,800 points. Perturbation ranks the unsmoothed magnitude.",
        f"Intervals ({runs.intervals.confidence:.0%}) are percentiles of {runs.intervals.n_resamples:,} bootstrap "
        f"resamples of patients (seed {runs.intervals.seed}). Methods are compared with the best of the controls "
        "(random, smoothed "
        "random, |ECG|, |slope|), with Holm's correction. The experiments follow " + CITATION,
        "Software: " + ", ".join(f"{name} {version}" for name, version in versions.items()) + ".",
    ]


def method_settings(run: Run) -> pd.DataFrame:
    """``method, settings, digest`` of the maps of one run."""
    rows = []
    for name in sorted(run.maps, key=method_place):
        spec = run.row_store(f"maps/{name}").spec
        own = {key: value for key, value in spec.settings.items() if key not in _NO_SETTINGS and value is not None}
        rows.append({"method": name, "settings": _listed(own), "digest": spec.digest})
    return pd.DataFrame(rows, columns=["method", "settings", "digest"])


def _config(run: Run, stage: Any) -> dict[str, Any]:
    return run.config(stage) if (run.path / f"{stage}.yaml").is_file() else {}


def _at(tree: Mapping[str, Any], *path: str) -> Any:
    for name in path:
        tree = (tree or {}).get(name)  # type: ignore[assignment]
    return tree


def _short(class_path: str) -> str:
    return str(class_path).rsplit(".", 1)[-1]


def _listed(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in settings.items() if value is not None) or "default settings"


def _repetitions(runs: StudyRuns) -> str:
    counts = sorted({len(seeds) for seeds in runs.finished.values()})
    return f"{counts[0]} times" if len(counts) == 1 else f"{counts[0]} to {counts[-1]} times"


def _split_words(population: pd.DataFrame) -> str:
    if population.empty:
        return ""
    parts = [
        f"{split} {len(own):,} ECGs of {own['patient_id'].nunique():,} patients"
        for split in ("train", "validation", "test")
        if len(own := population[population["split"] == split])
    ]
    return " ".join(filter(None, (f"Split by patient: {'; '.join(parts)}.", enrichment_words(population))))


def _in_text(name: str) -> str:
    """A name within a sentence: ``first-degree AV block``."""
    return name[:1].lower() + name[1:]


def _attribution_seed(test: Mapping[str, Any]) -> Any:
    for callback in _at(test, "trainer", "callbacks") or ():
        if str(callback.get("class_path", "")).endswith("AttributionMaps"):
            return (callback.get("init_args") or {}).get("attribution_seed", 0)
    return 0
