"""Is a network safe to attribute? What further passes tell of its behaviour."""

import torch
from torch import Tensor, nn

from ecg_lightning.models.lint import Trace


def behaviour(network: nn.Module, ecg: Tensor, trace: Trace) -> None:
    """Add what further passes tell: is the logit finite, the same twice, and an ECG's own?

    Args:
        network: In evaluation mode.
        ecg: (batch, lead, sample) mV.
        trace: Of ``trace_structure``; findings are added.
    """
    if trace.logit.numel() != len(ecg):
        return  # a pass that failed, or another number of logits: told already
    if len(ecg) == 1:  # one that stands beside itself only says nothing of mixing
        ecg = torch.cat([ecg, -ecg])
        with torch.no_grad():
            trace.logit = network(ecg)
    with torch.no_grad():
        again = network(ecg)
        others = ecg.flip(0).clone()
        others[0] = ecg[0]
        beside = network(others)
    first, second, third = (one.reshape(-1).double() for one in (trace.logit, again, beside))
    if not first.isfinite().all():
        trace.add("not_finite", "", "the logit is NaN or infinite")
        return
    scale = 1e-4 * float(first.abs().max()) + 1e-6
    if float((first - second).abs().max()) > scale:
        trace.add("random_in_eval", "", "two passes of the same ECGs differ: something random runs in evaluation mode")
    elif float((first[0] - third[0]).abs()) > scale:
        trace.add("mixes_ecgs", "", "an ECG's logit depends on the other ECGs of its batch")
