"""Random streams by name, so that one property can be toggled while all others stay.

Each component of the simulator (geometry, QRS complex, rhythm, noise ...) draws from a stream of its own that is keyed
by the simulation seed, the patient, the ECG and the component's name. A component that draws more, or less, because of
a diagnosis does not move what any other component draws: two ECGs that differ in one diagnosis are twins.
"""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from ecg_lightning.randomness import STREAMS, keyed_number, stream_generator


@dataclass(frozen=True)
class Streams:
    """The random streams of one patient or one ECG.

    Attributes:
        key: What the streams belong to, such as ``0/17`` (seed, patient) or ``0/17/2`` (and ECG).
    """

    key: str

    def __call__(self, component: str) -> Generator:
        """A fresh generator at the start of a component's stream; the same on every machine.

        Args:
            component: Name of the component.
        """
        return stream_generator(keyed_number(f"{self.key}/{component}", STREAMS))


def log_normal(rng: Generator, median: float, log_sd: float) -> float:
    """Draw once from the log-normal distribution with this median and SD of the logarithm."""
    return float(median * np.exp(log_sd * rng.standard_normal()))


def truncated_normal(u: float, mean: float, sd: float, low: float, high: float) -> float:
    """Turn a uniform draw ``u`` in (0, 1) into one of the normal distribution cut to [low, high].

    By inversion, and not by rejection, so that twins of other parameters take the same quantile.
    """
    below, above = ndtr((low - mean) / sd), ndtr((high - mean) / sd)
    return float(mean + sd * ndtri(below + u * (above - below)))


def unit(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scale vectors to length one along the last axis."""
    return np.asarray(vector / np.linalg.norm(vector, axis=-1, keepdims=True))


def jittered(rng: Generator, direction: tuple[float, float, float], jitter: float) -> NDArray[np.float64]:
    """Draw a unit vector near a direction: N(0, jitter) is added to each component first, (3,)."""
    return unit(np.array(direction) + jitter * rng.standard_normal(3))
