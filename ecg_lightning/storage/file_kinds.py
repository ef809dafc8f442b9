"""This module names what an unexpected file is, by how it begins: for the words of an error."""

import zipfile
from pathlib import Path
from typing import Final

_HEAD: Final = 512  # bytes
_ARCHIVES: Final = ((b"\x1f\x8b", "gzip"), (b"BZh", "bzip2"), (b"\xfd7zXZ\x00", "xz"), (b"7z\xbc\xaf", "7-Zip"))


def kind_of_file(path: Path) -> str | None:
    """Name what a file is, with what to do where that is plain, as the end of "it is ...".

    Args:
        path: A file or a folder.

    Returns:
        Such as ``an HTML page, which ...``; None where it is none of the kinds that are known here.
    """
    if path.is_dir():
        return "a folder: name the file in it (one that is spread over several files is not read)"
    with path.open("rb") as file:
        head = file.read(_HEAD)
    return _of_text(head) or _of_bytes(head) or (_of_zip(path) if zipfile.is_zipfile(path) else None)


def _of_text(head: bytes) -> str | None:
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not head.strip(b"\x00"):
        return "empty: copy or download it again" if not head else "nothing but zeros: copy or download it again"
    if start.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer, which stands in for the file: fetch that with `git lfs pull`"
    if start.startswith((b"<!doctype html", b"<html")):
        return "an HTML page, which a server sent in place of the file: look at it in a browser, and download it again"
    if start.startswith(b"<?xml"):
        return "an XML file"
    if all(byte in b"\t\r\n" or byte >= 32 for byte in head) and start[:1].isascii():
        return f"a text, which begins with {head[:40].decode(errors='replace').strip()!r}"
    return None


def _of_bytes(head: bytes) -> str | None:
    if len(head) > 9 and head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 2**32:
        return (
            "a safetensors file, which holds weights alone: load them into your network in Python "
            "(safetensors.torch.load_file), or keep them with its description as a checkpoint of Lightning"
        )
    if head.startswith(b"\x89HDF"):
        return "an HDF5 file, as Keras keeps its networks; the networks here are of PyTorch"
    if head.startswith(b"\x93NUMPY"):
        return "an array of NumPy"
    archive = next((name for magic, name in _ARCHIVES if head.startswith(magic)), None)
    if archive is None and head[257:262] == b"ustar":
        archive = "tar"
    return f"packed ({archive}): unpack it, and name the file in it" if archive else None


def _of_zip(path: Path) -> str | None:
    """Name the kind of a zip archive: files of torch.save are some."""
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    inner = [name.partition("/")[2] for name in names]
    if "constants.pkl" in inner or any(name.startswith("code/") for name in inner):
        return (
            "a TorchScript archive, a network that is compiled and holds no Lightning checkpoint; it allows no hooks, "
            "which most methods need: take the network's own class with its weights"
        )
    if "data.pkl" in inner:
        return None
    if any(name.endswith(".npy") for name in names):
        return "an archive of NumPy's arrays (.npz)"
    if any("serialized_exported_program" in name or "archive_format" in name for name in names):
        return "a program of torch.export, which is no checkpoint: take the network's own class with its weights"
    return "packed (zip): unpack it, and name the file in it"
