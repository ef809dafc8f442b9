"""Networks that standardise each ECG by its own mean and deviation, and how maps are made of them.

Such a network does not change when an ECG is scaled, so that a path from 0 mV through it is degenerate: its sum is 0,
and its gradient at 0 mV has no limit. Attribution therefore holds the statistics of the ECG that is explained, for
baselines, paths and noise; whoever changes an ECG and asks the network again does not.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor, nn

Over = Literal["lead", "recording"]

LEAST_DEVIATION = 1e-6
"""Added to the deviation, as usual in training scripts: a flat lead stays finite."""


class OwnStatistics(nn.Module):
    """Standardises each ECG by its own mean and standard deviation.

    Args:
        over: ``lead``: each lead by its own; ``recording``: all leads together.
        epsilon: Added to the standard deviation.
    """

    def __init__(self, over: Over, epsilon: float = LEAST_DEVIATION) -> None:
        super().__init__()
        self.axes = (-1,) if over == "lead" else (-2, -1)
        self.epsilon = epsilon
        self._held: tuple[Tensor, Tensor] | None = None
        self._captures = False

    def forward(self, values: Tensor) -> Tensor:
        """Standardise (batch, lead, sample), by the statistics that are held or by each ECG's own."""
        if self._captures:
            self._held = self._statistics(values.detach())
        mean, deviation = self._statistics(values) if self._held is None else self._held
        return (values - mean) / deviation

    @property
    def holds(self) -> bool:
        """Tell whether statistics of an ECG are held."""
        return self._held is not None

    def capture(self, captures: bool) -> None:
        """Say whether the next pass's statistics are to be held."""
        self._captures = captures

    def release(self) -> None:
        """Go back to each ECG's own statistics."""
        self._held, self._captures = None, False

    def _statistics(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """(batch, lead or 1, 1) mean, and standard deviation plus epsilon."""
        deviation, mean = torch.std_mean(values, dim=self.axes, keepdim=True, correction=0)
        return mean, deviation + self.epsilon


def has_own_statistics(network: nn.Module) -> bool:
    """Tell a network whose maps need statistics to be held."""
    return any(isinstance(module, OwnStatistics) for module in network.modules())


@contextmanager
def holding_statistics(network: nn.Module, ecg: Tensor) -> Iterator[None]:
    """Hold the statistics of one ECG inside of a network, where it has any; what is held already stays.

    Args:
        network: (batch, lead, sample) mV -> logit; one pass finds the statistics.
        ecg: (1, lead, sample) mV.

    Raises:
        ValueError: Several ECGs, of which each has its own.
    """
    layers = [module for module in network.modules() if isinstance(module, OwnStatistics) and not module.holds]
    if not layers:
        yield
        return
    if len(ecg) != 1:
        raise ValueError(f"statistics are held of one ECG at a time, got {len(ecg)}")
    try:
        for layer in layers:
            layer.capture(True)
        with torch.no_grad():
            network(ecg)
        for layer in layers:
            layer.capture(False)
        yield
    finally:
        for layer in layers:
            layer.release()
