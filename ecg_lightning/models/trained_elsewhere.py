"""What a network that was trained elsewhere tells of itself, where one of ``fit`` has a checkpoint that does."""

from abc import abstractmethod

from torch import Tensor, nn

from ecg_lightning.ecg import SignalFormat


class TrainedElsewhere(nn.Module):
    """A network with its weights, which is tested without a checkpoint.

    Attributes:
        decision_threshold: Probability from which on an ECG is called positive.
        threshold_origin: Where it comes from, in words.
    """

    decision_threshold: float
    threshold_origin: str

    @property
    @abstractmethod
    def signal_format(self) -> SignalFormat:
        """Leads, rate and samples of the ECGs that it is given."""

    @abstractmethod
    def check(self, ecg: Tensor) -> None:
        """Refuse outputs that are not what the network's owner says.

        Args:
            ecg: (batch, lead, sample) mV.

        Raises:
            ValueError: They are not.
        """


def known_threshold(network: nn.Module) -> float:
    """Return the threshold that a network brings along; .5 where it brings none."""
    return network.decision_threshold if isinstance(network, TrainedElsewhere) else 0.5
