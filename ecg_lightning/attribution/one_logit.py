"""Wrappers make of any network one that attribution reads: a logit an ECG, in the precision that was chosen."""

import torch
from torch import Tensor, nn


class OneLogit(nn.Module):
    """This wrapper gives exactly one logit an ECG, (batch,), of a network that gives (batch,) or (batch, 1)."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, ecg: Tensor) -> Tensor:
        """Return the logit: (batch, lead, sample) -> (batch,)."""
        logit: Tensor = self.network(ecg)
        if logit.numel() != len(ecg):
            raise ValueError(
                f"attribution needs one logit an ECG, (batch,) or (batch, 1); {type(self.network).__name__} gave "
                f"{tuple(logit.shape)} for {len(ecg)} ECGs"
            )
        return logit.reshape(len(ecg))


class InBfloat16(nn.Module):
    """This wrapper computes convolutions and matrix products in bfloat16; input, logit and gradients stay float32.

    Args:
        network: (batch, lead, sample) -> (batch,) in float32.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, ecg: Tensor) -> Tensor:
        """Return the logit: (batch, lead, sample) -> (batch,)."""
        with torch.autocast(ecg.device.type, torch.bfloat16):
            logit: Tensor = self.network(ecg)
        return logit.to(ecg.dtype)
