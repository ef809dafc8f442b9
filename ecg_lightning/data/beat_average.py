"""Maps and masks of a recording, averaged over its beats: what a recording says of one beat."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ecg_lightning.data.regions import since_own_beat
from ecg_lightning.ecg import SignalFormat
from ecg_lightning.signal.whole_beats import whole_beats


def average_over_beats(
    values: Tensor, r_peaks: NDArray[np.integer], signal_format: SignalFormat
) -> tuple[Tensor, Tensor]:
    """Average a recording's map over its beats, with its sign; each beat counts the same.

    Every point belongs to one beat, as for relevance by wave: the beat has .6 of the RR interval behind its R peak and
    the rest of the one before. So what a network marks in one beat alone is not counted as its neighbours', too, as it
    is where windows of 1.2 s overlap.

    Args:
        values: (..., sample) of a map, or of a mask, whose average is the share of beats that are marked.
        r_peaks: (beat,) samples of the recording's R peaks.
        signal_format: Of the recording.

    Returns:
        (..., sample of a beat) float32, with the fiducial and the length of a median beat, 0 where no beat has a point;
        and (sample,) where more than half of the beats have one, nowhere without R peaks.

    Raises:
        ValueError: Values of another length.
    """
    if values.shape[-1] != signal_format.samples:
        raise ValueError(f"expected {signal_format.samples} samples, got {values.shape[-1]}")
    _, beat = whole_beats(signal_format, r_peaks)
    time = since_own_beat(r_peaks, signal_format)
    place = np.rint(time * signal_format.sampling_rate / 1000 + (beat.fiducial or 0))
    own = np.flatnonzero((place >= 0) & (place < beat.samples))  # NaN is neither
    to = torch.from_numpy(place[own].astype(np.int64))
    total = values.new_zeros((*values.shape[:-1], beat.samples), dtype=torch.float32)
    total.index_add_(-1, to, values[..., torch.from_numpy(own)].float())
    beats = torch.bincount(to, minlength=beat.samples)
    return total / beats.clamp(min=1), beats > len(r_peaks) / 2
