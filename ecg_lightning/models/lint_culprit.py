"""Which module of a network lets other ECGs into an ECG's logit?"""

import copy
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import torch
from torch import Tensor, nn

from ecg_lightning.functional.nested import nested
from ecg_lightning.models.lint import batch_statistics

_SAME: Final = 1e-6
"""Of a tensor's largest value: apart by less, two are the same but for rounding."""


@dataclass(frozen=True)
class Visit:
    """A pass in which one ECG is looked at.

    Attributes:
        ecg: (batch, lead, sample) mV.
        place: Of the ECG in the batch.
        before: Batches that the network sees before.
    """

    ecg: Tensor
    place: int = 0
    before: tuple[Tensor, ...] = ()


def culprit(network: nn.Module, alone: Visit, odd: Visit) -> tuple[str, str]:
    """The first module that gets the same for an ECG in both passes, and makes something else of it.

    Args:
        network: In evaluation mode; copies of it run.
        alone: The ECG by itself.
        odd: The same ECG where its logit is another.

    Returns:
        Its name (empty for the network as a whole, or if none is found), and words that follow a sentence.
    """
    recorder = _Recorder()
    _run(network, alone, recorder.note_inputs, recorder.note_outputs)
    comparer = _Comparer(recorder.calls, len(odd.ecg), odd.place)
    watched = _run(network, odd, comparer.compare_inputs, comparer.compare_outputs)
    if comparer.found is None:
        return "", ""
    name = next(name for name, module in watched.named_modules() if module is comparer.found)
    statistics = batch_statistics(comparer.found)
    kind = type(comparer.found).__name__
    if statistics:
        return name, f": {kind} {name!r} {statistics}"
    return name, f"; it begins in {kind} {name!r}" if name else f"; it begins in the forward pass of {kind}"


def _run(network: nn.Module, visit: Visit, before: Any, after: Any) -> nn.Module:
    watched = copy.deepcopy(network)
    with torch.no_grad():
        for batch in visit.before:
            watched(batch)
        with _hooks(watched, before, after):
            watched(visit.ecg)
    return watched


@contextmanager
def _hooks(network: nn.Module, before: Any, after: Any) -> Iterator[None]:
    with ExitStack() as stack:
        for module in network.modules():
            stack.enter_context(module.register_forward_pre_hook(before, with_kwargs=True))
            stack.enter_context(module.register_forward_hook(after, with_kwargs=True))
        yield


@dataclass
class _Call:
    inputs: list[Tensor]
    outputs: list[Tensor] = field(default_factory=list)


class _Recorder:
    """Keeps what modules get and give, in the order in which they are entered."""

    def __init__(self) -> None:
        self.calls: list[_Call] = []
        self._open: list[_Call] = []

    def note_inputs(self, _: nn.Module, args: Any, kwargs: Any) -> None:
        inputs = [tensor.clone() for tensor in nested((args, kwargs), Tensor)]  # they may be changed in place
        self.calls.append(_Call(inputs))
        self._open.append(self.calls[-1])

    def note_outputs(self, _: nn.Module, __: Any, ___: Any, output: Any) -> None:
        self._open.pop().outputs = [tensor.clone() for tensor in nested(output, Tensor)]


class _Comparer:
    """Compares a pass with what was recorded, and remembers the first module that goes another way."""

    def __init__(self, calls: list[_Call], batch: int, place: int) -> None:
        self.found: nn.Module | None = None
        self._calls = iter(calls)
        self._batch, self._place = batch, place
        self._open: list[tuple[_Call | None, bool]] = []

    def compare_inputs(self, _: nn.Module, args: Any, kwargs: Any) -> None:
        call = next(self._calls, None)
        self._open.append((call, call is not None and self._same(call.inputs, nested((args, kwargs), Tensor))))

    def compare_outputs(self, module: nn.Module, _: Any, __: Any, output: Any) -> None:
        call, same = self._open.pop()
        if self.found is None and call is not None and same and not self._same(call.outputs, nested(output, Tensor)):
            self.found = module

    def _same(self, alone: list[Tensor], odd: Iterable[Tensor]) -> bool:
        rows = [(one, _row(one, other, self._batch, self._place)) for one, other in zip(alone, odd, strict=False)]
        return all(_close(one, row) for one, row in rows if row is not None)


def _row(alone: Tensor, odd: Tensor, batch: int, place: int) -> Tensor | None:
    """The part of a batch's tensor that belongs to one ECG, wherever its batch axis is; None if there is none."""
    if alone.shape == odd.shape:
        return odd
    if alone.ndim != odd.ndim:
        return None
    apart = [axis for axis in range(odd.ndim) if alone.shape[axis] != odd.shape[axis]]
    if len(apart) != 1 or odd.shape[apart[0]] != batch * alone.shape[apart[0]]:
        return None
    size = alone.shape[apart[0]]
    return odd.narrow(apart[0], place * size, size)


def _close(one: Tensor, other: Tensor) -> bool:
    if not one.is_floating_point() or not one.numel():
        return torch.equal(one, other)
    return float((one - other).abs().amax()) <= _SAME * float(one.abs().amax())
