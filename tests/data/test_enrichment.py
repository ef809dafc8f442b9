"""A test split that holds enough patients with each diagnosis."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecg_lightning.data.datamodule import EcgDataModule
from ecg_lightning.data.enrichment import UNUSED, Enrichment, enrich_test, enrichment_lines
from ecg_lightning.data.provenance import DataProvenance
from ecg_lightning.data.sources import Synthetic
from ecg_lightning.data.splits import SplitRule, split_examples
from ecg_lightning.ecg import TARGETS, Target
from ecg_lightning.randomness import keyed_order
from ecg_lightning.report.population import enrichment_words, population_table

WANTED: list[Target] = ["first_degree_av_block", "right_bundle_branch_block", "left_ventricular_hypertrophy"]


def examples_of(source: Synthetic) -> pd.DataFrame:
    """As a cache has them, without a signal simulated."""
    columns: dict[str, list[object]] = {"ecg_id": [], "patient_id": [], "fold": [], **{name: [] for name in TARGETS}}
    for entry in source.entries():
        own = {"ecg_id": entry.ecg_id, "patient_id": entry.patient_id}
        own |= {"fold": hash_fold(entry.patient_id), **{name: entry.labels.get(name) for name in TARGETS}}
        for name, values in columns.items():
            values.append(own[name])
    frame = pd.DataFrame(columns)
    return frame.astype(dict.fromkeys(TARGETS, "Int8")).assign(source="synthetic")


def hash_fold(patient: str) -> int:
    return 8 + int(patient.partition("p")[2]) % 3  # folds 8, 9, 10


POPULATION = examples_of(Synthetic(n_patients=900))


def split_of(
    examples: pd.DataFrame, wish: Enrichment, rule: SplitRule = "patients", seed: int = 0, held_out: int | None = 50
) -> "pd.Series[str]":
    split = split_examples(examples, rule, seed, held_out)
    return pd.Series(enrich_test(examples, split, rule, seed, wish), index=examples["ecg_id"])


def counts(examples: pd.DataFrame, split: "pd.Series[str]", label: int) -> list[int]:
    tested = examples[(split == "test").to_numpy()]
    return [int((tested[name] == label).sum()) for name in WANTED]


# --- what it promises --------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=12)
@given(
    st.sampled_from(["patients", "folds", "test_only"]), st.integers(0, 2**32), st.integers(2, 12), st.integers(2, 12)
)
def test_whatever_the_rule_every_promise_is_kept(rule: SplitRule, seed: int, patients: int, without: int) -> None:
    split = split_of(POPULATION, Enrichment(WANTED, patients, without), rule, seed)
    tested = POPULATION[(split == "test").to_numpy()]
    assert tested["patient_id"].is_unique  # one ECG a patient
    assert min(counts(POPULATION, split, 1)) >= patients
    assert min(counts(POPULATION, split, 0)) >= without
    assert (~(tested[WANTED] == 1).any(axis=1)).sum() >= without
    used = split.isin(["train", "validation", "test"]).to_numpy()
    sets = pd.Series(split[used].to_numpy()).groupby(POPULATION["patient_id"][used].to_numpy()).nunique()
    assert (sets == 1).all()  # no patient in two
    base = split_examples(POPULATION, rule, seed, 50)
    np.testing.assert_array_equal(split == "validation", base == "validation")
    if rule == "patients":  # whoever is not tested is trained on: only these patients' other ECGs are lost
        assert set(POPULATION["patient_id"][(split == UNUSED).to_numpy()]) <= set(tested["patient_id"])
    else:
        assert set(split.index[split.isin(["test", UNUSED])]) == set(POPULATION["ecg_id"][base == "test"])


@pytest.mark.parametrize("size", [60, 68, 72, 100])
def test_a_size_is_kept_by_taking_as_many_patients_with_several_diagnoses_as_it_needs(size: int) -> None:
    split = split_of(POPULATION, Enrichment(WANTED, 24, 20, size))
    tested = POPULATION[(split == "test").to_numpy()]
    assert len(tested) == size
    assert all(24 <= count <= 26 for count in counts(POPULATION, split, 1))
    several = ((tested[WANTED] == 1).sum(axis=1) > 1).sum()
    assert several <= max(72 - (size - 20), 0) + 8  # 8: what comes by chance with the first by hash
    assert several >= 72 - (size - 20) - 1  # a patient with all three counts twice


def test_the_split_depends_on_neither_order_nor_the_order_of_the_targets() -> None:
    wish = Enrichment(WANTED, 24, 20, 68)
    split = split_of(POPULATION, wish)
    shuffled = POPULATION.sample(frac=1.0, random_state=5).reset_index(drop=True)
    pd.testing.assert_series_equal(split_of(shuffled, Enrichment(WANTED[::-1], 24, 20, 68))[split.index], split)
    assert (split_of(POPULATION, wish, seed=1) == "test").sum() == 68
    assert not split_of(POPULATION, wish, seed=1).equals(split)


def test_of_a_patient_the_first_ecg_by_hash_is_taken_whatever_it_shows() -> None:
    split = split_of(POPULATION, Enrichment(WANTED, 24, 20, 68))
    ranked = POPULATION.iloc[keyed_order(0, "test:" + POPULATION["ecg_id"])]
    first = ranked.drop_duplicates("patient_id").set_index("patient_id")["ecg_id"]
    tested = POPULATION[(split == "test").to_numpy()]
    assert (first[tested["patient_id"]].to_numpy() == tested["ecg_id"].to_numpy()).all()


# --- what it refuses ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        (
            Enrichment([*WANTED, "left_bundle_branch_block"], 80),
            r"80 test patients with left_bundle_branch_block were asked for, and \d\d of the 850 patients .* have it",
        ),
        (Enrichment(WANTED, 24, 840), r"840 test patients without each .* of the 850 patients .* \d+ have none of"),
        (Enrichment(WANTED, 24, 24, 48), r"size is 48, .* come to \d\d, since too few .* raise size"),
    ],
)
def test_too_few_patients_are_counted_and_told_what_to_do(wish: Enrichment, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        split_of(POPULATION, wish)


@pytest.mark.parametrize(
    "arguments", [{"targets": []}, {"targets": ["../flu"]}, {"patients": 0}, {"without": 0}, {"size": 43}]
)
def test_an_impossible_wish_is_refused(arguments: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"data\.test_enrichment"):
        Enrichment(**({"targets": WANTED} | arguments))  # type: ignore[arg-type]


def test_a_network_trained_on_the_plain_split_is_not_tested_on_its_own_patients() -> None:
    plain = DataProvenance("synthetic", "abc", 16.0, "keep", "patients", 0)
    enriched = DataProvenance("synthetic", "abc", 16.0, "keep", "patients", 0, None, {"patients": 24})
    with pytest.raises(ValueError, match=r"data\.test_enrichment\.patients: \(absent\) then, 24 now"):
        enriched.check_trained_on(plain.as_dict())
    earlier = {name: value for name, value in plain.as_dict().items() if name != "test_enrichment"}
    plain.check_trained_on(earlier)
    folds = {**earlier, "split": "folds"}  # the same training folds either way
    DataProvenance("synthetic", "abc", 16.0, "keep", "folds", 0, None, {"patients": 24}).check_trained_on(folds)


# --- what people read --------------------------------------------------------------------------------------------


def test_prevalences_are_told_beside_those_of_the_source() -> None:
    wish = Enrichment(WANTED, 24, 20, 68)
    split = split_of(POPULATION, wish).to_numpy()
    text = "\n".join(enrichment_lines(POPULATION, split, wish, "low_qrs_voltage"))
    assert "68 ECGs, one of each patient" in text
    assert "right_bundle_branch_block: 24 of 68 (35%);" in text
    assert "low_qrs_voltage: " in text  # the run's own target, though nothing was done for it
    assert "AUPRC, precision, F1 and accuracy hold for these only" in text


def test_one_split_for_every_target_of_a_study_and_table_1_tells(tmp_path: object) -> None:
    wish = Enrichment(["right_bundle_branch_block", "left_ventricular_hypertrophy"], 2, 3)
    modules = [
        EcgDataModule(
            Synthetic(60, evidence=False), target, str(tmp_path), processes=1, test_enrichment=wish, n_backgrounds=2
        )
        for target in wish.targets
    ]
    for module in modules:
        module.setup("test")
    first, second = (module.splits() for module in modules)
    pd.testing.assert_frame_equal(first, second)
    population = modules[0].population()
    table = population_table(population).set_index("characteristic")
    assert list(table) == ["train", "validation", "test", UNUSED]
    assert (
        int(table.loc["ECGs, n", "test"]) == int(table.loc["Patients, n", "test"]) == (first["split"] == "test").sum()
    )
    assert "2 patients or more were taken with each of" in enrichment_words(population)
    plain = population.copy()
    plain.attrs = {}
    assert enrichment_words(plain) == ""
    kept = modules[0].settings()
    assert kept["data.test_enrichment.patients"] == 2
    module = EcgDataModule(Synthetic(60), cache_dir=str(tmp_path))
    assert module.settings()["data.test_enrichment"] is None


@pytest.mark.parametrize("target", ["flu", "potassium"])
def test_a_target_that_the_source_has_no_classes_of_is_refused(target: str) -> None:
    measured = POPULATION.assign(potassium=4.5)
    with pytest.raises(ValueError, match=rf"data\.test_enrichment\.targets: {target} is no binary target"):
        split_of(measured, Enrichment([*WANTED, target], 24, 20))


def test_a_target_of_one_s_own_is_enriched_too() -> None:
    own = POPULATION.assign(STTC=POPULATION[WANTED[0]])
    split = split_of(own, Enrichment(["STTC", *WANTED[1:]], 24, 20))
    pd.testing.assert_series_equal(split, split_of(POPULATION, Enrichment(WANTED, 24, 20)), check_names=False)
