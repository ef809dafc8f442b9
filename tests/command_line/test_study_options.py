"""Study files: what they ask for is refused before a job begins, and their names are no commands."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from ecg_lightning.cli import main
from ecg_lightning.command_line.study_options import check_study

ROOT = Path(__file__).parents[2]
POPEN = {"class_path": "subprocess.Popen", "init_args": {"args": "touch it_ran", "shell": True}}
BELOW = {"class_path": "torch.nn.Linear", "init_args": {"in_features": 3, "out_features": 1, "device": POPEN}}


def study(path: Path, **changes: Any) -> Path:
    stages: dict[str, Any] = {
        "fit": {"configs": ["configs/fit.yaml", "configs/data/synthetic.yaml"]},
        "test": {"configs": ["configs/test.yaml", "configs/data/synthetic.yaml"]},
    }
    content = {"study": "micro", "targets": ["sinus_rhythm"], "seeds": [0], **stages}
    for key, value in changes.items():
        content[key] = {**stages[key], **value} if key in stages else value
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"fit": {"options": {"model.network": POPEN}}},
            "fit.options.model.network.class_path: found",
        ),
        (
            {"fit": {"options": {"model.network": BELOW}}},
            "fit.options.model.network.init_args.device: found",
        ),
        ({"test": {"options": {"trainer.callbacks": [POPEN]}}}, "test.options.trainer.callbacks[0].class_path: found"),
        ({"prepare": {"options": {"data.source": "os.system"}}}, "prepare.options.data.source: found os.system"),
        (
            {"only": [{}, {"test": {"options": {"trainer.logger": str(POPEN)}}}]},
            "only[1].test.options.trainer.logger.class_path: found subprocess.Popen",
        ),
    ],
)
def test_options_outside_of_what_is_declared_are_refused(changes: dict[str, Any], message: str) -> None:
    file = study(Path("mine.yaml"), **changes)
    with pytest.raises(SystemExit, match=re.escape(f"study: mine.yaml: {message}")):
        main(["study", "--config", str(file), "--dry-run"])
    assert not Path("it_ran").exists()
    assert not Path("runs").exists()


def test_a_study_file_of_a_run_folder_names_classes_of_the_project_only() -> None:
    options = {"model.network": "torch.nn.Identity"}
    check_study(["--config", str(study(Path("mine.yaml"), fit={"options": options}))])
    theirs = study(Path("runs/theirs/study.yaml"), fit={"options": options})
    with pytest.raises(SystemExit, match=r"study: .*theirs/study\.yaml: fit\.options\.model\.network: found 'torch"):
        check_study(["--config", str(theirs)])
    study(theirs, root="${oc.env:HOME}")
    with pytest.raises(SystemExit, match=r"study\.yaml: root: found the reference"):
        check_study([f"--config={theirs}"])
    check_study(["--config", str(theirs), "--runs", "others"])  # with these runs, the file is the user's own


def test_what_is_no_study_is_left_to_the_command() -> None:
    Path("list.yaml").write_text("[1]")
    Path("broken.yaml").write_text("{")
    study(Path("odd.yaml"), only=3)
    for name in ("missing.yaml", "list.yaml", "broken.yaml", "odd.yaml"):
        check_study(["--config", name])
    check_study([])


def test_shipped_studies_need_no_lightning_to_be_checked() -> None:
    code = (
        "import sys; from ecg_lightning.command_line.study_options import check_study\n"
        "for name in ('quickstart', 'paper', 'ptbxl'): check_study(['--config', f'configs/studies/{name}.yaml'])\n"
        "print('torch' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT).stdout
    assert told.strip() == "False"


def test_the_name_of_a_study_is_no_command() -> None:
    """Compare fails, since there is nothing to compare; the shell that starts it reads the folder's name."""
    name = "a$(touch it_ran)"
    run = Path("runs") / name / "sinus_rhythm/seed0"
    run.mkdir(parents=True)
    for done in (run.parents[1] / "prepare.done.json", run / "fit.done.json", run / "test.done.json"):
        done.write_text("{}")  # as earlier versions wrote it: nothing is sealed
    with pytest.raises(SystemExit, match=r"the study .* is not complete"):
        main(["study", "--config", str(study(Path("mine.yaml"), study=name)), "--cores", "1"])
    assert "examples.parquet" in (run.parents[1] / "logs/compare.log").read_text()
    assert not list(Path().rglob("it_ran"))
