"""What an ECG's shape is, and which targets there are, is data: no module knows it by heart, but the few that may."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_imports import REPOSITORY, build, sources

from ecg_lightning.ecg import MEDIAN_BEAT, TARGETS

SHAPE_NAMES = ("LEADS", "BEAT_SAMPLES", "FIDUCIAL_SAMPLE", "SAMPLING_RATE", "TARGETS", "PAPER_TARGETS")
"""Of ``ecg.py`` and of the YAML; what is general takes a ``SignalFormat`` or a ``TargetInfo`` instead."""

NUMBERS = (MEDIAN_BEAT.samples, MEDIAN_BEAT.fiducial, MEDIAN_BEAT.sampling_rate, len(MEDIAN_BEAT.leads) * 600)
WORDS = (f"{len(MEDIAN_BEAT.leads)}, {MEDIAN_BEAT.samples}", f"{MEDIAN_BEAT.samples} samples")

ALLOWED = (
    "ecg_lightning/ecg.py",  # where they are defined
    "ecg_lightning/simulator/",  # makes recordings of eight leads at 500 Hz, with the paper's nine diagnoses
    "ecg_lightning/data/sources/",  # read a format of files, a vendor's beats among them, and map its codes to targets
    *(  # make the median beat, and find the beats of any recording at its rate
        f"ecg_lightning/signal/{name}.py"
        for name in ("align", "beat", "companions", "filters", "landmarks", "leads", "peaks", "plausibility")
    ),
    *(f"ecg_lightning/signal/{name}.py" for name in ("quality", "resample", "spikes", "strength", "window")),
)
"""Modules, and folders, that may know them. So may every ``published.py``, which quotes the paper."""

REASONS = {
    ("ecg_lightning/data/representations.py", "MEDIAN_BEAT"): "the format of what MedianBeats makes",
    ("ecg_lightning/cards/card.py", "MEDIAN_BEAT"): "a card may say that its network reads median beats",
    ("ecg_lightning/data/targets.py", "PAPER_TARGETS"): "reads them from YAML, and sorts targets in the paper's order",
    ("ecg_lightning/data/merge.py", "PAPER_TARGETS"): "their columns stand in every cache, as its readers expect",
    ("ecg_lightning/command_line/run_config.py", "PAPER_TARGETS"): "named to who named no target",
    ("ecg_lightning/plotting/cached_beats.py", "PAPER_TARGETS"): "the labels that a caption of some words has room for",
    ("ecg_lightning/report/deviations.py", "PAPER_TARGETS"): "compares with the paper",
    ("ecg_lightning/report/own_numbers.py", "PAPER_TARGETS"): "compares with the paper",
    ("ecg_lightning/report/population.py", "PAPER_TARGETS"): "compares with the paper's Table 1",
    ("ecg_lightning/experiments/perturbation/data.py", "MEDIAN_BEAT"): "twins exist of median beats only",
}
"""(module, what it knows) -> why it may."""


def known_by_heart(path: Path, root: Path) -> Iterator[tuple[str, int, str]]:
    """What a module says of the shape or the targets: its path, the line, and the name or the literal."""
    file, tree = path.relative_to(root).as_posix(), ast.parse(path.read_text(encoding="utf-8"))
    defaults = {id(part) for default in defaults_of(tree) for part in ast.walk(default)}
    for node in ast.walk(tree):
        name = getattr(node, "id", None) or getattr(node, "attr", None)
        if isinstance(node, ast.alias) and node.asname:
            name = node.name  # another name of it
        if name in SHAPE_NAMES or (name == "MEDIAN_BEAT" and id(node) not in defaults):
            yield file, node.lineno, name
        elif isinstance(node, ast.Constant) and (said := literal(node.value)):
            yield file, node.lineno, said


def defaults_of(tree: ast.AST) -> Iterator[ast.expr]:
    """The defaults of arguments and of a dataclass's fields: what is not said is a median beat, as in old stores."""
    for node in ast.walk(tree):
        if isinstance(node, ast.arguments):
            yield from (default for default in (*node.defaults, *node.kw_defaults) if default is not None)
        elif isinstance(node, ast.ClassDef):
            yield from (part.value for part in node.body if isinstance(part, ast.AnnAssign) and part.value is not None)


def literal(value: object) -> str:
    """A number of samples, a shape in words or the name of one of the paper's targets; empty for anything else."""
    if isinstance(value, str):
        return next(
            (repr(word) for word in (*TARGETS, *WORDS) if value == word or (word in WORDS and word in value)), ""
        )
    return repr(value) if type(value) in (int, float) and value in NUMBERS else ""


def offenders(root: Path) -> list[str]:
    return [
        f"{file}:{line}: {said}: take the SignalFormat or the target of the data instead"
        for path in sources(root)
        for file, line, said in known_by_heart(path, root)
        if not file.startswith(ALLOWED) and path.name != "published.py" and (file, said) not in REASONS
    ]


def test_shape_and_targets_are_data() -> None:
    assert not offenders(REPOSITORY), "\n".join(["", *offenders(REPOSITORY)])


def test_every_exception_is_needed() -> None:
    met = {(file, said) for path in sources(REPOSITORY) for file, _, said in known_by_heart(path, REPOSITORY)}
    assert set(REASONS) <= met, f"take out of REASONS: {sorted(set(REASONS) - met)}"
    files = {file for file, _ in met}
    unused = [place for place in ALLOWED if not any(file.startswith(place) for file in files)]
    assert not unused, f"take out of ALLOWED: {unused}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("from ecg_lightning.ecg import LEADS\nx = len(LEADS)", "LEADS"),
        ("from ecg_lightning import ecg\nx = ecg.SAMPLING_RATE", "SAMPLING_RATE"),
        ("from ecg_lightning.ecg import TARGETS\nx = TARGETS[0]", "TARGETS"),
        ("from ecg_lightning.ecg import LEADS as eight\nx = eight", "LEADS"),
        ("import torch\nx = torch.zeros(8, 600)", "600"),
        ("x = 240", "240"),
        ("x = 500.0", "500.0"),
        ("x: int = 4800", "4800"),
        ("x = 'low_qrs_voltage'", "'low_qrs_voltage'"),
        ("def f(beat):\n    '''Of a beat, (8, 600) mV.'''", "'8, 600'"),
        ("x = f'{1} of 600 samples'", "'600 samples'"),
        ("from ecg_lightning.ecg import MEDIAN_BEAT\nx = MEDIAN_BEAT.shape", "MEDIAN_BEAT"),
        ("from ecg_lightning.ecg import MEDIAN_BEAT\ndef f(x):\n    return x or MEDIAN_BEAT", "MEDIAN_BEAT"),
    ],
)
def test_what_is_known_by_heart_is_found(tmp_path: Path, text: str, said: str) -> None:
    (problem,) = offenders(build(tmp_path, {"ecg_lightning/report/a.py": text}))
    assert f": {said}: " in problem


@pytest.mark.parametrize(
    ("file", "text"),
    [
        (
            "report/a.py",
            "from ecg_lightning.ecg import MEDIAN_BEAT\ndef f(x=MEDIAN_BEAT, *, y=MEDIAN_BEAT.samples): ...",
        ),
        ("report/a.py", "from ecg_lightning.ecg import MEDIAN_BEAT\nclass A:\n    of: object = MEDIAN_BEAT"),
        ("report/a.py", "x = [True, 8, 12, 60, 'rhythm', 'sinus_rhythm and others', '(lead, sample)']"),
        ("simulator/a.py", "x = 600"),
        ("report/published.py", "x = 'sinus_rhythm'"),
    ],
)
def test_what_is_data_is_not_found(tmp_path: Path, file: str, text: str) -> None:
    assert offenders(build(tmp_path, {f"ecg_lightning/{file}": text})) == []
