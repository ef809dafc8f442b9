"""One way leads from what a draw is for, its key, to random numbers: the same whatever ran before, on any machine.

The key is written as one text, BLAKE2b hashes the text, bits of the hash are a whole number (``keyed_number``), and the
number seeds a generator. Torch is imported where it is asked for: the simulator and the statistics do without it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
from numpy.typing import NDArray

from ecg_lightning.storage.hashing import JSON, canonical_json

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Encoding:
    """How the hash of a key becomes a number.

    Attributes:
        digest_bytes: Length of the hash.
        bits: The highest bits of the hash that the number keeps.
        byte_order: In which the bytes of the hash are read.
    """

    digest_bytes: int
    bits: int
    byte_order: Literal["little", "big"]


# There are four, because numbers on disk were drawn with each: another encoding would move patients between training
# and test, change simulated ECGs and maps that are half made, and make a resumed `fit` go on with other draws.
# A new kind of draw takes `seed_from_settings`, whose key names its parts.

MAPS: Final = Encoding(8, 63, "little")
"""Draws of maps; the key is a JSON list, see ``attribution.seeding.RandomKey``. 63 bits: torch's seeds are signed."""

STREAMS: Final = Encoding(16, 128, "little")
"""The simulator's streams, ``seed/patient/ecg/component``, and resampled patients, ``patient_resamples:seed``."""

SETTINGS: Final = Encoding(16, 60, "big")
"""Draws of training; the key is a JSON object. The number is the first 15 digits of ``digest_settings``."""

RANKS: Final = Encoding(8, 64, "big")
"""Orders of patients and ECGs; the text is ``purpose:id``, the id alone for splits, and the seed is BLAKE2b's key."""


def keyed_number(text: str, encoding: Encoding, secret: str = "") -> int:
    """Hash a key to a whole number.

    Args:
        text: What the draw is for.
        encoding: How the hash becomes a number.
        secret: BLAKE2b's own key, of at most 64 bytes.

    Returns:
        From 0 to 2**bits - 1.
    """
    digest = blake2b(text.encode(), digest_size=encoding.digest_bytes, key=secret.encode()).digest()
    return int.from_bytes(digest, encoding.byte_order) >> (8 * encoding.digest_bytes - encoding.bits)


def seed_from_settings(settings: Mapping[str, JSON]) -> int:
    """Give the seed of draws whose key is a mapping, such as ``{"purpose": "augmentation", "seed": 0, "epoch": 3}``.

    Args:
        settings: As for ``digest_settings``; the order of the names does not matter.

    Raises:
        ValueError: As for ``digest_settings``.
    """
    return keyed_number(canonical_json(settings), SETTINGS)


def keyed_order(seed: int, names: Iterable[str]) -> NDArray[np.intp]:
    """Give a random order in which two names stand as they do in any other list: it depends on seed and names only.

    Args:
        seed: Another one gives another order.
        names: (n,) what is ordered, each after its purpose: ``background:17``.

    Returns:
        (n,) places of the names in their order; equal names keep theirs.
    """
    ranks = np.array([keyed_number(name, RANKS, str(seed)) for name in names], dtype=np.uint64)
    return np.argsort(ranks, kind="stable")


def numpy_generator(seed: int | Sequence[int]) -> np.random.Generator:
    """Make NumPy's default generator.

    Args:
        seed: A number, or several that NumPy mixes.
    """
    return np.random.default_rng(seed)


def stream_generator(key: int) -> np.random.Generator:
    """Make a generator that counts under a key of 128 bits (Philox), as the simulator's streams do."""
    return np.random.Generator(np.random.Philox(key=key))


def torch_generator(seed: int) -> "torch.Generator":
    """Make a torch generator on the CPU, whose draws are the same for every device."""
    import torch

    return torch.Generator("cpu").manual_seed(seed)


def seed_torch(seed: int) -> None:
    """Seed torch's global random state, on the CPU and all accelerators, and leave it so."""
    import torch

    torch.manual_seed(seed)


@contextmanager
def torch_seeded(seed: int, device: "torch.device | None" = None) -> Iterator[None]:
    """Seed torch's global draws for a while, and put their state back at the end.

    Initialisations and dropout take no generator: they draw from the global state.

    Args:
        seed: Of the draws.
        device: A GPU whose draws are seeded too; those on the CPU always are.
    """
    import torch

    gpus = [device] if device is not None and device.type == "cuda" else []
    with torch.random.fork_rng(gpus):
        torch.default_generator.manual_seed(seed)
        for gpu in gpus:
            with torch.cuda.device(gpu):
                torch.cuda.manual_seed(seed)
        yield
