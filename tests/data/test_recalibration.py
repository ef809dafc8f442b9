"""Which beats the statistics of a random network's BatchNorms are made of."""

from pathlib import Path

import pytest
import torch

from ecg_lightning.data.datamodule import EcgDataModule
from ecg_lightning.data.recalibration import recalibration_beats
from ecg_lightning.data.sources import Synthetic


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tests' own; what they take of it differs, its beats do not."""
    return tmp_path_factory.mktemp("cache")


def opened(folder: Path, **settings: object) -> EcgDataModule:
    module = EcgDataModule(Synthetic(40), "sinus_tachycardia", cache_dir=str(folder), processes=1, **settings)
    module.prepare_cache(progress=False)
    module.setup("test")
    return module


@pytest.mark.slow
def test_training_ecgs_by_a_hash_of_their_ids(cache: Path) -> None:
    module = opened(cache, held_out_patients=8)
    train = module.dataset("train")
    every = {tuple(train[k]["ecg"].flatten()[:50].tolist()) for k in range(len(train))}
    chosen = recalibration_beats(module, torch.zeros(2, 8, 600), 12)
    assert chosen.origin == "12 training ECGs"
    keys = [tuple(beat.flatten()[:50].tolist()) for beat in chosen.beats]
    assert len(set(keys)) == 12
    assert set(keys) <= every
    more = recalibration_beats(module, torch.zeros(2, 8, 600), 20)
    torch.testing.assert_close(more.beats[:12], chosen.beats)
    assert recalibration_beats(module, torch.zeros(2, 8, 600)).origin == f"{len(train)} training ECGs"  # under 256


@pytest.mark.slow
def test_data_that_only_test_a_network_take_its_backgrounds_and_say_so(cache: Path) -> None:
    module = opened(cache, split="test_only")
    backgrounds = torch.ones(3, 8, 600)
    chosen = recalibration_beats(module, backgrounds, 10)
    torch.testing.assert_close(chosen.beats[:3], backgrounds)
    assert chosen.beats.shape == (10, 8, 600)
    assert chosen.origin == "3 backgrounds and 7 test ECGs, as these data have no training split"
