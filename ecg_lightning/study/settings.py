"""The settings of a study: one YAML file names the grid, and the configurations of its fits and tests."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ecg_lightning.ecg import TARGETS
from ecg_lightning.runs.layout import RunFolder
from ecg_lightning.shipped import find_config

_KEYS: Final = (
    *("study", "targets", "seeds", "root", "runs", "prepare", "fit", "test", "only"),
    *("threads", "prepare_threads", "report"),
)
_STAGE_KEYS: Final = ("configs", "options")
_EXAMPLE: Final = "configs/studies/quickstart.yaml"


@dataclass(frozen=True)
class Stage:
    """How one stage is called.

    Attributes:
        configs: Configuration files, a later one overrides an earlier one.
        options: Argument of the command line -> value.
    """

    configs: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=dict)

    def arguments(self) -> list[str]:
        """For the command line; lists and mappings are written as YAML flow."""
        parts = [part for config in self.configs for part in ("--config", str(find_config(config)))]
        for name, value in self.options.items():
            parts += [f"--{name}", _text(value)]
        return parts


@dataclass(frozen=True)
class SomeRuns:
    """Further configurations of the tests of some runs, such as the cascade of one network.

    Attributes:
        targets: Whose runs; none: all.
        seeds: Whose runs; none: all.
        test: What is added to the test's configurations and options.
    """

    targets: tuple[str, ...]
    seeds: tuple[int, ...]
    test: Stage


@dataclass(frozen=True)
class StudySettings:
    """A study.

    Attributes:
        study: Its name, that of its folder below ``runs``.
        targets: Diagnoses.
        seeds: Training repetitions of each.
        fit: How networks are trained.
        test: How they are tested.
        only: What is added for some runs.
        prepare: How the beats are prepared; by default from the configurations of ``fit``.
        runs: Folder of all studies.
        root: Folder of the source's files, where it reads any.
        threads: Threads of each job.
        prepare_threads: Threads of ``prepare`` and ``compare`` on a cluster; none: ``threads``. On one machine these
            two have it to themselves.
        report: Options of the report.
    """

    study: str
    targets: tuple[str, ...]
    seeds: tuple[int, ...]
    fit: Stage
    test: Stage
    only: tuple[SomeRuns, ...] = ()
    prepare: Stage | None = None
    runs: str = "runs"
    root: str | None = None
    threads: int = 1
    prepare_threads: int | None = None
    report: Mapping[str, Any] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """``runs/<study>``."""
        return Path(self.runs) / self.study

    @property
    def wide_threads(self) -> int:
        """Of ``prepare`` and ``compare`` on a cluster."""
        return self.prepare_threads or self.threads

    def run(self, target: str, seed: int) -> RunFolder:
        """Folder of one run."""
        return RunFolder.of(self.runs, self.study, target, seed)

    def test_of(self, target: str, seed: int) -> Stage:
        """How one network is tested."""
        more = [
            one.test
            for one in self.only
            if target in (one.targets or self.targets) and seed in (one.seeds or self.seeds)
        ]
        configs = (*self.test.configs, *(config for stage in more for config in stage.configs))
        return Stage(configs, {**self.test.options, **{k: v for stage in more for k, v in stage.options.items()}})


def load_study(path: str | Path, **overrides: Any) -> StudySettings:
    """Read the settings of a study.

    Args:
        path: A YAML file, such as ``configs/studies/quickstart.yaml``.
        **overrides: Top-level settings that take the place of the file's, where they are not None.

    Returns:
        The settings, checked.

    Raises:
        FileNotFoundError: No such file, or one that it names is missing.
        ValueError: A setting that is unknown, missing or impossible; the message names the file and the setting.
    """
    file = find_config(path)
    try:
        content = OmegaConf.to_container(OmegaConf.load(file), resolve=True)
    except (OmegaConfBaseException, ValueError) as error:
        raise ValueError(f"{file} can't be read as YAML: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{file}: expected settings such as those of {_EXAMPLE}, got {type(content).__name__}")
    settings = {str(key): value for key, value in content.items()}
    settings |= {key: value for key, value in overrides.items() if value is not None}
    return _study(settings, str(file))


def _study(settings: Mapping[str, Any], where: str) -> StudySettings:
    _check_keys(settings, _KEYS, where)
    missing = [key for key in ("study", "targets", "seeds", "fit", "test") if not settings.get(key)]
    if missing:
        raise ValueError(f"{where}: {', '.join(missing)} missing or empty; see {_EXAMPLE}")
    targets, seeds = tuple(settings["targets"]), tuple(settings["seeds"])
    unknown = [target for target in targets if target not in TARGETS]
    if unknown or len(set(targets)) < len(targets):
        raise ValueError(
            f"{where}: targets: expected some of {', '.join(TARGETS)}, each once; got {', '.join(map(str, targets))}"
        )
    if not all(isinstance(seed, int) and seed >= 0 for seed in seeds) or len(set(seeds)) < len(seeds):
        raise ValueError(f"{where}: seeds: expected distinct whole numbers from 0, got {list(seeds)}")
    for key in ("threads", "prepare_threads"):
        number = settings.get(key, 1)
        if not isinstance(number, int) or number < 1:
            raise ValueError(f"{where}: {key}: expected a whole number from 1, got {number!r}")
    study = StudySettings(
        study=str(settings["study"]),
        targets=targets,
        seeds=seeds,
        fit=_stage(settings["fit"], "fit", where),
        test=_stage(settings["test"], "test", where),
        only=tuple(_exception(one, targets, seeds, where) for one in settings.get("only") or ()),
        prepare=_stage(settings["prepare"], "prepare", where) if settings.get("prepare") else None,
        runs=str(settings.get("runs") or "runs"),
        root=settings.get("root"),
        threads=settings.get("threads", 1),
        prepare_threads=settings.get("prepare_threads"),
        report=dict(settings.get("report") or {}),
    )
    study.run(targets[0], seeds[0])  # refuses a name that is no folder's
    return study


def _stage(content: Any, name: str, where: str) -> Stage:
    if not isinstance(content, Mapping):
        raise ValueError(f"{where}: {name}: expected 'configs' and maybe 'options', got {content!r}")
    _check_keys(content, _STAGE_KEYS, f"{where}: {name}")
    configs = content.get("configs") or []
    if isinstance(configs, str) or not all(isinstance(config, str) for config in configs):
        raise ValueError(f"{where}: {name}.configs: expected a list of files, got {configs!r}")
    for config in configs:
        find_config(config)
    return Stage(tuple(configs), dict(content.get("options") or {}))


def _exception(content: Any, targets: Sequence[str], seeds: Sequence[int], where: str) -> SomeRuns:
    if not isinstance(content, Mapping):
        raise ValueError(f"{where}: only: expected a list of 'targets', 'seeds' and 'test', got {content!r}")
    _check_keys(content, ("targets", "seeds", "test"), f"{where}: only")
    chosen, repeats = tuple(content.get("targets") or ()), tuple(content.get("seeds") or ())
    strange = [str(one) for one in (*chosen, *repeats) if one not in (*targets, *seeds)]
    if strange:
        raise ValueError(f"{where}: only: {', '.join(strange)} not in the study's targets or seeds")
    return SomeRuns(chosen, repeats, _stage(content.get("test"), "only.test", where))


def _check_keys(content: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    unknown = [str(key) for key in content if key not in known]
    if unknown:
        raise ValueError(f"{where}: unknown {', '.join(unknown)}; expected some of {', '.join(known)}")


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if value is None:
        return "null"
    if isinstance(value, list | dict):
        return json.dumps(value)
    return str(value)
