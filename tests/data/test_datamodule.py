import math
import pickle
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from numpy.typing import NDArray
from synthetic_ecg import synthetic
from torch import Tensor
from torch.utils.data import DataLoader

from ecg_lightning.data.augmentation import Augmentation
from ecg_lightning.data.augmented_training import batch_generator
from ecg_lightning.data.backgrounds import Backgrounds, beat_name
from ecg_lightning.data.datamodule import EcgDataModule
from ecg_lightning.data.dataset import BeatDataset
from ecg_lightning.data.samplers import RankRows, ShuffledRows
from ecg_lightning.data.sources import Entry, PtbXl, Recording, Source
from ecg_lightning.ecg import Target
from ecg_lightning.models import EcgClassifier, ResNet1d

TARGET: Target = "atrial_fibrillation"
N_PATIENTS = 40
OTHER_SEED = 4
"""A split seed that also leaves both classes in every split."""
LABELS = ("1", "0", "0", "?")  # of a patient's ECGs, in turn


class Patients(Source):
    """Patients with one to three short ECGs each; labels in turn, ``?`` where missing.

    Args:
        n: Number of patients.
        labels: Taken in turn by the ECGs.
        fold: Of every ECG; 0: patient number modulo 10, plus 1.
    """

    name = "patients"

    def __init__(self, n: int = N_PATIENTS, labels: Sequence[str] = LABELS, fold: int = 0) -> None:
        self.n = n
        self.labels = labels
        self.fold = fold
        self.reads = 0

    def entries(self) -> Sequence[Entry]:
        entries: list[Entry] = []
        for patient in range(self.n):
            for _ in range(1 + patient % 3):
                label = self.labels[len(entries) % len(self.labels)]
                labels: dict[Target, float] = {} if label == "?" else {TARGET: float(label)}
                fold = self.fold or patient % 10 + 1
                entries.append(Entry(f"e{len(entries)}", f"p{patient}", 30.0 + patient, "female", labels, fold))
        return entries

    def read(self, entry: Entry) -> Recording:
        self.reads += 1
        seed = int(entry.ecg_id[1:])
        return synthetic(60.0 + seed % 7, seconds=4.0, noise=0.01, seed=seed).recording

    def settings(self) -> dict[str, object]:
        return {"n": self.n, "labels": list(self.labels), "fold": self.fold}


class Foreign(Patients):
    """The same under another name."""

    name = "foreign"


@pytest.fixture(scope="module")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shared: each source and setting is prepared once."""
    return tmp_path_factory.mktemp("cache")


def module(cache_dir: Path, source: Source | None = None, stage: str | None = "fit", **settings_: Any) -> EcgDataModule:
    arguments: dict[str, Any] = {"target": TARGET, "cache_dir": str(cache_dir), "processes": 1, "n_backgrounds": 5}
    datamodule = EcgDataModule(source or Patients(), **(arguments | settings_))
    if stage is not None:
        datamodule.setup(stage)
    return datamodule


def loaders(datamodule: EcgDataModule) -> dict[str, DataLoader[Any]]:
    return {
        "train": datamodule.train_dataloader(),
        "validation": datamodule.val_dataloader(),
        "test": datamodule.test_dataloader(),
    }


# --- preparation -------------------------------------------------------------------------------------------------


def test_beats_are_prepared_on_first_use_only(tmp_path: Path) -> None:
    source = Patients()
    datamodule = module(tmp_path, source, stage=None)
    assert source.reads == 0  # a constructor only configures
    with pytest.raises(RuntimeError, match="call `setup"):
        datamodule.splits()
    datamodule.prepare_data()
    assert source.reads == len(source.entries())
    datamodule.setup("fit")
    datamodule.setup("test")
    module(tmp_path, source)
    assert source.reads == len(source.entries())


def test_setup_alone_prepares_too(tmp_path: Path) -> None:
    assert len(module(tmp_path).cache) == len(Patients().entries())


# --- what a split holds ------------------------------------------------------------------------------------------


def test_the_splits_cover_every_ecg_once(cache_dir: Path) -> None:
    splits = module(cache_dir).splits()
    entries = Patients().entries()
    assert splits["ecg_id"].tolist() == [entry.ecg_id for entry in entries]
    assert splits["patient_id"].tolist() == [entry.patient_id for entry in entries]
    patients = splits.drop_duplicates("patient_id")["split"].value_counts()
    assert patients.to_dict() == {"train": N_PATIENTS - 8, "validation": 4, "test": 4}
    assert (splits.groupby("patient_id")["split"].nunique() == 1).all()


def test_missing_labels_are_left_out_of_the_training_set_only(cache_dir: Path) -> None:
    datamodule = module(cache_dir)
    splits = datamodule.splits().set_index("ecg_id")["split"]
    labels = {entry.ecg_id: entry.labels.get(TARGET, math.nan) for entry in Patients().entries()}
    for split in ("train", "validation", "test"):
        expected = [i for i in splits.index[splits == split] if split != "train" or not math.isnan(labels[i])]
        table = datamodule.examples(split)
        assert table["ecg_id"].tolist() == expected
        np.testing.assert_array_equal(table["label"], [labels[i] for i in expected])
        assert table["row"].tolist() == list(range(len(table)))
        assert len(datamodule.dataset(split)) == len(table)
    assert not datamodule.examples("train")["label"].isna().any()
    assert datamodule.examples("validation")["label"].isna().any()


def test_examples_have_the_contract_s_columns(cache_dir: Path) -> None:
    datamodule = module(cache_dir)
    table = datamodule.examples("test")
    assert set(table.columns) == {"row", "ecg_id", "patient_id", "label", "age", "sex", "source", "cache_row"}
    cached = datamodule.cache.examples.loc[table["cache_row"]]
    assert cached["ecg_id"].tolist() == table["ecg_id"].tolist()
    assert table["label"].dtype == np.float32


def test_the_split_seed_moves_patients_and_the_shuffle_seed_does_not(cache_dir: Path) -> None:
    split = module(cache_dir).splits()["split"]
    assert module(cache_dir, shuffle_seed=5).splits()["split"].equals(split)
    assert not module(cache_dir, split_seed=OTHER_SEED).splits()["split"].equals(split)


def test_the_source_s_own_folds(cache_dir: Path) -> None:
    datamodule = module(cache_dir, Patients(labels=("1", "0")), split="folds")
    table = datamodule.splits()
    patient = table["patient_id"].str[1:].astype(int)
    assert set(patient[table["split"] == "validation"] % 10) == {8}  # fold 9
    assert set(patient[table["split"] == "test"] % 10) == {9}


def test_every_ecg_of_a_foreign_archive_is_a_test_ecg(cache_dir: Path) -> None:
    datamodule = module(cache_dir, stage="test", split="test_only")
    assert datamodule.examples("test")["ecg_id"].tolist() == [entry.ecg_id for entry in Patients().entries()]
    assert datamodule.examples("test")["label"].isna().any()
    assert set(datamodule.splits()["split"]) == {"test"}
    assert len(datamodule.examples("train")) == len(datamodule.examples("validation")) == 0
    module(cache_dir, Patients(2, labels=("1", "0")), "test", split="test_only")  # no 3 patients to split


def test_the_digest_tells_splits_and_beats_apart(cache_dir: Path) -> None:
    datamodule = module(cache_dir)
    digests = {split: datamodule.examples_digest(split) for split in ("train", "validation", "test")}
    assert len(set(digests.values())) == 3
    again = module(cache_dir, shuffle_seed=3, batch_size=7)
    assert again.examples_digest("test") == digests["test"]


# --- batches -----------------------------------------------------------------------------------------------------


def check_batch(batch: dict[str, Tensor], datamodule: EcgDataModule, table: pd.DataFrame) -> None:
    """Beats, labels and rows against the cache's own files."""
    rows = batch["row"].numpy()
    assert (batch["ecg"].dtype, batch["label"].dtype, batch["row"].dtype) == (
        torch.float32,
        torch.float32,
        torch.int64,
    )
    assert batch["ecg"].shape == (len(rows), 8, 600)
    chosen = table.iloc[rows]
    millivolt = datamodule.cache.beats[chosen["cache_row"].to_numpy()].astype(np.float64) / 1000
    np.testing.assert_allclose(batch["ecg"].numpy(), millivolt, rtol=1e-6)
    np.testing.assert_array_equal(batch["label"].numpy(), chosen["label"].to_numpy())


@pytest.mark.parametrize("num_workers", [0, 1])
def test_batches_hold_the_cache_s_beats_with_their_labels_and_rows(cache_dir: Path, num_workers: int) -> None:
    datamodule = module(cache_dir, batch_size=16, eval_batch_size=3, num_workers=num_workers)
    for split, loader in loaders(datamodule).items():
        table = datamodule.examples(split)  # type: ignore[arg-type]
        seen: list[int] = []
        sizes = []
        for batch in loader:
            check_batch(batch, datamodule, table)
            seen += batch["row"].tolist()
            sizes.append(len(batch["row"]))
        wanted = 16 if split == "train" else 3
        assert sizes == [wanted] * (len(table) // wanted) + [len(table) % wanted] * bool(len(table) % wanted)
        assert sorted(seen) == list(range(len(table)))
        assert (seen == sorted(seen)) is (split != "train")


def test_a_batch_is_read_at_once(cache_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datamodule = module(cache_dir, batch_size=16)
    monkeypatch.setattr(BeatDataset, "__getitem__", None)  # one ECG at a time would be too slow
    assert len(next(iter(datamodule.train_dataloader()))["row"]) == 16


@settings(max_examples=20, deadline=None)
@given(items=st.lists(st.integers(0, 7), min_size=1, max_size=12))
def test_any_items_of_a_data_set(cache_dir: Path, items: list[int]) -> None:
    datamodule = module(cache_dir)
    data = datamodule.dataset("test")
    items = [item % len(data) for item in items]
    batch: Any = data.__getitems__(items)
    assert batch["row"].tolist() == items
    check_batch(batch, datamodule, datamodule.examples("test"))
    check_batch(data[items[0]], datamodule, datamodule.examples("test"))  # type: ignore[arg-type]


def test_a_data_set_travels_as_a_path(cache_dir: Path) -> None:
    data = module(cache_dir).dataset("train")
    assert len(pickle.dumps(data)) < data.cache.beats.nbytes / 10
    torch.testing.assert_close(pickle.loads(pickle.dumps(data))[3], data[3])


def order(loader: DataLoader[Any], epoch: int) -> list[int]:
    loader.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
    return [row for batch in loader for row in batch["row"].tolist()]


def test_the_order_is_the_shuffle_seed_s_and_the_epoch_s(cache_dir: Path) -> None:
    first, again, other = (module(cache_dir, shuffle_seed=seed).train_dataloader() for seed in (1, 1, 2))
    assert order(first, 0) == order(again, 0)
    assert order(first, 1) == order(again, 1) != order(first, 0)
    assert order(other, 0) != order(first, 0)


# --- in a trainer ------------------------------------------------------------------------------------------------


class Rows(LightningModule):
    """Trains nothing, notes rows."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.epochs: list[list[int]] = []

    def on_train_epoch_start(self) -> None:
        self.epochs.append([])

    def training_step(self, batch: Any, batch_idx: int) -> None:
        self.epochs[-1] += batch["row"].tolist()

    def validation_step(self, batch: Any, batch_idx: int) -> None: ...

    def predict_step(self, batch: Any, batch_idx: int) -> list[int]:
        rows: list[int] = batch["row"].tolist()
        return rows

    def configure_optimizers(self) -> None: ...


def trainer(folder: Path, **settings_: Any) -> Trainer:
    quiet: dict[str, Any] = {
        "accelerator": "cpu",
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "default_root_dir": folder,
    }
    return Trainer(**(quiet | settings_))


def test_lightning_moves_the_epoch_on_also_after_a_resume(cache_dir: Path, tmp_path: Path) -> None:
    straight, killed, resumed = Rows(), Rows(), Rows()
    trainer(tmp_path, max_epochs=3).fit(straight, datamodule=module(cache_dir))
    first = trainer(tmp_path, max_epochs=2)
    first.fit(killed, datamodule=module(cache_dir))
    first.save_checkpoint(tmp_path / "last.ckpt")
    again = trainer(tmp_path, max_epochs=3)
    again.fit(resumed, datamodule=module(cache_dir), ckpt_path=tmp_path / "last.ckpt", weights_only=True)
    assert killed.epochs + resumed.epochs == straight.epochs
    assert len({tuple(epoch) for epoch in straight.epochs}) == 3


class Kill(Callback):
    """Ends the run in the middle of an epoch, as a power cut does."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_train_batch_start(self, trainer: Trainer, *_: Any) -> None:
        if trainer.current_epoch == self.epoch and trainer.global_step % 3 == 1:
            raise PowerCut


class PowerCut(Exception):  # noqa: N818
    pass


@pytest.mark.parametrize("augmentation", [None, Augmentation()], ids=["plain", "augmented"])
def test_a_killed_fit_that_is_resumed_ends_with_the_same_weights(
    cache_dir: Path, tmp_path: Path, augmentation: Augmentation | None
) -> None:
    def fit(folder: Path, callbacks: Sequence[Callback] = (), **arguments: Any) -> dict[str, Tensor]:
        torch.manual_seed(0)
        network = ResNet1d(widths=[8], strides=[4], dropout=0.0)  # its draws would not be those of the straight run
        keep = ModelCheckpoint(folder, monitor="val/loss", filename="best", save_last=True)
        model = EcgClassifier(network, TARGET)
        running = trainer(folder, max_epochs=4, callbacks=[keep, *callbacks], enable_checkpointing=True)
        running.fit(model, datamodule=module(cache_dir, batch_size=16, augmentation=augmentation), **arguments)
        return model.state_dict()

    straight = fit(tmp_path / "straight")
    with pytest.raises(PowerCut):
        fit(tmp_path / "killed", [Kill(2)])
    resumed = fit(tmp_path / "killed", ckpt_path=tmp_path / "killed" / "last.ckpt", weights_only=True)
    for name, weights in straight.items():
        assert torch.equal(weights, resumed[name]), name


class Seen(Rows):
    """Notes the ECGs of every stage."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[str, list[tuple[Tensor, Tensor]]] = {
            "train": [],
            "validate": [],
            "sanity_check": [],
            "test": [],
        }

    def _note(self, batch: Any) -> None:
        self.seen[self.trainer.state.stage.value].append((batch["row"], batch["ecg"]))  # type: ignore[union-attr]

    def training_step(self, batch: Any, batch_idx: int) -> None:
        self._note(batch)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self._note(batch)

    def test_step(self, batch: Any, batch_idx: int) -> None:
        self._note(batch)


def test_training_ecgs_are_augmented_and_no_others(cache_dir: Path, tmp_path: Path) -> None:
    datamodule = module(cache_dir, batch_size=16, augmentation=Augmentation(), shuffle_seed=3)
    model = Seen()
    running = trainer(tmp_path, max_epochs=2)
    running.fit(model, datamodule=datamodule)
    running.test(model, datamodule=datamodule, verbose=False)
    for stage, split in (("validate", "validation"), ("sanity_check", "validation"), ("test", "test")):
        for rows, ecg in model.seen[stage]:
            assert torch.equal(ecg, datamodule.dataset(split).__getitems__(rows.tolist())["ecg"])  # type: ignore[arg-type]
    batches = len(model.seen["train"]) // 2
    for number, (rows, ecg) in enumerate(model.seen["train"]):
        plain = datamodule.dataset("train").__getitems__(rows.tolist())["ecg"]
        expected = Augmentation()(plain, batch_generator(3, number // batches, int(rows[0])))
        assert torch.equal(ecg, expected)
        assert not torch.isclose(ecg, plain, atol=1e-3).all(dim=(1, 2)).any()


def test_the_summary_s_example_input_is_no_batch(cache_dir: Path, tmp_path: Path) -> None:
    model = EcgClassifier(ResNet1d(widths=[8], strides=[4]), TARGET)
    assert model.example_input_array is not None
    running = trainer(tmp_path, max_epochs=1, limit_train_batches=1, enable_model_summary=True)
    running.fit(model, datamodule=module(cache_dir, augmentation=Augmentation()))
    assert running.global_step == 1


def test_an_augmented_fit_repeats_itself_but_not_its_epochs(cache_dir: Path, tmp_path: Path) -> None:
    def ecgs(seed: int = 0) -> list[dict[int, Tensor]]:
        model = Seen()
        augmented = module(cache_dir, batch_size=16, augmentation=Augmentation(), shuffle_seed=seed)
        trainer(tmp_path, max_epochs=2).fit(model, datamodule=augmented)
        pairs = [dict(zip(rows.tolist(), ecg, strict=True)) for rows, ecg in model.seen["train"]]
        half = len(pairs) // 2
        return [{row: ecg for part in half_ for row, ecg in part.items()} for half_ in (pairs[:half], pairs[half:])]

    first, again, other = ecgs(), ecgs(), ecgs(1)
    for row in first[0]:
        assert torch.equal(first[0][row], again[0][row])
        assert torch.equal(first[1][row], again[1][row])
        assert not torch.allclose(first[0][row], first[1][row], atol=1e-3)
        assert not torch.allclose(first[0][row], other[0][row], atol=1e-3)


def test_batches_of_two_ranks_are_augmented_apart() -> None:
    draws = [torch.rand(3, generator=batch_generator(0, 0, first_row)) for first_row in (4, 9)]
    assert not torch.equal(*draws)


def test_predict_reads_the_test_set_in_order(cache_dir: Path, tmp_path: Path) -> None:
    datamodule = module(cache_dir, eval_batch_size=3)
    predictions: Any = trainer(tmp_path).predict(Rows(), datamodule=datamodule)
    assert [row for rows in predictions for row in rows] == list(range(len(datamodule.examples("test"))))


def test_lightning_finds_our_samplers_where_it_looks_for_them(cache_dir: Path) -> None:
    """Its ``predict`` builds batches from ``loader.sampler``: another there would give each rank every row."""
    kinds = {split: type(loader.sampler) for split, loader in loaders(module(cache_dir)).items()}
    assert kinds == {"train": ShuffledRows, "validation": RankRows, "test": RankRows}


def two_processes(rank: int, *, use_distributed_sampler: bool = False) -> Trainer:
    """A real trainer that nothing launches."""
    built = Trainer(
        accelerator="cpu",
        devices=2,
        strategy="ddp",
        logger=False,
        enable_checkpointing=False,
        use_distributed_sampler=use_distributed_sampler,
    )
    built.strategy.cluster_environment.set_global_rank(rank)  # type: ignore[attr-defined]
    return built


def test_ranks_share_every_split(cache_dir: Path) -> None:
    parts: dict[str, list[list[list[int]]]] = {"train": [], "validation": [], "test": []}
    datamodule = module(cache_dir, batch_size=16, eval_batch_size=2)
    for rank in range(2):
        datamodule.trainer = two_processes(rank)
        for split, loader in loaders(datamodule).items():
            parts[split].append([batch["row"].tolist() for batch in loader])
    datamodule.trainer = None
    alone = [batch["row"].tolist() for batch in datamodule.train_dataloader()]
    together = [first + second for first, second in zip(*parts["train"], strict=True)]
    shared = len(datamodule.examples("train")) // 2 * 2  # an odd row waits for the next epoch
    assert [row for batch in together for row in batch] == [row for batch in alone for row in batch][:shared]
    assert [len(batch) for batch in together[:-1]] == [16] * (len(together) - 1)
    assert len(parts["validation"][0]) == len(parts["validation"][1])
    for split in ("validation", "test"):
        rows = [row for batches in parts[split] for batch in batches for row in batch]
        assert rows == list(range(len(datamodule.examples(split))))  # type: ignore[arg-type]


def test_a_trainer_that_would_replace_the_samplers_is_refused(cache_dir: Path) -> None:
    datamodule = module(cache_dir)
    datamodule.trainer = two_processes(0, use_distributed_sampler=True)
    actions = (
        datamodule.prepare_data,
        datamodule.train_dataloader,
        datamodule.val_dataloader,
        datamodule.test_dataloader,
        datamodule.predict_dataloader,
    )
    for action in actions:
        with pytest.raises(ValueError, match=r"2 processes .* `Trainer\(use_distributed_sampler=False\)`"):
            action()


def test_a_batch_must_be_shared_evenly(cache_dir: Path) -> None:
    datamodule = module(cache_dir, batch_size=15)
    datamodule.trainer = two_processes(0)
    with pytest.raises(ValueError, match=r"`data.batch_size` is the batch over all ranks .* got 15 for 2 ranks"):
        datamodule.train_dataloader()


# --- backgrounds -------------------------------------------------------------------------------------------------


def test_backgrounds_are_training_ecgs_of_distinct_patients(cache_dir: Path) -> None:
    datamodule = module(cache_dir, n_backgrounds=20)
    found = datamodule.backgrounds()
    beats, ids = found.beats, found.ecg_ids
    assert beats.shape == (20, 8, 600)
    assert beats.dtype == torch.float32
    assert found.source == "patients"
    table = datamodule.examples("train").set_index("ecg_id").loc[ids]
    assert table["patient_id"].nunique() == 20
    np.testing.assert_array_equal(beats, datamodule.cache.read_beats(table["cache_row"].to_numpy()))


def test_backgrounds_are_the_same_for_all_training_seeds(cache_dir: Path) -> None:
    ids = [module(cache_dir, shuffle_seed=seed, batch_size=2 + seed).backgrounds().ecg_ids for seed in range(3)]
    assert ids[0] == ids[1] == ids[2]
    more = module(cache_dir, n_backgrounds=8).backgrounds()
    assert more.ecg_ids[:5] == ids[0]
    assert torch.equal(more.first(5).beats, module(cache_dir).backgrounds().beats)


def test_too_few_patients_for_the_backgrounds(cache_dir: Path) -> None:
    datamodule = module(cache_dir, n_backgrounds=N_PATIENTS)
    n = datamodule.examples("train")["patient_id"].nunique()
    assert n < N_PATIENTS
    with pytest.raises(ValueError, match=f"40 backgrounds of distinct patients .* has {n} patients with a label for"):
        datamodule.backgrounds()
    assert len(datamodule.training_backgrounds()) == n  # a fit keeps what there is


def test_backgrounds_of_the_checkpoint_are_those_of_the_same_split(cache_dir: Path) -> None:
    kept = module(cache_dir, n_backgrounds=8).training_backgrounds()
    for asked in (5, 8, 9):  # a beginning, all, and more than the checkpoint has
        datamodule = module(cache_dir, n_backgrounds=asked)
        taken, chosen = datamodule.backgrounds(kept), datamodule.backgrounds()
        assert taken.ecg_ids == chosen.ecg_ids
        assert torch.equal(taken.beats, chosen.beats)


def test_a_foreign_archive_takes_the_checkpoint_s_backgrounds(cache_dir: Path) -> None:
    kept = module(cache_dir, n_backgrounds=8).training_backgrounds()
    again = Backgrounds.from_dict(kept.as_dict())
    for split in ("patients", "test_only"):
        foreign = module(cache_dir, Foreign(labels=("1", "0")), "test", split=split)
        taken = foreign.backgrounds(again)
        assert (taken.ecg_ids, taken.source) == ([beat_name(beat) for beat in kept.beats[:5].numpy()], "patients")
        assert torch.equal(taken.beats, kept.beats[:5])


def test_other_backgrounds_are_found_by_the_first_ones_beats(cache_dir: Path) -> None:
    """Checkpoints keep no ids; those of earlier versions, and stores made with them, find the same patients."""
    datamodule = module(cache_dir, n_backgrounds=8)
    kept = datamodule.training_backgrounds()
    assert not set(kept.as_dict()["ecg_ids"]) & set(kept.ecg_ids)
    of_new, of_old = (datamodule.other_backgrounds(one) for one in (Backgrounds.from_dict(kept.as_dict()), kept))
    assert of_new.ecg_ids == of_old.ecg_ids
    patient = datamodule.examples("train").set_index("ecg_id")["patient_id"]
    assert not set(patient[kept.ecg_ids]) & set(patient[of_new.ecg_ids])
    strange = Backgrounds(kept.beats + 1, kept.ecg_ids, kept.source)  # another preparation of these ECGs
    assert len(datamodule.other_backgrounds(strange)) == 0


def test_backgrounds_that_nobody_has(cache_dir: Path) -> None:
    kept = module(cache_dir).training_backgrounds()
    more = module(cache_dir, Foreign(labels=("1", "0")), "test", n_backgrounds=6)
    with pytest.raises(ValueError, match=r"6 backgrounds .* the checkpoint keeps 5, .* lower `data.n_backgrounds`"):
        more.backgrounds(kept)
    assert more.backgrounds().source == "foreign"  # of a checkpoint that kept none
    only = module(cache_dir, stage="test", split="test_only")
    with pytest.raises(ValueError, match=r"keeps 0, .* training data: train it again .* leave out .* \(gradient_shap"):
        only.backgrounds()


# --- errors ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("stage", "split"), [("fit", "train"), ("validate", "validation"), ("test", "test")])
def test_one_class_only_is_refused_with_counts(cache_dir: Path, stage: str, split: str) -> None:
    datamodule = module(cache_dir, Patients(labels=("0",)), stage=None)
    counts = Counter(entry.patient_id for entry in Patients().entries())
    with pytest.raises(ValueError, match=rf"the {split} split has 0 ECGs with it, (\d+) without and 0") as caught:
        datamodule.setup(stage)
    splits = datamodule.splits().drop_duplicates("patient_id").set_index("patient_id")["split"]
    expected = sum(counts[patient] for patient in splits.index[splits == split])
    assert f", {expected} without" in str(caught.value)


@pytest.mark.parametrize("stage", ["fit", "validate"])
def test_a_foreign_archive_trains_nothing(tmp_path: Path, stage: str) -> None:
    source = Patients()
    datamodule = module(tmp_path, source, stage=None, split="test_only")
    with pytest.raises(ValueError, match=f"`data.split: test_only` has no training ECGs .* not for `{stage}`"):
        getattr(trainer(tmp_path), stage)(Rows(), datamodule=datamodule)
    assert source.reads == 0  # told before hours of work
    with pytest.raises(ValueError, match=r"`data\.split: test_only` has no training ECGs"):
        datamodule.setup(stage)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (
            ("0",),
            "79 without and 0 where .* all of its labelled ECGs agree, whatever the split; .* both classes of no ",
        ),
        (("?",), "0 without and 79 where .* no ECG of this source has a label of any target"),
    ],
)
def test_a_foreign_archive_without_both_classes(cache_dir: Path, labels: Sequence[str], message: str) -> None:
    source = Patients(labels=labels)
    with pytest.raises(ValueError, match=f"has 0 ECGs with it, {message}"):
        module(cache_dir, source, "test", split="test_only")
    module(cache_dir, source, "predict", split="test_only")  # needs no labels


def test_the_remedy_names_targets_with_both_classes(cache_dir: Path) -> None:
    with pytest.raises(ValueError, match=r"target low_qrs_voltage: .* has both classes of atrial_fibrillation \("):
        module(cache_dir, stage="test", split="test_only", target="low_qrs_voltage")


def test_fewer_than_three_patients(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least 3 patients, got 2"):
        module(tmp_path, Patients(2, labels=("1", "0")))


def test_a_source_without_folds(cache_dir: Path) -> None:
    with pytest.raises(ValueError, match=r"folds \[3\]; use `split: patients`"):
        module(cache_dir, Patients(12, fold=3), split="folds")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"target": "../afib"}, "no name of a target"),
        ({"split": "random"}, "split must be one of auto, patients, folds, test_only; got 'random'"),
        ({"batch_size": 0}, "batch sizes must be positive .* got 0, 128 and 0"),
        ({"eval_batch_size": 0}, "batch sizes must be positive"),
        ({"num_workers": -1}, "num_workers not negative"),
        ({"n_backgrounds": 1}, "n_backgrounds must be at least 2; got 1"),
    ],
)
def test_bad_arguments(cache_dir: Path, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        module(cache_dir, stage=None, **arguments)


def test_bad_names_of_stages_and_splits(cache_dir: Path) -> None:
    datamodule = module(cache_dir)
    with pytest.raises(ValueError, match="stage must be one of fit, validate, test, predict; got 'train'"):
        datamodule.setup("train")
    for method in (datamodule.examples, datamodule.dataset, datamodule.examples_digest):
        with pytest.raises(ValueError, match="split must be one of train, validation, test; got 'val'"):
            method("val")  # type: ignore[arg-type]


# --- real ECGs ---------------------------------------------------------------------------------------------------


def test_real_ptbxl(data_root: Path, tmp_path: Path) -> None:
    class Some(PtbXl):
        def entries(self) -> Sequence[Entry]:
            return super().entries()[:60]

    datamodule = module(tmp_path, Some(data_root / "ptbxl"), stage=None, target="sinus_rhythm")
    datamodule.prepare_data()
    datamodule.setup("fit")
    (batch,) = datamodule.train_dataloader()
    labels: NDArray[np.float32] = batch["label"].numpy()
    assert set(labels.tolist()) == {0.0, 1.0}
    assert 0.05 < batch["ecg"].abs().amax(dim=(1, 2)).median() < 5  # mV
