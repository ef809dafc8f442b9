"""The manifest of a RowStore: what its array is, and what determined its rows."""

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, get_args

import numpy as np

from ecg_lightning.storage.atomic import write_json_atomic
from ecg_lightning.storage.hashing import JSON, canonical_json, differences, digest_settings, digest_without, listed
from ecg_lightning.storage.installed_versions import installed_versions

MANIFEST_NAME = "manifest.json"
_FORMAT = "ecg_lightning RowStore"
FORMAT_VERSION: Final = 2
"""Format version of new stores. From 2 on rows have digests; stores of version 1 were made before."""

MADE_ANEW: Final = "run the command that made it again (`test`, `compare`): it is moved aside and made anew"
"""What to do about a store that is broken as a whole."""

_WITHOUT_DIGESTS: Final = 1
_OWN_DIGEST: Final = "manifest_digest"
_LINE = "\n  "
_PACKAGES = ("torch", "lightning", "captum", "numpy", "scipy")  # whose numbers end in a store

StoreDtype = Literal["float16", "float32", "float64", "bool", "uint8", "int32", "int64"]
"""The dtypes that a store can have."""


class StoreError(ValueError):
    """A RowStore can't be used as requested; the message names its folder and what to do."""


class StoreMismatchError(StoreError):
    """A store that was made with other settings, another network or other examples."""


class StoreCorruptError(StoreError):
    """A store with a file that is missing, truncated or contradicts its manifest."""


class StoreDamagedError(StoreCorruptError):
    """A store whose rows, masks or digests are not what was written; the command that made it repairs it."""


@dataclass(frozen=True)
class StoreSpec:
    """A store specification says what a RowStore holds, and what determines its rows.

    Attributes:
        dims: Names of the dimensions; the first is ``"row"``, one ECG each.
        shape: (n, ...) one length per dimension.
        coords: Name of a dimension -> its labels, as many as the dimension is long. Rows are labelled by
            ``examples.parquet``, not here.
        dtype: How the values lie on the disk.
        unit: Unit of the values: ``"mV"``, ``"logit"``, ``"1"`` ...
        settings: What determines these rows, and nothing that does not (devices, batch size, paths, logger).
        network: Hash of the state dict (``hashing.digest_state_dict``).
        examples: Hash of the ECGs (``hashing.digest_array_rows``).

    Raises:
        ValueError: Fields that contradict each other, or settings that JSON can't hold.
    """

    dims: tuple[str, ...]
    shape: tuple[int, ...]
    coords: Mapping[str, Sequence[str | int | float]] = field(default_factory=dict)
    dtype: StoreDtype = "float32"
    unit: str = "1"
    settings: Mapping[str, JSON] = field(default_factory=dict)
    network: str = ""
    examples: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "dims", tuple(self.dims))
        object.__setattr__(self, "shape", tuple(int(length) for length in self.shape))
        object.__setattr__(self, "coords", {name: _labels(values) for name, values in self.coords.items()})
        _check_dims(self.dims, self.shape)
        _check_coords(self.dims, self.shape, self.coords)
        if self.dtype not in get_args(StoreDtype):
            raise ValueError(f"dtype is {self.dtype!r}, expected one of {', '.join(get_args(StoreDtype))}")
        canonical_json(self.as_json())  # raises where settings hold what can't be hashed

    @property
    def digest(self) -> str:
        """Hash of everything above: two stores with the same digest hold the same rows."""
        return digest_settings(self.as_json())

    @property
    def row_bytes(self) -> int:
        """Return the bytes of one row on the disk."""
        return int(np.prod(self.shape[1:], dtype=np.int64)) * np.dtype(self.dtype).itemsize

    def as_json(self) -> dict[str, Any]:
        """Return the fields in the types of JSON, as they stand in ``manifest.json``."""
        return {
            "dims": list(self.dims),
            "shape": list(self.shape),
            "coords": {name: list(values) for name, values in self.coords.items()},
            "dtype": self.dtype,
            "unit": self.unit,
            "settings": self.settings,
            "network": self.network,
            "examples": self.examples,
        }


class Manifest(NamedTuple):
    """A manifest is what ``manifest.json`` says.

    Attributes:
        spec: What the store holds.
        packages: Versions of the packages that the store was made with.
        version: Version of the store's format.
    """

    spec: StoreSpec
    packages: dict[str, str]
    version: int

    @property
    def has_digests(self) -> bool:
        """Return whether its rows have digests, so that a missing one is damage."""
        return self.version > _WITHOUT_DIGESTS


def write_manifest(folder: Path, spec: StoreSpec, **kept: JSON) -> None:
    """Write ``manifest.json`` of a store.

    Args:
        folder: The store's folder.
        spec: What the store holds.
        kept: ``packages`` and ``created`` of a manifest that is written again.
    """
    head = {"format": _FORMAT, "format_version": FORMAT_VERSION, "digest": spec.digest}
    tail = {"packages": installed_versions(_PACKAGES), "created": datetime.now(UTC).isoformat(timespec="seconds")}
    content: dict[str, Any] = {**head, **spec.as_json(), **tail, **kept}
    write_json_atomic(folder / MANIFEST_NAME, content | {_OWN_DIGEST: digest_without(content, _OWN_DIGEST)})


def raise_version(folder: Path) -> None:
    """Say in ``manifest.json`` that the rows have digests now, and keep the rest."""
    content = _read(folder)
    write_manifest(folder, _spec(content), packages=content["packages"], created=content.get("created"))


def read_manifest(folder: Path) -> Manifest:
    """Read ``manifest.json`` of a store.

    Raises:
        StoreCorruptError: The file is absent, no JSON, of another format, or was changed by hand.
    """
    path = folder / MANIFEST_NAME
    if not path.is_file():
        raise StoreCorruptError(
            f"{folder} exists but is no RowStore: it has no {MANIFEST_NAME}. Move it away if it is yours; if it is "
            f"what is left of a store, {MADE_ANEW}"
        )
    try:
        content = _read(folder)
        return Manifest(_spec(content), dict(content["packages"]), content["format_version"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise StoreCorruptError(
            f"{path} is not the manifest of a {_FORMAT} of version {FORMAT_VERSION} "
            f"({type(error).__name__}: {error}); it was cut short, changed by hand, or made by another version. "
            f"If it is not of a newer version, {MADE_ANEW}"
        ) from error


def read_manifest_of(folder: Path, requested: StoreSpec) -> Manifest:
    """Read ``manifest.json`` of a store that must hold what is asked for.

    Raises:
        StoreMismatchError: It holds something else; the message gives both sides, and the two ways on.
        StoreCorruptError: See :func:`read_manifest`.
    """
    manifest = read_manifest(folder)
    if manifest.spec.digest != requested.digest:
        stored, now = manifest.spec.as_json(), requested.as_json()
        lines = differences(stored, now, ("in the store", "now"), null_counts=True)
        raise StoreMismatchError(
            f"{folder} holds rows of something else than what is asked for:\n  {listed(lines, _LINE)}\n"
            "Give another --study to keep both; or set on_mismatch: replace, which moves the old store aside to "
            f"{folder.name}.replaced-<timestamp> and computes all rows again"
        )
    return manifest


def warn_of_other_versions(folder: Path) -> None:
    """Warn that a store was begun with other package versions than it goes on with."""
    stored, now = read_manifest(folder).packages, installed_versions(_PACKAGES)
    changed = [f"{name} {stored.get(name)} -> {now[name]}" for name in now if stored.get(name) != now[name]]
    if changed:
        warnings.warn(
            f"{folder} was begun with other package versions ({', '.join(changed)}); it goes on with these, and "
            "its rows may differ in their last digits",
            stacklevel=3,
        )


def _read(folder: Path) -> dict[str, Any]:
    """The content, if it is as it was written."""
    content: dict[str, Any] = json.loads((folder / MANIFEST_NAME).read_text(encoding="utf-8"))
    found = digest_without(content, _OWN_DIGEST)
    version, own = content["format_version"], content.pop(_OWN_DIGEST, None)
    if content["format"] != _FORMAT or version not in (_WITHOUT_DIGESTS, FORMAT_VERSION):
        raise ValueError(f"format is {content['format']!r} version {version}")
    if (version > _WITHOUT_DIGESTS or own is not None) and own != found:
        raise ValueError(f"{_OWN_DIGEST} is {own}, its own content gives {found}")
    return content


def _spec(content: Mapping[str, Any]) -> StoreSpec:
    spec = StoreSpec(**{name: content[name] for name in StoreSpec.__dataclass_fields__})
    if content["digest"] != spec.digest:
        raise ValueError(f"digest is {content['digest']}, its own content gives {spec.digest}")
    return spec


def _labels(values: Sequence[str | int | float]) -> tuple[str | int | float, ...]:
    return tuple(value.item() if isinstance(value, np.generic) else value for value in values)


def _check_dims(dims: tuple[str, ...], shape: tuple[int, ...]) -> None:
    if not dims or dims[0] != "row" or len(set(dims)) != len(dims):
        raise ValueError(f"dims is {dims}, expected distinct names of which the first is 'row'")
    if len(shape) != len(dims) or min(shape) < 1:
        raise ValueError(f"shape is {shape}, expected {len(dims)} positive lengths, one for each of {dims}")


def _check_coords(
    dims: tuple[str, ...], shape: tuple[int, ...], coords: Mapping[str, Sequence[str | int | float]]
) -> None:
    lengths = dict(zip(dims, shape, strict=True))
    for name, values in coords.items():
        if name not in lengths:
            raise ValueError(f"coords has {name!r}, which is not one of the dimensions {dims}")
        if len(values) != lengths[name]:
            raise ValueError(f"coords has {len(values)} labels for {name!r}, whose length is {lengths[name]}")
