"""The class words name targets as the clinic does, for titles and labels."""

from collections.abc import Iterable

from ecg_lightning.data.targets import TargetInfo, info_of, known_info, readable


def class_name(target: object) -> str:
    """Name a target in full; of one that says no title, its own name in words: ``my_class``, My class."""
    info = info_of(str(target))
    return info.title if info else readable(target)


def class_in_text(target: object) -> str:
    """Name a target within a sentence: ``first-degree AV block``, but ``LVH with strain``."""
    name = class_name(target)
    return name if name[1:2].isupper() else name[:1].lower() + name[1:]


def class_short(target: object) -> str:
    """Name a target in a label of a few millimetres."""
    info = info_of(str(target))
    return info.short_title if info else readable(target)


def class_title(target: object) -> str:
    """Name a target with its criterion, where it has one: ``First-degree AV block: PR > 200 ms``."""
    info = info_of(str(target))
    return _with_criterion(info) if info else readable(target)


def kind_word(targets: Iterable[object], count: int = 2) -> str:
    """Name what targets are, in the number of ``count``: diagnosis, measurement, or target where there are both."""
    kinds = {known_info(str(target)).kind for target in targets}
    word = "target" if len(kinds) > 1 else "measurement" if kinds == {"regression"} else "diagnosis"
    return word if count == 1 else "diagnoses" if word == "diagnosis" else f"{word}s"


def _with_criterion(info: TargetInfo) -> str:
    return f"{info.title}: {info.criterion}" if info.criterion else info.title
