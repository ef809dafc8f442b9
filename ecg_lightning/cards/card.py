"""A network card holds what its owner knows of a trained network, so that nobody has to guess or to write code."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import yaml

from ecg_lightning.cards.fields import CardError, record
from ecg_lightning.ecg import MEDIAN_BEAT, SignalFormat, Target

__all__ = ["CardError", "Gives", "NetworkCard", "Promise", "Reads", "Weights", "load_card"]

Unit = Literal["mV", "uV", "V"]
Layout = Literal["lead_time", "time_lead", "flat"]
Standardisation = Literal["none", "per_lead", "per_recording", "given"]
OutputKind = Literal["logit", "probability"]
Input = Literal["recording", "median_beat"]

PER_MILLIVOLT: Final[Mapping[str, float]] = {"mV": 1.0, "uV": 1000.0, "V": 0.001}
"""How many of a unit one millivolt is."""


@dataclass(frozen=True)
class Weights:
    """The file of a network's weights.

    Attributes:
        path: The file: safetensors, or what ``torch.save`` wrote; a relative path begins at the card's folder.
        key: Dotted key of the weights in the file, as ``state_dict``; empty: the file's content are the weights.
        prefix: What is taken off each name, as ``module.``; every name has to begin with it.
    """

    path: str
    key: str = ""
    prefix: str = ""


@dataclass(frozen=True)
class Reads:
    """What a network reads.

    Attributes:
        leads: Names of the leads in their order.
        sampling_rate: In Hz.
        samples: Samples of a lead.
        of: ``recording``: the beginning of each recording; ``median_beat``: its median beat (8 leads, 1.2 s, 500 Hz).
        unit: ``mV``, ``uV`` or ``V``.
        gain: What a value in this unit is multiplied by before the network reads it.
        layout: Order of a batch's axes: ``lead_time``, ``time_lead``, or ``flat`` (one lead behind the other).
        standardise: ``none``; ``per_lead`` or ``per_recording``, each ECG's own mean and standard deviation; or
            ``given``: by ``mean`` and ``deviation``.
        mean: Of ``given``, after the gain: one number, or one a lead.
        deviation: Likewise.

    Raises:
        ValueError: Leads, samples or rate of no signal, a gain of 0, or numbers of ``given`` that do not fit.
    """

    leads: tuple[str, ...]
    sampling_rate: float
    samples: int
    of: Input = "recording"
    unit: Unit = "mV"
    gain: float = 1.0
    layout: Layout = "lead_time"
    standardise: Standardisation = "none"
    mean: tuple[float, ...] = ()
    deviation: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        leads = len(SignalFormat(self.leads, self.sampling_rate, self.samples).leads)
        beat = (MEDIAN_BEAT.leads, MEDIAN_BEAT.sampling_rate, MEDIAN_BEAT.samples)
        if self.of == "median_beat" and (self.leads, self.sampling_rate, self.samples) != beat:
            raise ValueError(
                f"of: a median beat has {MEDIAN_BEAT}, got {SignalFormat(self.leads, self.sampling_rate, self.samples)}"
            )
        if self.gain == 0:
            raise ValueError("gain: expected a number other than 0")
        given = self.standardise == "given"
        for name, values in (("mean", self.mean), ("deviation", self.deviation)):
            if given and len(values) not in (1, leads):
                raise ValueError(f"{name}: expected one number or {leads}, one a lead, got {len(values)}")
            if values and not given:
                raise ValueError(f"{name}: only `standardise: given` reads it; standardise is {self.standardise}")
        if any(value <= 0 for value in self.deviation):
            raise ValueError("deviation: expected positive numbers")

    @property
    def signal_format(self) -> SignalFormat:
        """Return leads, rate and samples of what the network is given, in mV."""
        return MEDIAN_BEAT if self.of == "median_beat" else SignalFormat(self.leads, self.sampling_rate, self.samples)


@dataclass(frozen=True)
class Gives:
    """What comes out of a network.

    Attributes:
        targets: Our name of a target -> the network's name of the output, or its index.
        kind: ``logit`` or ``probability``.
        names: The network's names of its outputs in their order; empty: outputs are known by their index only.
        part: Key of a dict, or index of a tuple, that the network returns; None: it returns the outputs themselves.
        thresholds: Target -> probability from which on an ECG is called positive; .5 where there is none.

    Raises:
        ValueError: No target, an output that has no name, or a threshold outside of (0, 1).
    """

    targets: Mapping[Target, str | int]
    kind: OutputKind = "logit"
    names: tuple[str, ...] = ()
    part: str | int | None = None
    thresholds: Mapping[Target, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.targets:
            raise ValueError("targets: expected at least one line, `our name: the network's output`")
        for target in self.targets:
            self.index(target)
        for target, threshold in self.thresholds.items():
            if target not in self.targets or not 0 < threshold < 1:
                raise ValueError(
                    f"thresholds.{target}: expected a probability in (0, 1) of one of {', '.join(self.targets)}, got "
                    f"{threshold}"
                )

    def index(self, target: Target) -> int:
        """Return the place of a target among the outputs.

        Raises:
            ValueError: The card does not have the target, or names an output that is not there.
        """
        if target not in self.targets:
            raise ValueError(f"targets: the card has {', '.join(self.targets)}, and no {target}")
        output = self.targets[target]
        if isinstance(output, int):
            if output < 0 or (self.names and output >= len(self.names)):
                most = f" to {len(self.names) - 1}" if self.names else " on"
                raise ValueError(f"targets.{target}: expected an index from 0{most}, got {output}")
            return output
        if output not in self.names:
            known = ", ".join(self.names) or "none: give an index, or `names`"
            raise ValueError(f"targets.{target}: no output is called {output!r}; names: {known}")
        return self.names.index(output)


@dataclass(frozen=True)
class Promise:
    """What a network's owner says that it reaches.

    Attributes:
        target: Our name of the target.
        metric: Such as ``auroc``.
        value: Of the metric.
        data: On which data, in words.
    """

    target: Target
    metric: str
    value: float
    data: str = ""


@dataclass(frozen=True)
class NetworkCard:
    """A card of one trained network.

    Attributes:
        class_path: Dotted name of its class, which has to be importable.
        reads: What it reads.
        gives: What comes out.
        init_args: Arguments of the constructor.
        weights: File of its weights; None: those that the constructor leaves, as of a look-alike.
        gradcam_layer: Name of the module whose output Grad-CAM reads; empty: the network's own.
        source: Where weights and code are published, and under which licence; for people.
        promises: What its owner says that it reaches, for comparison.
        folder: Where the card lies.
    """

    class_path: str
    reads: Reads
    gives: Gives
    init_args: Mapping[str, Any] = field(default_factory=dict)
    weights: Weights | None = None
    gradcam_layer: str = ""
    source: str = ""
    promises: tuple[Promise, ...] = ()
    folder: Path = Path()


def load_card(path: str | Path) -> NetworkCard:
    """Read a network card from its YAML file.

    Args:
        path: Its YAML file.

    Raises:
        CardError: There is no such file, it is no YAML, or a key is missing, unknown, or of the wrong kind; the message
            names the file and the key.
    """
    file = Path(path)
    if not file.is_file():
        raise CardError(f"{file}: there is no such network card")
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise CardError(f"{file}: no YAML ({error})") from error
    card: NetworkCard = record(NetworkCard, content, str(file), given={"folder": file.absolute().parent})
    return card
