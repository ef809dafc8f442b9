"""What a training step draws at random is its own, whatever came before it in the process."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor, nn
from torch.utils.data import DataLoader

from ecg_lightning.models import EcgClassifier, classifier
from ecg_lightning.models.step_seeding import seed_step


class Dropping(nn.Module):
    """Dropout and a linear read-out; keeps what its dropout let through in training."""

    def __init__(self) -> None:
        super().__init__()
        self.dropout, self.readout = nn.Dropout(0.5), nn.Linear(24, 1)
        self.kept: list[Tensor] = []

    def forward(self, ecg: Tensor) -> Tensor:
        thinned: Tensor = self.dropout(ecg.flatten(1))
        if self.training:
            self.kept.append(thinned != 0)
        return self.readout(thinned).squeeze(1)


def loader() -> DataLoader[Any]:
    ecgs = torch.randn(24, 2, 12, generator=torch.Generator().manual_seed(3))
    rows = [{"ecg": ecg, "label": torch.tensor(float(row % 2)), "row": row} for row, ecg in enumerate(ecgs)]
    return DataLoader(rows, batch_size=6)  # type: ignore[arg-type]


def fit(folder: Path, network: Dropping, epochs: int, seed: int = 0, resumed: Path | None = None) -> None:
    trainer = Trainer(
        default_root_dir=folder,
        accelerator="cpu",
        max_epochs=epochs,
        callbacks=[ModelCheckpoint(folder, filename="{step}", save_top_k=-1, every_n_train_steps=1)],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    module = EcgClassifier(network, seed=seed, learning_rate=0.05)
    trainer.fit(module, loader(), loader(), ckpt_path=resumed, weights_only=True)


def networks(count: int) -> list[Dropping]:
    torch.manual_seed(1)
    first = Dropping()
    others = [Dropping() for _ in range(count - 1)]
    for other in others:
        other.load_state_dict(first.state_dict())
    return [first, *others]


@pytest.mark.filterwarnings("ignore")  # of Lightning: few workers, a loop that is resumed inside an epoch
@pytest.mark.parametrize("steps", [4, 6], ids=["at the end of an epoch", "inside an epoch"])
def test_a_resumed_fit_with_dropout_ends_as_an_undisturbed_one(tmp_path: Path, steps: int) -> None:
    whole, resumed = networks(2)
    torch.manual_seed(11)
    fit(tmp_path / "whole", whole, epochs=3)
    masks = {mask.numpy().tobytes() for mask in whole.kept}
    assert len(masks) == len(whole.kept) == 12  # no epoch and no batch drops what another does
    checkpoint = tmp_path / "whole" / f"step={steps}.ckpt"
    torch.manual_seed(12)  # as in another process
    fit(tmp_path / "resumed", resumed, epochs=3, resumed=checkpoint)
    assert len(resumed.kept) == 12 - steps
    for one, other in zip(whole.kept[steps:], resumed.kept, strict=True):
        assert torch.equal(one, other)
    if steps % 4 == 0:  # inside an epoch, Lightning begins anew with the batches of a loader that keeps no state
        for name, value in whole.state_dict().items():
            assert torch.equal(value, resumed.state_dict()[name]), name


@pytest.mark.filterwarnings("ignore")
def test_another_seed_trains_otherwise(tmp_path: Path) -> None:
    one, same, other = networks(3)
    for number, (network, seed) in enumerate(((one, 0), (same, 0), (other, 1))):
        fit(tmp_path / str(number), network, epochs=1, seed=seed)
    assert torch.equal(one.readout.weight, same.readout.weight)
    assert not torch.equal(one.readout.weight, other.readout.weight)


@pytest.mark.filterwarnings("ignore")
def test_a_step_is_seeded_by_its_rank_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int, int, int]] = []
    monkeypatch.setattr(classifier, "seed_step", lambda *place: asked.append(place))
    monkeypatch.setattr(EcgClassifier, "global_rank", 3)
    fit(tmp_path, networks(1)[0], epochs=2, seed=7)
    assert asked == [(7, epoch, batch, 3) for epoch in range(2) for batch in range(4)]


def test_every_seed_epoch_batch_and_rank_has_draws_of_its_own() -> None:
    places = [(0, 0, 0, 0), (1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1)]
    draws = []
    for place in places:
        seed_step(*place)
        draws.append(torch.rand(64, dtype=torch.float64))
    seed_step(*places[2])
    assert torch.equal(torch.rand(64, dtype=torch.float64), draws[2])
    pairs = torch.corrcoef(torch.stack(draws)).fill_diagonal_(0.0)
    assert pairs.abs().max() < 0.6  # 64 independent draws correlate by .125
