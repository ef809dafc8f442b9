"""Versions of installed packages, for the record of what was computed with them."""

from collections.abc import Iterable
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version

from ecg_lightning.version import __version__


def installed_versions(packages: Iterable[str]) -> dict[str, str]:
    """Versions of this package and of others, without importing them.

    Args:
        packages: Names of the others, as they are installed.

    Returns:
        Name -> version, ``"not installed"`` where there is none; ``ecg_lightning`` first.
    """
    return {"ecg_lightning": __version__} | {name: _version(name) for name in packages}


@lru_cache
def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
