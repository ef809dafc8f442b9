"""Numbers of single maps that users know: infidelity, max-sensitivity, sparseness, complexity."""

from collections.abc import Mapping
from typing import ClassVar, Final

import numpy as np
import pandas as pd
import torch
from captum.metrics import sensitivity_max
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_warn
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from callbacks.audit import Audit, AuditBatch, Place
from callbacks.audit_results import AuditResults
from callbacks.example_choice import balanced_choice
from ecg_lightning.attribution import AttributionMethod, RandomKey
from ecg_lightning.attribution.task import in_chunks
from ecg_lightning.digest import JSON
from ecg_lightning.functional.ecg_means import mean_over_ecgs
from ecg_lightning.functional.infidelity import infidelity
from ecg_lightning.functional.map_shape import complexity, sparseness
from ecg_lightning.models.precision import full_float32
from ecg_lightning.plotting.bars import ScorePanel, scores_figure
from ecg_lightning.plotting.class_words import CLASS_WORDS
from ecg_lightning.run_layout import OnMismatch

_UNITS: Final = {"infidelity": "logit^2", "max_sensitivity": "1", "sparseness": "1", "complexity": "nat"}


class FaithfulnessScores(Audit):
    """Infidelity, max-sensitivity, sparseness and complexity of every map.

    Writes ``scores/<name>/`` (n, method). ``infidelity``: normalised, of Gaussian perturbations
    (:func:`ecg_lightning.functional.infidelity.infidelity`). ``max_sensitivity``: the greatest relative change of the
    map over perturbations within a small ball (Captum's ``sensitivity_max``); it computes maps anew, so by default
    only of methods of a single pass. ``sparseness`` (Gini) and ``complexity`` (entropy): of |map|
    (:mod:`ecg_lightning.functional.map_shape`). What was not asked for is NaN.

    Args:
        draws: Perturbations an ECG for infidelity.
        noise: Their standard deviation, as a share of the ECG's range.
        sensitivity_draws: Perturbations an ECG for max-sensitivity; 0: leave it out.
        radius: Of their ball (mV, per point).
        all_methods: Max-sensitivity also of methods that take many passes.
        max_examples: ECGs at most, balanced by diagnosis and by a hash of their ids; None: all.
        n_resamples: Bootstrap resamples of the patients.
        confidence: Of the intervals.
        bootstrap_seed: Of the resamples.
        on_mismatch: What to do with a store of other settings: ``error``, or ``replace``: move it aside.

    Raises:
        ValueError: A number that can't be.
    """

    rows_at_once: ClassVar[int] = 8

    def __init__(
        self,
        draws: int = 64,
        noise: float = 0.05,
        sensitivity_draws: int = 10,
        radius: float = 0.02,
        all_methods: bool = False,
        max_examples: int | None = 64,
        n_resamples: int = 1000,
        confidence: float = 0.95,
        bootstrap_seed: int = 0,
        on_mismatch: OnMismatch = "error",
    ) -> None:
        super().__init__(n_resamples, confidence, bootstrap_seed, on_mismatch)
        if draws < 2 or not noise > 0 or sensitivity_draws < 0 or not radius > 0:
            raise ValueError(
                "FaithfulnessScores: expected draws >= 2, sensitivity_draws >= 0, and positive noise and radius; got "
                f"{draws}, {sensitivity_draws}, {noise} and {radius}"
            )
        self.draws, self.noise = draws, noise
        self.sensitivity_draws, self.radius, self.all_methods = sensitivity_draws, radius, all_methods
        self.max_examples = max_examples

    def _chosen(self) -> NDArray[np.bool_]:
        return balanced_choice(self.examples["ecg_id"].tolist(), self.examples["label"].to_numpy(), self.max_examples)

    def _places(self) -> Mapping[str, Place]:
        coords = {"method": self.maps.names}
        names = [name for name in _UNITS if name != "max_sensitivity" or self.sensitivity_draws]
        settings: dict[str, dict[str, JSON]] = {
            "infidelity": {"draws": self.draws, "noise": self.noise},
            "max_sensitivity": {
                "draws": self.sensitivity_draws,
                "radius": self.radius,
                "all_methods": self.all_methods,
            },
        }
        return {
            f"scores/{name}": Place(("method",), coords, _UNITS[name], "float64", settings.get(name, {}))
            for name in names
        }

    def _settings(self) -> dict[str, JSON]:
        return {"attribution_seed": self.maps.attribution_seed}

    def _measure(self, batch: AuditBatch) -> Mapping[str, ArrayLike]:
        maps = torch.stack([one.cpu() for one in batch.maps.values()], dim=1)
        noise = torch.stack([self._noise(int(row), ecg) for row, ecg in zip(batch.rows, batch.ecg, strict=True)])
        measured: dict[str, ArrayLike] = {
            "scores/infidelity": infidelity(maps, noise.cpu(), self._change(batch.ecg, noise)).numpy(),
            "scores/sparseness": sparseness(maps).numpy(),
            "scores/complexity": complexity(maps).numpy(),
        }
        if self.sensitivity_draws:
            measured["scores/max_sensitivity"] = self._sensitivity(batch)
        return measured

    def _noise(self, row: int, ecg: Tensor) -> Tensor:
        """(draw, lead, sample) mV, an ECG's own whatever its batch."""
        key = RandomKey(self.maps.attribution_seed, ecg_id=self.maps.ecg_ids[row], purpose="infidelity")
        return self.noise * (ecg.max() - ecg.min()) * key.normal(self.draws, *ecg.shape).to(ecg)

    def _change(self, ecg: Tensor, noise: Tensor) -> Tensor:
        """(ecg, draw) f(ecg) - f(ecg - noise)."""
        network, chunk = self.maps.task.network, self.maps.task.chunk
        with torch.no_grad(), full_float32():
            before = in_chunks(network, ecg, chunk)
            after = in_chunks(network, (ecg[:, None] - noise).flatten(0, 1), chunk).reshape(noise.shape[:2])
        return (before[:, None] - after).double().cpu()

    def _sensitivity(self, batch: AuditBatch) -> NDArray[np.float64]:
        found = np.full((len(batch.rows), len(self.maps.names)), np.nan)
        for place, method in enumerate(self.maps.methods):
            if method.single_pass or self.all_methods:
                for index, row in enumerate(batch.rows.tolist()):
                    found[index, place] = self._sensitivity_of(method, batch.ecg[index : index + 1], row)
        return found

    def _sensitivity_of(self, method: AttributionMethod, ecg: Tensor, row: int) -> float:
        key = self.maps.key(method.name, row)
        moves = key.for_purpose("max sensitivity").uniform(self.sensitivity_draws, *ecg.shape[1:]).to(ecg)

        def perturb(inputs: Tensor, radius: float) -> Tensor:
            return inputs + radius * (2.0 * moves[: len(inputs)] - 1.0)

        def explain(inputs: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            ecgs = inputs if isinstance(inputs, Tensor) else inputs[0]  # Captum hands both around
            return (method(self.maps.task, ecgs, [key] * len(ecgs)),)

        with torch.inference_mode(False):
            found = sensitivity_max(
                explain,
                ecg.clone(),
                perturb_func=perturb,
                perturb_radius=self.radius,
                n_perturb_samples=self.sensitivity_draws,
            )
        value = float(found)
        return value if np.isfinite(value) else float("nan")

    def _summarise(self, trainer: Trainer, module: LightningModule) -> None:
        table = pd.concat([self._table(folder.removeprefix("scores/")) for folder in self.stores], ignore_index=True)
        results = AuditResults(trainer)
        results.table("scores", table)
        panels = [
            ScorePanel(name.replace("_", " "), _UNITS[name].replace("1", ""), table[table["score"] == name])
            for name in dict.fromkeys(table["score"].tolist())
        ]
        caption = (
            f"Means over {int(self.chosen.sum())} test ECGs; bars: {self.confidence:.0%} intervals, patients "
            f"resampled. Infidelity: normalised, {self.draws} Gaussian perturbations of {self.noise:g} x the ECG's "
            f"range; less is better. Max-sensitivity: {self.sensitivity_draws} perturbations within "
            f"{self.radius:g} mV, methods of a single pass; less is better. Sparseness (Gini) and complexity "
            "(entropy) of |map|: neither better nor worse. Hollow, italic: controls."
        )
        title = f"Scores of maps: {CLASS_WORDS[self.datamodule.target].name}, seed {self.maps.training_seed}"
        results.figure("scores/scores", scores_figure(panels, title, caption), caption)
        undefined = int(table["n_undefined"].sum())
        if undefined:
            rank_zero_warn(
                f"FaithfulnessScores: {undefined} scores are undefined, because a map is zero everywhere or not "
                "finite; they are NaN, and left out of means"
            )

    def _table(self, name: str) -> pd.DataFrame:
        """``score, method, control, value, low, high, median, n_ecgs, n_undefined`` of one score."""
        values = self.values(f"scores/{name}")[self.chosen]
        patients = self.examples["patient_id"].to_numpy()[self.chosen]
        means = mean_over_ecgs(
            values, patients, n_resamples=self.n_resamples, confidence=self.confidence, seed=self.bootstrap_seed
        )
        asked = np.array([name != "max_sensitivity" or self._is_sensed(one) for one in self.maps.names])
        return pd.DataFrame(
            {
                "score": name,
                "method": list(self.maps.names),
                "control": np.isin(self.maps.names, self.maps.controls),
                "value": means.mean,
                "low": means.low,
                "high": means.high,
                "median": pd.DataFrame(values).median().to_numpy(),
                "n_ecgs": means.defined,
                "n_undefined": np.where(asked, len(values) - means.defined, 0),
            }
        )

    def _is_sensed(self, name: str) -> bool:
        return any(method.name == name and (method.single_pass or self.all_methods) for method in self.maps.methods)
