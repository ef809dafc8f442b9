"""Evidence by twins and by the textbook."""

import numpy as np
import pytest
from cases import PLAIN

from ecg_lightning.ecg import LEADS, Target
from ecg_lightning.signal.beat import median_beat
from ecg_lightning.simulator.case import Case
from ecg_lightning.simulator.diagnoses import Diagnoses
from ecg_lightning.simulator.evidence import MAX_SHARE, Twins, causal_mask, core_mask, evidence_masks, twin_beats
from ecg_lightning.simulator.recording import simulate

RHYTHMS = ("sinus_rhythm", "atrial_fibrillation", "sinus_bradycardia", "sinus_tachycardia")


@pytest.fixture(scope="module")
def twins() -> dict[Target, list[Twins]]:
    return {
        target: [twin_beats(Case(0, patient, 0, diagnoses), target) for patient in range(6)]
        for target, diagnoses in PLAIN.items()
    }


@pytest.mark.parametrize("target", PLAIN)
def test_masks_are_somewhere_and_not_everywhere(target: Target, twins: dict[Target, list[Twins]]) -> None:
    for one in twins[target]:
        causal, core = causal_mask(one), core_mask(one)
        assert causal.shape == core.shape == (8, 600)
        assert causal.dtype == core.dtype == np.bool_
        assert 0.002 < causal.mean() <= MAX_SHARE
        assert 0.005 < core.mean() < 0.9


@pytest.mark.parametrize("target", PLAIN)
def test_the_causal_mask_is_what_differs(target: Target, twins: dict[Target, list[Twins]]) -> None:
    """In every lead what is inside differs more than what is outside, but for closed gaps of under 10 ms."""
    for one in twins[target]:
        difference, mask = np.abs(one.present.beat - one.absent.beat), causal_mask(one)
        share, floor = (0.04, 0.015) if target in RHYTHMS else (0.08, 0.02)
        level = np.stack([row / np.sqrt(row.max()) for row in difference])
        largest = np.sort(level.ravel())[::-1]
        least = max(share * largest[0], largest[int(MAX_SHARE * largest.size)])
        for row, inside in zip(np.where(difference > floor, level, 0.0), mask, strict=True):
            assert row[~inside].max() <= least * (1 + 1e-9) + 1e-4
            gaps = np.flatnonzero(np.diff(np.pad((inside & (row < least * (1 - 1e-9))).astype(int), 1)))
            assert (gaps[1::2] - gaps[::2] < 5).all()  # only short gaps are small


def test_identical_twins_have_no_evidence(twins: dict[Target, list[Twins]]) -> None:
    one = twins["low_qrs_voltage"][0]
    assert not causal_mask(Twins("low_qrs_voltage", one.present, one.present, one.case)).any()


def center_of(mask: np.ndarray) -> tuple[int, int]:
    columns = np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(columns[-1])


def test_core_masks_lie_where_the_textbook_says(twins: dict[Target, list[Twins]]) -> None:
    for target in ("sinus_rhythm", "atrial_fibrillation", "first_degree_av_block"):
        first, last = center_of(core_mask(twins[target][0]))
        assert (40 if target == "first_degree_av_block" else 100) < first < 205
        assert 190 < last < 240
    right = core_mask(twins["right_bundle_branch_block"][0])
    assert [lead for lead, row in zip(LEADS, right, strict=True) if row.any()] == ["I", "V1", "V2", "V5", "V6"]
    assert center_of(right)[0] > 225
    assert core_mask(twins["low_qrs_voltage"][0]).all(axis=0).sum() * 2 == pytest.approx(85, abs=45)  # ms
    assert core_mask(twins["sinus_tachycardia"][0])[:, [0, -1]].all()
    assert core_mask(twins["sinus_bradycardia"][0])[:, -1].all()
    assert not core_mask(twins["sinus_bradycardia"][0])[:, 0].any()


def test_low_voltage_lies_in_the_qrs_complex(twins: dict[Target, list[Twins]]) -> None:
    """Of what differs in the beat's own waves, most lies in the QRS complex; T follows in part, P not at all."""
    for one in twins["low_qrs_voltage"]:
        squared = (one.present.beat - one.absent.beat) ** 2
        assert squared[:, 200:290].sum() > 0.5 * squared[:, 120:430].sum()
        assert np.abs(one.present.beat - one.absent.beat)[:, 130:190].max() < 0.1 * np.sqrt(squared.max())


def test_twins_have_r_at_the_same_sample(twins: dict[Target, list[Twins]]) -> None:
    """What the diagnosis does not touch lies at the same place: the QRS complex of rhythms and AV block."""
    for target in (*RHYTHMS, "first_degree_av_block"):
        for one in twins[target]:
            present, absent = one.present.beat[:, 225:265], one.absent.beat[:, 225:265]
            assert np.corrcoef(present.ravel(), absent.ravel())[0, 1] > 0.99


def test_evidence_follows_how_the_beat_is_made() -> None:
    """Where neighbouring beats are blanked, nothing in the blank is evidence of the rate."""
    case = Case(0, 2, 0, PLAIN["sinus_tachycardia"])
    kept = evidence_masks(case, ("sinus_tachycardia",))["causal/sinus_tachycardia"]
    blanked = evidence_masks(case, ("sinus_tachycardia",), neighbours="blank")["causal/sinus_tachycardia"]
    assert kept[:, 560:].any()
    blank = twin_beats(case, "sinus_tachycardia", neighbours="blank")
    both_empty = (blank.present.beat == 0.0) & (blank.absent.beat == 0.0)
    assert not (blanked & both_empty).any()
    assert (kept != blanked).mean() > 0.02


def test_several_diagnoses_each_have_their_own_evidence() -> None:
    case = Case(0, 1, 0, Diagnoses(av_block=True, conduction="right_bundle_branch_block"))
    masks = evidence_masks(case, ("first_degree_av_block", "right_bundle_branch_block"))
    assert sorted(masks) == [
        "causal/first_degree_av_block",
        "causal/right_bundle_branch_block",
        "core/first_degree_av_block",
        "core/right_bundle_branch_block",
    ]
    alone = twin_beats(case, "right_bundle_branch_block")
    np.testing.assert_array_equal(masks["causal/right_bundle_branch_block"], causal_mask(alone))
    assert evidence_masks(case, ()) == {}
    with pytest.raises(ValueError, match="have no low_qrs_voltage"):
        evidence_masks(case, ("low_qrs_voltage",))


def test_known_beats_give_the_beat_that_the_detector_gives() -> None:
    for patient in range(8):
        ecg = simulate(Case(1, patient, 0, Diagnoses()))
        recording = ecg.recording(noise=False)
        known, searched = median_beat(recording, known_beats=ecg.r_peaks), median_beat(recording)
        np.testing.assert_allclose(known.beat, searched.beat, atol=0.02)


def test_known_beats_outside_the_recording_are_refused() -> None:
    recording = simulate(Case(0, 0, 0, Diagnoses())).recording()
    with pytest.raises(ValueError, match="known R peaks at samples 100 to 6000, expected 0 to 4999"):
        median_beat(recording, known_beats=np.array([100, 2000, 6000]))
