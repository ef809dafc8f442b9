"""A copy of a network that has learned to read beats with parts replaced (F-Fidelity).

A network that falls on perturbed beats may have lost evidence, or may never have seen such beats. After a short
fine-tuning on randomly perturbed ones the second is no longer the case (Zheng et al., F-Fidelity, ICLR 2025).
"""

from collections.abc import Iterable
from typing import Final

import torch
from torch import Tensor, nn

from ecg_lightning.functional.plain_copy import plain_copy
from ecg_lightning.models.precision import full_float32
from ecg_lightning.randomness import torch_seeded

SHARE_OF_LEARNING_RATE: Final = 0.1
"""Of the rate that the network was trained with."""

BATCH_SIZE: Final = 128


def fine_tuned(
    network: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    *,
    learning_rate: float,
    seed: int,
    weight_decay: float = 0.0,
) -> nn.Module:
    """Fine-tune a copy of a network, one Adam step a batch.

    BatchNorms and dropout are in training mode. The network that is handed in, torch's global random state and the
    modes of gradients stay as they are, to the bit.

    Args:
        network: (batch, lead, sample) mV -> (batch,) or (batch, 1) logit.
        batches: Perturbed ECGs (batch, lead, sample) mV and labels (batch,) 0 or 1, on any device; asked for one by
            one.
        learning_rate: Of Adam; with 0 nothing but BatchNorm statistics changes.
        seed: Of dropout.
        weight_decay: L2 penalty of Adam.

    Returns:
        The copy, in eval mode.

    Raises:
        ValueError: A negative learning rate, or a network without trainable weights.
    """
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    if not learning_rate >= 0 or not weights:
        raise ValueError(
            "fine-tuning needs a learning rate of 0 or more and a network with trainable weights, got "
            f"{learning_rate} and {len(weights)} of them"
        )
    device = weights[0].device
    # a copy made under Lightning's inference mode could never take part in a gradient
    with torch.inference_mode(False), torch.enable_grad(), full_float32(), torch_seeded(seed, device):
        learner = plain_copy(network).train()
        trainable = [weight for weight in learner.parameters() if weight.requires_grad]
        optimizer = torch.optim.Adam(trainable, lr=learning_rate, weight_decay=weight_decay)
        for ecg, label in batches:
            logit = learner(ecg.to(weights[0])).reshape(len(ecg))
            loss = nn.functional.binary_cross_entropy_with_logits(logit, label.to(logit))
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        optimizer.zero_grad()
    return learner.eval()


def even_batches(order: Tensor, most: int = BATCH_SIZE) -> list[Tensor]:
    """Parts of an order, of sizes that differ by one at most: no short last one gives BatchNorm bad statistics.

    Args:
        order: (n,) rows.
        most: In one part.
    """
    return list(order.tensor_split(-(-len(order) // most))) if len(order) else []
