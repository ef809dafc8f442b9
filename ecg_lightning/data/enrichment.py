"""A test split with enough patients of rare diagnoses: chosen by hash, one ECG of each patient.

A split by hashed patient id holds each diagnosis as often as the source does: of 50 patients perhaps one has right
bundle branch block, and no test can decide anything. An enriched split takes patients with the named diagnoses first,
those with several where room is short, and then patients with none of them. Which patients, and which of their ECGs,
depends on the split's seed and on ids and labels only, and is the same whatever a run's own target.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from lightning.pytorch.utilities import rank_zero_info
from numpy.typing import NDArray

from ecg_lightning.data.label_columns import is_binary, label_column, labels_of, targets_in
from ecg_lightning.data.splits import SplitRule, split_examples
from ecg_lightning.data.targets import in_order, is_target_name, nearest
from ecg_lightning.ecg import Target
from ecg_lightning.randomness import keyed_order

UNUSED: Final = "unused"
"""Name of the split of ECGs that are in none of the three: the other ECGs of an enriched split's patients, and what it
does not need of a source that is tested only."""

_Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Enrichment:
    """An enrichment says what an enriched test split holds at least.

    Attributes:
        targets: The diagnoses, those of the whole study.
        patients: Patients with each of them. Verdicts take 20 or more, and some ECGs have no evidence mask.
        without: Patients with none of them, and patients whose label is known to be negative for each.
        size: Patients in all: those with several diagnoses come first until the others fit, and patients with none fill
            it up. None: as many as the first by hash need.
    """

    targets: list[Target]
    patients: int = 24
    without: int = 20
    size: int | None = None

    def __post_init__(self) -> None:
        if not self.targets or not all(map(is_target_name, self.targets)):
            raise ValueError(
                "data.test_enrichment.targets: expected one or more binary targets of the source; got "
                f"{', '.join(map(str, self.targets)) or 'none'}"
            )
        if min(self.patients, self.without) < 1 or (self.size is not None and self.size < self.patients + self.without):
            raise ValueError(
                "data.test_enrichment: patients and without must be 1 or more, and size null or at least their sum; "
                f"got {self.patients}, {self.without} and {self.size}"
            )
        # the order makes no difference to the split, so it makes none to a checkpoint's or a study's settings
        object.__setattr__(self, "targets", in_order(self.targets))


def enriched_split(
    examples: pd.DataFrame, rule: SplitRule, seed: int, held_out: int | None, wish: Enrichment | None, target: Target
) -> NDArray[np.str_]:
    """Split the ECGs of a source; where the test is to be enriched do so, and say what that means.

    Args:
        examples: Every ECG of the source.
        rule: See :func:`ecg_lightning.data.splits.split_examples`; so are the next two.
        seed: Of the split.
        held_out: Patients in each of validation and test.
        wish: What the test must hold; None: whoever the split gives.
        target: The run's own diagnosis, for the words.

    Returns:
        (n,) names of the split.
    """
    split = split_examples(examples, rule, seed, held_out)
    if wish is None:
        return split
    split = enrich_test(examples, split, rule, seed, wish)
    rank_zero_info("\n".join(enrichment_lines(examples, split, wish, target)))
    return split


def enrich_test(
    examples: pd.DataFrame, split: NDArray[np.str_], rule: SplitRule, seed: int, wish: Enrichment
) -> NDArray[np.str_]:
    """Replace a test split by an enriched one.

    Of each patient one ECG may be chosen, by hashed id and whatever it shows. Splits by patient choose among everybody
    outside validation, and who is not chosen is trained on; the other rules choose among their test ECGs alone.

    Args:
        examples: Every ECG of the source, with ``ecg_id``, ``patient_id`` and the targets.
        split: (n,) of :func:`ecg_lightning.data.splits.split_examples`.
        rule: How that was made.
        seed: Seed of the split.
        wish: What the test split must hold.

    Returns:
        (n,) names of the split, among them ``unused``.

    Raises:
        ValueError: Too few patients; the message counts them for the diagnosis that lacks some. Or a target that the
            source has no labels of, or no classes.
    """
    for target in wish.targets:
        if label_column(target) not in examples or not is_binary(examples, target):
            raise ValueError(
                f"data.test_enrichment.targets: {target} is no binary target of this source; "
                f"{nearest(target, targets_in(examples))}"
            )
    by_patient = rule in ("auto", "patients")
    may_test = split != "validation" if by_patient else split == "test"
    drawn = _one_ecg_a_patient(examples, np.flatnonzero(may_test), seed)
    labels = np.stack([labels_of(examples.iloc[drawn], target) for target in wish.targets], axis=1)
    chosen = drawn[_choose(labels, wish)]
    enriched = split.copy()
    enriched[may_test] = "train" if by_patient else UNUSED
    enriched[examples["patient_id"].isin(examples["patient_id"].iloc[chosen]).to_numpy() & may_test] = UNUSED
    enriched[chosen] = "test"
    return enriched


def _one_ecg_a_patient(examples: pd.DataFrame, rows: NDArray[np.intp], seed: int) -> NDArray[np.intp]:
    """A row of every patient, patients in the order of their hash."""
    ids = examples[["ecg_id", "patient_id"]].iloc[rows].reset_index(drop=True)
    order = keyed_order(seed, "test:" + ids["ecg_id"])
    first = ids.iloc[order].drop_duplicates("patient_id")
    by_hash = keyed_order(seed, first["patient_id"])
    places: NDArray[np.intp] = first.index.to_numpy()[by_hash]
    return rows[places]


def _choose(labels: NDArray[np.float32], wish: Enrichment) -> NDArray[np.intp]:
    """Which of the patients to take.

    Args:
        labels: (patient, target) 1, 0 or NaN, in the order of their hash.
        wish: What they must come to.
    """
    has, lacks = labels == 1, labels == 0
    for target, count in zip(wish.targets, has.sum(axis=0), strict=True):
        if count < wish.patients:
            raise ValueError(
                f"data.test_enrichment: {wish.patients} test patients with {target} were asked for, and {count} of the "
                f"{len(labels)} patients that may be tested have it in the ECG that was drawn of each; lower "
                "data.test_enrichment.patients, or take more patients (simulated: --data.source.init_args.n_patients)"
            )
    carriers = _carriers(has, wish)
    free = np.flatnonzero(~has.any(axis=1) & lacks.any(axis=1))
    known = lacks[carriers].sum(axis=0) + np.cumsum(lacks[free], axis=0)  # (free patients taken, target)
    enough = np.flatnonzero((known >= wish.without).all(axis=1))
    more = max(wish.without, (wish.size or 0) - carriers.sum(), enough[0] + 1 if len(enough) else len(free) + 1)
    if more > len(free):
        raise ValueError(
            f"data.test_enrichment: {wish.without} test patients without each diagnosis were asked for"
            f"{f', {wish.size} patients in all' if wish.size else ''}, and of the {len(labels)} patients that may be "
            f"tested {len(free)} have none of {', '.join(wish.targets)}; lower without or size, or take more patients"
        )
    taken = carriers.copy()
    taken[free[:more]] = True
    if wish.size is not None and taken.sum() > wish.size:
        raise ValueError(
            f"data.test_enrichment: size is {wish.size}, and {wish.patients} patients with each diagnosis and "
            f"{wish.without} without come to {taken.sum()}, since too few patients have several; raise size to that"
        )
    return np.flatnonzero(taken)


def _carriers(has: _Mask, wish: Enrichment) -> _Mask:
    """(patient,) those taken for their diagnoses: the first by hash that have as many missing ones as room demands."""
    taken = np.zeros(len(has), dtype=np.bool_)
    missing = np.full(has.shape[1], wish.patients)
    while missing.any():
        helps = has[:, missing > 0].sum(axis=1) * ~taken
        least = 1
        if wish.size is not None:
            least = -(-int(missing.sum()) // max(wish.size - wish.without - int(taken.sum()), 1))
        first = int(np.argmax(helps >= min(least, helps.max())))
        taken[first] = True
        missing = np.maximum(missing - has[first], 0)
    return taken


def enrichment_lines(
    examples: pd.DataFrame, split: NDArray[np.str_], wish: Enrichment, target: Target
) -> Iterator[str]:
    """Yield what a reader must know of an enriched split: how many have what, and what that means.

    Args:
        examples: Every ECG of the source.
        split: (n,) of :func:`enrich_test`.
        wish: The requested enrichment.
        target: The run's own, reported as well where the wish does not name it.
    """
    tested = split == "test"
    yield (
        f"The test split is enriched: {tested.sum()} ECGs, one of each patient; {(split == UNUSED).sum()} other ECGs "
        "are in no split. With the diagnosis, in the test, in training, and in the source:"
    )
    for name in dict.fromkeys((*wish.targets, target)):
        label = labels_of(examples, name)
        shares = [_share(label[part]) for part in (tested, split == "train", np.ones_like(tested))]
        yield f"  {name}: {'; '.join(shares)}"
    yield (
        "The prevalences of the test split are chosen and not those of the source: AUPRC, precision, F1 and accuracy "
        "hold for these only."
    )


def _share(label: NDArray[np.float32]) -> str:
    known = int(np.isfinite(label).sum())
    return f"{int((label == 1).sum())} of {known}" + (f" ({(label == 1).sum() / known:.0%})" if known else "")
