"""Damage to a finished study is noticed, named, and mended or left out: by ``verify``, ``report`` and ``test``."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from damage import check
from damaged_study import STUDY, TARGET, Bench, Mutation, mutable_files, mutations, values_of
from few_keys import without_others

from ecg_lightning import open_run
from ecg_lightning.cli import main
from ecg_lightning.experiments.self_consistency.compare import compare_maps
from ecg_lightning.plotting.page_blocks import Paragraph, ReportFiles
from ecg_lightning.report.judged_runs import JudgedRuns
from ecg_lightning.report.networks import networks_section
from ecg_lightning.runs.study_folder import StudyFolder
from ecg_lightning.runs.study_sealing import release_damaged
from ecg_lightning.statistics.interval_settings import IntervalSettings
from ecg_lightning.storage.readers import DamagedFileError

MUTATIONS = 25
SEED0 = f"{TARGET}/seed0"
QUICK = IntervalSettings(n_resamples=100)


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """Two networks, trained, tested and compared; not to be changed."""
    made = Bench(tmp_path_factory.mktemp("damage"))
    made.make()
    return made


@pytest.fixture(scope="session")
def before(bench: Bench) -> dict[str, Any]:
    return values_of(JudgedRuns.open(bench.study, QUICK))


@pytest.fixture
def study(bench: Bench, tmp_path: Path) -> Path:
    """A copy of the study."""
    return Path(shutil.copytree(bench.study, tmp_path / "runs" / STUDY))


def verify(folder: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str]]:
    """Exit status and lines of the command."""
    capsys.readouterr()
    try:
        main(["verify", str(folder)])
        status = 0
    except SystemExit as error:
        status = int(error.code or 0)
    return status, capsys.readouterr().out.splitlines()


def flip(path: Path, where: float = 0.5) -> None:
    content = bytearray(path.read_bytes())
    content[int(where * len(content))] ^= 2
    path.write_bytes(content)


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize("number", range(MUTATIONS))
def test_a_random_mutation_is_named_by_verify_and_by_what_a_report_reads(
    bench: Bench, before: dict[str, Any], tmp_path: Path, number: int
) -> None:
    mutation = list(mutations(mutable_files(bench.study), MUTATIONS, seed=15))[number]
    outcome, words = check(bench, mutation, tmp_path, before, again=False)
    assert outcome in ("named", "harmless"), f"{mutation}: {words}"


@pytest.mark.parametrize(
    ("mutation", "expected"),
    [
        (Mutation("flip", (f"{SEED0}/maps/saliency/rows.npy",), 0.6, 3), "recomputed"),
        (Mutation("cut", (f"{SEED0}/tables/similarity.parquet",), 0.6, 3), "recomputed"),
        (Mutation("delete", (f"{SEED0}/metrics.json",), 0, 0), "recomputed"),
        (Mutation("swap", (f"{SEED0}/examples.parquet", "test_beats.npy"), 0, 0), "recomputed"),
        (Mutation("swap", ("population.parquet", "rejected.parquet"), 0, 0), "recomputed"),
        (
            Mutation("swap", (f"{SEED0}/maps/saliency/manifest.json", f"{SEED0}/logits/manifest.json"), 0, 0),
            "recomputed",
        ),
        (Mutation("flip", (f"{SEED0}/checkpoints/last.ckpt",), 0.5, 3), "named"),
        (Mutation("flip", (f"{SEED0}/checkpoints/best.ckpt",), 0.5, 3), "refused"),
        (Mutation("flip", (f"{SEED0}/fit.done.json",), 0.5, 3), "refused"),
        (Mutation("cut", ("tables/self_consistency.parquet",), 0.5, 0), "recomputed"),
    ],
    ids=str,
)
def test_the_command_given_again_mends_it_or_names_it(
    bench: Bench, before: dict[str, Any], tmp_path: Path, mutation: Mutation, expected: str
) -> None:
    assert check(bench, mutation, tmp_path, before, again=True)[0] == expected


def test_an_untouched_study_is_whole(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in (study, study / SEED0):
        status, lines = verify(folder, capsys)
        assert status == 0
        (line,) = lines
        assert re.fullmatch(r"verify: 0 damaged; [\d,]+ files, [\d,]+ rows and [\d,]+ bytes checked in [\d.]+ s", line)
    assert open_run(study / SEED0).verify() == []


def test_verify_names_each_damaged_file_with_its_remedy_and_ends_with_1(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flip(study / SEED0 / "maps" / "smoothgrad" / "rows.npy")
    cut(study / SEED0 / "tables" / "maps.parquet")
    flip(study / "test_beats.npy")
    (study / "comparison" / TARGET / "examples.parquet").unlink()
    status, lines = verify(study, capsys)
    assert status == 1
    assert lines[-1].startswith("verify: 4 damaged; ")
    told = "\n".join(lines)
    for words in (
        r"maps/smoothgrad/rows\.npy: row \d+ contradicts its digest.*Give `test` again",
        r"tables/maps\.parquet: it has [\d,]+ bytes, [\d,]+ were written\. Give `test` again",
        r"test_beats\.npy: its content was changed .*Give `test` of any run of the study again",
        r"comparison/\S+/examples\.parquet: it is missing\. Give `compare .*` again",
    ):
        assert re.search(words, told), words
    damages = open_run(study / SEED0).verify()
    assert {one.path.name for one in damages} == {"rows.npy", "maps.parquet"}


def test_verify_imports_no_lightning(study: Path) -> None:
    code = (
        "import sys, ecg_lightning.cli as cli\n"
        f"cli.main(['verify', {str(study)!r}])\n"
        "print(sorted({'lightning', 'captum', 'matplotlib', 'torch'} & set(sys.modules)))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert told.splitlines()[-1] == "[]"


def test_verify_refuses_what_is_no_study(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="verify: there is no folder"):
        main(["verify", str(tmp_path / "nothing")])
    with pytest.raises(SystemExit, match=r"verify: .*holds no runs"):
        main(["verify", str(tmp_path)])


def test_verify_names_the_damaged_files_of_a_cache(
    bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (whole,) = (path.parent for path in (bench.base / "cache").glob("*/cache.json"))
    for name, why in (
        ("beats.npy", "row"),
        ("examples.parquet", "digest"),
        ("cache.json", ""),
        ("beats.digests.npy", ""),
    ):
        cache = Path(shutil.copytree(whole, tmp_path / name / whole.name))
        assert verify(cache, capsys)[0] == 0
        flip(cache / name)
        for folder in (cache, cache.parent):
            status, lines = verify(folder, capsys)
            assert status == 1
            assert f"{cache / name}: " in lines[0]
            assert why in lines[0]
            assert "--overwrite true" in lines[0]
        (cache / name).unlink()
        if name != "cache.json":
            assert f"{cache / name}: it is missing" in verify(cache, capsys)[1][0]


def test_an_unfinished_test_is_said_and_what_is_there_is_checked(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (study / SEED0 / "test.done.json").unlink()
    status, lines = verify(study / SEED0, capsys)
    assert status == 0
    assert "test not finished" in lines[0]
    flip(study / SEED0 / "maps" / "saliency" / "rows.npy")
    cut(study / SEED0 / "tables" / "maps.parquet")
    (study / SEED0 / "maps" / "smoothgrad" / "manifest.json").unlink()
    shutil.copy(study / SEED0 / "logits" / "manifest.json", study / SEED0 / "similarity" / "pearson" / "manifest.json")
    status, lines = verify(study / SEED0, capsys)
    assert status == 1
    assert lines[-1].startswith("verify: 4 damaged")
    assert any("smoothgrad/manifest.json: it is missing" in line for line in lines)


SEALS = ("sealed", "digest", "stage")
LATER = ("limits", "n_test_set", "incomplete", "unfinished_fit", "target_info")  # keys that only sealed records have


def rewritten(path: Path, *left_out: str) -> None:
    path.write_text(json.dumps({key: v for key, v in json.loads(path.read_text()).items() if key not in left_out}))


def made_by_an_earlier_version(study: Path) -> None:
    for path in study.rglob("*.done.json"):
        rewritten(path, *SEALS, *LATER)


@pytest.mark.parametrize("stage", ["fit", "test"])
def test_a_record_whose_seals_are_gone_is_damaged(study: Path, capsys: pytest.CaptureFixture[str], stage: str) -> None:
    rewritten(study / SEED0 / f"{stage}.done.json", *SEALS)
    status, lines = verify(study, capsys)
    assert status == 1
    assert any(f"{stage}.done.json: it is not the record of a finished {stage}" in line for line in lines)


def test_records_of_an_earlier_version_are_used_and_said(
    study: Path, before: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    made_by_an_earlier_version(study)
    status, lines = verify(study, capsys)
    assert status == 0
    assert sum("earlier version" in line for line in lines) == 3  # two runs and the comparison
    assert set(values_of(JudgedRuns.open(study, QUICK))) == set(before)
    cut(study / SEED0 / "examples.parquet")
    status, lines = verify(study, capsys)
    assert status == 1
    assert any("examples.parquet: it can't be read" in line for line in lines)
    with pytest.raises(DamagedFileError, match=r"examples\.parquet is damaged"):
        _ = open_run(study / SEED0).examples


def test_a_damaged_run_is_left_out_by_name_and_the_rest_is_reported(study: Path) -> None:
    flip(study / SEED0 / "logits" / "rows.npy", 0.9)
    runs = JudgedRuns.open(study, QUICK)
    assert [run.path.name for run in runs] == ["seed1"]
    (one,) = runs.unfinished
    assert "damaged: logits/rows.npy: row" in one.reason
    assert "give `test` again" in one.reason.lower()
    with pytest.warns(UserWarning, match=r"seed 0 is left out: damaged: logits/rows\.npy"):
        found = compare_maps(StudyFolder.open(study), processes=1)
    assert found.single == [TARGET]


def test_a_study_of_damaged_runs_only_is_an_error_that_names_them(study: Path) -> None:
    for seed in (0, 1):
        flip(study / TARGET / f"seed{seed}" / "metrics.json")
    for command in ("report", "compare"):
        with pytest.raises(SystemExit, match=r"holds no finished run.*seed 0: damaged: metrics\.json.*seed 1: damaged"):
            main([command, str(study)])


def test_what_no_number_is_read_from_leaves_no_run_out(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flip(next((study / SEED0 / "figures").rglob("*.svg")))
    flip(study / SEED0 / "checkpoints" / "last.ckpt")
    flip(study / SEED0 / "checkpoints" / "best.ckpt")
    status, lines = verify(study, capsys)
    assert (status, len(lines)) == (1, 4)
    runs = JudgedRuns.open(study, QUICK)
    assert len(runs) == 2
    words = " ".join(
        block.text
        for blocks in networks_section(runs, ReportFiles(runs.study)).details.values()
        for block in blocks
        if isinstance(block, Paragraph)
    )
    assert f"{TARGET}, seed 0: best.ckpt is damaged" in words
    assert str(study) not in words


def test_damaged_files_of_the_study_leave_their_part_out(study: Path) -> None:
    flip(study / "population.parquet")
    flip(study / "test_beats.npy")
    runs = JudgedRuns.open(study, QUICK)
    assert {path.name for path in runs.damaged} == {"population.parquet", "test_beats.npy"}
    assert runs.population.empty
    with pytest.warns(UserWarning, match=r"test_beats\.npy is damaged.*no ECG is drawn"):
        assert next(iter(runs)).test_beats is None
    assert runs.rejected is not None


def test_a_damaged_comparison_is_one_error_with_the_command_that_mends_it(study: Path) -> None:
    flip(study / "tables" / "self_consistency.parquet")
    with pytest.raises(SystemExit, match=r"report: .*self_consistency\.parquet.*give `compare .*` again"):
        main(["report", str(study)])


def test_digests_that_alone_are_damaged_are_restored_and_nothing_is_computed(
    bench: Bench, study: Path, before: dict[str, Any]
) -> None:
    store = study / SEED0 / "maps" / "smoothgrad"
    whole, computed = (store / "digests.0.npy").read_bytes(), (store / "rows.npy").stat().st_mtime_ns
    flip(store / "digests.0.npy", 0.9)
    with pytest.warns(UserWarning, match=r"digests\.0\.npy was damaged .* and is restored"):
        bench.give("test", 0, study.parent)
    assert (store / "digests.0.npy").read_bytes() == whole
    assert (store / "rows.npy").stat().st_mtime_ns == computed
    assert open_run(study / SEED0).verify() == []


LATE_CALLBACK = """
from pathlib import Path

import pandas as pd
from lightning.pytorch import Callback


class Late(Callback):
    def on_test_end(self, trainer, pl_module):
        folder = Path(trainer.default_root_dir)
        assert not (folder / "test.done.json").exists()
        pd.DataFrame({"late": [1]}).to_parquet(folder / "tables" / "late.parquet")
"""
FEW_CALLBACKS = """
maps: { methods: [saliency] }
test_record: { n_resamples: 100 }
trainer: { callbacks: [{ class_path: late_callback.Late }] }
""" + without_others("maps", "test_record")


def test_the_seal_comes_after_every_callback_and_damaged_leftovers_are_not_sealed(
    bench: Bench, study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "late_callback.py").write_text(LATE_CALLBACK)
    (tmp_path / "late.yaml").write_text(FEW_CALLBACKS)
    monkeypatch.syspath_prepend(tmp_path)
    run = study / SEED0
    flip(run / "tables" / "perturbation.parquet")  # of a callback that is not asked for this time
    arguments = bench.arguments("test", 0, study.parent)
    arguments[arguments.index(str(bench.base / "few.yaml"))] = str(tmp_path / "late.yaml")
    with pytest.warns(UserWarning, match=r"perturbation\.parquet is damaged .* and taken away"):
        main(arguments)
    sealed = json.loads((run / "test.done.json").read_text())["sealed"]
    assert "tables/late.parquet" in sealed
    assert "perturbation/block50_interpolation_none/morf/manifest.json" in sealed  # of the test before
    assert not (run / "tables" / "perturbation.parquet").exists()  # better none than a wrong one
    assert open_run(run).verify() == []


def test_a_fit_does_not_call_damaged_weights_trained(bench: Bench, study: Path) -> None:
    bench.give("fit", 0, study.parent)  # nothing to do
    flip(study / SEED0 / "checkpoints" / "best.ckpt")
    with pytest.raises(DamagedFileError, match=r"best\.ckpt is damaged.*delete the folder checkpoints"):
        bench.give("fit", 0, study.parent)


def test_the_remedy_of_a_changed_record_of_a_fit_works(bench: Bench, study: Path) -> None:
    record = study / SEED0 / "fit.done.json"
    flip(record)
    with pytest.raises(DamagedFileError, match=r"fit\.done\.json is damaged.*Delete it and give `fit` again"):
        bench.give("fit", 0, study.parent)
    record.unlink()
    weights = (study / SEED0 / "checkpoints" / "best.ckpt").read_bytes()
    bench.give("fit", 0, study.parent)
    assert (study / SEED0 / "checkpoints" / "best.ckpt").read_bytes() == weights
    assert open_run(study / SEED0).verify() == []


@pytest.mark.parametrize(
    ("damage", "gone", "kept"),
    [
        (lambda run: flip(run / "metrics.json"), ["test.done.json"], ["fit.done.json"]),
        (lambda run: flip(run / "fit.done.json"), ["fit.done.json"], ["test.done.json"]),
        (lambda run: flip(run / "checkpoints" / "best.ckpt"), [], ["fit.done.json", "test.done.json"]),
        (lambda run: flip(run.parents[1] / "population.parquet"), ["test.done.json"], ["fit.done.json"]),
        (lambda run: flip(run.parents[1] / "compare.done.json"), ["../../compare.done.json"], ["test.done.json"]),
        (lambda run: None, [], ["fit.done.json", "test.done.json", "../../compare.done.json"]),
    ],
)
def test_a_study_runs_damaged_stages_again(
    study: Path, damage: Callable[[Path], None], gone: list[str], kept: list[str]
) -> None:
    run = study / SEED0
    damage(run)
    lines = list(release_damaged(study))
    assert bool(lines) == (gone != [] or "best" in " ".join(lines))
    assert [(run / name).exists() for name in (*gone, *kept)] == [False] * len(gone) + [True] * len(kept)
    assert (study / TARGET / "seed1" / "test.done.json").exists()
    assert list(release_damaged(study.parent / "not_there")) == []
