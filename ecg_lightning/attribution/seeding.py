"""Randomness is keyed: a row of a store is the same whatever the batch, rank, order or resume.

Every draw comes from a CPU generator whose seed is a hash of what the draw is for. The global random state is
neither read nor moved: what Captum would draw by itself is drawn here and handed to it.
"""

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from ecg_lightning.randomness import MAPS, keyed_number, torch_generator
from ecg_lightning.storage.hashing import canonical_json


@dataclass(frozen=True)
class RandomKey:
    """A random key says what a draw is for.

    Attributes:
        attribution_seed: Set by the user; another one gives another Monte-Carlo replicate of every map.
        training_seed: The training repetition of the network.
        method: Name of the attribution method.
        ecg_id: Id of the ECG.
        purpose: What is drawn: ``noise``, ``background``, ``alpha``, ``permutation`` ...
        direction: Direction of a randomisation cascade, empty outside one.
        repeat: Repeat of the cascade.
        depth: Number of layers that the cascade has randomised.
    """

    attribution_seed: int = 0
    training_seed: int = 0
    method: str = ""
    ecg_id: str = ""
    purpose: str = ""
    direction: str = ""
    repeat: int = 0
    depth: int = 0

    def for_purpose(self, purpose: str) -> Self:
        """Return the same key for another purpose."""
        return replace(self, purpose=purpose)

    @property
    def seed(self) -> int:
        """Hash the key's values as a JSON list to a 63-bit seed."""
        values = [
            self.attribution_seed,
            self.training_seed,
            self.method,
            self.ecg_id,
            self.purpose,
            self.direction,
            self.repeat,
            self.depth,
        ]
        return keyed_number(canonical_json(values), MAPS)

    def generator(self) -> torch.Generator:
        """Make a fresh CPU generator of this key."""
        return torch_generator(self.seed)

    def normal(self, *shape: int) -> Tensor:
        """Draw standard normal values, float32 on the CPU, so that every precision and device sees the same."""
        return torch.randn(shape, generator=self.generator(), dtype=torch.float32)

    def uniform(self, *shape: int) -> Tensor:
        """Draw uniform values in [0, 1), float32 on the CPU, as Captum rounds its own."""
        return torch.rand(shape, generator=self.generator(), dtype=torch.float32)

    def integers(self, high: int, *shape: int) -> Tensor:
        """Draw uniform integers in [0, high), on the CPU."""
        return torch.randint(high, shape, generator=self.generator())

    def permutations(self, length: int, count: int) -> list[list[int]]:
        """Draw ``count`` random permutations of ``range(length)``."""
        generator = self.generator()
        return [torch.randperm(length, generator=generator).tolist() for _ in range(count)]
