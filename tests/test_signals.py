"""A process that is told to stop ends at once, whatever it does, and leaves nothing and nobody behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

BUSY = "import hashlib; hashlib.pbkdf2_hmac('sha256', b'a', b'b', 2_000_000_000)"  # compiled, an hour or so
SET_UP = "from ecg_lightning.endings import before_end, end_when_told; end_when_told()"
SAID = "stopped by {}; what is done is kept: give the same command again"


def run(*lines: str, **variables: str) -> "subprocess.Popen[str]":
    """A program that has come to its last line, or to where it prints `ready` itself."""
    *first, last = lines
    code = "\n".join([SET_UP, *first, "print('ready', flush=True)", last])
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        # a shell that runs these tests in the background has them ignore SIGINT, which children would inherit
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.2)
    return process


def stop(process: "subprocess.Popen[str]", number: int = signal.SIGTERM) -> tuple[int, str, float]:
    """Exit status, what was said, and after how many seconds."""
    began = time.monotonic()
    process.send_signal(number)
    try:
        _, said = process.communicate(timeout=30)
    finally:
        process.kill()
    return process.returncode, said.strip(), time.monotonic() - began


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_compiled_code_does_not_keep_it(number: signal.Signals, status: int) -> None:
    assert stop(run(BUSY), number)[:2] == (status, SAID.format(number.name))


def test_code_that_catches_everything_does_not_keep_it() -> None:
    lines = ["def go():", "  while True:", "    try: time.sleep(0.01)", "    except BaseException: pass", "import time"]
    assert stop(run(*lines, "go()"))[:2] == (143, SAID.format("SIGTERM"))


def test_what_hangs_is_not_waited_for() -> None:
    status, said, seconds = stop(run("import time", "before_end(lambda: time.sleep(100))", BUSY))
    assert (status, said) == (143, SAID.format("SIGTERM"))
    assert 3.0 < seconds < 10.0


def test_what_fails_is_not_heard_of() -> None:
    assert stop(run("before_end(lambda: 1 / 0)", BUSY))[:2] == (143, SAID.format("SIGTERM"))


def test_nothing_is_finished_after_the_word(tmp_path: Path) -> None:
    """While it clears up, which may take seconds, the main thread stands still."""
    write = f"while True: time.sleep(0.1); open({str(tmp_path / 'ticks')!r}, 'a').write('.')"
    process = run("import time", "before_end(lambda: time.sleep(2))", write)
    process.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    ticks = (tmp_path / "ticks").stat().st_size
    process.communicate(timeout=30)
    assert (tmp_path / "ticks").stat().st_size == ticks


def test_workers_and_temporary_files_go_too(tmp_path: Path) -> None:
    lines = [
        "import multiprocessing, time",
        "from ecg_lightning.storage.atomic import atomic_path",
        "worker = multiprocessing.get_context('fork').Process(target=time.sleep, args=(100,), daemon=True)",
        "worker.start()",
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(worker.pid))",
        f"part = atomic_path({str(tmp_path / 'whole.txt')!r})",
        "part.__enter__().write_text('half')",
    ]
    process = run(*lines, BUSY)
    assert len(list(tmp_path.iterdir())) == 2
    assert stop(process)[0] == 143
    assert [path.name for path in tmp_path.iterdir()] == ["pid"]
    time.sleep(0.2)
    assert not alive(int((tmp_path / "pid").read_text()))


@pytest.mark.parametrize("pause", [0.0, 0.001, 0.01, 0.1])
def test_signals_in_a_row_end_it_once(pause: float) -> None:
    """A scheduler and the job's own process both send one: the second interrupts the first one's handler."""
    process = run("import time", "before_end(lambda: time.sleep(0.3))", "while True: time.sleep(0.001)")
    for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
        process.send_signal(number)
        time.sleep(pause)
    _, said = process.communicate(timeout=30)
    assert process.returncode in (143, 130)
    assert said.count("stopped by") == 1


def alive(pid: int) -> bool:
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_forked_child_that_is_stopped_does_not_end_its_parent() -> None:
    lines = [
        "import multiprocessing, time",
        "worker = multiprocessing.get_context('fork').Process(target=time.sleep, args=(100,))",
        "worker.start(); time.sleep(0.3); worker.terminate(); worker.join()",
    ]
    process = run(*lines, "time.sleep(0.5); print(worker.exitcode)")
    said, errors = process.communicate(timeout=30)
    assert (process.returncode, said, errors) == (0, "-15\n", "")


def test_another_rank_than_zero_ends_in_silence() -> None:
    assert stop(run(BUSY, LOCAL_RANK="1"))[:2] == (143, "")


def test_a_signal_that_is_ignored_stays_so() -> None:
    """As in a background job of a script: Ctrl-C is not meant for it."""
    code = f"import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n{SET_UP}\nimport time\ntime.sleep(2)"
    process = subprocess.Popen([sys.executable, "-c", code])
    time.sleep(1.0)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
