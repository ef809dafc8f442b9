"""How a datamodule changes its training ECGs at random: on the device, and the same again after a resume."""

from abc import abstractmethod

import torch
from lightning.pytorch import LightningDataModule

from ecg_lightning.data.augmentation import Augmentation
from ecg_lightning.data.dataset import Batch
from ecg_lightning.ecg import SignalFormat
from ecg_lightning.randomness import seed_from_settings, torch_generator


class AugmentedTraining(LightningDataModule):
    """A datamodule whose training batches, and only those, are augmented.

    Args:
        augmentation: None leaves them as they are.
        shuffle_seed: Seed of the order of the training ECGs, and of their augmentation.
    """

    def __init__(self, augmentation: Augmentation | None, shuffle_seed: int) -> None:
        super().__init__()
        self.augmentation = augmentation
        self.shuffle_seed = shuffle_seed
        self._first_row = 0

    @property
    @abstractmethod
    def signal_format(self) -> SignalFormat:
        """Leads, rate and samples of the ECGs in every batch."""

    def on_before_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:  # noqa: ARG002
        """Note which batch comes while it is on the CPU: asking an accelerator for its rows would make it wait."""
        if self._augments(batch):
            self._first_row = int(batch["row"][0])
        return batch

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:  # noqa: ARG002
        """Change training ECGs, on the device; not in validation, test or the check of validation."""
        if self.augmentation is None or not self._augments(batch):
            return batch
        epoch = self.trainer.current_epoch if self.trainer else 0
        generator = batch_generator(self.shuffle_seed, epoch, self._first_row)
        return {**batch, "ecg": self.augmentation(batch["ecg"], generator, self.signal_format.sampling_rate)}

    def _augments(self, batch: object) -> bool:
        # Lightning also sends the network's example input through these hooks, for its summary and for graphs
        if self.augmentation is None or self.trainer is None or not isinstance(batch, dict):
            return False
        return bool(self.trainer.training)


def batch_generator(seed: int, epoch: int, first_row: int) -> torch.Generator:
    """Make the generator of one training batch.

    A row comes once in an epoch, so the first row of a batch tells it and its rank apart from all others; a resumed
    ``fit`` finds the draws of an uninterrupted one. They depend on the number of ranks, as the batches do.

    Args:
        seed: Seed of the shuffling.
        epoch: Number of the epoch, from 0 on.
        first_row: Row inside the training set of the batch's first ECG.
    """
    of_batch = seed_from_settings({"purpose": "augmentation", "seed": seed, "epoch": epoch, "row": first_row})
    return torch_generator(of_batch)
