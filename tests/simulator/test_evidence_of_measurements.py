"""Evidence of measurements: where their twins differ, in median beats and in windows of recordings."""

from functools import partial

import numpy as np
import pytest
from cases import PLAIN, drawn_cases
from scipy.stats import rankdata

from ecg_lightning.data.representations import TWELVE_LEADS
from ecg_lightning.ecg import LEADS, SignalFormat
from ecg_lightning.signal.beat import Neighbours, median_beat, median_beat_at
from ecg_lightning.signal.window import cut_window
from ecg_lightning.simulator.case import Case
from ecg_lightning.simulator.diagnoses import Diagnoses
from ecg_lightning.simulator.evidence import RHYTHMS, Twins, causal_mask, core_mask, evidence_masks, twin_beats, twin_of
from ecg_lightning.simulator.recording import SimulatedEcg, simulate
from ecg_lightning.simulator.shifted import POPULATION_SD
from ecg_lightning.simulator.textbook import waves_of
from ecg_lightning.simulator.window_evidence import window_evidence

SLOW = [Case(0, patient, 0, Diagnoses(), heart_rate=50.0) for patient in range(6)]
"""Patients whose median beat holds no neighbouring beat."""

WHOLE = SignalFormat(LEADS, 500.0, 5000)
PLACES = {  # ms from J (negative ones from QRS onset): where the evidence may begin and end
    "pr_interval": ("P", -300.0, 0.0),
    "p_amplitude": ("P", -300.0, 0.0),
    "qrs_duration": ("QRS", -15.0, 45.0),
    "r_amplitude": ("QRS", -15.0, 15.0),
    "st_level": ("ST-T", 0.0, 450.0),
    "t_amplitude": ("ST-T", -60.0, 450.0),  # the high-pass filter gives T a shallow trough before it
}


def auroc(score: np.ndarray, inside: np.ndarray) -> float:
    ranks, n = rankdata(score.ravel()), int(inside.sum())
    return float((ranks[inside.ravel()].sum() - n * (n + 1) / 2) / (n * (inside.size - n)))


@pytest.fixture(scope="module")
def twins() -> dict[str, list[Twins]]:
    return {target: [twin_beats(case, target) for case in SLOW] for target in POPULATION_SD}


def qrs_of(one: Twins) -> tuple[int, int]:
    inside = np.flatnonzero(one.present.wave_masks["QRS"][0])
    return int(inside[0]), int(inside[-1]) + 1


@pytest.mark.parametrize("target", POPULATION_SD)
def test_evidence_lies_where_the_measurement_is(target: str, twins: dict[str, list[Twins]]) -> None:
    place, first, last = PLACES[target]
    for one in twins[target]:
        onset, end = qrs_of(one)
        samples = np.flatnonzero(causal_mask(one).any(axis=0))
        begin, stop = (onset if place != "ST-T" else end), (end if place != "P" else onset)
        assert samples[0] >= begin + first / 2
        assert samples[-1] < stop + last / 2


@pytest.mark.parametrize("target", POPULATION_SD)
def test_the_true_difference_finds_the_evidence(target: str, twins: dict[str, list[Twins]]) -> None:
    """Lead by lead every point of the mask differs more than every point outside, but for closed gaps."""
    for one in twins[target]:
        difference, mask = np.abs(one.present.beat - one.absent.beat), causal_mask(one)
        areas = [auroc(row, inside) for row, inside in zip(difference, mask, strict=True) if inside.any()]
        assert areas
        assert min(areas) > 0.98
        assert auroc(difference, mask) > 0.99


def test_the_textbook_names_the_lead_in_which_a_voltage_is_measured(twins: dict[str, list[Twins]]) -> None:
    for target, lead in (("st_level", "V5"), ("p_amplitude", "II"), ("r_amplitude", "V5"), ("t_amplitude", "V5")):
        core = core_mask(twins[target][0])
        assert [name for name, row in zip(LEADS, core, strict=True) if row.any()] == [lead]
    assert core_mask(twins["pr_interval"][0]).any(axis=1).all()
    onset, end = qrs_of(twins["qrs_duration"][0])
    np.testing.assert_array_equal(np.flatnonzero(core_mask(twins["qrs_duration"][0])[0]), np.arange(onset, end))


@pytest.mark.parametrize("neighbours", ["keep", "blank"])
def test_a_shift_of_nothing_gives_the_same_median_beat(neighbours: Neighbours) -> None:
    """Twins' beats are made of the same beats, blanked at the same places, against the same voltage before the QRS."""
    for case in drawn_cases(8):
        bare = simulate(case).recording(noise=False)
        beat = median_beat(bare, neighbours=neighbours, known_beats=simulate(case).r_peaks)
        again = median_beat_at(bare, beat, neighbours=neighbours)
        np.testing.assert_allclose(again.beat, beat.beat, atol=1e-9)
        for wave, mask in beat.wave_masks.items():
            np.testing.assert_array_equal(again.wave_masks[wave], mask)


def test_what_is_not_there_has_no_evidence() -> None:
    case = Case(0, 1, 0, PLAIN["atrial_fibrillation"])
    assert evidence_masks(case, ("pr_interval", "p_amplitude")) == {}
    assert set(evidence_masks(case, ("pr_interval", "st_level"))) == {"causal/st_level", "core/st_level"}
    with pytest.raises(ValueError, match="this ECG has no p_amplitude that could be shifted"):
        twin_beats(case, "p_amplitude")


def test_only_rhythms_move_beats() -> None:
    """Windows of twins can be compared where the beats come at the same times: in all but the rhythms."""
    for target, diagnoses in PLAIN.items():
        case = Case(0, 2, 0, diagnoses)
        twin = twin_of(case, target)
        assert twin is not None
        ours, theirs = (simulate(one).heart.beats.times for one in (case, twin))
        assert np.array_equal(ours, theirs) == (target not in RHYTHMS)
    for case in drawn_cases(12):
        for target in POPULATION_SD:
            if (twin := twin_of(case, target)) is not None:
                np.testing.assert_array_equal(simulate(case).heart.beats.times, simulate(twin).heart.beats.times)


def masks_of(case: Case, targets: tuple[str, ...], wanted: SignalFormat, start: float = 0.0) -> dict[str, np.ndarray]:
    cut = partial(cut_window, wanted=wanted, start=start, with_peaks=False)
    return dict(window_evidence(case, targets, cut, wanted.sampling_rate))


def edges(ecg: SimulatedEcg) -> list[tuple[int, int]]:
    return [waves.qrs for waves in waves_of(ecg)]


@pytest.mark.parametrize("target", ["pr_interval", "qrs_duration", "st_level", "first_degree_av_block"])
def test_windows_have_the_evidence_of_every_beat(target: str) -> None:
    case = SLOW[0] if target in POPULATION_SD else Case(0, 0, 0, PLAIN[target], heart_rate=60.0)
    masks = masks_of(case, (target,), WHOLE)
    samples = masks[f"causal/{target}"].any(axis=0)
    before = {"st_level": (0, 200), "qrs_duration": (-60, 60)}.get(target, (-200, 0))
    for onset, end in edges(simulate(case)):
        start = (end if target == "st_level" else onset) + before[0]
        if start > 0 and end + 250 < 5000:
            assert samples[start : end + before[1]].any()
    share = evidence_masks(case, (target,))[f"causal/{target}"].mean()
    assert samples.any()
    assert masks[f"causal/{target}"].mean() == pytest.approx(share, rel=0.45)


def test_a_window_cuts_evidence_as_it_cuts_the_recording() -> None:
    case, targets = SLOW[1], ("st_level", "p_amplitude")
    whole = masks_of(case, targets, WHOLE)
    part = masks_of(case, targets, SignalFormat(LEADS, 500.0, 2000), start=3.0)
    for name, mask in part.items():
        if name.startswith("core"):
            np.testing.assert_array_equal(mask, whole[name][:, 1500:3500])
        else:
            assert (mask == whole[name][:, 1500:3500]).mean() > 0.995
    slow = masks_of(case, targets, SignalFormat(TWELVE_LEADS, 100.0, 1000))
    assert {mask.shape for mask in slow.values()} == {(12, 1000)}
    assert (slow["causal/st_level"][9:] == whole["causal/st_level"][5:, ::5]).mean() > 0.97
    assert {lead for lead, row in zip(TWELVE_LEADS, slow["core/p_amplitude"], strict=True) if row.any()} >= {"II"}


def test_rhythms_and_what_is_missing_have_no_evidence_in_windows() -> None:
    for target in RHYTHMS:
        assert masks_of(Case(0, 0, 0, PLAIN[target]), (target,), WHOLE) == {}
    fibrillation = Case(0, 0, 0, PLAIN["atrial_fibrillation"])
    assert masks_of(fibrillation, ("pr_interval",), WHOLE) == {}
