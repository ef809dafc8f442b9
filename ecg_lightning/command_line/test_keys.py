"""The configuration keys of a test: one for each thing that it does, ``null`` to leave it out."""

from collections.abc import Iterator, Mapping
from pkgutil import resolve_name
from typing import Any, Final

import yaml
from jsonargparse import Namespace
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.cli import LightningArgumentParser
from lightning.pytorch.utilities import rank_zero_warn

import callbacks
from callbacks.drawn_figures import DrawnFigures, Figures
from ecg_lightning.command_line.run_config import subclass_configs
from ecg_lightning.command_line.setting_names import nested, unknown_settings
from ecg_lightning.command_line.typed_words import CONFIG_OPTIONS, TypedWords, content_of
from ecg_lightning.experiments.registry import EXPERIMENTS
from ecg_lightning.models.class_names import imported_object
from ecg_lightning.plotting.figure_files import FigureFile
from ecg_lightning.tuning.config import without_defaults


def _callback(path: str) -> type[Callback]:
    kind = resolve_name(path)
    if not (isinstance(kind, type) and issubclass(kind, Callback)):
        raise TypeError(f"{path} is no callback: an experiment names the class path of one")
    return kind


_EXPERIMENTS: Final = {experiment.name: experiment for experiment in EXPERIMENTS if experiment.callback}
_MEASURING: Final[dict[str, type[Callback]]] = {
    "maps": callbacks.AttributionMaps,
    "test_record": callbacks.LogitsAndMetrics,
    "completeness": callbacks.Completeness,
    "background_dependence": callbacks.BackgroundDependence,
    **{name: _callback(experiment.callback) for name, experiment in _EXPERIMENTS.items()},
}
_SHOWING: Final[dict[str, type[Callback]]] = {
    "audit_summary": callbacks.AuditSummary,
    "beat_pictures": callbacks.BeatPictures,
    "map_pictures": callbacks.MapPictures,
    "predictions": callbacks.PredictionTable,
    "result_summary": callbacks.ResultSummary,
}
TEST_KEYS: Final[Mapping[str, type[Callback]]] = _MEASURING | _SHOWING
"""Key -> callback, in the order in which a test runs them; a user's own callbacks run between the two groups."""


def add_test_keys(parser: LightningArgumentParser) -> None:
    """Add one argument a key, such as ``--randomization.max_examples 4`` or ``--randomization null``, and the figures.

    Args:
        parser: Of a command that tests, predicts or validates.
    """
    for key, kind in TEST_KEYS.items():
        first_line = (kind.__doc__ or "").partition("\n")[0]
        options = _EXPERIMENTS[key].options if key in _EXPERIMENTS else {}
        default = {"class_path": _class_path(key), "init_args": dict(options)}
        parser.add_argument(f"--{key}", type=kind | None, default=default, help=f"{first_line} null: it is left out.")
    parser.add_argument(
        "--figures",
        type=DrawnFigures,
        default="all",
        help="Which figures of the run are drawn: all, one of each audit, or none. Tables are always written.",
    )
    parser.add_argument(
        "--figure_files",
        type=list[FigureFile],
        default=["png"],
        help="Kinds of files of each figure: png, svg, pdf. A PNG is always written.",
    )


def check_setting_names(words: TypedWords) -> None:
    """Refuse misspelt settings below the keys, naming the file or option and the settings that there are.

    Args:
        words: What the user has typed.

    Raises:
        SystemExit: There is such a name.
    """
    for option, value in words.options:
        is_file = option in CONFIG_OPTIONS
        content = content_of(value) if is_file else nested(option.lstrip("-"), value)
        for problem in unknown_settings(content, TEST_KEYS) if isinstance(content, Mapping) else ():
            raise SystemExit(f"{value}: {problem}" if is_file else f"--{problem}")


def in_order(made: Namespace, own: list[Callback]) -> list[Callback]:
    """Every callback in the order of the test: what says which figures are drawn, what measures, own ones, what shows.

    A ``callbacks.Figures`` of the user's own is taken instead of the arguments.

    Args:
        made: The command's configuration with objects in it.
        own: The callbacks of ``trainer.callbacks``.
    """
    measuring, showing = ([made[key] for key in keys if made.get(key) is not None] for keys in (_MEASURING, _SHOWING))
    told = "figures" in made and not any(isinstance(one, Figures) for one in own)  # `fit` draws none
    gate = [callbacks.NetworkGate(made.gate)] if made.get("network") is not None else []
    return [*([Figures(made.figures, made.figure_files)] if told else ()), *gate, *measuring, *own, *showing]


def keyed_configs(config: Namespace) -> Iterator[Namespace]:
    """The class configurations at the keys of a command."""
    for key in TEST_KEYS:
        yield from subclass_configs(config.get(key))


def take_listed_callbacks(config: Namespace, defaults: Namespace) -> None:
    """Put the callbacks of a configuration that lists them below ``trainer.callbacks`` at their keys.

    A list that has maps, or the record of the test, is complete: what is not in it does not run, and a warning says how
    it is written with keys. Another list adds its callbacks to what runs.

    Args:
        config: Of a command; changed in place.
        defaults: The same command's configuration where nothing was set.

    Raises:
        SystemExit: Keys are set beside such a list.
    """
    listed: dict[str, Namespace] = {}
    for one in subclass_configs(config.trainer.callbacks):
        if (key := _key_of(one)) is not None:
            if imported_object(one.class_path) is TEST_KEYS[key]:
                one.class_path = _class_path(key)  # it may be listed by an earlier name
            listed.setdefault(key, one)
    own = config.trainer.callbacks or []
    if listed:
        config.trainer.callbacks = [one for one in own if not any(one is other for other in listed.values())]
    if listed.keys().isdisjoint(("maps", "test_record")):
        config.update(Namespace(**listed))
        return
    set_too = [key for key in TEST_KEYS if config[key] != defaults[key]]
    if set_too:
        raise SystemExit(
            f"trainer.callbacks lists {', '.join(one.class_path for one in listed.values())}, and {', '.join(set_too)} "
            "is set beside the list, which is complete: what is not in it does not run. Write the list as keys:\n"
            + _as_keys(listed)
        )
    for key in TEST_KEYS:
        config[key] = listed.get(key)
    rank_zero_warn(
        "trainer.callbacks lists callbacks that have keys of their own now. The list is taken as complete; this is how "
        f"it is written with keys:\n{_as_keys(listed)}"
    )


def _class_path(key: str) -> str:
    """Return a key's callback as it is written in a configuration."""
    return _EXPERIMENTS[key].callback if key in _EXPERIMENTS else f"{callbacks.__name__}.{TEST_KEYS[key].__name__}"


def _key_of(listed: Namespace) -> str | None:
    """The key whose callback this is; a class that is derived from it runs at its place, too."""
    kind = imported_object(listed.class_path)
    return next((key for key, own in TEST_KEYS.items() if isinstance(kind, type) and issubclass(kind, own)), None)


def _as_keys(listed: Mapping[str, Namespace]) -> str:
    """The shortest YAML that says what a list says."""
    content: dict[str, Any] = {}
    for key in TEST_KEYS:
        if key not in listed:
            content[key] = None
        else:
            entry = without_defaults(listed[key].as_dict())
            own_class = entry["class_path"] != _class_path(key)
            if settings := (entry if own_class else entry.get("init_args")):
                content[key] = settings
    return yaml.safe_dump(content, sort_keys=False)
