"""How transfer to real ECGs is scored: by archive, beside plain criteria, and beside figures of the same ECGs only."""

import functools
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import binary_auroc

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import real_ecgs
import sim_to_real

from ecg_lightning.ecg import TARGETS


def some_real_ecgs(n=80, digest="", archives=("PTB-XL", "LUDB")):
    """Without signal, two ECGs a patient; every patient's ECGs are of one archive."""
    rng = np.random.default_rng(1)
    label = (rng.random((n, 9)) < 0.3).astype(float)
    label[: n // 8, 7] = np.nan
    return real_ecgs.RealEcgs(
        ecg=torch.from_numpy(rng.normal(size=(n, 8, 600))).float(),
        label=label,
        patient=np.array([f"p{k // 2}" for k in range(n)]),
        archive=np.array([archives[k // 2 % len(archives)] for k in range(n)]),
        heart_rate=rng.uniform(40, 120, size=n),
        digest=digest,
    )


def some_logits(real):
    noise = np.random.default_rng(2).normal(size=(3, *real.label.shape))
    return noise + np.nan_to_num(real.label)


@pytest.mark.parametrize("archive", ["all", "PTB-XL", "LUDB"])
def test_scores_agree_with_torchmetrics_on_the_mean_logit(archive):
    real = some_real_ecgs()
    logits = some_logits(real)
    found = sim_to_real.scores(logits, real)[archive]
    there = np.full(80, True) if archive == "all" else real.archive == archive
    for index, target in enumerate(TARGETS):
        known = there & ~np.isnan(real.label[:, index])
        truth = torch.from_numpy(real.label[known, index]).int()
        areas = [binary_auroc(torch.from_numpy(one[known, index]), truth).item() for one in [logits.mean(0), *logits]]
        row = found[target]
        assert [row.real, *row.seeds] == pytest.approx(areas, abs=1e-6)
        assert row.interval[0] < row.real < row.interval[1]
        assert (row.positives, row.negatives) == (truth.sum(), len(truth) - truth.sum())


def test_the_difference_to_a_criterion_is_paired():
    """A network that ranks as the criterion does differs by nothing, in every resample; its reverse by all."""
    rng = np.random.default_rng(3)
    label, patient = (rng.random(60) < 0.4).astype(float), np.array([f"p{k}" for k in range(60)])
    criterion = rng.normal(size=60) + 3.0 * label
    same = sim_to_real.score_class(np.exp(criterion)[None], label, patient, criterion)
    assert (same.difference, same.difference_interval) == (0.0, (0.0, 0.0))
    reverse = sim_to_real.score_class(-criterion[None], label, patient, criterion)
    assert reverse.difference == pytest.approx(1.0 - 2.0 * same.real)
    assert reverse.difference_interval[0] < reverse.difference < reverse.difference_interval[1] < 0.0


def test_ecgs_without_the_criterion_are_left_out_of_the_comparison_alone():
    label, patient = np.array([1.0, 0.0, 1.0, 0.0, 1.0]), np.array(list("abcde"))
    logit, criterion = np.array([[0.1, 0.2, 0.9, 0.3, np.pi]]), np.array([np.nan, 1.0, 2.0, 0.0, 3.0])
    row = sim_to_real.score_class(logit, label, patient, criterion)
    assert row.real == pytest.approx(4 / 6)
    assert row.criterion == 1.0
    assert row.difference == 0.0


def test_a_class_that_nobody_has_has_no_figure():
    row = sim_to_real.score_class(np.zeros((2, 3)), np.zeros(3), np.array(list("abc")), np.zeros(3))
    assert np.isnan(row.real)
    assert row.difference is None
    assert row.beside_criterion == ""


@pytest.mark.parametrize(
    ("positives", "high", "published", "verdict"),
    [(9, 0.92, 0.91, "ok"), (9, 0.90, 0.91, "BELOW"), (8, 0.5, 0.91, "few"), (30, 0.5, None, "")],
)
def test_verdicts_beside_published_figures(positives, high, published, verdict):
    score = sim_to_real.ClassScore(positives, 50, 0.85, (0.8, high), [0.85])
    assert score.beside_published(published) == verdict


@pytest.mark.parametrize(
    ("positives", "difference", "verdict"),
    [(9, -0.05, "ok"), (9, -0.051, "BELOW"), (8, -0.3, "undecided"), (8, 0.3, "undecided"), (99, 0.1, "ok")],
)
def test_verdicts_beside_a_criterion(positives, difference, verdict):
    score = sim_to_real.ClassScore(positives, 50, 0.85, (0.8, 0.9), [0.85], 0.9, difference, (-0.4, 0.4))
    assert score.beside_criterion == verdict


def test_only_known_ecgs_are_held_against_published_figures():
    """Of any other set the table shows neither the published figures nor a verdict beside them."""
    real = some_real_ecgs()
    found = sim_to_real.scores(some_logits(real), real)
    simulated = dict.fromkeys(TARGETS, 0.99)
    known, other = (sim_to_real.table(simulated, found, known=one) for one in (True, False))
    assert "0.982 BELOW" in known  # these logits are hardly better than chance
    heads = other.splitlines()[1 : 1 + len(TARGETS)]
    assert not any(word in line for line in heads for word in ("BELOW", "ok", "few", "0.982"))
    assert all(f"\n  {target}" in other for target in ("sinus_rhythm", "left_ventricular_hypertrophy"))
    assert "PTB-XL:" in other
    assert "LUDB:" in other


def test_a_simulated_class_that_is_too_easy_is_said():
    real = some_real_ecgs()
    simulated = dict.fromkeys(TARGETS, 0.99) | {"sinus_tachycardia": 1.0}
    lines = sim_to_real.table(simulated, sim_to_real.scores(some_logits(real), real), known=False).splitlines()
    assert [line.split()[0] for line in lines if line.endswith("EASY")] == ["sinus_tachycardia"]


# --- real ECGs -------------------------------------------------------------------------------------------------


def test_the_real_ecgs_are_those_of_the_published_figures(data_root):
    sources = real_ecgs.real_sources(data_root)
    assert real_ecgs.digest_of_ids(sources) == sim_to_real.KNOWN
    assert real_ecgs.digest_of_ids(sources[::-1]) == sim_to_real.KNOWN
    assert real_ecgs.digest_of_ids(sources[:-1]) != sim_to_real.KNOWN
    positives = dict.fromkeys(TARGETS, 0)
    for source in sources:
        left_out = real_ecgs.VOLTAGE if source.name == "ludb" else ()
        for entry in source.entries():
            for target in set(TARGETS) - set(left_out):
                positives[target] += entry.labels.get(target, 0) == 1
    assert positives == dict(zip(TARGETS, (351, 12, 35, 28, 13, 7, 9, 1, 23), strict=True))


@pytest.mark.parametrize(
    ("source", "ecg_id", "archive"),
    [
        ("ptbxl", "17", "PTB-XL"),
        ("cinc", "HR00599", "PTB-XL"),
        ("cinc", "JS01048", "Chapman"),
        ("cinc", "JS24290", "Chapman"),
        ("cinc", "g1/E00001", "Georgia"),
        ("cinc", "somebody", "cinc"),
        ("ludb", "3", "LUDB"),
    ],
)
def test_archives_are_where_an_ecg_was_recorded(source, ecg_id, archive):
    assert real_ecgs.archive_of(source, ecg_id) == archive


def test_archives_are_joined_and_ludb_has_no_voltage_classes(data_root, tmp_path, monkeypatch):
    sources = real_ecgs.real_sources(data_root)
    for source in sources:
        monkeypatch.setattr(source, "entries", functools.partial(list, source.entries()[:3]))
    real = real_ecgs.real_ecgs(sources, tmp_path, 1)
    assert [patient.partition(":")[0] for patient in real.patient] == ["ptbxl"] * 3 + ["cinc"] * 3 + ["ludb"] * 3
    assert real.archive.tolist() == ["PTB-XL"] * 6 + ["LUDB"] * 3
    assert real.ecg.shape == (9, 8, 600)
    assert np.isnan(real.label[6:, 7:]).all()
    assert not np.isnan(real.label[:6, 7:]).any()
    np.testing.assert_array_equal(real.criterion("sinus_bradycardia"), -real.heart_rate)
    assert ((real.criterion("left_ventricular_hypertrophy") > 0.1) & (real.heart_rate > 20)).all()


def test_a_part_of_the_archives_will_do_and_none_is_an_error(data_root, tmp_path):
    (tmp_path / "ludb").symlink_to(data_root / "ludb")
    assert [source.name for source in real_ecgs.real_sources(tmp_path)] == ["ludb"]
    with pytest.raises(FileNotFoundError, match="expected a folder ptbxl, cinc2021, ludb in it, found none"):
        real_ecgs.real_sources(tmp_path / "ludb")


def test_patients_are_left_out_by_name():
    real = some_real_ecgs(digest=sim_to_real.KNOWN)
    left = real_ecgs.without_patients(real, ["p0"])
    assert len(left.ecg) == len(left.label) == len(left.heart_rate) == len(left.archive) == 78
    assert "p0" not in left.patient
    np.testing.assert_array_equal(left.label, real.label[2:])
    assert left.digest != sim_to_real.KNOWN  # no longer the ECGs of the published figures
    assert real_ecgs.without_patients(real, []) is real
    with pytest.raises(ValueError, match=r"no real ECG of the patients c:1; .* such as p0"):
        real_ecgs.without_patients(real, ["c:1"])
