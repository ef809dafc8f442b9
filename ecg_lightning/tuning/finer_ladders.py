"""Ladders of methods without noise: their maps are compared with that of a much finer setting."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

import torch
from torch import Tensor

from ecg_lightning.attribution.base import AttributionMethod
from ecg_lightning.attribution.contribution import IntegratedGradients
from ecg_lightning.attribution.seeding import RandomKey
from ecg_lightning.attribution.task import AttributionTask
from ecg_lightning.functional.similarity import similarity_matrix
from ecg_lightning.functional.smoothing import WINDOW
from ecg_lightning.storage.hashing import JSON
from ecg_lightning.tuning.ladder import Ladder, up_to
from ecg_lightning.tuning.settings import TuningSettings

FINER: Final = 4
"""Times as many nodes, or backgrounds, as a map is compared with at most."""

_STEPS: Final = (3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
_DOUBLED: Final = tuple(2**exponent for exponent in range(1, 20))


class StepLadder(Ladder):
    """Nodes of integrated gradients, against four times as many as are tried at most."""

    evidence = "finer"
    argument = "n_steps"
    method: IntegratedGradients

    def values(self) -> Sequence[int]:
        """In steps of about 1.4."""
        return up_to(_STEPS, self.settings.max_steps)

    def curves(self, ecgs: Tensor, keys: Sequence[RandomKey]) -> list[Iterator[float]]:
        """Squared correlations with the finer quadrature."""
        methods = [self.method_at(value) for value in self.values()]
        finest = self.method_at(FINER * self.values()[-1])

        def curve(ecg: Tensor, key: RandomKey) -> Iterator[float]:
            reference = finest(self.task, ecg, [key])
            for method in methods:
                yield squared_correlation(method(self.task, ecg, [key]), reference)

        return [curve(ecgs[i : i + 1], key) for i, key in enumerate(keys)]


class BackgroundLadder(Ladder):
    """Backgrounds of DeepLIFT-SHAP, against up to four times as many.

    Over its stated backgrounds the map is exact. The curve tells how much of it is due to their choice.

    Args:
        method: The method.
        task: The network, with the stated backgrounds.
        settings: Bounds.
        more: (background, lead, sample) mV, training ECGs of which the stated ones are the first.
    """

    evidence = "finer"
    fixed = True
    argument = "backgrounds"

    def __init__(
        self, method: AttributionMethod, task: AttributionTask, settings: TuningSettings, more: Tensor
    ) -> None:
        super().__init__(method, task, settings)
        self.more = more.to(task.backgrounds)

    def values(self) -> Sequence[int]:
        """Up to the stated ones."""
        return up_to(_DOUBLED, len(self.task.backgrounds))

    def curves(self, ecgs: Tensor, keys: Sequence[RandomKey]) -> list[Iterator[float]]:
        """Squared correlations with the map over all that there are."""
        every = [(ecgs[i : i + 1], key) for i, key in enumerate(keys)]
        wide = replace(self.task, backgrounds=self.more)
        references = [self.method(wide, ecg, [key]) for ecg, key in every]  # one by one: their pass is shared

        def curve(ecg: Tensor, key: RandomKey, reference: Tensor) -> Iterator[float]:
            for value in self.values():
                few = replace(self.task, backgrounds=self.more[:value])
                yield squared_correlation(self.method(few, ecg, [key]), reference)

        return [curve(*one, reference) for one, reference in zip(every, references, strict=True)]

    def changes(self, value: int) -> dict[str, JSON]:  # noqa: ARG002
        """None: the backgrounds are the datamodule's, and GradientSHAP's too."""
        return {}


def squared_correlation(first: Tensor, second: Tensor) -> float:
    """Of two maps (1, lead, sample) after smoothing; 0 where the correlation is negative, NaN where there is none."""
    window = WINDOW if first.shape[-1] >= WINDOW else None
    both = torch.stack([first, second], dim=1)
    return float(similarity_matrix(both, window=window)[0, 0, 1].clamp(min=0.0).square())
