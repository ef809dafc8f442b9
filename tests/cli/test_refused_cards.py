"""A wrong card is refused before a map is made, with the remedy; `--gate warn` goes on, and the report shows both."""

import re
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml
from few_keys import without_others
from gate_network import CLASSES, READS, read_archive, trained
from workplace import CONFIGS

from ecg_lightning.cards import CardError
from ecg_lightning.cli import main


@pytest.fixture(scope="module")
def folder(data_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that was trained on mV, with a card that says so and one that says microvolts."""
    folder = tmp_path_factory.mktemp("gate")
    archive = read_archive(data_root / "ptbxl")
    torch.save(trained(archive.ecg, torch.from_numpy(archive.label).float()).state_dict(), folder / "theirs.pt")
    (folder / "maps.yaml").write_text(
        "maps: { methods: [gradient_x_input] }\n" + without_others("maps", "test_record"), encoding="utf-8"
    )
    for name, unit in (("right", "mV"), ("wrong", "uV")):
        card = {
            "class_path": "gate_network.Learner",
            "weights": {"path": "theirs.pt"},
            "reads": {"leads": list(READS.leads), "sampling_rate": 100, "samples": 1000, "unit": unit},
            "gives": {"targets": {name: place for place, name in enumerate(CLASSES)}},
            "promises": [{"target": "NORM", "metric": "auroc", "value": 0.9, "data": "their own test ECGs"}],
        }
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(card), encoding="utf-8")
    return folder


def ask(folder: Path, root: Path, card: str, *more: str) -> Path:
    """Test a card on all ECGs of the archive."""
    main([
        *("test", "--network", str(folder / f"{card}.yaml"), "--config", str(CONFIGS / "test.yaml")),
        *("--config", str(CONFIGS / "data/ptbxl.yaml"), "--config", str(folder / "maps.yaml")),
        *("--root", str(root / "ptbxl"), "--study", card, "--target", "NORM", "--runs", str(folder / "runs")),
        *("--data.cache_dir", str(folder / "cache"), "--data.processes", "1", "--data.split", "test_only"),
        *("--trainer.accelerator", "cpu", "--trainer.logger", "false", "--trainer.enable_progress_bar", "false"),
        *more,
    ])  # fmt: skip
    return folder / "runs" / card / "NORM" / "seed0"


@pytest.mark.usefixtures("with_figures")
def test_a_wrong_card_is_refused_before_a_map(folder: Path, data_root: Path) -> None:
    with pytest.raises(CardError, match=r"diverge by .* as the card says by .* -> reads\.unit: mV\. Mend the card, or"):
        ask(folder, data_root, "wrong")
    run = folder / "runs/wrong/NORM/seed0"
    table = pd.read_parquet(run / "tables/gate.parquet")
    assert "wrong" in table["verdict"].tolist()
    assert (run / "figures/gate.png").is_file()
    assert not (run / "maps").exists()
    assert not (run / "test.yaml").exists()


def test_a_warning_goes_on(folder: Path, data_root: Path) -> None:
    with pytest.warns(UserWarning, match=r"does not see what its card says.*reads\.unit: mV"):
        run = ask(folder, data_root, "wrong", "--gate", "warn")
    assert (run / "maps/gradient_x_input").is_dir()


def test_a_right_card_passes_and_is_reported(folder: Path, data_root: Path) -> None:
    run = ask(folder, data_root, "right")
    table = pd.read_parquet(run / "tables/gate.parquet").set_index("setting")
    assert "wrong" not in table["verdict"].tolist()
    assert "here it is" in table.loc["promise for NORM", "words"]
    main(["report", str(folder / "runs/right"), "--n_resamples", "100"])
    page = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", (folder / "runs/right/report.html").read_text()))
    assert "Do the networks see what they were trained on?" in page
    assert "1000 times as large" in page


def test_off_looks_at_nothing(folder: Path, data_root: Path) -> None:
    run = ask(folder, data_root, "right", "--gate", "off", "--study", "unasked").parents[2] / "unasked/NORM/seed0"
    assert (run / "maps/gradient_x_input").is_dir()
    assert not (run / "tables/gate.parquet").exists()
