"""Waves as sums of two-sided Gaussian kernels that move a heart vector.

Axes of a heart vector: X to the left, Y down, Z to the back. Times in ms, voltages in mV.
"""

from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from ecg_lightning.ecg import SAMPLING_RATE

_Float = TypeVar("_Float", np.float32, np.float64)

MS: Final = SAMPLING_RATE / 1000.0
"""Samples a ms."""

ONSET_WIDTHS: Final = 2.3
"""At this many of its first kernel's widths before the kernel's centre a wave begins to rise steeply."""

OFFSET_WIDTHS: Final = 2.2
"""A wave has come down this many of its last kernel's widths after the kernel's centre."""

ONSET_LEAD: Final = 9.0
"""A cardiologist marks the onset of a QRS complex this long before it rises steeply, ms: measured on LUDB."""

OFFSET_LAG: Final = 5.0
"""And its offset this long after it has come down, ms (``benchmarks/wave_boundaries.py``)."""

T_OFFSET_LAG: Final = 10.0
"""The same for the T wave, which fades slowly, ms."""

_REACH: Final = 4.0  # widths, where a kernel has fallen to 3e-4 of its height


@dataclass(frozen=True)
class Kernels:
    """Kernels exp(-((t - centre) / width)^2 / 2); the width is ``before`` up to the centre and ``after`` from there on.

    Attributes:
        centre: (kernel,) ms, centre of each kernel.
        before: (kernel,) ms, width before the centre.
        after: (kernel,) ms, width after the centre.
        vector: (kernel, 3) mV, heart vector at the centre.
    """

    centre: NDArray[np.float64]
    before: NDArray[np.float64]
    after: NDArray[np.float64]
    vector: NDArray[np.float64]

    @classmethod
    def of(cls, *rows: tuple[float, float, float, NDArray[np.float64]]) -> "Kernels":
        """Make kernels from rows of centre, width before, width after, vector."""
        centre, before, after, vector = zip(*rows, strict=True)
        return cls(np.array(centre), np.array(before), np.array(after), np.array(vector))

    def __add__(self, other: "Kernels") -> "Kernels":
        return Kernels(
            *(
                np.concatenate([getattr(self, name), getattr(other, name)])
                for name in ("centre", "before", "after", "vector")
            )
        )

    @property
    def onset(self) -> float:
        """Return where a cardiologist marks the onset, ms."""
        return float((self.centre - ONSET_WIDTHS * self.before).min()) - ONSET_LEAD

    @property
    def offset(self) -> float:
        """Return where a cardiologist marks the offset, ms."""
        return float((self.centre + OFFSET_WIDTHS * self.after).max()) + OFFSET_LAG

    @property
    def area(self) -> NDArray[np.float64]:
        """Return the time integral of the heart vector up to a factor of sqrt(pi / 2), (3,) mV s."""
        return np.asarray((self.vector * (self.before + self.after)[:, None]).sum(axis=0) / 1000.0)


def evaluate(
    time: NDArray[_Float],  # (..., sample) ms
    centre: NDArray[_Float],  # (..., kernel) ms
    before: NDArray[_Float],  # (..., kernel) ms
    after: NDArray[_Float],  # (..., kernel) ms
) -> NDArray[_Float]:  # (..., kernel, sample)
    """Evaluate every kernel at every time."""
    lag = time[..., None, :] - centre[..., None]
    # Two multiplications and a choice are cheaper than a division by a chosen width.
    lag *= np.where(lag < 0.0, (1.0 / before)[..., None], (1.0 / after)[..., None])
    np.square(lag, out=lag)
    lag *= -0.5
    return np.asarray(np.exp(lag, out=lag))


@dataclass(frozen=True)
class Timing:
    """The timing says when the kernels of every beat come and how wide they are, ms from the beat's time.

    Attributes:
        centre: (beat, kernel) centre of each kernel.
        before: (beat, kernel), width up to the centre.
        after: (beat, kernel), width from the centre on.
    """

    centre: NDArray[np.float64]
    before: NDArray[np.float64]
    after: NDArray[np.float64]

    @classmethod
    def same(
        cls, beats: int, centre: NDArray[np.float64], before: NDArray[np.float64], after: NDArray[np.float64]
    ) -> "Timing":
        """Return the same kernels, (kernel,) each, in every beat."""
        shape = (beats, len(centre))
        return cls(np.broadcast_to(centre, shape), np.broadcast_to(before, shape), np.broadcast_to(after, shape))

    def of(self, beats: NDArray[np.bool_]) -> "Timing":
        """Return the timing of some of the beats."""
        return Timing(self.centre[beats], self.before[beats], self.after[beats])


def add_waves(
    signal: NDArray[np.float64],
    start: float,
    times: NDArray[np.float64],
    timing: Timing,
    amplitude: NDArray[np.float64],
) -> None:
    """Add one wave a beat to a signal, all beats and leads at once.

    Args:
        signal: (lead, sample) mV at 500 Hz, changed in place; must hold every wave whole.
        start: Time of the signal's first sample, ms.
        times: (beat,) ms, to a fraction of a sample: what centres are counted from.
        timing: Times of the kernels.
        amplitude: (beat, kernel, lead) mV.

    Raises:
        ValueError: A wave reaches beyond the signal.
    """
    earliest = (timing.centre - _REACH * timing.before).min()
    first = np.floor((earliest + times - start) * MS).astype(np.intp)
    width = int(((timing.centre + _REACH * timing.after).max() - earliest) * MS) + 2
    if first.min() < 0 or first.max() + width > signal.shape[1]:
        raise ValueError(
            f"waves from sample {first.min()} to {first.max() + width}, expected within 0 to {signal.shape[1]}: make "
            "the signal longer"
        )
    grid = (first[:, None] + np.arange(width)) / MS + start - times[:, None]  # (beat, sample) ms
    # Single precision is good to a nV here, and twice as fast.
    single = (x.astype(np.float32) for x in (grid, timing.centre, timing.before, timing.after))
    kernels = evaluate(*single)  # (beat, kernel, sample)
    waves = amplitude.astype(np.float32).swapaxes(1, 2) @ kernels  # (beat, lead, sample)
    for wave, at in zip(waves, first, strict=True):
        signal[:, at : at + width] += wave
