"""What is asked of the runs of a study and of a single one."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from random_study import write_random_study

from ecg_lightning.experiments.verdicts import preconditions_of, verdicts_of
from ecg_lightning.runs.run import open_run
from ecg_lightning.runs.target_runs import TargetRuns
from ecg_lightning.verdicts.checks import margins


def test_runs_without_audits_are_not_measured(tmp_path: Path) -> None:
    names = ("atrial_fibrillation", "sinus_rhythm")
    study = write_random_study(tmp_path / "study", names, [0, 1], ["gradcam", "saliency"], n_ecgs=10)
    targets = [TargetRuns.of(name, {seed: open_run(study / name / f"seed{seed}") for seed in (0, 1)}) for name in names]
    table = verdicts_of(targets, study / "comparison")
    claims = dict.fromkeys((one.check, one.claim) for one in margins())
    assert len(table) == len(claims) * 2 * 2
    assert table["state"].eq("not_measured").all()
    assert table["method"].tolist() == ["saliency", "gradcam"] * 2 * len(claims)  # as the paper lists them
    alone = verdicts_of(targets[:1], methods=["ig_smoothgrad"])
    assert set(alone["method"]) == {"ig_smoothgrad"}  # asked for, whatever became of it
    assert "self_consistency" not in set(alone["check"])
    assert list(preconditions_of([])) == ["target", "method", "precondition", "state", "value", "reason"]
