"""Which random networks a cascade is made of, and whose maps are computed of each."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from ecg_lightning.experiments.randomization.random_weights import BatchNormPolicy, Direction, layers_at

BASIS: Final[BatchNormPolicy] = "reset_recalibrated"
"""Of the draws that the verdict rests on: nothing that was trained is left, and the network is sane."""


class RandomNetwork(NamedTuple):
    """Names one random network.

    Attributes:
        batchnorm: What was done to BatchNorms.
        direction: In which layers were randomised.
        repeat: Number of the draw.
        depth: How many layers are random; 0 is the trained network.
    """

    batchnorm: BatchNormPolicy
    direction: Direction
    repeat: int
    depth: int

    @property
    def drawn_by(self) -> str:
        """Part of the keys of its weights and of its maps' draws: BatchNorm policies draw by themselves."""
        return self.direction if self.batchnorm == "kept" else f"{self.direction}, {self.batchnorm}"


@dataclass(frozen=True)
class CascadePlan:
    """What a cascade computes; the arguments are those of ``RandomizationCascade``.

    Attributes:
        directions: Of the progressive cascade.
        depths: From 0.
        n_layers: Of the network.
        names: Methods and controls.
        expensive: Methods that get fewer draws.
        batchnorm: Of the progressive cascade.
        repeats: Draws of the progressive cascade.
        full_repeats: Draws where every layer is random, at least ``repeats``.
        draws: Wholly random networks of the policy ``BASIS``.
        draws_of_expensive_methods: The same for expensive methods.
    """

    directions: Sequence[Direction]
    depths: Sequence[int]
    n_layers: int
    names: Sequence[str]
    expensive: Sequence[str]
    batchnorm: BatchNormPolicy
    repeats: int
    full_repeats: int
    draws: int
    draws_of_expensive_methods: int

    def complete(self, direction: Direction) -> bool:
        """Tell whether the deepest depth of a direction has randomised every layer."""
        return direction != "independent" and self.depths[-1] == self.n_layers

    @property
    def full_direction(self) -> Direction | None:
        """The first direction that is complete."""
        return next((one for one in self.directions if self.complete(one)), None)

    def repeats_of(self, direction: Direction) -> Iterator[tuple[int, list[int]]]:
        """Each repeat of a direction, and the places among ``depths`` that it randomises."""
        for repeat in range(self.full_repeats):
            if repeat < self.repeats:
                yield repeat, list(range(1, len(self.depths)))
            elif self.complete(direction):
                yield repeat, [len(self.depths) - 1]

    @property
    def wholly_random(self) -> dict[BatchNormPolicy, int]:
        """BatchNorm policy -> how many networks of which every layer is random."""
        beside = 0 if self.batchnorm == BASIS else self.full_repeats
        return {name: draws for name, draws in ((BASIS, self.draws), (self.batchnorm, beside)) if draws}

    def network(self, batchnorm: BatchNormPolicy, draw: int) -> RandomNetwork:
        """A wholly random one: where the progressive cascade ends in it, its maps are computed once."""
        return RandomNetwork(batchnorm, self.full_direction or "from_output", draw, self.n_layers)

    def names_of(self, draw: int) -> tuple[str, ...]:
        """Whose maps are computed of a draw of a wholly random network."""
        every = draw < self.draws_of_expensive_methods
        return tuple(name for name in self.names if every or name not in self.expensive)

    def maps_of(self, method: str, smooth_draws: int) -> dict[str, int]:
        """How many maps of one ECG are computed in random networks: of each policy's wholly random ones, and the rest.

        Args:
            method: Its name.
            smooth_draws: Noisy copies of the smooth test, which the progressive cascade computes maps of too.
        """
        every = sum(len(places) for direction in self.directions for _, places in self.repeats_of(direction))
        found: dict[str, int] = {}
        shared = 0
        for policy, draws in self.wholly_random.items():
            found[policy] = sum(method in self.names_of(draw) for draw in range(draws))
            if policy == self.batchnorm and self.full_direction is not None:
                shared = min(draws, self.full_repeats)
                found[policy] = max(found[policy], shared)
        return {**found, "progressive": every - shared + smooth_draws * every}


def check_directions(directions: Sequence[Direction]) -> None:
    """Refuse directions of a cascade that can't be.

    Raises:
        ValueError: None, one twice, or an unknown one.
    """
    if not directions or len(set(directions)) < len(directions):
        raise ValueError(f"RandomizationCascade: expected each direction once, got {list(directions)}")
    for direction in directions:
        layers_at((), direction, 0)


def check_counts(at_least_one: Sequence[int], at_least_none: Sequence[int], max_examples: int | None) -> None:
    """Refuse numbers of repeats, draws and examples that can't be.

    Args:
        at_least_one: ``repeats``, ``full_repeats``, ``draws_of_expensive_methods``.
        at_least_none: ``draws``, ``smooth_draws``.
        max_examples: ECGs at most; None: all.

    Raises:
        ValueError: All of them are named.
    """
    few = max_examples is not None and max_examples < 2
    if few or min(at_least_one) < 1 or min(at_least_none) < 0:
        raise ValueError(
            "RandomizationCascade: expected repeats, full_repeats, draws_of_expensive_methods >= 1, draws and "
            f"smooth_draws >= 0 and max_examples >= 2 or null, got {at_least_one}, {at_least_none} and {max_examples}"
        )


def check_distinct_depths(depths: Sequence[int] | None) -> None:
    """Refuse depths below 0, and one that is named twice.

    Raises:
        ValueError: Such a depth.
    """
    if depths is not None and (min(depths, default=-1) < 0 or len(set(depths)) < len(depths)):
        raise ValueError(f"RandomizationCascade: expected distinct depths from 0, got {list(depths)}")


def checked_depths(asked: Sequence[int] | None, n_layers: int) -> tuple[int, ...]:
    """The depths of a cascade, 0 among them.

    Raises:
        ValueError: One that the network does not have.
    """
    beyond = [depth for depth in asked or () if depth > n_layers]
    if beyond:
        raise ValueError(
            f"RandomizationCascade: depths: the network has {n_layers} layers with weights, so depths are 0 to "
            f"{n_layers}; got {beyond}"
        )
    return tuple(range(n_layers + 1)) if asked is None else tuple(sorted({0, *asked}))


def chosen_names(asked: Sequence[str] | None, known: Sequence[str]) -> tuple[str, ...]:
    """Choose the methods and controls of a cascade, in the order of those whose maps are computed.

    Args:
        asked: Names; None: all.
        known: Of ``AttributionMaps``.

    Raises:
        ValueError: None at all, an unknown one, or one twice.
    """
    names = known if asked is None else asked
    if not names or len(set(names)) < len(names) or not set(names) <= set(known):
        raise ValueError(
            f"RandomizationCascade: methods: expected some of AttributionMaps' {', '.join(known)}, each once; got "
            f"{', '.join(names) or 'none'}"
        )
    return tuple(name for name in known if name in names)
