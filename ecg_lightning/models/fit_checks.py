"""Is a network one that a test can work with? Asked before it is trained, when mending it costs nothing."""

import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parameter import is_lazy

from ecg_lightning.data.datamodule import EcgDataModule
from ecg_lightning.data.splits import Split
from ecg_lightning.ecg import SignalFormat, SignalFormatError
from ecg_lightning.functional.plain_copy import plain_copy
from ecg_lightning.models.output_range import probability_words
from ecg_lightning.models.trained_elsewhere import TrainedElsewhere


def example_ecgs(datamodule: EcgDataModule, stage: str) -> Tensor:
    """Two ECGs of those that a stage reads first, (2, lead, sample) mV.

    Args:
        datamodule: Set up for the stage.
        stage: ``fit``, ``validate``, ``test`` or ``predict``.
    """
    split: Split = "train" if stage == "fit" else "validation" if stage == "validate" else "test"
    dataset = datamodule.dataset(split)
    return dataset.__getitems__(list(range(min(2, len(dataset)))))["ecg"]


def example_input(network: nn.Module) -> Tensor | None:
    """Make two ECGs of the network's own shape, for Lightning's summary; None where the network doesn't tell it."""
    config = getattr(network, "config", None)
    if not isinstance(config, dict) or not {"leads", "length"} <= config.keys():
        return None
    return torch.zeros(2, config["leads"], config["length"])


def waits_for_shapes(network: nn.Module) -> bool:
    """Tell a network with lazy modules that have not seen an ECG from others."""
    return any(is_lazy(weight) for weight in (*network.parameters(), *network.buffers()))


def prepare_network(network: nn.Module, datamodule: EcgDataModule, stage: str, device: torch.device) -> None:
    """Give lazy modules their weights, and before a ``fit`` refuse what could never be tested.

    Args:
        network: Any network.
        datamodule: Set up for the stage; its ECGs are read where they are needed.
        stage: ``fit``, ``validate``, ``test`` or ``predict``.
        device: Of the network.

    Raises:
        ValueError: See :func:`check_shape` and :func:`check_before_fit`.
    """
    check_shape(network, datamodule.signal_format)
    lazy, foreign = waits_for_shapes(network), isinstance(network, TrainedElsewhere)
    if not (lazy or foreign or stage == "fit"):
        return
    ecg = example_ecgs(datamodule, stage).to(device)
    if isinstance(network, TrainedElsewhere):
        network.check(ecg)
    if lazy:
        make_real(network, ecg)
    if stage == "fit":
        check_before_fit(network, ecg)


def check_shape(network: nn.Module, of_data: SignalFormat) -> None:
    """Refuse a network that was built for ECGs of another shape, where it tells its own as ``ResNet1d`` does.

    Args:
        network: Any network.
        of_data: Format of the ECGs.

    Raises:
        SignalFormatError: Both shapes, and the arguments to change.
    """
    if isinstance(network, TrainedElsewhere) and network.signal_format != of_data:
        raise SignalFormatError(
            f"the network reads {network.signal_format}, the ECGs are {of_data}: leave data.representation out, or "
            "choose the one that it reads"
        )
    example = example_input(network)
    if example is not None and tuple(example.shape[1:]) != of_data.shape:
        leads, length = example.shape[1:]
        wanted = "model.network.init_args."
        raise SignalFormatError(
            f"{type(network).__name__} was built for {leads} leads x {length} samples, the ECGs are {of_data}: train "
            f"one with --{wanted}leads {of_data.shape[0]} --{wanted}length {of_data.shape[1]}, or choose another "
            "data.representation"
        )


def make_real(network: nn.Module, ecg: Tensor) -> None:
    """Give lazy modules the weights whose shapes they learn in their first pass.

    Args:
        network: Any network.
        ecg: (batch, lead, sample) mV.
    """
    modes = {module: module.training for module in network.modules()}
    floating = next((weight.dtype for weight in network.parameters() if not is_lazy(weight)), ecg.dtype)
    with torch.no_grad():
        network.eval()(ecg.to(floating))
    for module, mode in modes.items():
        module.training = mode


def check_before_fit(network: nn.Module, ecg: Tensor) -> None:
    """Refuse a network that can be trained and could never be tested; warn of one whose output is no logit.

    No random state is moved.

    Args:
        network: (batch, lead, sample) mV -> one logit an ECG.
        ecg: (batch, lead, sample) mV, one or more.

    Raises:
        ValueError: It can't be copied, a copy runs the weights of the original, or its logits depend on the other ECGs
            of a batch; the module is named, and what to do.
    """
    for name, module in network.named_modules():
        if isinstance(module, _BatchNorm) and module.running_mean is None:
            raise ValueError(
                f"{name} is a BatchNorm without running statistics: also in evaluation mode an ECG's logit depends on "
                "the other ECGs of its batch, so that it has no map of its own. Set track_running_stats=True"
            )
    with torch.random.fork_rng(devices=[]):
        copied = plain_copy(network)
        words = probability_words(copied, ecg.to(next(copied.parameters(), ecg).dtype))
        _check_own_weights(copied, ecg)
    if words is not None:
        rank_zero_warn(f"{type(network).__name__}: {words}")


def _check_own_weights(copied: nn.Module, ecg: Tensor) -> None:
    """What is not a number in its weights must show in the logits of a copy."""
    weights = [weight for weight in copied.parameters() if weight.is_floating_point()]
    if not weights:
        return
    with torch.no_grad():
        ecg = ecg.to(weights[0])
        expected = copied(ecg)
        for weight in weights:
            weight.fill_(torch.nan)
        if torch.equal(copied(ecg), expected) and expected.isfinite().all():
            raise ValueError(
                f"a copy of {type(copied).__name__} runs other weights than its own, most likely those of the original "
                "that a function or hook refers to: let forward use self, and nothing from outside of the network"
            )
