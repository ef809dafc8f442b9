"""How the maps of a run were smoothed before they were compared."""

from ecg_lightning.functional.smoothing import ORDER, smoothing_window, smoothing_words
from ecg_lightning.runs.run import Run
from ecg_lightning.runs.signal_format import format_of_run


def smoothing_of(run: Run) -> str:
    """Say how maps were smoothed before they were correlated, by the settings of the run's own correlations."""
    return smoothing_words(*filter_of(run))


def filter_of(run: Run) -> tuple[int | None, int]:
    """Return samples and degree of the filter under which a run's maps were correlated; None: without one."""
    store = next((name for name in run.stores if name.startswith("similarity/")), None)
    settings = run.row_store(store).spec.settings if store else {}
    usual = smoothing_window(format_of_run(run).sampling_rate)
    window, order = settings.get("window", usual), settings.get("order", ORDER)
    return window if isinstance(window, int) else None, order if isinstance(order, int) else ORDER
