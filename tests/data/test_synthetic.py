"""The simulator as a source."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from ecg_lightning.data.datamodule import EcgDataModule
from ecg_lightning.data.label_checks import LabelsError, check_column
from ecg_lightning.data.label_columns import label_column
from ecg_lightning.data.prepare import cache_hash, cache_settings, prepare
from ecg_lightning.data.representations import RecordingWindow
from ecg_lightning.data.shards import PrepareSettings
from ecg_lightning.data.sources import RejectedEntry, Synthetic
from ecg_lightning.data.sources.entry_checks import checked_entries
from ecg_lightning.ecg import LEADS, MEDIAN_BEAT, TARGETS, Target
from ecg_lightning.simulator.evidence import RHYTHMS
from ecg_lightning.simulator.measured import MEASURED
from ecg_lightning.simulator.recording import simulate

SOURCE = Synthetic(n_patients=600)


def test_patients_have_one_to_five_ecgs() -> None:
    entries = SOURCE.entries()
    counts = np.unique([entry.patient_id for entry in entries], return_counts=True)[1]
    assert set(counts) == {1, 2, 3, 4, 5}
    assert counts.mean() == pytest.approx(1.88, abs=0.15)
    assert len({entry.ecg_id for entry in entries}) == len(entries)
    assert all(entry.age != entry.age or 18 <= entry.age <= 95 for entry in entries)
    assert {entry.sex for entry in entries} == {"female", "male"}


def test_more_patients_leave_the_first_ones_as_they_are() -> None:
    few, many = Synthetic(n_patients=5).entries(), SOURCE.entries()
    # NaN ages are equal here: an entry's text shows them alike
    assert [repr(entry) for entry in few] == [repr(entry) for entry in many[: len(few)]]
    np.testing.assert_array_equal(Synthetic(n_patients=5).read(few[3]).signal, SOURCE.read(many[3]).signal)


def test_every_target_has_both_classes_and_some_labels_are_missing() -> None:
    labels = [entry.labels for entry in SOURCE.entries()]
    for target in TARGETS:
        known = [one[target] for one in labels if target in one]
        assert set(known) == {0.0, 1.0}
        least = 0.8 if target == "left_ventricular_hypertrophy" else 0.9  # not called in left bundle branch block
        assert least < len(known) / len(labels) < 1.0 or target.endswith("bundle_branch_block")
        assert 0.02 < np.mean(known) < 0.65


def test_seeds_differ() -> None:
    one, other = Synthetic(50).entries(), Synthetic(50, simulation_seed=1).entries()
    assert [e.labels for e in one] != [e.labels for e in other]
    assert Synthetic(50).settings() != Synthetic(50, simulation_seed=1).settings()


def test_prepared_beats_carry_waves_and_evidence(tmp_path: Path) -> None:
    source = Synthetic(n_patients=25)
    cache = prepare(source, tmp_path, processes=1, progress=False)
    assert len(cache) == len(source.entries())
    for wave in ("P", "QRS", "T"):
        masks, present = cache.masks(wave)
        assert present.all()
        assert np.unpackbits(masks, axis=-1).any(axis=(1, 2)).mean() > (0.7 if wave == "P" else 0.99)
    for target in TARGETS:
        positive = (cache.examples[target] == 1).fillna(False).to_numpy(dtype=bool)
        if positive.any():
            for kind in ("causal", "core"):
                masks, present = cache.masks(f"{kind}/{target}")
                np.testing.assert_array_equal(present, positive)
                assert np.unpackbits(masks[positive], axis=-1).any(axis=(1, 2)).all()


def test_the_cache_does_not_depend_on_the_number_of_processes(tmp_path: Path) -> None:
    one = prepare(Synthetic(12), tmp_path / "one", processes=1, progress=False)
    two = prepare(Synthetic(12), tmp_path / "two", processes=2, progress=False)
    assert one.folder.name == two.folder.name
    np.testing.assert_array_equal(one.beats, two.beats)
    for region in one.regions:
        np.testing.assert_array_equal(one.masks(region)[0], two.masks(region)[0])


def test_without_evidence(tmp_path: Path) -> None:
    cache = prepare(Synthetic(4, evidence=False), tmp_path, processes=1, progress=False)
    assert set(cache.regions) == {"P", "QRS", "T"}


def test_blanked_beats_have_evidence_of_their_own(tmp_path: Path) -> None:
    whole = prepare(Synthetic(12), tmp_path, processes=1, progress=False)
    blanked = prepare(Synthetic(12), tmp_path, processes=1, progress=False, neighbours="blank")
    assert whole.regions == blanked.regions
    region = "causal/sinus_rhythm"
    assert not np.array_equal(whole.masks(region)[0], blanked.masks(region)[0])


def test_measurements_are_labels_of_every_ecg_that_has_them() -> None:
    targets = SOURCE.targets()
    assert [name for name, info in targets.items() if info.kind == "regression"] == list(MEASURED)
    assert not [one for one in checked_entries(Synthetic(60)) if isinstance(one, RejectedEntry)]
    entries = SOURCE.entries()[:120]
    missing = [entry for entry in entries if "pr_interval" not in entry.labels]
    assert 0 < len(missing) < 40
    for entry in missing:
        assert not simulate(SOURCE.case(entry)).wave_masks()["P"].any()
        assert {"qrs_duration", "st_level", "heart_rate"} <= set(entry.labels)
    for entry in entries[:20]:
        assert dict(entry.labels) == dict(pickle.loads(pickle.dumps(entry.labels)))
        assert len(entry.labels) == len(list(entry.labels))


def test_a_measurement_is_missing_where_its_wave_is(tmp_path: Path) -> None:
    module = EcgDataModule(Synthetic(40), "p_amplitude", str(tmp_path), processes=1)
    module.prepare_data()
    module.setup("fit")
    label = module.cache.examples["p_amplitude"]
    known = [entry.labels.get("p_amplitude", np.nan) for entry in module.source.entries()]
    np.testing.assert_allclose(label.to_numpy(dtype=float), known)
    assert label.isna().any()
    assert module.target_info.unit == "mV"


def test_the_evidence_of_a_measurement_is_made_for_its_runs(tmp_path: Path) -> None:
    source = Synthetic(25)
    module = EcgDataModule(source, "st_level", str(tmp_path), processes=1)
    cache = module.prepare_cache(progress=False)
    assert set(cache.regions) == {"P", "QRS", "T", "causal/st_level", "core/st_level"}
    packed, present = cache.masks("causal/st_level")
    assert present.all()
    assert np.unpackbits(packed, axis=-1).any(axis=(1, 2)).mean() > 0.95
    of_diagnosis = EcgDataModule(source, "sinus_rhythm", str(tmp_path), processes=1)
    assert of_diagnosis.settings() == module.settings()  # so that both are in one study
    assert source.for_target("sinus_rhythm") is source
    assert cache_hash(cache_settings(source, PrepareSettings())) == "ea28031505a4"
    chosen = Synthetic(4, evidence=["t_amplitude", "right_bundle_branch_block"])
    assert chosen.for_target("st_level") is chosen
    assert Synthetic(4, evidence=False).for_target("st_level").settings()["evidence"] is False


def test_the_heart_rate_needs_recordings(tmp_path: Path) -> None:
    beats = EcgDataModule(Synthetic(12), "heart_rate", str(tmp_path), processes=1)
    with pytest.raises(LabelsError, match=r"no target heart_rate here: a median beat shows one beat.*RecordingWindow"):
        beats.prepare_data()
    window = RecordingWindow(leads=LEADS, sampling_rate=100.0)
    recordings = EcgDataModule(
        Synthetic(40, evidence=False), "heart_rate", str(tmp_path), processes=1, representation=window
    )
    recordings.prepare_data()
    recordings.setup("fit")
    examples = recordings.cache.examples
    label = examples["heart_rate_label"].to_numpy(dtype=float)
    assert np.median(np.abs(label - examples["heart_rate"])) < 1.0  # of R peaks that were searched
    assert "causal/heart_rate" not in recordings.cache.regions


def test_a_cache_without_the_measurement_is_refused_where_it_is_asked_for(tmp_path: Path) -> None:
    """An earlier version's cache serves the nine; for a measurement it is made anew."""
    source = Synthetic(12, evidence=False)
    cache = prepare(source, tmp_path, processes=1, progress=False)
    table = cache.examples.drop(columns=[label_column(name) for name in MEASURED])
    with pytest.raises(LabelsError, match=r"no labels of the target pr_interval: .*`--overwrite true`"):
        check_column(table, "pr_interval", cache.folder)
    check_column(table, "sinus_rhythm", cache.folder)


def test_windows_have_evidence_but_of_rhythms(tmp_path: Path) -> None:
    window = RecordingWindow(sampling_rate=250.0, seconds=8.0, start=1.0)
    source = Synthetic(25)
    cache = prepare(source, tmp_path, representation=window, processes=1, progress=False)
    evidence = {region for region in cache.regions if "/" in region}
    found = {region.partition("/")[2] for region in evidence}
    assert found
    assert not found & set(RHYTHMS)
    for target in found:
        positive = (cache.examples[target] == 1).fillna(False).to_numpy(dtype=bool)
        packed, present = cache.masks(f"causal/{target}")
        np.testing.assert_array_equal(present, positive)
        bits = np.unpackbits(packed[positive], axis=-1, count=2000)
        assert bits.shape[1:] == (12, 2000)
        assert bits.any(axis=(1, 2)).all()
    for target in RHYTHMS:
        assert "beats at other times" in source.why_no_evidence(target, window.format)
        assert source.why_no_evidence(target, MEDIAN_BEAT) == ""
    assert source.why_no_evidence("low_qrs_voltage", window.format) == ""
    assert source.why_no_evidence("st_level", window.format) == ""
    named = Synthetic(25, evidence=["sinus_rhythm"])
    assert "does not name st_level" in named.why_no_evidence("st_level", window.format)


@pytest.mark.parametrize(
    ("n_patients", "target", "message"),
    [
        (1, "sinus_rhythm", r"at least 3 patients, got 1: .*simulate more patients"),
        (3, "left_bundle_branch_block", r"has 0 ECGs with it, .*agree, whatever the split; .*simulate more patients"),
        (20, "left_bundle_branch_block", r"has 0 ECGs with it, .*both classes are needed: simulate more patients"),
    ],
)
def test_too_few_patients_for_a_target(tmp_path: Path, n_patients: int, target: Target, message: str) -> None:
    source = Synthetic(n_patients, evidence=False)
    data = EcgDataModule(source, target, str(tmp_path), processes=1)
    data.prepare_cache(progress=False)
    with pytest.raises(ValueError, match=rf"{message} \(`--data\.source\.init_args\.n_patients`\)"):
        data.setup("fit")


def test_impossible_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="n_patients: expected at least 1, got 0"):
        Synthetic(n_patients=0)
    with pytest.raises(ValueError, match="noise: expected a factor from 0 on, got -1"):
        Synthetic(noise=-1.0)
    with pytest.raises(ValueError, match=r"evidence: there is none of heart_rate, st_levl; .*st_level"):
        Synthetic(evidence=["st_levl", "heart_rate", "pr_interval"])
    with pytest.raises(KeyError, match="'s0p600e0' is no ECG of 600 patients simulated with seed 0"):
        SOURCE.case(Synthetic(601).entries()[-1].__class__("s0p600e0", "s0p600", 50.0, "male", {}))
    with pytest.raises(KeyError, match="'17'"):
        SOURCE.case(SOURCE.entries()[0].__class__("17", "17", 50.0, "male", {}))
