"""Hashes of what determines a result: settings, a network's weights, examples; and in what settings differ, in words.

Hashes are BLAKE2b, of 16 bytes where nothing else is said, in hexadecimal, of a serialisation in which no two different
values look alike.
"""

import hashlib
import json
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

JSON: TypeAlias = "str | int | float | bool | Sequence[JSON] | Mapping[str, JSON] | None"
"""A value that JSON can hold."""

_DIGEST_BYTES = 16
_LARGEST_EXACT_INTEGER = 2**53
_ABSENT = "(absent)"


def digest_settings(settings: Mapping[str, JSON]) -> str:
    """Hash settings by their canonical JSON: the order of keys does not matter, nor does 1 against 1.0.

    Args:
        settings: What determines a result; nothing of devices, batch size, paths or loggers.

    Returns:
        32 hexadecimal digits.

    Raises:
        ValueError: NaN, an infinite number, a key that is no string, or a type that JSON does not have
            (a NumPy scalar, a tensor, a path); the message names the position.
    """
    return digest_bytes(canonical_json(settings).encode())


def digest_without(content: Mapping[str, JSON], own: str) -> str:
    """Hash the content of a file that holds its own hash.

    Args:
        content: Content of the file, as it is read or written.
        own: The key of the hash, which does not count.

    Returns:
        32 hexadecimal digits.

    Raises:
        ValueError: As for ``digest_settings``.
    """
    return digest_settings({name: value for name, value in content.items() if name != own})


def canonical_json(value: object) -> str:
    """Serialise a value in one way only: sorted keys, no spaces, integral floats as integers (as in RFC 8785).

    Raises:
        ValueError: As for ``digest_settings``.
    """
    return json.dumps(_canonical(value, "settings"), sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest_state_dict(state_dict: "Mapping[str, torch.Tensor]") -> str:
    """Hash the content of a state dict: names, dtypes, shapes and bytes, whatever device it is on.

    Args:
        state_dict: Name -> tensor, any order.

    Returns:
        32 hexadecimal digits.

    Raises:
        ValueError: An entry that is no tensor.
    """
    import torch

    digest = new_digest()
    for name in sorted(state_dict):
        tensor = state_dict[name]
        if not isinstance(tensor, torch.Tensor):
            raise ValueError(
                f"entry {name!r} of the state dict is a {type(tensor).__name__}, expected a tensor; "
                "hash only parameters and buffers"
            )
        plain = tensor.detach().cpu().contiguous().reshape(-1)
        _update(digest, (name.encode(), str(tensor.dtype).encode(), str(tuple(tensor.shape)).encode()))
        # NumPy has no bfloat16, bytes it has
        _update(digest, (plain.view(torch.uint8).numpy().data,))
    return digest.hexdigest()


def digest_array_rows(
    array: NDArray[np.generic], ids: Sequence[str | int] | None = None, *, chunk_rows: int = 1024
) -> str:
    """Hash the rows of an array, and what they are called, with the memory of one chunk.

    Args:
        array: (n, ...) any dtype but object; a memory map is read chunk by chunk.
        ids: n names of the rows, ``ecg_id`` for ECGs; None where the rows have none.
        chunk_rows: Rows that are in memory at once; it does not change the hash.

    Returns:
        32 hexadecimal digits.

    Raises:
        ValueError: A scalar, an object array, or another number of ids than of rows.
    """
    if array.ndim == 0 or array.dtype.hasobject:
        raise ValueError(f"expected an array of rows with a plain dtype, got {array.dtype} {array.shape}")
    if ids is not None and len(ids) != len(array):
        raise ValueError(f"{len(ids)} ids for {len(array)} rows; give one id per row")
    dtype = array.dtype.newbyteorder("<")
    digest = new_digest()
    _update(digest, (dtype.str.encode(), str(array.shape).encode()))
    for start in range(0, len(array), chunk_rows):
        digest.update(np.ascontiguousarray(array[start : start + chunk_rows], dtype=dtype).tobytes())
    if ids is not None:
        _update(digest, (str(name).encode() for name in ids))
    return digest.hexdigest()


def digest_bytes(content: bytes, size: int = _DIGEST_BYTES, key: bytes = b"") -> str:
    """Hash bytes with BLAKE2b.

    Args:
        content: What is hashed.
        size: Bytes of the hash; fewer make names that people read.
        key: A secret without which nobody can find the content by trying.

    Returns:
        Two hexadecimal digits a byte.
    """
    return blake2b(content, digest_size=size, key=key).hexdigest()


def new_digest() -> blake2b:
    """Begin a hash of 16 bytes of a content that comes in parts."""
    return blake2b(digest_size=_DIGEST_BYTES)


def digest_file(path: str | Path) -> str:
    """Hash a file's content as ``digest_bytes`` does."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, new_digest).hexdigest()


def differences(
    before: Mapping[str, object],
    now: Mapping[str, object],
    sides: tuple[str, str] = ("then", "now"),
    *,
    apart_from: Collection[str] = (),
    null_counts: bool = False,
) -> list[str]:
    """Say in words in what settings differ, a line each: ``data.split_seed: 0 then, 3 now``.

    Args:
        before: Settings, nested or not.
        now: Other settings, nested or not.
        sides: What the two are called.
        apart_from: Dotted names that may differ, with all below them.
        null_counts: Whether null, and a mapping without entries, differ from a name that is not there. Where later
            versions add settings, null is the default of those that earlier ones did not write.

    Returns:
        Every difference, in the order of the settings.
    """
    left, right = (dict(_leaves(settings, "", apart_from, null_counts)) for settings in (before, now))
    return [
        f"{name}: {left.get(name, _ABSENT)} {sides[0]}, {right.get(name, _ABSENT)} {sides[1]}"
        for name in dict.fromkeys([*left, *right])
        if left.get(name) != right.get(name)
    ]


def listed(lines: Sequence[str], between: str, most: int = 12) -> str:
    """Join the first lines, and count the others.

    Args:
        lines: Lines such as ``differences`` returns.
        between: What stands between two, such as ``"; "``.
        most: Number of lines that are shown.
    """
    more = [f"... and {len(lines) - most} more"] if len(lines) > most else []
    return between.join([*lines[:most], *more])


def _leaves(value: object, name: str, apart_from: Collection[str], null_counts: bool) -> Iterator[tuple[str, str]]:
    """Walk through nested mappings and sequences and give ``a.b[2]`` and the JSON of what stands there."""
    if name in apart_from:
        return
    if isinstance(value, Mapping) and (value or not (name and null_counts)):
        for key, item in value.items():
            if null_counts or item is not None:
                yield from _leaves(item, f"{name}.{key}" if name else str(key), apart_from, null_counts)
    elif isinstance(value, list | tuple) and value:
        for index, item in enumerate(value):
            yield from _leaves(
                item, f"{name}[{index}]", apart_from, null_counts=True
            )  # an entry is there, also as null
    else:
        number = _shortest(value) if isinstance(value, float) else value
        yield name, json.dumps(number, ensure_ascii=False, default=repr)  # a YAML file may hold a date


def _update(digest: blake2b, fields: Iterable[bytes | memoryview]) -> None:
    """Add fields with their lengths before them, so that ("ab", "c") and ("a", "bc") differ."""
    for field in fields:
        digest.update(len(field).to_bytes(8, "little"))
        digest.update(field)


def _canonical(value: object, where: str) -> object:
    """The same value with one form for equal numbers; ``where`` is what an error calls the position."""
    if isinstance(value, Mapping):
        wrong = [key for key in value if not isinstance(key, str)]
        if wrong:
            raise ValueError(f"{where} has the key {wrong[0]!r} of type {type(wrong[0]).__name__}, not a string")
        return {key: _canonical(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_canonical(item, f"{where}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, float):
        return _canonical_float(float(value), where)
    if value is None or isinstance(value, str | int):
        return value
    raise ValueError(
        f"{where} is a {type(value).__name__}; settings that are hashed hold strings, numbers, booleans, None, "
        "lists and mappings only: convert it (for a NumPy scalar: .item())"
    )


def _canonical_float(value: float, where: str) -> float | int:
    if not math.isfinite(value):
        raise ValueError(f"{where} is {value}; settings that are hashed hold finite numbers only")
    return _shortest(value)


def _shortest(value: float) -> float | int:
    return int(value) if value.is_integer() and abs(value) <= _LARGEST_EXACT_INTEGER else value
