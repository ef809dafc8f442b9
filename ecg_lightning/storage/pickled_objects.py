"""This module names what a file of torch.save or pickle would make when it is loaded, without making any of it."""

import io
import pickle
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from ecg_lightning.ecg import shown_text

_PLAIN: Final = re.compile(
    r"torch\.\w+|torch\.(_utils|_tensor|storage|cuda|sparse|cuda\.sparse)\.\w+|torch\.nn\.parameter\.Parameter|"
    r"torch\.serialization\._get_layout|_codecs\.encode|builtins\.(bytearray|complex|set)|"
    r"collections\.(Counter|OrderedDict)"
)
"""What ``torch.load(weights_only=True)`` makes: tensors and what they are put together from."""

_OLD_NAMES: Final = {"__builtin__": "builtins", "copy_reg": "copyreg"}
_PARTS_AT_MOST: Final = 1_000_000
_HEAD: Final = 5  # an old file of torch.save is a row of pickles: magic number, protocol, machine, content, keys

Where = tuple[str, ...]
"""Keys from the outermost one."""


def pickled_objects(path: Path) -> dict[str, list[str]]:
    """List every class or function that loading a file would call and that is no part of a tensor.

    Args:
        path: A file of ``torch.save`` or ``pickle``.

    Returns:
        Dotted key in the file, such as ``hyper_parameters.where`` -> names such as ``pathlib.PosixPath``, in the order
        of the file; the key of the whole content is empty. Empty where there is none, or where it can't be known.
    """
    found: dict[str, list[str]] = {}
    try:
        for content in _contents(path):
            for key, name in _named(content):
                names = found.setdefault(key, [])
                if name not in names:
                    names.append(name)
    except Exception:  # a file from elsewhere can make the unpickler raise anything
        return found
    return found


def pickle_protocol(path: Path) -> int:
    """Return the protocol of the pickle in a zip archive of ``torch.save``; 0 where none is whole."""
    try:
        with zipfile.ZipFile(path) as archive:
            content = next(archive.read(name) for name in archive.namelist() if name.endswith("data.pkl"))
        return content[1] if content[:1] == pickle.PROTO else 0
    except Exception:  # cut, changed, or no archive
        return 0


class _Inert:
    """Stands in for what a pickle makes: keeps what would have been handed to it, and does nothing."""

    name = ""

    parts: list[tuple[str, Any]]

    def __new__(cls, *args: Any, **_: Any) -> "_Inert":
        made = super().__new__(cls)
        made.parts = [("", args)]
        return made

    def __init__(self, *_: Any, **__: Any) -> None:
        """Nothing is done with what the pickle hands over."""

    def __call__(self, *args: Any) -> "_Inert":
        self.parts.append(("", args))
        return self

    def __setstate__(self, state: Any) -> None:
        self.parts.append(("", state))

    def __setitem__(self, key: Any, value: Any) -> None:
        self.parts.append((str(key) if isinstance(key, str | int) else "", value))

    def append(self, value: Any) -> None:
        self.parts.append(("", value))

    add = append

    def extend(self, values: Any) -> None:
        self.parts.append(("", list(values)))


class _Reader(pickle.Unpickler):
    """Imports nothing and calls nothing: every name becomes a class of its own that is inert."""

    def find_class(self, module: str, name: str) -> type[_Inert]:
        return type("_Named", (_Inert,), {"name": f"{_OLD_NAMES.get(module, module)}.{name}"})

    def persistent_load(self, pid: Any) -> Any:
        """Skip weights, which lie elsewhere in the file; old versions of torch.save store module classes so, too."""
        return pid[1] if isinstance(pid, tuple) and pid[:1] == ("module",) else None


def _contents(path: Path) -> Iterator[Any]:
    """What the pickles of a file hold."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if name.endswith("data.pkl"):
                    yield _Reader(io.BytesIO(archive.read(name))).load()
        return
    with path.open("rb") as file:
        for _ in range(_HEAD):
            yield _Reader(file).load()


def _named(content: Any) -> Iterator[tuple[str, str]]:
    """Dotted key and name of everything that is not plain in a tree."""
    todo: list[tuple[Where, bool, Any]] = [((), False, content)]
    seen: set[int] = set()
    while todo and len(seen) < _PARTS_AT_MOST:
        where, within, value = todo.pop()
        if isinstance(value, str | bytes | int | float | None) or id(value) in seen:
            continue
        seen.add(id(value))
        kind = value if isinstance(value, type) else type(value)
        if issubclass(kind, _Inert) and not _PLAIN.fullmatch(kind.name):
            yield ".".join(map(shown_text, where)), shown_text(kind.name)
            within = True  # what lies within has no keys of its own
        todo += [
            ((*where, key) if key and not within else where, within, part) for key, part in reversed(_parts(value))
        ]


def _parts(value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, _Inert):
        return value.parts
    if isinstance(value, Mapping):
        return [(str(key), part) for key, part in value.items()] + [("", key) for key in value]
    if isinstance(value, list | tuple):
        return [("", part) for part in value]
    return [("", part) for part in value] if isinstance(value, set | frozenset) else []
