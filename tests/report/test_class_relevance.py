"""Where relevance lies in recordings: averaged over their own beats, wherever these lie."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from ecg_lightning.data.representations import TWELVE_LEADS
from ecg_lightning.ecg import SignalFormat, format_settings
from ecg_lightning.report.class_relevance import ClassEcgs, class_relevance
from ecg_lightning.runs.run import Run
from ecg_lightning.storage.store import RowStore, StoreSpec

PAGE = SignalFormat(TWELVE_LEADS, 100, 1000)
PEAKS = ([100, 190, 300], [90, 250], [70, 960], [5, 990])
"""Of four ECGs: the last has no whole beat, the last but one a single one."""

LEAD, AFTER = 3, 25
"""Where the maps are large: 250 ms after each R peak."""


@pytest.fixture
def run(tmp_path: Path) -> Run:
    folder = tmp_path / "study/STTC/seed0"
    maps: NDArray[np.float64] = np.zeros((4, *PAGE.shape))
    for row, peaks in enumerate(PEAKS):
        maps[row, LEAD, [peak + AFTER for peak in peaks if peak + AFTER < PAGE.samples]] = 1.0 + row  # any size
    for name, values in (("logits", np.zeros(4)), ("maps/saliency", maps)):
        spec = StoreSpec(("row", *("lead", "sample")[: values.ndim - 1]), values.shape, settings=format_settings(PAGE))
        with RowStore.create(folder / name, spec) as store:
            store.write(np.arange(4), values.astype(np.float32))
    ids = [f"e{row}" for row in range(4)]
    table = pd.DataFrame({"row": range(4), "ecg_id": ids, "patient_id": ids, "label": 1.0, "r_peaks": PEAKS})
    table.to_parquet(folder / "examples.parquet")
    np.save(tmp_path / "study/test_beats.npy", maps.astype(np.float32))
    return Run(folder)


def test_the_mean_map_of_recordings_is_over_their_beats(run: Run) -> None:
    means, shares = class_relevance(run, ["saliency"])
    ecgs = ClassEcgs(run)
    mean, of_beat = means["saliency"], ecgs.beat_format
    assert mean.shape == of_beat.shape == (12, 120)
    assert np.argwhere(mean).tolist() == [[LEAD, (of_beat.fiducial or 0) + AFTER]]
    assert mean.max() == pytest.approx(np.mean([1 / 3, 1 / 2, 1 / 2]))  # of the ECGs with a whole beat
    by_place = shares.set_index("place")["share"]
    assert by_place["aVR"] == pytest.approx(1.0)
    assert by_place["T"] == pytest.approx(1.0)  # 160 to 420 ms behind the R peak of the own beat
    assert shares[shares["kind"] == "wave"]["share"].sum() == pytest.approx(1.0)
    assert sum(ecgs.even_parts().values()) == pytest.approx(1.0)
    trace = ecgs.trace()
    assert trace is not None
    assert np.unravel_index(trace.argmax(), trace.shape) == (LEAD, (of_beat.fiducial or 0) + AFTER)


def test_recordings_without_r_peaks_have_shares_by_lead_only(run: Run) -> None:
    run.examples.drop(columns="r_peaks").to_parquet(run.paths.examples)
    means, shares = class_relevance(Run(run.path), ["saliency"])
    assert means == {}
    assert set(shares["kind"]) == {"lead"}
    assert not ClassEcgs(Run(run.path)).have_beats
