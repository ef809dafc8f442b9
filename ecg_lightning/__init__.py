"""Attribution maps of ECG classifiers, and their audit.

Nothing heavy is imported here: ``open_run`` brings pandas and xarray with it only when it is first used.
"""

from typing import TYPE_CHECKING

from ecg_lightning.version import __version__

if TYPE_CHECKING:
    from ecg_lightning.runs.run import open_run

__all__ = ["__version__", "open_run"]


def __getattr__(name: str) -> object:
    """Import ``open_run`` when it is first asked for (PEP 562)."""
    if name == "open_run":
        from ecg_lightning.runs.run import open_run

        return open_run
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
