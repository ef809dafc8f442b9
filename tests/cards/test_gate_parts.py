"""Parts of the gate against numbers that are known: divergences, gains, settings and what labels can tell."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ecg_lightning.cards.card import Reads
from ecg_lightning.cards.gate.alternatives import Setting, settings_of
from ecg_lightning.cards.gate.arriving_statistics import passed, response
from ecg_lightning.cards.gate.finding import Finding, GateError, refusal
from ecg_lightning.cards.gate.gatekeeping import tell
from ecg_lightning.cards.gate.known_answer import (
    Labelled,
    better_auroc,
    better_log_loss,
    is_general,
    least_z,
    log_losses,
)

READS = Reads(("I", "II", "V1"), 100, 200)
ECG = torch.randn(30, 3, 200, generator=torch.Generator().manual_seed(0))


class Normed(nn.Module):
    """(batch, 3, 200) -> two outputs; two BatchNorms, and one that is never executed."""

    def __init__(self, squared: bool = False) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.unused = nn.BatchNorm1d(9)
        self.conv, self.second, self.squared = nn.Conv1d(3, 4, 1), nn.BatchNorm1d(4), squared
        self.first = nn.BatchNorm1d(4)

    def forward(self, ecg: Tensor) -> Tensor:
        values = self.conv(ecg**2 if self.squared else ecg)
        return self.second(torch.relu(self.first(values))).mean(-1)[:, :2]


def scored(network: nn.Module, ecg: Tensor, factor: float = 1.0) -> Any:
    return response(network.eval(), lambda values, gain: gain * values, ecg).score(factor)


def test_the_divergence_is_that_of_normal_distributions() -> None:
    network = Normed().eval()
    with torch.no_grad():
        values = network.conv(ECG).double().transpose(0, 1).flatten(1)
    network.first.running_mean.normal_(generator=torch.Generator().manual_seed(2))
    arriving = torch.distributions.Normal(values.mean(1), (values.var(1, correction=0) + 1e-5).sqrt())
    learnt = torch.distributions.Normal(network.first.running_mean.double(), (network.first.running_var + 1e-5).sqrt())
    expected = torch.distributions.kl_divergence(arriving, learnt).mean()
    assert scored(network, ECG).s1 == pytest.approx(float(expected), rel=1e-5)


def test_gains_of_what_is_linear_need_no_pass() -> None:
    network = Normed()
    for factor in (5.0, -1.0, 0.01):
        assert scored(network, ECG, factor).s1 == pytest.approx(scored(network, factor * ECG).s1, rel=1e-4)


def test_the_gain_of_the_data_is_estimated() -> None:
    network = Normed().train()
    for _ in range(200):
        network(ECG)
    assert scored(network, ECG).s1 < 1e-4
    assert scored(network, ECG / 20).gain == pytest.approx(20, rel=0.06)  # a step of the grid is 1.06
    assert scored(network, ECG / 20).s1_best < 1e-3
    assert np.isnan(scored(Normed(squared=True), ECG).gain)
    assert scored(Normed(squared=True), ECG).s1 == scored(Normed(squared=True), ECG).s1_best


def test_every_executed_batchnorm_counts_and_hooks_go() -> None:
    network = Normed().eval()
    logits, s2 = passed(network, ECG, lambda output: output)
    with torch.no_grad():
        np.testing.assert_allclose(logits, network(ECG), atol=1e-6)
    values = torch.relu(network.first(network.conv(ECG))).detach().double().transpose(0, 1).flatten(1)
    mean, variance = values.mean(1), values.var(1, correction=0) + 1e-5
    second = (0.5 * ((variance + mean**2) / (1 + 1e-5) - 1 - (variance / (1 + 1e-5)).log())).mean()
    assert s2 == pytest.approx((scored(network, ECG).s1 + float(second)) / 2, rel=1e-4)
    assert not any(module._forward_pre_hooks for module in network.modules())
    assert np.isnan(scored(nn.Flatten(), ECG).s1)


@pytest.mark.parametrize("layout", ["lead_time", "time_lead", "flat"])
def test_settings_are_what_they_say(layout: Any) -> None:
    reads = replace(READS, unit="uV", layout=layout)

    def arranged(other: Reads, ecg: Tensor) -> Tensor:
        return Setting("", "card", "", other).arranged(ecg)

    found = {one.name: one for one in settings_of(reads)}
    shown = {name: one.arranged(ECG) for name, one in found.items()}
    for name, other, change in (
        ("1000 times as small", arranged(replace(reads, unit="mV"), ECG), "reads.unit: mV"),
        ("4.88 times as large", arranged(reads, 4.88 * ECG), "reads.gain: 4.88"),
        ("upside down", arranged(reads, -ECG), "reads.gain: -1"),
        ("backwards in time", arranged(reads, ECG.flip(2)), "turn the ECGs' time"),
        ("leads in reversed order", arranged(reads, ECG.flip(1)), "reads.leads: [V1, II, I]"),
        ("chest leads first", arranged(reads, ECG[:, [2, 0, 1]]), "reads.leads: [V1, I, II]"),
    ):
        torch.testing.assert_close(shown[name], other)
        assert found[name].change == change
    assert "limb leads first" not in found  # as the card says
    assert {tuple(one.shape) for one in shown.values()} == {tuple(shown["as the card says"].shape)}


def test_standardisations() -> None:
    found = {one.name: one.arranged(ECG) for one in settings_of(replace(READS, standardise="given", mean=(1.0,),
                                                                         deviation=(2.0,)))}  # fmt: skip
    torch.testing.assert_close(found["as the card says"], (ECG - 1) / 2)
    torch.testing.assert_close(found["not standardised"], ECG)
    torch.testing.assert_close(found["standardised per lead"].std(2, correction=0), torch.ones(30, 3))
    torch.testing.assert_close(found["standardised per recording"].std((1, 2), correction=0), torch.ones(30))
    flat = Setting("", "card", "", replace(READS, standardise="per_lead")).arranged(torch.zeros(1, 3, 200))
    assert flat.abs().max() == 0  # a lead that was not recorded


def test_another_rate_keeps_the_rhythm() -> None:
    """A sine of 5 Hz that is read at 500 Hz in place of 100 has 5 periods in 500 samples of what the network reads."""
    ecg = torch.sin(2 * torch.pi * 5 * torch.arange(200) / 100).expand(1, 3, 200)
    found = {one.name: one.arranged(ecg)[0, 0] for one in settings_of(READS)}
    assert int(torch.fft.rfft(found["as the card says"]).abs().argmax()) == 10
    assert int(torch.fft.rfft(found["read at 500 Hz"]).abs().argmax()) == 2
    assert int(torch.fft.rfft(found["read at 50 Hz"]).abs().argmax()) == 20


def test_what_labels_tell() -> None:
    draws = np.random.default_rng(0)
    label, patients = np.repeat([0.0, 1.0], 50), np.arange(100)
    good, bad = label + 0.5 * draws.normal(size=100), draws.normal(size=100)
    found = better_auroc(bad, good, label, patients, 3.0)
    assert found is not None
    assert found[0] < 0.7 < found[1]
    assert better_auroc(good, bad, label, patients, 3.0) is None
    labelled = Labelled({"a": 0, "b": 1}, {"a": label, "b": np.where(patients < 5, np.nan, label)}, patients, "a")
    logits = np.stack([good, bad], axis=1)
    expected = np.logaddexp(0, logits) - label[:, None] * logits
    expected[:5, 1] = np.nan
    np.testing.assert_allclose(log_losses(logits, labelled), np.nanmean(expected, axis=1))
    assert better_log_loss(expected[:, 0] + 1 + 0.1 * bad, expected[:, 0], patients) > 4
    assert least_z(4) == 3
    assert 4 < least_z(1000) < 5
    assert labelled.is_enough("a")
    assert not Labelled({"a": 0}, {"a": label}, np.where(label == 1, 1, patients), "a").is_enough("a")


def test_a_general_population() -> None:
    def of(*shares: float) -> dict[str, Any]:
        return {str(place): (np.arange(100) < 100 * share).astype(float) for place, share in enumerate(shares)}

    assert is_general(of(0.83, 0.64, 0.1))
    assert not is_general(of(0.8, 1.0))
    assert not is_general(of(0.1, 0.2))
    assert not is_general({})
    assert not is_general({"a": np.full(100, np.nan)})


def test_the_best_of_all_settings_is_told() -> None:
    wrong = [Finding(name, "scale", "wrong", name, f"reads.gain: {s2}", s2=s2) for name, s2 in (("x", 9.0), ("y", 2.0))]
    findings = [*wrong, Finding("limb leads", "data", "wrong", "aVR holds aVL", "correct the names")]
    assert refusal(findings) == "y -> reads.gain: 2.0; aVR holds aVL -> correct the names"
    with pytest.raises(GateError, match=r"reads\.gain: 2\.0.*--gate warn"):
        tell(findings, "error")
    with pytest.warns(UserWarning, match=r"reads\.gain: 2\.0"):
        tell(findings, "warn")
    tell([Finding("x", "scale", "agrees", "x")], "error")
