"""What a run says of maps that are less converged than asked for, of missing backgrounds, and of odd networks."""

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from test_callbacks import datamodule, run_test, small, trainer
from torch import Tensor, nn
from workplace import Workplace

from callbacks import AttributionMaps
from callbacks.result_summary import summary
from ecg_lightning.attribution.methods import DeepLiftShap, SmoothGrad
from ecg_lightning.data.backgrounds import Backgrounds, choose_backgrounds, enough_backgrounds
from ecg_lightning.models import EcgClassifier
from ecg_lightning.storage.store import RowStore


class NormFirst(nn.Module):
    """Its BatchNorm stands before the convolution, into which it can't be folded."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(8)
        self.conv = nn.Conv1d(8, 4, 25)
        self.relu = nn.ReLU()
        self.linear = nn.Linear(4, 1)

    def forward(self, ecg: Tensor) -> Tensor:
        return self.linear(self.relu(self.conv(self.norm(ecg))).mean(2))


def test_unreliable_maps_are_kept_flagged_counted_and_logged(trained: Workplace, tmp_path: Path) -> None:
    method = SmoothGrad(target_correlation=0.99999, max_samples=32)
    run = trainer(tmp_path, AttributionMaps([method]))
    with pytest.warns(UserWarning, match=r"smoothgrad: 9 of 9 maps did not reach .*they are kept.*raise `max_samples`"):
        run.test(EcgClassifier(small()), datamodule(trained), verbose=False)
    assert float(run.callback_metrics["maps/unreliable"]) == 9  # what loggers, and so the run's summary on W&B, get
    folder = Path(run.default_root_dir)
    table = pd.read_parquet(folder / "tables/maps.parquet")
    assert table["unreliable"].tolist() == [9]
    assert float(run.callback_metrics["reliability/smoothgrad"]) == pytest.approx(table["reliability_median"].item())
    assert np.isfinite(np.asarray(RowStore.open(folder / "maps/smoothgrad").array)).all()
    assert "  maps less reliable than asked for, kept: 9 of 9 of smoothgrad: tables/maps.parquet" in summary(
        folder, "", []
    )
    reached = np.asarray(RowStore.open(folder / "reliability/smoothgrad").array)
    assert (np.sqrt(reached) < 0.99999).all()


def test_a_network_that_cannot_be_folded_is_tested_unfolded_and_says_so_once(
    trained: Workplace, tmp_path: Path
) -> None:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        run = run_test(trained, tmp_path, NormFirst(), AttributionMaps(["saliency", SmoothGrad(8)]))
    messages = [str(one.message) for one in told if "without folding" in str(one.message)]
    assert len(messages) == 1
    assert "NormFirst is attributed without folding its BatchNorms (same maps, slower passes)" in messages[0]
    assert RowStore.open(run / "maps/smoothgrad").complete


def test_fewer_backgrounds_than_asked_are_refused_before_a_store_is_made(trained: Workplace, tmp_path: Path) -> None:
    data = datamodule(trained)
    data.n_backgrounds = 200
    with pytest.raises(ValueError, match=r"200 backgrounds of distinct patients were asked for.*lower"):
        trainer(tmp_path, AttributionMaps([DeepLiftShap()])).test(EcgClassifier(small()), data, verbose=False)
    assert not list(tmp_path.rglob("maps"))
    trainer(tmp_path, AttributionMaps(["saliency"])).test(EcgClassifier(small()), data, verbose=False)  # needs none


def test_a_target_without_training_ecgs_has_no_backgrounds(trained: Workplace) -> None:
    data = datamodule(trained)
    data.prepare_data()
    data.setup("test")

    def none() -> Backgrounds:
        return choose_backgrounds(data.cache, data.examples("train").head(0), 5, 0, "ptbxl")

    assert none().beats.shape == (0, 8, 600)
    assert none().beats.dtype == torch.float32
    with pytest.raises(ValueError, match=r"the training set has 0 patients with a label for low_qrs_voltage"):
        enough_backgrounds(None, "ptbxl", none, 5, "low_qrs_voltage")
