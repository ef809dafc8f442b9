"""Copies of networks: the same logits, plain weights of their own, nothing that the network has seen."""

import threading
from collections.abc import Callable
from functools import partial, wraps
from types import MethodType
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import utils
from torch.nn.utils import parametrizations, prune

from ecg_lightning.experiments.randomization.random_weights import check_resettable, randomised, weight_layers
from ecg_lightning.functional.plain_copy import check_copyable, plain_copy

ECG = torch.randn(3, 2, 40, generator=torch.Generator().manual_seed(1))


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv1d(2, 6, 5, padding=2)
        self.relu = nn.ReLU()
        self.second = nn.Conv1d(6, 6, 3, padding=1)
        self.head = nn.Linear(6, 1)

    def forward(self, ecg: Tensor) -> Tensor:
        logit: Tensor = self.head(self.second(self.relu(self.first(ecg))).mean(-1))
        return logit.squeeze(-1)


def old_weight_norm(network: Network) -> None:
    network.second = utils.weight_norm(network.second)


def old_spectral_norm(network: Network) -> None:
    network.second = utils.spectral_norm(network.second)


def weight_norm(network: Network) -> None:
    parametrizations.weight_norm(network.second)


def spectral_norm(network: Network) -> None:
    parametrizations.spectral_norm(network.second)


def orthogonal(network: Network) -> None:
    parametrizations.orthogonal(network.second)


def pruned(network: Network) -> None:
    prune.l1_unstructured(network.second, "weight", 0.5)


def several(network: Network) -> None:
    weight_norm(network)
    parametrizations.spectral_norm(network.second)
    prune.random_unstructured(network.second, "bias", 0.5)


REPARAMETRIZED = [old_weight_norm, old_spectral_norm, weight_norm, spectral_norm, orthogonal, pruned, several]


def trained(change: Callable[[Network], None]) -> Network:
    """After some passes in training mode, which move what spectral norm keeps."""
    network = Network()
    change(network)
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    for _ in range(3):
        optimizer.zero_grad()
        network.train()(ECG).square().sum().backward()
        optimizer.step()
    return network.eval()


@pytest.mark.filterwarnings("ignore:.*weight_norm.*deprecated")
@pytest.mark.parametrize("change", REPARAMETRIZED)
def test_reparametrized_weights_become_plain_ones(change: Callable[[Network], None]) -> None:
    network = trained(change)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    expected = network(ECG).detach()
    copied = plain_copy(network)
    torch.testing.assert_close(copied(ECG), expected, rtol=0, atol=1e-6)
    assert type(copied.second) is nn.Conv1d
    assert sorted(dict(copied.named_parameters())) == sorted(dict(Network().named_parameters()))
    assert not copied.second._forward_pre_hooks
    # the network is as it was, and works on
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    torch.testing.assert_close(network(ECG).detach(), expected, rtol=0, atol=0)
    shared = {weight.data_ptr() for weight in network.parameters()}
    assert not any(weight.data_ptr() in shared for weight in copied.parameters())


@pytest.mark.filterwarnings("ignore:.*weight_norm.*deprecated")
@pytest.mark.parametrize("change", REPARAMETRIZED)
def test_a_cascade_leaves_no_trained_weight(change: Callable[[Network], None]) -> None:
    network = plain_copy(trained(change))
    layers = weight_layers(network, ECG[:1])
    assert layers == ("first", "second", "head")
    check_resettable(network, layers)
    random = randomised(network, layers, lambda name: len(name))
    for name, weight in random.named_parameters():
        assert (weight != dict(network.named_parameters())[name]).all(), name


@pytest.mark.filterwarnings("ignore:.*weight_norm.*deprecated")
@pytest.mark.parametrize("change", [old_weight_norm, weight_norm])
def test_without_a_plain_copy_the_reset_would_have_left_them(change: Callable[[Network], None]) -> None:
    network = trained(change)
    with pytest.raises(ValueError, match=r"leaves second\.weight_|can't be reset"):
        check_resettable(network, weight_layers(network, ECG[:1]))


class Remembers(Network):
    """Keeps activations, as attention maps are kept for pictures."""

    def forward(self, ecg: Tensor) -> Tensor:
        self.last = self.first(ecg)
        self.all = [self.last, {"relu": self.relu(self.last)}]
        return super().forward(ecg)


def test_kept_activations_are_copied_without_their_past() -> None:
    network = Remembers().eval()
    expected = network(ECG)
    copied = plain_copy(network)
    torch.testing.assert_close(copied(ECG), expected)
    copied = plain_copy(network)
    assert copied.last.grad_fn is None
    assert copied.all[0] is copied.last  # what was one is one
    assert network.last.grad_fn is not None


def test_compiled_parts_are_what_was_compiled() -> None:
    network = Network().eval()
    network.body = nn.Sequential(network.first, network.relu)
    expected = network(ECG)
    network.body = torch.compile(network.body, backend="eager")
    network.second.compile(backend="eager")
    for whole in (network, torch.compile(network, backend="eager"), nn.DataParallel(network)):
        copied = plain_copy(whole)
        assert type(copied) is Network
        assert type(copied.body) is nn.Sequential
        assert not any("_orig_mod" in name for name, _ in copied.named_modules())
        assert all(module._compiled_call_impl is None for module in copied.modules())
        torch.testing.assert_close(copied(ECG), expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_attributed_in_float32(dtype: torch.dtype) -> None:
    network = Network().to(dtype)
    copied = plain_copy(network)
    assert {weight.dtype for weight in copied.parameters()} == {torch.float32}
    assert torch.equal(copied.first.weight, network.first.weight.float())
    assert plain_copy(Network().double()).first.weight.dtype == torch.float64


def test_tied_weights_stay_tied() -> None:
    network = Network()
    network.second.weight = nn.Parameter(torch.randn(6, 6, 3))
    network.third = nn.Conv1d(6, 6, 3)
    network.third.weight = network.second.weight
    copied = plain_copy(network)
    assert copied.third.weight is copied.second.weight


# --- what can't be copied ------------------------------------------------------------------------------------------


def closure(network: Network) -> None:
    original = network.forward
    network.forward = lambda ecg: 2 * original(ecg)  # type: ignore[method-assign]


def decorated(network: Network) -> None:
    inner = network.forward

    @wraps(inner)
    def outer(*ecg: Tensor) -> Tensor:
        return inner(*ecg)

    network.forward = outer  # type: ignore[method-assign]


def of_a_part(network: Network) -> None:
    conv = network.second
    conv.forward = lambda x: nn.Conv1d.forward(conv, x)  # type: ignore[method-assign]


@pytest.mark.parametrize(("change", "place"), [(closure, "Network"), (decorated, "Network"), (of_a_part, "second")])
def test_a_forward_that_refers_to_the_original_is_refused(change: Callable[[Network], None], place: str) -> None:
    network = Network()
    change(network)
    with pytest.raises(ValueError, match=rf"the forward of {place} was set on the object and refers to {place}"):
        check_copyable(network)


def bound(network: Network) -> None:
    network.forward = MethodType(lambda self, ecg: 2 * Network.forward(self, ecg), network)  # type: ignore[method-assign]


def partially(network: Network) -> None:
    network.forward = partial(lambda method, ecg: 2 * method(ecg), network.forward)  # type: ignore[method-assign]


@pytest.mark.parametrize("change", [bound, partially])
def test_methods_are_copied_with_what_they_are_bound_to(change: Callable[[Network], None]) -> None:
    network = Network()
    change(network)
    copied = plain_copy(network)
    with torch.no_grad():
        copied.head.bias.fill_(torch.nan)
    assert copied(ECG).isnan().all()


@pytest.mark.filterwarnings("ignore:.*torch.jit.*deprecated")
@pytest.mark.parametrize("wrap", [lambda one: one, lambda one: nn.Sequential(one)])
def test_scripted_modules_are_refused_in_one_sentence(wrap: Callable[[nn.Module], nn.Module]) -> None:
    for scripted in (torch.jit.script(Network()), torch.jit.trace(Network(), ECG)):
        with pytest.raises(ValueError, match=r"is a scripted module \(TorchScript\).* before torch\.jit\.script"):
            plain_copy(wrap(scripted))


@pytest.mark.parametrize("what", [threading.Lock(), (number for number in range(3))])
def test_an_attribute_that_can_t_be_copied_is_named(what: Any) -> None:
    network = Network()
    network.second.odd = what
    with pytest.raises(ValueError, match=r"Network can't be copied, because of second\.odd \("):
        plain_copy(network)


# --- layers that are not called -------------------------------------------------------------------------------------


class Attention(nn.Module):
    """Attention hands the weights of its last layer to a function; a list of weights and a head are only read."""

    def __init__(self) -> None:
        super().__init__()
        self.scales = nn.ParameterList([nn.Parameter(torch.ones(1, 2, 1))])
        self.embed = nn.Linear(2, 8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.unused = nn.Linear(3, 3)
        self.head = nn.Linear(8, 1)

    def forward(self, ecg: Tensor) -> Tensor:
        x = self.embed((ecg * self.scales[0]).transpose(1, 2))
        x = self.attention(x, x, x)[0].mean(1)
        return nn.functional.linear(x, self.head.weight, self.head.bias).squeeze(-1)


def test_layers_are_found_by_what_computes_with_their_weights() -> None:
    network = Attention()
    layers = weight_layers(network, ECG[:1])
    assert layers == ("scales", "embed", "attention", "attention.out_proj", "head")
    with pytest.raises(ValueError, match=r"Attention: scales can't be reset: give it a method"):
        check_resettable(network, layers)
    check_resettable(network, layers[1:])
    random = randomised(network, layers, lambda name: len(name), how="permutation")
    assert not torch.equal(random.attention.out_proj.weight, network.attention.out_proj.weight)
    fresh = randomised(network, layers[1:], lambda name: len(name))
    for name, weight in fresh.named_parameters():
        if not name.startswith(("scales", "unused")) and weight.ndim > 1:
            assert (weight != dict(network.named_parameters())[name]).all(), name


def test_a_reset_that_leaves_a_weight_is_named() -> None:
    class Scaled(nn.Linear):
        def __init__(self) -> None:
            super().__init__(6, 1)
            self.gain = nn.Parameter(torch.ones(1))

        def forward(self, x: Tensor) -> Tensor:
            return self.gain * super().forward(x)

    network = Network()
    network.head = Scaled()
    layers = weight_layers(network, ECG[:1])
    before = network.head.gain.clone()
    with pytest.raises(ValueError, match=r"Network: a reset leaves head\.gain as trained"):
        check_resettable(network, layers)
    assert torch.equal(network.head.gain, before)
