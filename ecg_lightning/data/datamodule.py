"""The datamodule: prepares the ECGs on first use, splits them by patient, and feeds whole batches."""

from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ecg_lightning.data.augmentation import Augmentation
from ecg_lightning.data.backgrounds import Backgrounds, choose_backgrounds, enough_backgrounds, other_backgrounds
from ecg_lightning.data.cache import BeatCache
from ecg_lightning.data.dataset import BeatDataset
from ecg_lightning.data.enrichment import Enrichment, enriched_split
from ecg_lightning.data.examples import digest_examples, examples_table, permute_labels, population_table
from ecg_lightning.data.label_checks import check_column, check_labels, class_remedy
from ecg_lightning.data.loaders import BeatLoaders
from ecg_lightning.data.prepare import chosen_representation, prepare
from ecg_lightning.data.provenance import DataProvenance
from ecg_lightning.data.representations import Representation
from ecg_lightning.data.samplers import check_samplers_stay
from ecg_lightning.data.sources import Source
from ecg_lightning.data.sources.entry_checks import target_of
from ecg_lightning.data.splits import Split, SplitRule, splits_of_stage
from ecg_lightning.data.study_splits import flat_settings
from ecg_lightning.data.targets import TargetInfo, check_name
from ecg_lightning.ecg import DEFAULT_TARGET, MIN_AGE, SignalFormat, Target
from ecg_lightning.storage.hashing import digest_settings


class EcgDataModule(BeatLoaders):
    """Median beats of a source, or windows of its recordings, for one target.

    Batches are dicts ``ecg`` (batch, lead, sample) mV, ``label`` (batch,) and ``row`` (batch,), the row inside
    the split. ECGs whose label is missing are left out of the training set; in validation and test they stay
    (their maps may be asked for) and every metric leaves them out.

    Args:
        source: Where the recordings come from.
        target: The diagnosis or measurement, one of the source's.
        cache_dir: Folder of the prepared beats; each source and setting gets a folder of its own inside.
        batch_size: Training ECGs a step over all ranks, so that the batches do not depend on their number
            (BatchNorm statistics and dropout are each rank's own).
        eval_batch_size: ECGs a step and rank in validation, test and prediction.
        split: ``patients``: by hashed patient id; ``folds``: the source's own; ``test_only``: every ECG tests a network
            that was trained on another source; ``auto``: ``patients``, and on the command line ``test_only`` for a
            checkpoint of another source.
        split_seed: Of the split and of the choice of backgrounds; independent of the training seed.
        held_out_patients: Patients for validation, and as many for the test; None: 250, or 10 % of fewer than 2,500.
        n_backgrounds: Training ECGs that serve as backgrounds of the SHAP methods; the same for all seeds. A
            test takes them from the checkpoint.
        neighbours: Whether neighbouring beats inside the 1.2-s window stay (``keep``) or are blanked; blanked beats
            have no evidence masks.
        representation: What of a recording is used, such as ``RecordingWindow``; None: its median beat.
        min_age: Younger patients are excluded, with the reason on record.
        shuffle_seed: Of the order of the training ECGs; linked to ``seed_everything`` by the command line.
        num_workers: Worker processes a loader; 0 is fastest for a cache on a local disk.
        processes: Worker processes of ``prepare``; None: one a core.
        augmentation: Random changes of the training ECGs (not in validation or test); None: none.
        test_enrichment: What the test split must hold at least, for studies of rare diagnoses; the same for every
            target of a study. None: whoever the split by patient or fold gives.
        permuted_labels: Whether training and validation labels are permuted: such a network is a control of the
            randomisation experiment (Adebayo, NeurIPS 2018).

    Raises:
        ValueError: An argument out of its range.
    """

    _cache: BeatCache | None = None
    _split: NDArray[np.str_] | None = None

    def __init__(
        self,
        source: Source,
        target: Target = DEFAULT_TARGET,
        cache_dir: str = "cache",
        batch_size: int = 128,
        eval_batch_size: int = 128,
        split: SplitRule = "auto",
        split_seed: int = 0,
        held_out_patients: int | None = None,
        n_backgrounds: int = 20,
        neighbours: Literal["keep", "blank"] = "keep",
        representation: Representation | None = None,
        min_age: float = MIN_AGE,
        shuffle_seed: int = 0,
        num_workers: int = 0,
        processes: int | None = None,
        augmentation: Augmentation | None = None,
        test_enrichment: Enrichment | None = None,
        permuted_labels: bool = False,
    ) -> None:
        super().__init__(augmentation, shuffle_seed, batch_size, eval_batch_size, num_workers)
        if split not in get_args(SplitRule):
            raise ValueError(f"split must be one of {', '.join(get_args(SplitRule))}; got {split!r}")
        if n_backgrounds < 2:
            raise ValueError(f"n_backgrounds must be at least 2; got {n_backgrounds}")
        self.source = source
        self.target = check_name(target)
        self.cache_dir = Path(cache_dir)
        self.split_rule: SplitRule = "patients" if split == "auto" else split
        self.split_seed = split_seed
        self.held_out_patients = held_out_patients
        self.test_enrichment = test_enrichment
        self.permuted_labels = permuted_labels
        self.n_backgrounds = n_backgrounds
        self.neighbours: Literal["keep", "blank"] = neighbours
        self.representation = chosen_representation(representation, neighbours)
        self.min_age = min_age
        self.processes = processes

    def prepare_data(self) -> None:
        """Turn the source's recordings into cached beats, if that is not done yet."""
        if self.trainer:  # before hours of work
            check_samplers_stay(self.trainer)
            if self.trainer.state.fn is not None:
                splits_of_stage(self.trainer.state.fn.value, self.split_rule)
        _ = self.target_info  # so is this: a misspelt target
        self.prepare_cache()

    @cached_property
    def target_info(self) -> TargetInfo:
        """What the source says of the target; a ValueError where it has none of this name."""
        return target_of(self.source, self.target, self.signal_format)

    def prepare_cache(self, *, overwrite: bool = False, progress: bool = True) -> BeatCache:
        """The cache, made first where it is not there yet; or anew, for instance after broken files were repaired."""
        return prepare(
            self.source.for_target(self.target),  # of the same ECGs: runs of other targets are in the same study
            self.cache_dir,
            representation=self.representation,
            processes=self.processes,
            min_age=self.min_age,
            overwrite=overwrite,
            progress=progress,
        )

    def setup(self, stage: str) -> None:
        """Open the cache, split it, and refuse a split with one class only.

        Args:
            stage: ``fit``, ``validate``, ``test`` or ``predict``.

        Raises:
            ValueError: Another stage, one that the split has no ECGs for, or one class only in a split that it needs.
        """
        needed = splits_of_stage(stage, self.split_rule)
        if self._cache is None:
            self._cache = self.prepare_cache(progress=False)  # finds the finished cache
            examples, held_out, wish = self._cache.examples, self.held_out_patients, self.test_enrichment
            self._split = enriched_split(examples, self.split_rule, self.split_seed, held_out, wish, self.target)
        for split in needed:
            check_column(self.cache.examples, self.target, self.cache.folder)
            check_labels(self.examples(split)["label"].to_numpy(), split, self.target_info, self._remedy)

    def _remedy(self) -> str:
        if self.test_enrichment is not None:
            return "name it in `data.test_enrichment.targets`, or take more patients"
        return class_remedy(self.cache.examples, self.split_rule, self.target, self.held_out_patients)

    @property
    def cache(self) -> BeatCache:
        """The prepared beats; there after ``setup``."""
        if self._cache is None:
            raise RuntimeError("the datamodule has no beats yet: call `setup(stage)` first, or run it in a Trainer")
        return self._cache

    @property
    def signal_format(self) -> SignalFormat:
        """Leads, rate, samples and fiducial of the ECGs in every batch."""
        return self.representation.format

    def splits(self) -> pd.DataFrame:
        """Split of every ECG of the source: ``ecg_id``, ``patient_id``, ``split``; in ``attrs`` the ``settings``."""
        return self.population()[["ecg_id", "patient_id", "split"]]

    def population(self) -> pd.DataFrame:
        """The same with ``age, sex, source`` and every target."""
        return population_table(self.cache.examples, np.asarray(self._split), self.settings())

    def examples(self, split: Split) -> pd.DataFrame:
        """The ECGs of a split in row order: row, ecg_id, patient_id, label, age, sex, source, cache_row.

        Raises:
            ValueError: There is no such split.
        """
        if split not in get_args(Split):
            raise ValueError(f"split must be one of {', '.join(get_args(Split))}; got {split!r}")
        chosen = np.asarray(self._split) == split
        table = examples_table(self.cache.examples, chosen, self.target, labelled=split == "train")
        return permute_labels(table, self.split_seed) if self.permuted_labels and split != "test" else table

    def dataset(self, split: Split) -> BeatDataset:
        """The ECGs of a split."""
        table = self.examples(split)
        return BeatDataset(self.cache, table["cache_row"].to_numpy(np.intp), table["label"].to_numpy(np.float32))

    def provenance(self) -> DataProvenance:
        """What makes a beat and a split: kept in every checkpoint, so that a test on other ones is noticed."""
        return DataProvenance(
            source=self.source.name,
            source_settings=digest_settings(self.source.settings()),  # type: ignore[arg-type]
            min_age=self.min_age,
            neighbours=self.neighbours,
            representation=self.representation.settings().get("representation"),
            split=self.split_rule,
            split_seed=self.split_seed,
            held_out_patients=self.held_out_patients,
            test_enrichment=None if self.test_enrichment is None else asdict(self.test_enrichment),
        )

    def settings(self) -> dict[str, object]:
        """The provenance with the source's own settings, such as ``data.source.n_patients`` -> 160."""
        own = asdict(self.provenance())
        del own["source_settings"]  # a hash of what follows, setting by setting
        return flat_settings(own, "data") | flat_settings(self.source.settings(), "data.source")

    def examples_digest(self, split: Split) -> str:
        """Hash of the ids and the beats of a split: part of every store's identity."""
        return digest_examples(self.cache, self.examples(split))

    def training_backgrounds(self) -> Backgrounds:
        """Reference ECGs of the SHAP methods: training ECGs of distinct patients, by hashed id.

        Returns:
            ``n_backgrounds`` of them, or fewer where there are fewer patients: a ``fit`` needs none.
        """
        training = self.examples("train")
        return choose_backgrounds(self.cache, training, self.n_backgrounds, self.split_seed, self.source.name)

    def backgrounds(self, kept: Backgrounds | None = None) -> Backgrounds:
        """The reference ECGs of a test: those of the network's own training data, where its checkpoint kept them.

        Args:
            kept: The checkpoint's; with the same source and split they are what this datamodule would choose.

        Raises:
            ValueError: Fewer than ``n_backgrounds``.
        """
        own = None if self.split_rule == "test_only" else self.source.name
        return enough_backgrounds(kept, own, self.training_backgrounds, self.n_backgrounds, self.target)

    def other_backgrounds(self, first: Backgrounds) -> Backgrounds:
        """As many training ECGs of other patients as ``first`` has; fewer, or none, where there are not as many."""
        if self.split_rule == "test_only" or first.source != self.source.name:
            return first.first(0)
        return other_backgrounds(self.cache, self.examples("train"), first, self.split_seed)
