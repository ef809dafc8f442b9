"""The data that all runs of a study share, and what differs where a run comes with other data.

``splits.parquet`` says for every ECG which split it is in, and carries the settings that it came from, so that a run of
other settings is refused by name before anything is computed or moved aside.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import pandas as pd

from ecg_lightning.storage.hashing import differences, listed
from ecg_lightning.storage.readers import DamagedFileError, read_table

SETTINGS: Final = "data_settings"
"""Attribute of the table that holds its settings (``DataFrame.attrs``, which Parquet stores)."""

_REMEDY: Final = (
    "Use another --study (a test on another archive needs one of its own), or repeat the settings of the study's data"
)


def flat_settings(settings: Mapping[str, object], prefix: str) -> dict[str, object]:
    """Flatten settings to ``prefix.name`` -> value, in the types of JSON: as they come back from a file."""
    return dict(_leaves(json.loads(json.dumps(dict(settings))), prefix))


def check_study_settings(path: Path, settings: Mapping[str, object]) -> None:
    """Refuse a run of other data settings than those of the study, if that has any yet.

    Args:
        path: The study's ``splits.parquet``; one of an earlier version carries no settings, and nothing is refused.
        settings: This run's, such as ``data.split_seed`` -> 0.

    Raises:
        ValueError: The message names each setting that differs, with both values.
    """
    before = _read(path)
    if before is not None and (changed := _changed_settings(before, settings)):
        raise ValueError(f"the study {path.parent.name} was made from other data ({path}): {changed}. {_REMEDY}")


def check_study_splits(path: Path, splits: pd.DataFrame) -> None:
    """Refuse a run whose ECGs, or their splits, are not those of the study, if that has any yet.

    Args:
        path: The study's ``splits.parquet``.
        splits: This run's: ``ecg_id, patient_id, split``, with its settings in ``attrs``.

    Raises:
        ValueError: The message names the settings and the first ECGs that differ, and counts both sides.
    """
    before = _read(path)
    if before is None:
        return
    parts = [_changed_settings(before, splits.attrs.get(SETTINGS, {})), *_changed_ecgs(before, splits)]
    if changed := "; ".join(part for part in parts if part):
        raise ValueError(
            f"the study {path.parent.name} was made from other data: {path} has {_counts(before)}, this run has "
            f"{_counts(splits)}. {changed}. {_REMEDY}"
        )


def _read(path: Path) -> pd.DataFrame | None:
    """The study's splits; None where there are none, or what is there is unreadable and will be written anew."""
    try:
        return read_table(path, _REMEDY, ("ecg_id", "split"))
    except (FileNotFoundError, DamagedFileError):
        return None


def _changed_settings(before: pd.DataFrame, now: Mapping[str, object]) -> str:
    then = before.attrs.get(SETTINGS)
    return "" if then is None else listed(differences(then, now), "; ")


def _changed_ecgs(before: pd.DataFrame, now: pd.DataFrame) -> Iterator[str]:
    if before.equals(now):
        return
    then, new = (table.set_index("ecg_id")["split"] for table in (before, now))
    for ids, where in (
        (then.index.difference(new.index, sort=False), "only the study has"),
        (new.index.difference(then.index, sort=False), "only this run has"),
    ):
        if len(ids):
            yield f"{where} {len(ids)} of the ECGs (first: {ids[0]})"
    shared = then.index.intersection(new.index, sort=False)
    moved = shared[(then[shared] != new[shared]).to_numpy()]
    if len(moved):
        yield f"{len(moved)} are in another split (first: {moved[0]}, {then[moved[0]]} then, {new[moved[0]]} now)"
    elif len(shared) == len(then) == len(new):
        yield "the same ECGs come in another order, or of other patients"


def _counts(splits: pd.DataFrame) -> str:
    return ", ".join(f"{count} {name}" for name, count in splits["split"].value_counts().sort_index().items())


def _leaves(value: object, name: str) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _leaves(item, f"{name}.{key}")
    else:
        yield name, value
