"""What stands for an ECG where others read it: its row and a pseudonym, by choice its id; ids are text and never paths.

A pseudonym is a keyed hash of the id. The key is a study's own, lies in its folder and is copied nowhere: who has the
key and a list of ids finds the ECG again, nobody else does.
"""

import os
import re
import secrets
import uuid
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, get_args

from ecg_lightning.ecg import shown_text
from ecg_lightning.storage.hashing import digest_bytes

IdChoice = Literal["pseudonyms", "keep"]
"""Whether ids are shown as pseudonyms outside of a run's own tables and stores, or kept."""

KEY_FILE: Final = "pseudonyms.key"
_KEY_BYTES: Final = 32


def picture_stem(row: int) -> str:
    """Beginning of the names of an ECG's pictures, such as ``row00017``: an id is no part of a path.

    Args:
        row: Its row of the test set.
    """
    return f"row{row:05d}"


@dataclass(frozen=True)
class EcgNames:
    """How the ECGs of a study are named where others read it.

    Attributes:
        ids: ``pseudonyms`` or ``keep``.
        key: The study's key, of which only the pseudonyms leave.
    """

    ids: IdChoice
    key: bytes

    @classmethod
    def of_study(cls, folder: str | Path, ids: IdChoice = "pseudonyms") -> "EcgNames":
        """The names of a study; its key is made at the first call.

        Args:
            folder: ``runs/<study>``.
            ids: ``pseudonyms`` or ``keep``.

        Raises:
            ValueError: Another choice, or the study's key can't be read or is damaged.
        """
        if ids not in get_args(IdChoice):
            raise ValueError(f"ids must be one of {', '.join(get_args(IdChoice))}; got {ids!r}")
        return cls(ids, study_key(folder))

    def __repr__(self) -> str:
        return f"EcgNames({self.ids})"

    def pseudonym(self, ecg_id: str) -> str:
        """Such as ``ecg-3f9a1c2b44``: the same in all runs of a study, another one in other studies.

        Args:
            ecg_id: The id.
        """
        content = str(ecg_id).encode("utf-8", "surrogatepass")
        return f"ecg-{digest_bytes(content, 5, self.key)}"

    def name(self, ecg_id: str) -> str:
        """The pseudonym, or the id where ids are kept.

        Args:
            ecg_id: The id.
        """
        return shown_text(str(ecg_id)) if self.ids == "keep" else self.pseudonym(ecg_id)

    def shown(self, row: int, ecg_id: str) -> str:
        """Such as ``row 17 (ecg-3f9a1c2b44)``.

        Args:
            row: Of the test set.
            ecg_id: The id.
        """
        return f"row {row} ({self.name(ecg_id)})"


def study_key(folder: str | Path) -> bytes:
    """The key of a study's pseudonyms; made once, readable for its owner only, also where two processes ask at once.

    Args:
        folder: ``runs/<study>``.

    Raises:
        ValueError: The key can't be read, written or is damaged.
    """
    path = Path(folder) / KEY_FILE
    try:
        if not path.exists():
            _make_key(path)
        text = path.read_text(encoding="ascii", errors="replace").strip()
    except OSError as error:
        raise ValueError(
            f"{path}, the key of this study's pseudonyms, can't be read or made: {error.strerror or error}. Give the "
            "study's folder and this file back to the user who runs the study"
        ) from error
    if not re.fullmatch(f"[0-9a-f]{{{2 * _KEY_BYTES}}}", text):
        raise ValueError(
            f"{path}, the key of this study's pseudonyms, is damaged: expected {2 * _KEY_BYTES} hexadecimal digits in "
            f"it, got {len(text)} characters. Put the file back from a copy; or delete it, and ECGs get new pseudonyms "
            "that don't fit those of earlier pictures"
        )
    return bytes.fromhex(text)


def _make_key(path: Path) -> None:
    """Write the key whole under a temporary name; the first process to give it its name wins."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}.tmp")
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_hex(_KEY_BYTES) + "\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(temporary, path)  # a rename would take the place of a key that another process has made meanwhile
    finally:
        temporary.unlink(missing_ok=True)
