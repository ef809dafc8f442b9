"""Is a network safe to attribute? What further passes tell of its behaviour.

A map explains one ECG, so its logit must be its own: the same by itself and in any company, in another pass and after
other ECGs. Real ECGs beside each other are too alike to show that, so each is put among strangers. Passes are in
float64 where the network can be, so that rounding, which differs between batch sizes, is no disguise.
"""

import copy
from typing import Final

import torch
from torch import Tensor, nn

from ecg_lightning.models.lint import Trace
from ecg_lightning.models.lint_culprit import Visit, culprit
from ecg_lightning.models.strangers import Crowd, mild_crowd, wild_crowd
from ecg_lightning.randomness import torch_generator, torch_seeded

_DOUBLE_TOLERANCE: Final = 1e-5
"""Of the logits' scale: less is no matter for a map. Float64 rounds a million times finer, which leaves room for
networks that compute a part in float32."""

_SINGLE_TOLERANCE: Final = 1e-4
"""Where passes are in float32: ten times what it rounds in deep networks."""

_UNSEEN: Final = 2.0**-23
"""Relative change of a sample that float32 hardly sees."""


def behaviour(network: nn.Module, ecg: Tensor, trace: Trace) -> None:
    """Add what further passes tell: is the logit finite, the same twice, and an ECG's own?

    Args:
        network: In evaluation mode.
        ecg: (batch, lead, sample) mV.
        trace: Of ``trace_structure``; findings are added.
    """
    if trace.logit.numel() != len(ecg):
        return  # a pass that failed, or another number of logits: told already
    if not trace.logit.isfinite().all():
        trace.add("not_finite", "", "the logit is NaN or infinite")
        return
    network, ecg = _in_float64(network, ecg)
    try:
        company = _Company(network, ecg)
        repeated = _each_alone(copy.deepcopy(network), ecg, seed=1)
    except Exception as error:  # whatever a stranger's network raises is told in the report
        words = f"a pass of one ECG by itself fails, where one of {len(ecg)} does not: {type(error).__name__}: {error}"
        trace.add("fails", "", words)
        _name_batch_statistics(trace)
        return
    if company.odd(repeated).any():
        trace.add("random_in_eval", "", "two passes of the same ECGs differ: something random runs in evaluation mode")
        _name_batch_statistics(trace)  # numbers can't tell it from what is random
    elif found := company.dependence():
        trace.add("mixes_ecgs", *found)


def _name_batch_statistics(trace: Trace) -> None:
    for where, words in trace.batch_statistics.items():
        trace.add("mixes_ecgs", where, f"an ECG's logit depends on the other ECGs of its batch: {words}")


class _Company:
    """Looks at ECGs among others.

    Args:
        network: In evaluation mode.
        ecg: (batch, lead, sample) mV, in the network's precision.
    """

    def __init__(self, network: nn.Module, ecg: Tensor) -> None:
        self.network, self.ecg = network, ecg
        self.used = copy.deepcopy(network)  # may remember what it saw
        self.alone = _each_alone(self.used, ecg)
        self.limit = _limit(network, ecg, self.alone)

    def odd(self, logit: Tensor) -> Tensor:
        """Which of the own ECGs have another logit than by themselves; not a number is another one, too."""
        return ~((logit - self.alone).abs() <= self.limit)

    def dependence(self) -> tuple[str, str] | None:
        """Guilty module and words, where a logit depends on more than its ECG."""
        for crowd in (wild_crowd(self.ecg), mild_crowd(self.ecg)):
            try:
                among = _logits(self.used, crowd.ecg)[list(crowd.places)]
            except Exception:  # a network may refuse what can be no ECG, and take the mild ones
                continue
            if (found := self.odd(_each_alone(self.used, self.ecg))).any():
                one = self.ecg[[int(found.nonzero()[0])]]
                where, words = culprit(self.network, Visit(one), Visit(one, before=(crowd.ecg,)))
                return where, f"an ECG's logit depends on the ECGs that the network saw before{words}"
            if (found := self.odd(among)).any():
                number = int(found.nonzero()[0])
                visit = Visit(crowd.ecg, crowd.places[number])
                where, words = culprit(self.network, Visit(self.ecg[[number]]), visit)
                return where, f"an ECG's logit depends on {self._on_what(crowd, number, among)}{words}"
        return None

    def _on_what(self, crowd: Crowd, number: int, among: Tensor) -> str:
        """In words: other ECGs, or only their number, or the place between them."""
        copies = _logits(self.used, self.ecg[[number]].expand(crowd.size, -1, -1))
        if not float(copies.max() - copies.min()) <= self.limit:
            return "its place in the batch"
        if abs(float(copies[0] - among[number])) <= self.limit:
            return "the size of its batch"
        return "the other ECGs of its batch"


def _in_float64(network: nn.Module, ecg: Tensor) -> tuple[nn.Module, Tensor]:
    """A copy in float64 with its ECGs; both as they are where that does not work."""
    try:
        exact = copy.deepcopy(network).double()
        if _logits(exact, ecg.double()).isfinite().all():
            return exact, ecg.double()
    except Exception:  # some devices have no float64, and some networks make float32 tensors as they go
        pass
    return network, ecg


def _limit(network: nn.Module, ecg: Tensor, alone: Tensor) -> float:
    """Largest difference that is no finding."""
    others = torch.cat([_logits(copy.deepcopy(network), one) for one in (0 * ecg[:1], -ecg[:1])])
    known = torch.cat([alone, others[others.isfinite()]])
    size = float(known.abs().max())
    generator = torch_generator(0)
    nudge = _UNSEEN * (2 * torch.rand(ecg.shape, generator=generator) - 1).to(ecg)
    moved = float((_each_alone(copy.deepcopy(network), ecg * (1 + nudge)) - alone).abs().max())
    single = ecg.dtype != torch.float64 or torch.equal(known, known.float().double())  # computed in float32 inside
    scale = size if single else float(known.max() - known.min())  # a constant in the logit is no scale
    tolerance = _DOUBLE_TOLERANCE if ecg.dtype == torch.float64 else _SINGLE_TOLERANCE
    return tolerance * scale + 10 * moved + 1e-12 * size


def _each_alone(network: nn.Module, ecg: Tensor, seed: int = 0) -> Tensor:
    """(batch,) float64, from passes of one ECG."""
    return torch.cat([_logits(network, one[None], seed) for one in ecg])


def _logits(network: nn.Module, ecg: Tensor, seed: int = 0) -> Tensor:
    """(batch,) float64 on the CPU.

    Raises:
        ValueError: Not one logit an ECG.
    """
    with torch.no_grad(), torch_seeded(seed, ecg.device):
        logit: Tensor = network(ecg)
    if logit.numel() != len(ecg):
        raise ValueError(f"expected one logit an ECG, got {tuple(logit.shape)} for {len(ecg)} ECGs")
    return logit.reshape(-1).cpu().double()
