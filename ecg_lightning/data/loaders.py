"""How a datamodule feeds whole batches: which ECGs of a split each rank reads, and in which order."""

from abc import abstractmethod

import torch
from torch.utils.data import DataLoader, Sampler

from ecg_lightning.data.augmentation import Augmentation
from ecg_lightning.data.augmented_training import AugmentedTraining
from ecg_lightning.data.dataset import Batch, BeatDataset, as_is
from ecg_lightning.data.samplers import RankRows, ShuffledRows, check_samplers_stay, equal_batch_size
from ecg_lightning.data.splits import Split


class BeatLoaders(AugmentedTraining):
    """A datamodule that reads the ECGs of its splits in whole batches.

    Args:
        augmentation: Random changes of the training ECGs; None: none.
        shuffle_seed: Of the order of the training ECGs, and of their augmentation.
        batch_size: Training ECGs a step over all ranks.
        eval_batch_size: ECGs a step and rank in validation, test and prediction.
        num_workers: Worker processes a loader.

    Raises:
        ValueError: A number out of its range.
    """

    def __init__(
        self,
        augmentation: Augmentation | None,
        shuffle_seed: int,
        batch_size: int,
        eval_batch_size: int,
        num_workers: int,
    ) -> None:
        super().__init__(augmentation, shuffle_seed)
        if min(batch_size, eval_batch_size) < 1 or num_workers < 0:
            raise ValueError(
                "batch sizes must be positive and num_workers not negative; got "
                f"{batch_size}, {eval_batch_size} and {num_workers}"
            )
        self.batch_size = batch_size
        self.eval_batch_size = eval_batch_size
        self.num_workers = num_workers

    @abstractmethod
    def dataset(self, split: Split) -> BeatDataset:
        """Give the ECGs of a split."""

    def train_dataloader(self) -> DataLoader[Batch]:
        """Shuffled by seed and epoch; every rank reads its share of each batch."""
        dataset = self.dataset("train")
        rank, ranks = self._rank()
        rows = ShuffledRows(len(dataset), self.batch_size, self.shuffle_seed, rank, ranks)
        return self._loader(dataset, rows, self.batch_size // ranks)

    def val_dataloader(self) -> DataLoader[Batch]:
        """Every row once over all ranks, as many batches on each."""
        dataset = self.dataset("validation")
        rank, ranks = self._rank()
        size = equal_batch_size(len(dataset), self.eval_batch_size, ranks)
        return self._loader(dataset, RankRows(len(dataset), rank, ranks), size)

    def test_dataloader(self) -> DataLoader[Batch]:
        """Every row once over all ranks; nothing is padded."""
        dataset = self.dataset("test")
        return self._loader(dataset, RankRows(len(dataset), *self._rank()), self.eval_batch_size)

    def predict_dataloader(self) -> DataLoader[Batch]:
        """The same ECGs as in a test."""
        return self.test_dataloader()

    def _rank(self) -> tuple[int, int]:
        """Rank of this process and number of ranks; 0 and 1 without a trainer."""
        if not self.trainer:
            return 0, 1
        check_samplers_stay(self.trainer)
        return self.trainer.global_rank, self.trainer.world_size

    def _loader(self, dataset: BeatDataset, rows: Sampler[int], batch_size: int) -> DataLoader[Batch]:
        # `sampler` and not `batch_sampler`: from the latter alone Lightning's `predict` would build batches of all rows
        return DataLoader(
            dataset,
            batch_size=batch_size,
            sampler=rows,
            collate_fn=as_is,
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            pin_memory=torch.cuda.is_available(),
        )
