import errno
import json
import math
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from filelock import FileLock
from numpy.typing import NDArray
from older_caches import make_older
from synthetic_ecg import synthetic, twelve_leads, write_ptbxl, write_record

from ecg_lightning.data import prepare as module
from ecg_lightning.data.cache import BeatCache
from ecg_lightning.data.prepare import prepare
from ecg_lightning.data.sources import Entry, PtbXl, Recording, RecordingError, Source
from ecg_lightning.ecg import LEADS, TARGETS
from ecg_lightning.signal.beat import median_beat
from ecg_lightning.storage.disk import DiskSpaceError

RECORDINGS = [synthetic(55.0 + 5 * k, seconds=5.0, seed=k).recording for k in range(8)]


class ListSource(Source):
    """Recordings in memory; a recording may be an exception to raise."""

    name = "list"

    def __init__(
        self,
        recordings: Sequence[Recording | BaseException],
        ages: Mapping[int, float] | None = None,
        ids: Sequence[str] | None = None,
    ) -> None:
        self.recordings = recordings
        self.ages = ages or {}
        self.ids = ids or [str(k) for k in range(len(recordings))]
        self.reads: list[str] = []

    def entries(self) -> Sequence[Entry]:
        labels = {TARGETS[0]: 1.0, TARGETS[1]: 0.0}
        return [
            Entry(ecg_id, f"p{k // 2}", self.ages.get(k, 40.0), "female", labels, fold=k)
            for k, ecg_id in enumerate(self.ids)
        ]

    def read(self, entry: Entry) -> Recording:
        self.reads.append(entry.ecg_id)
        recording = self.recordings[self.ids.index(entry.ecg_id)]
        if isinstance(recording, BaseException):
            raise recording
        return recording

    def evidence(self, entry: Entry, neighbours: str = "keep") -> Mapping[str, NDArray[np.bool_]]:
        mask = np.zeros((8, 600), dtype=np.bool_)
        if entry.ecg_id == "1":
            mask[2, 100:131] = True
            return {"causal/sinus_rhythm": mask}
        return {"causal/sinus_rhythm": mask} if entry.ecg_id == "2" else {}

    def settings(self) -> dict[str, object]:
        return {"n": len(self.recordings)}


def here(source: Source, folder: Path, **settings: object) -> BeatCache:
    return prepare(source, folder, processes=1, progress=False, **settings)  # type: ignore[arg-type]


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MIN_SHARD", 2)


def test_tables_and_beats(tmp_path: Path) -> None:
    cache = here(ListSource(RECORDINGS), tmp_path)
    assert cache.folder.parent == tmp_path
    assert cache.folder.name == f"list-{cache.info['hash']}"
    assert list(cache.examples.columns) == [
        *("row", "ecg_id", "patient_id", "age", "sex", "source", "fold"),
        *TARGETS,
        *("heart_rate", "n_beats"),
    ]
    assert cache.examples["row"].tolist() == list(range(8))
    assert cache.examples["ecg_id"].tolist() == [str(k) for k in range(8)]
    assert cache.examples["fold"].tolist() == list(range(8))
    assert set(cache.examples["source"]) == {"list"}
    assert cache.beats.dtype == np.int16
    for row, recording in enumerate(RECORDINGS):
        direct = median_beat(recording)
        assert np.abs(cache.beats[row] / 1000 - direct.beat).max() <= 0.000501  # half a microvolt
        assert cache.examples["heart_rate"][row] == direct.heart_rate
        assert cache.examples["n_beats"][row] == direct.n_beats_kept
    assert not (cache.folder / "parts").exists()


def test_a_label_that_is_missing_is_not_negative(tmp_path: Path) -> None:
    table = here(ListSource(RECORDINGS[:2]), tmp_path).examples
    assert all(table[target].dtype == pd.Int8Dtype() for target in TARGETS)
    assert table[TARGETS[0]].tolist() == [1, 1]
    assert table[TARGETS[1]].tolist() == [0, 0]
    assert table[TARGETS[2]].isna().all()


def test_every_ecg_is_used_or_on_record(tmp_path: Path) -> None:
    flat = Recording(np.zeros((8, 5000)), 500.0, LEADS)
    bad: list[Recording | BaseException] = [
        flat,
        RecordingError("file x: odd"),
        ZeroDivisionError("what?"),
        RECORDINGS[0],
    ]
    cache = here(ListSource([*bad, *RECORDINGS[:2]], ages={3: 15.99, 4: 16.0, 5: math.nan}), tmp_path)
    assert cache.examples["ecg_id"].tolist() == ["4", "5"]
    rejected = cache.rejected.set_index("ecg_id")
    assert rejected["reason_kind"].to_dict() == {
        "0": "flat_lead",
        "1": "unusable",
        "2": "unexpected",
        "3": "under_age",
    }
    assert rejected["patient_id"].tolist() == ["p0", "p0", "p1", "p1"]
    assert rejected["reason"]["1"] == "file x: odd"
    assert rejected["reason"]["2"] == "ZeroDivisionError: what?"
    assert rejected["reason"]["3"] == "the patient is 15.99 years old, under 16"
    assert cache.info["counts"]["by_kind"] == dict.fromkeys(("flat_lead", "unusable", "unexpected", "under_age"), 1)


def test_min_age_is_a_choice(tmp_path: Path) -> None:
    source = ListSource(RECORDINGS[:2], ages={0: 3.0})
    assert len(here(source, tmp_path)) == 1
    assert len(here(source, tmp_path, min_age=0.0)) == 2


def test_masks_present_empty_and_absent(tmp_path: Path) -> None:
    waves = synthetic(64.0, with_masks=True).recording
    cache = here(ListSource([*RECORDINGS[:3], waves]), tmp_path)
    assert cache.regions == ("QRS", "causal/sinus_rhythm")
    packed, present = cache.masks("causal/sinus_rhythm")
    assert packed.shape == (4, 8, 75)
    assert present.tolist() == [False, True, True, False]
    masks = np.unpackbits(packed, axis=-1).astype(bool)
    expected = np.zeros((8, 600), dtype=bool)
    expected[2, 100:131] = True
    np.testing.assert_array_equal(masks[1], expected)
    assert not masks[2].any()
    packed, present = cache.masks("QRS")
    assert present.tolist() == [False, False, False, True]
    np.testing.assert_array_equal(np.unpackbits(packed[3], axis=-1), median_beat(waves).wave_masks["QRS"])


@pytest.mark.usefixtures("small_shards")
def test_masks_that_only_some_shards_have(tmp_path: Path) -> None:
    cache = here(ListSource(RECORDINGS), tmp_path)  # ids 1 and 2 lie in the first two of four shards
    packed, present = cache.masks("causal/sinus_rhythm")
    assert packed.shape == (8, 8, 75)
    assert np.flatnonzero(present).tolist() == [1, 2]
    assert np.flatnonzero(packed.any(axis=(1, 2))).tolist() == [1]


class OddMasks(ListSource):
    def evidence(self, entry: Entry, neighbours: str = "keep") -> Mapping[str, NDArray[np.bool_]]:
        region = "../outside" if entry.ecg_id == "0" else "core/x"
        return (
            {region: np.zeros((8, 600 if entry.ecg_id == "0" else 599), dtype=np.bool_)} if entry.ecg_id < "2" else {}
        )


def test_odd_masks_are_on_record(tmp_path: Path) -> None:
    cache = here(OddMasks(RECORDINGS[:3]), tmp_path)
    assert "'../outside': expected words" in cache.rejected["reason"][0]
    assert "expected the shape (8, 600), got (8, 599)" in cache.rejected["reason"][1]


def test_of_a_repeated_id_the_first_is_used(tmp_path: Path) -> None:
    cache = here(ListSource(RECORDINGS[:3], ids=["a", "b", "a"]), tmp_path)
    assert cache.examples["ecg_id"].tolist() == ["a", "b"]
    assert cache.rejected["reason"].tolist() == [
        "list, entry 2: ecg_id 'a' stands there already (list, entry 0); give each ECG an id of its own"
    ]


def test_no_ecg_and_no_usable_ecg_are_errors(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="its table holds no ECG"):
        here(ListSource([]), tmp_path)
    source = ListSource([RecordingError("lost"), RecordingError("lost too"), RECORDINGS[0]], ages={2: 4.0})
    with pytest.raises(ValueError, match=r"none of the 3 ECGs .* 2 x unusable \(such as: lost\); 1 x under_age"):
        here(source, tmp_path)
    source.recordings = RECORDINGS[:3]  # the cause is gone, so are the parts that remembered it
    assert len(here(source, tmp_path)) == 2


@pytest.mark.parametrize("processes", [0, -1])
def test_processes_must_be_positive(tmp_path: Path, processes: int) -> None:
    with pytest.raises(ValueError, match="processes: expected None or at least 1"):
        prepare(ListSource(RECORDINGS), tmp_path, processes=processes)


def test_arguments_are_checked(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="neighbours: expected one of"):
        here(ListSource(RECORDINGS), tmp_path, neighbours="drop")
    with pytest.raises(ValueError, match="min_age"):
        here(ListSource(RECORDINGS), tmp_path, min_age=math.nan)


def test_a_finished_cache_is_only_opened(tmp_path: Path) -> None:
    source = ListSource(RECORDINGS[:3])
    first = here(source, tmp_path)
    assert here(source, tmp_path).folder == first.folder
    assert len(source.reads) == 3
    here(source, tmp_path, overwrite=True)
    assert len(source.reads) == 6


def test_a_finished_cache_is_opened_without_its_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def locked(*_: object) -> None:
        raise PermissionError("read-only")

    source = ListSource(RECORDINGS[:3])
    folder = here(source, tmp_path).folder
    monkeypatch.setattr(module, "FileLock", locked)
    assert here(source, tmp_path).folder == folder
    with pytest.raises(PermissionError):
        here(source, tmp_path, overwrite=True)
    assert len(source.reads) == 3
    assert len(BeatCache.open(folder)) == 3  # deleted only under the lock


def test_a_finished_cache_may_be_read_only(tmp_path: Path) -> None:
    source = ListSource(RECORDINGS[:3])
    folder = here(source, tmp_path).folder
    folder.with_name(f"{folder.name}.lock").unlink(missing_ok=True)
    places = [tmp_path, folder, *folder.rglob("*")]
    modes = [place.stat().st_mode for place in places]
    for place in places:
        place.chmod(0o555 if place.is_dir() else 0o444)
    try:
        if os.access(tmp_path, os.W_OK):
            pytest.skip("this user (root) may write everywhere")
        assert len(here(source, tmp_path).read_beats(np.arange(3))) == 3
    finally:
        for place, mode in zip(places, modes, strict=True):
            place.chmod(mode)


def test_a_cache_that_is_being_deleted_is_not_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(folder: Path) -> None:
        with pytest.raises(FileNotFoundError, match=r"cache\.json is missing"):
            BeatCache.open(folder)
        raise KeyboardInterrupt

    source = ListSource(RECORDINGS[:3])
    here(source, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(module.shutil, "rmtree", interrupted)
        with pytest.raises(KeyboardInterrupt):
            here(source, tmp_path, overwrite=True)
    assert len(here(source, tmp_path)) == 3
    assert len(source.reads) == 6


def test_other_settings_are_another_cache(tmp_path: Path) -> None:
    source = ListSource(RECORDINGS[:3])
    kept, blanked = here(source, tmp_path), here(source, tmp_path, neighbours="blank")
    assert kept.folder != blanked.folder
    assert kept.settings["beat"] == {"neighbours": "keep", "min_age": 16.0}
    assert (np.asarray(kept.beats) != np.asarray(blanked.beats)).any()


@pytest.mark.usefixtures("small_shards")
def test_an_interrupted_run_goes_on(tmp_path: Path) -> None:
    source = ListSource([*RECORDINGS[:5], KeyboardInterrupt(), *RECORDINGS[6:]])
    with pytest.raises(KeyboardInterrupt):
        here(source, tmp_path)
    (folder,) = tmp_path.glob("list-*/")
    with pytest.raises(FileNotFoundError, match="an interrupted run continues"):
        BeatCache.open(folder)
    parts = sorted((folder / "parts").iterdir())
    assert len(parts) == 2
    parts[1].write_bytes(b"half a fi")  # as a power cut leaves it
    (folder / ".beats.1.tmp.npy").write_bytes(b"left over")
    resumed = ListSource(RECORDINGS)
    cache = here(resumed, tmp_path)
    assert resumed.reads == ["2", "3", "4", "5", "6", "7"]
    straight = here(ListSource(RECORDINGS), tmp_path / "other")
    np.testing.assert_array_equal(cache.beats, straight.beats)
    pd.testing.assert_frame_equal(cache.examples, straight.examples)
    assert not list(folder.glob(".*"))


@pytest.mark.usefixtures("small_shards")
def test_worker_processes_give_the_same_files(tmp_path: Path) -> None:
    write_ptbxl(tmp_path, [(50.0, "{'SR': 0.0}")] * 5 + [(9.0, "{}")])
    (tmp_path / "records500/00000/00002_hr.dat").unlink()
    alone = here(PtbXl(tmp_path), tmp_path / "one")
    together = prepare(PtbXl(tmp_path), tmp_path / "two", processes=2, progress=False)
    assert alone.folder.name == together.folder.name
    for name in ("beats.npy", "examples.parquet", "rejected.parquet", "cache.json"):
        assert (alone.folder / name).read_bytes() == (together.folder / name).read_bytes()
    assert together.rejected["reason_kind"].tolist() == ["unreadable", "under_age"]


KILLED = """
import sys
from ecg_lightning.data import prepare
from ecg_lightning.data.sources import PtbXl
prepare._MIN_SHARD = 2
if __name__ == "__main__":
    prepare.prepare(PtbXl(sys.argv[1]), sys.argv[2], processes=2, progress=False)
"""


@pytest.mark.usefixtures("small_shards")
def test_a_killed_run_goes_on(tmp_path: Path) -> None:
    write_ptbxl(tmp_path, [(50.0, "{}")] * 24)
    script = tmp_path / "script.py"
    script.write_text(KILLED)
    process = subprocess.Popen([sys.executable, str(script), str(tmp_path), str(tmp_path / "cache")])
    while process.poll() is None and not list(tmp_path.glob("cache/*/parts/*.npz")):
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    cache = here(PtbXl(tmp_path), tmp_path / "cache")
    assert len(cache) == 24
    np.testing.assert_array_equal(cache.beats, here(PtbXl(tmp_path), tmp_path / "straight").beats)


UNGUARDED = """
import sys
from ecg_lightning.data.prepare import prepare
from ecg_lightning.data.sources import PtbXl
prepare(PtbXl(sys.argv[1]), sys.argv[2], processes=2)
"""


def test_a_script_without_main_guard_is_told_so_and_does_not_hang(tmp_path: Path) -> None:
    write_ptbxl(tmp_path, [(50.0, "{}")] * 26)  # two shards
    script = tmp_path / "script.py"
    script.write_text(UNGUARDED)
    command = [sys.executable, str(script), str(tmp_path), str(tmp_path / "cache")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode != 0
    assert "put the call in the script under 'if __name__ == \"__main__\":'" in done.stderr


def test_two_at_once_do_the_work_once(tmp_path: Path) -> None:
    source = ListSource(RECORDINGS)
    caches: list[BeatCache] = []
    threads = [threading.Thread(target=lambda: caches.append(here(source, tmp_path))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(caches) == 3
    assert len(source.reads) == len(RECORDINGS)


def test_the_second_waits_and_says_so(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    source = ListSource(RECORDINGS[:2])
    folder = here(source, tmp_path).folder
    finished = (folder / "cache.json").rename(tmp_path / "kept.json")  # the first has yet to finish
    with FileLock(folder.with_name(f"{folder.name}.lock")):
        waiting = threading.Thread(target=prepare, args=(source, tmp_path), kwargs={"processes": 1})
        waiting.start()
        while "another process prepares" not in (said := capfd.readouterr().err):
            assert waiting.is_alive(), said
            time.sleep(0.01)
        assert waiting.is_alive()
        finished.rename(folder / "cache.json")
    waiting.join()
    assert len(source.reads) == 2


def full(_fd: int, _start: int, _size: int) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_says_what_is_needed_and_keeps_what_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = ListSource(RECORDINGS)
    needed = 8 * (8 * 600 * 2 + 8 * 75 + 1)  # beats, one region's masks and which ECGs have one
    message = (
        rf"no space left in .*list-\w+: {needed:,} bytes .* are needed, [\d,]+ bytes .* are free .*another cache folder"
    )
    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", full)
        with pytest.raises(DiskSpaceError, match=message) as caught:
            here(source, tmp_path)
    assert caught.value.errno == errno.ENOSPC
    (folder,) = tmp_path.glob("list-*/")
    assert [path.name for path in folder.iterdir()] == ["parts"]
    assert len(here(source, tmp_path)) == 8
    assert len(source.reads) == 8


def test_other_disk_errors_stay_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_fd: int, _start: int, _size: int) -> None:
        raise OSError(errno.EIO, "broken disk")

    monkeypatch.setattr(os, "posix_fallocate", broken)
    with pytest.raises(OSError, match="broken disk"):
        here(ListSource(RECORDINGS[:2]), tmp_path)


def test_a_disk_that_cannot_reserve_is_written_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def cannot(_fd: int, _start: int, _size: int) -> None:
        raise OSError(errno.EOPNOTSUPP, "not supported")

    monkeypatch.setattr(os, "posix_fallocate", cannot)
    assert len(here(ListSource(RECORDINGS[:2]), tmp_path)) == 2


def test_out_of_memory_is_not_a_reason_to_reject(tmp_path: Path) -> None:
    with pytest.raises(MemoryError):
        here(ListSource([RECORDINGS[0], MemoryError()]), tmp_path)


def test_the_final_line_counts(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    source = ListSource([*RECORDINGS[:2], RecordingError("no")], ages={0: 2.0})
    prepare(source, tmp_path, processes=1)
    said = capfd.readouterr()
    assert said.err.count("\n") == 1
    assert said.err.startswith("list: 1 ECGs used, 2 rejected (under_age 1, unusable 1); ")
    assert not said.out
    prepare(source, tmp_path, processes=1, progress=False)
    assert not capfd.readouterr().err


def test_codes_that_mean_no_target_are_counted(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    class Coded(ListSource):
        def unmapped_codes(self) -> Mapping[str, int]:
            return {"b": 1200, "a": 3, **dict.fromkeys("cdefg", 1)}

    source = Coded(RECORDINGS[:2])
    cache = prepare(source, tmp_path, processes=1)
    assert list(cache.info["counts"]["unmapped_codes"].items()) == list(source.unmapped_codes().items())
    summary = "; 7 codes mean no target; most frequent: b x 1,200, a x 3, c x 1, d x 1, e x 1 ...; "
    assert summary in capfd.readouterr().err
    make_older(cache.folder)
    marker = cache.folder / "cache.json"
    info = json.loads(marker.read_text())
    del info["counts"]["unmapped_codes"]  # an earlier version's
    marker.write_text(json.dumps(info))
    prepare(source, tmp_path, processes=1)
    assert "mean no target" not in capfd.readouterr().err


def test_cache_json_is_complete(tmp_path: Path) -> None:
    cache = here(ListSource(RECORDINGS[:2]), tmp_path)
    info = json.loads((cache.folder / "cache.json").read_text())
    assert info["counts"] == {"entries": 2, "examples": 2, "rejected": 0, "by_kind": {}, "unmapped_codes": {}}
    assert info["settings"]["source_settings"] == {"n": 2}
    assert {"numpy", "scipy", "sleepecg", "python", "ecg_lightning"} <= set(info["versions"])
    assert str(tmp_path) not in json.dumps(info)


def test_a_hash_ignores_the_order_of_settings() -> None:
    assert module.cache_hash({"a": 1, "b": 2}) == module.cache_hash({"b": 2, "a": 1})
    assert module.cache_hash({"a": 1}) != module.cache_hash({"a": 2})
    assert re.fullmatch("[0-9a-f]{12}", module.cache_hash({"a": 1}))


def test_settings_that_cannot_be_hashed_are_named(tmp_path: Path) -> None:
    class OddSettings(ListSource):
        def settings(self) -> dict[str, object]:
            return {"root": tmp_path}

    with pytest.raises(ValueError, match=r"source_settings\.root is a PosixPath"):
        here(OddSettings(RECORDINGS[:2]), tmp_path)
    assert not list(tmp_path.iterdir())


def test_voltages_in_volts_are_rejected(tmp_path: Path) -> None:
    write_ptbxl(tmp_path, [(50.0, "{}")] * 2)
    write_record(tmp_path / "records500/00000/00001_hr", 1e3 * twelve_leads(RECORDINGS[0].signal), gain=1.0)
    cache = here(PtbXl(tmp_path), tmp_path / "cache")
    assert cache.rejected["reason_kind"].tolist() == ["voltage"]


def test_real_ptbxl(data_root: Path, tmp_path: Path) -> None:
    class FirstTwenty(PtbXl):
        def entries(self) -> Sequence[Entry]:
            return super().entries()[:20]

    cache = here(FirstTwenty(data_root / "ptbxl"), tmp_path)
    assert len(cache) + len(cache.rejected) == 20
    assert len(cache) >= 19
    assert cache.examples["heart_rate"].between(30, 200).all()
