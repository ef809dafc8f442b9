"""What perturbation does, in words: for captions and tables of a run and of a study."""

from typing import Final

from ecg_lightning.experiments.perturbation.kinds import PerturbationKind

ORDER_WORDS: Final = {"morf": "most relevant first", "lerf": "least relevant first"}

METRIC_WORDS: Final = {
    "auroc": "AUROC",
    "auroc_positives": "AUROC, only ECGs with the diagnosis perturbed",
    "auroc_negatives": "AUROC, only ECGs without it perturbed",
    "auprc": "AUPRC",
    "probability": "mean probability of the ECGs with the diagnosis",
    "probability_negatives": "mean probability of the ECGs without the diagnosis",
    "r2": "R2",
    "change": "mean |change| (SD of predictions)",
    "distance": "distance to real beats",
}

MAP_WORDS: Final = {"own": "own map", "other_ecg": "map of another patient's ECG", "mean_map": "mean map of the others"}

_UNITS: Final = {
    "point": "single points",
    "block20": "20-ms blocks of one lead",
    "block50": "50-ms blocks of one lead",
    "block100": "100-ms blocks of one lead",
    "wave": "waves of one lead (P, PR, QRS, ST, T, rest)",
}
_REPLACEMENTS: Final = {
    "interpolation": "the straight line between their kept neighbours in time",
    "zero": "0 mV",
    "class_mean": "the mean of both classes' mean training beats",
    "conditional": "their mean given the kept points, under a Gaussian of training beats",
    "twin": "the beat of the simulated twin without the diagnosis",
}
_NOISE: Final = {
    "none": "no noise",
    "multiplicative": "times 1 + {sigma:g} x Gaussian noise",
    "additive_mv": "plus {sigma:g} mV x Gaussian noise",
    "additive_lead_std": "plus {sigma:g} x the lead's standard deviation x Gaussian noise",
}


def kind_title(kind: PerturbationKind) -> str:
    """Such as ``50-ms blocks, interpolation, no noise``."""
    unit = {"point": "single points", "wave": "waves"}.get(kind.unit, f"{kind.unit.removeprefix('block')}-ms blocks")
    noise = "no noise" if kind.noise == "none" else f"{kind.noise.replace('_', ' ')} noise of {kind.sigma:g}"
    signed = ", signed ranking" if kind.ranking == "signed" else ""
    network = ", network fine-tuned on perturbed ECGs" if kind.fine_tuned else ""
    return f"{unit}, {kind.replacement.replace('_', ' ')}, {noise}{signed}{network}"


def kind_sentence(kind: PerturbationKind) -> str:
    """What each step does."""
    by = "mean |map|" if kind.ranking == "magnitude" else "mean map, what speaks for the diagnosis first"
    ranked = by if kind.unit != "point" else by.removeprefix("mean ")
    noise = _NOISE[kind.noise].format(sigma=kind.sigma)
    network = " The network is a copy, fine-tuned on randomly perturbed training ECGs." if kind.fine_tuned else ""
    return (
        f"Every step replaces another {kind.fraction_per_step:.0%} of the points by "
        f"{_REPLACEMENTS[kind.replacement]}, {noise}; {_UNITS[kind.unit]}, ranked by their {ranked} "
        f"(unsmoothed).{network}"
    )
