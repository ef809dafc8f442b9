"""The format of the ECGs that a run was tested on, and what follows from it."""

from ecg_lightning.ecg import SignalFormat, format_of
from ecg_lightning.functional.smoothing import smoothing_window, smoothing_words
from ecg_lightning.runs.run import Run


def format_of_run(run: Run) -> SignalFormat:
    """Return the format of the ECGs that a run was tested on."""
    return format_of(run.row_store("logits").spec.settings if "logits" in run.stores else {})


def usual_smoothing(run: Run) -> str:
    """Say how a run's maps are smoothed before they are compared, unless an experiment is told otherwise."""
    return smoothing_words(smoothing_window(format_of_run(run).sampling_rate))
