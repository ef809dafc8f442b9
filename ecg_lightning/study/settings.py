"""The settings of a study: one YAML file names the grid, and the configurations of its fits and tests."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ecg_lightning.ecg import TARGETS
from ecg_lightning.runs.layout import RunPaths
from ecg_lightning.shipped import find_config
from ecg_lightning.study.settings_file import check_names, read_settings

_KEYS: Final = (
    *("study", "targets", "seeds", "root", "runs", "prepare", "fit", "test", "only"),
    *("threads", "prepare_threads", "report"),
)
_STAGE_KEYS: Final = ("configs", "options")
_EXAMPLE: Final = "configs/studies/quickstart.yaml"


@dataclass(frozen=True)
class Stage:
    """A stage says how one command is called.

    Attributes:
        configs: Configuration files, a later one overrides an earlier one.
        options: Argument of the command line -> value.
    """

    configs: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=dict)

    def arguments(self) -> list[str]:
        """Return the command line's arguments; lists and mappings are written as YAML flow."""
        parts = [part for config in self.configs for part in ("--config", str(find_config(config)))]
        for name, value in self.options.items():
            parts += [f"--{name}", _text(value)]
        return parts


@dataclass(frozen=True)
class RunOverrides:
    """What the tests of some runs have in addition, such as the cascade of one network.

    Attributes:
        targets: Diagnoses whose runs are meant; none: all.
        seeds: Seeds whose runs are meant; none: all.
        test: What is added to the test's configurations and options.
    """

    targets: tuple[str, ...]
    seeds: tuple[int, ...]
    test: Stage


@dataclass(frozen=True)
class StudySettings:
    """A study is described by its settings.

    Attributes:
        study: Name of the study, and of its folder below ``runs``.
        targets: Diagnoses of the study.
        seeds: Training repetitions of each.
        fit: How networks are trained.
        test: How they are tested.
        overrides: What is added for some runs; the key ``only`` of the file.
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
    overrides: tuple[RunOverrides, ...] = ()
    prepare: Stage | None = None
    runs: str = "runs"
    root: str | None = None
    threads: int = 1
    prepare_threads: int | None = None
    report: Mapping[str, Any] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Return the study's folder, ``runs/<study>``."""
        return Path(self.runs) / self.study

    @property
    def wide_threads(self) -> int:
        """Return the threads of ``prepare`` and ``compare`` on a cluster."""
        return self.prepare_threads or self.threads

    def run(self, target: str, seed: int) -> RunPaths:
        """Return the folder of one run."""
        return RunPaths.of(self.runs, self.study, target, seed)

    def test_of(self, target: str, seed: int) -> Stage:
        """Return how one network is tested."""
        more = [
            one.test
            for one in self.overrides
            if target in (one.targets or self.targets) and seed in (one.seeds or self.seeds)
        ]
        configs = (*self.test.configs, *(config for stage in more for config in stage.configs))
        return Stage(configs, {**self.test.options, **{k: v for stage in more for k, v in stage.options.items()}})


def load_study(path: str | Path, **overrides: Any) -> StudySettings:
    """Read the settings of a study.

    Args:
        path: A YAML file, such as ``configs/studies/quickstart.yaml``.
        **overrides: Top-level settings that replace the file's, where they are not None.

    Returns:
        The settings, checked.

    Raises:
        FileNotFoundError: No such file, or one that it names is missing.
        ValueError: A setting that is unknown, missing or impossible; the message names the file and the setting.
    """
    file = find_config(path)
    settings = read_settings(file, _EXAMPLE)
    settings |= {key: value for key, value in overrides.items() if value is not None}
    return _study(settings, str(file))


def _study(settings: Mapping[str, Any], where: str) -> StudySettings:
    _check_keys(settings, _KEYS, where)
    nothing: tuple[Any, ...] = (None, "", [], {})
    missing = [key for key in ("study", "targets", "seeds", "fit", "test") if settings.get(key) in nothing]
    if missing:
        quotes = (
            " (null and ~ are no text in YAML: a name such as these stands in quotes)" if "study" in missing else ""
        )
        raise ValueError(f"{where}: {', '.join(missing)} missing or empty{quotes}; see {_EXAMPLE}")
    check_names(settings, where)
    targets, seeds = _targets(settings["targets"], where), _seeds(settings["seeds"], where)
    for key in ("threads", "prepare_threads"):
        number = settings.get(key)
        if number is not None and (type(number) is not int or number < 1):
            raise ValueError(f"{where}: {key}: expected a whole number from 1, got {number!r}")
    study = StudySettings(
        study=settings["study"],
        targets=targets,
        seeds=seeds,
        fit=_stage(settings["fit"], "fit", where),
        test=_stage(settings["test"], "test", where),
        overrides=tuple(_override(one, targets, seeds, where) for one in _list(settings.get("only"), "only", where)),
        prepare=_stage(settings["prepare"], "prepare", where) if settings.get("prepare") else None,
        runs=settings.get("runs") or "runs",
        root=settings.get("root"),
        threads=settings.get("threads") or 1,
        prepare_threads=settings.get("prepare_threads"),
        report=_options(settings.get("report"), "report", where),
    )
    try:
        study.run(targets[0], seeds[0])
    except ValueError as error:
        raise ValueError(f"{where}: study: {error}") from error
    return study


def _targets(content: Any, where: str) -> tuple[str, ...]:
    targets = _list(content, "targets", where, "[sinus_rhythm, atrial_fibrillation]")
    if any(one not in TARGETS for one in targets) or len(set(targets)) < len(targets):
        raise ValueError(
            f"{where}: targets: expected some of {', '.join(TARGETS)}, each once; got {', '.join(map(str, targets))}"
        )
    return targets


def _seeds(content: Any, where: str) -> tuple[int, ...]:
    seeds = _list(content, "seeds", where, "[0, 1, 2]")
    if any(type(seed) is not int or seed < 0 for seed in seeds) or len(set(seeds)) < len(seeds):
        raise ValueError(f"{where}: seeds: expected distinct whole numbers from 0, as [0, 1, 2]; got {list(seeds)}")
    return seeds


def _list(content: Any, key: str, where: str, example: str = "") -> tuple[Any, ...]:
    """What a list holds; nothing where nothing is set."""
    if content is None:
        return ()
    if not isinstance(content, list | tuple):
        such = f" such as {example}" if example else ""
        raise ValueError(f"{where}: {key}: expected a list{such}, got {content!r}")
    return tuple(content)


def _options(content: Any, key: str, where: str) -> dict[str, Any]:
    if content is not None and not isinstance(content, Mapping):
        raise ValueError(f"{where}: {key}: expected options with their values, got {content!r}")
    return {str(name): value for name, value in (content or {}).items()}


def _stage(content: Any, name: str, where: str) -> Stage:
    if not isinstance(content, Mapping):
        raise ValueError(f"{where}: {name}: expected 'configs' and maybe 'options', got {content!r}")
    _check_keys(content, _STAGE_KEYS, f"{where}: {name}")
    configs = _list(content.get("configs"), f"{name}.configs", where, "[configs/fit.yaml]")
    if not all(isinstance(config, str) for config in configs):
        raise ValueError(f"{where}: {name}.configs: expected a list of files, got {list(configs)!r}")
    for config in configs:
        find_config(config)
    return Stage(configs, _options(content.get("options"), f"{name}.options", where))


def _override(content: Any, targets: Sequence[str], seeds: Sequence[int], where: str) -> RunOverrides:
    if not isinstance(content, Mapping):
        raise ValueError(f"{where}: only: expected a list of 'targets', 'seeds' and 'test', got {content!r}")
    _check_keys(content, ("targets", "seeds", "test"), f"{where}: only")
    chosen = _list(content.get("targets"), "only.targets", where, "[sinus_rhythm]")
    repeats = _list(content.get("seeds"), "only.seeds", where, "[0]")
    strange = [str(one) for one in chosen if one not in targets]
    strange += [str(one) for one in repeats if type(one) is not int or one not in seeds]
    if strange:
        raise ValueError(f"{where}: only: {', '.join(strange)} not in the study's targets or seeds")
    return RunOverrides(chosen, repeats, _stage(content.get("test"), "only.test", where))


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
