"""What one series of perturbations does: which units, in which order, replaced by what."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final, Literal, get_args

from ecg_lightning.experiments.perturbation.measure import ORDERS, NoiseMode, Order, Ranking, step_counts
from ecg_lightning.experiments.perturbation.units import Unit
from ecg_lightning.storage.hashing import JSON

Replacement = Literal["interpolation", "zero", "class_mean", "conditional", "twin"]
"""What takes the place of replaced points: the line between kept neighbours in time (the paper); 0 mV; the mean of the
two classes' mean training beats, which leans to neither class (the other class's own mean would be evidence against the
diagnosis, so that any replacement would count); the mean given the kept points under a Gaussian of training beats; the
beat of the simulated twin without the diagnosis."""


@dataclass(frozen=True)
class PerturbationKind:
    """One series of perturbed beats, for every map the same.

    Attributes:
        unit: What is ranked and replaced as a whole: ``point``; ``block20``, ``block50`` or ``block100`` (ms of one
            lead); or ``wave`` (P, PR, QRS, ST, T and the rest of each lead).
        replacement: ``interpolation``, ``zero``, ``class_mean``, ``conditional`` or ``twin``.
        noise: What is done to replaced values: ``none``, ``multiplicative`` as in the paper's Figure 4,
            ``additive_mv`` or ``additive_lead_std``.
        sigma: Of that noise.
        steps: Beside step 0, the untouched beat.
        fraction_per_step: Share of the points that each step adds.
        ranking: By ``magnitude``, or ``signed``: what speaks most for the diagnosis first.
        orders: ``morf``, ``lerf``, or both; ABPC needs both.
        fine_tuned: Whether the logits are those of a copy of the network that was fine-tuned on randomly perturbed
            training ECGs (F-Fidelity), to which perturbed beats are nothing new.

    Raises:
        ValueError: More than all points, a value that is not among those above, an order listed twice, a negative
            sigma, or fine-tuning on twins.
    """

    unit: Unit = "block50"
    replacement: Replacement = "interpolation"
    noise: NoiseMode = "none"
    sigma: float = 0.25
    steps: int = 10
    fraction_per_step: float = 0.03
    ranking: Ranking = "magnitude"
    orders: Sequence[Order] = ORDERS
    fine_tuned: bool = False

    def __post_init__(self) -> None:
        step_counts(1, self.steps, self.fraction_per_step)  # refuses what is impossible
        for name, kind in (("unit", Unit), ("replacement", Replacement), ("noise", NoiseMode), ("ranking", Ranking)):
            if (value := getattr(self, name)) not in get_args(kind):
                raise ValueError(f"PerturbationKind: {name} is one of {', '.join(get_args(kind))}, got {value!r}")
        if not self.orders or len(set(self.orders)) < len(self.orders) or not set(self.orders) <= set(ORDERS):
            raise ValueError(f"PerturbationKind: orders: expected some of {', '.join(ORDERS)}, got {list(self.orders)}")
        if not self.sigma >= 0:
            raise ValueError(f"PerturbationKind: sigma must not be negative, got {self.sigma}")
        if self.fine_tuned and self.replacement == "twin":
            raise ValueError(
                "PerturbationKind: expected fine_tuned with another replacement than twin: only ECGs with the "
                "diagnosis have a twin, so that a network would learn to tell them by what is replaced; twins are "
                "beats like all others, which need no fine-tuning"
            )

    @property
    def name(self) -> str:
        """``<unit>_<replacement>_<noise>``, with ``_signed`` and ``_fine_tuned`` where these were chosen."""
        chosen = [("signed", self.ranking == "signed"), ("fine_tuned", self.fine_tuned)]
        return "_".join([self.unit, self.replacement, self.noise, *(word for word, holds in chosen if holds)])

    @property
    def settings(self) -> dict[str, JSON]:
        """What determines the rows of one order."""
        fields = asdict(self)
        del fields["orders"]
        if not self.fine_tuned:
            del fields["fine_tuned"]  # as in the stores of earlier versions
        return fields


PAPER_KIND: Final = PerturbationKind("point", noise="multiplicative", steps=30, fraction_per_step=0.01)
"""The paper's Figure 4B."""

VERDICT_KIND: Final = PerturbationKind()
"""What verdicts rest on: units of one size for all maps, and nothing but the replacement."""


def check_kinds(kinds: Sequence[PerturbationKind] | None) -> tuple[PerturbationKind, ...]:
    """The kinds that were asked for; None: the paper's and the verdict's.

    Raises:
        ValueError: None at all, or two of one name.
    """
    chosen = (PAPER_KIND, VERDICT_KIND) if kinds is None else tuple(kinds)
    names = [kind.name for kind in chosen]
    if not chosen or len(set(names)) < len(names):
        raise ValueError(
            "PerturbationCurves: kinds: expected one kind or more, of different unit, replacement, noise, "
            f"ranking or fine-tuning, got {', '.join(names) or 'none'}"
        )
    return chosen
