"""Read the XML of GE's MUSE: an element tree, whatever its encoding, with nothing fetched and nothing expanded."""

import codecs
import os
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Final
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from ecg_lightning.data.sources.base import RecordingError
from ecg_lightning.data.sources.wfdb_checks import UnreadableError

ROOT: Final = "RestingECG"
EXPORT_AGAIN: Final = "export the ECG from MUSE again"
"""What to do with a damaged file."""

_WAVEFORM, _DIAGNOSIS = "Waveform", "Diagnosis"
_LARGEST: Final = 64 << 20  # bytes; an export of 10 s takes 0.15 MB
_CHUNK: Final = 1 << 14
_NO_CONTROLS: Final = bytes(k if k >= 32 or k in b"\t\n\r" else 32 for k in range(256))


class _EnoughRead(Exception):  # noqa: N818
    """The waveforms begin, and only the head is needed."""


class _Pass:
    """One pass of expat over a file.

    expat never fetches anything by itself, so the document type (``restecg.dtd``) stays unread; and a file that
    declares entities is refused, so there is none to expand.
    """

    def __init__(self, path: Path, head_only: bool, encoding: str | None = None) -> None:
        self._path, self._head_only = path, head_only
        self._root: Element | None = None
        self._builder = TreeBuilder()
        self._open: list[str] = []
        self._has_diagnosis = False
        self._parser = expat.ParserCreate(encoding)
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._builder.data
        self._parser.EntityDeclHandler = self._refuse_entity

    def over(self, file: BinaryIO) -> Element:
        """Read until enough is read.

        Raises:
            ExpatError: The file is not well-formed, or ends early.
            LookupError, ValueError: Python or expat does not know its encoding.
            UnreadableError: It is no resting ECG of MUSE.
        """
        try:
            while chunk := file.read(_CHUNK):
                self._parser.Parse(chunk, False)
            self._parser.Parse(b"", True)
        except _EnoughRead:
            pass
        if self._root is None:
            raise UnreadableError(f"{self._path}: holds no element; {EXPORT_AGAIN}")
        return self._root

    def _start(self, tag: str, _: dict[str, str]) -> None:
        name = tag.rpartition(":")[2]  # without a namespace's prefix
        if self._root is None and name != ROOT:
            raise UnreadableError(
                f"{self._path}: the root is <{tag}>, expected <{ROOT}>: not a resting ECG from MUSE; move the file out "
                "of the source's root"
            )
        if len(self._open) == 1:
            if name == _WAVEFORM and self._head_only and self._has_diagnosis:
                raise _EnoughRead
            self._has_diagnosis |= name.endswith(_DIAGNOSIS)
        self._open.append(name)
        element = self._builder.start(name, {})
        self._root = element if self._root is None else self._root

    def _end(self, _: str) -> None:
        self._builder.end(self._open.pop())

    def _refuse_entity(self, name: str, *_: object) -> None:
        raise UnreadableError(
            f"{self._path}: declares the entity {name!r}, which MUSE never does and an attack may; find out where the "
            "file is from"
        )


def read_tree(path: Path, *, head_only: bool = False) -> Element:
    """Read one exported file.

    Bytes that do not fit the encoding that the file names are taken for UTF-8 if they are, else for ISO 8859-1;
    control characters, which XML forbids, become blanks. That may alter people's names, never a waveform.

    Args:
        path: The file that is read.
        head_only: Stop at the first waveform, a tenth into the file, where a diagnosis stands before it.

    Returns:
        ``RestingECG``; tags without namespace, no attributes.

    Raises:
        UnreadableError: The file is missing, truncated, not XML, no resting ECG of MUSE, declares entities, or is over
            64 MB.
    """
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > _LARGEST:
                raise UnreadableError(
                    f"{path}: {size / 2**20:.0f} MB, expected under {_LARGEST >> 20} MB as of any resting ECG; move it "
                    "out of the source's root"
                )
            try:
                return _Pass(path, head_only).over(file)
            except RecordingError:
                raise
            # Encodings of several bytes a character are a ValueError, unknown ones a LookupError.
            except (expat.ExpatError, LookupError, ValueError) as error:
                file.seek(0)
                return _read_again(path, file.read(), head_only, error)
    except OSError as error:
        raise UnreadableError(
            f"{path}: {error.strerror or error}; correct the source's root, or {EXPORT_AGAIN}"
        ) from error


def _read_again(path: Path, content: bytes, head_only: bool, first: Exception) -> Element:
    """Another pass, which does not believe what the file says of its encoding; zeros behind its end are blanks then."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    else:
        content = content.lstrip().translate(_NO_CONTROLS)
        encoding = "utf-8" if _is_utf8(content) else "iso-8859-1"
    try:
        return _Pass(path, head_only, encoding).over(BytesIO(content))
    except expat.ExpatError:
        raise UnreadableError(f"{path}: truncated, or not XML ({first}); {EXPORT_AGAIN}") from first


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
