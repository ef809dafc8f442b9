"""Does a network give a probability where a logit is needed?

Two signs, either of which is enough. The last operation: a sigmoid or a softmax whose result is only picked from,
reshaped, averaged, shifted or scaled by numbers before it is given. And the range, for whatever is written otherwise:
the last layer's weights are made ten thousand times larger, with either sign; a logit then leaves every range, a
probability stays between 0 and 1, at its ends.
"""

import copy
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the field's own name
from torch.overrides import TorchFunctionMode

from ecg_lightning.functional.nested import nested
from ecg_lightning.functional.plain_copy import plain_copy

_ENDS: Final[dict[Any, str]] = {
    **dict.fromkeys((torch.sigmoid, torch.sigmoid_, Tensor.sigmoid, Tensor.sigmoid_, F.sigmoid), "sigmoid"),
    torch.special.expit: "sigmoid",
    F.hardsigmoid: "hard sigmoid",
    F.logsigmoid: "logarithm of a sigmoid",
    **dict.fromkeys((torch.softmax, Tensor.softmax, F.softmax, torch.special.softmax), "softmax"),
    **dict.fromkeys((torch.log_softmax, Tensor.log_softmax, F.log_softmax), "logarithm of a softmax"),
}
"""Functions that give probabilities, or their logarithms."""

_LOGARITHM: Final = "logarithm of a "
_SUMS: Final = (torch.sum, Tensor.sum)
_LOGARITHMS: Final = (torch.log, Tensor.log)


def _functions(*names: str) -> frozenset[Any]:
    return frozenset(getattr(home, name) for name in names for home in (torch, Tensor) if hasattr(home, name))


_PICKS: Final = _functions(
    "squeeze", "squeeze_", "unsqueeze", "reshape", "view", "flatten", "select", "narrow", "index_select", "transpose",
    "permute", "clone", "contiguous", "to", "float", "double", "half", "bfloat16", "type_as", "split", "chunk",
    "unbind", "stack", "cat", "mean", "amax", "max", "prod", "clamp", "clamp_", "where", "nan_to_num", "__getitem__",
)  # fmt: skip
"""Functions that give a probability where all that they read are probabilities."""

_SHIFTS: Final = _functions(
    "add", "sub", "rsub", "mul", "div", "add_", "sub_", "mul_", "div_", "__add__", "__radd__", "__sub__", "__rsub__",
    "__mul__", "__rmul__", "__truediv__", "neg", "__neg__",
)  # fmt: skip
"""Functions that shift or scale it, where all else that they read are numbers."""

_GAINS: Final = (1e4, 1e3, 1e2)
"""The largest at which nothing overflows counts."""

_END: Final = 0.01
"""Distance from an end of its range within which an output stands at it."""

_LAYERS: Final = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Bilinear)
_REMEDY: Final = "remove the sigmoid, softmax or clamp at its end (of two classes' outputs, give the difference)"


def probability_words(network: nn.Module, ecg: Tensor) -> str | None:
    """Say so where a network gives a probability, or another number in narrow bounds, instead of a logit.

    Args:
        network: (batch, lead, sample) mV -> one number an ECG; it stays as it is.
        ecg: (batch, lead, sample) mV, a few, in its precision and on its device.

    Returns:
        A sentence with what to do; None where the output may well be a logit, or no pass works.
    """
    try:
        with torch.inference_mode(False), torch.no_grad():
            probe = plain_copy(network)
            ecg = ecg.detach().clone()
            return _by_operation(probe, ecg) or _by_range(probe, ecg)
    except Exception:  # what a network can't do is told elsewhere
        return None


@dataclass(frozen=True)
class _Probability:
    """What made a tensor a probability, and what became of the range 0 to 1."""

    end: str
    low: float = 0.0
    high: float = 1.0


def _by_operation(network: nn.Module, ecg: Tensor) -> str | None:
    watch = _LastOperation()
    with watch:
        output = network(ecg)
    found = watch.found.get(id(output))
    if found is None:
        return None
    if found.end.startswith(_LOGARITHM):
        return f"the output is the {found.end}: it is that of a probability, and a logit is needed; {_REMEDY}"
    if (found.low, found.high) == (0.0, 1.0):
        return (
            f"the output lies in 0..1: it is a probability (it ends in a {found.end}), and a logit is needed; {_REMEDY}"
        )
    if found.low < 0.0 < found.high and found.high - found.low > 2.0:
        return None  # a logit that is kept in wide bounds
    bounds = f"{found.low:g}..{found.high:g}"
    return (
        f"the output lies in {bounds}: it is a scaled probability (of a {found.end}), and a logit is needed; {_REMEDY}"
    )


class _LastOperation(TorchFunctionMode):
    """Follows tensors that are probabilities."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[int, _Probability] = {}  # by the id of a tensor
        self._alive: list[Any] = []  # an id may be given again once its tensor is gone

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = kwargs or {}
        known = self._made(func, args, given)  # before it may work in place
        result = func(*args, **given)
        for tensor in _floats(result):
            self.found.pop(id(tensor), None)
            if known is not None:
                self.found[id(tensor)] = known
                self._alive.append(tensor)
        return result

    def _made(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Probability | None:
        if func in _ENDS:
            return _Probability(_ENDS[func])
        read = [self.found.get(id(tensor)) for tensor in _floats((args, kwargs))]
        known = read[0] if read else None
        if known is None or None in read:
            return None
        if func in _PICKS or (func in _SUMS and known.end == "softmax"):  # several classes' sum is one's probability
            return known
        if func in _LOGARITHMS and not known.end.startswith(_LOGARITHM):
            return _Probability(_LOGARITHM + known.end)
        if func in _SHIFTS and len(read) == 1:
            low, high = (float(func(*(_at(end, part) for part in args), **kwargs)) for end in (known.low, known.high))
            return _Probability(known.end, min(low, high), max(low, high))
        return None


def _at(end: float, part: Any) -> Any:
    return torch.tensor(end) if isinstance(part, Tensor) and part.is_floating_point() else part


def _by_range(network: nn.Module, ecg: Tensor) -> str | None:
    plain = network(ecg).reshape(-1).cpu().double()
    layer = _last_layer(network, ecg)
    for gain in _GAINS if layer else ():
        outputs = [_with_gain(network, layer, sign * gain)(ecg).reshape(-1).cpu().double() for sign in (1, -1)]
        found = torch.cat([plain, *outputs])
        if not found.isfinite().all() or bool((found == plain.repeat(3)).all()):
            continue
        if _between(found, 0.0, 1.0) and _at_ends(found[len(plain) :], 0.0, 1.0):
            return f"the output lies in 0..1: it is a probability, and a logit is needed; {_REMEDY}"
        if _between(found, -1.0, 1.0) and _at_ends(found[len(plain) :], -1.0, 1.0):
            return (
                "the output lies in -1..1, so that its sigmoid is no probability below 0.27 or above 0.73, and a logit "
                "is needed, which may be any number; remove what bounds it (tanh)"
            )
        return None
    return None


def _with_gain(network: nn.Module, layer: str, gain: float) -> nn.Module:
    scaled = copy.deepcopy(network)
    for parameter in dict(scaled.named_modules())[layer].parameters(recurse=False):
        parameter.data *= gain
    return scaled


def _between(values: Tensor, low: float, high: float) -> bool:
    return bool(((values >= low) & (values <= high)).all())


def _at_ends(values: Tensor, low: float, high: float) -> bool:
    return bool((((values - low).abs() <= _END) | ((values - high).abs() <= _END)).all())


def _last_layer(network: nn.Module, ecg: Tensor) -> str:
    """Name of the linear layer or convolution that runs last; empty for none."""
    ran = [""]
    with ExitStack() as stack:
        for name, module in network.named_modules():
            if isinstance(module, _LAYERS):
                stack.enter_context(module.register_forward_hook(lambda *_, name=name: ran.append(name)))
        network(ecg)
    return ran[-1]


def _floats(value: Any) -> Iterator[Tensor]:
    return (tensor for tensor in nested(value, Tensor) if tensor.is_floating_point())
