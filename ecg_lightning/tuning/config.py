"""The found settings as a config: the callbacks that ``tune`` was given, with the methods' settings changed."""

import inspect
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, Final

import yaml

from ecg_lightning.attribution.methods import METHODS
from ecg_lightning.models.class_names import imported_object
from ecg_lightning.tuning.measure import TunedMethod
from ecg_lightning.tuning.results import MethodSummary

_METHODS_MODULE: Final = "ecg_lightning.attribution.methods"
_SET_ELSEWHERE: Final = ("on_mismatch",)
"""Arguments that the command line hands to the callbacks by itself."""

Entry = Mapping[str, Any]
"""``class_path`` and ``init_args`` of an object in a config."""


def methods_config(
    callbacks: Sequence[Entry], maps: type, tuned: Sequence[TunedMethod], found: Sequence[MethodSummary], header: str
) -> str:
    """YAML for ``test --config configs/test.yaml --config <this>``.

    A list in a later config replaces the earlier one, so every callback is in it.

    Args:
        callbacks: Those that ``tune`` was given, resolved.
        maps: Class of the callback that has the methods.
        tuned: What tuning found, in the order of the callback's methods.
        found: The same in numbers.
        header: Comment at its top.

    Returns:
        The text.

    Raises:
        ValueError: There is no such callback, or other methods than were tuned.
    """
    lines = [*(f"# {line}".rstrip() for line in header.splitlines()), "trainer:", "  callbacks:"]
    places = [place for place, entry in enumerate(callbacks) if imported_object(entry["class_path"]) is maps]
    if not places:
        raise ValueError(f"expected a {maps.__name__} among the callbacks, got {[e['class_path'] for e in callbacks]}")
    for place, entry in enumerate(callbacks):
        text = _maps(entry, tuned, found) if place == places[0] else _item(without_defaults(entry))
        lines.append(textwrap.indent(text, "    ").rstrip())
    return "\n".join(lines) + "\n"


def without_defaults(entry: Entry) -> dict[str, Any]:
    """A config's object with the arguments that are not its class's own defaults."""
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


def _maps(entry: Entry, tuned: Sequence[TunedMethod], found: Sequence[MethodSummary]) -> str:
    """The item of the callback that has the methods: the others' arguments first, then one method after the other."""
    arguments = entry.get("init_args") or {}
    listed = arguments.get("methods") or list(METHODS)
    if len(listed) != len(tuned):
        raise ValueError(f"expected the {len(listed)} methods of the config, got {len(tuned)} tuned ones")
    rest = without_defaults({**entry, "init_args": {k: v for k, v in arguments.items() if k != "methods"}})
    text = _item({"class_path": rest["class_path"]}) + "  init_args:\n"
    if rest.get("init_args"):
        text += textwrap.indent(yaml.safe_dump(rest["init_args"], sort_keys=False), "    ")
    text += "    methods:\n"
    for one, method, numbers in zip(listed, tuned, found, strict=True):
        item = f"# {_comment(numbers)}\n{_item(_method(one, method))}"
        text += textwrap.indent(item, "      ")
    return text


def _method(listed: str | Entry, tuned: TunedMethod) -> dict[str, Any]:
    if isinstance(listed, str):
        listed = {"class_path": f"{_METHODS_MODULE}.{METHODS[listed].__name__}"}
    changed = {**(listed.get("init_args") or {}), **tuned.changes}
    return without_defaults({**listed, "init_args": changed})


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


def _item(entry: Mapping[str, Any]) -> str:
    return yaml.safe_dump([dict(entry)], sort_keys=False)


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value
