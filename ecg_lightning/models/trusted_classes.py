"""Which classes a file may name, and where: checked before anything of it is imported or made.

The command line makes an object of every ``{class_path, init_args}``, and looks a text up by its name where a
parameter is annotated with a class. A file that lies in a run folder, and a checkpoint, come from elsewhere: they may
name the project's own classes and those that the user has typed in this very command. What the user has typed may
name any class that derives from the one the parameter declares. In both, nothing is made where none is declared.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from ecg_lightning.models.class_names import (
    DOTTED,
    imported_object,
    is_of_project,
    nameable,
    named_object,
    project_class,
    subclass_of_name,
)
from ecg_lightning.models.config_values import as_read, entries
from ecg_lightning.models.declared_types import OPEN, Declared, is_record, parameter_types
from ecg_lightning.storage.plain_values import CLASS, REFERENCE, UntrustedContentError, Where, refuse

_ARGUMENTS: Final = ("init_args", "dict_kwargs")
_WORD: Final = re.compile(r"[\w-]+")
_PLAIN: Final = "a plain value (text, number, true, false, null, or a list or mapping of these)"
_WRITE_IT: Final = "Write the value itself there"


@dataclass(frozen=True)
class TrustedClasses:
    """Checks a configuration, or a part of one.

    Attributes:
        where: The file, for messages.
        typed: Names that the user has typed, for a file that lies in a run folder and a checkpoint; None: the user has
            typed all of it.
        classes: Classes that count as typed, for a call from Python.
        lies_in_run: Whether a path, as the command line reads it, is that of a file in a run folder.
        remedy: What to do where a class may not be named; by default: name it on the command line.
    """

    where: Where
    typed: frozenset[str] | None = None
    classes: tuple[type, ...] = ()
    lies_in_run: Callable[[str], bool] = lambda _: False
    remedy: str | None = None

    def check_tree(
        self, content: Mapping[str, Any], types: Mapping[str, Declared], prefix: str = "", dest: str = ""
    ) -> None:
        """Check what stands under the arguments of a parser or of a class.

        Args:
            content: Nested or with dots in its keys.
            types: Dotted name of an argument -> what may stand there.
            prefix: Where ``content`` stands, for messages.
            dest: Where it stands among ``types``.

        Raises:
            UntrustedContentError: The first value that may not stand where it does.
        """
        for name, value in entries(content):
            key, at = f"{prefix}{name}", f"{dest}{name}"
            if at not in types and any(known.startswith(f"{at}.") for known in types):
                value = as_read(value)
                if isinstance(value, Mapping):
                    self.check_tree(value, types, f"{key}.", f"{at}.")
                elif self._is_foreign_file and value is not None:
                    raise self._no(key, f"found {_short(value)}", "the settings themselves", _WRITE_IT)
                else:
                    self._refuse_part_of_a_run(value, key)
            else:
                self.check(value, types.get(at, OPEN), key)

    def check(self, value: object, declared: Declared, key: str) -> None:
        """Check one value against what is declared for it.

        Args:
            value: As it was read.
            declared: What may stand there.
            key: Its dotted path, for messages.

        Raises:
            UntrustedContentError: It may not stand there, or something in it.
        """
        value = as_read(value)
        if isinstance(value, str):
            self._check_text(value, declared, key)
        elif isinstance(value, Mapping):
            if any(name == CLASS for name, _ in entries(value)):
                self._check_object(value, declared, key)
            else:
                self._check_mapping(value, declared, key)
        elif isinstance(value, list | tuple | set | frozenset):
            for place, item in enumerate(value):
                self.check(item, declared, f"{key}[{place}]")
        elif self._is_foreign_file and not (value is None or isinstance(value, int | float)):
            raise self._no(key, f"found a {type(value).__name__}", _PLAIN, _WRITE_IT)

    @property
    def _is_foreign_file(self) -> bool:
        return self.typed is not None

    def _check_object(self, value: Mapping[str, Any], declared: Declared, key: str) -> None:
        name = value.get(CLASS, "in parts")
        if declared.open:
            raise self._no(
                key,
                f"found {CLASS} {_short(name)}",
                f"{_PLAIN}, since no class is declared for this parameter, and nothing is made of what lies below "
                "init_args",
                _WRITE_IT,
            )
        kind = self._class(str(name), declared, f"{key}.{CLASS}")
        strange = sorted(str(one) for one in value if one not in (CLASS, *_ARGUMENTS))
        if self._is_foreign_file and strange:
            raise self._no(key, f"found {', '.join(strange)} beside {CLASS}", ", ".join(_ARGUMENTS), "Take it away")
        if kind is None:
            return  # the command line says by itself that there is no such class
        for part, given in ((name, as_read(one)) for name, one in entries(value) if name in _ARGUMENTS):
            if isinstance(given, Mapping):
                self.check_tree(given, self._below(kind), f"{key}.{part}.")
            elif given is not None and self._is_foreign_file:
                raise self._no(f"{key}.{part}", f"found {_short(given)}", "a mapping", _WRITE_IT)

    def _below(self, kind: type) -> Mapping[str, Declared]:
        """The parameters of a class that is named; of a file's class only the project's declare objects of theirs."""
        types = parameter_types(kind)
        if not self._is_foreign_file:
            return types
        return {
            name: one if is_of_project(kind) and all(map(is_of_project, one.bases)) else replace(one, made=False)
            for name, one in types.items()
        }

    def _below_any(self, kinds: Iterable[type]) -> Mapping[str, Declared]:
        """The parameters of the classes of which one is meant; nothing is made where they disagree."""
        types: dict[str, Declared] = {}
        for kind in kinds:
            for name, one in self._below(kind).items():
                types[name] = one if types.get(name, one) == one else OPEN
        return types

    def _check_mapping(self, value: Mapping[Any, Any], declared: Declared, key: str) -> None:
        records = [base for base in declared.bases if is_record(base)]
        if declared.open:
            for name, item in entries(value):
                self.check(item, declared, f"{key}.{name}")
        elif records:
            for record in records:
                self.check_tree(value, self._below(record), f"{key}.")
        elif all(map(is_of_project, declared.bases)):  # the class is that which stands there, or the declared one
            self.check_tree(value, self._below_any(declared.bases), f"{key}.")
        elif self._is_foreign_file:
            raise self._no(
                key, "found arguments of a class without its name", f"{CLASS} beside init_args", "Name the class"
            )

    def _check_text(self, value: str, declared: Declared, key: str) -> None:
        if self._is_foreign_file and REFERENCE in value:
            raise self._no(key, f"found the reference {value!r}", "the value itself", _WRITE_IT)
        if not (declared.bases or declared.imports):
            return
        if self._is_foreign_file:
            self._check_name(value, declared, key)
        elif declared.bases:
            self._refuse_part_of_a_run(value, key)
            if DOTTED.fullmatch(value) and not (declared.text or declared.imports):
                self._class(value, declared, key)

    def _check_name(self, value: str, declared: Declared, key: str) -> None:
        """A text that the command line looks up by its name, in a file that the user has not typed."""
        if DOTTED.fullmatch(value) and not declared.open:
            self._class(value, declared, key)
        elif not DOTTED.fullmatch(value):
            self._check_word(value, declared, key)
        elif value not in (self.typed or ()):
            raise self._no(key, f"found the name {value!r}", nameable(self.typed), self._type_it(key, value))

    def _check_word(self, value: str, declared: Declared, key: str) -> None:
        """A text without a dot, in a file that the user has not typed, where a class or its name is expected."""
        file = Path(str(self.where)).parent / value
        known = subclass_of_name(value, declared.bases)
        path = file.exists() or Path(value).exists()  # the command line would read it as a further configuration
        plain = declared.text and known is None and _WORD.fullmatch(value) and not path
        if not plain and not (is_of_project(known) and declared.made):
            raise self._no(
                key, f"found {_short(value)}", f"a word, or {nameable(self.typed)}", self._type_it(key, value)
            )

    def _class(self, name: str, declared: Declared, key: str) -> type | None:
        """The class of a name that may be imported, and derives from what is declared.

        Raises:
            UntrustedContentError: A name that this file may not use, or of something else than such a class.
        """
        if "." not in name:
            found: object | None = subclass_of_name(name, declared.bases)
            found = found if not self._is_foreign_file or is_of_project(found) else None
        elif not self._is_foreign_file or name in (self.typed or ()):
            found = named_object(name)
        else:
            found = project_class(name) or self._typed_by_another_name(name)
        if found is None and self._is_foreign_file:
            raise self._no(key, f"found {_short(name)}", nameable(self.typed), self._type_it(key, name))
        if found is None:
            return None
        if not isinstance(found, type) or not issubclass(found, declared.bases):
            bases = " or ".join(sorted({f"{base.__module__}.{base.__qualname__}" for base in declared.bases}))
            what = f"{name}, which is no such class" if isinstance(found, type) else f"{name}, which is no class"
            raise self._no(key, f"found {what}", f"a class that derives from {bases}", "Name such a class")
        return found

    def _typed_by_another_name(self, name: str) -> type | None:
        """A class that is imported already, and that the user has named by another path to it."""
        found = imported_object(name)
        named = (*self.classes, *map(imported_object, self.typed or ()))
        return found if isinstance(found, type) and any(found is one for one in named) else None

    def _refuse_part_of_a_run(self, value: object, key: str) -> None:
        """A file of a run folder is read as such: not as a part of a configuration that the user has typed."""
        if isinstance(value, str) and self.lies_in_run(value):
            raise self._no(
                key, f"found {_short(value)}, a file of a run folder", "files outside of one", f"Pass --config {value}"
            )

    def _type_it(self, key: str, name: object) -> str:
        if self.remedy is not None:
            return self.remedy
        option = re.sub(r"(\[\d+\])?(\.init_args\..*|\.class_path)?$", "", key).replace("hyper_parameters.", "model.")
        return (
            f"If you trust it, name it in this command's own configuration: --{option} {_short(name)}, or a --config "
            "of yours that lies outside of the run folder"
        )

    def _no(self, key: str, found: str, allowed: str, remedy: str) -> UntrustedContentError:
        return refuse(self.where, key, found, allowed, remedy)


def _short(value: object) -> str:
    text = str(value)
    return repr(text if len(text) <= 80 else f"{text[:77]}...")
