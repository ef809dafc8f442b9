"""Which ECGs get pictures, and what is known of them."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from synthetic_ecg import synthetic

from ecg_lightning.data.cache import BeatCache
from ecg_lightning.data.prepare import prepare
from ecg_lightning.data.sources.base import Entry, Recording, Source
from ecg_lightning.ecg import Target
from ecg_lightning.plotting.cached_beats import choose_rows, class_beat, has_evidence, mask_of

TARGET: Target = "sinus_tachycardia"


def causal(k: int) -> NDArray[np.bool_]:
    mask = np.zeros((8, 600), dtype=np.bool_)
    mask[k % 8, 100 : 110 + k] = True
    return mask


class Marked(Source):
    """Four ECGs: tachycardia with evidence, without, unknown, and one whose waves nobody marked."""

    name = "marked"

    def entries(self) -> Sequence[Entry]:
        labels: list[dict[Target, float]] = [
            {TARGET: 1.0, "sinus_rhythm": 0.0},
            {TARGET: 0.0, "sinus_rhythm": 1.0},
            {},
            {TARGET: 0.0},
        ]
        return [Entry(f"e{k}", f"p{k}", 50.0, "female", known) for k, known in enumerate(labels)]

    def read(self, entry: Entry) -> Recording:
        rate = 110.0 if entry.labels.get(TARGET) else 70.0
        return synthetic(rate, with_masks=entry.ecg_id != "e3").recording

    def evidence(self, entry: Entry, neighbours: str = "keep") -> Mapping[str, NDArray[np.bool_]]:
        return {f"causal/{TARGET}": causal(3)} if entry.labels.get(TARGET) else {}

    def settings(self) -> dict[str, object]:
        return {}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> BeatCache:
    return prepare(Marked(), tmp_path_factory.mktemp("cache"), processes=1, progress=False)


def test_the_mask_of_an_ecg_or_none_where_it_is_not_known(cache: BeatCache) -> None:
    mask = mask_of(cache, 0, f"causal/{TARGET}")
    assert mask is not None
    np.testing.assert_array_equal(mask, causal(3))
    assert mask.dtype == np.bool_
    assert mask_of(cache, 1, f"causal/{TARGET}") is None
    assert mask_of(cache, 0, "causal/low_qrs_voltage") is None


def test_a_beat_shows_its_evidence_or_else_its_waves_or_nothing(cache: BeatCache) -> None:
    with_evidence, with_waves, unknown, bare = (class_beat(cache, row, TARGET, f"row {row}") for row in range(4))
    assert set(with_evidence.regions) == {"causal"}
    assert set(with_waves.regions) == set(unknown.regions) == {"QRS"}
    assert bare.regions == {}
    assert [one.labels for one in (with_evidence, with_waves, unknown, bare)] == [["ST"], ["SR"], [], []]
    np.testing.assert_array_equal(with_waves.beat, cache.read_beats(np.array([1]))[0])
    assert (with_waves.source, with_waves.name) == ("marked", "row 1")
    assert with_waves.heart_rate == pytest.approx(70, abs=1)
    # Evidence of another target is not this target's.
    assert set(class_beat(cache, 0, "sinus_rhythm", "a").regions) == {"QRS"}
    assert set(class_beat(cache, 0, TARGET, "a", waves=False).regions) == {"causal"}
    assert class_beat(cache, 1, TARGET, "b", waves=False).regions == {}
    assert has_evidence(cache, TARGET)
    assert not has_evidence(cache, "sinus_rhythm")


def table(labels: Sequence[float | None], patients: Sequence[int]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "ecg_id": [f"e{k}" for k in range(len(labels))],
            "patient_id": [f"p{patient}" for patient in patients],
            TARGET: pd.array(labels, dtype="Int8"),
        }
    )


rows = st.lists(st.tuples(st.sampled_from([0, 1, None]), st.integers(0, 5)), min_size=1, max_size=30)


@settings(max_examples=50, deadline=None)
@given(rows, st.integers(1, 4), st.booleans(), st.integers(0, 3))
def test_chosen_ecgs_have_the_label_and_distinct_patients(
    drawn: list[tuple[int | None, int]], n: int, present: bool, seed: int
) -> None:
    examples = table([label for label, _ in drawn], [patient for _, patient in drawn])
    chosen = choose_rows(examples, TARGET, n, present=present, without=["p0"], seed=seed)
    patients = examples["patient_id"].loc[chosen].tolist()
    assert (examples[TARGET].loc[chosen] == int(present)).all()
    assert len(set(patients)) == len(patients)
    assert "p0" not in patients
    eligible = {patient for label, patient in drawn if label == int(present)} - {0}
    assert len(chosen) == min(n, len(eligible))


@settings(max_examples=20, deadline=None)
@given(st.permutations(range(12)), st.integers(1, 12))
def test_the_choice_does_not_depend_on_the_order_and_grows(order: list[int], n: int) -> None:
    examples = table([1] * 12, list(range(12)))
    chosen = choose_rows(examples, TARGET, n)
    assert choose_rows(examples.iloc[order], TARGET, n) == chosen
    assert choose_rows(examples, TARGET, 12)[:n] == chosen


def test_targets_and_seeds_choose_differently() -> None:
    examples = table([1] * 40, list(range(40))).assign(low_qrs_voltage=pd.array([1] * 40, dtype="Int8"))
    chosen = [choose_rows(examples, TARGET, 6, seed=seed) for seed in range(3)]
    chosen.append(choose_rows(examples, "low_qrs_voltage", 6))
    assert len({tuple(found) for found in chosen}) == 4


@pytest.mark.parametrize(
    ("target", "n", "message"), [(TARGET, 0, "at least 1 ECG, got n = 0"), ("flutter", 2, "no such target")]
)
def test_a_choice_that_can_not_be_made_is_refused(target: str, n: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        choose_rows(table([1], [0]), target, n)  # type: ignore[arg-type]
