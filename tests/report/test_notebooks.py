"""The notebooks run from top to bottom on a study that was really trained, and are stored clean."""

import os
import re
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode

ROOT = Path(__file__).parents[2]
TARGET = "first_degree_av_block"
FOUND = {"01_train_and_attribute": (4, 6), "02_audit_one_model": (4, 7), "03_study_figures": (3, 4)}
"""Notebook -> figures and tables that it shows at least."""

WHERE = "import sys, ecg_lightning; print(sys.executable, ecg_lightning.__file__, sep='\\n')"
ABSOLUTE = re.compile(r"(?<![\w.~>])/(home|root|tmp|var|usr|opt|mnt|srv|work|data|Users|private)/|[A-Z]:\\\\")


def written(study: Path) -> dict[Path, int]:
    """When each file of a study was written; not W&B's, whose service may still write its own log."""
    files = (path for path in study.rglob("*") if "wandb" not in path.relative_to(study).parts)
    return {path: path.stat().st_mtime_ns for path in files}


def stored(name: str) -> NotebookNode:
    return nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)


@pytest.fixture
def kernel_of_this_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel that lies beside this interpreter, whatever a person has installed; nothing is written to a home."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "1")
    for name in ("JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))


def executed(book: NotebookNode, folder: Path) -> NotebookNode:
    folder.mkdir()
    client = NotebookClient(book, kernel_name="python3", timeout=60, resources={"metadata": {"path": str(folder)}})
    return client.execute()


def outputs(book: NotebookNode) -> list[NotebookNode]:
    return [output for cell in book.cells if cell.cell_type == "code" for output in cell.outputs]


def test_every_notebook_is_tested() -> None:
    assert {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")} == set(FOUND)


@pytest.mark.parametrize("name", FOUND)
def test_runs_on_a_finished_study(
    name: str, micro_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kernel_of_this_checkout: None
) -> None:
    monkeypatch.setenv("ECG_LIGHTNING_STUDY", str(micro_study))
    monkeypatch.setenv("ECG_LIGHTNING_RUN", str(micro_study / TARGET / "seed0"))
    before = written(micro_study)
    book = stored(name)
    book.cells.append(nbformat.v4.new_code_cell(WHERE))
    done = executed(book, tmp_path / "elsewhere")

    assert not [output for output in outputs(done) if output.output_type == "error"]
    assert not [output.text for output in outputs(done) if output.get("name") == "stderr"]
    shown = [output.data for output in outputs(done) if "data" in output]
    figures, tables = FOUND[name]
    assert sum("image/png" in data for data in shown) >= figures
    assert sum("<table" in data.get("text/html", "") for data in shown) >= tables
    python, package = outputs(done)[-1].text.split("\n")[:2]
    assert Path(python) == Path(sys.executable)
    assert Path(package).is_relative_to(ROOT)
    assert written(micro_study) == before
    if name == "03_study_figures":
        assert (tmp_path / "elsewhere" / "paper_figures" / "figure_4b.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize("name", FOUND)
def test_says_how_to_make_what_is_missing(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kernel_of_this_checkout: None
) -> None:
    for variable in ("ECG_LIGHTNING_STUDY", "ECG_LIGHTNING_RUN"):
        monkeypatch.delenv(variable, raising=False)
    book = stored(name)
    book.cells = next([cell] for cell in book.cells if cell.cell_type == "code")
    with pytest.raises(
        CellExecutionError, match=r"no folder runs/quickstart(?s:.*) study --config \S*quickstart\.yaml"
    ):
        executed(book, tmp_path / "elsewhere")


@pytest.mark.parametrize("name", FOUND)
def test_is_stored_clean(name: str) -> None:
    book = stored(name)
    nbformat.validate(book)
    assert book.metadata.kernelspec.name == "python3"
    assert len({cell.id for cell in book.cells}) == len(book.cells)
    assert not outputs(book)
    assert all(cell.execution_count is None for cell in book.cells if cell.cell_type == "code")
    assert not ABSOLUTE.search((ROOT / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8"))
