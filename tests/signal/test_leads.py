import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic_ecg import TWELVE_LEADS, twelve_leads

from ecg_lightning.ecg import LEADS
from ecg_lightning.signal.errors import MissingLeadError
from ecg_lightning.signal.leads import LIMB_LEADS, canonical_lead, to_standard_leads

SIGNAL = np.random.default_rng(0).standard_normal((8, 50))
TWELVE = twelve_leads(SIGNAL)


@pytest.mark.parametrize(
    ("spelling", "lead"),
    [
        ("I", "I"),
        (" ii ", "II"),
        ("LEAD I", "I"),
        ("Lead I (Einthoven)", "I"),
        ("MDC_ECG_LEAD_AVR", "aVR"),
        ("MDC_ECG_LEAD_V3", "V3"),
        ("aVL, augmented voltage, left", "aVL"),
        ("avf", "aVF"),
        ("aV R", "aVR"),
        ("ECG Lead V6", "V6"),
        ("ECG_II", "II"),
        ("DIII", "III"),
        ("LEAD-II", "II"),
        ("C4", "V4"),
        ("+V1", "V1"),
    ],
)
def test_spellings(spelling: str, lead: str) -> None:
    assert canonical_lead(spelling) == (lead, 1.0)


@pytest.mark.parametrize("spelling", ["-aVR", "-AVR", "Lead -aVR", "\N{MINUS SIGN}aVR"])
def test_cabrera_lead_has_its_sign_turned(spelling: str) -> None:
    assert canonical_lead(spelling) == ("aVR", -1.0)


@pytest.mark.parametrize("name", ["MLII", "V3R", "V7", "X", "RESP", "", "ecg", "IV", "V0", "aV"])
def test_other_leads_are_not_recognised(name: str) -> None:
    assert canonical_lead(name) is None


@given(st.permutations(range(12)))
def test_any_order(order: list[int]) -> None:
    out = to_standard_leads(TWELVE[order], [TWELVE_LEADS[k] for k in order])
    np.testing.assert_array_equal(out, SIGNAL)


@pytest.mark.parametrize("pair", list(itertools.combinations(range(6), 2)))
def test_any_two_limb_leads_give_one_and_two(pair: tuple[int, int]) -> None:
    rows = [*pair, *range(6, 12)]
    out = to_standard_leads(TWELVE[rows], [TWELVE_LEADS[k] for k in rows])
    np.testing.assert_allclose(out, SIGNAL, atol=1e-12)


def test_lead_one_is_lead_two_minus_lead_three() -> None:
    rows = [1, 2, *range(6, 12)]
    noisy = TWELVE[rows] + 0.1
    out = to_standard_leads(noisy, [TWELVE_LEADS[k] for k in rows])
    np.testing.assert_allclose(out[0], noisy[0] - noisy[1], atol=1e-12)
    np.testing.assert_array_equal(out[1], noisy[0])


def test_three_limb_leads_are_solved_by_least_squares() -> None:
    names = ["aVR", "aVL", "aVF", *LEADS[2:]]
    noisy = TWELVE[[3, 4, 5, *range(6, 12)]] + 0.1 * np.random.default_rng(1).standard_normal((9, 50))
    out = to_standard_leads(noisy, names)
    reference, *_ = np.linalg.lstsq(np.array([LIMB_LEADS[k] for k in names[:3]]), noisy[:3], rcond=None)
    np.testing.assert_allclose(out[:2], reference, atol=1e-12)


def test_cabrera_recording() -> None:
    names = ["aVL", "I", "-aVR", "II", "aVF", "III", *LEADS[2:]]
    rows = [4, 0, 3, 1, 5, 2, *range(6, 12)]
    signal = TWELVE[rows].copy()
    signal[2] *= -1
    np.testing.assert_array_equal(to_standard_leads(signal, names), SIGNAL)


def test_missing_chest_leads_are_named() -> None:
    with pytest.raises(MissingLeadError, match=r"lead V2, V5 missing"):
        to_standard_leads(SIGNAL[[0, 1, 2, 4, 5, 7]], ["I", "II", "V1", "V3", "V4", "V6"])


def test_one_limb_lead_is_not_enough() -> None:
    with pytest.raises(MissingLeadError, match=r"lead I, II missing"):
        to_standard_leads(TWELVE[5:], TWELVE_LEADS[5:])
    with pytest.raises(MissingLeadError, match=r"lead II missing"):
        to_standard_leads(SIGNAL[[0, *range(2, 8)]], ["I", *LEADS[2:]])


def test_a_lead_that_is_there_twice() -> None:
    with pytest.raises(MissingLeadError, match="V1 is there twice"):
        to_standard_leads(SIGNAL[[0, 1, 2, 2]], ["I", "II", "V1", "C1"])


def test_names_and_rows_must_agree() -> None:
    with pytest.raises(MissingLeadError, match="transpose"):
        to_standard_leads(SIGNAL.T, LEADS)
