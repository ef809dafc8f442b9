"""Findings of simulated patients."""

from collections import Counter
from dataclasses import asdict

import pytest

from ecg_lightning.ecg import TARGETS, Target
from ecg_lightning.simulator.diagnoses import Diagnoses, draw_diagnoses
from ecg_lightning.simulator.streams import Streams

N = 6000


@pytest.fixture(scope="module")
def drawn() -> list[Diagnoses]:
    return [draw_diagnoses(Streams(f"5/{k}")("diagnoses"), Streams(f"5/{k}/0")("diagnoses")) for k in range(N)]


@pytest.mark.parametrize(
    ("field", "value", "share"),
    [
        ("rhythm", "sinus", 0.56),
        ("rhythm", "atrial_fibrillation", 0.11),
        ("rhythm", "sinus_bradycardia", 0.12),
        ("rhythm", "sinus_tachycardia", 0.11),
        ("rhythm", "irregular_flutter", 0.005),
        ("conduction", "right_bundle_branch_block", 0.11 * 0.98),
        ("conduction", "left_bundle_branch_block", 0.08 * 0.98),
        ("voltage", "low", 0.095 * 0.98 * 0.92),
        ("voltage", "left_ventricular_hypertrophy", 0.15 * 0.98 * 0.92),
        ("av_block", True, 0.16 * 0.68 + 0.06 * 0.11),
        ("pvc", True, 0.08),
        ("repolarisation", "flat_t", 0.07),
    ],
)
def test_findings_are_as_frequent_as_specified(drawn: list[Diagnoses], field: str, value: object, share: float) -> None:
    found = sum(getattr(one, field) == value for one in drawn) / N
    assert found == pytest.approx(share, abs=5 * (share * (1 - share) / N) ** 0.5)


def test_exclusions(drawn: list[Diagnoses]) -> None:
    for one in drawn:
        if one.rhythm == "paced" or one.conduction == "left_bundle_branch_block":
            assert one.voltage == "normal"
        if one.rhythm == "paced":
            assert one.conduction == "normal"
        assert not one.av_block or one.rhythm.startswith("sinus")


def test_a_patient_keeps_chronic_findings_and_mostly_the_rhythm() -> None:
    same = Counter[str]()
    for patient in range(1000):
        first, second = (
            draw_diagnoses(Streams(f"5/{patient}")("diagnoses"), Streams(f"5/{patient}/{ecg}")("diagnoses"))
            for ecg in (0, 1)
        )
        if "paced" not in (first.rhythm, second.rhythm):
            assert first.conduction == second.conduction
            assert first.voltage == second.voltage
        same["rhythm"] += first.rhythm == second.rhythm
    # Both ECGs have the patient's rhythm in 36 %; else they agree by chance, in .35 of cases.
    assert same["rhythm"] / 1000 == pytest.approx(0.36 + 0.64 * 0.352, abs=0.08)


@pytest.mark.parametrize("target", TARGETS)
def test_the_twin_lacks_the_diagnosis_and_keeps_the_rest(target: Target) -> None:
    present = next(
        one
        for one in (draw_diagnoses(Streams(f"1/{k}")("d"), Streams(f"1/{k}/0")("d")) for k in range(2000))
        if one.has(target)
    )
    absent = present.without(target)
    assert not absent.has(target)
    changed = {name for name, value in asdict(present).items() if asdict(absent)[name] != value}
    allowed = {
        "sinus_rhythm": {"rhythm", "av_block"},
        "atrial_fibrillation": {"rhythm"},
        "sinus_bradycardia": {"rhythm", "rate_of"},
        "sinus_tachycardia": {"rhythm", "rate_of"},
        "first_degree_av_block": {"av_block"},
        "low_qrs_voltage": {"voltage"},
        "left_ventricular_hypertrophy": {"voltage"},
    }.get(target, {"conduction", "bifascicular"})
    assert changed
    assert changed <= allowed
    with pytest.raises(ValueError, match=f"have no {target}"):
        absent.without(target)


def test_impossible_findings_are_refused() -> None:
    with pytest.raises(ValueError, match=r"rhythm: expected one of .*'sinus'.*got 'polka'"):
        Diagnoses(rhythm="polka")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="bifascicular: expected with right_bundle_branch_block only"):
        Diagnoses(bifascicular=True)
    with pytest.raises(ValueError, match="av_block: expected in sinus"):
        Diagnoses(rhythm="atrial_fibrillation", av_block=True)
