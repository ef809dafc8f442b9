"""Is a network safe to attribute? What one traced pass tells of its structure.

Methods that hook modules (DeepLIFT, guided backpropagation) see only what a module computes: an activation that is a
function, or a module made in ``forward``, is passed over without a word, and the map is wrong. So a pass is traced:
which modules run, how often, and which activations run outside of one. No source code is read, so that control flow and
code of others are no hindrance.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the field's own name
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.overrides import TorchFunctionMode

FindingKind = Literal[
    "functional_relu",
    "relu_made_in_forward",
    "reused_relu",
    "inplace_relu",
    "max_pool_after_relu",
    "max_pool",
    "other_activation",
    "functional_activation",
    "carries_hooks",
    "no_convolution",
    "random_in_eval",
    "mixes_ecgs",
    "probability",
    "folding",
    "not_finite",
    "fails",
]

RELU_FUNCTIONS: Final = frozenset({torch.relu, torch.relu_, F.relu, Tensor.relu, Tensor.relu_, F.relu_})
_CLAMPS: Final = frozenset({torch.clamp, torch.clamp_min, Tensor.clamp, Tensor.clamp_min, F.hardtanh, F.relu6})
_MAX_POOLS: Final = frozenset(
    {F.max_pool1d, F.max_pool2d, F.adaptive_max_pool1d, torch.max_pool1d, torch.max_pool2d, F.max_pool1d_with_indices}
)
_ACTIVATION_FUNCTIONS: Final[dict[Any, str]] = {
    F.silu: "SiLU",
    F.gelu: "GELU",
    F.elu: "ELU",
    F.selu: "SELU",
    F.leaky_relu: "leaky ReLU",
    F.softplus: "softplus",
    F.mish: "Mish",
    F.hardswish: "hard swish",
    torch.sigmoid: "sigmoid",
    Tensor.sigmoid: "sigmoid",
    torch.tanh: "tanh",
    Tensor.tanh: "tanh",
}
_ACTIVATION_MODULES: Final = (
    nn.SiLU, nn.GELU, nn.ELU, nn.SELU, nn.CELU, nn.LeakyReLU, nn.PReLU, nn.Softplus, nn.Mish, nn.Hardswish, nn.Sigmoid,
    nn.Tanh, nn.Hardtanh, nn.ReLU6, nn.Softsign,
)  # fmt: skip
_MAX_POOL_MODULES: Final = (nn.MaxPool1d, nn.MaxPool2d, nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d)
_CONVOLUTIONS: Final = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


@dataclass(frozen=True)
class Finding:
    """Something about a network that a method may mind.

    Attributes:
        kind: What.
        where: Name of the module; empty for the network as a whole.
        text: In words.
    """

    kind: FindingKind
    where: str
    text: str


@dataclass
class Trace:
    """What ran in one pass.

    Attributes:
        relus: ReLUs that ran, of any kind: places in the order of their calls.
        findings: What was found.
        batch_statistics: BatchNorms that ran without running statistics: name -> words.
        logit: (batch, ...) what the network gave.
    """

    relus: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    batch_statistics: dict[str, str] = field(default_factory=dict)
    logit: Tensor = field(default_factory=lambda: torch.empty(0))

    def add(self, kind: FindingKind, where: str, text: str) -> None:
        """Note a finding once."""
        finding = Finding(kind, where, text)
        if finding not in self.findings:
            self.findings.append(finding)


def trace_structure(network: nn.Module, ecg: Tensor) -> Trace:
    """Run a network once and note what methods that hook modules may mind.

    Args:
        network: (batch, lead, sample) -> logit, in evaluation mode.
        ecg: (batch, lead, sample) mV.

    Returns:
        The trace. A pass that fails is a finding, too.
    """
    trace = Trace()
    tracer = _Tracer(network, trace)
    try:
        with tracer.watching(), torch.no_grad(), tracer:
            trace.logit = network(ecg)
    except Exception as error:  # whatever a stranger's network raises is told in the report
        trace.add("fails", "", f"a pass fails: {type(error).__name__}: {error}")
    tracer.finish()
    return trace


class _Tracer(TorchFunctionMode):
    """Sees every function of torch, and which module it is called in."""

    def __init__(self, network: nn.Module, trace: Trace) -> None:
        super().__init__()
        self.trace = trace
        self.network = network
        self.names = {module: name for name, module in network.named_modules()}
        self.stack: list[nn.Module] = []
        self.calls: dict[str, int] = {}
        self.rectified: set[int] = set()  # ids of tensors that a ReLU has given, while they live
        self.alive: list[Tensor] = []

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Know which module runs, registered in the network or not."""
        with ExitStack() as stack:
            stack.enter_context(register_module_forward_pre_hook(self._enter))
            stack.enter_context(register_module_forward_hook(self._leave, always_call=True))
            yield

    def _enter(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        self.stack.append(module)
        name = self.names.get(module)
        if isinstance(module, nn.ReLU):
            self._relu_module(module, name)
        elif isinstance(module, _ACTIVATION_MODULES):
            kind = type(module).__name__
            self.trace.add("other_activation", name or self._place(), f"{kind} is no ReLU")
        elif isinstance(module, _MAX_POOL_MODULES):
            self._max_pool(inputs, name or self._place())
        elif words := batch_statistics(module):
            place = name or self._place()
            self.trace.batch_statistics[place] = f"{type(module).__name__} {place!r} {words}"

    def _leave(self, module: nn.Module, _: Any, output: Any) -> None:
        if self.stack and self.stack[-1] is module:
            self.stack.pop()
        if isinstance(module, nn.ReLU) and isinstance(output, Tensor):
            self._remember(output)

    def _relu_module(self, module: nn.ReLU, name: str | None) -> None:
        if name is None:
            place = self._place(1)
            self.trace.relus.append(place)
            self.trace.add("relu_made_in_forward", place, f"a ReLU is made in the forward pass of {place}")
            return
        self.trace.relus.append(name)
        self.calls[name] = self.calls.get(name, 0) + 1
        if module.inplace:
            self.trace.add("inplace_relu", name, f"{name} works in place")

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = kwargs or {}
        result = func(*args, **given)
        inside = self.stack[-1] if self.stack else None
        if func in RELU_FUNCTIONS or (func in _CLAMPS and _clamps_at_zero(args, given)):
            if not isinstance(inside, nn.ReLU):
                place = self._place()
                self.trace.relus.append(place)
                self.trace.add("functional_relu", place, f"a ReLU is called as a function in {place}")
            if isinstance(result, Tensor):
                self._remember(result)
        elif func in _ACTIVATION_FUNCTIONS and not isinstance(inside, _ACTIVATION_MODULES):
            name = _ACTIVATION_FUNCTIONS[func]
            self.trace.add("functional_activation", self._place(), f"{name} is called as a function in {self._place()}")
        elif func in _MAX_POOLS and not isinstance(inside, _MAX_POOL_MODULES):
            self._max_pool(args, self._place())
        return result

    def _max_pool(self, inputs: tuple[Any, ...], where: str) -> None:
        if inputs and isinstance(inputs[0], Tensor) and id(inputs[0]) in self.rectified:
            self.trace.add("max_pool_after_relu", where, f"max pooling right after a ReLU in {where}")
        else:
            self.trace.add("max_pool", where, f"max pooling in {where}")

    def _remember(self, tensor: Tensor) -> None:
        self.rectified.add(id(tensor))
        self.alive.append(tensor)  # an id may be given again once its tensor is gone

    def _place(self, up: int = 0) -> str:
        """Name of the innermost registered module that runs."""
        for module in reversed(self.stack[: len(self.stack) - up]):
            if module in self.names:
                return self.names[module] or type(module).__name__
        return type(self.network).__name__

    def finish(self) -> None:
        """Findings of the whole pass."""
        for name, calls in self.calls.items():
            if calls > 1:
                self.trace.add("reused_relu", name, f"{name} is called {calls} times in one pass")
        for module, name in self.names.items():
            if module._forward_hooks or module._forward_pre_hooks or module._backward_hooks:
                label = name or type(module).__name__
                self.trace.add("carries_hooks", label, f"{label} carries hooks of others")
        if not any(isinstance(module, _CONVOLUTIONS) for module in self.names):
            self.trace.add("no_convolution", "", "there is no convolution")


def batch_statistics(module: nn.Module) -> str | None:
    """Why a BatchNorm takes its mean and variance from the batch, in words; None where it doesn't, or is none."""
    if not isinstance(module, _BatchNorm) or (module.running_mean is not None and not module.training):
        return None
    why = "track_running_stats=False" if module.running_mean is None else "it is in training mode after eval()"
    return f"takes its mean and variance from the batch ({why})"


def _clamps_at_zero(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    lower = kwargs.get("min", args[1] if len(args) > 1 else None)
    return isinstance(lower, int | float) and lower == 0
