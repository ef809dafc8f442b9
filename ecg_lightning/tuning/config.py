"""The found settings as a configuration of the key ``maps``: what ``tune`` was given, with the settings changed."""

import inspect
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, Final

import yaml

from ecg_lightning.attribution.methods import METHODS
from ecg_lightning.models.class_names import imported_object
from ecg_lightning.tuning.measure import TunedMethod
from ecg_lightning.tuning.results import MethodSummary

MAPS: Final = "callbacks.AttributionMaps"
"""What the key ``maps`` makes where a configuration names no class."""

_SET_ELSEWHERE: Final = ("on_mismatch",)
"""Arguments that the command line hands to the callbacks by itself."""

Entry = Mapping[str, Any]
"""``class_path`` and ``init_args`` of an object in a config."""


def methods_config(maps: Entry, tuned: Sequence[TunedMethod], found: Sequence[MethodSummary], header: str) -> str:
    """Write YAML for ``test --config configs/test.yaml --config <this>``.

    Args:
        maps: The configuration that ``tune`` was given of the callback that has the methods, resolved.
        tuned: What tuning found, in the order of the callback's methods.
        found: The same in numbers.
        header: Comment at its top.

    Returns:
        The text, which sets the key ``maps`` and says of each of the twelve methods what it is, or that it is left out.

    Raises:
        ValueError: Other methods than were tuned.
    """
    arguments = maps.get("init_args") or {}
    listed = _listed(arguments.get("methods"))
    if len(listed) != len(tuned):
        raise ValueError(f"expected the {len(listed)} methods of the configuration, got {len(tuned)} tuned ones")
    others = {name: value for name, value in arguments.items() if name != "methods"}
    settings = without_defaults({**maps, "init_args": others}).get("init_args")
    text = yaml.safe_dump(settings, sort_keys=False) if settings else ""
    text += "methods:\n" + textwrap.indent(_methods(listed, tuned, found), "  ")
    if maps["class_path"] != MAPS:
        text = f"class_path: {maps['class_path']}\ninit_args:\n{textwrap.indent(text, '  ')}"
    comments = "\n".join(f"# {line}".rstrip() for line in header.splitlines())
    return f"{comments}\nmaps:\n{textwrap.indent(text, '  ')}"


def _methods(listed: Sequence[Entry], tuned: Sequence[TunedMethod], found: Sequence[MethodSummary]) -> str:
    """One line for each of the twelve, and the methods of one's own behind them, each below what was measured."""
    lines, own = dict.fromkeys(METHODS, "{name}: null\n"), ""
    for entry, method, numbers in zip(listed, tuned, found, strict=True):
        name, comment = method.method.name, f"# {_comment(numbers)}\n"
        # what was found stands there even where it is the default: another configuration may say something else
        settings = without_defaults(entry).get("init_args", {}) | method.changes
        if type(method.method) is METHODS.get(name):
            flow = yaml.safe_dump(settings, default_flow_style=True, sort_keys=False, width=1000)
            lines[name] = f"{comment}{{name}}: {flow}"
        else:
            item = {"class_path": entry["class_path"]} | ({"init_args": settings} if settings else {})
            own += comment + yaml.safe_dump([item], sort_keys=False)
    text = "".join(line.replace("{name}", name) for name, line in lines.items())
    return text + (f"own:\n{textwrap.indent(own, '  ')}" if own else "")


def without_defaults(entry: Entry) -> dict[str, Any]:
    """Return a config's object with the arguments that are not its class's own defaults."""
    kind = imported_object(str(entry["class_path"]))  # that of a callback that was made: nothing is imported for it
    defaults = {name: _plain(one.default) for name, one in inspect.signature(kind).parameters.items()}  # type: ignore[arg-type]
    given = {
        name: value
        for name, value in (entry.get("init_args") or {}).items()
        if name not in _SET_ELSEWHERE and not (name in defaults and defaults[name] == value)
    }
    kept = {"class_path": entry["class_path"]} | ({"init_args": given} if given else {})
    extra = entry.get("dict_kwargs")
    return kept | ({"dict_kwargs": extra} if extra else {})


def _listed(methods: Any) -> list[Entry]:
    """The configured methods one after the other: of a ``MethodSet``, of a list, or all twelve."""
    if isinstance(methods, Mapping):
        arguments = methods.get("init_args") or {}
        chosen = [arguments.get(name, name) for name in METHODS]
        methods = [*(one for one in chosen if one is not None), *(arguments.get("own") or [])]
    names = list(METHODS) if methods is None else methods
    return [{"class_path": _class_path(METHODS[one])} if isinstance(one, str) else one for one in names]


def _class_path(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _comment(one: MethodSummary) -> str:
    cost = " + ".join(f"{n:,} {name}" for n, name in ((one.forwards, "forwards"), (one.gradients, "gradients")) if n)
    cost = f"{cost} a map, {one.seconds:,.1f} s for the test set"
    if one.status == "exact":
        return f"exact; {cost}"
    if one.status == "constant":
        return f"constant maps, setting kept; {cost}"
    reached = f"correlation with the limit {one.median:.4f}, lowest decile {one.lowest:.4f}"
    if one.status == "kept":
        if one.argument == "backgrounds":
            reached = f"exact over the {one.value} stated backgrounds; correlation with more of them {one.median:.4f}"
        return f"kept as configured; {reached}; {cost}"
    flag = "TARGET NOT REACHED within the bound: " if one.status == "bound" else ""
    return f"{flag}{reached}; {cost}"


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value
