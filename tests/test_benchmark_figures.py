"""The arithmetic of the benchmarks that judge the simulator: a wrong ratio there would praise a wrong mask."""

import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import graft_remove
import memory
import multilabel
import sim_to_real
import test_profile
from simulated import FirstEcgs

from ecg_lightning.data.cache import BeatCache
from ecg_lightning.data.prepare import prepare
from ecg_lightning.ecg import TARGETS

RNG = np.random.default_rng(0)
PRESENT, ABSENT = RNG.normal(size=(2, 12, 8, 600))
ABSENT = PRESENT + 0.1 * ABSENT
WEIGHT = RNG.normal(size=(8, 600))
MASK = RNG.random((12, 8, 600)) < 0.3


def linear(beat):
    return (WEIGHT * beat).sum(axis=(1, 2))


def curved(beat):
    return np.tanh(linear(beat)) + 0.01 * np.abs(beat).sum(axis=(1, 2))


# --- graft and remove ------------------------------------------------------------------------------------------


def test_a_linear_network_gives_back_its_share_of_the_gap():
    gaps = WEIGHT * (PRESENT - ABSENT)
    expected = (MASK * gaps).sum() / gaps.sum()
    score = graft_remove.score_region(PRESENT, ABSENT, MASK, linear)
    assert score.restored.value == pytest.approx(expected, rel=1e-9)
    assert score.removed.value == pytest.approx(expected, rel=1e-9)
    single = (MASK * gaps).sum(axis=(1, 2)) / gaps.sum(axis=(1, 2))
    assert score.restored.median == pytest.approx(np.median(single), rel=1e-9)
    assert score.restored.low < score.restored.value < score.restored.high
    assert score.mean_share == pytest.approx(MASK.mean())
    assert score.max_share == MASK.mean(axis=(1, 2)).max()


@pytest.mark.parametrize(("mask", "expected"), [(np.ones_like(MASK), 1.0), (np.zeros_like(MASK), 0.0)])
def test_everything_restores_all_and_nothing_nothing(mask, expected):
    score = graft_remove.score_region(PRESENT, ABSENT, mask, curved)
    assert (score.restored.value, score.removed.value) == (expected, expected)


def test_what_a_region_restores_is_what_its_complement_does_not_remove():
    inside = graft_remove.score_region(PRESENT, ABSENT, MASK, curved)
    outside = graft_remove.score_region(PRESENT, ABSENT, ~MASK, curved)
    assert inside.restored.value == pytest.approx(1 - outside.removed.value, rel=1e-12)
    assert inside.removed.value == pytest.approx(1 - outside.restored.value, rel=1e-12)


@given(st.integers(0, 2**32 - 1), st.floats(0.01, 0.5))
def test_a_displaced_region_keeps_its_size_and_leaves_its_place(seed, share):
    rng = np.random.default_rng(seed)
    mask = np.zeros((3, 8, 600), dtype=bool)
    mask[:, :, 100:160] = rng.random((3, 8, 1)) < share
    moved = graft_remove.displaced(mask, rng)
    assert np.array_equal(moved.sum(axis=(1, 2)), mask.sum(axis=(1, 2)))
    assert not (moved & mask).any()  # 60 samples long, moved by 75 to 525 of 600


def test_twins_are_of_different_patients_who_have_the_diagnosis():
    twins = graft_remove.find_twins("left_bundle_branch_block", 3, 7)
    assert len({one.case.patient for one in twins}) == 3
    for one in twins:
        assert one.case.diagnoses.has("left_bundle_branch_block")
        assert np.abs(one.present.beat - one.absent.beat).max() > 0.1


def test_too_few_twins_are_an_error_that_counts(monkeypatch):
    monkeypatch.setattr(graft_remove, "PATIENTS_A_TWIN", 1)
    with pytest.raises(ValueError, match=r"of 2 simulated patients have low_qrs_voltage, expected 2"):
        graft_remove.find_twins("low_qrs_voltage", 2, 0)


# --- the network with nine outputs -----------------------------------------------------------------------------


def test_masked_loss_is_the_mean_over_known_labels():
    logit, label = torch.randn(5, 9, requires_grad=True), torch.randint(0, 2, (5, 9)).float()
    label[0] = label[2, 3] = torch.nan
    known = ~label.isnan()
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logit[known], label[known])
    loss = multilabel.masked_bce(logit, label)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    (gradient,) = torch.autograd.grad(loss, logit)
    assert torch.equal(gradient != 0, known)


def test_a_batch_without_labels_moves_nothing():
    logit = torch.randn(2, 9, requires_grad=True)
    loss = multilabel.masked_bce(logit, torch.full((2, 9), torch.nan))
    (gradient,) = torch.autograd.grad(loss, logit)
    assert loss.item() == 0
    assert not gradient.any()


def test_the_network_is_of_the_prototypes_size():
    network = multilabel.build_network().eval()
    assert sum(parameter.numel() for parameter in network.parameters()) == 281_241
    assert multilabel.logits(network, torch.zeros(3, 8, 600)).shape == (3, len(TARGETS))


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("simulated")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sim_to_real, "HELD_OUT", 12)
        patch.setattr(sim_to_real, "SPARE", 12)
        return sim_to_real.simulated_beats(24, 0, folder, 1)


def test_held_out_beats_are_of_other_patients(simulated):
    training, held_out = simulated
    patients = BeatCache.open(training.folder).examples["patient_id"].to_numpy()
    assert (len(training.rows), len(held_out.rows)) == (24, 12)
    assert not set(patients[training.rows]) & set(patients[held_out.rows])


def test_a_network_is_trained_once_and_seeds_differ(simulated, tmp_path):
    training, held_out = simulated
    settings = multilabel.Training(epochs=1, batch_size=8)
    first = multilabel.trained_networks(training, [0, 1], settings, tmp_path)
    files = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    again = multilabel.trained_networks(training, [0, 1], settings, tmp_path)
    assert len(files) == 2
    assert files == {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    scores = [multilabel.logits(network, held_out.read()) for network in (*first, *again)]
    np.testing.assert_array_equal(scores[0], scores[2])
    assert not np.allclose(scores[0], scores[1])
    ecg, label = training.read(), torch.from_numpy(training.labels()).float()
    anew = multilabel.train(ecg, label, 0, settings)
    np.testing.assert_array_equal(multilabel.logits(anew, held_out.read()), scores[0])


def test_other_labels_are_other_networks(simulated, monkeypatch):
    training, _ = simulated
    before = training.digest()
    monkeypatch.setattr(multilabel, "labels_of_cache", lambda cache: 1 - labels_as_they_are(cache))
    assert training.digest() != before


labels_as_they_are = multilabel.labels_of_cache


# --- throughput ------------------------------------------------------------------------------------------------


def test_children_are_found_and_their_memory_read():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        below = memory.processes_below(os.getpid())
        assert child.pid in below
        assert memory.anonymous_megabytes(child.pid) > 0
        child.communicate(b"\n")
    assert memory.anonymous_megabytes(child.pid) == 0


def test_exactly_as_many_ecgs_as_asked_for(tmp_path):
    source = FirstEcgs(5, evidence=False)
    assert len(source.entries()) == 5
    assert len(prepare(source, tmp_path, processes=1).rejected) + len(BeatCache.open(next(tmp_path.glob("*/")))) == 5


# --- where the time of a test goes -----------------------------------------------------------------------------


def frame_of(file, name, inner=sys._getframe):
    """The innermost frame below a function of that file and name."""
    space = {"inner": inner}
    exec(compile(f"def {name}(): return inner()", file, "exec"), space)
    return space[name]()


@pytest.mark.parametrize(
    ("file", "name", "part"),
    [
        ("/x/ecg_lightning/models/resnet1d.py", "forward", "passes"),
        ("/x/torch/autograd/graph.py", "_engine_run_backward", "passes"),
        ("/x/ecg_lightning/functional/surrogate_search.py", "log_evidence", "solver"),
        ("/x/ecg_lightning/storage/store.py", "write", "stores"),
        ("/x/callbacks/method_similarity.py", "_summarise", "tables"),
        ("/x/callbacks/method_similarity.py", "_measure", "audits"),
        ("/x/ecg_lightning/attribution/sampling.py", "add", "maps"),
        ("/x/matplotlib/figure.py", "draw", "figures"),
        ("/x/somewhere.py", "anything", "other"),
    ],
)
def test_a_stack_belongs_to_a_part(file, name, part):
    assert test_profile.part_of(frame_of(file, name)) == part


def test_a_pass_within_a_map_is_a_pass():
    inner = lambda: frame_of("/x/ecg_lightning/models/resnet1d.py", "forward")  # noqa: E731
    assert test_profile.part_of(frame_of("/x/ecg_lightning/attribution/sampling.py", "gradients", inner)) == "passes"


def busy(seconds):
    start = time.thread_time()
    while time.thread_time() - start < seconds:
        pass


def test_time_is_shared_out_and_none_is_lost():
    start = time.process_time()
    with test_profile.StackSampler() as sampler:
        busy(0.3)
    spent = time.process_time() - start
    assert sum(sampler.seconds.values()) == pytest.approx(spent, abs=0.05)
    assert sampler.seconds["other"] > 0.2


def test_the_table_has_shares_and_the_bar():
    found = test_profile.table(Counter({"passes": 3.0, "stores": 1.0}), "full").splitlines()
    assert [line.split()[-1] for line in found[1:3]] == ["75.0%", "25.0%"]
    assert "4.0" in found[-1]
    assert "85%" in found[-1]
