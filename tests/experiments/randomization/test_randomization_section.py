"""What a report says of random networks: from stores alone, and never against its own numbers."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ecg_lightning.experiments.randomization.random_networks_blocks import NOT_MEASURED
from ecg_lightning.experiments.randomization.section import cascade_section
from ecg_lightning.plotting.page_blocks import Items, Paragraph, Picture, ReportFiles, TableBlock
from ecg_lightning.runs.study_runs import StudyRuns
from ecg_lightning.statistics.interval_settings import IntervalSettings
from ecg_lightning.storage.store import RowStore, StoreSpec

N, DRAWS = 24, 5
METHODS = ("saliency", "integrated_gradients", "gradcam", "random", "absolute_input")
PARTIAL = (0.5, 0.02, 0.1, 0.0, np.nan)
MAGNITUDE = (0.55, 0.35, 0.2, 0.0, 1.0)
TARGETS = ("first_degree_av_block", "left_ventricular_hypertrophy")


class NoPictures(ReportFiles):
    """Draws nothing."""

    def picture(self, name: str, draw: object, label: str, caption: str, *, wide: bool = True) -> Picture:
        return Picture(self.study.figures / f"{name}.png", b"", caption, label, wide)


def store(path: Path, values: np.ndarray, **coords: object) -> None:
    spec = StoreSpec(
        dims=("row", *coords), shape=values.shape, coords={k: list(v) for k, v in coords.items()}, dtype="float32",
        unit="correlation", settings={}, network="n", examples="e",
    )  # fmt: skip
    made = RowStore.create(path, spec)
    made.write(np.arange(len(values)), values)
    made.merge()
    made.close()


def progressive(seed: int) -> pd.DataFrame:
    rows = [
        {"direction": "from_output", "smooth": smooth, "statistic": statistic, "sign": sign, "method": method}
        | {"control": method in METHODS[3:], "depth": depth, "complete": True, "batchnorm": "kept", "layer": "x"}
        | {"similarity": 1.0 - 0.1 * depth + 0.01 * seed, "low": 0.1, "high": 0.9, "n_ecgs": N, "n_patients": N}
        | {"n_undefined": 0, "ceiling": np.nan}
        for smooth in (False, True)
        for statistic in ("pearson", "spearman")
        for sign in ("native", "absolute")
        for method in METHODS
        for depth in (0, 9)
    ]
    return pd.DataFrame(rows)


@pytest.fixture
def study(tmp_path: Path) -> Path:
    for t, target in enumerate(TARGETS):
        for seed in range(3):
            run = tmp_path / "s" / target / f"seed{seed}"
            (run / "tables").mkdir(parents=True)
            head = {"row": range(N), "ecg_id": [f"e{k}" for k in range(N)], "patient_id": [f"p{k}" for k in range(N)]}
            pd.DataFrame(head | {"label": np.arange(N) % 2, "age": 50.0, "sex": "female", "source": "s"}).to_parquet(
                run / "examples.parquet"
            )
            random = np.random.default_rng(10 * t + seed)
            for policy in ("reset_recalibrated", "kept"):
                for quantity, means in (("partial", PARTIAL), ("magnitude", MAGNITUDE), ("signed", MAGNITUDE),
                                        ("between", MAGNITUDE)):  # fmt: skip
                    spread = 0.08 * random.normal(size=(N, 1, 5)) + 0.03 * random.normal(size=(1, DRAWS, 5))
                    values = np.where(np.array(means) == 1, 1.0, np.array(means) + spread)
                    coords = {"draw": range(DRAWS), "method": METHODS}
                    store(run / "cascade/random_networks" / policy / quantity, values, **coords)
            store(run / "scores/efficient_mprt", np.full((N, 5), 0.25), method=METHODS)
            progressive(seed).to_parquet(run / "tables/cascade.parquet")
            curve = {"direction": "from_output", "depth": [0, 9], "layer": ["", "x"], "auroc": [0.9, 0.5]}
            pd.DataFrame(curve | {"low": 0.4, "high": 0.95}).to_parquet(run / "tables/cascade_network.parquet")
            for record in ("fit.done.json", "test.done.json"):
                (run / record).write_text("{}")
    return tmp_path / "s"


@pytest.mark.slow
def test_verdicts_by_diagnosis_and_what_stands_beside_them(study: Path) -> None:
    runs = StudyRuns.open(study, IntervalSettings(n_resamples=100))
    section = cascade_section(runs, ReportFiles(runs.study))
    verdicts = next(block for block in section.blocks if isinstance(block, TableBlock))
    cells = {row[0].text: row[1:] for row in verdicts.cells()}
    assert [cell.kind for cell in cells["Saliency"]] == ["bad", "bad"]
    assert [cell.kind for cell in cells["IG"]] == ["good", "good"]
    assert all(cell.text.startswith("fails 1.00 raw") for cell in cells["|ECG|"])
    for row in cells.values():
        for cell in row:  # the words of the cell and of its sentence are those of one state
            state = cell.text.split(" 0.")[0].split(" 1.")[0].split(" \N{MINUS SIGN}")[0]
            assert f"): {state}" in cell.title, (cell.text, cell.title)
            assert "these 3 networks" in cell.title
    counts = next(block for block in section.blocks if isinstance(block, Items)).items
    assert counts[0] == (
        "First-degree AV block, of 3 methods: 1 passes (IG); 1 fails (Saliency); 1 can't be told (Grad-CAM)."
    )
    numbers = section.details["Every comparison, First-degree AV block"][0]
    assert isinstance(numbers, TableBlock)
    assert "another ECG's map" not in numbers.head  # which no run has measured
    own = next(row for row in numbers.cells() if row[0].text == "Saliency")
    table = pd.read_parquet(study / "tables/random_networks.parquet").set_index(
        ["target", "batchnorm", "quantity", "method"]
    )
    row = table.loc[("first_degree_av_block", "reset_recalibrated", "partial", "saliency")]
    assert own[1].text.startswith(f"{row['mean']:.2f} (")
    assert (row["n_networks"], row["n_draws"], row["n_patients"]) == (3, DRAWS, N)
    pictures = {block.label: block for block in section.blocks if isinstance(block, Picture)}
    assert "which is no interval" in pictures["Figure 4A"].caption
    assert f"{N} ECGs a network of {N} patients" in pictures["Figure 4A"].caption
    assert "intervals over networks and patients" in pictures["Random networks"].caption
    forms = section.details["The smooth and the efficient test"][0]
    assert isinstance(forms, TableBlock)
    assert [cell.text for cell in forms.cells()[0]][1:] == ["0.11", "0.11", "0.25"]


def test_runs_of_an_earlier_version_say_that_it_was_not_measured(study: Path) -> None:
    for path in sorted(study.glob("*/seed*/cascade"), reverse=True):
        path.rename(path.with_name("old"))
    runs = StudyRuns.open(study, IntervalSettings(n_resamples=100))
    section = cascade_section(runs, NoPictures(runs.study))
    assert Paragraph(NOT_MEASURED, "note") in section.blocks
    assert any(isinstance(block, Picture) and block.label == "Figure 4A" for block in section.blocks)


def test_a_study_may_randomise_some_of_its_networks(study: Path) -> None:
    for seed in (1, 2):
        run = study / TARGETS[0] / f"seed{seed}"
        (run / "cascade").rename(run / "old")
    runs = StudyRuns.open(study, IntervalSettings(n_resamples=100))
    section = cascade_section(runs, NoPictures(runs.study))
    verdicts = next(block for block in section.blocks if isinstance(block, TableBlock))
    saliency = next(row for row in verdicts.cells() if row[0].text == "Saliency")
    assert "this network" in saliency[1].title
    assert "these 3 networks" in saliency[2].title
