"""Durations of simulated QRS complexes."""

import numpy as np
import pytest
from numpy.typing import NDArray

from ecg_lightning.simulator import qrs
from ecg_lightning.simulator.case import Case
from ecg_lightning.simulator.diagnoses import Conduction, Diagnoses


def test_qrs_durations_are_those_of_patients() -> None:
    """Normal complexes last 80 to 110 ms, blocks of a whole bundle 120 ms and more, down to that very border."""

    def durations(conduction: Conduction, patients: int) -> NDArray[np.float64]:
        cases = [Case(3, patient, 0, Diagnoses(conduction=conduction)) for patient in range(patients)]
        return np.array([qrs.draw_depolarisation(case.patient_streams, case.diagnoses).duration for case in cases])

    normal = durations("normal", 600)
    assert np.quantile(normal, [0.05, 0.95]) == pytest.approx([80.0, 112.0], abs=5.0)
    assert normal.max() < 120.0
    for conduction in ("right_bundle_branch_block", "left_bundle_branch_block"):
        blocked = durations(conduction, 400)
        assert blocked.min() >= 120.0
        assert (blocked < 132.0).any()
    incomplete = durations("incomplete_right_bundle_branch_block", 200)
    assert 100.0 < np.median(incomplete) < incomplete.max() < 120.0


@pytest.mark.parametrize(("complete", "wide", "stretched_to"), [(True, 160.0, 164.0), (False, 110.0, 104.0)])
def test_stretching_brings_a_complex_to_its_side_of_the_border(
    complete: bool, wide: float, stretched_to: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one try each, and a border that many miss; what lies between boundary and slope is not stretched."""
    monkeypatch.setattr(qrs, "_TRIES", 1)
    monkeypatch.setattr(qrs, "WIDE", wide)
    found = np.empty(60)
    for patient in range(len(found)):
        streams = Case(3, patient, 0, Diagnoses()).patient_streams
        loop = qrs.normal_loop(streams("qrs"), 1.0)
        found[patient] = qrs.right_bundle_branch_block(streams("right_bundle"), loop, complete=complete).duration
    assert ((found >= wide) == complete).all()
    assert np.isclose(found, stretched_to).sum() > 5
