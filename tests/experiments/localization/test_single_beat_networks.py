"""Localisation in recordings: networks made by hand that look at single beats, on recordings and on median beats."""

from typing import Literal

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ecg_lightning.data.cache import BeatCache
from ecg_lightning.data.prepare import prepare
from ecg_lightning.data.regions import read_regions
from ecg_lightning.data.representations import MedianBeats, RecordingWindow
from ecg_lightning.data.sources import Synthetic
from ecg_lightning.ecg import LEADS
from ecg_lightning.experiments.localization.measure import localization_scores
from ecg_lightning.experiments.localization.over_beats import scores_over_beats
from ecg_lightning.simulator.evidence import twin_beats

TARGETS = ["st_level", "qrs_duration", "r_amplitude"]
PATIENTS = 40
SOURCE = Synthetic(PATIENTS, evidence=TARGETS)
BEFORE, AFTER = 60, 160
"""Samples around a QRS complex that the networks look at."""


class ReadsBeats(nn.Module):
    """Weighs what lies around each QRS complex, and tells the mean over the beats, or that of the largest."""

    def __init__(self, weights: Tensor, over_beats: Literal["mean", "max"]) -> None:
        super().__init__()
        self.weights, self.over_beats = weights, over_beats

    def forward(self, ecg: Tensor) -> Tensor:
        padded = nn.functional.pad(ecg, (BEFORE, AFTER - 1))
        seen = nn.functional.conv1d(padded, self.weights[None])[:, 0]
        beats = self._beats(ecg.detach())
        if self.over_beats == "max":
            return torch.where(beats, seen, -torch.inf).amax(-1)
        return (seen * beats).sum(-1) / beats.sum(-1)

    def _beats(self, ecg: Tensor) -> Tensor:
        """(batch, sample) where a QRS complex is steepest that is seen whole."""
        slope = nn.functional.pad((ecg[..., 2:] - ecg[..., :-2]).square().sum(1), (1, 1))
        steep = nn.functional.avg_pool1d(slope[:, None], 31, 1, 15)
        highest = steep == nn.functional.max_pool1d(steep, 201, 1, 100)
        beats = (highest & (steep > 0.3 * steep.amax(-1, keepdim=True)))[:, 0]
        beats[:, :BEFORE] = beats[:, -AFTER:] = False
        return beats


def weights_for(target: str) -> Tensor:
    """The mean difference of twins of other patients around the fiducial, (8, sample)."""
    source, differences = Synthetic(12, simulation_seed=9), []
    for entry in source.entries():
        twins = twin_beats(source.case(entry), target)
        differences.append((twins.absent.beat - twins.present.beat)[:, 240 - BEFORE : 240 + AFTER])
    return torch.from_numpy(np.mean(differences, axis=0)).float()


def maps_of(network: nn.Module, ecg: Tensor) -> Tensor:
    """Gradient, and gradient x input: (batch, 2, lead, sample)."""
    ecg = ecg.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(network(ecg).sum(), ecg)
    return torch.stack([gradient, gradient * ecg.detach()], dim=1)


@pytest.fixture(scope="module")
def caches(tmp_path_factory: pytest.TempPathFactory) -> dict[str, BeatCache]:
    """Median beats, neighbours blanked as a network of single beats does not see them; and recordings."""
    folder = tmp_path_factory.mktemp("beats")
    representations = {"beats": MedianBeats("blank"), "recordings": RecordingWindow(LEADS, 500.0)}
    return {
        name: prepare(SOURCE, folder, representation=one, processes=1, progress=False)
        for name, one in representations.items()
    }


def auroc_of_beats(cache: BeatCache, network: nn.Module, target: str, rows: np.ndarray) -> np.ndarray:
    """(ECG, map) against the evidence, over the samples that are not blanked."""
    ecg = torch.from_numpy(cache.read_beats(rows))
    masks = torch.from_numpy(read_regions(cache, rows, target)["causal"][0])
    found = []
    for one, mask, maps in zip(ecg, masks, maps_of(network, ecg), strict=True):
        own = one.any(0)
        found.append(localization_scores(maps[None, ..., own], mask[None, None][..., own])["auroc"][0, 0])
    return torch.stack(found).numpy()


def auroc_of_recordings(cache: BeatCache, network: nn.Module, target: str, rows: np.ndarray) -> np.ndarray:
    maps = maps_of(network, torch.from_numpy(cache.read_beats(rows)))
    masks = torch.from_numpy(read_regions(cache, rows, target)["causal"][0])[:, None]
    peaks = cache.examples["r_peaks"].iloc[rows].tolist()
    return scores_over_beats(maps, masks, peaks, peaks, cache.signal_format)[0]["auroc"][:, 0].numpy()


@pytest.mark.parametrize("over_beats", ["mean", "max"])
@pytest.mark.parametrize("target", TARGETS)
def test_maps_of_recordings_localise_as_on_the_median_beat(
    target: str, over_beats: Literal["mean", "max"], caches: dict[str, BeatCache]
) -> None:
    beats, recordings = caches["beats"], caches["recordings"]
    both = sorted(set(beats.examples["ecg_id"]) & set(recordings.examples["ecg_id"]))
    rows = [cache.examples.set_index("ecg_id")["row"].loc[both].to_numpy(np.intp) for cache in (beats, recordings)]
    network = ReadsBeats(weights_for(target), over_beats)
    on_beats = auroc_of_beats(beats, network, target, rows[0])
    on_recordings = auroc_of_recordings(recordings, network, target, rows[1])
    known = np.isfinite(on_beats + on_recordings).all(axis=1)
    assert known.mean() > 0.9
    gap = (on_recordings - on_beats)[known].mean(axis=0)
    assert (on_beats[known].mean(axis=0) > 0.85).all()
    assert np.abs(gap).max() < 0.01
