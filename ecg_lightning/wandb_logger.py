"""Weights & Biases without surprises: it never asks for a key, and a run without network is a run offline."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.fabric.utilities import rank_zero_info
from lightning.pytorch.loggers import WandbLogger

from ecg_lightning.storage.hashing import digest_bytes

if TYPE_CHECKING:
    from wandb.sdk.wandb_run import Run

MODE_VARIABLE: Final = "WANDB_MODE"
ID_VARIABLE: Final = "WANDB_RUN_ID"
SWEEP_VARIABLE: Final = "WANDB_SWEEP_ID"
_LONGEST_ID: Final = 64  # characters

_NOTHING_OF_THE_MACHINE: Final = {
    "x_disable_meta": True,  # command line, executable, paths
    "x_disable_machine_info": True,
    "x_save_requirements": False,
    "disable_git": True,
    "disable_code": True,
    "save_code": False,
    "console": "off",  # what the program prints
    **dict.fromkeys(("host", "username", "email", "program", "program_relpath", "program_abspath"), ""),
}
"""Settings with which W&B finds nothing out about the machine; they come before its environment variables."""


def run_group(study: str, target: str, seed: int) -> str:
    """Name the W&B group of one trained model: its fit and its test run are two runs of this group.

    Args:
        study: Name of the study.
        target: The diagnosis.
        seed: The training repetition.

    Returns:
        The same path that the runs have on disk under ``runs/``.
    """
    return f"{study}/{target}/seed{seed}"


def own_run_id(shared: str, group: str | None, stage: str | None) -> str:
    """The identifier of one stage of one network, where the environment gives the same one to all of them.

    Args:
        shared: ``WANDB_RUN_ID``, which every stage, and every job of a study, inherits.
        group: Such as ``study/target/seed0``; see ``run_group``.
        stage: ``fit``, ``test`` ...

    Returns:
        Another one for every stage and network, and the same again for a stage that is resumed.
    """
    own = "-".join(part for part in (shared, *(group or "").split("/"), stage) if part)
    if len(own) <= _LONGEST_ID:
        return own
    digest = digest_bytes(own.encode(), 6)
    return f"{own[: _LONGEST_ID - len(digest) - 1]}-{digest}"


class RunLogger(WandbLogger):
    """Lightning's ``WandbLogger`` that decides by itself whether it can be online.

    The constructor only configures; the run begins when Lightning first asks for ``experiment``, on rank zero. It is
    online where W&B finds a key (``WANDB_API_KEY``, netrc, W&B's settings files, an identity token) and offline where
    it finds none or can't reach its server; then one line says why, and how to upload the run later. ``WANDB_MODE``
    (``online``, ``offline``, ``disabled``) and the other variables of W&B are respected, but for those of a single run,
    which every stage and every job of a study inherits: ``WANDB_RUN_ID`` becomes the beginning of the stage's own
    identifier, unless an agent of a sweep has set it, and ``WANDB_NAME``, ``WANDB_RUN_GROUP`` and ``WANDB_JOB_TYPE``
    give way to name, group and stage. W&B's own messages are off unless ``WANDB_SILENT=false``, and all its files, its
    cache included, lie below ``save_dir`` unless ``WANDB_CACHE_DIR`` or ``WANDB_DATA_DIR`` say otherwise.

    Checkpoints are not uploaded, nor is what W&B finds out about the machine: host, user, command line, paths, git,
    packages, processors, and what the program prints.

    Args:
        project: W&B project.
        save_dir: Folder of the run; made where it is missing. W&B writes to its subfolder ``wandb``.
        group: Joins the runs of one model; see ``run_group``.
        job_type: The stage: ``fit``, ``test`` ...
        name: Name of the run on the dashboard, by default the group and the stage.
        tags: Words to find the run by.
        notes: A longer description.
        entity: Team or user, by default that of the key.
        version: Identifier of a run to continue, by default a new one. Offline runs can't be continued: use the group.
        offline: True keeps the run offline, False insists on being online, None decides.
        machine: Whether W&B may also record the machine, the command and the output.

    Raises:
        ValueError: When the run begins: ``offline=False`` or ``WANDB_MODE=online``, and there is no usable key.
        wandb.errors.CommError: When the run begins: the same, and the server can't be reached.
    """

    def __init__(
        self,
        project: str = "ecg_lightning",
        save_dir: str | Path = "runs",
        group: str | None = None,
        job_type: str | None = None,
        name: str | None = None,
        tags: Sequence[str] | None = None,
        notes: str | None = None,
        entity: str | None = None,
        version: str | None = None,
        offline: bool | None = None,
        machine: bool = False,
    ) -> None:
        super().__init__(
            project=project,
            save_dir=str(save_dir),
            name=name or " ".join(part for part in (group, job_type) if part) or None,
            version=version,
            group=group,
            job_type=job_type,
            tags=None if tags is None else list(tags),
            notes=notes,
            entity=entity,
        )
        self._folder = Path(save_dir)
        self._requested_offline = offline
        self._machine = machine

    @property
    @rank_zero_experiment
    def experiment(self) -> "Run":
        """The W&B run, begun at the first call; on other ranks than zero a dummy that does nothing."""
        if self._experiment is None:
            self._begin()
        return self._experiment

    @property
    def place(self) -> str | None:
        """Say where the run is: its page, or the folder of an offline run; None where W&B is switched off."""
        run = self.experiment
        if run.disabled:
            return None
        return str(Path(run.dir).parent) if run.offline else run.url

    def finish(self, exit_code: int = 0) -> None:
        """End the run, so that its files are whole and the next logger of this process gets a run of its own.

        Args:
            exit_code: Of this process; another one than 0 makes it a failed run.
        """
        if self._experiment is not None:
            self._experiment.finish(exit_code)
            self._experiment = None

    def _begin(self) -> None:
        """Begin the run in the mode that is possible, and say in one line where it is."""
        self._set_environment()
        self._take_own_id()
        import wandb  # slow, and reads the environment

        named_online = os.environ.get(MODE_VARIABLE) in ("online", "shared")
        insists = named_online if self._requested_offline is None else not self._requested_offline
        mode, reason = self._mode(insists=insists)
        try:
            run = self._start(mode)
        except wandb.errors.CommError as error:
            if insists or mode == "offline":
                raise
            reason = f"the server can't be reached ({_first_line(error)})"
            run = self._start("offline")
        _announce(run, reason)

    def _start(self, mode: str | None) -> Any:
        """Let Lightning begin the run; it attaches to the run of a parent process where there is one."""
        if mode is not None:
            self._wandb_init["mode"] = mode
        if not self._machine:
            self._wandb_init["settings"] = dict(_NOTHING_OF_THE_MACHINE)
        return super().experiment

    def _set_environment(self) -> None:
        """Make the folder, and keep W&B quiet and inside it, where the user has not said otherwise."""
        folder = self._folder.resolve() / "wandb"
        folder.mkdir(parents=True, exist_ok=True)
        os.environ.setdefault("WANDB_SILENT", "true")
        os.environ.setdefault("WANDB_CACHE_DIR", str(folder / "cache"))
        os.environ.setdefault("WANDB_DATA_DIR", str(folder / "data"))

    def _take_own_id(self) -> None:
        shared = os.environ.get(ID_VARIABLE)
        # an agent of a sweep gives every run the identifier that it must have
        if not shared or self._wandb_init["id"] is not None or os.environ.get(SWEEP_VARIABLE):
            return
        own = own_run_id(shared, self._wandb_init["group"], self._wandb_init["job_type"])
        self._wandb_init["id"] = self._id = own
        rank_zero_info(f"W&B: {ID_VARIABLE} is {shared}, which every stage inherits; the run of this one is {own}")

    def _mode(self, *, insists: bool) -> tuple[str | None, str]:
        """Decide W&B's mode (None: W&B's own settings do) and why it is offline."""
        if self._requested_offline:
            return "offline", "offline=True"
        settings_mode = _settings_mode()
        if self._requested_offline is None and settings_mode not in ("online", "shared"):
            return None, f"W&B's settings say {settings_mode}"
        problem = _key_problem()
        if problem is None:
            return "online" if self._requested_offline is False else None, ""
        if insists:
            raise ValueError(
                f"expected to log to W&B online, as offline=False or {MODE_VARIABLE}=online asks, but {problem}: "
                f"run 'wandb login', set WANDB_API_KEY, or leave both unset to log offline"
            )
        return "offline", problem


def _settings_mode() -> str:
    """W&B's mode by its environment variables and settings files."""
    from wandb.sdk import wandb_setup

    return str(wandb_setup.singleton().settings.mode)


def _key_problem() -> str | None:
    """Say why W&B has no credentials, None where it has; asks neither the user nor the network."""
    import wandb
    from wandb.sdk import wandb_setup
    from wandb.sdk.lib import wbauth

    host = wandb_setup.singleton().settings.base_url
    try:
        found = wbauth.authenticate_session(host=host, source="RunLogger", prompt=False, update_session=False)
    except wandb.errors.AuthenticationError as error:
        return _first_line(error)
    return "there is no API key" if found is None else None


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0].rstrip(".")


def _announce(run: Any, reason: str) -> None:
    """Say once where the run is; W&B's own messages are off."""
    if run.disabled:
        return
    if run.offline:
        folder = Path(run.dir).parent
        rank_zero_info(f"W&B: offline, because {reason}; upload this run with: wandb sync {folder}")
    else:
        rank_zero_info(f"W&B: {run.url}")
