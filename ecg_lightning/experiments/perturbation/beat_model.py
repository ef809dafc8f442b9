"""A Gaussian of real beats: what a beat most likely is where it is not seen, and how unlike real beats one is.

The covariance is low-rank plus diagonal: the leading principal components, and every point's own residual variance.
Conditioning on the kept points then takes one small system of equations a beat.
"""

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

COMPONENTS: Final = 40
"""Principal components, or a fourth of the beats where that is less."""

MIN_BEATS: Final = 50
"""Training beats below which nothing is filled in from their model."""

_LEAST_NOISE: Final = 0.01
"""Residual variance of a point, at least this share of the mean one: a point that never varied is not believed to the
last microvolt."""

_CACHED_BEATS: Final = 64
"""Beats whose distance is computed at a time: their float64 copies (2.5 MB each) stay in the processor's cache."""

_AT_ONCE: Final = 1 << 23
"""Values in memory while many beats are filled in."""


@dataclass(frozen=True, eq=False)
class BeatModel:
    """Mean and covariance of beats, everything float64 but for the use.

    Attributes:
        mean: (lead, sample) mV.
        components: (component, point) orthonormal.
        variances: (component,) of the scores, mV^2.
        noise: (point,) residual variance, mV^2.
        n_beats: How many it is made of.
    """

    mean: Tensor
    components: Tensor
    variances: Tensor
    noise: Tensor
    n_beats: int

    @classmethod
    def fit(cls, beats: Tensor, components: int = COMPONENTS) -> "BeatModel":
        """Principal components of some beats.

        Args:
            beats: (beat, lead, sample) mV, finite.
            components: How many at most; no more than a fourth of the beats.

        Raises:
            ValueError: Fewer than eight beats, or values that are not finite.
        """
        if beats.ndim != 3 or len(beats) < 8 or not beats.isfinite().all():
            raise ValueError(
                f"expected eight finite beats (beat, lead, sample) or more, got {tuple(beats.shape)}: give more "
                "training ECGs"
            )
        flat = beats.double().flatten(1)
        centred = flat - flat.mean(0)
        kept = min(components, len(beats) // 4)
        # eigenvectors of the small (beat, beat) matrix give those of the large one
        values, vectors = torch.linalg.eigh(centred @ centred.T)
        values, vectors = values[-kept:].clamp(min=torch.finfo(torch.float64).tiny), vectors[:, -kept:]
        directions = (vectors.T @ centred) / values.sqrt()[:, None]
        residual = centred - (centred @ directions.T) @ directions
        noise = residual.square().sum(0) / (len(beats) - 1 - kept)
        floor = max(_LEAST_NOISE * float(noise.mean()), 1e-12)
        return cls(
            flat.mean(0).reshape(beats.shape[1:]),
            directions,
            values / (len(beats) - 1),
            noise.clamp(min=floor),
            len(beats),
        )

    def conditional_mean(self, ecg: Tensor, replaced: Tensor) -> Tensor:
        """Replace points by their mean given the kept ones; of a beat without a kept point, the mean beat.

        Args:
            ecg: (batch, lead, sample) mV.
            replaced: (batch, method, step, lead, sample) bool.

        Returns:
            ``replaced``'s shape, of the ECG's dtype; kept points are untouched to the bit. A ``Fill``.
        """
        each = self.components.numel()
        flat = replaced.flatten(0, 2).flatten(1)
        source = torch.arange(len(ecg), device=ecg.device).repeat_interleave(len(flat) // len(ecg))
        size = max(1, _AT_ONCE // each)
        parts = [
            self._expected(ecg.flatten(1)[source[start : start + size]], flat[start : start + size])
            for start in range(0, len(flat), size)
        ]
        expected = torch.cat(parts).to(ecg.dtype).reshape(replaced.shape)
        return torch.where(replaced, expected, ecg[:, None, None])

    def _expected(self, ecg: Tensor, replaced: Tensor) -> Tensor:
        """(beat, point) float64 mean of every point given the kept ones; ``ecg`` and ``replaced`` are (beat, point)."""
        loadings, mean, noise = self._on(ecg.device)
        precision = (~replaced).double() / noise  # (beat, point)
        seen = precision * (ecg.double() - mean)
        system = (precision[:, None] * loadings) @ loadings.T  # (beat, component, component)
        system = system + torch.eye(len(loadings), dtype=torch.float64, device=ecg.device)
        factors: Tensor = torch.linalg.solve(system, (seen @ loadings.T)[..., None])[..., 0]
        return mean + factors @ loadings

    def distance(self, beats: Tensor) -> Tensor:
        """How far beats are from those of the model.

        The root mean square of two standardised parts, half each: the scores of the principal components (what real
        beats do, done too much) and the residual (what real beats don't do).

        Args:
            beats: (..., lead, sample) mV.

        Returns:
            (...) float32, about 1 for the beats that it was made of.
        """
        parts = torch.split(beats.reshape(-1, beats.shape[-2] * beats.shape[-1]), _CACHED_BEATS)
        return torch.cat([self._distance(part) for part in parts]).reshape(beats.shape[:-2])

    def _distance(self, flat: Tensor) -> Tensor:
        """(beat, point) -> (beat,) float32."""
        flat = flat.double()  # in float32 a beat's distance depends on how many are asked for with it
        mean, directions = (part.to(flat) for part in (self.mean.flatten(), self.components))
        centred = flat - mean
        scores = centred @ directions.T
        inside = (scores.square() / self.variances.to(flat)).mean(-1)
        outside = (centred.square().sum(-1) - scores.square().sum(-1)).clamp(min=0) / float(self.noise.sum())
        return ((inside + outside) / 2).sqrt().float()

    def _on(self, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
        """Loadings (component, point), mean and noise (point,), float64."""
        loadings = self.components * self.variances.sqrt()[:, None]
        return loadings.to(device), self.mean.flatten().to(device), self.noise.to(device)
