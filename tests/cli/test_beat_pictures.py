"""Pictures of the test beats, and evidence over the maps, from a source that knows its evidence."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, Trainer
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image
from synthetic_ecg import synthetic
from torch.utils.data import DataLoader

import callbacks.beat_pictures
import callbacks.map_pictures
from callbacks import AttributionMaps, BeatPictures, LogitsAndMetrics, MapPictures
from ecg_lightning.data.datamodule import EcgDataModule
from ecg_lightning.data.representations import TWELVE_LEADS, RecordingWindow
from ecg_lightning.data.sources.base import Entry, Recording, Source
from ecg_lightning.ecg import LEADS, MEDIAN_BEAT, Target
from ecg_lightning.models import EcgClassifier, ResNet1d
from ecg_lightning.plotting.class_beat import REGION_STYLES
from ecg_lightning.plotting.figure_files import FigureFile
from ecg_lightning.wandb_logger import RunLogger

TARGET: Target = "sinus_tachycardia"
N = 120


class Marked(Source):
    """Every second ECG has tachycardia, with evidence; every tenth has no label.

    Args:
        evidence: Whether the evidence is known.
        waves: Whether QRS complexes are marked.
    """

    name = "marked"

    def __init__(self, evidence: bool = True, waves: bool = True) -> None:
        self.knows_evidence = evidence
        self.waves = waves

    def entries(self) -> Sequence[Entry]:
        known: list[dict[Target, float]] = [{} if k % 10 == 0 else {TARGET: float(k % 2)} for k in range(N)]
        return [Entry(f"e{k}", f"p{k // 2}", 50.0, "male", labels) for k, labels in enumerate(known)]

    def read(self, entry: Entry) -> Recording:
        rate = 110.0 if entry.labels.get(TARGET) else 70.0
        return synthetic(rate, seconds=6.0, with_masks=self.waves).recording

    def evidence(self, entry: Entry, neighbours: str = "keep") -> Mapping[str, NDArray[np.bool_]]:
        mask = np.zeros((8, 600), dtype=np.bool_)
        mask[1:3, 300:420] = True
        return {f"causal/{TARGET}": mask} if self.knows_evidence and entry.labels.get(TARGET) else {}

    def settings(self) -> dict[str, object]:
        return {"evidence": self.knows_evidence, "waves": self.waves}


@pytest.fixture(scope="module")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("caches")


def run_test(
    cache_dir: Path,
    folder: Path,
    *callbacks: Callback,
    source: Source | None = None,
    window: RecordingWindow | None = None,
    **more: Any,
) -> Path:
    run = folder / "runs/study" / TARGET / "seed0"
    torch.manual_seed(0)
    leads, length = (window.format if window else MEDIAN_BEAT).shape
    module = EcgClassifier(ResNet1d(leads=leads, length=length, widths=(leads, leads, 16), strides=(1, 4, 4)), TARGET)
    data = EcgDataModule(
        source or Marked(),
        TARGET,
        cache_dir=str(cache_dir),
        n_backgrounds=3,
        processes=1,
        representation=window,
    )
    trainer(run, *callbacks, **more).test(module, data, verbose=False)
    return run


def trainer(run: Path, *callbacks: Callback, **more: Any) -> Trainer:
    return Trainer(
        default_root_dir=run,
        accelerator="cpu",
        callbacks=list(callbacks),
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        **{"logger": False} | more,
    )


class Drawn:
    """Keeps the figures that a callback saves."""

    def __init__(self, module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.texts: dict[str, list[str]] = {}
        self.save = module.save_figure_files
        monkeypatch.setattr(module, "save_figure_files", self.keep)

    def keep(self, figure: Figure, path: Path, files: Sequence[FigureFile]) -> None:
        self.texts[path.name] = [text.get_text() for text in figure.texts]
        self.save(figure, path, files)


def test_beats_with_and_without_the_diagnosis_are_drawn(
    cache_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = Drawn(callbacks.beat_pictures, monkeypatch)
    run = run_test(cache_dir, tmp_path, BeatPictures(2, ids="keep"))
    with Image.open(run / "figures/beats" / f"{TARGET}.png") as image:
        assert image.width > 500
    texts = drawn.texts[f"{TARGET}.png"]
    assert {"Sinus tachycardia: sinus P waves, above 100/min", REGION_STYLES["causal"].meaning} <= set(texts)
    assert REGION_STYLES["QRS"].meaning not in texts
    assert {"with the diagnosis", "without it"} <= set(texts)
    assert texts.count("110/min") == texts.count("ST") == 2
    assert texts.count("70/min") == texts.count("none of the nine") == 2
    ids = [match[1] for text in texts if (match := re.fullmatch(r"marked row \d+ \(e(\d+)\)", text))]
    assert len({int(number) // 2 for number in ids}) == 4  # patients
    assert all(int(number) % 10 for number in ids)  # labels are known
    again = Drawn(callbacks.beat_pictures, monkeypatch)
    run_test(cache_dir, tmp_path / "again", BeatPictures(2, ids="keep"))
    assert again.texts == drawn.texts


@pytest.mark.parametrize("waves", [True, False])
def test_beats_without_evidence_show_their_waves_or_are_drawn_plain(
    cache_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, waves: bool
) -> None:
    drawn = Drawn(callbacks.beat_pictures, monkeypatch)
    run_test(cache_dir, tmp_path, BeatPictures(1), source=Marked(evidence=False, waves=waves))
    texts = drawn.texts[f"{TARGET}.png"]
    shown = {name for name, style in REGION_STYLES.items() if style.meaning in texts}
    assert shown == ({"QRS"} if waves else set())
    assert sum(re.search(r"\(ecg-[0-9a-f]{10}\)", text) is not None for text in texts) == 2


def test_pictures_of_beats_reach_wandb(cache_dir: Path, tmp_path: Path) -> None:
    logger = RunLogger(save_dir=tmp_path, offline=True)
    run_test(cache_dir, tmp_path, BeatPictures(1), logger=logger)
    logger.finish()
    assert list(tmp_path.glob("wandb/offline-run-*/files/media/images/beats_*.png"))


def test_evidence_is_outlined_over_the_maps_of_those_who_have_it(
    cache_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = Drawn(callbacks.map_pictures, monkeypatch)
    chosen = chosen_by_label(cache_dir)
    pictures = MapPictures([ecg_id for _, ecg_id in chosen.values()])
    rows = {label: f"row{row:05d}" for label, (row, _) in chosen.items()}
    run_test(cache_dir, tmp_path, AttributionMaps(["saliency", "gradient_x_input"]), LogitsAndMetrics(), pictures)
    for kind in ("overview", "saliency", "gradient_x_input"):
        outlined = {label: "dashes: evidence (twin)" in drawn.texts[f"{rows[label]}_{kind}.png"] for label in rows}
        assert outlined == {1.0: True, 0.0: False}
    overview = drawn.texts[f"{rows[1.0]}_overview.png"]
    assert overview.count("1 gradient pass") == 2
    assert sum(text.endswith(" logit per mV") for text in overview) == 1


@pytest.mark.parametrize(("leads", "page"), [(8, "25 mm/s"), (12, "each lead for 1.25 s, below II for all 5 s")])
def test_recordings_are_drawn_as_pages(
    cache_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, leads: int, page: str
) -> None:
    beats, maps = Drawn(callbacks.beat_pictures, monkeypatch), Drawn(callbacks.map_pictures, monkeypatch)
    window = RecordingWindow(LEADS if leads == 8 else TWELVE_LEADS, seconds=5)
    audit = [BeatPictures(1), AttributionMaps(["saliency", "gradient_x_input"]), LogitsAndMetrics(), MapPictures()]
    run = run_test(cache_dir, tmp_path, *audit, source=Marked(evidence=False), window=window)
    texts = beats.texts[f"{TARGET}.png"]
    assert {"recordings of test ECGs", REGION_STYLES["QRS"].meaning} <= set(texts)
    assert any(page in text for text in texts)
    rows = {name.split("_")[0] for name in maps.texts}
    kinds = ("overview", "beat", "saliency", "gradient_x_input")
    assert set(maps.texts) == {f"{row}_{kind}.png" for row in rows for kind in kinds}
    assert len(list((run / "figures/maps").glob("*.png"))) == len(maps.texts) > 0
    for name, written in maps.texts.items():
        drawn_leads = {text for text in written if text in window.leads}
        assert len(drawn_leads) == (leads if name.endswith("beat.png") else 1 if name.endswith("overview.png") else 0)
        assert any(page in text for text in written) == name.endswith(("saliency.png", "input.png"))


def chosen_by_label(cache_dir: Path) -> dict[float, tuple[int, str]]:
    data = EcgDataModule(Marked(), TARGET, cache_dir=str(cache_dir), n_backgrounds=3, processes=1)
    data.prepare_data()
    data.setup("test")
    examples = data.examples("test")
    firsts = {label: examples[examples["label"] == label].iloc[0] for label in (1.0, 0.0)}
    return {label: (int(first["row"]), str(first["ecg_id"])) for label, first in firsts.items()}


def test_examples_are_positive_in_number() -> None:
    with pytest.raises(ValueError, match="BeatPictures: expected at least 1 example, got n_examples = 0"):
        BeatPictures(0)


def test_beats_need_a_datamodule_that_knows_the_ecgs(tmp_path: Path) -> None:
    batch = {"ecg": torch.zeros(1, 8, 600), "label": torch.zeros(1), "row": torch.zeros(1, dtype=torch.long)}
    module = EcgClassifier(ResNet1d(widths=(8, 8, 16), strides=(1, 4, 4)), TARGET)
    with pytest.raises(TypeError, match=r"BeatPictures needs an EcgDataModule.*got NoneType"):
        trainer(tmp_path / "runs/study" / TARGET / "seed0", BeatPictures()).test(
            module, DataLoader([batch], batch_size=None)
        )
