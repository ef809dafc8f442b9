"""The gate on real ECGs: each fault is planted in a card or in the data, and the right card has to pass."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import wfdb
from gate_network import CLASSES, READS, Archive, Learner, read_archive, trained
from numpy.typing import NDArray
from torch import Tensor

from ecg_lightning.cards.card import Promise, Reads
from ecg_lightning.cards.gate.finding import Finding, as_frame, refusal
from ecg_lightning.cards.gate.lead_identities import data_findings
from ecg_lightning.data.representations import TWELVE_LEADS
from ecg_lightning.ecg import LEADS

DRAWS = 3
SWAPPED = [0, 1, 2, 4, 3, *range(5, 12)]


@pytest.fixture(scope="module")
def archive(data_root: Path) -> Archive:
    return read_archive(data_root / "ptbxl")


@pytest.fixture(scope="module")
def network(archive: Archive) -> Learner:
    """Trained on mV."""
    rows = archive.halves()[0]
    return trained(archive.ecg[rows], torch.from_numpy(archive.label[rows]).float())


@pytest.fixture(scope="module")
def standardised(archive: Archive) -> Learner:
    """Trained on each lead's own mean and deviation."""
    rows = archive.halves()[0]
    return trained(z_score(archive.ecg[rows]), torch.from_numpy(archive.label[rows]).float())


def z_score(ecg: Tensor) -> Tensor:
    return (ecg - ecg.mean(2, keepdim=True)) / ecg.std(2, keepdim=True)


def draws(archive: Archive, number: int = DRAWS, size: int = 100) -> list[NDArray[np.intp]]:
    """Bootstrap draws of ECGs that no network has learnt from."""
    generator, rows = np.random.default_rng(1), archive.halves()[1]
    return [rows[generator.integers(0, len(rows), size)] for _ in range(number)]


def by_setting(findings: Sequence[Finding]) -> dict[str, Finding]:
    return {one.setting: one for one in findings}


def test_the_right_card_passes(archive: Archive, network: Learner) -> None:
    for rows in draws(archive, 8):
        findings = archive.look(network, rows)
        assert refusal(findings) == ""
        assert as_frame(findings)["verdict"].tolist().count("card") == 1
        found = by_setting(findings)
        assert found["limb leads"].verdict == found["chest leads"].verdict == "agrees"
        assert found["as the card says"].s1 < 0.05
        assert found["1000 times as large"].s1 > 1000
        assert found["1000 times as large"].flipped > 0.2


PLANTED: dict[str, tuple[Reads, Callable[[Archive], Tensor], str]] = {
    "microvolts": (replace(READS, unit="uV"), lambda of: of.ecg, "reads.unit: mV"),
    "gain": (replace(READS, gain=4.88), lambda of: of.ecg, "reads.gain: 1"),
    "small gain": (replace(READS, gain=1 / 4.88), lambda of: of.ecg, "reads.gain: 1"),
    "z-score too much": (replace(READS, standardise="per_lead"), lambda of: of.ecg, "reads.standardise: none"),
    "given too much": (
        replace(READS, standardise="given", mean=(0.0,), deviation=(0.15,)), lambda of: of.ecg,
        "reads.standardise: none|reads.gain: 0.2",
    ),
    "reversed leads": (
        replace(READS, leads=TWELVE_LEADS[::-1]), lambda of: of.ecg.flip(1), "reads.leads: [I, II, III, aVR",
    ),
    "500 Hz read as 100": (replace(READS, sampling_rate=500), lambda of: of.fast, "reads.sampling_rate: 100"),
    "aVR and aVL swapped": (READS, lambda of: of.ecg[:, SWAPPED], "correct the names of the leads in the data"),
}  # fmt: skip


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_is_refused_with_its_remedy(archive: Archive, network: Learner, fault: str) -> None:
    reads, arrange, remedy = PLANTED[fault]
    for rows in draws(archive):
        told = refusal(archive.look(network, rows, reads, arrange(archive)))
        assert any(one in told for one in remedy.split("|")), told
        assert sum(character.isdigit() for character in told) > 4  # both figures


def test_a_missing_z_score(archive: Archive, standardised: Learner) -> None:
    rows = draws(archive, 1)[0]
    assert "-> reads.standardise: per_" in refusal(archive.look(standardised, rows))
    right = archive.look(standardised, rows, replace(READS, standardise="per_lead"))
    assert refusal(right) == ""
    assert {one.verdict for one in right if one.check == "scale"} == {"no difference"}


def test_a_wrong_place_of_an_output(archive: Archive, network: Learner) -> None:
    for rows in draws(archive):
        assert (archive.label[rows, 0] == 1).sum() >= 20
        told = refusal(archive.look(network, rows, outputs={"NORM": 2}))
        assert "gives.targets.NORM: 0" in told


def test_only_warnings_of_few_ecgs(archive: Archive, network: Learner) -> None:
    findings = archive.look(network, draws(archive, 1, 40)[0], replace(READS, unit="uV"))
    assert refusal(findings) == ""
    assert any(one.verdict == "warning" and "of 40 ECGs only a warning" in one.words for one in findings)


@pytest.mark.parametrize("name", ["MI", "CD"])
def test_a_cohort_of_one_disease(archive: Archive, network: Learner, name: str) -> None:
    """No alarm of scale in one; and no alarm of an order by BatchNorms, not even of a wrong one."""
    rows = np.flatnonzero(archive.label[:, CLASSES.index(name)] == 1)
    rows = rows[np.random.default_rng(0).integers(0, len(rows), 100)]
    assert refusal(archive.look(network, rows)) == ""
    turned = archive.look(network, rows, replace(READS, leads=TWELVE_LEADS[::-1]), archive.ecg.flip(1))
    shown = by_setting(turned)["leads in reversed order"]
    assert shown.verdict == "undetermined" or "diverge" not in shown.words  # labels may tell, BatchNorms may not


def test_without_labels(archive: Archive, network: Learner) -> None:
    """Unit and gain are told without them; an order is not, since nobody knows whose ECGs these are."""
    rows = draws(archive, 1)[0]
    assert "reads.unit: mV" in refusal(archive.look(network, rows, replace(READS, unit="uV"), labels=False))
    turned = archive.look(network, rows, replace(READS, leads=TWELVE_LEADS[::-1]), archive.ecg.flip(1), labels=False)
    shown = by_setting(turned)["leads in reversed order"]
    assert shown.verdict == "undetermined"
    assert "these ECGs are no general population, or their diagnoses are not known" in shown.words
    assert by_setting(turned)["place of the outputs"].verdict == "not tested"


def test_without_batchnorm(archive: Archive) -> None:
    rows = archive.halves()[0]
    network = trained(archive.ecg[rows], torch.from_numpy(archive.label[rows]).float(), norms=False)
    findings = archive.look(network, rows[:100], replace(READS, unit="uV"))
    assert "no BatchNorm is executed" in by_setting(findings)["as the card says"].words
    assert "log-loss" in refusal(findings) or "AUROC" in refusal(findings)
    assert np.isnan([one.s1 for one in findings]).all()


def test_what_makes_no_difference(archive: Archive) -> None:
    """A network that standardises by itself does not care for the unit."""
    rows = archive.halves()[0]
    network = trained(archive.ecg[rows], torch.from_numpy(archive.label[rows]).float(), steps=60, own_z=True)
    findings = archive.look(network, rows[:100], replace(READS, unit="uV"))
    assert {one.verdict for one in findings if one.check == "scale"} == {"no difference"}


def test_promises_stand_beside_what_is_measured(archive: Archive, network: Learner) -> None:
    promises = (
        Promise("NORM", "AUROC", 0.999, "their own ECGs"),
        Promise("NORM", "F1", 0.8),
        Promise("AF", "auroc", 0.9),
    )
    findings = archive.look(network, draws(archive, 1)[0], promises=promises)
    missed, other, unknown = (one for one in findings if one.check == "promise")
    assert missed.verdict == "warning"
    assert f"the card promises AUROC 0.999 on their own ECGs; here it is {missed.auroc:.3f}" in missed.words
    assert other.verdict == unknown.verdict == "not tested"
    assert refusal(findings) == ""


def test_orders_of_limb_leads_are_found(archive: Archive) -> None:
    generator, ecg = np.random.default_rng(0), archive.ecg[:60].numpy()
    for _ in range(10):
        order = generator.permutation(6)
        limb, chest = data_findings(ecg[:, [*order, *range(6, 12)]], TWELVE_LEADS)
        moved = [(TWELVE_LEADS[row], TWELVE_LEADS[lead]) for row, lead in enumerate(order) if row != lead]
        assert limb.verdict == ("wrong" if moved else "agrees")
        assert all(f"{row} holds {lead}" in limb.words for row, lead in moved)
        assert chest.verdict == "agrees"
    assert "V2, V1, V3, V4, V5, V6" in data_findings(ecg[:, [*range(6), 7, 6, *range(8, 12)]], TWELVE_LEADS)[1].words


def test_eight_leads_are_said_not_to_be_testable(archive: Archive) -> None:
    limb, chest = data_findings(archive.ecg[:60, [0, 1, *range(6, 12)]].numpy(), LEADS)
    assert (limb.verdict, chest.verdict) == ("not tested", "agrees")
    assert "have I, II: their order can't be tested" in limb.words


def test_gains_of_single_leads_are_no_order(data_root: Path) -> None:
    ecgs = []
    for number in range(1, 31):
        record = wfdb.rdrecord(str(data_root / f"ludb/data/{number}"))
        names = [name.lower() for name in record.sig_name]
        ecgs.append(record.p_signal.T[[names.index(lead.lower()) for lead in TWELVE_LEADS]])
    limb, _ = data_findings(np.stack(ecgs), TWELVE_LEADS)
    assert limb.verdict == "warning"
    assert "a fault of gain and not of order" in limb.words
