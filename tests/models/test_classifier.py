import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchmetrics.functional.classification as tm
from hypothesis import given, settings
from hypothesis import strategies as st
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.cli import LightningCLI
from torch import Tensor, nn
from torch.utils.data import DataLoader

from ecg_lightning.data.dataset import Batch
from ecg_lightning.functional.classification import METRICS, binary_metrics
from ecg_lightning.functional.threshold import youden_threshold
from ecg_lightning.models import EcgClassifier, ResNet1d

NAN = math.nan


class FirstSample(nn.Module):
    """The logit is the first sample of the first lead: tests choose logits by writing them there."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, ecg: Tensor) -> Tensor:
        return self.scale * ecg[:, 0, 0]


class Shaped(nn.Module):
    """Zeros of a shape that may depend on the batch."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, ecg: Tensor) -> Tensor:
        return torch.zeros(tuple(len(ecg) if size < 0 else size for size in self.shape))


def batches(*parts: Sequence[tuple[float, float]]) -> DataLoader[Batch]:
    """A loader of batches of (logit, label), for ``FirstSample``."""
    content: list[Any] = []
    row = 0
    for part in parts:
        logit, label = torch.tensor(part, dtype=torch.float32).T
        ecg = torch.randn(len(part), 8, 600)
        ecg[:, 0, 0] = logit
        content.append({"ecg": ecg, "label": label, "row": torch.arange(row, row + len(part))})
        row += len(part)
    return DataLoader(content, batch_size=None)  # type: ignore[arg-type]  # a list is a data set


def random_parts(seed: int, sizes: Sequence[int], missing: float = 0.2) -> list[list[tuple[float, float]]]:
    rng = np.random.default_rng(seed)
    parts = []
    for size in sizes:
        label = (rng.random(size) < 0.4).astype(float)
        logit = rng.normal(label, 1.0)
        label[rng.random(size) < missing] = NAN
        parts.append(list(zip(logit.tolist(), label.tolist(), strict=True)))
    return parts


def labelled(parts: Sequence[Sequence[tuple[float, float]]]) -> tuple[Tensor, Tensor]:
    """Float32 logits and labels of all labelled ECGs, as float64."""
    table = torch.tensor([pair for part in parts for pair in part], dtype=torch.float32).double()
    logit, label = table[~table[:, 1].isnan()].T
    return logit, label


def trainer(folder: Path, **settings_: Any) -> Trainer:
    quiet: dict[str, Any] = {
        "accelerator": "cpu",
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "default_root_dir": folder,
    }
    return Trainer(**(quiet | settings_))


def tiny(seed: int = 0, **arguments: Any) -> ResNet1d:
    torch.manual_seed(seed)
    return ResNet1d(**({"widths": [8, 8], "strides": [2, 2]} | arguments))


def saved(model: EcgClassifier, folder: Path) -> Path:
    """A checkpoint as Lightning writes it."""
    writer = trainer(folder)
    writer.strategy.connect(model)
    writer.save_checkpoint(folder / "model.ckpt")
    return folder / "model.ckpt"


# --- loss --------------------------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.floats(-50, 50, width=32), st.sampled_from([0.0, 1.0, NAN])), min_size=1, max_size=12))
@pytest.mark.filterwarnings("ignore:You are trying to `self.log")
def test_the_loss_is_that_of_the_labelled_ecgs_alone(part: list[tuple[float, float]]) -> None:
    model = EcgClassifier(FirstSample())
    (batch,) = batches(part)
    loss = model.training_step(batch, 0)
    (gradient,) = torch.autograd.grad(loss, [model.get_parameter("network.scale")])
    logit, label = labelled([part])
    if not len(label):
        assert loss.item() == 0
        assert gradient.item() == 0
        return
    scale = torch.ones((), dtype=torch.float64, requires_grad=True)
    reference = -(label * (scale * logit).sigmoid().log() + (1 - label) * (-scale * logit).sigmoid().log()).mean()
    (expected,) = torch.autograd.grad(reference, [scale])
    torch.testing.assert_close(loss.double(), reference, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(gradient.double(), expected, rtol=1e-4, atol=1e-5)


def test_the_validation_loss_is_the_mean_over_labelled_ecgs_however_they_are_batched(tmp_path: Path) -> None:
    parts = [*random_parts(0, [7, 1, 16, 3], missing=0.4), [(2.0, NAN), (-3.0, NAN)]]
    (logged,) = trainer(tmp_path).validate(EcgClassifier(FirstSample()), batches(*parts), verbose=False)
    expected = nn.functional.binary_cross_entropy_with_logits(*labelled(parts))
    assert logged["val/loss"] == pytest.approx(expected.item(), rel=1e-5)


# --- metrics and threshold ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_validation_scores_are_those_of_torchmetrics(seed: int, tmp_path: Path) -> None:
    # batches whose logits all lie in [0, 1] look like probabilities to whoever guesses batch by batch
    parts = [*random_parts(seed, [20, 11]), [(0.2, 1.0)], [(0.9, 0.0), (0.4, NAN)], [(-3.0, NAN)]]
    (logged,) = trainer(tmp_path).validate(EcgClassifier(FirstSample()), batches(*parts), verbose=False)
    logit, label = labelled(parts)
    assert logged["val/auroc"] == pytest.approx(tm.binary_auroc(logit.sigmoid(), label.long()).item(), abs=1e-6)
    expected = tm.binary_average_precision(logit.sigmoid(), label.long()).item()
    assert logged["val/auprc"] == pytest.approx(expected, abs=1e-6)


def test_the_threshold_is_youden_s_of_the_validation_set(tmp_path: Path) -> None:
    parts = random_parts(3, [20, 20, 7])
    model = EcgClassifier(FirstSample())
    assert model.threshold.item() == 0.5
    (logged,) = trainer(tmp_path).validate(model, batches(*parts), verbose=False)
    logit, label = labelled(parts)
    assert model.threshold.item() == pytest.approx(youden_threshold(logit.sigmoid().numpy(), label.numpy()))
    assert logged["val/threshold"] == pytest.approx(model.threshold.item())
    called = logit.sigmoid() >= model.threshold
    at_ours = called[label == 1].double().mean() - called[label == 0].double().mean()
    rates = [((logit >= cut)[label == 1].double().mean() - (logit >= cut)[label == 0].double().mean()) for cut in logit]
    assert at_ours == max(rates)


def test_validating_twice_starts_anew(tmp_path: Path) -> None:
    model = EcgClassifier(FirstSample())
    first, second = batches(*random_parts(1, [30])), batches(*random_parts(2, [30]))
    alone = trainer(tmp_path).validate(model, second, verbose=False)
    once = trainer(tmp_path)
    once.validate(model, first, verbose=False)
    assert once.validate(model, second, verbose=False) == alone


class Thresholds(Callback):
    """The threshold at the end of the sanity check."""

    def on_sanity_check_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.after_sanity_check = pl_module.threshold.item()  # type: ignore[operator]


def test_the_sanity_check_does_not_set_the_threshold(tmp_path: Path) -> None:
    model = EcgClassifier(FirstSample(), learning_rate=1e-6)
    watch = Thresholds()
    one_class_first = [[(1.0, 0.0)] * 4, *random_parts(0, [20])]  # Youden's J is not defined on the checked batch
    fit = trainer(tmp_path, max_epochs=1, num_sanity_val_steps=1, callbacks=[watch])
    fit.fit(model, batches(*random_parts(4, [8])), batches(*one_class_first))
    assert watch.after_sanity_check == 0.5
    logit, label = labelled(one_class_first)
    assert model.threshold.item() == pytest.approx(youden_threshold(logit.sigmoid().numpy(), label.numpy()), abs=1e-3)


def test_one_class_in_validation_keeps_the_threshold_and_warns(tmp_path: Path) -> None:
    model = EcgClassifier(FirstSample())
    model.threshold.fill_(0.25)
    with pytest.warns(UserWarning, match="one class only: no AUROC, and the threshold stays as it was"):
        (logged,) = trainer(tmp_path).validate(model, batches([(0.0, 0.0)] * 3 + [(1.0, NAN)]), verbose=False)
    assert model.threshold.item() == 0.25
    assert math.isnan(logged["val/auroc"])


def test_each_checkpoint_holds_the_threshold_of_its_own_weights(tmp_path: Path) -> None:
    keep = ModelCheckpoint(tmp_path, filename="{epoch}", monitor="val/loss", save_top_k=-1)
    validation = batches(*random_parts(5, [40], missing=0.1))
    fit = trainer(tmp_path, max_epochs=3, callbacks=[keep], enable_checkpointing=True)
    fit.fit(EcgClassifier(tiny(), learning_rate=0.05), batches(*random_parts(6, [16, 16], missing=0)), validation)
    thresholds = []
    for path in sorted(tmp_path.glob("epoch=*.ckpt")):
        model = EcgClassifier.load_from_checkpoint(path).eval()
        (batch,) = validation
        with torch.no_grad():
            probability = model(batch["ecg"]).double().sigmoid()
        assert model.threshold.item() == pytest.approx(youden_threshold(probability.numpy(), batch["label"].numpy()))
        thresholds.append(model.threshold.item())
    assert len(set(thresholds)) == 3


@pytest.mark.parametrize("seed", range(3))
def test_test_metrics_are_the_project_s_and_torchmetrics(seed: int, tmp_path: Path) -> None:
    threshold = 0.5
    parts = [*random_parts(seed, [30, 1, 9]), [(0.0, 1.0), (0.0, 0.0)]]  # two ECGs lie on the threshold
    model = EcgClassifier(FirstSample())
    (logged,) = trainer(tmp_path).test(model, batches(*parts), verbose=False)
    logit, label = labelled(parts)
    for name, value in binary_metrics(logit.sigmoid().numpy(), label.numpy(), threshold).items():
        assert logged[f"test/{name}"] == pytest.approx(value[0], abs=1e-6), name
    called, truth = (logit.sigmoid() >= threshold).long(), label.long()  # torchmetrics itself would call by >
    assert logged["test/precision"] == pytest.approx(tm.binary_precision(called, truth).item(), abs=1e-6)
    assert logged["test/recall"] == pytest.approx(tm.binary_recall(called, truth).item(), abs=1e-6)
    assert logged["test/specificity"] == pytest.approx(tm.binary_specificity(called, truth).item(), abs=1e-6)
    assert logged["test/f1"] == pytest.approx(tm.binary_f1_score(called, truth).item(), abs=1e-6)
    assert logged["test/accuracy"] == logged["test/f1_micro"]
    assert logged["test/threshold"] == threshold
    assert set(logged) == {f"test/{name}" for name in (*METRICS, "threshold")}


def test_a_test_set_without_labels_has_no_metrics_but_runs(tmp_path: Path) -> None:
    (logged,) = trainer(tmp_path).test(EcgClassifier(FirstSample()), batches([(1.0, NAN)] * 3), verbose=False)
    assert all(math.isnan(logged[f"test/{name}"]) for name in METRICS)


class Outputs(Callback):
    """What ``test_step`` hands to callbacks."""

    def __init__(self) -> None:
        self.outputs: list[Any] = []

    def on_test_batch_end(self, trainer: Trainer, pl_module: LightningModule, outputs: Any, *_: Any) -> None:
        self.outputs.append(outputs)


def test_callbacks_get_logit_label_and_row(tmp_path: Path) -> None:
    parts = random_parts(0, [3, 2])
    watch = Outputs()
    trainer(tmp_path, callbacks=[watch]).test(EcgClassifier(FirstSample()), batches(*parts), verbose=False)
    assert [set(outputs) for outputs in watch.outputs] == [{"logit", "label", "row"}] * 2
    assert torch.cat([outputs["row"] for outputs in watch.outputs]).tolist() == list(range(5))
    table = torch.tensor([pair for part in parts for pair in part])
    torch.testing.assert_close(torch.cat([outputs["logit"] for outputs in watch.outputs]), table[:, 0])
    torch.testing.assert_close(torch.cat([o["label"] for o in watch.outputs]), table[:, 1], equal_nan=True)


def test_predictions_are_positive_from_the_threshold_on(tmp_path: Path) -> None:
    model = EcgClassifier(FirstSample())
    parts = [[(-1.0, NAN), (0.0, NAN)], [(1e-3, 1.0)]]
    predictions: Any = trainer(tmp_path).predict(model, batches(*parts))
    assert [prediction["row"].tolist() for prediction in predictions] == [[0, 1], [2]]
    assert [prediction["positive"].tolist() for prediction in predictions] == [[False, True], [True]]
    for prediction in predictions:
        torch.testing.assert_close(prediction["probability"], prediction["logit"].double().sigmoid())


# --- checkpoints -------------------------------------------------------------------------------------------------


def assert_same(first: EcgClassifier, second: EcgClassifier) -> None:
    ecg = torch.randn(3, 8, 600)
    with torch.no_grad():
        assert torch.equal(first.eval()(ecg), second.eval()(ecg))
    assert second.threshold.dtype == torch.float32  # Apple's GPUs have no float64
    assert torch.equal(first.threshold, second.threshold)
    for name in ("target", "learning_rate", "weight_decay", "seed"):
        assert getattr(first, name) == getattr(second, name)


@pytest.mark.parametrize("weights_only", [True, False])
def test_a_resnet_built_in_python_loads_without_arguments(tmp_path: Path, weights_only: bool) -> None:
    network = tiny(input_activation=False, shortcut="maxpool")
    model = EcgClassifier(network, "low_qrs_voltage", learning_rate=3e-4, weight_decay=0.1, seed=7)
    model.threshold.fill_(0.1 + 2**-40)  # not a float32
    path = saved(model, tmp_path)
    again = EcgClassifier.load_from_checkpoint(path, weights_only=weights_only)
    assert again.network.config == network.config
    assert_same(model, again)
    (tmp_path / "second").mkdir()
    assert_same(model, EcgClassifier.load_from_checkpoint(saved(again, tmp_path / "second")))


def test_a_network_from_yaml_loads_without_arguments(tmp_path: Path) -> None:
    config = tmp_path / "model.yaml"
    config.write_text(
        "model:\n  target: atrial_fibrillation\n  seed: 3\n  network:\n    class_path: ecg_lightning.models.ResNet1d\n"
        "    init_args:\n      widths: [8, 10]\n      strides: [2, 2]\n      shortcut: maxpool\n"
    )
    cli = LightningCLI(EcgClassifier, run=False, save_config_callback=None, args=["--config", str(config)])
    again = EcgClassifier.load_from_checkpoint(saved(cli.model, tmp_path), weights_only=True)
    assert isinstance(again.network, ResNet1d)
    assert again.network.config["widths"] == [8, 10]
    assert again.network.config["shortcut"] == "maxpool"
    assert again.target == "atrial_fibrillation"
    assert_same(cli.model, again)


def linear(leads: int = 8) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(leads * 600, 1))


def test_a_foreign_network_loads_when_it_is_given(tmp_path: Path) -> None:
    model = EcgClassifier(linear(), seed=2)
    path = saved(model, tmp_path)
    assert_same(model, EcgClassifier.load_from_checkpoint(path, network=linear(), weights_only=True))
    with pytest.raises(TypeError, match="network"):
        EcgClassifier.load_from_checkpoint(path)


def test_a_given_network_stands_above_the_checkpoint_s(tmp_path: Path) -> None:
    model, network = EcgClassifier(tiny()), tiny(seed=1)
    again = EcgClassifier.load_from_checkpoint(saved(model, tmp_path), network=network)
    assert again.network is network
    assert_same(model, again)


def test_the_module_is_not_pickled_into_the_checkpoint(tmp_path: Path) -> None:
    for number, network in enumerate((tiny(), linear())):
        (tmp_path / str(number)).mkdir()
        content = torch.load(saved(EcgClassifier(network), tmp_path / str(number)), weights_only=True)
        described = content["hyper_parameters"].get("network")
        assert described is None or described["class_path"] == "ecg_lightning.models.resnet1d.ResNet1d"


OTHER_TARGET = "trained for 'atrial_fibrillation', this run is for 'sinus_rhythm'"


def test_a_trainer_refuses_a_checkpoint_of_another_target(tmp_path: Path) -> None:
    path = saved(EcgClassifier(tiny(), "atrial_fibrillation"), tmp_path)
    model = EcgClassifier(tiny(), "sinus_rhythm")
    with pytest.raises(ValueError, match=OTHER_TARGET):
        trainer(tmp_path).test(model, batches([(0.0, 1.0)]), ckpt_path=path, verbose=False, weights_only=True)


def test_a_checkpoint_is_not_renamed_by_loading_it_for_another_target(tmp_path: Path) -> None:
    path = saved(EcgClassifier(tiny(), "atrial_fibrillation"), tmp_path)
    with pytest.raises(ValueError, match=OTHER_TARGET):
        EcgClassifier.load_from_checkpoint(path, target="sinus_rhythm")


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (tiny(widths=[8, 16]), r"blocks.1.conv1.weight has shape \(8, 8, 7\) in the checkpoint, \(16, 8, 7\) here"),
        (tiny(widths=[8], strides=[2]), r"blocks.1.conv1.weight is only in the checkpoint"),
        (
            tiny(widths=[8] * 3, strides=[2, 2, 1]),
            r"blocks.2.conv1.weight is missing in the checkpoint; .* and 12 more",
        ),
        (linear(), "blocks.0.conv1.weight is only in the checkpoint"),
    ],
)
def test_a_checkpoint_of_another_network(tmp_path: Path, network: nn.Module, message: str) -> None:
    path = saved(EcgClassifier(tiny()), tmp_path)
    with pytest.raises(ValueError, match=f"do not fit this network: .*{message}"):
        EcgClassifier.load_from_checkpoint(path, network=network)


# --- the network's output ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 5])
@pytest.mark.parametrize("shape", [(-1,), (-1, 1)])
def test_one_logit_an_ecg_is_accepted(shape: tuple[int, ...], n: int) -> None:
    assert EcgClassifier(Shaped(*shape))(torch.zeros(n, 8, 600)).shape == (n,)


@pytest.mark.parametrize(("shape", "n"), [((-1, 2), 3), ((), 1), ((1,), 3), ((-1, 1, 1), 3), ((1, -1), 3), ((2, 1), 3)])
def test_other_outputs_are_refused(shape: tuple[int, ...], n: int) -> None:
    came = tuple(n if size < 0 else size for size in shape)
    with pytest.raises(ValueError, match=rf"one logit an ECG, .* for {n} ECGs; Shaped gave ") as caught:
        EcgClassifier(Shaped(*shape))(torch.zeros(n, 8, 600))
    assert str(came) in str(caught.value)


# --- constructor -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"target": "../afib"}, "no name of a target"),
        ({"learning_rate": 0.0}, "learning_rate must be positive"),
        ({"learning_rate": NAN}, "learning_rate must be positive"),
        ({"weight_decay": -0.1}, "weight_decay >= 0, got 0.0005 and -0.1"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EcgClassifier(linear(), **arguments)


def test_adam_gets_the_settings() -> None:
    optimizer = EcgClassifier(tiny(), learning_rate=0.01, weight_decay=0.2).configure_optimizers()
    assert isinstance(optimizer, torch.optim.Adam)
    assert (optimizer.defaults["lr"], optimizer.defaults["weight_decay"]) == (0.01, 0.2)
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(list(tiny().parameters()))


def test_the_example_input_is_of_the_network_s_shape() -> None:
    model = EcgClassifier(ResNet1d(widths=[3], leads=3, length=50))
    assert model.example_input_array.shape == (2, 3, 50)  # type: ignore[union-attr]
    assert EcgClassifier(linear()).example_input_array is None
