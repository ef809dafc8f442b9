"""The settings of a study: one YAML file names the grid, and the configurations of its fits and tests.

The annotations of the data classes say what each setting must be; the file is checked against them.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from ecg_lightning.data.targets import is_target_name
from ecg_lightning.runs.layout import RunPaths
from ecg_lightning.shipped import find_config
from ecg_lightning.study.settings_file import Expected, parse_settings, read_settings


def _is_text(content: object) -> bool:
    return isinstance(content, str)


def _is_whole_from(least: int) -> Callable[[object], bool]:
    return lambda number: type(number) is int and number >= least


def _are_distinct(fits: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda values: isinstance(values, list) and all(map(fits, values)) and len(set(values)) == len(values)


def _are_target_names(values: object) -> bool:
    """Whether they are names, and differ in more than case: each is a folder."""
    distinct = _are_distinct(is_target_name)
    return distinct(values) and distinct([str(value).lower() for value in values])  # type: ignore[attr-defined]


Name = Annotated[str, Expected('a name; write it in quotes, as "1e3"', _is_text)]
Threads = Annotated[int, Expected("a whole number from 1", _is_whole_from(1))]
Seeds = Annotated[
    tuple[int, ...], Expected("a list of distinct whole numbers from 0, as [0, 1, 2]", _are_distinct(_is_whole_from(0)))
]
Targets = Annotated[
    tuple[str, ...],
    Expected("a list of targets of the source, each once, as [sinus_rhythm, STTC]", _are_target_names),
]
Files = Annotated[
    tuple[str, ...],
    Expected(
        "a list of files, as [configs/fit.yaml]", lambda given: isinstance(given, list) and all(map(_is_text, given))
    ),
]
Options = Annotated[
    Mapping[str, Any],
    Expected("options with their values", lambda given: isinstance(given, Mapping) and all(map(_is_text, given))),
]


@dataclass(frozen=True)
class Stage:
    """A stage says how one command is called.

    Attributes:
        configs: Configuration files, a later one overrides an earlier one.
        options: Argument of the command line -> value.
    """

    configs: Files = ()
    options: Options = field(default_factory=dict)

    def __post_init__(self) -> None:
        for config in self.configs:
            find_config(config)

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

    targets: Targets = ()
    seeds: Seeds = ()
    test: Stage = Stage()


@dataclass(frozen=True)
class StudySettings:
    """A study is described by its settings.

    Attributes:
        study: Name of the study, and of its folder below ``runs``.
        targets: Diagnoses of the study.
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

    study: Name
    targets: Targets
    seeds: Seeds
    fit: Stage
    test: Stage
    only: tuple[RunOverrides, ...] = ()
    prepare: Stage | None = None
    runs: Name = "runs"
    root: Name | None = None
    threads: Threads = 1
    prepare_threads: Threads | None = None
    report: Options = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.run(self.targets[0], self.seeds[0])  # refuses a study that names no folder
        strange = [str(one) for only in self.only for one in only.targets if one not in self.targets]
        strange += [str(one) for only in self.only for one in only.seeds if one not in self.seeds]
        if strange:
            raise ValueError(f"only: {', '.join(strange)} not in the study's targets or seeds")

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
            for one in self.only
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
    settings = read_settings(file) | {key: value for key, value in overrides.items() if value is not None}
    try:
        return parse_settings(StudySettings, settings)
    except (FileNotFoundError, ValueError) as error:
        raise type(error)(f"{file}: {error}") from error


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if value is None:
        return "null"
    if isinstance(value, list | dict):
        return json.dumps(value)
    return str(value)
