"""This module reads a run's recorded configuration and puts it in words."""

from collections.abc import Mapping
from typing import Any

from ecg_lightning.runs.run import Run
from ecg_lightning.runs.shared_config import shared_config


def config_of(run: Run, stage: Any) -> dict[str, Any]:
    """Return the configuration of ``fit`` or ``test``; empty where the stage was not run."""
    return run.config(stage) if run.paths.config(stage).is_file() else {}


def trained_config(run: Run) -> dict[str, Any]:
    """Return the configuration of ``fit``; of a network that was trained elsewhere, that of ``test``."""
    return config_of(run, "fit") or config_of(run, "test")


def card_of(run: Run) -> str:
    """Name the card of a network that was trained elsewhere; empty for one of ``fit``."""
    return "" if config_of(run, "fit") else str(at(config_of(run, "test"), "network") or "")


def at(tree: Mapping[str, Any], *path: str) -> Any:
    """Return what stands in a tree of mappings at a path; None for nothing."""
    for name in path:
        tree = (tree or {}).get(name)  # type: ignore[assignment]
    return tree


def short_name(class_path: str) -> str:
    """Name a class without its module."""
    return str(class_path).rsplit(".", 1)[-1]


def listed(settings: Mapping[str, Any]) -> str:
    """List settings such as ``n_samples 8, sigma 0.1``, without None and paths outside of the working folder."""
    return (
        ", ".join(f"{name} {value}" for name, value in shared_config(settings).items() if value is not None)
        or "default settings"
    )
