"""A study that is told to stop ends with its jobs; what has failed is named, whoever tells of it."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from test_kill import events, start, write_study

from ecg_lightning.study.job import EVENTS
from ecg_lightning.study.settings import load_study
from ecg_lightning.study.snakemake_run import what_failed

CANCELLED = """
Error in rule fit:
    message: SLURM-job '7' failed, SLURM status is: 'CANCELLED'. Detailed failure reason unavailable.For further
    jobid: 3
    output: /x/runs/micro/a/seed0/fit.done.json
    log: /x/runs/micro/logs/fit_a_seed0.log, /x/slurm_logs/rule_fit/a_0/7.log (check log file(s) for error details)
    shell:
        cd /x
Error in rule report:
    jobid: 1
    log: /x/runs/micro/logs/report.log (check log file(s) for error details)
"""


def test_a_study_ends_with_its_jobs(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "stopped")
    process = start(folder)
    deadline = time.monotonic() + 120
    while not list(folder.glob("cache/*/parts")):
        assert process.poll() is None, (folder / "output.log").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    below = psutil.Process(process.pid).children(recursive=True)
    assert len(below) >= 3  # Snakemake, the job and its command
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.wait(40) == 143
    print(f"after {time.monotonic() - began:.1f} s")
    _, alive = psutil.wait_procs(below, timeout=15)  # the server of the workers takes seconds
    assert alive == []
    said = (folder / "output.log").read_text()
    assert said.count("stopped by SIGTERM; what is done is kept: give the same command again") == 1
    assert [event["what"] for event in events(folder)] == ["begins", "fails"]
    assert not list(folder.rglob("*.done.json"))


def test_a_job_s_process_waits_for_its_command(tmp_path: Path) -> None:
    """A cluster tells all processes of a job at once; the job then still says that it has failed."""
    job = ["--name", "a", "--lock", str(tmp_path / "a.lock"), "--log", str(tmp_path / "logs/a.log"), "--done", "x"]
    prepare = ["prepare", "--config", "configs/data/synthetic.yaml", "--data.cache_dir", str(tmp_path / "cache")]
    many = ["--data.source.init_args.n_patients", "5000", "--data.processes", "1"]
    process = subprocess.Popen([sys.executable, "-m", "ecg_lightning.study.job", *job, "--", *prepare, *many])
    while not list(tmp_path.glob("cache/*/parts/*")):
        assert process.poll() is None
        time.sleep(0.05)
    process.terminate()
    assert process.wait(30) == 143
    assert '"fails"' in (tmp_path / "logs" / EVENTS).read_text()
    assert "stopped by SIGTERM" in (tmp_path / "logs/a.log").read_text()


def test_what_failed_is_named_by_whoever_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    study = load_study("configs/studies/quickstart.yaml")
    logs = study.folder / "logs"
    logs.mkdir(parents=True)
    lines = [
        '{"job": "fit b seed0", "what": "begins", "time": 2, "seconds": null, "log": "logs/fit_b_seed0.log"}',
        '{"job": "test b seed1", "what": "begins", "time": 2, "seconds": null, "log": "logs/test_b_seed1.log"}',
        '{"job": "test b seed1", "what": "fails", "time": 3, "seconds": 1, "log": "logs/test_b_seed1.log"}',
        '{"job": "test b seed2", "what": "begins", "time": 2, "seconds": null, "log": "logs/test_b_seed2.log"}',
        '{"job": "test b seed2", "what": "ends", "time": 3, "seconds": 1, "log": "logs/test_b_seed2.log"}',
    ]
    (logs / EVENTS).write_text("\n".join(lines))
    log = logs / "snakemake.log"
    log.write_text(CANCELLED)
    told = what_failed(study, log, 1.0).splitlines()[1:-1]
    assert told == [
        "  test b seed1: logs/test_b_seed1.log",
        "  fit b seed0: logs/fit_b_seed0.log",  # killed: it did not come to tell
        "  fit_a_seed0: /x/runs/micro/logs/fit_a_seed0.log",  # cancelled in the queue
        "    SLURM-job '7' failed, SLURM status is: 'CANCELLED': /x/slurm_logs/rule_fit/a_0/7.log",
        "  report: /x/runs/micro/logs/report.log",
    ]
    (logs / EVENTS).unlink()
    log.write_text("WorkflowError: no such rule")
    assert what_failed(study, log, 1.0).splitlines()[1:3] == [f"  Snakemake: {log}", "    WorkflowError: no such rule"]
