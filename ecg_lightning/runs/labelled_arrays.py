"""A RowStore as a labelled array: its rows know their ECG, its leads their name and its samples their time."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from ecg_lightning.ecg import format_of
from ecg_lightning.storage.store import RowStore

if TYPE_CHECKING:
    import xarray as xr

ROW_LABELS: Final = ("ecg_id", "patient_id", "label")
"""Columns of the examples that become labels of the rows."""


def labelled_array(store: RowStore, name: str, examples: pd.DataFrame | None) -> "xr.DataArray":
    """A store behind a memory map, with coordinates.

    Args:
        store: The store.
        name: Of the array.
        examples: The test ECGs in row order; None where they are not known.

    Returns:
        The array of the store's dimensions; ``units`` and ``settings`` are its attributes.

    Raises:
        ValueError: The store has another number of rows than there are examples.
    """
    import xarray as xr  # commands read stores through memory maps alone

    coords: dict[str, Any] = {dim: list(values) for dim, values in store.spec.coords.items()}
    coords |= _anatomy(store, coords) | _row_coords(store, examples)
    array = xr.DataArray(
        store.array,
        dims=store.spec.dims,
        coords=coords,
        name=name,
        attrs={"units": store.spec.unit, "settings": dict(store.spec.settings)},
    )
    return array.set_xindex("ecg_id") if "ecg_id" in array.coords else array


def _row_coords(store: RowStore, examples: pd.DataFrame | None) -> dict[str, Any]:
    coords: dict[str, Any] = {"row": np.arange(len(store)), "done": ("row", store.done)}
    if examples is None:
        return coords
    if len(examples) != len(store):
        raise ValueError(
            f"{store.path} has {len(store)} rows, the run's examples.parquet has {len(examples)}; "
            "they are of different tests: repeat the test, or give it another --study"
        )
    return coords | {name: ("row", examples[name].to_numpy()) for name in ROW_LABELS}


def _anatomy(store: RowStore, coords: Mapping[str, Any]) -> dict[str, Any]:
    """Names of the leads and times of the samples, where a store has these dimensions."""
    sizes = dict(zip(store.spec.dims, store.spec.shape, strict=True))
    labels: dict[str, Any] = {}
    of_ecgs = format_of(store.spec.settings)
    if sizes.get("lead") == len(of_ecgs.leads) and "lead" not in coords:
        labels["lead"] = list(of_ecgs.leads)
    if "sample" in sizes:
        samples = np.asarray(coords.get("sample", np.arange(sizes["sample"])), dtype=np.float64)
        since = "the first sample" if of_ecgs.fiducial is None else "the QRS fiducial"
        labels["time"] = ("sample", of_ecgs.milliseconds(samples), {"units": "ms", "long_name": f"time after {since}"})
    return labels
