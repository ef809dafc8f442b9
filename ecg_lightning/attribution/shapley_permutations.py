"""Shapley values from permutations are Captum's; the agreement of groups of permutations says how reliable they are."""

from collections.abc import Sequence
from typing import Final

import torch
from captum import attr as captum
from torch import Tensor

from ecg_lightning.attribution.sample_groups import spread_evenly
from ecg_lightning.attribution.task import FrozenModel, even_chunk, in_chunks
from ecg_lightning.functional.reliability import split_reliability

_RELIABILITY_GROUPS: Final = 8


def permutation_values(
    model: FrozenModel, ecg: Tensor, groups: Tensor, orders: Sequence[Sequence[int]]
) -> tuple[Tensor, Tensor]:
    """Compute Captum's map, and the marginal contributions that it averages.

    Args:
        model: The network.
        ecg: (1, lead, sample) mV.
        groups: (1, lead, sample) each point's group.
        orders: Permutations of the groups.

    Returns:
        (1, lead, sample), and (permutation, group).
    """
    sizes = torch.bincount(groups.flatten())
    chunk = even_chunk(len(sizes), model.chunk)  # so that little is padded
    logits: list[Tensor] = []

    def forward(batch: Tensor) -> Tensor:
        # Captum also evaluates the bare baseline: alone in its pass, it would be rounded otherwise
        logits.append(in_chunks(model.sampling_network, batch, chunk))
        return logits[-1]

    method = captum.ShapleyValueSampling(forward)
    method.permutation_generator = lambda *_: orders
    with torch.no_grad():
        values: Tensor = method.attribute(
            ecg, baselines=0.0, feature_mask=groups, n_samples=len(orders), perturbations_per_eval=chunk
        )
    chain = torch.cat(logits).cpu().double()  # the baseline, then every permutation's growing coalitions
    grown = chain[1:].reshape(len(orders), len(sizes))
    steps = torch.diff(grown, dim=1, prepend=chain[:1].expand(len(orders), 1))
    marginals = torch.empty_like(steps).scatter_(1, torch.tensor(orders), steps)
    return values.to(ecg) / sizes[groups].to(ecg), marginals  # Captum sums them in float32


def permutation_reliability(marginals: Tensor, groups: Tensor, each: int, window: int) -> float:
    """Return the reliability over groups of permutations; NaN with one alone.

    Args:
        marginals: (permutation, group) contributions.
        groups: (1, lead, sample) each point's group.
        each: Permutations that belong together: 2 where a permutation's reverse follows it.
        window: Samples of the filter under which maps are compared.
    """
    samples = marginals.reshape(-1, each, marginals.shape[1]).mean(1)  # (sample, group)
    if len(samples) < 2:
        return float("nan")
    parts = samples.tensor_split(min(_RELIABILITY_GROUPS, len(samples)))
    means = spread_evenly(torch.stack([part.mean(0) for part in parts]), groups.cpu())
    return float(split_reliability(means, torch.tensor([len(part) for part in parts]), window))
