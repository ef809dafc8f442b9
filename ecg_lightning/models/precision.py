"""Float32 that is float32 on every device."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


@contextmanager
def full_float32() -> Iterator[None]:
    """Convolutions and matrix products without TF32, whose 10 bits of mantissa flip ReLUs near their kinks.

    By PyTorch's default, cuDNN's convolutions of float32 tensors round to TF32 on NVIDIA GPUs. Kernels are not
    chosen by timing either, so that two runs take the same. Nothing changes on a CPU.
    """
    matmul = torch.backends.cuda.matmul.allow_tf32
    try:
        torch.backends.cuda.matmul.allow_tf32 = False
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
            yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = matmul


def at_least_float32(values: Tensor) -> Tensor:
    """Values of half precision in float32, others as they are: losses and decisions need more than two digits."""
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values
