"""A real Slurm of one node below one folder: munged, slurmctld and slurmd with ports, keys and sockets of their own."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

CPUS: Final = 8
"""Configured, whatever the machine has: no job is bound to a core."""

PARTITION: Final = "all"
DOWN: Final = "closed"
"""A partition that takes jobs and never starts them."""

DAEMONS: Final = ("munged", "slurmctld", "slurmd")
CLIENTS: Final = ("sbatch", "srun", "squeue", "scancel", "scontrol", "sinfo", "sacct")
_PATIENCE: Final = 60.0  # s, until the node is idle

_SLURM_CONF: Final = """\
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ctld_port}
SlurmdPort={d_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,bf_interval=2
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=10
InactiveLimit=0
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=16000 State=UNKNOWN
PartitionName={partition} Nodes={host} Default=YES MaxTime=INFINITE State=UP
PartitionName={down} Nodes={host} Default=NO MaxTime=INFINITE State=DOWN
"""


class ClusterError(RuntimeError):
    """The cluster can't be had here; the message says why."""


@dataclass(frozen=True)
class Cluster:
    """A running Slurm.

    Attributes:
        folder: All its files.
        environment: Variables that its clients need.
    """

    folder: Path
    environment: dict[str, str]

    def ask(self, *command: str) -> str:
        """Output of a client's command, such as ``squeue --noheader``."""
        return subprocess.run(
            command, env=self.environment, capture_output=True, text=True, check=True, timeout=60
        ).stdout

    def jobs(self) -> list[tuple[str, str, str]]:
        """Id, state and comment (the study's rule and its wildcards) of the jobs that wait or run."""
        lines = self.ask("squeue", "--noheader", "--format=%i|%T|%k").splitlines()
        return [(one[0], one[1], one[2]) for one in (line.split("|", 2) for line in lines)]


def why_not() -> str | None:
    """What keeps the cluster from being had here; None where nothing does."""
    if os.geteuid() != 0:
        return "slurmd needs root"
    lacking = [name for name in (*DAEMONS, *CLIENTS) if _found(name) is None]
    return f"apt-get install slurm-wlm munge: there is no {', '.join(lacking)}" if lacking else None


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """Start the daemons, wait until the node is idle, and stop them and all that they have started.

    Args:
        folder: A new one with a short path (a socket's is at most 107 characters).

    Raises:
        ClusterError: A daemon ended, or the node did not come up.
    """
    folder.chmod(0o755)  # munged refuses a socket that others can't reach
    daemons: list[subprocess.Popen[bytes]] = []
    try:
        _write(folder)
        environment = _environment(folder)
        munge = folder / "munge"
        daemons.append(_daemon(folder, environment, "munged", "--foreground", "--key-file", f"{munge}/key",
            "--socket", f"{munge}/socket", "--pid-file", f"{munge}/pid", "--log-file", f"{munge}/log",
            "--seed-file", f"{munge}/seed", "--num-threads", "2"))  # fmt: skip
        _wait_for(munge / "socket", daemons, folder)
        daemons.append(_daemon(folder, environment, "slurmctld", "-D", "-c"))
        daemons.append(_daemon(folder, environment, "slurmd", "-D", "-c"))
        running = Cluster(folder, environment)
        _wait_until_idle(running, daemons)
        yield running
    finally:
        _stop(folder, daemons)


def _write(folder: Path) -> None:
    for name in ("munge", "state", "spool"):
        (folder / name).mkdir(mode=0o755)
    key = folder / "munge/key"
    key.write_bytes(secrets.token_bytes(128))
    key.chmod(0o400)
    ctld_port, d_port = _free_ports(2)
    settings = {"cpus": CPUS, "partition": PARTITION, "down": DOWN, "ctld_port": ctld_port, "d_port": d_port}
    text = _SLURM_CONF.format(folder=folder, host=socket.gethostname().partition(".")[0], **settings)
    (folder / "slurm.conf").write_text(text)
    # jobs are tracked without cgroups, but slurmd does not start without one of their plugins
    unified = Path("/sys/fs/cgroup/cgroup.controllers").exists()
    plugin = "CgroupPlugin=cgroup/v2\nIgnoreSystemd=yes\n" if unified else "CgroupPlugin=cgroup/v1\n"
    (folder / "cgroup.conf").write_text(plugin)


def _environment(folder: Path) -> dict[str, str]:
    """Where clients find the configuration; Snakemake's plugin takes the variable from the `srun` of its jobs."""
    (folder / "bin").mkdir(exist_ok=True)
    srun = folder / "bin/srun"
    srun.write_text(f'#!/bin/sh\nSLURM_CONF={folder}/slurm.conf exec {_found("srun")} "$@"\n')
    srun.chmod(0o755)
    path = f"{folder}/bin:{os.environ.get('PATH', '')}"
    return {**os.environ, "SLURM_CONF": str(folder / "slurm.conf"), "PATH": path}


def _free_ports(number: int) -> list[int]:
    sockets = [socket.socket() for _ in range(number)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def _found(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def _daemon(folder: Path, environment: dict[str, str], name: str, *arguments: str) -> "subprocess.Popen[bytes]":
    program = _found(name)
    if program is None:
        raise ClusterError(f"there is no {name}")
    with (folder / f"{name}.out").open("wb") as output:
        return subprocess.Popen([program, *arguments], env=environment, stdout=output, stderr=subprocess.STDOUT)


def _wait_for(path: Path, daemons: "list[subprocess.Popen[bytes]]", folder: Path) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not path.exists():
        _check(daemons, folder, deadline)
        time.sleep(0.05)


def _wait_until_idle(running: Cluster, daemons: "list[subprocess.Popen[bytes]]") -> None:
    deadline = time.monotonic() + _PATIENCE
    while True:
        with suppress(subprocess.SubprocessError):
            if set(running.ask("sinfo", "--noheader", "--partition", PARTITION, "--format=%T").split()) == {"idle"}:
                return
        _check(daemons, running.folder, deadline)
        time.sleep(0.2)


def _check(daemons: "list[subprocess.Popen[bytes]]", folder: Path, deadline: float) -> None:
    dead = [str(one.args) for one in daemons if one.poll() is not None]
    if dead or time.monotonic() > deadline:
        logs = [path for pattern in ("*.out", "*.log", "munge/log") for path in sorted(folder.glob(pattern))]
        tails = "\n".join(f"--- {path.name}\n{path.read_text(errors='replace')[-1500:]}" for path in logs)
        raise ClusterError(f"{'ended: ' + ', '.join(dead) if dead else 'the node does not come up'}\n{tails}")


def _stop(folder: Path, daemons: "list[subprocess.Popen[bytes]]") -> None:
    """The jobs first; the daemons in the opposite order of their start; what hangs is killed."""
    environment = _environment(folder)
    with suppress(OSError, subprocess.SubprocessError):
        subprocess.run(["scancel", "--full", "--signal=KILL", "--user=root"], env=environment, timeout=20, check=False)
        time.sleep(0.5)
    for daemon in reversed(daemons):
        daemon.terminate()
        try:
            daemon.wait(20)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()
    for pid in _left_over(folder):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _left_over(folder: Path) -> list[int]:
    """Step daemons of this cluster that have outlived it: they carry its configuration in their environment."""
    mark = f"SLURM_CONF={folder}/slurm.conf".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if int(process.name) != os.getpid() and mark in (process / "environ").read_bytes().split(b"\0"):
                found.append(int(process.name))
    return found
