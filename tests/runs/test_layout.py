"""Where the files of a run lie."""

from pathlib import Path

import pytest

from ecg_lightning.runs.layout import RunPaths


def test_the_layout_of_the_contract() -> None:
    run = RunPaths.of("runs", "study", "sinus_rhythm", 3)
    assert run.path == Path("runs/study/sinus_rhythm/seed3")
    assert run.best_checkpoint == run.path / "checkpoints" / "best.ckpt"
    assert run.last_checkpoint == run.path / "checkpoints" / "last.ckpt"
    assert run.splits == Path("runs/study/splits.parquet")
    assert run.fit_record.parent == run.path


@pytest.mark.parametrize("study", ["", ".", "..", "a/b", "/a", "a/", "../a"])
def test_a_study_is_one_folder(study: str) -> None:
    with pytest.raises(ValueError, match="must be the name of one folder"):
        RunPaths.of("runs", study, "sinus_rhythm", 0)
