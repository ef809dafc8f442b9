"""What a ``test`` finds damaged in its folder when it starts, and does about it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.utilities import rank_zero_warn

from ecg_lightning.runs.layout import RunPaths
from ecg_lightning.runs.sealing import remedy_of, sealed_by
from ecg_lightning.storage.manifest import MANIFEST_NAME
from ecg_lightning.storage.seals import inspect
from ecg_lightning.storage.store import StoreError
from ecg_lightning.storage.store_files import digests_path
from ecg_lightning.storage.store_repair import restore_digests


def mend_stores(paths: RunPaths) -> None:
    """Mend what the seals of the last test prove of its stores, before they are opened; says so.

    Row digests that alone are damaged are restored: without them every row would be computed again. A manifest that is
    another store's is taken away: the store is made anew then, and not refused for its settings.
    """
    sealed = sealed_by(paths, "test")
    names = {digests_path(paths.path, 0).name: _restore, MANIFEST_NAME: _take_away}
    entries = {
        name: entry
        for name, entry in sealed.items()
        if Path(name).name in names and (paths.path / name).parent.is_dir()
    }
    for damage in inspect(paths.path, entries, remedy_of).damages:
        entry = entries[damage.path.relative_to(paths.path).as_posix()]
        if done := names[damage.path.name](damage.path, entry):
            rank_zero_warn(f"{damage.path} was damaged ({damage.why}) and is {done}")


def _restore(path: Path, entry: Mapping[str, Any]) -> str:
    try:
        return "restored: the last seal proves the rows" if restore_digests(path.parent, entry["digest"]) else ""
    except StoreError:  # who opens the store says what to do
        return ""


def _take_away(path: Path, _: Mapping[str, Any]) -> str:
    path.unlink(missing_ok=True)
    return "taken away, so that its store is made anew"


def take_away_damaged(paths: RunPaths) -> None:
    """Take away the record of the last test, and before it the files that have changed since.

    Stores mend themselves. The rest is written anew by the callbacks that wrote it; where these are not asked for this
    time, an absent file is better than a wrong one.
    """
    sealed = sealed_by(paths, "test")
    stores = tuple(name.removesuffix(MANIFEST_NAME) for name in sealed if name.endswith(f"/{MANIFEST_NAME}"))
    own = {
        name: entry
        for name, entry in sealed.items()
        if not name.startswith(("..", *stores)) and (paths.path / name).is_file()
    }
    for damage in inspect(paths.path, own, remedy_of).damages:
        rank_zero_warn(f"{damage.path} is damaged ({damage.why}) and taken away; its callback writes it anew")
        damage.path.unlink()
    paths.test_record.unlink(missing_ok=True)
