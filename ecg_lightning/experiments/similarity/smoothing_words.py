"""How the maps of a run were smoothed before they were compared, in words."""

from ecg_lightning.functional.smoothing import ORDER, WINDOW, smoothing_words
from ecg_lightning.runs.run import Run


def smoothing_of(run: Run) -> str:
    """Say how maps were smoothed before they were correlated, by the settings of the run's own correlations."""
    store = next((name for name in run.stores if name.startswith("similarity/")), None)
    settings = run.row_store(store).spec.settings if store else {}
    window, order = settings.get("window", WINDOW), settings.get("order", ORDER)
    return smoothing_words(window if isinstance(window, int) else None, order if isinstance(order, int) else ORDER)
