"""Networks that could be trained and never tested are refused before they are trained; lazy ones get their weights."""

import pytest
import torch
from torch import Tensor, nn

from ecg_lightning.models.classifier import EcgClassifier
from ecg_lightning.models.fit_checks import check_before_fit, make_real
from ecg_lightning.models.loss import labelled_cross_entropy
from ecg_lightning.models.resnet1d import ResNet1d

ECG = torch.randn(2, 8, 64, generator=torch.Generator().manual_seed(3))


class Lazy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.LazyConv1d(4, 5)
        self.norm = nn.LazyBatchNorm1d()
        self.head = nn.LazyLinear(1)

    def forward(self, ecg: Tensor) -> Tensor:
        return self.head(self.norm(self.conv(ecg)).mean(-1)).squeeze(-1)


class WithNorm(nn.Module):
    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.conv = nn.Conv1d(8, 4, 5)
        self.body = nn.Sequential(norm, nn.ReLU())
        self.head = nn.Linear(4, 1)

    def forward(self, ecg: Tensor) -> Tensor:
        return self.head(self.body(self.conv(ecg)).mean(-1)).squeeze(-1)


@pytest.mark.parametrize(
    "network",
    [
        ResNet1d(depth=2, leads=8, length=64),
        WithNorm(nn.GroupNorm(2, 4)),
        WithNorm(nn.BatchNorm1d(4)),
        WithNorm(nn.InstanceNorm1d(4)),
        WithNorm(nn.Dropout()),
    ],
)
def test_a_good_network_is_left_as_it_is(network: nn.Module) -> None:
    network.train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    state = torch.get_rng_state()
    check_before_fit(network, ECG)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(module.training for module in network.modules())


def test_a_batchnorm_without_statistics_is_refused_by_name() -> None:
    with pytest.raises(
        ValueError, match=r"^body\.0 is a BatchNorm without running statistics: .* other ECGs of its batch"
    ):
        check_before_fit(WithNorm(nn.BatchNorm1d(4, track_running_stats=False)), ECG)


def test_a_copy_that_runs_the_original_s_weights_is_refused() -> None:
    original = WithNorm(nn.BatchNorm1d(4)).eval()
    outer = WithNorm(nn.Identity())
    outer.register_forward_hook(lambda *_: original(ECG))
    with pytest.raises(ValueError, match="a copy of WithNorm runs other weights than its own"):
        check_before_fit(outer, ECG)


def test_lazy_modules_get_their_weights_once() -> None:
    network = Lazy().train()
    make_real(network, ECG)
    assert network.conv.weight.shape == (4, 8, 5)
    assert type(network.head) is nn.Linear
    assert network.norm.running_mean is not None
    assert torch.equal(network.norm.running_mean, torch.zeros(4))  # a pass in evaluation mode
    assert all(module.training for module in network.modules())
    before = network.conv.weight.clone()
    make_real(network, ECG)
    assert torch.equal(network.conv.weight, before)


def test_a_checkpoint_of_a_lazy_network_is_loaded() -> None:
    trained, fresh = EcgClassifier(Lazy()), EcgClassifier(Lazy())
    make_real(trained.network, ECG)
    fresh.on_load_checkpoint({"state_dict": trained.state_dict()})
    fresh.load_state_dict(trained.state_dict())
    torch.testing.assert_close(fresh.eval()(ECG), trained.eval()(ECG))
    wrong = trained.state_dict() | {"network.more": torch.zeros(1)}
    with pytest.raises(ValueError, match=r"network\.more is only in the checkpoint"):
        EcgClassifier(Lazy()).on_load_checkpoint({"state_dict": wrong})


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_the_threshold_stays_in_float32_and_the_example_goes_with_the_weights(dtype: torch.dtype) -> None:
    module = EcgClassifier(ResNet1d(depth=2, leads=8, length=64))
    module.threshold.fill_(0.123456789)
    exact = module.threshold.clone()
    module.to(dtype)
    assert module.threshold.dtype == torch.float32
    assert torch.equal(module.threshold, exact)
    assert "threshold" in module.state_dict()
    assert module.example_input_array.dtype == dtype
    assert module(module.example_input_array).dtype == dtype
    assert module.float().example_input_array.dtype == torch.float32


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_the_loss_of_half_precision_is_that_of_float32(dtype: torch.dtype) -> None:
    logit = torch.tensor([3.1, -2.2, 0.4], dtype=dtype)
    label = torch.tensor([1.0, float("nan"), 0.0], dtype=dtype)
    loss = labelled_cross_entropy(logit, label)
    expected = nn.functional.binary_cross_entropy_with_logits(logit.float()[[0, 2]], torch.tensor([1.0, 0.0]))
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, expected)
