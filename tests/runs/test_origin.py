"""Whether a file is the user's own or lies in a run folder, which can be a stranger's."""

from pathlib import Path

import pytest

from ecg_lightning import open_run
from ecg_lightning.runs.origin import lies_in_run
from ecg_lightning.storage.plain_values import UntrustedContentError


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


@pytest.mark.parametrize(
    "marker", ["fit.done.json", "test.done.json", "checkpoints/best.ckpt", "checkpoints/last.ckpt"]
)
@pytest.mark.parametrize("name", ["fit.yaml", "tune/methods.yaml", "wandb/run-1/files/config.yaml"])
def test_a_run_folder_is_known_wherever_it_lies(tmp_path: Path, marker: str, name: str) -> None:
    own = touch(tmp_path / "downloads/configs/mine.yaml")
    file = touch(tmp_path / "downloads/their_run" / name)
    assert not lies_in_run(file, tmp_path / "runs")
    touch(tmp_path / "downloads/their_run" / marker)
    assert lies_in_run(file, tmp_path / "runs")
    assert not lies_in_run(own, tmp_path / "runs")


def test_everything_below_runs_and_below_a_study_lies_in_a_run(tmp_path: Path) -> None:
    assert lies_in_run(touch(tmp_path / "runs/a/b/c/d/e/f/g/any.yaml"), tmp_path / "runs")
    file = touch(tmp_path / "elsewhere/study/af/seed0/fit.yaml")
    assert not lies_in_run(file, tmp_path / "runs")
    touch(tmp_path / "elsewhere/study/splits.parquet")
    assert lies_in_run(file, tmp_path / "runs")


def test_links_lead_to_where_a_file_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = touch(tmp_path / "runs/a/fit.yaml")
    (tmp_path / "link.yaml").symlink_to(file)
    (tmp_path / "folder").symlink_to(file.parent)
    own = touch(tmp_path / "own.yaml")
    (file.parent / "linked.yaml").symlink_to(own)
    monkeypatch.chdir(tmp_path)
    for path in ("link.yaml", "folder/fit.yaml", "runs/a/linked.yaml", "./folder/../a/fit.yaml"):
        assert lies_in_run(path), path
    assert not lies_in_run("own.yaml")


def test_what_is_no_file_and_what_is_fetched(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing", "a" * 5000, "a\0b", ""):
        assert not lies_in_run(path)
    for address in ("https://example.org/a.yaml", "file:///a.yaml"):
        assert lies_in_run(address)


def test_a_run_s_configuration_does_not_read_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_SECRET", "told")
    run = tmp_path / "study/sinus_rhythm/seed0"
    file = touch(run / "test.yaml")
    file.write_text("learning_rate: 5e-4\nwhat: [$A, '{b}']\n")
    assert open_run(run).config() == {"learning_rate": 5e-4, "what": ["$A", "{b}"]}
    file.write_text("data:\n  root: [a, '${oc.env:A_SECRET}']\n")
    with pytest.raises(UntrustedContentError, match=r"test\.yaml: data\.root\[1\]: found the reference .*oc\.env"):
        open_run(run).config()
