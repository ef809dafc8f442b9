"""Measurements of simulated hearts: against the signal, and against twins that differ in one of them."""

import numpy as np
import pytest
from cases import drawn_cases
from hypothesis import given, settings
from hypothesis import strategies as st

from ecg_lightning.ecg import LEADS
from ecg_lightning.simulator.case import Case
from ecg_lightning.simulator.criteria import measure
from ecg_lightning.simulator.diagnoses import Diagnoses
from ecg_lightning.simulator.heart import Heart, draw_heart
from ecg_lightning.simulator.kernels import MS
from ecg_lightning.simulator.measured import AFTER_J, LEAD_OF, MEASURED, measure_heart, own_beats
from ecg_lightning.simulator.recording import simulate
from ecg_lightning.simulator.shifted import POPULATION_SD, shift_of, shifted_heart

CASES = drawn_cases(150)


@pytest.fixture(scope="module")
def hearts() -> list[Heart]:
    return [draw_heart(case) for case in CASES]


def test_distributions_are_physiologic_and_their_sd_is_the_stated_one(hearts: list[Heart]) -> None:
    """Means as of adults at rest; the SDs are larger than a clinic's, as the shares of the diagnoses are."""
    found = {name: np.array([measure_heart(heart)[name] for heart in hearts]) for name in MEASURED}
    means = {
        "pr_interval": (150, 185),
        "qrs_duration": (95, 125),
        "st_level": (0.0, 0.08),
        "p_amplitude": (0.06, 0.13),
        "r_amplitude": (0.8, 1.5),
        "t_amplitude": (0.15, 0.4),
        "heart_rate": (70, 90),
    }
    for name, (low, high) in means.items():
        assert low < np.nanmean(found[name]) < high, name
    for name, sd in POPULATION_SD.items():
        assert np.nanstd(found[name]) == pytest.approx(sd, rel=0.3), name
    without_p = np.isnan(found["pr_interval"])
    assert 0.05 < without_p.mean() < 0.3
    np.testing.assert_array_equal(without_p, np.isnan(found["p_amplitude"]))


def test_intervals_and_rate_are_those_of_the_signal() -> None:
    for case in CASES[:40]:
        ecg = simulate(case)
        found, seen = measure_heart(ecg.heart), measure(ecg)
        assert found["pr_interval"] == pytest.approx(seen.pr, nan_ok=True)
        assert found["qrs_duration"] == pytest.approx(seen.qrs)
        assert found["heart_rate"] == pytest.approx(seen.heart_rate)


def test_fibrillation_has_no_p_wave_to_measure() -> None:
    found = measure_heart(draw_heart(Case(0, 0, 0, Diagnoses("atrial_fibrillation", "atrial_fibrillation"))))
    assert np.isnan([found["pr_interval"], found["p_amplitude"]]).all()
    assert np.isfinite([found["st_level"], found["heart_rate"], found["t_amplitude"]]).all()


def test_voltages_are_those_of_the_signal() -> None:
    """In a slow sinus rhythm nothing overlaps; the beats differ by a few per cent, so that their median is near."""
    for patient in range(12):
        ecg = simulate(Case(3, patient, 0, Diagnoses(), heart_rate=55.0))
        found, own = measure_heart(ecg.heart), own_beats(ecg.heart)
        for name, waves in (("p_amplitude", ecg.p), ("r_amplitude", ecg.qrs), ("t_amplitude", ecg.t)):
            row = ecg.signal[LEADS.index(LEAD_OF[name])]
            ends = np.rint(waves[own] * MS).astype(int)
            ends = ends[(ends[:, 0] >= 0) & (ends[:, 1] <= row.size)]
            pieces = [row[start:end] for start, end in ends]
            if name == "r_amplitude":
                voltages = [piece.max() for piece in pieces]
            else:
                voltages = [piece[np.abs(piece).argmax()] for piece in pieces]
            assert found[name] == pytest.approx(np.median(voltages), rel=0.12, abs=0.01), name
        j = np.rint((ecg.qrs[own, 1] + AFTER_J) * MS).astype(int)
        row = ecg.signal[LEADS.index("V5")]
        assert found["st_level"] == pytest.approx(np.median(row[j[j < row.size]]), rel=0.1, abs=0.01)


@pytest.mark.parametrize("target", POPULATION_SD)
def test_a_twin_differs_by_one_sd(target: str, hearts: list[Heart]) -> None:
    """It does so exactly, whatever else the heart has; and nothing else that lasts or beats changes."""
    for heart in hearts:
        shift = shift_of(heart, target)
        before = measure_heart(heart)
        if shift is None:
            assert np.isnan(before[target]) or target == "pr_interval"
            continue
        after = measure_heart(shifted_heart(heart, shift))
        assert abs(shift.amount) == POPULATION_SD[target]
        assert after[target] - before[target] == pytest.approx(shift.amount, abs=1e-9)
        for other in {"pr_interval", "qrs_duration", "heart_rate", "p_amplitude"} - {target}:
            assert after[other] == pytest.approx(before[other], nan_ok=True)


def test_a_longer_pr_interval_needs_room() -> None:
    """At high rates the P wave would begin in the T wave before: the twin's interval is the shorter one."""
    fast = Diagnoses("sinus_tachycardia", "sinus_tachycardia", av_block=True)
    narrow = draw_heart(Case(0, 0, 0, fast, heart_rate=170.0, pr_interval=280.0))
    shift = shift_of(narrow, "pr_interval")
    assert shift is not None
    assert shift.amount == -POPULATION_SD["pr_interval"]
    assert shift_of(draw_heart(Case(0, 0, 0, Diagnoses(), heart_rate=60.0)), "pr_interval").amount > 0


@settings(max_examples=20, deadline=None)
@given(patient=st.integers(0, 200), target=st.sampled_from(sorted(POPULATION_SD)))
def test_a_shift_of_nothing_changes_nothing(patient: int, target: str) -> None:
    case = CASES[patient % len(CASES)]
    plain = simulate(case)
    np.testing.assert_allclose(simulate(case.shifted(target, 0.0)).signal, plain.signal, atol=1e-5)


def test_other_leads_change_as_far_as_they_see_the_heart_vector() -> None:
    """The difference of twins of the T amplitude has one shape in all leads, sized by the leads' own vectors."""
    case = Case(0, 4, 0, Diagnoses())
    heart = draw_heart(case)
    shift = shift_of(heart, "t_amplitude")
    assert shift is not None
    difference = simulate(case.shifted("t_amplitude", shift.amount)).signal - simulate(case).signal
    matrix = heart.geometry.ventricular
    axis = matrix[LEADS.index("V5")]
    np.testing.assert_allclose(
        difference, np.outer(matrix @ axis / (axis @ axis), difference[LEADS.index("V5")]), atol=1e-6
    )
    assert np.abs(difference[LEADS.index("V5")]).max() == pytest.approx(abs(shift.amount), rel=1e-3)
