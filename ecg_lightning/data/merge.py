"""Part files to the cache's own files, one part in memory at a time."""

import math
import platform
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ecg_lightning.data.cache import (
    BEATS,
    EXAMPLES,
    MAKE_ROOM,
    MARKER,
    REJECTED,
    mask_paths,
    packed_shape,
)
from ecg_lightning.data.cache_files import BEAT_DIGESTS, CACHE_FORMAT, write_marker
from ecg_lightning.data.label_columns import label_array, label_column
from ecg_lightning.data.sources.base import Entry
from ecg_lightning.data.targets import PAPER_TARGETS
from ecg_lightning.storage.atomic import atomic_path, write_array_atomic, write_parquet_atomic
from ecg_lightning.storage.disk import full_disk_explained, preallocate
from ecg_lightning.storage.installed_versions import installed_versions
from ecg_lightning.storage.row_digests import Digests, digest_rows

_PACKAGES: Final = ("numpy", "scipy", "sleepecg", "wfdb")


def merge(
    folder: Path, parts: Sequence[Path], entries: Sequence[Entry], source: str, shape: tuple[int, int]
) -> dict[str, Any]:
    """Write beats, masks and tables of a cache from its parts.

    Args:
        folder: The cache's folder.
        parts: The part files in the order of the entries.
        entries: All entries of the source.
        source: The source's name.
        shape: (lead, sample) of an ECG.

    Returns:
        ``counts`` and ``regions`` for ``cache.json``.

    Raises:
        ValueError: No ECG could be used; the message summarises why.
        DiskSpaceError: The disk is full.
    """
    examples = _examples(parts, entries, source)
    rejected = _rejected(parts, entries)
    if examples.empty:
        raise ValueError(f"none of the {len(entries)} ECGs of {source} can be used: {_summary(rejected)}")
    regions = _regions(parts)
    _merge_arrays(folder, parts, len(examples), shape, regions)
    for name, table in ((EXAMPLES, examples), (REJECTED, rejected)):
        with full_disk_explained(folder, int(table.memory_usage().sum()), MAKE_ROOM):
            write_parquet_atomic(folder / name, table)
    by_kind = Counter(rejected["reason_kind"].tolist())
    counts = {"entries": len(entries), "examples": len(examples), "rejected": len(rejected), "by_kind": dict(by_kind)}
    remarks = _remarks(parts, entries)
    return {"counts": counts | ({"remarks": remarks} if remarks else {}), "regions": regions}


def finish(folder: Path, info: Mapping[str, Any]) -> None:
    """Write ``cache.json``, by which a cache is finished.

    Args:
        folder: The cache's, with all other files.
        info: ``hash`` and ``settings`` of the cache, ``counts`` and ``regions`` of :func:`merge`.
    """
    masks = [path for region in info["regions"] for path in mask_paths(folder, region)]
    files = [*(folder / name for name in (EXAMPLES, REJECTED, BEAT_DIGESTS)), *masks]
    head = {"format": CACHE_FORMAT, "versions": package_versions()}
    write_marker(folder / MARKER, {**head, **info}, files)


def package_versions() -> dict[str, str]:
    """Return the versions of what the beats were computed with, for the record."""
    return {"python": platform.python_version()} | installed_versions(_PACKAGES)


def _examples(parts: Sequence[Path], entries: Sequence[Entry], source: str) -> pd.DataFrame:
    columns = {
        name: np.concatenate([_field(part, name) for part in parts]) for name in ("index", "heart_rate", "n_beats")
    }
    used = [entries[index] for index in columns["index"]]
    table = pd.DataFrame(
        {
            "row": np.arange(len(used), dtype=np.int64),
            "ecg_id": pd.Series([entry.ecg_id for entry in used], dtype="str"),
            "patient_id": pd.Series([entry.patient_id for entry in used], dtype="str"),
            "age": np.array([entry.age for entry in used], dtype=np.float64),
            "sex": pd.Series([entry.sex for entry in used], dtype="str"),
            "source": pd.Series([source] * len(used), dtype="str"),
            "fold": np.array([entry.fold for entry in used], dtype=np.int64),
        }
    )
    table = pd.concat([table, _labels(used)], axis=1)  # at once: a hundred columns one by one are slow
    table = table.assign(heart_rate=columns["heart_rate"], n_beats=columns["n_beats"])
    return table.assign(r_peaks=pd.Series(peaks)) if (peaks := _r_peaks(parts)) is not None else table


def _labels(entries: Sequence[Entry]) -> pd.DataFrame:
    """A column of each target that an ECG has a label of; the paper's nine always have one."""
    targets = dict.fromkeys((*PAPER_TARGETS, *(target for entry in entries for target in entry.labels)))
    return pd.DataFrame(
        {
            label_column(target): label_array([entry.labels.get(target, math.nan) for entry in entries])
            for target in targets
        }
    )


def _r_peaks(parts: Sequence[Path]) -> list[NDArray[np.int32]] | None:
    """R peaks of every ECG, of a cache of windows."""
    found: list[NDArray[np.int32]] = []
    for part in parts:
        with np.load(part) as content:
            if "r_peaks" in content:
                found += np.split(content["r_peaks"], np.cumsum(content["n_beats"])[:-1])
            elif len(content["index"]):
                return None
    return found


def _rejected(parts: Sequence[Path], entries: Sequence[Entry]) -> pd.DataFrame:
    who = [entries[index] for part in parts for index in _field(part, "rejected_index")]
    words = [tuple(pair) for part in parts for pair in _field(part, "rejected").tolist()]
    return pd.DataFrame(
        {
            "ecg_id": pd.Series([entry.ecg_id for entry in who], dtype="str"),
            "patient_id": pd.Series([entry.patient_id for entry in who], dtype="str"),
            "reason_kind": pd.Series([kind for kind, _ in words], dtype="str"),
            "reason": pd.Series([reason for _, reason in words], dtype="str"),
        }
    )


def _remarks(parts: Sequence[Path], entries: Sequence[Entry]) -> dict[str, dict[str, Any]]:
    """Remark -> how many ECGs it is true of, and the first of them."""
    said: list[tuple[str, str]] = []
    for part in parts:
        with np.load(part) as content:
            if "remarks" in content:
                index, remarks = content["remarked_index"].tolist(), content["remarks"].tolist()
                said += [(remark, entries[place].ecg_id) for place, remark in zip(index, remarks, strict=True)]
    first = dict(reversed(said))
    return {remark: {"ecgs": n, "first": first[remark]} for remark, n in Counter(one for one, _ in said).items()}


def _summary(rejected: pd.DataFrame) -> str:
    """How many of each kind, most frequent first, each with its first sentence."""
    if rejected.empty:
        return "the source has no ECG"
    kinds, reasons = rejected["reason_kind"].tolist(), rejected["reason"].tolist()
    first = dict(zip(reversed(kinds), reversed(reasons), strict=True))
    return "; ".join(f"{n} x {kind} (such as: {first[kind]})" for kind, n in Counter(kinds).most_common())


def _regions(parts: Sequence[Path]) -> list[str]:
    found: set[str] = set()
    for part in parts:
        with np.load(part) as content:
            found |= {name.removeprefix("mask:") for name in content.files if name.startswith("mask:")}
    return sorted(found)


def _field(part: Path, name: str) -> NDArray[Any]:
    with np.load(part) as content:
        return np.asarray(content[name])


def _merge_arrays(
    folder: Path, parts: Sequence[Path], n: int, shape_of_one: tuple[int, int], regions: Sequence[str]
) -> None:
    files: dict[str, tuple[Path, np.dtype[Any], tuple[int, ...]]] = {
        "beats": (folder / BEATS, np.dtype(np.int16), shape_of_one)
    }
    for region in regions:
        packed, present = mask_paths(folder, region)
        files[f"mask:{region}"] = (packed, np.dtype(np.uint8), packed_shape(shape_of_one))
        files[f"present:{region}"] = (present, np.dtype(np.bool_), ())
    needed = sum(n * dtype.itemsize * int(np.prod(shape)) for _, dtype, shape in files.values())
    with full_disk_explained(folder, needed, MAKE_ROOM), ExitStack() as stack:
        outputs = {
            name: stack.enter_context(_array_file(path, dtype, (n, *shape)))
            for name, (path, dtype, shape) in files.items()
        }
        digests: list[Digests] = []
        written = 0
        for part in parts:
            with np.load(part) as content:
                rows = len(content["index"])
                for name, output in outputs.items():
                    _, dtype, shape = files[name]
                    array = content[name] if name in content else np.zeros((rows, *shape), dtype)
                    array = np.ascontiguousarray(array, dtype=dtype)
                    output.write(array.data)
                    if name == "beats":
                        digests.append(digest_rows(np.arange(written, written + rows), array))
                written += rows
        write_array_atomic(folder / BEAT_DIGESTS, np.concatenate(digests))


@contextmanager
def _array_file(path: Path, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Iterator[IO[bytes]]:
    """A preallocated ``.npy`` file, open behind its header."""
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        preallocate(file.fileno(), file.tell() + dtype.itemsize * int(np.prod(shape)), path.parent)
        yield file
