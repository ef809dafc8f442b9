"""Targets of an archive's own, on real records: PTB-XL's classes, and a code through a user's label map."""

import shutil
from pathlib import Path

import pandas as pd
import pytest
from few_keys import without_others
from older_caches import make_older
from workplace import CONFIGS

from ecg_lightning import open_run
from ecg_lightning.cli import main
from ecg_lightning.data.label_checks import LabelsError
from ecg_lightning.data.prepare import prepare
from ecg_lightning.data.sources import PtbXl
from ecg_lightning.ecg import TARGETS
from ecg_lightning.runs.finished import target_info_of

LABEL_MAP = """\
SR: sinus_rhythm
NDT: repolarisation
NST_: repolarisation
targets:
  repolarisation: {title: Non-specific repolarisation, short_title: NSR}
"""


@pytest.fixture(scope="module")
def cache(data_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real records' beats, made once."""
    folder = tmp_path_factory.mktemp("cache")
    prepare(PtbXl(data_root / "ptbxl"), folder, processes=1, progress=False)
    return folder


def arguments(stage: str, root: Path, cache: Path, runs: Path, target: str, *more: str) -> list[str]:
    small = ("--config", str(CONFIGS / "model/small.yaml"), "--trainer.max_epochs", "1") if stage == "fit" else ()
    return [
        *(stage, "--config", str(CONFIGS / f"{stage}.yaml"), "--config", str(CONFIGS / "data/ptbxl.yaml"), *small),
        *("--root", str(root), "--target", target, "--study", "own", "--runs", str(runs), "--data.split", "folds"),
        *("--data.cache_dir", str(cache), "--data.processes", "1", "--data.n_backgrounds", "5"),
        *("--trainer.accelerator", "cpu", "--trainer.logger", "false", "--trainer.enable_progress_bar", "false", *more),
    ]


def test_a_superclass_of_ptbxl_is_fitted_and_tested(data_root: Path, cache: Path, tmp_path: Path) -> None:
    few = tmp_path / "few.yaml"
    few.write_text("maps: { methods: [saliency] }\n" + without_others("maps", "test_record", "result_summary"))
    for stage, more in (("fit", ()), ("test", ("--config", str(few)))):
        main(arguments(stage, data_root / "ptbxl", cache, tmp_path / "runs", "STTC", *more))
    run = open_run(tmp_path / "runs/own/STTC/seed0")
    table = pd.read_csv(data_root / "ptbxl/ptbxl_database.csv")
    codes = pd.read_csv(data_root / "ptbxl/scp_statements.csv", index_col=0)["diagnostic_class"].dropna()
    tested = table[table["strat_fold"] == 10].set_index("ecg_id").loc[run.examples["ecg_id"].astype(int)]
    found = [{codes[code] for code in codes.index if f"'{code}'" in said} for said in tested["scp_codes"]]
    expected = [float("STTC" in classes) if classes else None for classes in found]
    assert run.examples["label"].astype(object).where(run.examples["label"].notna(), None).tolist() == expected
    assert 0 < run.examples["label"].sum() < len(run.examples)
    assert 0.0 <= run.metrics["auroc"]["value"] <= 1.0
    assert target_info_of(run.paths).title == "ST/T change"


def test_an_archive_s_own_code_is_a_target_by_five_lines_of_yaml(data_root: Path, tmp_path: Path) -> None:
    assert len(LABEL_MAP.splitlines()) == 5
    (tmp_path / "mine.yaml").write_text(LABEL_MAP)
    own = ("--data.source.init_args.label_map", str(tmp_path / "mine.yaml"))
    main(arguments("fit", data_root / "ptbxl", tmp_path / "cache", tmp_path / "runs", "repolarisation", *own))
    assert (tmp_path / "runs/own/repolarisation/seed0/fit.done.json").is_file()


def test_a_cache_without_the_target_says_how_to_make_it_anew(data_root: Path, cache: Path, tmp_path: Path) -> None:
    (found,) = cache.glob("ptbxl-*/")
    older = tmp_path / "cache" / found.name
    shutil.copytree(found, older)
    make_older(older)
    examples = pd.read_parquet(older / "examples.parquet")
    kept = [*examples.columns[: 7 + len(TARGETS)], "heart_rate", "n_beats"]
    examples[kept].to_parquet(older / "examples.parquet")
    with pytest.raises(LabelsError, match=r"has no labels of the target STTC: .*--overwrite true"):
        main(arguments("fit", data_root / "ptbxl", tmp_path / "cache", tmp_path / "runs", "STTC"))


def test_a_misspelt_target_names_the_nearest(data_root: Path, cache: Path, tmp_path: Path) -> None:
    with pytest.raises(LabelsError, match=r"ptbxl has no target STTT: the nearest are .*STTC"):
        main(arguments("fit", data_root / "ptbxl", cache, tmp_path / "runs", "STTT"))
    assert not list((tmp_path / "runs").rglob("seed*"))


@pytest.mark.parametrize("target", ["../STTC", "a b", "tables"])
def test_a_name_that_is_no_safe_folder_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], target: str
) -> None:
    config = tmp_path / "target.yaml"
    config.write_text(f"target: {target}\n")
    line = arguments("fit", tmp_path, tmp_path / "cache", tmp_path / "runs", target)
    place = line.index("--target")
    for given in (line, [*line[:place], *line[place + 2 :], "--config", str(config)]):
        with pytest.raises(SystemExit):
            main(given)
        assert f"'{target}' is no name of a target" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [config]
