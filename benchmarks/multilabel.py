"""One small network with nine outputs, trained on beats whose labels may be missing: what the simulator is judged with.

No script. ``sim_to_real.py`` and ``graft_remove.py`` train it here, or load it when they have trained it before.

The network is the study's ``ResNet1d`` with 11 double-convolution blocks of 16 to 64 channels and a linear layer of
nine units: 281,241 parameters, as many as the prototype's, about 75 s for 10 epochs of 5,000 beats on one core.
"""

import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from simulated import code_digest
from torch import Tensor, nn

from ecg_lightning.data import augmentation
from ecg_lightning.data.augmentation import Augmentation
from ecg_lightning.data.cache import BeatCache
from ecg_lightning.ecg import TARGETS
from ecg_lightning.models import ResNet1d, resnet1d
from ecg_lightning.storage.atomic import atomic_path
from ecg_lightning.storage.hashing import digest_array_rows, digest_settings

_WIDTHS = (16, 16, 16, 16, 32, 32, 32, 64, 64, 64, 64)
_STRIDES = (2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 1)  # the first block halves: half the cost of the study's order
_EVALUATION_BATCH = 256


@dataclass(frozen=True)
class Training:
    """How the network is trained.

    Attributes:
        epochs: Passes over the beats.
        batch_size: Beats of one step.
        learning_rate: The peak of a one-cycle schedule, AdamW.
        weight_decay: Of AdamW.
        augmentation: How each batch is changed anew; None trains on the beats as they are.
    """

    epochs: int = 10
    batch_size: int = 64
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    augmentation: Augmentation | None = field(default_factory=Augmentation)


@dataclass(frozen=True, eq=False)
class Beats:
    """Some rows of a cache.

    Attributes:
        folder: The cache's folder.
        rows: (n,) which of its rows.
    """

    folder: Path
    rows: NDArray[np.intp]

    def read(self) -> Tensor:
        """(n, 8, 600) mV, float32."""
        return torch.from_numpy(BeatCache.open(self.folder).read_beats(self.rows))

    def labels(self) -> NDArray[np.float64]:
        """(n, 9) 1, 0 or NaN where missing."""
        return labels_of_cache(BeatCache.open(self.folder))[self.rows]

    def digest(self) -> str:
        """Hash of the beats and their labels: whatever made them, equal beats train equal networks."""
        beats = BeatCache.open(self.folder).beats[self.rows]
        return digest_settings({"beats": digest_array_rows(beats), "labels": digest_array_rows(self.labels())})


def labels_of_cache(cache: BeatCache) -> NDArray[np.float64]:
    """(ECG, 9) 1, 0 or NaN where missing, targets in the order of ``TARGETS``."""
    labels: NDArray[np.float64] = cache.examples[list(TARGETS)].to_numpy(np.float64, na_value=np.nan)
    return labels


def build_network() -> ResNet1d:
    """The untrained network; its weights come from torch's global generator."""
    network = ResNet1d(widths=_WIDTHS, strides=_STRIDES)
    network.linear = nn.Linear(network.linear.in_features, len(TARGETS))
    return network


def masked_bce(logit: Tensor, label: Tensor) -> Tensor:
    """Mean binary cross-entropy over the labels that are not missing.

    Args:
        logit: (batch, target).
        label: (batch, target) 1, 0 or NaN where missing.

    Returns:
        () 0 where every label is missing, so that such a batch moves nothing.
    """
    known = ~label.isnan()
    loss = nn.functional.binary_cross_entropy_with_logits(
        logit, torch.where(known, label, 0.0), weight=known.to(logit.dtype), reduction="sum"
    )
    return loss / known.sum().clamp(min=1)


def train(ecg: Tensor, label: Tensor, seed: int, settings: Training) -> ResNet1d:
    """Train one network on the CPU.

    Args:
        ecg: (n, lead, sample) mV.
        label: (n, target) 1, 0 or NaN.
        seed: Of the weights, the order of the beats, dropout and augmentation.
        settings: How.

    Returns:
        The network after the last epoch, in evaluation mode: there is no validation set to choose an epoch by.
    """
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    network = build_network()
    optimizer = torch.optim.AdamW(network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    steps = settings.epochs * -(-len(ecg) // settings.batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, settings.learning_rate, total_steps=steps)
    for _ in range(settings.epochs):
        for rows in torch.split(torch.randperm(len(ecg), generator=generator), settings.batch_size):
            batch = ecg[rows]
            changed = settings.augmentation(batch, generator) if settings.augmentation else batch
            optimizer.zero_grad()
            masked_bce(network(changed), label[rows]).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    return network.eval()


def logits(network: ResNet1d, ecg: Tensor) -> NDArray[np.float64]:
    """(n, 9) of (n, lead, sample) mV."""
    with torch.no_grad():
        return torch.cat([network(part) for part in torch.split(ecg, _EVALUATION_BATCH)]).double().numpy()


def trained_networks(
    beats: Beats, seeds: Sequence[int], settings: Training, folder: Path, processes: int = 1
) -> list[ResNet1d]:
    """Train one network per seed, or load those that were trained before.

    Args:
        beats: What they are trained on.
        seeds: One network each.
        settings: How they are trained.
        folder: Where they are kept, by a hash of beats, labels, settings and code.
        processes: Networks that are trained at a time, each on one core.

    Returns:
        The networks in evaluation mode, in the order of the seeds.
    """
    code = code_digest([__file__, augmentation.__file__, resnet1d.__file__])
    determined = asdict(settings) | {"beats": beats.digest(), "code": code, "torch": str(torch.__version__)}
    name = digest_settings(determined)[:12]
    paths = [folder / f"{name}-seed{seed}.pt" for seed in seeds]
    missing = [(seed, path) for seed, path in zip(seeds, paths, strict=True) if not path.is_file()]
    work = partial(_train_and_save, beats, settings)
    if min(processes, len(missing)) > 1:
        # Not fork: this process may hold torch's threads.
        with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
            list(pool.map(work, missing))
    else:
        for item in missing:
            work(item)
    return [_load(path) for path in paths]


def _train_and_save(beats: Beats, settings: Training, item: tuple[int, Path]) -> None:
    torch.set_num_threads(1)  # so that the result does not depend on the number of processes
    seed, path = item
    network = train(beats.read(), torch.from_numpy(beats.labels()).float(), seed, settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as part:
        torch.save(network.state_dict(), part)


def _load(path: Path) -> ResNet1d:
    network = build_network()
    network.load_state_dict(torch.load(path, weights_only=True))
    return network.eval()
