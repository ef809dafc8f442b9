"""What a test draws: all, a summary or nothing, as PNG or as other files beside it; tables are always there."""

from collections import defaultdict
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loggers import WandbLogger
from matplotlib.figure import Figure
from test_bad_audits import LABELS, TARGET, audits, run_with

from callbacks import AttributionMaps, BeatPictures, Figures, MapPictures, MethodSimilarity
from callbacks.audit_results import AuditResults
from ecg_lightning.storage.store import RowStore

RUN = f"runs/bad/{TARGET}/seed0"
SUMMARY = {
    "similarity/pearson_native",
    "cascade/pearson_native",
    "perturbation/block50_interpolation_none",
    "localization/causal",
    "scores/scores",
    f"beats/{TARGET}",
}


def give_test(folder: Path, *more: Callback) -> set[str]:
    """Give a test of every audit, and return the files of its figures that were not there before."""
    figures = folder / RUN / "figures"
    before = set(figures.rglob("*.*"))
    run_with(folder, LABELS, AttributionMaps(["saliency"]), MethodSimilarity(), *audits(), *more)
    return {path.relative_to(figures).as_posix() for path in set(figures.rglob("*.*")) - before}


@pytest.fixture(scope="module")
def silent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a test that has drawn nothing."""
    folder = tmp_path_factory.mktemp("silent")
    assert give_test(folder, Figures("none"), BeatPictures(), MapPictures()) == set()
    return folder


@pytest.fixture(scope="module")
def drawn(silent: Path) -> dict[str, set[str]]:
    """Choice -> what the run's folder has then beside what it had before; nothing is measured for it."""
    measured, write = set(), RowStore.write

    def note(store: RowStore, *rows: Any, **more: Any) -> None:
        measured.add(store.path.name)
        write(store, *rows, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RowStore, "write", note)
        few = give_test(silent, Figures("summary"), BeatPictures(), MapPictures())
        every = give_test(silent, Figures(files=["svg"]), BeatPictures(), MapPictures())
    assert measured == {"logits"}
    return {"summary": few, "all": every}


def stems(files: set[str], folder: str = "") -> dict[str, set[str]]:
    """Suffix -> figures of a folder, or of all but that of the maps."""
    found = defaultdict(set)
    for name, _, suffix in (file.rpartition(".") for file in files):
        if name.startswith("maps/") == (folder == "maps"):
            found[suffix].add(name)
    return dict(found)


def test_without_figures_there_are_tables(silent: Path) -> None:
    assert not (silent / RUN / "figures").exists()
    tables = {path.stem for path in (silent / RUN / "tables").iterdir()}
    assert {"similarity", "cascade", "perturbation", "localization", "scores", "verdicts"} <= tables


def test_a_summary_has_one_figure_of_each_audit(drawn: dict[str, set[str]]) -> None:
    assert stems(drawn["summary"]) == {"png": SUMMARY}
    maps = stems(drawn["summary"], "maps")
    assert maps.keys() == {"png"}
    assert all(name.endswith("_overview") for name in maps["png"])


def test_all_has_the_rest_and_the_files_that_were_asked_for(drawn: dict[str, set[str]]) -> None:
    found = stems(drawn["all"])
    assert found["svg"] == found["png"] | SUMMARY
    assert {"similarity/spearman_absolute", "cascade/spearman_native", "localization/QRS"} <= found["png"]
    assert any(name.endswith("_saliency") for name in stems(drawn["all"], "maps")["png"])


def test_maps_that_are_asked_for_are_drawn_where_nothing_else_is(silent: Path, drawn: dict[str, set[str]]) -> None:
    (silent / RUN / "figures/maps").rename(silent / "maps")
    assert {name.partition("_")[2] for name in give_test(silent, Figures("none"), MapPictures(["s0p3e0"]))} == {
        "overview.png",
        "saliency.png",
    }


def results_of(folder: Path, *figures: Figures) -> tuple[AuditResults, Mock]:
    logger = Mock(spec=WandbLogger)
    trainer = Mock(spec=Trainer, default_root_dir=str(folder / RUN), callbacks=[*figures], loggers=[logger])
    return AuditResults(trainer), logger


@pytest.mark.usefixtures("with_figures")
@pytest.mark.parametrize(
    ("figures", "summary", "files"),
    [
        ([], False, {"a.png"}),
        ([Figures("all", ["png", "pdf", "svg"])], False, {"a.png", "a.pdf", "a.svg"}),
        ([Figures("summary", [])], True, {"a.png"}),
        ([Figures("summary")], False, set()),
        ([Figures("none")], True, set()),
    ],
)
def test_what_is_not_wanted_is_neither_drawn_nor_logged(
    tmp_path: Path, figures: list[Figures], summary: bool, files: set[str]
) -> None:
    results, logger = results_of(tmp_path, *figures)
    draw = Mock(return_value=Figure())
    results.figure("b/a", draw, "caption", summary=summary)
    assert {path.name for path in (tmp_path / RUN).rglob("*.*")} == files
    assert draw.call_count == logger.log_image.call_count == bool(files)


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"draw": "some"}, "draw is 'some', expected one of none, summary, all"),
        ({"files": ["jpg"]}, "files of figures are png, svg, pdf, got jpg"),
    ],
)
def test_a_wrong_choice_is_told(choice: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Figures(**choice)
