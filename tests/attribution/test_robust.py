"""One ECG or one method that fails costs no other map."""

import dataclasses
from typing import ClassVar

import pytest
import torch
from torch import Tensor

from ecg_lightning.attribution import FrozenModel, RandomKey, prepare_task
from ecg_lightning.attribution.methods import GradientXInput, Saliency
from ecg_lightning.attribution.robust import suite_maps
from ecg_lightning.models import ResNet1d


@dataclasses.dataclass(frozen=True)
class FailsOnLarge(Saliency):
    """Fails on ECGs above 2 mV."""

    error: type[Exception] = ValueError

    name: ClassVar[str] = "fails_on_large"

    def _attribute(self, task: FrozenModel, ecg: Tensor, key: RandomKey) -> Tensor:
        if ecg.amax() > 2:
            raise self.error("too large")
        return super()._attribute(task, ecg, key)


def key(name: str, place: int) -> RandomKey:
    return RandomKey(method=name, ecg_id=str(place))


@pytest.fixture
def task() -> FrozenModel:
    torch.manual_seed(0)
    return prepare_task(ResNet1d(depth=2, leads=8, length=64), torch.zeros(1, 8, 64))


@pytest.mark.parametrize("error", [ValueError, RuntimeError])
def test_an_ecg_or_a_method_that_fails_costs_no_other_map(task: FrozenModel, error: type[Exception]) -> None:
    ecg = torch.rand(3, 8, 64)
    ecg[1] += 2
    found, failures = suite_maps((FailsOnLarge(error=error), GradientXInput()), task, ecg, key)
    assert failures == {"fails_on_large": {"1": f"{error.__name__}: too large"}}
    assert found["fails_on_large"].isnan().all((1, 2)).tolist() == [False, True, False]
    assert found["gradient_x_input"].isfinite().all()


def test_memory_that_runs_out_is_no_property_of_an_ecg(task: FrozenModel) -> None:
    method = FailsOnLarge(error=torch.OutOfMemoryError)
    with pytest.raises(torch.OutOfMemoryError):
        suite_maps((method,), task, torch.full((2, 8, 64), 3.0), key)
