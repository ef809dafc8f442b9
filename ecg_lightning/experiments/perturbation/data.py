"""What perturbation takes from the data: real beats, classes' means, waves and twins."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
import torch
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn
from numpy.typing import NDArray
from torch import Tensor

from ecg_lightning.data.backgrounds import Backgrounds
from ecg_lightning.data.datamodule import EcgDataModule
from ecg_lightning.data.regions import wave_labels
from ecg_lightning.data.splits import Split
from ecg_lightning.data.twins import TwinShifts
from ecg_lightning.ecg import MEDIAN_BEAT
from ecg_lightning.experiments.perturbation.beat_model import MIN_BEATS, BeatModel
from ecg_lightning.experiments.perturbation.kinds import PerturbationKind
from ecg_lightning.experiments.perturbation.measure import Fill, fill_with, interpolate_between
from ecg_lightning.experiments.perturbation.units import Unit, block_labels
from ecg_lightning.randomness import keyed_order
from ecg_lightning.storage.hashing import JSON, digest_settings
from ecg_lightning.storage.store import Rows

MAX_BEATS: Final = 512
"""ECGs that stand for the training set, and for the test set, where real beats are described."""

_FROM_TRAINING: Final = ("class_mean", "conditional")
_LEAST_MODEL: Final = 8


@dataclass(frozen=True, eq=False)
class PerturbationData:
    """What perturbation takes from the data.

    Attributes:
        datamodule: The ECGs, for their waves.
        examples: The ECGs that rows are of: the test ECGs, in row order.
        identity: Of the training ECGs that real beats are described by.
        model: Of real beats; None where there are too few.
        real_distance: Median distance of untouched test ECGs to the model.
        class_mean: (1, lead, sample) mean of the two classes' mean training beats; None where a class has none.
        twins: Of simulated ECGs; None where no kind asks for them.
    """

    datamodule: EcgDataModule
    examples: pd.DataFrame
    identity: JSON
    model: BeatModel | None
    real_distance: float = 1.0
    class_mean: Tensor | None = None
    twins: TwinShifts | None = None

    @classmethod
    def of(
        cls, datamodule: EcgDataModule, backgrounds: Backgrounds | None, kinds: Sequence[PerturbationKind]
    ) -> "PerturbationData":
        """Read what the kinds need.

        Args:
            datamodule: The ECGs; up to 512 training ECGs are chosen by their hashed id.
            backgrounds: Training ECGs that travel with the network, for where the training set is not at hand.
            kinds: That will be measured.

        Raises:
            ValueError: A replacement that needs training ECGs or simulated ones, where there are none or too few.
        """
        asked = {kind.replacement for kind in kinds}
        twins = _twins(datamodule) if "twin" in asked else None
        beats, label, ids = _training_beats(datamodule, backgrounds)
        if (needed := asked & set(_FROM_TRAINING)) and len(beats) < MIN_BEATS:
            raise ValueError(
                f"PerturbationCurves: the replacements {', '.join(sorted(needed))} need {MIN_BEATS} training ECGs or "
                f"more, and {len(beats)} are at hand: leave out these kinds, or test on the network's own source"
            )
        class_mean = _class_mean(beats, label)
        if "class_mean" in asked and class_mean is None:
            raise ValueError(
                "PerturbationCurves: the replacement class_mean needs training ECGs with and without "
                f"{datamodule.target}: leave out this kind"
            )
        model = BeatModel.fit(beats) if len(beats) >= _LEAST_MODEL else None
        if model is None:
            rank_zero_warn(
                f"PerturbationCurves: {len(beats)} training ECGs are at hand, too few to tell how far perturbed beats "
                "are from real ones; the distances stay unknown"
            )
        return cls(
            datamodule,
            datamodule.examples("test"),
            digest_settings({"training_ecgs": list(ids)}),
            model,
            1.0 if model is None else _real_distance(datamodule, model),
            class_mean,
            twins,
        )

    def labels(self, unit: Unit, rows: Rows, shape: torch.Size) -> Tensor:
        """(k or 1, lead, sample) which unit each point is of."""
        if unit == "point":
            return torch.arange(shape.numel()).reshape(1, *shape)
        if unit == "wave":
            cache_rows = self.examples["cache_row"].to_numpy(dtype=np.intp)[rows]
            return torch.from_numpy(wave_labels(self.datamodule.cache, cache_rows))
        return block_labels(unit, shape[0], shape[1], self.datamodule.signal_format.sampling_rate)[None]

    def fill(self, kind: PerturbationKind, rows: Rows, ecg: Tensor) -> Fill:
        """What takes the place of replaced points of these ECGs, (k, lead, sample) mV."""
        if kind.replacement == "twin":
            shifts = [self._twin_shift(row) for row in rows.tolist()]
            return fill_with(
                torch.stack(
                    [one if shift is None else one + shift.to(one) for one, shift in zip(ecg, shifts, strict=True)]
                )
            )
        if kind.replacement == "conditional" and self.model is not None:
            return self.model.conditional_mean
        if kind.replacement == "class_mean" and self.class_mean is not None:
            return fill_with(self.class_mean)
        return fill_with(torch.zeros_like(ecg[:1])) if kind.replacement == "zero" else interpolate_between

    def has_fill(self, kind: PerturbationKind, rows: Rows) -> Tensor:
        """(k,) whether something can take the place of an ECG's points: of twins, where there is one."""
        if kind.replacement != "twin":
            return torch.ones(len(rows), dtype=torch.bool)
        return torch.tensor([self._twin_shift(row) is not None for row in rows.tolist()])

    def distance(self, beats: Tensor) -> Tensor:
        """(...) distance of beats (..., lead, sample) to real ones; 1 is the median of untouched test ECGs."""
        if self.model is None:
            return torch.full(beats.shape[:-2], torch.nan)
        return self.model.distance(beats).cpu() / self.real_distance

    def _twin_shift(self, row: int) -> Tensor | None:
        ecg_id, label = self.examples["ecg_id"].iloc[row], self.examples["label"].iloc[row]
        shift = self.twins.of(ecg_id) if self.twins is not None and label == 1 else None
        return None if shift is None else torch.from_numpy(shift)


def _twins(datamodule: EcgDataModule) -> TwinShifts:
    if datamodule.signal_format != MEDIAN_BEAT:
        raise ValueError(
            "PerturbationCurves: the replacement twin is of median beats, and the ECGs are "
            f"{datamodule.signal_format}: leave out these kinds"
        )
    return TwinShifts(datamodule.source, datamodule.target, datamodule.neighbours)


def _training_beats(
    datamodule: EcgDataModule, backgrounds: Backgrounds | None
) -> tuple[Tensor, NDArray[np.float64], list[str]]:
    """Beats (n, lead, sample) mV, labels (n,) and ids of training ECGs; of backgrounds the label is not known."""
    train = _some(datamodule, "train")
    if len(train) or backgrounds is None:
        beats = datamodule.cache.read_beats(train["cache_row"].to_numpy(dtype=np.intp))
        return torch.from_numpy(beats), train["label"].to_numpy(dtype=np.float64), train["ecg_id"].tolist()
    rank_zero_info(
        f"PerturbationCurves: no training ECGs are at hand; how far perturbed beats are from real ones is told by the "
        f"{len(backgrounds)} that travel with the network"
    )
    return backgrounds.beats, np.full(len(backgrounds), np.nan), backgrounds.ecg_ids


def _class_mean(beats: Tensor, label: NDArray[np.float64]) -> Tensor | None:
    classes = [beats[torch.from_numpy(label == value)] for value in (0, 1)]
    return torch.stack([one.mean(0) for one in classes]).mean(0, keepdim=True) if all(map(len, classes)) else None


def _real_distance(datamodule: EcgDataModule, model: BeatModel) -> float:
    """Median distance of test ECGs as they are."""
    rows = _some(datamodule, "test")["cache_row"].to_numpy(dtype=np.intp)
    return float(model.distance(torch.from_numpy(datamodule.cache.read_beats(rows))).median())


def _some(datamodule: EcgDataModule, split: Split) -> pd.DataFrame:
    """Up to ``MAX_BEATS`` ECGs of a split, by hashed id."""
    table = datamodule.examples(split)
    order = keyed_order(datamodule.split_seed, "perturbation:" + table["ecg_id"])
    return table.iloc[order[:MAX_BEATS]]
