"""Experiment 4 of the paper: does the network fall when a map's most relevant points are taken away?"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Final

import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer
from numpy.typing import ArrayLike
from torch import Tensor

from callbacks.audit import Audit, AuditBatch, Place
from callbacks.audit_results import AuditResults
from callbacks.perturbation_report import PerturbationReport
from ecg_lightning.attribution.seeding import RandomKey
from ecg_lightning.attribution.task import in_chunks
from ecg_lightning.digest import JSON
from ecg_lightning.functional.perturbation import (
    ORDERS,
    NoiseMode,
    Order,
    perturb,
    relevance_positions,
    step_counts,
)
from ecg_lightning.models.precision import full_float32
from ecg_lightning.plotting.class_words import CLASS_WORDS
from ecg_lightning.run_layout import OnMismatch

_FLOATS_AT_ONCE: Final = 1 << 22
"""Perturbed values in memory at a time (16 MB), or those of one ECG, method and all steps where that is more."""


class PerturbationCurves(Audit):
    """Perturbs what each map calls relevant, step by step, and asks the network again (paper, "Perturbing input data").

    Every step replaces one more share of the points, most relevant first (``morf``) or least relevant first (``lerf``):
    see :mod:`ecg_lightning.functional.perturbation`. Writes ``perturbation/<order>/`` (n, method, step), logits; step 0
    is the untouched beat. At the end AUROC, AUPRC and mean probability of every step, the area over each curve, the
    area between the two (ABPC), and its difference to the best control.

    Args:
        steps: Steps beside step 0.
        fraction_per_step: Share of the points that each adds.
        orders: ``morf``, ``lerf``, or both; ABPC needs both.
        noise: What is done to replaced values: ``multiplicative`` as in the paper's Figure 4, ``additive_mv``,
            ``additive_lead_std`` or ``none``.
        sigma: Of that noise.
        n_resamples: Bootstrap resamples of the patients.
        confidence: Of the intervals.
        bootstrap_seed: Of the resamples.
        on_mismatch: What to do with a store of other settings: ``error``, or ``replace``: move it aside.

    Raises:
        ValueError: More than all points, an order that is unknown or listed twice, a negative sigma.
    """

    rows_at_once: ClassVar[int] = 8

    def __init__(
        self,
        steps: int = 30,
        fraction_per_step: float = 0.01,
        orders: Sequence[Order] = ORDERS,
        noise: NoiseMode = "multiplicative",
        sigma: float = 0.25,
        n_resamples: int = 1000,
        confidence: float = 0.95,
        bootstrap_seed: int = 0,
        on_mismatch: OnMismatch = "error",
    ) -> None:
        super().__init__(n_resamples, confidence, bootstrap_seed, on_mismatch)
        step_counts(1, steps, fraction_per_step)  # refuses what is impossible
        if not orders or len(set(orders)) < len(orders) or not set(orders) <= set(ORDERS):
            raise ValueError(f"PerturbationCurves: orders: expected some of {', '.join(ORDERS)}, got {list(orders)}")
        if noise not in ("multiplicative", "additive_mv", "additive_lead_std", "none") or not sigma >= 0:
            raise ValueError(f"PerturbationCurves: unknown noise {noise!r} or negative sigma {sigma}")
        self.steps = steps
        self.fraction_per_step = fraction_per_step
        self.orders = tuple(orders)
        self.noise: NoiseMode = noise
        self.sigma = sigma

    def _places(self) -> Mapping[str, Place]:
        coords: dict[str, Sequence[str | int | float]] = {
            "method": self.maps.names,
            "step": list(range(self.steps + 1)),
        }
        return {f"perturbation/{order}": Place(("method", "step"), coords, "logit") for order in self.orders}

    def _settings(self) -> dict[str, JSON]:
        return {
            "steps": self.steps,
            "fraction_per_step": self.fraction_per_step,
            "noise": self.noise,
            "sigma": self.sigma,
            "attribution_seed": self.maps.attribution_seed,
        }

    def _measure(self, batch: AuditBatch) -> Mapping[str, ArrayLike]:
        ecg = batch.ecg
        maps = torch.stack(list(batch.maps.values()), dim=1)
        # a map that is not finite, or the same everywhere, has no order: its curve is NaN and not that of the ties
        flat = maps.flatten(2).abs()
        ranked = maps.isfinite().all(-1).all(-1) & (flat.amax(-1) > flat.amin(-1))
        ties, noise = (self._draws(batch.rows, purpose, ecg) for purpose in ("perturbation ties", "perturbation noise"))
        usable = torch.where(ranked[..., None, None], maps, 0.0)
        positions = relevance_positions(usable, ties[:, None].expand(maps.shape))
        untouched = self._logits(ecg)
        measured = {}
        for order in self.orders:
            points = ecg.shape[1] * ecg.shape[2]
            places = positions if order == "morf" else points - 1 - positions
            curves = torch.cat(
                [
                    untouched[:, None, None].expand(*ranked.shape, 1),
                    self._curves(ecg, places, noise),
                ],
                dim=2,
            )
            measured[f"perturbation/{order}"] = torch.where(ranked[..., None], curves, torch.nan).numpy()
        return measured

    def _curves(self, ecg: Tensor, positions: Tensor, noise: Tensor) -> Tensor:
        """(ecg, method, step) logits after each step but 0; what is perturbed at a time does not grow with the ECGs."""
        counts = step_counts(ecg.shape[1] * ecg.shape[2], self.steps, self.fraction_per_step)[1:]
        parts = self._perturbed(ecg, positions, counts, noise)
        logits = torch.cat([self._logits(part.flatten(0, 2)) for part in parts])
        return logits.reshape(*positions.shape[:2], len(counts))

    def _perturbed(self, ecg: Tensor, positions: Tensor, counts: Tensor, noise: Tensor) -> Iterator[Tensor]:
        """Perturbed beats of all ECGs, methods and steps, in this order, some at a time."""
        each = len(counts) * ecg.shape[1] * ecg.shape[2]
        methods = max(1, min(positions.shape[1], _FLOATS_AT_ONCE // each))
        ecgs = max(1, _FLOATS_AT_ONCE // (each * positions.shape[1])) if methods == positions.shape[1] else 1
        for first in range(0, len(ecg), ecgs):
            some = slice(first, first + ecgs)
            for start in range(0, positions.shape[1], methods):
                these = positions[some, start : start + methods]
                yield perturb(ecg[some], these, counts, noise[some], self.noise, self.sigma)

    def _logits(self, ecg: Tensor) -> Tensor:
        with torch.no_grad(), full_float32():
            return in_chunks(self.maps.task.network, ecg, self.maps.task.chunk).float().cpu()

    def _draws(self, rows: Any, purpose: str, ecg: Tensor) -> Tensor:
        """(k, lead, sample) normal draws of each ECG: the same for all methods, steps and orders.

        What is common to two methods goes out of their difference, which is what is asked for.
        """
        ids = [self.maps.ecg_ids[row] for row in rows.tolist()]
        seed = self.maps.attribution_seed
        draws = [RandomKey(seed, ecg_id=one, purpose=purpose).normal(*ecg.shape[1:]) for one in ids]
        return torch.stack(draws).to(ecg)

    def _summarise(self, trainer: Trainer, module: LightningModule) -> None:
        report = PerturbationReport(
            logits={order: self.values(f"perturbation/{order}") for order in self.orders},
            names=self.maps.names,
            controls=self.maps.controls,
            examples=self.examples,
            fractions=np.asarray(np.arange(self.steps + 1) * self.fraction_per_step, dtype=np.float64),
            n_resamples=self.n_resamples,
            confidence=self.confidence,
            seed=self.bootstrap_seed,
            what=f"{CLASS_WORDS[self.datamodule.target].name}, seed {self.maps.training_seed}",
            settings=f"noise {self.noise.replace('_', ' ')}, sigma {self.sigma:g}",
        )
        report.write(AuditResults(trainer))
