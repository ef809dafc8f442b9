"""Through the command line: the shipped configuration of the simulator, from patients to maps with evidence."""

import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from few_keys import without_others
from matplotlib.figure import Figure
from numpy.testing import assert_array_equal
from workplace import CONFIGS

import callbacks.map_pictures
from ecg_lightning import open_run
from ecg_lightning.cli import main
from ecg_lightning.data.cache import BeatCache
from ecg_lightning.data.sources import Entry, Recording, Source
from ecg_lightning.plotting.figure_files import FigureFile

N_PATIENTS = 40


class Nothing(Source):
    """A source without arguments."""

    name = "nothing"

    def entries(self) -> Sequence[Entry]:
        return []

    def read(self, entry: Entry) -> Recording:
        raise NotImplementedError

    def settings(self) -> dict[str, object]:
        return {}


def arguments(stage: str, folder: Path, *more: str) -> list[str]:
    """A command line on the shipped YAML."""
    return [
        stage,
        *("--config", str(CONFIGS / f"{'fit' if stage == 'fit' else 'test'}.yaml")),
        *("--config", str(CONFIGS / "data/synthetic.yaml"), "--data.source.init_args.n_patients", str(N_PATIENTS)),
        *("--target", "sinus_rhythm", "--seed_everything", "0", "--study", "simulated"),
        *("--runs", str(folder / "runs"), "--data.cache_dir", str(folder / "cache"), "--data.processes", "1"),
        *("--data.n_backgrounds", "5", "--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"),
        *("--trainer.logger", "false", *more),
    ]


@pytest.fixture
def few(tmp_path: Path) -> Path:
    """Two methods, the pictures and the last words."""
    others = without_others("maps", "test_record", "beat_pictures", "map_pictures", "result_summary")
    (tmp_path / "few.yaml").write_text("maps: { methods: [saliency, gradient_x_input] }\n" + others)
    return tmp_path / "few.yaml"


def test_fit_and_test_on_simulated_ecgs_outline_their_evidence(
    tmp_path: Path, few: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = ("--config", str(CONFIGS / "model/small.yaml"), "--trainer.max_epochs", "1", "--data.batch_size", "24")
    main(arguments("fit", tmp_path, *small))
    texts: dict[str, set[str]] = {}
    save = callbacks.map_pictures.save_figure_files

    def keep(figure: Figure, path: Path, files: Sequence[FigureFile]) -> None:
        texts[path.name] = {text.get_text() for text in figure.texts}
        save(figure, path, files)

    monkeypatch.setattr(callbacks.map_pictures, "save_figure_files", keep)
    main(arguments("test", tmp_path, "--config", str(few)))
    run = open_run(tmp_path / "runs/simulated/sinus_rhythm/seed0")
    assert run.config("fit")["data"]["augmentation"]["lead_gain"] == 0.12
    assert set(run.examples["source"]) == {"synthetic"}
    assert (run.path / "figures/beats/sinus_rhythm.png").is_file()
    label = {f"row{row:05d}": value for row, value in enumerate(run.examples["label"])}
    drawn = {name.removesuffix("_overview.png") for name in texts if name.endswith("_overview.png")}
    assert {float(label[row]) for row in drawn} == {0.0, 1.0}
    for row in drawn:
        for kind in ("overview", "saliency", "gradient_x_input"):
            outlined = "dashes: evidence (twin)" in texts[f"{row}_{kind}.png"]
            assert outlined == (label[row] == 1), (row, kind)
    (folder,) = (path.parent for path in tmp_path.glob("cache/synthetic-*/cache.json"))
    cache = BeatCache.open(folder)
    has_it = (cache.examples["sinus_rhythm"] == 1).fillna(value=False).to_numpy(dtype=bool)
    assert_array_equal(cache.masks("causal/sinus_rhythm")[1], has_it)


@pytest.mark.parametrize("stage", ["prepare", "fit"])
def test_a_folder_that_nothing_reads_is_refused(tmp_path: Path, stage: str) -> None:
    """Whoever passes it has forgotten to choose the source of these files."""
    command = arguments("fit", tmp_path, "--root", str(tmp_path))
    if stage == "prepare":
        command = ["prepare", "--config", str(CONFIGS / "data/synthetic.yaml"), "--root", str(tmp_path)]
    with pytest.raises(SystemExit, match=rf"Synthetic reads no files, so --root {re.escape(str(tmp_path))} would do"):
        main(command)
    assert not (tmp_path / "cache").exists()


def test_a_source_without_arguments_needs_no_root(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nothing: its table holds no ECG"):
        main(["prepare", "--data.source", f"{__name__}.Nothing", "--data.cache_dir", str(tmp_path)])
    with pytest.raises(SystemExit, match="Nothing reads no files"):
        main(["prepare", "--data.source", f"{__name__}.Nothing", "--root", str(tmp_path)])


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (("n_patients", "0"), "n_patients: expected at least 1, got 0"),
        (("noise", "-1"), "noise: expected a factor from 0 on, got -1"),
    ],
)
def test_impossible_simulations_are_refused(tmp_path: Path, setting: tuple[str, str], message: str) -> None:
    name, value = setting
    config = ("--config", str(CONFIGS / "data/synthetic.yaml"), "--data.cache_dir", str(tmp_path))
    with pytest.raises(ValueError, match=message):
        main(["prepare", *config, f"--data.source.init_args.{name}={value}"])


def test_too_few_patients_say_how_to_get_more(tmp_path: Path) -> None:
    few_patients = ("--data.source.init_args.n_patients", "3", "--target", "left_bundle_branch_block")
    with pytest.raises(ValueError, match=r"simulate more patients \(`--data\.source\.init_args\.n_patients`\)"):
        main(arguments("fit", tmp_path, *few_patients))
