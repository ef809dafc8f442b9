"""The random draws of a training step, such as dropout's: the same again after a resume."""

from ecg_lightning.randomness import seed_from_settings, seed_torch


def seed_step(seed: int, epoch: int, batch: int, rank: int) -> None:
    """Seed torch's global random state, on the CPU and all accelerators, for one training batch.

    A process that resumes a ``fit`` seeds its state anew; an uninterrupted one has moved it on by all the steps before.
    Draws that are keyed by the step are the same in both, wherever in an epoch the checkpoint was written. They depend
    on the number of ranks, as the batches do.

    Args:
        seed: Of the training repetition.
        epoch: From 0 on.
        batch: Of the epoch and rank, from 0 on.
        rank: Every rank has draws of its own.
    """
    seed_torch(
        seed_from_settings({"purpose": "training step", "seed": seed, "epoch": epoch, "batch": batch, "rank": rank})
    )
