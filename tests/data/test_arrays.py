"""Plain arrays as a source: recordings and ready-made beats, and what is wrong with either."""

import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from synthetic_ecg import TWELVE_LEADS, one_beat, synthetic, twelve_leads

from ecg_lightning.data.cache import BeatCache
from ecg_lightning.data.prepare import prepare
from ecg_lightning.data.sources import Arrays
from ecg_lightning.ecg import BEAT_SAMPLES, FIDUCIAL_SAMPLE
from ecg_lightning.signal.beat import median_beat

RATES = (60.0, 75.0, 90.0)
TABLE = pd.DataFrame(
    {
        "ecg_id": ["a", "b", "c"],
        "patient_id": ["1", "1", "2"],
        "age": [50.0, np.nan, 15.0],
        "sex": ["female", None, "male"],
        "sinus_rhythm": [1, 0, None],
        "heart_rate": [60.0, 75.0, None],
    }
)
BEAT = one_beat((np.arange(BEAT_SAMPLES) - FIDUCIAL_SAMPLE) / 500.0)  # (8, 600) mV


def write(folder: Path, signals: np.ndarray, table: pd.DataFrame = TABLE, name: str = "ecgs.csv") -> Path:
    np.save(folder / "ecgs.npy", signals.astype(np.float32))
    table.to_csv(folder / name, index=False) if name.endswith("csv") else table.to_parquet(folder / name)
    return folder


def recordings() -> np.ndarray:
    return np.stack([synthetic(rate, seed=k).recording.signal for k, rate in enumerate(RATES)])


def cached(source: Arrays, folder: Path, **settings: object) -> BeatCache:
    return prepare(source, folder / "cache", processes=1, progress=False, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["ecgs.csv", "ecgs.parquet"])
def test_recordings_give_their_median_beats(tmp_path: Path, name: str) -> None:
    signals = recordings()
    cache = cached(Arrays(write(tmp_path, signals, name=name)), tmp_path)
    assert cache.examples["ecg_id"].tolist() == ["a", "b"]  # the third is under age
    assert cache.rejected["reason_kind"].tolist() == ["under_age"]
    assert cache.examples["sex"].tolist() == ["female", "unknown"]
    assert cache.examples["sinus_rhythm"].tolist() == [1, 0]
    assert cache.examples["atrial_fibrillation"].isna().all()
    expected = median_beat(synthetic(RATES[0], seed=0).recording).beat
    np.testing.assert_allclose(cache.read_beats(np.array([0]))[0], expected, atol=1e-3)


def test_ready_made_beats_are_used_as_they_are(tmp_path: Path) -> None:
    signals = np.stack([BEAT, 2 * BEAT, BEAT])
    cache = cached(Arrays(write(tmp_path, signals), content="beats"), tmp_path)
    np.testing.assert_allclose(cache.read_beats(np.array([0, 1])), signals[:2], atol=6e-4)  # kept to 1 uV
    assert cache.examples["heart_rate"].tolist() == [60.0, 75.0]


def test_beats_at_250_hz_are_interpolated_linearly(tmp_path: Path) -> None:
    signals = np.stack([BEAT[:, ::2]] * 3)
    cache = cached(Arrays(write(tmp_path, signals), content="beats", sampling_rate=250.0), tmp_path)
    found = cache.read_beats(np.array([0]))[0]
    np.testing.assert_allclose(found[:, ::2], BEAT[:, ::2], atol=6e-4)
    np.testing.assert_allclose(found[:, 1:-2:2], (BEAT[:, :-2:2] + BEAT[:, 2::2]) / 2, atol=1.1e-3)


def test_any_leads_that_give_the_eight_will_do(tmp_path: Path) -> None:
    signals = np.stack([twelve_leads(BEAT)[::-1]] * 3)
    source = Arrays(write(tmp_path, signals), content="beats", leads=TWELVE_LEADS[::-1])
    np.testing.assert_allclose(cached(source, tmp_path).read_beats(np.array([0]))[0], BEAT, atol=6e-4)


def test_beats_that_can_not_be_used_cost_no_other(tmp_path: Path) -> None:
    broken = BEAT.copy()
    broken[3, 100] = np.nan
    table = TABLE.assign(age=50.0)
    cache = cached(Arrays(write(tmp_path, np.stack([BEAT, broken, 30 * BEAT]), table), content="beats"), tmp_path)
    assert cache.examples["ecg_id"].tolist() == ["a"]
    assert cache.rejected["reason_kind"].tolist() == ["not_finite", "voltage"]


def test_a_beat_of_another_length_is_told(tmp_path: Path) -> None:
    source = Arrays(write(tmp_path, np.stack([BEAT[:, :500]] * 3)), content="beats")
    with pytest.raises(ValueError, match=r"a: expected a median beat of 600 samples at 500 Hz \(1.2 s\), got 500"):
        source.beat(source.entries()[0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns="patient_id"), "ecgs.csv: column patient_id missing; expected ecgs.npy"),
        (lambda t: t.iloc[:2], "ecgs.npy has 3 ECGs, the table 2 lines"),
    ],
)
def test_tables_that_do_not_fit(tmp_path: Path, change, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Arrays(write(tmp_path, recordings(), change(TABLE))).entries()


def test_missing_files_and_other_arguments_say_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no table; expected ecgs.npy, \(ECG, lead, sample\) in mV"):
        Arrays(tmp_path).entries()
    with pytest.raises(ValueError, match="content must be one of recordings, beats, got 'beat'"):
        Arrays(tmp_path, content="beat")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"is \(3, 8, 600\), expected \(ECG, 12, sample\)"):
        Arrays(write(tmp_path, np.stack([BEAT] * 3)), leads=TWELVE_LEADS).entries()


def test_neighbours_of_ready_made_beats_can_not_be_blanked(tmp_path: Path) -> None:
    source = Arrays(write(tmp_path, np.stack([BEAT] * 3)), content="beats")
    with pytest.raises(ValueError, match="blank needs recordings"):
        source.beat(source.entries()[0], "blank")


def test_the_cache_s_key_knows_table_shape_and_arguments_and_the_source_travels(tmp_path: Path) -> None:
    source = Arrays(write(tmp_path, recordings()))
    source.entries()
    assert len(pickle.dumps(source)) < 500  # neither table nor array
    again = pickle.loads(pickle.dumps(source)).entries()
    assert [one.ecg_id for one in again] == ["a", "b", "c"]
    before = source.settings()
    write(tmp_path, recordings(), TABLE.assign(sinus_rhythm=1))
    assert Arrays(tmp_path).settings() != before
    assert Arrays(tmp_path, content="beats").settings() != Arrays(tmp_path).settings()


DECLARED = {"potassium": {"kind": "regression", "unit": "mmol/l", "low": 1, "high": 10}, "paced": None}


def measured(potassium: list[object], paced: list[object] | None = None) -> pd.DataFrame:
    return TABLE.assign(age=[50.0, 60.0, 70.0], potassium=potassium, paced=paced or [1, 0, None])


@pytest.mark.parametrize("name", ["ecgs.csv", "ecgs.parquet"])
def test_declared_columns_are_targets(tmp_path: Path, name: str) -> None:
    write(tmp_path, np.stack([BEAT] * 3), measured([4.25, None, 5.0]), name)
    (tmp_path / "targets.yaml").write_text("potassium: {kind: regression, unit: mmol/l, low: 1, high: 10}\npaced:\n")
    source = Arrays(tmp_path, content="beats", targets=str(tmp_path / "targets.yaml"))
    assert source.targets()["potassium"].unit == "mmol/l"
    examples = cached(source, tmp_path).examples
    np.testing.assert_array_equal(examples["potassium"], [4.25, np.nan, 5.0])
    assert (str(examples["potassium"].dtype), str(examples["paced"].dtype)) == ("float64", "Int8")
    assert examples["paced"].to_numpy(float, na_value=np.nan)[:2].tolist() == [1.0, 0.0]
    assert examples.columns.tolist()[-4:] == ["potassium", "paced", "heart_rate", "n_beats"]
    in_yaml = Arrays(tmp_path, content="beats", targets=DECLARED)
    assert in_yaml.settings() == source.settings()
    assert pickle.loads(pickle.dumps(in_yaml)).targets() == source.targets()


def test_a_source_without_declared_columns_keeps_its_cache(tmp_path: Path) -> None:
    plain = Arrays(write(tmp_path, np.stack([BEAT] * 3)), content="beats")
    assert set(plain.settings()) == {"table_blake2b", "shape", "content", "sampling_rate", "leads"}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("haemolysed", "potassium is 'haemolysed', expected a number of mmol/l from 1 to 10, or nothing"),
        ("55", "potassium is '55', expected a number of mmol/l from 1 to 10"),
        ("inf", "potassium is 'inf', expected a number of mmol/l"),
    ],
)
def test_text_and_impossible_values_are_counted_rejections(tmp_path: Path, value: str, words: str) -> None:
    write(tmp_path, np.stack([BEAT] * 3), measured(["4.25", value, "5"]))
    cache = cached(Arrays(tmp_path, content="beats", targets=DECLARED), tmp_path)
    assert (len(cache), cache.info["counts"]["by_kind"]) == (2, {"table": 1})
    assert words in cache.rejected["reason"][0]
    assert "ecgs.csv, line 3" in cache.rejected["reason"][0]


def test_a_hidden_age_is_a_missing_label(tmp_path: Path) -> None:
    write(tmp_path, np.stack([BEAT] * 3), TABLE.assign(age=[50.0, 300.0, None]))
    years = {"age": {"kind": "regression", "unit": "years", "low": 0, "high": 89}}
    examples = cached(Arrays(tmp_path, content="beats", targets=years), tmp_path).examples
    np.testing.assert_array_equal(examples["age_label"], [50.0, np.nan, np.nan])
    np.testing.assert_array_equal(examples["age"], [50.0, 90.0, np.nan])


def test_what_is_declared_must_be_there_and_new(tmp_path: Path) -> None:
    write(tmp_path, np.stack([BEAT] * 3))
    with pytest.raises(ValueError, match=r"ecgs\.csv: column potassium, paced missing, which `targets` declares"):
        Arrays(tmp_path, content="beats", targets=DECLARED).entries()
    with pytest.raises(ValueError, match="sinus_rhythm: one of the nine needs no declaration"):
        Arrays(tmp_path, content="beats", targets=["sinus_rhythm"]).targets()
    with pytest.raises(FileNotFoundError, match=r"none\.yaml: no such file; expected targets"):
        Arrays(tmp_path, targets="none.yaml").targets()
