"""Caches as the version before digests left them."""

import json
from pathlib import Path


def make_older(folder: Path) -> None:
    """Take the digests of a cache away."""
    (folder / "beats.digests.npy").unlink()
    info = json.loads((folder / "cache.json").read_text())
    del info["digest"], info["digests"]
    (folder / "cache.json").write_text(json.dumps(info | {"format": 1}))
