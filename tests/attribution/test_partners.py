"""Partners: derangements of the patients of one class, whatever the order of the rows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecg_lightning.attribution.partners import nearest_partners, partners

ECGS = st.lists(st.tuples(st.integers(0, 12), st.sampled_from([0.0, 1.0, np.nan])), min_size=1, max_size=40)


def tables(ecgs: list[tuple[int, float]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    patients = np.array([f"p{patient}" for patient, _ in ecgs])
    return patients, np.array([kind for _, kind in ecgs]), np.array([f"e{row}" for row in range(len(ecgs))])


@given(ECGS, st.integers(0, 3), st.integers(1, 6))
def test_partners_are_other_patients_of_the_same_class(ecgs: list, seed: int, count: int) -> None:
    patients, kinds, ids = tables(ecgs)
    found = partners(patients, kinds, seed, count, ids)
    for row, line in enumerate(found):
        others = set(patients[kinds == kinds[row]]) - {patients[row]}
        there = line[line >= 0]
        assert len(there) == min(count, len(others))
        assert (line[: len(there)] >= 0).all()  # the places are filled from the first
        assert (kinds[there] == kinds[row]).all()
        assert len(set(patients[there])) == len(there)  # distinct patients
        assert patients[row] not in patients[there]


@given(ECGS, st.randoms(use_true_random=False))
def test_partners_do_not_depend_on_the_order_of_the_rows(ecgs: list, random: object) -> None:
    patients, kinds, ids = tables(ecgs)
    order = np.arange(len(ecgs))
    random.shuffle(order)  # type: ignore[attr-defined]
    named = {
        ids[row]: [ids[k] if k >= 0 else "" for k in line]
        for row, line in enumerate(partners(patients, kinds, 0, 3, ids))
    }
    shuffled = partners(patients[order], kinds[order], 0, 3, ids[order])
    for row, line in enumerate(shuffled):
        assert [ids[order][k] if k >= 0 else "" for k in line] == named[ids[order][row]]


def test_one_ecg_a_patient_is_deranged_and_the_ecgs_of_several_are_taken_in_turn() -> None:
    found = partners([f"p{k}" for k in range(9)], np.ones(9), 0, 8)
    for place in found.T:
        assert sorted(place) == list(range(9))  # a permutation that leaves nobody in place
        assert (place != np.arange(9)).all()
    assert (np.sort(found, axis=1) == [[k for k in range(9) if k != row] for row in range(9)]).all()
    assert (partners([f"p{k}" for k in range(9)], np.ones(9), 1, 8) != found).any()
    patients = ["a", "a", "a", "b", "b"]
    assert partners(patients, np.zeros(5), 0, 1)[:, 0].tolist() == [3, 4, 3, 0, 1]


def test_shapes_that_do_not_agree() -> None:
    with pytest.raises(ValueError, match=r"a count of 1 or more; got \(2,\), \(3,\), \(2,\) and 1"):
        partners(["a", "b"], [0, 1, 1], 0, 1)


@given(
    st.lists(st.tuples(st.integers(0, 7), st.integers(0, 5)), min_size=1, max_size=24),
    st.integers(1, 4),
)
def test_the_nearest_are_those_of_a_slow_search(ecgs: list[tuple[int, int]], count: int) -> None:
    patients = [f"p{patient}" for patient, _ in ecgs]
    values = np.array([value / 3 if value < 5 else np.nan for _, value in ecgs])
    found = nearest_partners(patients, values, count)
    for row, line in enumerate(found):
        far = {
            name: min(
                (abs(values[row] - value) for patient, value in zip(patients, values, strict=True)
                 if patient == name and np.isfinite(value)),
                default=np.inf,
            )
            for name in set(patients) - {patients[row]}
        }  # fmt: skip
        expected = sorted(distance for distance in far.values() if np.isfinite(distance))[:count]
        expected = expected if np.isfinite(values[row]) else []
        chosen = [int(partner) for partner in line if partner >= 0]
        assert [abs(values[row] - values[partner]) for partner in chosen] == pytest.approx(expected)
        assert len({patients[partner] for partner in chosen} - {patients[row]}) == len(chosen)
        assert (line[len(chosen) :] == -1).all()


def test_the_nearest_do_not_depend_on_the_order_of_the_rows() -> None:
    rng = np.random.default_rng(0)
    patients, ids = np.array([f"p{k // 2}" for k in range(30)]), np.array([f"e{k}" for k in range(30)])
    values = np.round(rng.standard_normal(30), 1)  # with equal ones
    order = rng.permutation(30)
    whole, shuffled = (nearest_partners(patients[o], values[o], 3, ids[o]) for o in (np.arange(30), order))
    for place, row in enumerate(order):
        assert ids[order][shuffled[place]].tolist() == ids[whole[row]].tolist()
    with pytest.raises(ValueError, match="a count of 1 or more"):
        nearest_partners(patients, values, 0)
