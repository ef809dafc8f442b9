"""What a report says of settings and networks is of the run that it reports on, and not of the defaults."""

from pathlib import Path

import pytest
import torch
from torch import nn

from ecg_lightning.data.backgrounds import Backgrounds
from ecg_lightning.models import EcgClassifier, ResNet1d
from ecg_lightning.report.networks import architecture_table, input_shape
from ecg_lightning.report.settings_text import smoothing_of
from ecg_lightning.runs.run import Run
from ecg_lightning.storage.store import RowStore, StoreSpec


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"window": 15, "order": 2}, "smoothed by Savitzky-Golay 15/2"),
        ({"window": None, "order": None}, "not smoothed"),
        ({}, "smoothed by Savitzky-Golay 31/3"),
    ],
)
def test_smoothing_is_told_as_the_run_did_it(tmp_path: Path, settings: dict[str, int | None], words: str) -> None:
    spec = StoreSpec(("row",), (2,), settings=settings)
    with RowStore.create(tmp_path / "seed0/similarity/pearson", spec):
        assert smoothing_of(Run(tmp_path / "seed0")) == words


def test_smoothing_of_a_run_without_correlations_is_the_default(tmp_path: Path) -> None:
    assert smoothing_of(Run(tmp_path)) == "smoothed by Savitzky-Golay 31/3"


def test_an_architecture_is_that_of_the_network_s_own_shape() -> None:
    module = EcgClassifier(ResNet1d(depth=2, leads=3, length=50))
    assert input_shape(module) == (3, 50)
    assert architecture_table(module.network, input_shape(module))["output"].tolist()[0] == "3 x 50"


def test_a_network_that_does_not_tell_its_shape_has_that_of_its_backgrounds() -> None:
    module = EcgClassifier(nn.Sequential(nn.Flatten(), nn.Linear(12 * 100, 1)))
    assert input_shape(module) == (8, 600)
    module.backgrounds = Backgrounds(torch.zeros(4, 12, 100), list("abcd"), "synthetic")
    assert input_shape(module) == (12, 100)
    assert len(architecture_table(module.network, input_shape(module))) == 2
