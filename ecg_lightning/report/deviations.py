"""This module says what deviates from the published study, one sentence a setting."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from ecg_lightning.data.targets import PAPER_TARGETS
from ecg_lightning.experiments.perturbation.kinds import VERDICT_KIND
from ecg_lightning.experiments.perturbation.published import noise_words, perturbation_settings
from ecg_lightning.models.resnet1d import default_strides
from ecg_lightning.plotting.class_words import class_in_text, class_name, class_short
from ecg_lightning.plotting.method_style import METHOD_STYLES, method_style
from ecg_lightning.report.config_words import at, card_of, config_of, listed, short_name, trained_config
from ecg_lightning.report.published import CASCADE_NETWORK
from ecg_lightning.runs.signal_format import format_of_run
from ecg_lightning.runs.study_runs import StudyRuns

_PAPER_SEEDS: Final = 10
_PAPER_TEST_ECGS: Final = 1351
_FULL_NETWORK: Final = {"depth": 11, "widths": None, "strides": None, "kernel_size": 7}
_DEFAULT_NETWORK: Final = "ResNet1d"


def deviations(runs: StudyRuns) -> list[str]:
    """List every setting that differs from the published study, one sentence each."""
    return [*_of_the_data(runs), *_of_the_networks(runs), *_of_the_experiments(runs)]


def _of_the_data(runs: StudyRuns) -> Iterator[str]:
    run = next(iter(runs))
    fit = trained_config(run)
    source = short_name(at(fit, "data", "source", "class_path") or "unknown")
    ready_made = _are_ready_made(at(fit, "data", "source", "init_args") or {})
    made = "Median beats are made here by alignment of a recording's beats"
    if format_of_run(run).fiducial is None:
        made = "Networks see windows of the recordings here, and no median beats"
    elif ready_made:
        made = "Median beats are taken as the electrocardiograph made them"
    papers = "873,710 median beats by Marquette 12SL (MUSE), which are not public"
    yield f"ECGs: {source}; the paper's are {papers}. {made}."
    absent = [class_name(target) for target in PAPER_TARGETS if target not in runs.targets]
    if absent:
        of_all = f"{len(PAPER_TARGETS) - len(absent)} of the paper's {len(PAPER_TARGETS)}"
        yield f"Diagnoses: {of_all}; without {', '.join(absent)}."
    own = [class_name(target) for target in runs.targets if target not in PAPER_TARGETS]
    if own:
        yield f"Targets that the paper does not have: {', '.join(own)}."
    if len(run.examples) != _PAPER_TEST_ECGS:
        yield (
            f"Test ECGs: {len(run.examples):,} of {run.examples['patient_id'].nunique():,} patients; the paper has "
            f"{_PAPER_TEST_ECGS:,} of 250."
        )
    if at(fit, "data", "test_enrichment"):
        yield (
            "The test ECGs are enriched: each diagnosis is more frequent there than in the source, so that there are "
            "enough patients to decide anything; the paper's are a random draw."
        )


def _are_ready_made(source_settings: Mapping[str, Any]) -> bool:
    """Return whether a source's beats are an electrocardiograph's."""
    return source_settings.get("content") == "beats" or source_settings.get("beats") == "vendor"


def _of_the_networks(runs: StudyRuns) -> Iterator[str]:
    run = next(iter(runs))
    fit = config_of(run, "fit")
    if card := card_of(run):
        yield f"Network: one that was trained elsewhere, by its card {card}; the paper's are 22-layer ResNets."
        return
    if len(runs.seeds) != _PAPER_SEEDS:
        yield f"Training repetitions: {len(runs.seeds)} a diagnosis; the paper has {_PAPER_SEEDS}."
    network = at(fit, "model", "network") or {}
    name, settings = short_name(network.get("class_path", "unknown")), network.get("init_args") or {}
    if any(settings.get(key, value) != value for key, value in _FULL_NETWORK.items()):
        yield f"Network: {name} with {listed(settings)}, not the paper's size."
    else:
        yield "Network: 22 convolutions of kernel 7 as in the paper."
    if name == _DEFAULT_NETWORK:
        yield (
            "Order of layers: BatchNorm and ReLU stand before each convolution and no ReLU after the sum of a block; "
            "dropout stands once in a block. The paper says that every convolution is followed by BatchNorm, dropout "
            "and ReLU; its group's public code is followed here."
        )
        yield _stride_words(settings)
    yield (
        f"Training: Adam, learning rate {at(fit, 'model', 'learning_rate')}, at most "
        f"{at(fit, 'trainer', 'max_epochs')} epochs, early stopping; the paper does not say."
    )


def _stride_words(settings: Mapping[str, Any]) -> str:
    """How this network shortens the beat, beside the paper's rule."""
    widths = settings.get("widths")
    strides = settings.get("strides") or default_strides(len(widths) if widths else int(settings.get("depth") or 11))
    halvings = sum(stride == 2 for stride in strides)
    return (
        f"Strides: this network halves the length {halvings} times in {2 * len(strides)} convolutions (strides "
        f"{', '.join(map(str, strides))} of its blocks of two). The paper says every two layers, which in 22 layers "
        "would leave less than one sample of a beat; a network of its size halves it here at every second block, 5 "
        "times."
    )


def _of_the_experiments(runs: StudyRuns) -> Iterator[str]:
    yield (
        "Passes of the stochastic methods: those of the methods text; the paper raised them until nothing visible "
        "changed, and gives them in a supplement."
    )
    if settings := perturbation_settings(runs):
        yield (
            f"Noise of the perturbed points: {noise_words(settings)}; the paper's is Gaussian with sigma 0.25 without "
            "a unit, multiplied according to Figure 4."
        )
    if any((run.path / "perturbation" / VERDICT_KIND.name).is_dir() for run in runs):
        yield "Verdicts on perturbation rest on blocks of 50 ms without noise, the same for all; the paper has points."
    cascades = {(run.target, run.seed) for run in runs if (run.path / "cascade").is_dir()}
    if cascades != {CASCADE_NETWORK}:
        named = ", ".join(f"{class_short(target)} seed {seed}" for target, seed in sorted(cascades)) or "no network"
        yield f"Randomisation: {named}; the paper did one network of {class_in_text(CASCADE_NETWORK[0])}."
    missing = [
        method_style(name).label
        for name, style in METHOD_STYLES.items()
        if not style.control and name not in runs.methods
    ]
    if missing:
        yield f"Methods that are missing: {', '.join(missing)}."
