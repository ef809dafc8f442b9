"""An attribution method is a small object of typed hyperparameters that maps ECGs to maps."""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from ecg_lightning.attribution.autograd import recording_gradients
from ecg_lightning.attribution.budget import AS_CONFIGURED, BudgetGrid, BudgetLimits
from ecg_lightning.attribution.explained import Attribution, AttributionBatch, Passes, joined
from ecg_lightning.attribution.lint_report import Complaint
from ecg_lightning.attribution.old_keywords import takes_old_keyword
from ecg_lightning.attribution.probe import Probe
from ecg_lightning.attribution.seeding import RandomKey
from ecg_lightning.attribution.style import MethodStyle
from ecg_lightning.attribution.task import FrozenModel, in_chunks
from ecg_lightning.models.own_statistics import has_own_statistics, holding_statistics
from ecg_lightning.storage.hashing import JSON

__all__ = [
    "Attribution",
    "AttributionBatch",
    "AttributionMethod",
    "Passes",
    "SinglePassMethod",
    "check_positive",
    "keys_of",
]


class AttributionMethod(ABC):
    """An attribution method gives one map an ECG when it is called.

    Subclasses are frozen dataclasses whose fields are the hyperparameters. A method of your own needs ``name``,
    ``unit``, ``needs_module_relu``, ``passes`` and ``_attribute``; the other attributes below have defaults.
    """

    name: ClassVar[str]
    """Snake-case name, also of its store ``maps/<name>/``."""

    unit: ClassVar[str]
    """Unit of the map's values."""

    style: ClassVar[MethodStyle | None] = None
    """How figures and reports show it; None: by its name, in a violet."""

    stochastic: ClassVar[bool] = False
    """Whether the map has Monte-Carlo noise."""

    single_pass: ClassVar[bool] = False
    """Whether one pass gives a map, so that ECGs share a pass."""

    uses_backgrounds: ClassVar[bool] = False
    """Whether the map depends on the background ECGs."""

    complete: ClassVar[bool] = False
    """Whether a map's sum is f(ecg) - f(baseline), up to numerical error."""

    needs_module_relu: ClassVar[bool]
    """Whether it changes what ``nn.ReLU`` modules do, so that a ReLU that is a function makes it silently wrong."""

    reads_layer: ClassVar[bool] = False
    """Whether it reads the output of a layer: of ``kept_layers``, or the network's ``gradcam_layer``."""

    has_reference: ClassVar[bool] = False
    """Whether ``complaints`` compares its maps with another way of computing them, so that ECGs must have no ties."""

    constant_hint: ClassVar[str] = ""
    """What to do where maps are constant."""

    @property
    def signed(self) -> bool:
        """Return whether values below zero have a meaning; they have, unless a method takes magnitudes."""
        return True

    @property
    def unused(self) -> tuple[str, ...]:
        """Return the names of hyperparameters without effect beside the others, which are no part of the settings."""
        return ()

    @property
    def samples_a_value(self) -> int:
        """Return how many neighbouring samples of a lead share one value."""
        return 1

    @abstractmethod
    def passes(self, shape: tuple[int, int], backgrounds: int) -> Passes:
        """Return the cost of one map.

        Args:
            shape: (lead, sample) of an ECG.
            backgrounds: Number of background ECGs.
        """

    @abstractmethod
    def _attribute(self, model: FrozenModel, ecg: Tensor, key: RandomKey) -> Tensor:
        """(batch, lead, sample) -> map of the same shape; batch is 1 unless ``single_pass``."""

    def baseline_logits(self, model: FrozenModel, ecg: Tensor) -> Tensor:
        """Return f(baseline) for each ECG, (batch,) float64: the same for all, unless each ECG's statistics are held.

        Args:
            model: The frozen network.
            ecg: (batch, lead, sample) mV.
        """
        if not has_own_statistics(model.network):
            return torch.full((len(ecg),), self.baseline_logit(model), dtype=torch.float64)
        found = []
        for index in range(len(ecg)):
            with holding_statistics(model.network, ecg[index : index + 1]):
                found.append(self.baseline_logit(model))
        return torch.tensor(found, dtype=torch.float64)

    def baseline_logit(self, model: FrozenModel) -> float:
        """Return f(baseline); a complete map's sum is f(ecg) minus it. The baseline is 0 mV, or the backgrounds."""
        with torch.no_grad():
            return float(in_chunks(model.network, torch.zeros_like(model.backgrounds[:1]), model.chunk))

    @property
    def kept_layers(self) -> tuple[str, ...]:
        """Return the names of layers that the method's own settings read, and that must not be folded."""
        return ()

    def complaints(self, probe: Probe, maps: Tensor) -> list[Complaint]:  # noqa: ARG002
        """Return what the maps of the probe's ECGs say against the method on this network, beside completeness."""
        return []

    def complaints_of_few_passes(self, probe: Probe) -> list[Complaint]:  # noqa: ARG002
        """Return the complaints of a stochastic method, which must give a known map with next to no noise."""
        return []

    def settings(self) -> dict[str, JSON]:
        """Return name and hyperparameters, which determine a map besides network, ECG, backgrounds and seeds."""
        every: dict[str, JSON] = dataclasses.asdict(self) if dataclasses.is_dataclass(self) else {}
        return {"method": self.name, **{key: value for key, value in every.items() if key not in self.unused}}

    def fitted(self, model: FrozenModel) -> Self:  # noqa: ARG002
        """Return the method with what its settings leave to the ECGs' shape and rate filled in."""
        return self

    def resolved_settings(self, model: FrozenModel) -> dict[str, JSON]:  # noqa: ARG002
        """Return ``settings`` with what was left to the network filled in.

        Raises:
            ValueError: The network can't be attributed by this method.
        """
        return self.settings()

    def budget_grid(self, model: FrozenModel, limits: BudgetLimits) -> BudgetGrid | None:  # noqa: ARG002
        """Return the budgets that ``tune`` tries; None: there is nothing to choose, its maps are exact.

        A stochastic method that states none is measured as it is configured.
        """
        return AS_CONFIGURED if self.stochastic else None

    def with_budget(self, grid: BudgetGrid, value: int) -> Self:
        """Return the method with one value of its grid."""
        changes: dict[str, Any] = grid.changes(value)
        return dataclasses.replace(self, **changes) if changes else self  # type: ignore[type-var]

    def reliability_curve(self, model: FrozenModel, ecg: Tensor, key: RandomKey, grid: BudgetGrid) -> Iterator[float]:
        """Yield the reliability of one ECG's map, (1, lead, sample), at each value of a grid, computed on demand."""
        for value in grid.values:
            yield float(self.with_budget(grid, value).explain(model, ecg, [key]).reliability)

    def _explain(self, model: FrozenModel, ecg: Tensor, key: RandomKey) -> Attribution:
        """One ECG's map with its reliability; methods with Monte-Carlo noise override it."""
        return Attribution(self._attribute(model, ecg, key))

    @takes_old_keyword("task", "model")
    def __call__(self, model: FrozenModel, ecg: Tensor, keys: Sequence[RandomKey]) -> Tensor:
        """Maps of a batch of ECGs, (batch, lead, sample), detached; see :meth:`explain`."""
        return self.explain(model, ecg, keys).maps

    @takes_old_keyword("task", "model")
    def explain(self, model: FrozenModel, ecg: Tensor, keys: Sequence[RandomKey]) -> AttributionBatch:
        """Compute the maps of a batch of ECGs and their reliability; works under Lightning's inference mode.

        Args:
            model: The frozen network, with its backgrounds and the size of a pass.
            ecg: (batch, lead, sample) mV.
            keys: One an ECG; only stochastic methods draw from them.

        Raises:
            ValueError: Shapes do not fit, or the method gives a map of another shape.
        """
        if ecg.ndim != 3 or len(keys) != len(ecg):
            raise ValueError(
                f"{self.name} expects ECGs as (batch, lead, sample) and one key an ECG, got {tuple(ecg.shape)} "
                f"and {len(keys)} keys"
            )
        if len(ecg) > 1 and has_own_statistics(model.network):
            return joined([self.explain(model, ecg[i : i + 1], [key]) for i, key in enumerate(keys)])
        with recording_gradients(), holding_statistics(model.network, ecg):
            ecg = ecg.detach().clone()  # a tensor made under inference mode can't require gradients
            if self.single_pass:
                maps = in_chunks(lambda part: self._attribute(model, part, keys[0]), ecg, model.single_pass_chunk)
                attributions = [Attribution(single_map[None]) for single_map in maps]
            else:
                attributions = [self._explain(model, ecg[i : i + 1], key) for i, key in enumerate(keys)]
                maps = torch.cat([attribution.map for attribution in attributions])
        if maps.shape != ecg.shape:
            raise ValueError(f"{self.name} gave a map of shape {tuple(maps.shape)} for ECGs {tuple(ecg.shape)}")
        return AttributionBatch(
            maps.detach(),
            torch.tensor([one.reliability for one in attributions], dtype=torch.float64),
            torch.tensor([one.n_samples for one in attributions], dtype=torch.int64),
        )


class SinglePassMethod(AttributionMethod):
    """A single-pass method needs one pass an ECG, so that several ECGs share a pass."""

    single_pass: ClassVar[bool] = True
    gradients: ClassVar[int] = 1
    """What the pass costs, in gradients of one input."""

    def passes(self, shape: tuple[int, int], backgrounds: int) -> Passes:  # noqa: ARG002
        """Return the same passes for every ECG."""
        return Passes(gradient=self.gradients)


def keys_of(ecg: Tensor) -> list[RandomKey]:
    """Make the keys of the linter's own maps, one an ECG."""
    return [RandomKey(ecg_id=str(index)) for index in range(len(ecg))]


def check_positive(owner: AttributionMethod, **values: float) -> None:
    """Raise a ValueError that names the first hyperparameter that is not positive."""
    for name, value in values.items():
        if not value > 0:
            raise ValueError(f"{owner.name}: {name} must be positive, got {value}")
