"""Copies of the tested network that were fine-tuned on randomly perturbed training ECGs, for F-Fidelity."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor

from ecg_lightning.attribution.seeding import RandomKey
from ecg_lightning.attribution.task import FrozenModel
from ecg_lightning.experiments.map_source import MapSource
from ecg_lightning.experiments.perturbation.data import PerturbationData
from ecg_lightning.experiments.perturbation.kinds import PerturbationKind
from ecg_lightning.experiments.perturbation.measure import perturb
from ecg_lightning.experiments.perturbation.units import random_positions
from ecg_lightning.models.classifier import EcgClassifier
from ecg_lightning.models.masked_fine_tuning import BATCH_SIZE, SHARE_OF_LEARNING_RATE, even_batches, fine_tuned
from ecg_lightning.storage.hashing import JSON, digest_settings
from ecg_lightning.storage.store import Rows


@dataclass(frozen=True, eq=False)
class FineTuning:
    """Fine-tunes copies of the tested network, one a kind, for one epoch over the training ECGs.

    Every draw is keyed, so that each rank and every resume makes the same copy.

    Attributes:
        module: The tested network and how it was trained.
        maps: Prepares copies as the network itself was prepared.
        data: What perturbation takes from the data; its rows are those of the training ECGs.
    """

    module: EcgClassifier
    maps: MapSource
    data: PerturbationData

    @classmethod
    def of(cls, module: EcgClassifier, maps: MapSource, data: PerturbationData) -> "FineTuning":
        """Find the training ECGs.

        Args:
            module: The tested network.
            maps: Whose source network is copied.
            data: Of the test ECGs.

        Raises:
            ValueError: No training ECGs with and without the diagnosis are at hand.
        """
        train = data.datamodule.examples("train")
        if not np.isin((0, 1), train["label"]).all():
            raise ValueError(
                "PerturbationCurves: the kinds with fine_tuned need training ECGs with and without "
                f"{data.datamodule.target}, and the data at hand have {len(train)} training ECGs: leave out these "
                "kinds, or test on the network's own source"
            )
        return cls(module, maps, replace(data, examples=train))

    @property
    def settings(self) -> dict[str, JSON]:
        """What determines the copies, beside the kind, the tested network and the attribution seed."""
        train = self.data.examples
        return {
            "training_ecgs": digest_settings({"ids": train["ecg_id"].tolist(), "labels": train["label"].tolist()}),
            "training_seed": self.maps.training_seed,
            "learning_rate": self._learning_rate,
            "weight_decay": self.module.weight_decay,
            "batch_size": BATCH_SIZE,
        }

    def task(self, kind: PerturbationKind) -> FrozenModel:
        """A fine-tuned copy, prepared as the tested network is; what it costs is printed."""
        count, start = len(self.data.examples), time.perf_counter()
        rank_zero_info(
            f"PerturbationCurves: fine-tuning a copy of the network for {kind.name} on {count:,} training ECGs "
            f"({3 * count:,} forward-equivalent passes on every rank)"
        )
        network = fine_tuned(
            self.maps.source_network,
            self._batches(kind),
            learning_rate=self._learning_rate,
            seed=self._key("dropout").seed,
            weight_decay=self.module.weight_decay,
        )
        rank_zero_info(f"PerturbationCurves: the fine-tuning for {kind.name} took {time.perf_counter() - start:.1f} s")
        return self.maps.prepared(network)

    @property
    def _learning_rate(self) -> float:
        return SHARE_OF_LEARNING_RATE * self.module.learning_rate

    def _key(self, purpose: str) -> RandomKey:
        return RandomKey(self.maps.attribution_seed, self.maps.training_seed, purpose=f"masked fine-tuning, {purpose}")

    def _batches(self, kind: PerturbationKind) -> Iterator[tuple[Tensor, Tensor]]:
        """One epoch of perturbed training ECGs and their labels, in random order."""
        generator = self._key("perturbation").generator()
        label = torch.tensor(self.data.examples["label"].to_numpy(dtype=np.float32))
        for rows in even_batches(torch.randperm(len(label), generator=generator)):
            yield self._perturbed(kind, rows.numpy(), generator), label[rows]

    def _perturbed(self, kind: PerturbationKind, rows: Rows, generator: torch.Generator) -> Tensor:
        """(k, lead, sample) mV: of each ECG random units, of a random share up to the kind's last step."""
        cache_rows = self.data.examples["cache_row"].to_numpy(dtype=np.intp)[rows]
        ecg = torch.from_numpy(self.data.datamodule.cache.read_beats(cache_rows))
        labels = self.data.labels(kind.unit, rows, ecg.shape[1:])
        units = torch.randn(len(ecg), int(labels.max()) + 1, generator=generator)
        ties, noise = (torch.randn(ecg.shape, generator=generator) for _ in range(2))
        share = torch.rand(len(ecg), 1, 1, generator=generator) * kind.steps * kind.fraction_per_step
        places = random_positions(units, labels, ties) - share * ecg[0].numel()  # below 0 is replaced
        ecg, places, noise = (one.to(self.maps.task.backgrounds) for one in (ecg, places, noise))
        fill = self.data.fill(kind, rows, ecg)
        return perturb(ecg, places[:, None], torch.zeros(1), noise, kind.noise, kind.sigma, fill)[:, 0, 0]
