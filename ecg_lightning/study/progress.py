"""This module says how far a study is, from the events of its jobs: what runs, and how long it still takes."""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any, Final

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ecg_lightning.runs.layout import REPORT
from ecg_lightning.study.job import EVENTS
from ecg_lightning.study.jobs import Job, all_jobs
from ecg_lightning.study.settings import StudySettings

_EVERY: Final = 1.0  # s
_EVERY_LINE: Final = 30.0  # s, where the output is no terminal; and between two questions to the cluster


class Progress:
    """The view of a running study.

    Args:
        study: Settings of the study.
        started: When it was started, seconds since the epoch; older events are of an earlier call.
        waiting: Says which jobs wait and why, where a cluster runs them; queried every half minute.
    """

    def __init__(self, study: StudySettings, started: float, waiting: Callable[[], str | None] = lambda: None) -> None:
        self.study, self.started, self._waiting = study, started, waiting
        self._asked = 0.0
        self._said: str | None = None
        self.jobs = list(all_jobs(study))
        self.logs = study.folder / "logs"

    def watch(self, process: "subprocess.Popen[bytes]") -> None:
        """Show the view until the process ends."""
        console = Console(stderr=True)
        if not console.is_terminal:
            self._lines(process, console)
            return
        with Live(self.view(), console=console, transient=False) as live:
            while process.poll() is None:
                time.sleep(_EVERY)
                live.update(self.view())
            live.update(self.view())

    def view(self) -> Group:
        """Return what runs, and a line of the whole."""
        table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
        for name, seconds, log in self._running():
            table.add_row(name, f"for {_duration(seconds)}", str(log))
        return Group(Text(self.line()), table)

    def line(self) -> str:
        """Write a line such as ``study quickstart: 7 of 19 jobs done, 2 running, about 3 min left``."""
        done = [job for job in self.jobs if job.done.is_file()]
        running = self._running()
        left = self._seconds_left(done, running)
        words = f"study {self.study.study}: {len(done)} of {len(self.jobs)} jobs done, {len(running)} running"
        if waiting := self._who_waits():
            words += f", {waiting}"
        if failed := failed_jobs(self.logs, self.started):
            words += f", {len(failed)} failed"
        if len(done) == len(self.jobs):
            return f"{words}; comparing, reporting and publishing"
        # where nothing runs nothing is left to wait for: `first` has ended, or a job between two others begins
        if left is not None and running:
            words += f", about {_duration(left)} left"
        page = self.study.folder / REPORT
        is_new = page.is_file() and page.stat().st_mtime >= self.started
        return f"{words}; the first network's page: {page}" if is_new else words

    def _lines(self, process: "subprocess.Popen[bytes]", console: Console) -> None:
        last = 0.0
        while process.poll() is None:
            if time.time() - last >= _EVERY_LINE:
                console.print(self.line(), highlight=False, soft_wrap=True)
                last = time.time()
            time.sleep(_EVERY)
        console.print(self.line(), highlight=False, soft_wrap=True)

    def _who_waits(self) -> str | None:
        if time.time() - self._asked >= _EVERY_LINE:
            self._asked, self._said = time.time(), self._waiting()
        return self._said

    def _running(self) -> list[tuple[str, float, str]]:
        """Name, seconds and log of the jobs that have begun and not ended."""
        open_: dict[str, dict[str, Any]] = {}
        for event in events(self.logs, self.started):
            if event["what"] == "begins":
                open_[event["job"]] = event
            else:
                open_.pop(event["job"], None)
        return [(name, time.time() - event["time"], event["log"]) for name, event in open_.items()]

    def _seconds_left(self, done: list[Job], running: list[tuple[str, float, str]]) -> float | None:
        """From the median duration of the finished jobs of each rule; None where a rule has none yet."""
        rule_of = {job.name: job.rule for job in self.jobs}
        took: dict[str, list[float]] = {}
        for event in events(self.logs, 0.0):
            if event["what"] == "ends" and event["job"] in rule_of:
                took.setdefault(rule_of[event["job"]], []).append(event["seconds"])
        names = {job.name for job in done}
        todo = [job for job in self.jobs if job.name not in names]
        if any(job.rule not in took for job in todo):
            return None
        spent = {name: seconds for name, seconds, _ in running}
        total = sum(max(median(took[job.rule]) - spent.get(job.name, 0.0), 0.0) for job in todo)
        return total / max(len(running), 1)


def events(logs: Path, since: float) -> Iterator[dict[str, Any]]:
    """Yield events of the jobs since a time; a line that is half written is left for later."""
    path = logs / EVENTS
    if not path.is_file():
        return
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            event = json.loads(line)
        except json.JSONDecodeError:
            continue
        if event["time"] >= since:
            yield event


def failed_jobs(logs: Path, since: float) -> dict[str, str]:
    """Name -> log of the jobs whose last end since a time was a failure."""
    return _last_said(logs, since, "fails")


def broken_off_jobs(logs: Path, since: float) -> dict[str, str]:
    """Name -> log of the jobs that have begun since a time and not said how they ended; of a study that has ended."""
    return _last_said(logs, since, "begins")


def _last_said(logs: Path, since: float, what: str) -> dict[str, str]:
    last = {event["job"]: event for event in events(logs, since)}
    return {name: event["log"] for name, event in last.items() if event["what"] == what}


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes / 60:.1f} h"
