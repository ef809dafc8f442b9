"""A network that was trained elsewhere, by its card, on real recordings: test, tune, predict, resume and report."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from few_keys import without_others
from torch import Tensor, nn
from workplace import CONFIGS

from ecg_lightning import open_run
from ecg_lightning.cards import CardError
from ecg_lightning.cli import main
from ecg_lightning.data.representations import TWELVE_LEADS
from ecg_lightning.ecg import SignalFormatError

FEW = (
    "maps: { methods: [gradient_x_input, gradcam] }\n"
    "randomization: { draws: 2, draws_of_expensive_methods: 2, n_resamples: 100, repeats: 1 }\n"
    "perturbation: { n_resamples: 100 }\n"
)


class Theirs(nn.Module):
    """(batch, time, lead) uV -> a dict of three probabilities; every activation is a module of its own."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(12, width, 15, stride=4, padding=7)
        self.norm1, self.relu1 = nn.BatchNorm1d(width), nn.ReLU()
        self.conv2 = nn.Conv1d(width, 2 * width, 9, stride=4, padding=4)
        self.norm2, self.relu2 = nn.BatchNorm1d(2 * width), nn.ReLU()
        self.head, self.end = nn.Linear(2 * width, 3), nn.Sigmoid()

    def forward(self, ecg: Tensor) -> dict[str, Tensor]:
        values = self.relu1(self.norm1(self.conv1(ecg.transpose(1, 2) / 1000)))
        values = self.relu2(self.norm2(self.conv2(values)))
        return {"p": self.end(self.head(values.mean(-1)))}


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A card beside its weights, as a training script of somebody's has left them."""
    folder = tmp_path_factory.mktemp("card")
    torch.manual_seed(0)
    network = Theirs()
    for _ in range(3):
        network(300 * torch.randn(16, 1000, 12))
    state = {f"module.{name}": value for name, value in network.state_dict().items()}
    torch.save({"epoch": 3, "state_dict": state}, folder / "theirs.pt")
    content = {
        "class_path": f"{__name__}.Theirs",
        "weights": {"path": "theirs.pt", "key": "state_dict", "prefix": "module."},
        "reads": {
            "leads": list(TWELVE_LEADS), "sampling_rate": 100, "samples": 1000, "unit": "uV", "layout": "time_lead",
        },
        "gives": {
            "part": "p", "kind": "probability", "names": ["SR", "AF", "LVH"],
            "targets": {"sinus_rhythm": "SR", "left_ventricular_hypertrophy": "LVH"},
            "thresholds": {"left_ventricular_hypertrophy": 0.4},
        },
        "gradcam_layer": "relu2",
    }  # fmt: skip
    (folder / "card.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return folder / "card.yaml"


def arguments(stage: str, card: Path, root: Path, folder: Path, *more: str) -> list[str]:
    return [
        *(stage, "--network", str(card), "--config", str(CONFIGS / "test.yaml")),
        *("--config", str(CONFIGS / "data/ptbxl.yaml"), "--root", str(root / "ptbxl"), "--study", "theirs"),
        *("--target", "left_ventricular_hypertrophy", "--runs", str(folder / "runs")),
        *("--data.cache_dir", str(folder / "cache"), "--data.processes", "1", "--data.n_backgrounds", "5"),
        *("--trainer.accelerator", "cpu", "--trainer.logger", "false", "--trainer.enable_progress_bar", "false", *more),
    ]


@pytest.fixture(scope="module")
def folder(card: Path, data_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The network tested with every audit."""
    folder = tmp_path_factory.mktemp("theirs")
    (folder / "few.yaml").write_text(FEW)
    main(arguments("test", card, data_root, folder, "--config", str(folder / "few.yaml"), "--figures", "summary"))
    return folder


def own_logits(card: Path, beats: np.ndarray) -> Tensor:
    """What the network's owner would compute."""
    network = Theirs().eval()
    state = torch.load(card.parent / "theirs.pt", weights_only=True)["state_dict"]
    network.load_state_dict({name.removeprefix("module."): value for name, value in state.items()})
    with torch.no_grad():
        return torch.logit(network(1000 * torch.from_numpy(np.array(beats)).transpose(1, 2))["p"][:, 2])


def test_logits_are_its_owner_s(card: Path, folder: Path) -> None:
    run = open_run(folder / "runs/theirs/left_ventricular_hypertrophy/seed0")
    assert run.test_beats is not None
    np.testing.assert_allclose(run.logits, own_logits(card, run.test_beats), atol=2e-5)
    assert run.metrics["threshold"] == {"value": pytest.approx(0.4), "chosen_by": "its card"}
    assert {"cascade.parquet", "perturbation.parquet", "scores.parquet", "verdicts.parquet"} <= {
        path.name for path in (run.path / "tables").iterdir()
    }
    for method in ("gradient_x_input", "gradcam"):
        assert run.maps[method].done.all()
        assert run.maps[method].shape[1:] == (12, 1000)


def test_maps_are_those_of_a_direct_gradient(card: Path, folder: Path) -> None:
    run = open_run(folder / "runs/theirs/left_ventricular_hypertrophy/seed0")
    network = Theirs().eval()
    state = torch.load(card.parent / "theirs.pt", weights_only=True)["state_dict"]
    network.load_state_dict({name.removeprefix("module."): value for name, value in state.items()})
    network = network.double()
    assert run.test_beats is not None
    ecg = torch.from_numpy(np.array(run.test_beats[:6])).double().requires_grad_()
    torch.logit(network(1000 * ecg.transpose(1, 2))["p"][:, 2]).sum().backward()
    assert ecg.grad is not None
    expected = (ecg * ecg.grad).detach().numpy()
    found = np.asarray(run.maps["gradient_x_input"][:6])
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


def test_a_finished_test_is_not_repeated(card: Path, data_root: Path, folder: Path) -> None:
    path = folder / "runs/theirs/left_ventricular_hypertrophy/seed0/maps/gradcam"
    rows = path / "rows.npy"
    before = rows.stat().st_mtime_ns
    main(arguments("test", card, data_root, folder, "--config", str(folder / "few.yaml"), "--figures", "none"))
    assert rows.stat().st_mtime_ns == before


def test_predict_and_tune_need_no_checkpoint(card: Path, data_root: Path, folder: Path) -> None:
    main(arguments("predict", card, data_root, folder, "--study", "said"))
    table = pd.read_parquet(folder / "runs/said/left_ventricular_hypertrophy/seed0/predictions.parquet")
    assert table["positive"].tolist() == (table["probability"] >= 0.4).tolist()
    (folder / "tuned.yaml").write_text("maps: { methods: [integrated_gradients] }\n" + without_others("maps"))
    main(arguments("tune", card, data_root, folder, "--study", "tuned", "--config", str(folder / "tuned.yaml"),
                   "--tune.n_ecgs", "4"))  # fmt: skip
    assert (folder / "runs/tuned/left_ventricular_hypertrophy/seed0/tune/methods.yaml").is_file()


def test_the_report_claims_no_training(folder: Path) -> None:
    main(["report", str(folder / "runs/theirs"), "--n_resamples", "100"])
    page = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", (folder / "runs/theirs/report.html").read_text()))
    for words in (
        "was trained elsewhere; its card is",
        "Thresholds by its card.",
        "read by PtbXl",
        "trained elsewhere",
    ):
        assert words in page, words
    for words in ("which no network has seen in training", "learning rate of None", "has no checkpoint any more"):
        assert words not in page, words


def test_what_does_not_fit_is_refused(card: Path, data_root: Path, folder: Path) -> None:
    with pytest.raises(SystemExit, match=r"--network is of a network that is trained already: give it to validate, te"):
        main(["fit", *arguments("test", card, data_root, folder)[1:]])
    with pytest.raises(CardError, match="there is no such network card"):
        main(arguments("test", card.parent / "none.yaml", data_root, folder))
    with pytest.raises(
        (CardError, SystemExit), match="the card has left_ventricular_hypertrophy, sinus_rhythm, and no"
    ):
        main(arguments("test", card, data_root, folder, "--target", "atrial_fibrillation"))
    other = ("--data.representation", "ecg_lightning.data.representations.RecordingWindow", "--study", "other")
    with pytest.raises(
        SignalFormatError, match=r"the network reads 12 leads x 1000 samples.*the ECGs are 12 leads x 2000"
    ):
        main(arguments("test", card, data_root, folder, *other, "--data.representation.sampling_rate", "200"))
