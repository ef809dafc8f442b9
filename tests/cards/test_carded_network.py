"""A network by its card: from mV to the logit, whatever unit, layout and output its owner chose."""

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor, nn

from ecg_lightning.cards import CardedNetwork, CardError


class Plain(nn.Module):
    """(batch, 2, 50) -> two outputs, as the arguments say."""

    def __init__(self, layout: str = "lead_time", part: str = "", end: str = "") -> None:
        super().__init__()
        torch.manual_seed(1)
        self.layout, self.part, self.end = layout, part, end
        self.head = nn.Linear(100, 2)

    def forward(self, ecg: Tensor) -> Any:
        values = ecg.transpose(1, 2) if self.layout == "time_lead" else ecg
        output = self.head(values.reshape(len(ecg), 100))
        output = output.sigmoid() if self.end == "sigmoid" else output
        output = output / 0 if self.end == "broken" else output
        return {"dict": {"y": output}, "tuple": (ecg, output)}.get(self.part, output)


def carded(folder: Path, target: str = "second", **parts: Any) -> CardedNetwork:
    card: dict[str, Any] = {
        "class_path": f"{__name__}.Plain",
        "init_args": parts.pop("init_args", {}),
        "reads": {"leads": ["I", "II"], "sampling_rate": 100, "samples": 50, **parts.pop("reads", {})},
        "gives": {"targets": {"first": 0, "second": 1}, **parts.pop("gives", {})},
        **parts,
    }
    path = folder / "card.yaml"
    path.write_text(yaml.safe_dump(card), encoding="utf-8")
    return CardedNetwork(str(path), target)


ECG = torch.randn(4, 2, 50, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("reads", "factor"), [({"unit": "uV"}, 1000.0), ({"unit": "V"}, 0.001), ({"unit": "uV", "gain": 0.2}, 200.0)]
)
def test_units_and_gain(tmp_path: Path, reads: dict[str, Any], factor: float) -> None:
    torch.testing.assert_close(carded(tmp_path, reads=reads)(ECG), Plain()(factor * ECG)[:, 1])


def test_maps_are_of_millivolts(tmp_path: Path) -> None:
    """The gradient with respect to mV is the network's own, times what the card makes of a mV."""
    reads = {"unit": "uV", "standardise": "given", "mean": [3.0, -2.0], "deviation": [50.0, 80.0]}
    network, ecg = carded(tmp_path, reads=reads), ECG.clone().requires_grad_()
    network(ecg).sum().backward()
    weight = Plain().head.weight[1].reshape(2, 50)
    torch.testing.assert_close(ecg.grad, (weight * torch.tensor([[20.0], [12.5]])).expand(4, 2, 50))
    mean, deviation = torch.tensor([[3.0], [-2.0]]), torch.tensor([[50.0], [80.0]])
    torch.testing.assert_close(network(ECG), Plain()((1000 * ECG - mean) / deviation)[:, 1])


@pytest.mark.parametrize(("standardise", "axes"), [("per_lead", (-1,)), ("per_recording", (-2, -1))])
def test_each_ecg_s_own_statistics(tmp_path: Path, standardise: str, axes: tuple[int, ...]) -> None:
    network = carded(tmp_path, reads={"unit": "uV", "standardise": standardise})
    own = (ECG - ECG.mean(axes, keepdim=True)) / ECG.std(axes, keepdim=True, correction=0)
    torch.testing.assert_close(network(ECG), Plain()(own)[:, 1], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("layout", ["time_lead", "flat"])
def test_layouts(tmp_path: Path, layout: str) -> None:
    network = carded(tmp_path, reads={"layout": layout}, init_args={"layout": layout})
    torch.testing.assert_close(network(ECG), Plain()(ECG)[:, 1])


@pytest.mark.parametrize(("part", "told"), [("dict", "y"), ("tuple", 1)])
def test_parts_of_what_a_network_returns(tmp_path: Path, part: str, told: str | int) -> None:
    network = carded(tmp_path, init_args={"part": part}, gives={"part": told})
    torch.testing.assert_close(network(ECG), Plain()(ECG)[:, 1])
    with pytest.raises(CardError, match=r"gives\.part: the network gives a (dict of y|tuple of 2): say which part"):
        carded(tmp_path, init_args={"part": part})(ECG)
    with pytest.raises(CardError, match="and no 'z'"):
        carded(tmp_path, init_args={"part": part}, gives={"part": "z"})(ECG)


def test_a_probability_becomes_its_logit(tmp_path: Path) -> None:
    network = carded(tmp_path, init_args={"end": "sigmoid"}, gives={"kind": "probability"})
    torch.testing.assert_close(network(ECG), Plain()(ECG)[:, 1], rtol=1e-4, atol=1e-5)
    network.check(ECG)
    with pytest.raises(CardError, match=r"probabilities lie in \[0, 1\], and the network gave -"):
        carded(tmp_path, gives={"kind": "probability"}).check(ECG)
    with pytest.raises(CardError, match="4 of 4 ECGs have a logit that is not finite"):
        carded(tmp_path, init_args={"end": "broken"}).check(ECG)


def test_targets_and_thresholds(tmp_path: Path) -> None:
    torch.testing.assert_close(carded(tmp_path, "first")(ECG), Plain()(ECG)[:, 0])
    told = carded(tmp_path, gives={"thresholds": {"second": 0.2}})
    assert (told.decision_threshold, told.threshold_origin) == (0.2, "its card")
    assert carded(tmp_path).decision_threshold == 0.5
    with pytest.raises(CardError, match=r"card\.yaml: gives\.targets: the card has first, second, and no third"):
        carded(tmp_path, "third")
    with pytest.raises(CardError, match=r"expected output 7 of \(batch, output\), and the network gave \(4, 2\)"):
        carded(tmp_path, "first", gives={"targets": {"first": 7}})(ECG)


@pytest.mark.parametrize(
    "changed",
    [
        {"reads": {"unit": "uV"}},
        {"reads": {"gain": 2.0}},
        {"reads": {"layout": "time_lead"}},
        {"reads": {"standardise": "given", "mean": 1.0, "deviation": 2.0}},
        {"reads": {"standardise": "given", "mean": 1.0, "deviation": 3.0}},
        {"gives": {"kind": "probability"}},
        {"gives": {"targets": {"second": 0}}},
    ],
)
def test_another_card_is_another_network(tmp_path: Path, changed: dict[str, Any]) -> None:
    """Weights alone would not tell them apart, and maps of the one would pass for those of the other."""
    assert str(carded(tmp_path, **changed)) != str(carded(tmp_path))
    given = {"standardise": "given", "mean": 1.0, "deviation": 4.0}
    assert str(carded(tmp_path, **changed)) != str(carded(tmp_path, reads=given))


def test_what_cannot_be_built_is_told(tmp_path: Path) -> None:
    with pytest.raises(CardError, match=r"class_path: no\.such\.Net is no importable class"):
        carded(tmp_path, class_path="no.such.Net")
    with pytest.raises(CardError, match=r"class_path: os\.path\.join is no importable class"):
        carded(tmp_path, class_path="os.path.join")
    with pytest.raises(CardError, match=r"init_args: .*Plain can't be made: .*width"):
        carded(tmp_path, init_args={"width": 3})
