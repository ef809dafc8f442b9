"""One ECG or one way of computing that fails costs no other map."""

import pytest
import torch

from ecg_lightning.attribution import RandomKey, prepare_task, robust
from ecg_lightning.attribution.methods import GradCam, GradientXInput, Saliency
from ecg_lightning.models import ResNet1d

FAMILY = (Saliency(), GradientXInput(), GradCam())
NAMES = [method.name for method in FAMILY]


def key(name: str, place: int) -> RandomKey:
    return RandomKey(method=name, ecg_id=str(place))


@pytest.mark.parametrize("error", [ValueError, RuntimeError])
def test_where_passes_can_not_be_shared_each_method_works_by_itself(
    monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    torch.manual_seed(0)
    task = prepare_task(ResNet1d(depth=2, leads=8, length=64).double(), torch.zeros(1, 8, 64))
    ecg = torch.randn(3, 8, 64, dtype=torch.float64)
    expected, none = robust.suite_maps(FAMILY, task, ecg, key, NAMES)
    assert none == {}

    def refuse(*_: object) -> None:
        raise error("a hook is in the way")

    monkeypatch.setattr(robust, "shared_maps", refuse)
    found, failures = robust.suite_maps(FAMILY, task, ecg, key, NAMES)
    assert failures == {}
    assert list(found) == NAMES
    for name in NAMES:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-10, atol=1e-14)


def test_memory_that_runs_out_is_no_property_of_an_ecg(monkeypatch: pytest.MonkeyPatch) -> None:
    task = prepare_task(ResNet1d(depth=2, leads=8, length=64), torch.zeros(1, 8, 64))

    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("no room")

    monkeypatch.setattr(robust, "shared_maps", full)
    with pytest.raises(torch.OutOfMemoryError):
        robust.suite_maps(FAMILY, task, torch.randn(2, 8, 64), key, NAMES)
