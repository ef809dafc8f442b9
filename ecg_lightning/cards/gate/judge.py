"""From what was measured of each setting to a verdict: is another one clearly better than the card's?"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ecg_lightning.cards.gate.alternatives import Setting
from ecg_lightning.cards.gate.arriving_statistics import FirstNorm
from ecg_lightning.cards.gate.finding import NAN, Finding, Verdict
from ecg_lightning.cards.gate.known_answer import (
    LEAST_T,
    Labelled,
    auroc,
    better_auroc,
    better_log_loss,
    least_z,
    log_losses,
)

BETTER: Final = 0.7
"""Of the card's divergence: less than this is clearly better."""

LEAST_ECGS: Final = 50
"""Of fewer ECGs S1 or S2 alone gives up to 20 % false alarms, so that nothing but a warning is said."""

_OF_SCALE: Final = ("scale", "standardisation")


@dataclass(frozen=True)
class Measured:
    """What was measured of one setting.

    Attributes:
        setting: The setting.
        first: Its divergence at the first BatchNorm.
        s2: Mean divergence over all BatchNorms; NaN where it is not needed, or there is none.
        logits: (ecg, output); empty where no pass was made, since the network reads the very same.
        flipped: Share of the target's decisions that are others than the card's.
        same: Whether the logits are the card's.
    """

    setting: Setting
    first: FirstNorm
    s2: float
    logits: NDArray[np.float64]
    flipped: float = 0.0
    same: bool = False


@dataclass(frozen=True)
class Judge:
    """A judge compares settings with the card's.

    Attributes:
        card: The card's own setting.
        labelled: The labels.
        general: Whether the ECGs are of a general population; only then order, polarity, time and rate are told
            without labels.
        compared: Number of settings that are compared.
    """

    card: Measured
    labelled: Labelled
    general: bool
    compared: int

    def finding(self, other: Measured) -> Finding:
        """Judge one setting beside the card's."""
        verdict, words = self._told(other)
        if verdict == "wrong" and len(self.card.logits) < LEAST_ECGS:
            verdict, words = "warning", f"{words}; of {len(self.card.logits)} ECGs only a warning"
        setting, labelled = other.setting, self.labelled
        return Finding(
            setting.name, setting.check, verdict, words, setting.change, other.first.s1, other.s2,
            auroc(other.logits, labelled, labelled.target) if len(other.logits) else NAN,
            _mean(log_losses(other.logits, labelled)) if len(other.logits) else NAN, other.flipped,
        )  # fmt: skip

    def own_finding(self) -> Finding:
        """Say what the card's own setting reaches."""
        first, labelled, logits = self.card.first, self.labelled, self.card.logits
        words = "no BatchNorm is executed: unit, standardisation, order and rate can only be told by labels"
        if np.isfinite(first.s1):
            words = f"what arrives at the first BatchNorm diverges by {first.s1:.3g} from what it learnt"
            words += f"; a gain of {first.gain:.2f} fits best" if np.isfinite(first.gain) else ""
        return Finding(
            self.card.setting.name, "card", "card", words, "", first.s1, self.card.s2,
            auroc(logits, labelled, labelled.target), _mean(log_losses(logits, labelled)), 0.0,
        )  # fmt: skip

    def _told(self, other: Measured) -> tuple[Verdict, str]:
        name = other.setting.name
        if other.same:
            return "no difference", f"{name}: the network's outputs stay as they are"
        by_norms, by_labels = self._by_norms(other), self._by_labels(other)
        share = f"{other.flipped:.0%} of the decisions would be others" if other.flipped >= 0 else "nothing is decided"
        if by_norms and (other.setting.check in _OF_SCALE or self.general):
            return "wrong", by_norms
        if by_labels and not self._contradicted(other):
            return ("wrong" if self._errs(by_labels) else "warning"), by_labels
        if by_norms:
            why = "these ECGs are no general population, or their diagnoses are not known"
            return "undetermined", f"{by_norms}; but {why}: {share}"
        if self._contradicted(other):
            return "agrees", f"{name}: the card's setting fits what the network learnt better"
        if self._by_labels(self.card, other):
            return "agrees", f"{name}: the card's setting fits the labels better"
        return "undetermined", f"{name}: neither is clearly better; {share}"

    def _errs(self, by_labels: str) -> bool:
        """Of one output the log-loss alone has false alarms in up to 9 %."""
        return "AUROC" in by_labels or len(self.labelled.known()) > 1

    def _by_norms(self, other: Measured) -> str:
        own, found = (_divergence(one.first, other.setting.check) for one in (self.card, other))
        first, second = found / own, other.s2 / self.card.s2  # not a number where no BatchNorm is executed
        if not (first < 1 and second < 1 and _clear(first, second, other.setting.check)):
            return ""
        return (
            f"{other.setting.name}, the ECGs diverge by {found:.3g} from what the first BatchNorm learnt, as the card "
            f"says by {own:.3g} (over all BatchNorms {other.s2:.3g} and {self.card.s2:.3g})"
        )

    def _contradicted(self, other: Measured) -> bool:
        """Tell whether a setting fits what the network learnt clearly worse."""
        own, theirs = (_divergence(one.first, other.setting.check) for one in (self.card, other))
        return own < BETTER * theirs

    def _by_labels(self, other: Measured, card: Measured | None = None) -> str:
        """Say how another setting is clearly better by labels than the card's, or than a given one; else nothing."""
        ours, labelled = card or self.card, self.labelled
        for target in filter(labelled.is_enough, labelled.known()):
            at, z = labelled.outputs[target], least_z(self.compared)
            pair = (ours.logits[:, at], other.logits[:, at])
            if both := better_auroc(*pair, labelled.labels[target], labelled.patient_ids, z):
                name = other.setting.name
                return f"{name}, AUROC of {target} is {both[1]:.3f}, as the card says {both[0]:.3f}"
        losses = [log_losses(one.logits, labelled) for one in (ours, other)]
        if better_log_loss(losses[0], losses[1], labelled.patient_ids) > LEAST_T:
            means = [_mean(one) for one in losses]
            return f"{other.setting.name}, mean log-loss is {means[1]:.3f}, as the card says {means[0]:.3f}"
        return ""


def _clear(first: float, second: float, check: str) -> bool:
    """Tell from the shares of the card's S1 and S2, both below 1, whether a setting is clearly better.

    A first layer can be blind to polarity, and to an order that later layers see, so that there both count together.
    """
    if check in (*_OF_SCALE, "rate"):
        return first < BETTER and second < BETTER
    return first < BETTER or first * second < BETTER**2


def _divergence(first: FirstNorm, check: str) -> float:
    """S1; of what is no matter of scale that at the best gain."""
    return first.s1 if check in _OF_SCALE else first.s1_best


def _mean(values: NDArray[np.float64]) -> float:
    return float(np.nanmean(values)) if np.isfinite(values).any() else NAN
