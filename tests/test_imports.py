"""Holds the arrows of the house: imports point one way only, from lower rows of HOUSE to upper ones.

A module may import from its own row's group and from every row above it. Imports inside functions and under
``TYPE_CHECKING`` count: an arrow that only a type checker walks is an arrow all the same.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
PACKAGE = "ecg_lightning"
MAX_LINES = 250

HOUSE = (
    ("ecg", "method_names", "version", "shipped"),  # facts
    ("storage",),  # what lies on the disk: files, hashes, row stores
    ("randomness",),  # from a key to random draws
    ("endings",),  # how a command ends that is told to stop
    ("statistics",),  # closed forms that verdicts rest on
    ("functional",),  # tensors in, tensors out
    ("signal",),
    ("simulator",),  # recordings of hearts that never beat
    ("data",),
    ("models",),
    ("cards",),  # networks that were trained elsewhere, by a description
    ("attribution",),
    ("runs",),  # where the files of a run lie, and how they are read back
    ("plotting", "wandb_logger"),
    ("verdicts",),  # passes, fails, can't tell
    ("experiments",),  # one folder an experiment: measure, tables, checks, figures, section
    ("study", "tuning"),
    ("report",),
    ("callbacks",),
    ("command_line",),  # the only room that knows callbacks
    ("cli", "__main__"),  # the front door
)
"""Rows from top to bottom. Every module of ``ecg_lightning`` and the package ``callbacks`` has a place here. Groups of
one row don't import each other, but for the first row, where ``LEAVES`` import nothing of the project at all."""

LEAVES = ("ecg", "method_names", "version")
FORBIDDEN = {
    "functional": ("lightning", "pytorch_lightning", "captum", "wandb", "matplotlib"),
    "statistics": ("torch", "lightning", "pytorch_lightning", "captum", "wandb", "matplotlib"),
    "randomness": ("lightning", "pytorch_lightning", "captum", "wandb", "matplotlib"),
    "storage": ("lightning", "pytorch_lightning", "captum", "wandb", "matplotlib"),
    "simulator": ("torch", "lightning", "pytorch_lightning", "captum", "wandb"),
    "signal": ("torch", "lightning", "pytorch_lightning", "captum", "wandb"),
}
"""Group -> libraries that it must do without."""

SHARED_NAMES = {
    "base": "the interface that all others of the folder have",
    "checks": "the checks of methods that have a verdict",
    "commands": "commands on a whole study",
    "cost": "how many passes and minutes maps take",
    "draws": "random networks, drawn several times",
    "lint": "whether a network is safe to attribute",
    "maps": "attribution maps",
    "measure": "what is measured, by an experiment or by tune",
    "published": "what the paper published",
    "recording": "ten seconds of ECG",
    "seed_pairs": "pairs of training seeds",
    "settings": "what a command is told",
    "words": "what numbers say, in words",
}
"""Names that stand in several rooms -> what they mean in all of them. An experiment's folder has the parts of every
other one's."""

RANK = {group: rank for rank, groups in enumerate(HOUSE) for group in groups}


@dataclass(frozen=True)
class Import:
    """One imported module, and where."""

    file: str
    line: int
    importer: str
    imported: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.importer} imports {self.imported}"


def module_name(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path, root: Path) -> Iterator[Import]:
    """Every import of a file, ``from a import b`` as ``a.b`` because b may be a module."""
    name, file = module_name(path, root), path.relative_to(root).as_posix()
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), file)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(file, node.lineno, name, alias.name)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                yield Import(file, node.lineno, name, f"{origin}.{alias.name}")


def group(module: str) -> str | None:
    """The group of HOUSE that a module belongs to; None for other packages, "" for ``ecg_lightning`` itself."""
    top, _, rest = module.partition(".")
    if top == "callbacks":
        return "callbacks"
    return rest.partition(".")[0] if top == PACKAGE else None


def sources(root: Path) -> list[Path]:
    return sorted(path for top in (PACKAGE, "callbacks") for path in (root / top).rglob("*.py"))


def exported_from_the_top(root: Path) -> set[str]:
    """Names that ``from ecg_lightning import name`` finds without there being a module of that name."""
    tree = ast.parse((root / PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return {alias.asname or alias.name for node in nodes for alias in node.names}


def broken_arrows(root: Path) -> list[str]:
    """Every import that points the wrong way, in words."""
    exported = exported_from_the_top(root)
    problems = {}
    for path in sources(root):
        for one in imports(path, root):
            if problem := _problem(one, exported):
                problems.setdefault((one.file, one.line, group(one.imported)), problem)  # once for "import a, b, c"
    return list(problems.values())


def _problem(one: Import, exported: set[str]) -> str | None:
    source, target = group(one.importer), group(one.imported)
    if target is None or source == target or source == "":  # "": the package's own front door may show any room
        return None
    if source not in RANK:
        return f"{one.file}: give {source!r} a rank in tests/test_imports.py (HOUSE)"
    if target in exported or target in ("", "*"):
        return f"{one}: import from the module that defines it, not from the package's front door"
    if target not in RANK:
        return f"{one}: give {target!r} a rank in tests/test_imports.py (HOUSE)"
    if source in LEAVES:
        return f"{one}: {source} imports nothing of the project"
    if target == "callbacks" and source != "command_line":
        return f"{one}: only command_line knows callbacks"
    if RANK[target] > RANK[source] or (RANK[target] == RANK[source] != 0):
        return f"{one}: the arrow {source} -> {target} points down; {target} must stand above {source} in HOUSE"
    return None


def experiments_that_know_another(root: Path) -> list[str]:
    """Imports of one experiment's folder from another's: what two need has a room above them."""
    found = []
    for path in sources(root):
        own = path.relative_to(root).parts[2:3] if "experiments" in path.parts else ()
        for one in imports(path, root) if own and path.parent.name != "experiments" else ():
            other = re.match(rf"{PACKAGE}\.experiments\.(\w+)\.", one.imported)
            if other and other[1] != own[0] and (root / PACKAGE / "experiments" / other[1]).is_dir():
                found.append(str(one))
    return found


def forbidden_libraries(root: Path) -> list[str]:
    return [
        f"{one}: {name} does without {one.imported.partition('.')[0]}"
        for path in sources(root)
        for one in imports(path, root)
        if (name := group(one.importer) or "") in FORBIDDEN and one.imported.partition(".")[0] in FORBIDDEN[name]
    ]


def cycle(root: Path) -> list[str]:
    """The modules of one circle of imports, empty where there is none.

    Imports inside functions count too: they break a circle at run time only.
    """
    modules = {module_name(path, root) for path in sources(root)}
    graph: dict[str, set[str]] = {module: set() for module in modules}
    for path in sources(root):
        for one in imports(path, root):
            target = one.imported if one.imported in modules else one.imported.rpartition(".")[0]
            if target in modules and target != one.importer and group(one.importer) != "":
                graph[one.importer].add(target)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(reversed(error.args[1]))  # graphlib lists from imported to importer
    return []


def test_imports_point_up() -> None:
    assert not broken_arrows(REPOSITORY), "\n".join(["", *broken_arrows(REPOSITORY)])


def test_every_module_has_a_rank() -> None:
    groups = {group(module_name(path, REPOSITORY)) for path in sources(REPOSITORY)} - {""}
    assert groups <= set(RANK), f"give {sorted(groups - set(RANK))} a rank in tests/test_imports.py (HOUSE)"


def test_libraries_stay_in_their_rooms() -> None:
    assert not forbidden_libraries(REPOSITORY), "\n".join(["", *forbidden_libraries(REPOSITORY)])


def test_no_circles() -> None:
    assert not cycle(REPOSITORY), " -> ".join(cycle(REPOSITORY))


def shared_names(root: Path) -> dict[str, set[str]]:
    """Name of a module -> the rooms that it stands in, if these are several."""
    rooms: dict[str, set[str]] = {}
    for path in sources(root):
        module = module_name(path, root)
        if path.name != "__init__.py" and group(module) != path.stem:
            rooms.setdefault(path.stem, set()).add(group(module) or "")
    return {name: where for name, where in rooms.items() if len(where) > 1}


def test_no_name_means_two_things() -> None:
    shared = shared_names(REPOSITORY)
    strangers = {name: sorted(where) for name, where in shared.items() if name not in SHARED_NAMES}
    assert not strangers, f"rename one, or say in SHARED_NAMES what it means in all rooms: {strangers}"
    assert set(SHARED_NAMES) <= set(shared), f"these stand once now: {sorted(set(SHARED_NAMES) - set(shared))}"


def test_files_are_short() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in sources(REPOSITORY)}
    long = [f"{path.relative_to(REPOSITORY)}: {count} lines" for path, count in lengths.items() if count > MAX_LINES]
    assert not long, f"at most {MAX_LINES} lines; split {', '.join(long)}"


# --- the holder of the arrows is tested on houses that are known to be broken ---------------------------------


def build(root: Path, files: dict[str, str]) -> Path:
    for name, text in ({"ecg_lightning/__init__.py": "", "callbacks/__init__.py": ""} | files).items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return root


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("ecg_lightning/signal/a.py", "import numpy\nfrom ecg_lightning.data.b import C", "the arrow signal -> data"),
        ("ecg_lightning/signal/a.py", "from ecg_lightning import data", "the arrow signal -> data"),
        ("ecg_lightning/signal/a.py", "from .. import data", "the arrow signal -> data"),
        ("ecg_lightning/signal/a.py", "from ..data.sources import base", "the arrow signal -> data"),
        ("ecg_lightning/signal/a.py", "def f():\n    import ecg_lightning.cli", "the arrow signal -> cli"),
        ("ecg_lightning/signal/__init__.py", "from ..models import Net", "the arrow signal -> models"),
        ("ecg_lightning/storage/a.py", "import ecg_lightning.runs.run", "the arrow storage -> runs"),
        ("ecg_lightning/plotting/a.py", "import ecg_lightning.wandb_logger", "the arrow plotting -> wandb_logger"),
        ("ecg_lightning/ecg.py", "from ecg_lightning.version import __version__", "ecg imports nothing of the project"),
        ("ecg_lightning/study/a.py", "import callbacks", "only command_line knows callbacks"),
        ("callbacks/a.py", "from ecg_lightning.cli import main", "the arrow callbacks -> cli"),
        ("ecg_lightning/helpers.py", "import ecg_lightning.ecg", "give 'helpers' a rank in tests/test_imports.py"),
        (
            "ecg_lightning/storage/a.py",
            "import ecg_lightning.helpers",
            "give 'helpers' a rank in tests/test_imports.py",
        ),
        ("ecg_lightning/cli.py", "from ecg_lightning import *", "front door"),
    ],
)
def test_a_broken_arrow_is_found_with_file_and_line(tmp_path: Path, name: str, text: str, message: str) -> None:
    (problem,) = broken_arrows(build(tmp_path, {name: text}))
    assert message in problem
    assert problem.startswith(name)
    if " imports " in problem:
        assert problem.startswith(f"{name}:{len(text.splitlines())}: ")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ecg_lightning/command_line/a.py", "import callbacks.attribution_maps, ecg_lightning.study.report"),
        (
            "ecg_lightning/signal/a.py",
            "from ecg_lightning.signal.b import c\nfrom .d import e\nfrom ecg_lightning import ecg",
        ),
        ("ecg_lightning/storage/a.py", "import ecg_lightning.version"),
        ("ecg_lightning/runs/a.py", "import ecg_lightning.storage.atomic"),
        ("callbacks/a.py", "import numpy, ecg_lightning.plotting.maps\nfrom .b import c"),
        ("ecg_lightning/__init__.py", "def __getattr__(name):\n    from ecg_lightning.runs.run import open_run"),
    ],
)
def test_a_sound_arrow_is_not_found(tmp_path: Path, name: str, text: str) -> None:
    assert broken_arrows(build(tmp_path, {name: text})) == []


def test_a_forbidden_library_is_found(tmp_path: Path) -> None:
    files = {"ecg_lightning/functional/a.py": "import torch\ndef f():\n    from captum.attr import Saliency"}
    (problem,) = forbidden_libraries(build(tmp_path, files))
    assert problem.startswith("ecg_lightning/functional/a.py:3: ")
    assert problem.endswith("functional does without captum")


def test_a_name_in_two_rooms_is_found(tmp_path: Path) -> None:
    files = {f"ecg_lightning/{name}.py": "" for name in ("signal/a", "signal/deeper/a", "data/b", "models/b", "runs/c")}
    assert shared_names(build(tmp_path, files)) == {"b": {"data", "models"}}


def test_a_circle_is_found(tmp_path: Path) -> None:
    files = {
        "ecg_lightning/data/a.py": "from .b import x",
        "ecg_lightning/data/b.py": "def f():\n    from ecg_lightning.data import c",
        "ecg_lightning/data/c.py": "import ecg_lightning.data.a",
    }
    found = cycle(build(tmp_path, files))
    assert found[0] == found[-1]
    assert {name[-1] for name in found} == {"a", "b", "c"}
    files["ecg_lightning/data/c.py"] = "import numpy"
    assert cycle(build(tmp_path, files)) == []


@pytest.mark.parametrize("module", ["ecg_lightning.experiments.self_consistency.compare", "ecg_lightning.runs.run"])
def test_what_only_reads_stores_starts_without_lightning(module: str) -> None:
    # every worker of `compare` imports it: Lightning alone takes seconds
    code = f"import sys, {module}; print(sorted({{'lightning', 'captum', 'matplotlib'}} & set(sys.modules)))"
    output = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=REPOSITORY
    ).stdout
    assert output.strip() == "[]"


def test_an_experiment_knows_no_other() -> None:
    assert experiments_that_know_another(REPOSITORY) == []


def test_an_experiment_that_knows_another_is_found(tmp_path: Path) -> None:
    folder = tmp_path / PACKAGE / "experiments"
    for name in ("one", "other"):
        (folder / name).mkdir(parents=True)
    (folder / "columns.py").write_text("", encoding="utf-8")
    lines = "from ecg_lightning.experiments.columns import A\nfrom ecg_lightning.experiments.{}.measure import B\n"
    (folder / "one/section.py").write_text(lines.format("one"), encoding="utf-8")
    assert experiments_that_know_another(tmp_path) == []
    (folder / "one/section.py").write_text(lines.format("other"), encoding="utf-8")
    assert len(experiments_that_know_another(tmp_path)) == 1
