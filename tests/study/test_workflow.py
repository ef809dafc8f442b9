"""The settings, jobs and workflow of a study."""

import fcntl
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import yaml

from ecg_lightning.report.commands import run
from ecg_lightning.shipped import find_config, shipped_configs
from ecg_lightning.storage.hashing import digest_file, digest_settings
from ecg_lightning.study.job import environment, run_job
from ecg_lightning.study.jobs import all_jobs, fit_job, prepare_job
from ecg_lightning.study.jobs import test_job as job_of_test
from ecg_lightning.study.progress import Progress, events, failed_jobs
from ecg_lightning.study.settings import load_study

BASE = {
    "study": "micro",
    "targets": ["sinus_rhythm", "atrial_fibrillation"],
    "seeds": [0, 2],
    "fit": {
        "configs": ["configs/fit.yaml", "configs/data/synthetic.yaml"],
        "options": {"trainer.max_epochs": 2, "data.source.init_args.n_patients": 50},
    },
    "test": {"configs": ["configs/test.yaml", "configs/data/synthetic.yaml"]},
}


def write(path: Path, **changes: object) -> Path:
    path.write_text(yaml.safe_dump({**BASE, "runs": str(path.parent / "runs"), **changes}))
    return path


def test_every_shipped_study_is_sound() -> None:
    studies = [name for name in shipped_configs() if name.startswith("configs/studies/")]
    assert "configs/studies/quickstart.yaml" in studies
    for name in studies:
        study = load_study(name)
        assert len(list(all_jobs(study))) == 1 + 2 * len(study.targets) * len(study.seeds)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"targets": ["sinus rhythm"]}, "targets: expected a list of targets of the source, .*sinus rhythm"),
        ({"targets": []}, "targets missing or empty"),
        ({"seeds": [0, 0]}, "distinct whole numbers"),
        ({"seeds": [-1]}, "distinct whole numbers"),
        ({"threads": 0}, "threads: expected a whole number from 1"),
        ({"prepare_threads": "all"}, "prepare_threads: expected a whole number from 1, got 'all'"),
        ({"tests": {}}, "tests: unknown, do you mean test"),
        ({"fit": {"configs": ["configs/fits.yaml"]}}, "fit: there is no configuration configs/fits.yaml"),
        (
            {"fit": {"configs": "configs/fit.yaml"}},
            r"fit\.configs: expected a list of files, as \[configs/fit\.yaml\], got 'configs/fit\.yaml'",
        ),
        ({"study": "a/b"}, "name of one folder"),
        ({"only": [{"targets": ["low_qrs_voltage"], "test": {}}]}, "low_qrs_voltage not in the study's targets"),
    ],
)
def test_impossible_settings_name_file_and_setting(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        load_study(write(tmp_path / "study.yaml", **changes))


def test_jobs_say_what_is_run(tmp_path: Path) -> None:
    only = [{"targets": ["atrial_fibrillation"], "seeds": [0], "test": {"options": {"data.batch_size": 7}}}]
    study = load_study(write(tmp_path / "study.yaml", only=only), root="/data")
    fit = fit_job(study, "sinus_rhythm", 2)
    assert fit.arguments[:3] == ("fit", "--config", str(find_config("configs/fit.yaml")))
    for pair in (("--target", "sinus_rhythm"), ("--seed_everything", "2"), ("--root", "/data"), ("--study", "micro")):
        place = fit.arguments.index(pair[0])
        assert fit.arguments[place : place + 2] == pair
    assert fit.done.name == "fit.done.json"
    assert "--data.batch_size" in job_of_test(study, "atrial_fibrillation", 0).arguments
    assert "--data.batch_size" not in job_of_test(study, "atrial_fibrillation", 2).arguments
    prepare = prepare_job(study)
    assert "--data.source.init_args.n_patients" in prepare.arguments
    assert "--trainer.max_epochs" not in prepare.arguments


def test_tests_of_a_study_draw_nothing_unless_the_study_says_so(tmp_path: Path) -> None:
    config = tmp_path / "mine.yaml"
    config.write_text("figures: summary")
    configs = [*BASE["test"]["configs"], str(config)]  # type: ignore[index]
    only = [{"targets": ["atrial_fibrillation"], "test": {"options": {"figures": "all"}}}]
    study = load_study(write(tmp_path / "study.yaml", test={"configs": configs}, only=only))
    plain, told = (job_of_test(study, target, 0) for target in ("sinus_rhythm", "atrial_fibrillation"))
    assert plain.arguments[:4] == ("test", "--figures", "none", "--config")
    assert plain.arguments.count("--figures") == 1
    words = [value for flag, value in zip(told.arguments, told.arguments[1:], strict=False) if flag == "--figures"]
    assert words == ["none", "all"]
    assert "--figures" not in (*fit_job(study, "sinus_rhythm", 0).arguments, *prepare_job(study).arguments)


def test_what_a_study_does_not_draw_repeats_no_finished_test(tmp_path: Path) -> None:
    """The hash of a job's settings is that of a study that knows nothing of figures."""
    job = job_of_test(load_study(write(tmp_path / "study.yaml")), "sinus_rhythm", 0)
    own = [job.arguments[0], *job.arguments[3:]]
    content = [
        digest_file(value) if flag == "--config" else value for flag, value in zip(["", *own], own, strict=False)
    ]
    assert job.settings == digest_settings({"arguments": list(content)})


def test_prepare_s_options_are_written_as_the_fit_s_are(tmp_path: Path) -> None:
    options = {"data.source.init_args.evidence": False, "data.processes": None, "data.split_seed": 3}
    options["data.representation"] = "RecordingWindow"
    fit = {**BASE["fit"], "options": options}
    arguments = prepare_job(load_study(write(tmp_path / "study.yaml", fit=fit))).arguments
    for option, text in (
        ("--data.source.init_args.evidence", "false"),
        ("--data.processes", "null"),
        ("--data.representation", "RecordingWindow"),
    ):
        assert arguments[arguments.index(option) + 1] == text
    assert "--data.split_seed" not in arguments  # a cache is of all splits


def test_a_changed_setting_changes_the_jobs_that_depend_on_it(tmp_path: Path) -> None:
    config = tmp_path / "mine.yaml"
    config.write_text("trainer: {max_epochs: 3}")
    fit = {**BASE["fit"], "configs": [*BASE["fit"]["configs"], str(config)]}
    path = write(tmp_path / "study.yaml", fit=fit)
    before = {job.name: job.settings for job in all_jobs(load_study(path))}
    config.write_text("trainer: {max_epochs: 4}")  # the file's content counts, and not its name
    after = {job.name: job.settings for job in all_jobs(load_study(path))}
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {name for name in before if name.startswith("fit")}


def run_help(folder: Path, name: str = "fit a seed0") -> int:
    return run_job(name, ["fit", "--help"], folder / "a.lock", folder / "logs" / "a.log", folder / "done", 1)


@pytest.mark.study
def test_a_job_keeps_its_log_and_tells_when_it_begins_and_ends(tmp_path: Path) -> None:
    assert run_help(tmp_path) == 0
    assert "usage" in (tmp_path / "logs/a.log").read_text().lower()
    told = list(events(tmp_path / "logs", 0.0))
    assert [event["what"] for event in told] == ["begins", "ends"]
    assert failed_jobs(tmp_path / "logs", 0.0) == {}
    wrong = run_job("bad", ["fit", "--nonsense"], tmp_path / "b.lock", tmp_path / "logs/b.log", tmp_path / "done", 1)
    assert wrong != 0
    assert failed_jobs(tmp_path / "logs", 0.0) == {"bad": str(tmp_path / "logs/b.log")}


def test_a_job_that_leaves_no_record_has_failed(tmp_path: Path) -> None:
    log, done = tmp_path / "logs/a.log", tmp_path / "fit.done.json"
    places = ["--lock", str(tmp_path / "a.lock"), "--log", str(log), "--done", str(done)]
    command = [sys.executable, "-m", "ecg_lightning.study.job", "--name", "fit a seed0", *places, "--", "fit", "--help"]
    assert subprocess.run(command, check=False).returncode == 1
    assert f"without writing {done}, so it is not finished" in log.read_text()
    done.touch()
    assert subprocess.run(command, check=False).returncode == 0


def test_a_job_waits_for_a_survivor_of_a_killed_study(tmp_path: Path) -> None:
    """The lock is held by another process, as by the command of a job whose parent was killed."""
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import fcntl, sys, time\n"
            f"held = open({str(tmp_path / 'a.lock')!r}, 'w')\n"
            "fcntl.flock(held, fcntl.LOCK_EX)\n"
            "print('held', flush=True)\n"
            "time.sleep(60)",
        ],
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    thread = threading.Thread(target=run_help, args=(tmp_path,))
    thread.start()
    time.sleep(0.5)
    assert list(events(tmp_path / "logs", 0.0)) == []
    assert "waiting" in (tmp_path / "logs/a.log").read_text()
    holder.kill()
    thread.join(timeout=60)
    assert [event["what"] for event in events(tmp_path / "logs", 0.0)] == ["begins", "ends"]


def test_the_lock_outlives_the_job_s_own_process(tmp_path: Path) -> None:
    """A command inherits it: who kills the job alone does not free it."""
    lock = tmp_path / "a.lock"
    code = (
        "import fcntl, subprocess, sys\n"
        f"held = open({str(lock)!r}, 'w')\n"
        "fcntl.flock(held, fcntl.LOCK_EX)\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'], "
        "pass_fds=[held.fileno()], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)\n"
        "print(child.pid, flush=True)\n"
    )
    child = int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
    try:
        with lock.open("w") as held, pytest.raises(BlockingIOError):
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.kill(child, 9)


def test_jobs_side_by_side_have_their_share_of_the_threads() -> None:
    assert environment(3)["OMP_NUM_THREADS"] == "3"
    assert "WANDB_SERVICE" not in environment(1)


def test_progress_counts_jobs_and_estimates_what_is_left(tmp_path: Path) -> None:
    study = load_study(write(tmp_path / "study.yaml"))
    progress = Progress(study, 0.0)
    assert progress.line() == "study micro: 0 of 9 jobs done, 0 running"
    waits = Progress(study, 0.0, lambda: "2 waiting (Resources)")
    assert waits.line() == "study micro: 0 of 9 jobs done, 0 running, 2 waiting (Resources)"
    logs = study.folder / "logs"
    logs.mkdir(parents=True)
    lines = [
        {"job": "prepare", "what": "ends", "time": 1.0, "seconds": 10.0, "log": "p"},
        {"job": "fit sinus_rhythm seed0", "what": "ends", "time": 2.0, "seconds": 100.0, "log": "f"},
        {"job": "test sinus_rhythm seed0", "what": "ends", "time": 3.0, "seconds": 60.0, "log": "t"},
        {"job": "fit sinus_rhythm seed2", "what": "begins", "time": time.time(), "seconds": None, "log": "g"},
    ]
    (logs / "events.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"half": ')
    for job in list(all_jobs(study))[:3]:
        job.done.parent.mkdir(parents=True, exist_ok=True)
        job.done.write_text("{}")
    # three fits of 100 s (one of them just begun) and three tests of 60 s, one at a time
    assert "3 of 9 jobs done, 1 running, about 8 min left" in progress.line()
    (logs / "events.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines[:3]))
    assert progress.line() == "study micro: 3 of 9 jobs done, 0 running"  # as where `first` has come to its end
    page = study.folder / "report.html"
    page.touch()
    assert progress.line() == f"study micro: 3 of 9 jobs done, 0 running; the first network's page: {page}"
    assert "page" not in Progress(study, time.time() + 1).line()  # that one was written before this call


def dry_run(path: Path, *options: str) -> list[str]:
    """What Snakemake says that it would do, by lines."""
    command = [sys.executable, "-m", "ecg_lightning.cli", "study", "--config", str(path), "--dry-run"]
    done = subprocess.run(
        [*command, "--printshellcmds", *options], capture_output=True, text=True, cwd=path.parent, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_first_stops_at_the_first_network_and_its_page(tmp_path: Path) -> None:
    pytest.importorskip("snakemake", reason="pip install 'ecg-lightning[study]'")
    said = dry_run(write(tmp_path / "study.yaml"), "first")
    counts = [line.split() for line in said]
    assert all([rule, "1"] in counts for rule in ("prepare", "fit", "test", "first"))
    assert not any(line.startswith("rule compare") for line in said)
    assert any("ecg_lightning.cli report" in line for line in said)
    assert any("--target sinus_rhythm --seed_everything 0" in line for line in said)


def test_first_all_goes_on_behind_the_page(tmp_path: Path) -> None:
    pytest.importorskip("snakemake", reason="pip install 'ecg-lightning[study]'")
    said = dry_run(write(tmp_path / "study.yaml"), "first", "all")
    counts = [line.split() for line in said]
    assert all([rule, n] in counts for rule, n in (("fit", "4"), ("test", "4"), ("first", "1"), ("report", "1")))
    jobs = "\n".join(said).split("\nrule ")
    urgent = [job.partition(":")[0] for job in jobs if "priority: highest" in job]
    assert sorted(urgent) == ["first", "fit", "prepare", "test"]
    assert all(
        "seed0" in job and "sinus_rhythm" in job for job in jobs if job.startswith(("fit", "test")) and "highest" in job
    )


def test_a_page_of_some_networks_is_not_the_end_of_the_study(tmp_path: Path) -> None:
    pytest.importorskip("snakemake", reason="pip install 'ecg-lightning[study]'")
    path = write(tmp_path / "study.yaml")
    (tmp_path / "runs/micro").mkdir(parents=True)
    (tmp_path / "runs/micro/report.html").touch()
    counts = [line.split() for line in dry_run(path)]
    assert all([rule, count] in counts for rule, count in (("test", "4"), ("compare", "1"), ("report", "1")))


def test_a_dry_run_lists_the_jobs_and_runs_none(tmp_path: Path) -> None:
    pytest.importorskip("snakemake", reason="pip install 'ecg-lightning[study]'")
    path = write(tmp_path / "study.yaml", report={"ids": "keep"})
    said = dry_run(path)
    for rule, count in (("prepare", 1), ("fit", 4), ("test", 4), ("compare", 1)):
        assert [rule, str(count)] in [line.split() for line in said]
    (reported,) = (line for line in said if "ecg_lightning.cli report" in line)
    assert "runs/micro --ids keep >" in reported
    assert not list(tmp_path.rglob("*.done.json"))


def test_errors_are_told_without_a_traceback(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"study: .*no configuration"):
        run("study", ["--config", str(tmp_path / "nothing.yaml")])
    with pytest.raises(SystemExit, match=r"compare: there is no folder"):
        run("compare", [str(tmp_path / "nothing")])


def test_a_shipped_configuration_is_found_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_config("configs/fit.yaml").is_file()
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs/fit.yaml").write_text("")
    assert find_config("configs/fit.yaml") == Path("configs/fit.yaml")  # one's own comes first
    with pytest.raises(FileNotFoundError, match="neither here"):
        find_config("configs/nothing.yaml")
