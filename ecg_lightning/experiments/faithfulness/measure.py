"""Infidelity of maps (Yeh et al., On the (in)fidelity and sensitivity of explanations, NeurIPS 2019)."""

import torch
from torch import Tensor

from ecg_lightning.attribution import RandomKey
from ecg_lightning.attribution.task import in_chunks
from ecg_lightning.experiments.audit_stores import AuditBatch
from ecg_lightning.experiments.map_source import MapSource
from ecg_lightning.models.own_statistics import has_own_statistics, holding_statistics
from ecg_lightning.models.precision import full_float32


def infidelity(maps: Tensor, noise: Tensor, change: Tensor) -> Tensor:
    """Share of what a network does under perturbations that a map does not foretell.

    With perturbation e, map m and the change c = f(ecg) - f(ecg - e): the mean over perturbations of (b e.m - c)^2 over
    that of c^2, where b = mean(e.m c) / mean((e.m)^2) makes it indifferent to the map's scale. The numerator is
    ``captum.metrics.infidelity`` with ``normalize=True``; all maps of an ECG share the network's passes. Related to the
    change, every ECG counts as much as another: 0 is the exact map of a linear network, 1 what a map of zeros has.

    Args:
        maps: (batch, method, lead, sample).
        noise: (batch, draw, lead, sample) e, mV.
        change: (batch, draw) c, logit.

    Returns:
        (batch, method) float64 in [0, 1]; NaN where a map is zero everywhere or not finite, or the logit never moves.

    Raises:
        ValueError: Shapes that do not agree.
    """
    fits = maps.ndim == noise.ndim == 4 and noise.shape[:2] == change.shape and len(maps) == len(noise)
    if not fits or maps.shape[2:] != noise.shape[2:]:
        raise ValueError(
            "expected maps (batch, method, lead, sample), noise (batch, draw, lead, sample) and change (batch, draw), "
            f"got {tuple(maps.shape)}, {tuple(noise.shape)} and {tuple(change.shape)}"
        )
    # ECG by ECG, so that what is copied in float64 stays in the processor's cache
    pairs = zip(maps.flatten(2), noise.flatten(2), strict=True)
    foretold = torch.stack([own.double() @ drawn.double().T for own, drawn in pairs])  # (batch, method, draw)
    done = change.double()[:, None]
    squares = foretold.square().mean(-1)
    scale = (foretold * done).mean(-1) / squares
    moved = done.square().mean(-1)
    error: Tensor = (scale[..., None] * foretold - done).square().mean(-1) / moved
    return torch.where((squares > 0) & squares.isfinite() & (moved > 0), error, torch.nan)


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
        noise = self.perturbations(batch)
        if not has_own_statistics(self.maps.task.network):
            return self._changes(batch.ecg, noise)
        found = []
        for index in range(len(batch.ecg)):
            some = slice(index, index + 1)
            with holding_statistics(self.maps.task.network, batch.ecg[some]):  # as its maps do
                found.append(self._changes(batch.ecg[some], noise[some]))
        return torch.cat(found)

    def _changes(self, ecg: Tensor, noise: Tensor) -> Tensor:
        network, chunk = self.maps.task.network, self.maps.task.chunk
        with torch.no_grad(), full_float32():
            before = in_chunks(network, ecg, chunk)
            after = in_chunks(network, (ecg[:, None] - noise).flatten(0, 1), chunk).reshape(noise.shape[:2])
        return (before[:, None] - after).double().cpu()

    def _draw(self, row: int, ecg: Tensor) -> Tensor:
        key = RandomKey(self.maps.attribution_seed, ecg_id=self.maps.ecg_ids[row], purpose="infidelity")
        return self.noise * (ecg.max() - ecg.min()) * key.normal(self.draws, *ecg.shape).to(ecg)
