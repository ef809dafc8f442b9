"""A running Snakemake: how it is stopped with its jobs, and what of it has failed."""

import re
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Final

from ecg_lightning.study.progress import broken_off_jobs, failed_jobs
from ecg_lightning.study.settings import StudySettings

SECONDS_TO_STOP: Final = 30.0
_LAST_LINES: Final = 12

_FAILED_RULE: Final = re.compile(r"^Error in rule \w+[^\n]*:\n((?:[ \t]+[^\n]*\n)+)", re.MULTILINE)
_DETAIL: Final = re.compile(r"^ {4}(message|log): (.*)$", re.MULTILINE)


def stop_snakemake(process: "subprocess.Popen[bytes]") -> None:
    """End Snakemake and its jobs, here or on a cluster; it writes down which are incomplete.

    On SIGINT it cancels the jobs of a cluster, but waits for those of this machine; on SIGTERM it waits for all.
    """
    import psutil  # comes with Snakemake

    if process.poll() is not None:
        return
    jobs = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    for job in jobs:
        with suppress(psutil.NoSuchProcess):
            job.terminate()
    try:
        process.wait(SECONDS_TO_STOP - 5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def what_failed(study: StudySettings, log: Path, started: float) -> str:
    """Say which jobs have failed, with their logs, and what to do.

    Args:
        study: Settings of the study.
        log: Log of Snakemake.
        started: When it was started, seconds since the epoch.
    """
    logs = study.folder / "logs"
    text = log.read_text(encoding="utf-8", errors="replace")
    failed = failed_jobs(logs, started) | broken_off_jobs(logs, started)
    said = _errors(text)
    told = {Path(path).name for path in failed.values()}
    # jobs that did not come as far as to report: cancelled in the queue, say, and those behind the last test
    failed |= {Path(path).stem: path for path in said if Path(path).name not in told}
    messages = {Path(path).name: message for path, message in said.items()}
    lines = [f"  {name}: {path}{messages.get(Path(path).name, '')}" for name, path in failed.items()]
    lines = lines or [f"  Snakemake: {log}", *(f"    {line}" for line in text.splitlines()[-_LAST_LINES:])]
    return (
        f"the study {study.study} is not complete; what failed, with its log:\n"
        + "\n".join(lines)
        + "\nMend the cause and give the same command again: what is done is kept. To compare the runs that are "
        f"finished: python -m ecg_lightning.cli compare {study.folder}"
    )


def _errors(text: str) -> dict[str, str]:
    """Log of a job that Snakemake calls failed -> what the cluster says of it, and where."""
    found = {}
    for block in _FAILED_RULE.findall(text):
        details = dict(_DETAIL.findall(block))
        log, *of_cluster = details.get("log", "").partition(" (check log")[0].split(", ")
        message = details.get("message", "").partition(". ")[0] if of_cluster else ""
        found[log] = f"\n    {message}: {', '.join(of_cluster)}" if message else ""
    return found
