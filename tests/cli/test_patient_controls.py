"""Maps that know nothing of the patient: against a slow reference, and what audits make of them."""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
import torch
from changed_stores import forget_rows
from numpy.typing import ArrayLike
from test_audit import MeanMagnitude, run
from test_callbacks import QUICK, datamodule
from torch import Tensor
from workplace import Workplace

from callbacks import AttributionMaps, LogitsAndMetrics
from callbacks.audit import AuditBatch, StoreLayout
from ecg_lightning import open_run
from ecg_lightning.attribution.base import SinglePassMethod
from ecg_lightning.attribution.controls import CONTROLS, control_maps
from ecg_lightning.attribution.partners import partners
from ecg_lightning.attribution.seeding import RandomKey
from ecg_lightning.attribution.task import FrozenModel
from ecg_lightning.models import EcgClassifier


class OfOthers(MeanMagnitude):
    """Also keeps the sum of magnitudes of what stands in for the maps, and those maps themselves."""

    rows_at_once: ClassVar[int] = 2

    def __init__(self) -> None:
        super().__init__()
        self.maps_seen: dict[tuple[str, int], list[dict[str, Tensor]]] = {}

    def _control_places(self) -> Mapping[str, StoreLayout]:
        coords = {"method": self.maps.names, "control": self.maps.patient_controls}
        return {"scores/controls/magnitude": StoreLayout(("method", "control"), coords, "1", "float64")}

    def _measure_controls(self, batch: AuditBatch, control: str) -> Mapping[str, ArrayLike]:
        for place, row in enumerate(batch.rows.tolist()):
            self.maps_seen.setdefault((control, row), []).append({n: m[place].clone() for n, m in batch.maps.items()})
        sums = torch.stack([maps.double().abs().sum((1, 2)) for maps in batch.maps.values()], dim=1)
        return {"scores/controls/magnitude": sums.cpu().numpy()}


class Constant(SinglePassMethod):
    """The same map for everybody; nothing at all for ECGs that begin below 0."""

    name = "constant"
    unit = "1"
    needs_module_relu = False

    def _attribute(self, task: FrozenModel, ecg: Tensor, key: RandomKey) -> Tensor:
        line = torch.linspace(-1.0, 1.0, ecg[0].numel()).reshape(ecg.shape[1:]).to(ecg)
        return line.expand(ecg.shape) * (ecg[:, :1, :1] >= 0)


def test_they_are_those_of_partners_and_the_mean_over_all_others(trained: Workplace, tmp_path: Path) -> None:
    audit = OfOthers()
    maps = AttributionMaps(["saliency", Constant()], partners=2)
    opened = open_run(run(trained, tmp_path, maps, LogitsAndMetrics(), audit))
    module = datamodule(trained)
    module.prepare_data()
    module.setup("test")
    table, n = opened.examples, len(opened.examples)
    ecg = module.dataset("test").__getitems__(list(range(n)))["ecg"]
    keys = [str(one) for one in table["ecg_id"]]
    own = {name: torch.from_numpy(np.array(opened.maps[name])) for name in ("saliency", "constant")}
    own |= control_maps(CONTROLS, ecg, lambda name, row: RandomKey(0, 0, name, keys[row]))
    best = EcgClassifier.load_from_checkpoint(trained.run() / "checkpoints/best.ckpt")
    predicted = torch.sigmoid(torch.from_numpy(np.array(opened.logits)).double()) >= best.threshold.double()
    expected = partners(table["patient_id"], predicted.numpy(), 0, 2, table["ecg_id"])
    recorded = pd.read_parquet(opened.path / "partners.parquet")
    assert recorded.set_index(["row", "place"])["partner_row"].unstack().to_numpy().tolist() == expected.tolist()
    for row in range(n):
        for place, found in enumerate(audit.maps_seen["other_ecg", row]):
            for name, values in found.items():
                if expected[row, place] < 0:
                    assert values.isnan().all()
                else:
                    assert torch.equal(values, own[name][expected[row, place]]), name
        (found,) = audit.maps_seen["mean_map", row]
        for name, values in found.items():
            others = [k for k in range(n) if table["patient_id"][k] != table["patient_id"][row] and own[name][k].any()]
            mean = torch.stack([own[name][k].double() / own[name][k].double().abs().sum() for k in others]).mean(0)
            torch.testing.assert_close(values, mean, rtol=1e-9, atol=1e-15)
    stored = opened.store("scores/controls/magnitude")
    assert stored.dims == ("row", "method", "control")
    known = expected[:, 1] >= 0
    mean = [np.mean([float(own["saliency"][k].double().abs().sum()) for k in line]) for line in expected[known]]
    np.testing.assert_allclose(stored.sel({"method": "saliency", "control": "other_ecg"})[known], mean, rtol=1e-6)


def test_a_row_is_measured_once_and_only_when_every_ecg_was_predicted(
    trained: Workplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.warns(UserWarning, match="put LogitsAndMetrics among the callbacks, and test all ECGs"):
        path = run(trained, tmp_path, AttributionMaps(QUICK), OfOthers())
    store = open_run(path).row_store("scores/controls/magnitude")
    assert not store.done.any()
    first = OfOthers()
    run(trained, tmp_path, AttributionMaps(QUICK), LogitsAndMetrics(), first)
    assert store.done.all()
    before = np.array(store.array)
    forget_rows(store.path, [1, 4])
    again = OfOthers()
    run(trained, tmp_path, AttributionMaps(QUICK), LogitsAndMetrics(), again)
    assert {row for _, row in again.maps_seen} == {1, 4}
    np.testing.assert_array_equal(store.array, before)


def test_none_are_made_where_none_are_asked_for(trained: Workplace, tmp_path: Path) -> None:
    audit = OfOthers()
    path = run(trained, tmp_path, AttributionMaps(QUICK, patient_controls=()), LogitsAndMetrics(), audit)
    assert not audit.maps_seen
    assert not (path / "partners.parquet").exists()
    assert not (path / "scores/controls").exists()
    with pytest.raises(ValueError, match="patient_controls are some of other_ecg, mean_map"):
        AttributionMaps(QUICK, patient_controls=["another"])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="partners is 1 or more"):
        AttributionMaps(QUICK, partners=0)
