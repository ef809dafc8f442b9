"""The site's pages: what they link to, and what they name of the code, is there."""

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

ROOT: Final = Path(__file__).parents[1]
DOCS: Final = ROOT / "docs"
PAGES: Final = sorted(DOCS.glob("**/*.md"))
TEXTS: Final = [*PAGES, ROOT / "README.md"]

_LINK: Final = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)")
_FENCE: Final = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
_CODE: Final = re.compile(r"`[^`\n]+`")
_CONFIG: Final = re.compile(r"\bconfigs/[\w/.-]*\w")
_DOTTED: Final = re.compile(r"(?<![\w./-])(?:callbacks|ecg_lightning)(?:\.[A-Za-z_]\w*)+(?![\w/])")
_LINES: Final = re.compile(r"\\\n\s*")


def _nav(entry: Any) -> Iterator[str]:
    if isinstance(entry, str):
        yield entry
    else:
        for part in entry.values() if isinstance(entry, dict) else entry:
            yield from _nav(part)


def _slug(heading: str) -> str:
    """Anchor of a heading, as Python-Markdown makes it."""
    return re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", heading.replace("`", "")).strip().lower())


def _anchors(page: Path) -> set[str]:
    prose = _FENCE.sub("", page.read_text(encoding="utf-8"))
    return {_slug(heading) for heading in re.findall(r"^#+\s+(.+)$", prose, re.MULTILINE)}


def _problem(page: Path, link: str) -> str | None:
    """Why a link leads nowhere; None where it leads somewhere, or into the web."""
    if re.match(r"[a-z]+:", link):
        return None
    name, _, anchor = link.partition("#")
    there = (page.parent / name).resolve() if name else page
    if not there.exists():
        return "no such file"
    if page.parent != ROOT and DOCS not in there.parents:
        return "outside of docs/, so not on the site"
    if anchor and anchor not in _anchors(there):
        return f"no heading #{anchor}"
    return None


def _importable(name: str) -> bool:
    """Whether a dotted name is a module, or an attribute of one."""
    parts = name.split(".")
    for cut in range(len(parts), 0, -1):
        module = ".".join(parts[:cut])
        try:
            found: Any = import_module(module)
        except ModuleNotFoundError as error:
            if error.name and not f"{module}.".startswith(f"{error.name}."):
                raise
            continue
        for part in parts[cut:]:
            if not hasattr(found, part):
                return False
            found = getattr(found, part)
        return True
    return False


def test_nav_names_every_page_once() -> None:
    nav = list(_nav(yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]))
    assert sorted(nav) == [page.relative_to(DOCS).as_posix() for page in PAGES]


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: page.name)
def test_links_and_pictures_resolve(page: Path) -> None:
    prose = _CODE.sub("", _FENCE.sub("", page.read_text(encoding="utf-8")))
    broken = {link: problem for link in _LINK.findall(prose) if (problem := _problem(page, link))}
    assert not broken


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: page.name)
def test_configurations_that_are_named_exist(page: Path) -> None:
    named = set(_CONFIG.findall(page.read_text(encoding="utf-8")))
    assert not {name for name in named if not (ROOT / name).exists()}


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: page.name)
def test_names_of_the_code_import(page: Path) -> None:
    named = {match.removesuffix(".py") for match in _DOTTED.findall(page.read_text(encoding="utf-8"))}
    assert not {name for name in named if not _importable(name)}


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: page.name)
def test_commands_of_the_command_line_exist(page: Path) -> None:
    from ecg_lightning.report.commands import COMMANDS

    known = {"fit", "validate", "test", "predict", "prepare", "tune", "report", "publish", *COMMANDS}
    text = _LINES.sub(" ", page.read_text(encoding="utf-8"))
    named = set(re.findall(r"-m ecg_lightning\.cli\s+([a-z]+)", text))
    assert named <= known


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_page_tells_the_machine_it_was_written_on(page: Path) -> None:
    assert not re.findall(r"(?<![\w.])/(?:work|tmp|root|home)/\S*", page.read_text(encoding="utf-8"))


def test_a_name_that_is_not_there_is_noticed() -> None:
    assert _importable("ecg_lightning.storage.store.RowStore")
    assert _importable("callbacks.AttributionMaps")
    assert not _importable("callbacks.NoSuchCallback")
    assert not _importable("ecg_lightning.no_such_module")


def test_a_link_to_nowhere_is_noticed() -> None:
    index = DOCS / "index.md"
    assert _problem(index, "no_such_page.md") == "no such file"
    assert _problem(index, "../README.md") == "outside of docs/, so not on the site"
    assert _problem(index, "glossary.md#no-such-heading") == "no heading #no-such-heading"
    assert _problem(index, "https://physionet.org/") is None
