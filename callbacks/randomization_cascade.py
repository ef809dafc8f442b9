"""Experiment 3 of the paper: do the maps change when the network's layers are randomised one by one?"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from callbacks.audit import Audit, AuditBatch, Place
from callbacks.audit_results import AuditResults
from callbacks.cascade_maps import CascadeMaps, compare, entropy_rise
from callbacks.cascade_report import CascadeReport
from callbacks.cascade_tasks import CascadeTasks
from callbacks.example_choice import balanced_choice
from ecg_lightning.attribution.controls import ControlName, check_controls
from ecg_lightning.attribution.cost import estimate, measure_passes
from ecg_lightning.digest import JSON
from ecg_lightning.functional.randomization import (
    BatchNormPolicy,
    Direction,
    How,
    check_resettable,
    layers_at,
    weight_layers,
)
from ecg_lightning.functional.similarity import SIGNS, STATISTICS
from ecg_lightning.plotting.class_words import CLASS_WORDS
from ecg_lightning.run_layout import OnMismatch


class RandomizationCascade(Audit):
    """Randomises the network's layers progressively and compares the maps with those of the trained network.

    Writes ``cascade/<direction>/<statistic>/`` (n, repeat, sign, method, depth), similarity to the trained map after
    Savitzky-Golay, 1 at depth 0 by definition; ``cascade/<direction>_logits/`` (n, repeat, depth); and where the
    deepest depth has randomised every layer ``scores/efficient_mprt/`` (n, method), the rise of the map's histogram
    entropy from the trained to the random network over the former (Hedstroem et al., Sanity checks revisited, XAI in
    Action 2023: "efficient MPRT"). With ``smooth_draws`` also ``cascade/<direction>_smooth/<statistic>/``: maps are
    averaged over that many noisy copies of the ECG before they are compared ("smooth MPRT", the same), so that
    gradient noise is not taken for a change.

    A stochastic map of a random network has draws of its own: sharing them with the trained map would make the two
    alike. For the same reason noise controls are drawn anew, and |ECG| stays what it is: neither knows the network.

    Args:
        directions: ``from_output`` (the paper's), ``from_input``, ``independent``.
        depths: How many layers are randomised; None: each from 0 to all. 0 is always among them.
        methods: Names of methods and controls; None: those of ``AttributionMaps``.
        repeats: Independent draws of the random weights.
        how: ``reset_parameters``, or ``permutation`` of the trained weights.
        batchnorm: ``kept``, ``reset`` or ``recalibrated`` (on the background ECGs).
        max_examples: ECGs at most, as many with as without the diagnosis where there are, by a hash of their ids.
        smooth_draws: Noisy copies an ECG of the smooth test; 0: none.
        n_resamples: Bootstrap resamples of the patients.
        confidence: Of the intervals.
        bootstrap_seed: Of the resamples.
        on_mismatch: What to do with a store of other settings: ``error``, or ``replace``: move it aside.

    Raises:
        ValueError: A setting that can't be; when testing starts also: an unknown method, a depth beyond the network's
            layers, or a layer that can't be reset.
    """

    rows_at_once: ClassVar[int] = 8

    def __init__(
        self,
        directions: Sequence[Direction] = ("from_output",),
        depths: Sequence[int] | None = None,
        methods: Sequence[str] | None = None,
        repeats: int = 1,
        how: How = "reset_parameters",
        batchnorm: BatchNormPolicy = "kept",
        max_examples: int | None = None,
        smooth_draws: int = 0,
        n_resamples: int = 1000,
        confidence: float = 0.95,
        bootstrap_seed: int = 0,
        on_mismatch: OnMismatch = "error",
    ) -> None:
        super().__init__(n_resamples, confidence, bootstrap_seed, on_mismatch)
        if not directions or len(set(directions)) < len(directions):
            raise ValueError(f"RandomizationCascade: expected each direction once, got {list(directions)}")
        for direction in directions:
            layers_at((), direction, 0)
        if repeats < 1 or smooth_draws < 0 or (max_examples is not None and max_examples < 2):
            raise ValueError(
                "RandomizationCascade: expected repeats >= 1, smooth_draws >= 0 and max_examples >= 2 or null, got "
                f"{repeats}, {smooth_draws} and {max_examples}"
            )
        if depths is not None and (min(depths, default=-1) < 0 or len(set(depths)) < len(depths)):
            raise ValueError(f"RandomizationCascade: expected distinct depths from 0, got {list(depths)}")
        self.directions = tuple(directions)
        self.asked_depths = None if depths is None else tuple(depths)
        self.asked_methods = None if methods is None else tuple(methods)
        self.repeats = repeats
        self.how: How = how
        self.batchnorm: BatchNormPolicy = batchnorm
        self.max_examples = max_examples
        self.smooth_draws = smooth_draws

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Find the layers, check what was asked for, open the stores and say what it will cost."""
        self._check_methods()
        example = self.maps.task.backgrounds[:1]
        network = self.maps.source_network
        with torch.inference_mode(False):
            self.layers = weight_layers(network, example)
        self.depths = self._depths()
        if self.how == "reset_parameters":
            check_resettable(network, self.layers)
        self.tasks = CascadeTasks(self.maps, self.layers, self.how, self.batchnorm)
        self.random = CascadeMaps(self.maps, self.methods, self.controls, self.smooth_draws)
        super().on_test_start(trainer, pl_module)
        self._tell_cost(trainer)

    def _check_methods(self) -> None:
        names = self.maps.names if self.asked_methods is None else self.asked_methods
        unknown = [name for name in names if name not in self.maps.names]
        if unknown or len(set(names)) < len(names) or not names:
            raise ValueError(
                f"RandomizationCascade: methods: expected some of AttributionMaps' {', '.join(self.maps.names)}, each "
                f"once; got {', '.join(names) or 'none'}"
            )
        self.names = tuple(name for name in self.maps.names if name in names)
        self.methods = [method for method in self.maps.methods if method.name in names]
        self.controls: tuple[ControlName, ...] = check_controls([n for n in self.names if n in self.maps.controls])

    def _depths(self) -> tuple[int, ...]:
        every = range(len(self.layers) + 1)
        beyond = [depth for depth in self.asked_depths or () if depth not in every]
        if beyond:
            raise ValueError(
                f"RandomizationCascade: depths: the network has {len(self.layers)} layers with weights, so depths are "
                f"0 to {len(self.layers)}; got {beyond}"
            )
        return tuple(every) if self.asked_depths is None else tuple(sorted({0, *self.asked_depths}))

    def _names(self) -> Sequence[str]:
        return self.names

    def _chosen(self) -> NDArray[np.bool_]:
        return balanced_choice(self.examples["ecg_id"].tolist(), self.examples["label"].to_numpy(), self.max_examples)

    def _places(self) -> Mapping[str, Place]:
        repeats = list(range(self.repeats))
        coords = {"repeat": repeats, "sign": SIGNS, "method": self.names, "depth": self.depths}
        places = {}
        for direction in self.directions:
            kinds = [f"cascade/{direction}", *([f"cascade/{direction}_smooth"] if self.smooth_draws else [])]
            for kind in kinds:
                for statistic in STATISTICS:
                    dims = ("repeat", "sign", "method", "depth")
                    places[f"{kind}/{statistic}"] = Place(dims, coords, "correlation")
            logits = {"repeat": repeats, "depth": self.depths}
            places[f"cascade/{direction}_logits"] = Place(("repeat", "depth"), logits, "logit")
        if self._full_direction is not None:
            places["scores/efficient_mprt"] = Place(("method",), {"method": self.names}, "1")
        return places

    @property
    def _full_direction(self) -> Direction | None:
        """The first direction whose deepest depth has randomised every layer."""
        full = [one for one in self.directions if one != "independent" and self.depths[-1] == len(self.layers)]
        return full[0] if full else None

    def _settings(self) -> dict[str, JSON]:
        settings: dict[str, JSON] = {
            "layers": list(self.layers),
            "how": self.how,
            "batchnorm": self.batchnorm,
            "attribution_seed": self.maps.attribution_seed,
            "training_seed": self.maps.training_seed,
        }
        return settings | ({"smooth_draws": self.smooth_draws} if self.smooth_draws else {})

    def _measure(self, batch: AuditBatch) -> Mapping[str, ArrayLike]:
        measured: dict[str, NDArray[np.float64]] = {}
        for folder, place in self._places().items():
            measured[folder] = np.full((len(batch.rows), *place.shape), np.nan)
        noisy = self.random.noisy(batch)
        trained = {name: batch.maps[name] for name in self.names}
        smooth = self.random.smooth(self.maps.task, batch, noisy, "", 0, 0) if self.smooth_draws else {}
        for direction in self.directions:
            for repeat in range(self.repeats):
                self._measure_repeat(batch, noisy, trained, smooth, direction, repeat, measured)
        return measured

    def _measure_repeat(
        self,
        batch: AuditBatch,
        noisy: Tensor,
        trained: dict[str, Tensor],
        smooth: dict[str, Tensor],
        direction: Direction,
        repeat: int,
        measured: dict[str, NDArray[np.float64]],
    ) -> None:
        """Fill in all depths of one cascade."""
        maps: dict[str, list[Tensor]] = {name: [] for name in self.names}
        smoothed: dict[str, list[Tensor]] = {name: [] for name in smooth}
        for place, depth in enumerate(self.depths):
            task = self.maps.task if depth == 0 else self.tasks.at(direction, repeat, depth)
            measured[f"cascade/{direction}_logits"][:, repeat, place] = self.random.logits(task, batch.ecg)
            if depth == 0:
                continue
            for name, found in self.random.at(task, batch.ecg, batch.rows, direction, repeat, depth).items():
                maps[name].append(found)
            if smooth:
                for name, found in self.random.smooth(task, batch, noisy, direction, repeat, depth).items():
                    smoothed[name].append(found)
        compare(trained, maps, measured, f"cascade/{direction}", repeat)
        if smooth:
            compare(smooth, smoothed, measured, f"cascade/{direction}_smooth", repeat)
        if direction == self._full_direction:
            rise = [entropy_rise(trained[name], maps[name][-1]) for name in self.names]
            mean = measured["scores/efficient_mprt"]
            before = np.where(repeat == 0, 0.0, mean)
            measured["scores/efficient_mprt"] = before + np.stack(rise, axis=1) / self.repeats

    def _tell_cost(self, trainer: Trainer) -> None:
        rows = np.flatnonzero(self.chosen)
        missing = max((len(store.missing(rows)) for store in self.stores.values()), default=0)
        if not missing or not trainer.is_global_zero:
            return
        networks = len(self.directions) * self.repeats * (len(self.depths) - 1)
        each = -(-missing // trainer.world_size) * networks * (1 + self.smooth_draws)
        costs = estimate(self.methods, [each] * len(self.methods), self.maps.task, measure_passes(self.maps.task))
        rank_zero_info(
            f"RandomizationCascade: {missing} ECGs x {networks} random networks x {len(self.methods)} methods: about "
            f"{sum(cost.seconds for cost in costs) / 60:.1f} min"
        )

    def _summarise(self, trainer: Trainer, module: LightningModule) -> None:
        reliability = {
            name: self.maps.reliability[name].read(np.arange(len(self.examples))) for name in self.maps.reliability
        }
        report = CascadeReport(
            values=self.values,
            directions=self.directions,
            depths=self.depths,
            layers=self.layers,
            names=self.names,
            controls=self.controls,
            chosen=self.chosen,
            examples=self.examples,
            reliability={name: values for name, values in reliability.items() if name in self.names},
            smooth=bool(self.smooth_draws),
            n_resamples=self.n_resamples,
            confidence=self.confidence,
            seed=self.bootstrap_seed,
            what=f"{CLASS_WORDS[self.datamodule.target].name}, seed {self.maps.training_seed}",
            settings=f"{self.how.replace('_', ' ')}, BatchNorms {self.batchnorm}, {_draws(self.repeats)}",
            failures=self.random.failures,
        )
        report.write(AuditResults(trainer))


def _draws(repeats: int) -> str:
    return "one draw of the weights" if repeats == 1 else f"{repeats} draws of the weights"
