"""This module freezes a copy of a network for attribution, with what the methods need beside it."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Literal

import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ecg_lightning.attribution.one_logit import InBfloat16, OneLogit
from ecg_lightning.ecg import MEDIAN_BEAT
from ecg_lightning.functional.plain_copy import COMPILED, plain_copy
from ecg_lightning.functional.smoothing import smoothing_window
from ecg_lightning.models.channels_last import to_channels_last
from ecg_lightning.models.folding import FoldedBatchNorm, FoldingError, fold_batchnorm

Precision = Literal["float32", "bfloat16"]
"""Precision of the sampling methods' passes."""

MAX_CHUNK_CPU = 32
"""Inputs a pass on a CPU: larger chunks are no faster there (convolution limit reached at 16 to 64)."""

MAX_CHUNK_ACCELERATOR = 1024
"""Inputs a pass on a GPU."""

MAX_SINGLE_PASS_CHUNK = 8
"""Inputs a pass for methods that need one pass an ECG: a small batch is padded to a chunk, at a cost."""

_PASS_OVERHEAD = 4
"""A pass needs this many times the tensors it saves: gradients, hooks' copies, and DeepLIFT's doubled batch."""


@dataclass(frozen=True)
class FrozenModel:
    """A frozen model is a copy of a network for attribution, with what the methods need beside it.

    Attributes:
        network: (batch, lead, sample) mV -> (batch,) logit; eval mode, no gradients to its weights.
        backgrounds: (background, lead, sample) mV, the reference ECGs of the SHAP methods.
        chunk: Inputs a pass of the sampling methods, a fixed shape.
        gradcam_layer: Name of the module whose output Grad-CAM reads, if the network has a default.
        folded: Whether BatchNorms are folded: maps are those of the unfolded network within rounding.
        precision: Precision of the sampling methods' passes. ``bfloat16`` is faster where the hardware has it; its
            maps depend on the batch they are computed in.
        sampling_rate: Of the ECGs (Hz), by which durations are samples.
    """

    network: OneLogit
    backgrounds: Tensor
    chunk: int
    gradcam_layer: str | None = None
    folded: bool = False
    precision: Precision = "float32"
    sampling_rate: float = MEDIAN_BEAT.sampling_rate

    @property
    def shape(self) -> tuple[int, int]:
        """Return (lead, sample) of an ECG."""
        return int(self.backgrounds.shape[1]), int(self.backgrounds.shape[2])

    @property
    def smoothing_window(self) -> int:
        """Return the samples of the filter under which maps are compared."""
        return smoothing_window(self.sampling_rate)

    @property
    def sampling_network(self) -> nn.Module:
        """Return the network for methods that average over many passes: ``network``, in bfloat16 where that was chosen.

        Not for methods of a single pass: one gradient in bfloat16 correlates as little as .984 with itself in float32.
        """
        return self.network if self.precision == "float32" else InBfloat16(self.network)

    @property
    def single_pass_chunk(self) -> int:
        """Return how many inputs share a pass in methods that need one pass an ECG."""
        return min(self.chunk, MAX_SINGLE_PASS_CHUNK)

    def layer(self, name: str | None) -> nn.Module:
        """Return the module that Grad-CAM reads.

        Args:
            name: Dotted name inside the network; None: the network's own default.

        Raises:
            ValueError: No such module, or no default (the message lists the convolutions), or one whose output
                folding has changed.
        """
        wanted = (name or self.gradcam_layer or "").replace(COMPILED, "") or None
        modules: dict[str, nn.Module] = dict(self.network.network.named_modules())
        if any(isinstance(module, FoldedBatchNorm) and module.into == wanted for module in modules.values()):
            raise ValueError(
                f"the output of {wanted!r} is no longer its own, a BatchNorm is folded into it: name it in "
                "prepare_task's `keep`, or set `fold` to False"
            )
        if wanted is not None and wanted in modules:
            return modules[wanted]
        convolutions = [key for key, module in modules.items() if isinstance(module, nn.Conv1d | nn.Conv2d)]
        raise ValueError(
            f"Grad-CAM needs the name of a module of {type(self.network.network).__name__}, "
            + (f"which has no {wanted!r}" if wanted else "which has no `gradcam_layer`")
            + "; set the method's `layer` to the last block or convolution; its convolutions are: "
            + (", ".join(convolutions) or "none (leave Grad-CAM out)")
        )


def prepare_task(
    network: nn.Module,
    backgrounds: Tensor,
    *,
    memory_budget_mb: float = 1024.0,
    gradcam_layer: str | None = None,
    fold: bool = True,
    keep: Collection[str] = (),
    precision: Precision = "float32",
    sampling_rate: float = MEDIAN_BEAT.sampling_rate,
) -> FrozenModel:
    """Freeze a deep copy of a network for attribution; the network that is handed in stays as it is.

    A network that can't be folded is used as it is, and a warning says why.

    Args:
        network: (batch, lead, sample) mV -> (batch,) or (batch, 1) logit.
        backgrounds: (background, lead, sample) mV, on any device.
        memory_budget_mb: What one pass may take (MB); sets the chunk, and by that the rounding of rows in
            float32, but nothing else.
        gradcam_layer: Overrides the network's own ``gradcam_layer``.
        fold: Fold BatchNorms into the convolutions before them: the same maps within rounding, in cheaper passes.
        keep: Names of further modules whose output is read, such as a ``layer`` of a Grad-CAM object: not folded.
        precision: Precision of the sampling methods' passes.
        sampling_rate: Of the ECGs (Hz).

    Raises:
        ValueError: A pass of one ECG alone is over the budget; ``bfloat16`` for a network that isn't float32.
    """
    # a copy made under Lightning's inference mode could never take part in a gradient
    with torch.inference_mode(False):
        frozen = OneLogit(plain_copy(network)).eval().requires_grad_(False)
        reference = next(iter(frozen.parameters()), backgrounds)
        dtype = reference.dtype if reference.dtype.is_floating_point else torch.float32
        backgrounds = backgrounds.detach().clone().to(device=reference.device, dtype=dtype)
        layer = gradcam_layer or getattr(frozen.network, "gradcam_layer", None)
        layer = layer and layer.replace(COMPILED, "")
        folded = fold and _fold(frozen, backgrounds, {*(name.replace(COMPILED, "") for name in keep), layer or ""})
        if reference.device.type == "cpu" and dtype == torch.float32:
            to_channels_last(frozen)  # behind folding, which knows layers by their exact class
    if precision == "bfloat16" and dtype != torch.float32:
        raise ValueError(f"precision bfloat16 is for networks of float32, this one is {dtype}; use float32")
    return FrozenModel(
        network=frozen,
        backgrounds=backgrounds,
        chunk=_chunk(frozen, backgrounds[:1], memory_budget_mb),
        gradcam_layer=layer,
        folded=folded,
        precision=precision,
        sampling_rate=sampling_rate,
    )


def _fold(frozen: OneLogit, ecg: Tensor, keep: Collection[str]) -> bool:
    """Fold what a frozen network holds, in place; False, after a warning, where it can't be done."""
    if not any(isinstance(module, _BatchNorm) for module in frozen.modules()):
        return False
    try:
        frozen.network = fold_batchnorm(frozen.network, ecg, keep)
    except FoldingError as error:
        rank_zero_warn(
            f"{type(frozen.network).__name__} is attributed without folding its BatchNorms (same maps, slower passes): "
            f"{error}"
        )
        return False
    return True


def _chunk(network: nn.Module, ecg: Tensor, memory_budget_mb: float) -> int:
    """Largest power of two whose pass fits the budget: a function of the network, not of what is free now."""
    limit = MAX_CHUNK_CPU if ecg.device.type == "cpu" else MAX_CHUNK_ACCELERATOR
    per_ecg = _PASS_OVERHEAD * saved_bytes(network, ecg)
    fits = int(memory_budget_mb * 2**20 // max(per_ecg, 1))
    if fits < 1:
        raise ValueError(
            f"one ECG's pass through the network takes about {per_ecg / 2**20:.0f} MB, more than "
            f"memory_budget_mb = {memory_budget_mb:g}; raise it to at least {per_ecg / 2**20:.0f}"
        )
    return min(1 << (fits.bit_length() - 1), limit)


def saved_bytes(network: nn.Module, ecg: Tensor) -> int:
    """Return the bytes that autograd stores for the backward pass of ``ecg`` (batch, lead, sample), without weights."""
    weights = {parameter.data_ptr() for parameter in network.parameters()}
    seen: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        if tensor.data_ptr() not in weights:
            seen[tensor.data_ptr()] = tensor.numel() * tensor.element_size()
        return tensor.detach()  # a saved output itself would hold its own graph, and the weights with it, for ever

    with torch.inference_mode(False), torch.enable_grad():
        probe = ecg.detach().clone().requires_grad_()
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            output = network(probe)
    del output
    return sum(seen.values())


def in_chunks(function: Callable[[Tensor], Tensor], ecg: Tensor, chunk: int) -> Tensor:
    """Apply a batch function in passes of a fixed shape; the tail is padded with copies of the last ECG.

    The same network rounds otherwise at another batch size, and a ReLU at its kink then flips a gradient.

    Args:
        function: (chunk, lead, sample) -> (chunk, lead, sample), each ECG by itself.
        ecg: (batch, lead, sample), any batch.
        chunk: Inputs a pass.

    Returns:
        (batch, lead, sample).
    """
    results = []
    for start in range(0, len(ecg), chunk):
        part = ecg[start : start + chunk]
        padding = part[-1:].expand(chunk - len(part), *part.shape[1:])
        results.append(function(torch.cat([part, padding]))[: len(part)])
    return torch.cat(results)


def even_chunk(inputs: int, most: int) -> int:
    """Return the smallest chunk that needs no more passes than chunks of ``most``, so that a last one is not short."""
    return -(-inputs // -(-inputs // most)) if inputs else most
