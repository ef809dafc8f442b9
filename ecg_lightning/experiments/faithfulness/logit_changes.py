"""Noise is taken from ECGs and the network asked again: all maps of an ECG are judged by the same changes."""

import torch
from torch import Tensor

from ecg_lightning.attribution import RandomKey
from ecg_lightning.attribution.task import in_chunks
from ecg_lightning.experiments.audit_stores import AuditBatch
from ecg_lightning.experiments.map_source import MapSource
from ecg_lightning.models.precision import full_float32


class LogitChanges:
    """Perturbs ECGs by Gaussian noise that is keyed by their ids.

    Args:
        maps: The tested network, and what draws are keyed by.
        draws: Perturbations an ECG.
        noise: Their standard deviation, as a share of the ECG's range.
    """

    def __init__(self, maps: MapSource, draws: int, noise: float) -> None:
        self.maps, self.draws, self.noise = maps, draws, noise
        self._drawn: tuple[tuple[int, ...], Tensor] = ((), torch.zeros(0))

    def perturbations(self, batch: AuditBatch) -> Tensor:
        """Return noise (ecg, draw, lead, sample) in mV, an ECG's own whatever its batch; the last batch's is kept."""
        rows = tuple(batch.rows.tolist())
        if self._drawn[0] != rows:
            self._drawn = (rows, torch.stack([self._draw(*one) for one in zip(rows, batch.ecg, strict=True)]))
        return self._drawn[1]

    def of(self, batch: AuditBatch) -> Tensor:
        """Return f(ecg) - f(ecg - noise), (ecg, draw) logits in float64 on the CPU."""
        network, chunk, noise = self.maps.task.network, self.maps.task.chunk, self.perturbations(batch)
        with torch.no_grad(), full_float32():
            before = in_chunks(network, batch.ecg, chunk)
            after = in_chunks(network, (batch.ecg[:, None] - noise).flatten(0, 1), chunk).reshape(noise.shape[:2])
        return (before[:, None] - after).double().cpu()

    def _draw(self, row: int, ecg: Tensor) -> Tensor:
        key = RandomKey(self.maps.attribution_seed, ecg_id=self.maps.ecg_ids[row], purpose="infidelity")
        return self.noise * (ecg.max() - ecg.min()) * key.normal(self.draws, *ecg.shape).to(ecg)
