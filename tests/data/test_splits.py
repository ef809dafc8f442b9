from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ecg_lightning.data.label_checks import check_both_classes
from ecg_lightning.data.splits import split_by_fold, split_by_patient
from ecg_lightning.randomness import keyed_order

IDS = st.lists(st.integers(0, 60).map("p{}".format), min_size=1, max_size=120)
SEEDS = st.integers(0, 2**32)


def names(n: int) -> "pd.Series[str]":
    return pd.Series([f"p{k}" for k in range(n)])


def sets(patient_id: "pd.Series[str]", split: np.ndarray) -> dict[str, str]:
    return dict(zip(patient_id, split.tolist(), strict=True))


# --- by patient --------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(IDS, SEEDS)
def test_no_patient_is_in_two_sets_and_sizes_are_ten_per_cent(ids: list[str], seed: int) -> None:
    assume(len(set(ids)) >= 3)
    patient_id = pd.Series(ids)
    split = split_by_patient(patient_id, seed)
    assert len(split) == len(ids)
    assert (pd.Series(split).groupby(patient_id).nunique() == 1).all()
    counts = Counter(sets(patient_id, split).values())
    expected = max(1, round(len(set(ids)) / 10))
    assert counts["validation"] == counts["test"] == expected
    assert counts["train"] == len(set(ids)) - 2 * expected


@pytest.mark.parametrize(
    ("patients", "held_out"), [(3, 1), (14, 1), (16, 2), (100, 10), (2499, 250), (2500, 250), (2501, 250), (9000, 250)]
)
def test_250_patients_each_or_ten_per_cent(patients: int, held_out: int) -> None:
    counts = Counter(split_by_patient(names(patients)).tolist())
    assert counts == {"train": patients - 2 * held_out, "validation": held_out, "test": held_out}


@settings(deadline=None)
@given(IDS, SEEDS, st.randoms())
def test_the_order_of_the_ecgs_and_their_number_do_not_matter(ids: list[str], seed: int, random: object) -> None:
    assume(len(set(ids)) >= 3)
    shuffled = [*ids, ids[0]]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    before, after = pd.Series(ids), pd.Series(shuffled)
    assert sets(before, split_by_patient(before, seed)) == sets(after, split_by_patient(after, seed))


@settings(deadline=None)
@given(st.integers(30, 60), SEEDS)
def test_a_new_patient_moves_hardly_anybody(patients: int, seed: int) -> None:
    """One may cross each border for the newcomer, and one more where ten per cent are one more patient."""
    before, after = names(patients), names(patients + 1)
    old, new = (sets(ids, split_by_patient(ids, seed)) for ids in (before, after))
    assert sum(old[patient] != new[patient] for patient in before) <= 4


def test_the_held_out_are_the_first_by_hash() -> None:
    ids = names(40)
    order = ids[keyed_order(3, ids)].tolist()
    split = sets(ids, split_by_patient(ids, 3))
    assert [split[patient] for patient in order] == ["validation"] * 4 + ["test"] * 4 + ["train"] * 32


def test_another_seed_is_another_split() -> None:
    ids = names(1000)
    held_out = [set(ids[split_by_patient(ids, seed) == "test"]) for seed in range(4)]
    for first in range(4):
        for second in range(first):
            assert len(held_out[first] & held_out[second]) < 30  # 10 expected by chance


def test_sets_are_drawn_evenly() -> None:
    """Patients with neighbouring ids must not stick together: each tenth gives its share."""
    ids = names(2000)
    tenth = np.arange(2000) * 10 // 2000
    tested = np.bincount(tenth[split_by_patient(ids) == "test"], minlength=10)
    assert ((tested - 20) ** 2 / 20).sum() < 30  # chi-square, 9 degrees of freedom: p = 0.0004


@pytest.mark.parametrize("ids", [[], ["a"], ["a", "b", "a", "b"]])
def test_under_three_patients(ids: list[str]) -> None:
    with pytest.raises(ValueError, match=f"at least 3 patients, got {len(set(ids))}: .*simulate more patients"):
        split_by_patient(pd.Series(ids, dtype=str))


# --- by fold -----------------------------------------------------------------------------------------------------


def test_folds_nine_and_ten_are_held_out() -> None:
    fold = pd.Series([1, 9, 10, 8, 10, 3], index=[5, 4, 3, 2, 1, 0])  # rows go by place, not by index
    split = split_by_fold(fold, names(6))
    assert split.tolist() == ["train", "validation", "test", "train", "test", "train"]


@pytest.mark.parametrize("fold", [[0, 0, 0], [1, 2, 9], [1, 2, 10], [9, 10, 10]])
def test_folds_that_make_no_three_sets(fold: list[int]) -> None:
    with pytest.raises(
        ValueError, match=r"needs ECGs in fold 9, in fold 10 and in others; .* use `split: patients`"
    ) as e:
        split_by_fold(pd.Series(fold), names(3))
    assert str(sorted(set(fold))) in str(e.value)


def test_a_patient_in_two_folds_is_refused_only_across_sets() -> None:
    fold = pd.Series([1, 2, 9, 10, 10])
    assert split_by_fold(fold, pd.Series(["a", "a", "b", "c", "c"])).tolist()[0] == "train"
    with pytest.raises(ValueError, match=r"1 patients are in two of the source's folds \(first: b\)"):
        split_by_fold(fold, pd.Series(["a", "a", "b", "b", "c"]))


def test_as_many_patients_are_held_out_as_asked_for() -> None:
    patients = names(40)
    split = split_by_patient(patients, seed=3, held_out=7)
    assert [int((split == name).sum()) for name in ("train", "validation", "test")] == [26, 7, 7]
    # fewer of them are among more of them: the order of the patients does not depend on the number
    more = split_by_patient(patients, seed=3, held_out=10)
    assert set(np.flatnonzero(split == "validation")) <= set(np.flatnonzero(more == "validation"))


@pytest.mark.parametrize("held_out", [0, 20, 21])
def test_no_more_patients_are_held_out_than_leave_some_for_training(held_out: int) -> None:
    with pytest.raises(
        ValueError, match=f"held_out_patients.*expected from 1 to 19 of the 40 patients.*got {held_out}"
    ):
        split_by_patient(names(40), held_out=held_out)


# --- classes -----------------------------------------------------------------------------------------------------


def test_both_classes_pass() -> None:
    check_both_classes(np.array([1, 0, np.nan]), "test", "sinus_rhythm")


@pytest.mark.parametrize(
    ("label", "counts"),
    [
        ([1, 1, np.nan], "2 ECGs with it, 0 without and 1 where"),
        ([0], "0 ECGs with it, 1 without and 0 where"),
        ([np.nan] * 3, "0 ECGs with it, 0 without and 3 where"),
        ([], "0 ECGs with it, 0 without and 0 where"),
    ],
)
def test_one_class_only_is_counted(label: list[float], counts: str) -> None:
    with pytest.raises(ValueError, match=f"target low_qrs_voltage: the validation split has {counts}"):
        check_both_classes(np.array(label), "validation", "low_qrs_voltage")
