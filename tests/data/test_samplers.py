from itertools import chain

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from lightning.pytorch import Trainer
from torch.utils.data import BatchSampler

from ecg_lightning.data import samplers as module
from ecg_lightning.data.samplers import RankRows, ShuffledRows, check_samplers_stay, equal_batch_size

ROWS = st.integers(1, 200)
RANKS = st.integers(1, 8)


def epoch_of(n: int, share: int, seed: int, epoch: int, ranks: int) -> list[list[list[int]]]:
    """(rank, batch, row) of an epoch, as the loader of each rank gets them; ``share`` rows a batch and rank."""
    batches = []
    for rank in range(ranks):
        rows = ShuffledRows(n, share * ranks, seed, rank, ranks)
        rows.set_epoch(epoch)
        batches.append(list(BatchSampler(rows, share, drop_last=False)))
    return batches


# --- training ----------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(ROWS, st.integers(1, 20), st.integers(0, 99), st.integers(0, 5))
def test_one_rank_reads_every_row_once(n: int, batch: int, seed: int, epoch: int) -> None:
    (batches,) = epoch_of(n, batch, seed, epoch, 1)
    assert sorted(chain(*batches)) == list(range(n))
    assert [len(rows) for rows in batches[:-1]] == [batch] * (len(batches) - 1)


@settings(deadline=None)
@given(ROWS, st.integers(1, 12), RANKS, st.integers(0, 9))
def test_the_ranks_together_read_the_batches_of_one(n: int, share: int, ranks: int, seed: int) -> None:
    assume(n >= ranks)
    (alone,) = epoch_of(n, share * ranks, seed, 3, 1)
    together = [list(chain(*parts)) for parts in zip(*epoch_of(n, share, seed, 3, ranks), strict=True)]
    left_over = n % ranks  # rows that can't be shared evenly wait for the next epoch
    whole, last = alone[:-1], alone[-1][: len(alone[-1]) - left_over]
    assert together == [*whole, *([last] if last else [])]


@settings(deadline=None)
@given(ROWS, st.integers(1, 12), RANKS)
def test_every_rank_gets_as_many_rows_of_each_batch(n: int, share: int, ranks: int) -> None:
    assume(n >= ranks)
    sizes = {tuple(len(rows) for rows in batches) for batches in epoch_of(n, share, 0, 0, ranks)}
    assert len(sizes) == 1
    rows = ShuffledRows(n, share * ranks, 0, 0, ranks)
    assert len(rows) == len(list(rows)) == sum(sizes.pop())


def test_seed_and_epoch_determine_the_order() -> None:
    orders = {(seed, epoch): epoch_of(500, 8, seed, epoch, 1) for seed in range(3) for epoch in range(3)}
    for key, order in orders.items():
        assert epoch_of(500, 8, *key, 1) == order
    flat = [tuple(chain(*order[0])) for order in orders.values()]
    assert len(set(flat)) == 9
    for first in range(9):
        for second in range(first):  # (1, 0) is not (0, 1) shifted either
            assert sum(a == b for a, b in zip(flat[first], flat[second], strict=True)) < 12  # 1 by chance


def test_a_resumed_epoch_is_the_same_epoch() -> None:
    running = ShuffledRows(50, 8, seed=1)
    epochs = []
    for epoch in range(3):
        running.set_epoch(epoch)
        epochs.append(list(running))
    resumed = ShuffledRows(50, 8, seed=1)
    resumed.set_epoch(2)
    assert list(resumed) == epochs[2]
    assert list(resumed) == epochs[2]  # reading it does not move it on


def test_an_order_is_a_fair_shuffle() -> None:
    """Each row is in the first batch as often as chance has it."""
    counts = np.zeros(20)
    for epoch in range(400):
        (batches,) = epoch_of(20, 5, 0, epoch, 1)
        counts[batches[0]] += 1
    assert ((counts - 100) ** 2 / 75).sum() < 45  # chi-square, about 20 degrees of freedom: p < 0.002


@pytest.mark.parametrize(("batch", "ranks"), [(10, 4), (3, 4), (0, 1)])
def test_a_batch_that_can_t_be_shared(batch: int, ranks: int) -> None:
    with pytest.raises(ValueError, match=f"multiple of their number: got {batch} for {ranks} ranks"):
        ShuffledRows(100, batch, 0, 0, ranks)


@pytest.mark.parametrize(("n", "ranks"), [(3, 4), (0, 1)])
def test_fewer_training_ecgs_than_ranks(n: int, ranks: int) -> None:
    with pytest.raises(ValueError, match=f"{n} training ECGs for {ranks} ranks"):
        ShuffledRows(n, 8, 0, 0, ranks)


# --- evaluation --------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.integers(0, 200), RANKS, st.sampled_from([1, 7, 65_536]))
def test_every_row_once_over_all_ranks_in_order(n: int, ranks: int, block: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_BLOCK", block)
        parts = [list(RankRows(n, rank, ranks)) for rank in range(ranks)]
    assert list(chain(*parts)) == list(range(n))
    assert [len(RankRows(n, rank, ranks)) for rank in range(ranks)] == [len(part) for part in parts]
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@settings(deadline=None)
@given(st.integers(1, 5000), st.integers(1, 130), st.integers(1, 16))
def test_all_ranks_have_as_many_batches(n: int, batch_size: int, ranks: int) -> None:
    assume(n >= ranks)
    size = equal_batch_size(n, batch_size, ranks)
    batches = {-(-len(RankRows(n, rank, ranks)) // size) for rank in range(ranks)}
    assert len(batches) == 1
    assert size >= batch_size
    for smaller in range(batch_size, size):  # as near to the wish as can be
        assert len({-(-len(RankRows(n, rank, ranks)) // smaller) for rank in range(ranks)}) == 2


@pytest.mark.parametrize(
    ("n", "batch_size", "ranks", "expected"),
    [
        (250, 128, 1, 128),
        (250, 128, 4, 128),
        (250, 125, 2, 125),
        (251, 125, 2, 126),
        (5, 1, 2, 3),  # 2 and 3 rows: batches of 2 would be 1 and 2
        (2 * 128 * 129 + 1, 128, 2, 130),
    ],
)
def test_batch_sizes_by_hand(n: int, batch_size: int, ranks: int, expected: int) -> None:
    assert equal_batch_size(n, batch_size, ranks) == expected


def test_fewer_validation_ecgs_than_ranks() -> None:
    with pytest.raises(ValueError, match="3 validation ECGs for 4 ranks: use at most 3 devices"):
        equal_batch_size(3, 8, 4)


@pytest.mark.parametrize("rank", [-1, 2])
def test_there_is_no_such_rank(rank: int) -> None:
    for build in (lambda: ShuffledRows(10, 4, 0, rank, 2), lambda: RankRows(10, rank, 2)):
        with pytest.raises(ValueError, match=f"rank must lie in 0 to 1 for 2 ranks, got {rank}"):
            build()


# --- Lightning's own samplers -------------------------------------------------------------------------------------


def two_processes(**settings: bool) -> Trainer:
    """A real trainer that nothing launches."""
    return Trainer(accelerator="cpu", devices=2, strategy="ddp", logger=False, enable_checkpointing=False, **settings)  # type: ignore[arg-type]


def test_a_trainer_that_would_repeat_ecgs_is_refused() -> None:
    with pytest.raises(ValueError, match=r"this trainer has 2 processes .*use_distributed_sampler=False"):
        check_samplers_stay(two_processes())
    check_samplers_stay(two_processes(use_distributed_sampler=False))


def test_one_process_may_keep_lightning_s_default() -> None:
    check_samplers_stay(Trainer(accelerator="cpu", devices=1, logger=False, enable_checkpointing=False))
