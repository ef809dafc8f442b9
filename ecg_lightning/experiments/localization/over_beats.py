"""Scores of a recording's maps, which are averaged over its beats first."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ecg_lightning.data.beat_average import average_over_beats
from ecg_lightning.ecg import SignalFormat
from ecg_lightning.experiments.localization.measure import (
    LOCALIZATION_SCORES,
    LocalizationScore,
    localization_scores,
    region_share,
)

Peaks = NDArray[np.integer]

_MOST: Final = 0.5
"""A point is of a region where it is in more than this share of the beats, as in the masks of a median beat."""


def scores_over_beats(
    maps: Tensor, masks: Tensor, peaks_of_maps: Sequence[Peaks], peaks: Sequence[Peaks], signal_format: SignalFormat
) -> tuple[dict[LocalizationScore, Tensor], Tensor]:
    """All scores of recordings' maps against every region, over the beats of each as if they were one.

    A network that is told by its worst beat marks this beat alone: where the recording is scored as a whole, the same
    evidence in all other beats counts as missed.

    Args:
        maps: (batch, method, lead, sample).
        masks: (batch, region, lead, sample) bool.
        peaks_of_maps: R peaks, (beat,) samples, of the recording of each map.
        peaks: R peaks of the recording of each mask; others where another patient's map is scored.
        signal_format: Of the recordings.

    Returns:
        Score -> (batch, region, method), and the share (batch, region) of the points inside; NaN where no beat was
        found.
    """
    rows = [_of_recording(*one, signal_format) for one in zip(maps, masks, peaks_of_maps, peaks, strict=True)]
    scores = {name: torch.stack([row[name] for row, _ in rows]) for name in LOCALIZATION_SCORES}
    return scores, torch.stack([share for _, share in rows])


def _of_recording(
    maps: Tensor, masks: Tensor, peaks_of_maps: Peaks, peaks: Peaks, signal_format: SignalFormat
) -> tuple[dict[LocalizationScore, Tensor], Tensor]:
    """Score -> (region, method), and (region,) the share inside."""
    beat, of_map = average_over_beats(maps, peaks_of_maps, signal_format)
    marked, of_mask = average_over_beats(masks, peaks, signal_format)
    known = of_map & of_mask
    if not known.any():
        nowhere = torch.full((len(masks), len(maps)), torch.nan, dtype=torch.float64)
        return dict.fromkeys(LOCALIZATION_SCORES, nowhere), nowhere[:, 0]
    region = marked[..., known] > _MOST
    scores = localization_scores(beat[None, ..., known], region[None])
    return {name: score[0] for name, score in scores.items()}, region_share(region)
