"""CONTRIBUTING's experiment, method and source, added to a copy of the project as they stand there, do what is said."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

REPOSITORY = Path(__file__).parents[1]
TARGET = "first_degree_av_block"
COMMANDS = """
import json, sys
from ecg_lightning.cli import main
commands, sys.argv = json.loads(sys.argv[1]), ["ecg_lightning"]
for command in commands:
    main(command)
"""
"""One after the other in one process, which saves the imports."""

_BLOCK = re.compile(r"^```\w+\n# (\S+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with the experiment in it."""
    root = tmp_path_factory.mktemp("project")
    for name in ("ecg_lightning", "callbacks", "configs", "docs"):
        shutil.copytree(REPOSITORY / name, root / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for path, content in _BLOCK.findall((REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")):
        (root / path).parent.mkdir(exist_ok=True)
        (root / path).write_text(content, encoding="utf-8")
    (root / "ecg_lightning/experiments/peak/__init__.py").write_text('"""Peaks of the maps."""\n', encoding="utf-8")
    _add_line(root / "ecg_lightning/experiments/registry.py", '    "faithfulness",\n', '    "peak",\n')
    line = '    "deeplift_shap": "ecg_lightning.attribution.background.DeepLiftShap",\n'
    own = '    "mean_slope": "ecg_lightning.attribution.mean_slope.MeanSlope",\n'
    _add_line(root / "ecg_lightning/method_names.py", line, own)
    return root


def _add_line(path: Path, line: str, own: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count(line) == 1
    path.write_text(text.replace(line, line + own), encoding="utf-8")


def python(project: Path, *arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(project), str(project / "docs")))}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=project, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def study(project: Path) -> Path:
    """A study of one network, with its report."""
    shared = (
        *("--config", "configs/data/synthetic.yaml", "--data.source.init_args.n_patients", "60", "--study", "peaks"),
        *("--data.split_seed", "2", "--data.n_backgrounds", "4", "--data.cache_dir", "cache", "--data.processes", "1"),
        *("--target", TARGET, "--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"),
        *("--trainer.logger", "false"),
    )
    fit = ("--config", "configs/fit.yaml", "--config", "configs/model/small.yaml", "--trainer.max_epochs", "1")
    left_out = ("similarity", "randomization", "perturbation", "localization", "faithfulness", "completeness")
    few = ("background_dependence", "beat_pictures", "map_pictures", "predictions", "result_summary", *left_out)
    methods = json.dumps(dict.fromkeys(_others(project)))
    off = [word for key in few for word in (f"--{key}", "null")]
    test = ("--config", "configs/test.yaml", *shared, f"--maps.methods={methods}", *off)
    commands = [["fit", *fit, *shared], ["test", *test], ["report", "runs/peaks"]]
    python(project, "-c", COMMANDS, json.dumps(commands))
    return project / "runs/peaks"


def _others(project: Path) -> list[str]:
    """Every method but two."""
    names = python(project, "-c", "from ecg_lightning.method_names import METHOD_NAMES; print(*METHOD_NAMES)").split()
    return [name for name in names if name not in ("saliency", "mean_slope")]


def test_it_is_a_key_of_a_test(project: Path) -> None:
    printed = python(project, "-m", "ecg_lightning.cli", "test", "--config", "configs/test.yaml", "--peak.n_resamples",
                     "200", "--print_config")  # fmt: skip
    assert re.search(r"peak:\n\s+class_path: callbacks\.map_peak\.MapPeak\n\s+init_args:\n\s+n_resamples: 200", printed)


def test_its_table_check_and_claim_are_in_the_run(study: Path) -> None:
    tables = study / TARGET / "seed0/tables"
    heights = pd.read_parquet(tables / "peak.parquet")
    assert (heights["height"] > 1).all()
    verdicts = pd.read_parquet(tables / "verdicts.parquet")
    row = verdicts[(verdicts["check"] == "peak") & (verdicts["method"] == "saliency")].iloc[0]
    assert (row["claim"], row["n_seeds"]) == ("stands_out", 1)
    height = heights.set_index("method").loc["saliency", "height"]
    assert row["effect"] == pytest.approx(height, rel=0.2)  # patients count once, not their ECGs


def test_it_is_on_the_page_and_in_the_scorecard(study: Path) -> None:
    page = (study / "report.html").read_text(encoding="utf-8")
    assert "Peaks of the maps" in page
    assert "Magnitude of the highest point in root mean squares of the map" in page
    assert "Peaks" in re.search(r'<section id="scorecard".*?</section>', page, re.DOTALL)[0]
    assert "Its highest point has, in root mean squares," in page


def test_it_is_on_the_dashboard_and_in_the_documentation(project: Path, study: Path) -> None:
    found = python(
        project,
        "-c",
        "from ecg_lightning.report.dashboard import workspace; from ecg_lightning.report.judged_runs import JudgedRuns;"
        "from ecg_lightning.statistics.interval_settings import IntervalSettings; import _hooks;"
        f"runs = JudgedRuns.open({str(study)!r}, IntervalSettings());"
        "print([one.name for one in workspace(runs, 'project', '').sections]); print(_hooks.experiments_table())",
    )
    assert "'Peaks of the maps'" in found
    assert "| does one point of a map stand out? | `peak` | `peak/` | `peak` |" in found


def test_the_method_is_computed_linted_and_drawn(study: Path) -> None:
    run = study / TARGET / "seed0"
    assert (run / "maps/mean_slope/rows.npy").is_file()
    lint = pd.read_parquet(run / "tables/lint.parquet").set_index("method")
    assert lint.loc["mean_slope", "verdict"] == "safe"
    assert "Mean slope" in (study / "report.html").read_text(encoding="utf-8")


def test_the_source_is_prepared(project: Path, tmp_path: Path) -> None:
    code = (
        "import sys, numpy as np, pandas as pd; from ecg_lightning.data.sources import Synthetic;"
        "source = Synthetic(n_patients=6); entries = source.entries();"
        "[np.save(f'{sys.argv[1]}/{one.ecg_id}.npy', source.read(one).signal) for one in entries[:6]];"
        "pd.DataFrame([{'ecg_id': one.ecg_id, 'patient_id': one.patient_id, 'age': 50, 'sex': 'female',"
        "'atrial_fibrillation': one.labels['atrial_fibrillation']} for one in entries[:7]])"
        ".to_csv(f'{sys.argv[1]}/ecgs.csv', index=False);"
        "from ecg_lightning.cli import main; main(sys.argv[2:])"
    )
    source = "ecg_lightning.data.sources.one_array_each.OneArrayEach"
    said = python(
        project, "-c", code, str(tmp_path), "prepare", f"--data.source={source}", "--root", str(tmp_path),
        "--data.cache_dir", str(tmp_path / "cache"), "--data.processes", "1",
    )  # fmt: skip
    assert "6 ECGs used, 1 rejected" in said
