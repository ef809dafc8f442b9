"""Simulated beats for the benchmarks: made once per version of the simulator's code. No script."""

import inspect
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Final

import ecg_lightning
from ecg_lightning.data.sources.base import Entry
from ecg_lightning.data.sources.synthetic import Synthetic

ECGS_A_PATIENT: Final = 1.7
"""Less than the simulator gives on average (1.88), so that there are enough of them."""


class FirstEcgs(Synthetic):
    """The simulator, cut to a number of ECGs.

    Its settings hold a hash of the simulator's code: ECGs of a simulator that was changed since are made anew.

    Args:
        n_ecgs: How many ECGs; the last patient may lose some.
        seed: Of the simulation.
        evidence: Whether evidence masks are made.
    """

    def __init__(self, n_ecgs: int, seed: int = 0, *, evidence: bool = True) -> None:
        super().__init__(int(n_ecgs / ECGS_A_PATIENT) + 100, seed, evidence=evidence)
        self.n_ecgs = n_ecgs

    def entries(self) -> Sequence[Entry]:
        """The first ones.

        Raises:
            ValueError: There are fewer.
        """
        entries = super().entries()[: self.n_ecgs]
        if len(entries) < self.n_ecgs:
            raise ValueError(
                f"{self.n_patients} simulated patients have {len(entries)} ECGs, expected {self.n_ecgs}; lower "
                "ECGS_A_PATIENT to what the simulator gives"
            )
        return entries

    def settings(self) -> dict[str, object]:
        """The simulator's, how many, and its code."""
        package = Path(ecg_lightning.__file__).parent / "simulator"
        code = code_digest([inspect.getfile(Synthetic), *package.rglob("*.py")])
        return {**super().settings(), "n_ecgs": self.n_ecgs, "code": code}


def code_digest(files: Iterable[str | Path]) -> str:
    """Hash of source files, so that what was kept is not found again after a change of the code."""
    return blake2b(b"".join(Path(file).read_bytes() for file in sorted(map(str, files))), digest_size=8).hexdigest()
