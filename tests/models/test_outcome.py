"""What a network's output is taken for: losses, scales, and what a checkpoint keeps of a measurement."""

from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer

from ecg_lightning.data.label_scale import LabelScale
from ecg_lightning.data.targets import TargetInfo
from ecg_lightning.models.checkpoint_fit import SCALE_KEY, TARGET_INFO_KEY, kept_scale
from ecg_lightning.models.classifier import EcgClassifier
from ecg_lightning.models.loss import labelled_squared_error
from ecg_lightning.models.outcome import Diagnosis, Measurement, outcome_of

AGE = TargetInfo("age", kind="regression", unit="years", low=0.0, high=120.0)
SCALE = LabelScale(60.0, 15.0)


def test_the_kind_of_the_target_decides() -> None:
    assert isinstance(outcome_of(TargetInfo("x"), SCALE), Diagnosis)
    assert outcome_of(AGE, SCALE) == Measurement(SCALE, "years")


def test_a_scale_is_that_of_the_known_labels() -> None:
    assert LabelScale.of([1.0, np.nan, 3.0]) == LabelScale(2.0, 1.0)
    assert LabelScale.of([5.0, 5.0]) == LabelScale(5.0, 1.0)  # one value has no deviation to divide by
    assert LabelScale.from_dict(SCALE.as_dict()) == SCALE
    label = torch.tensor([30.0, 75.0])
    torch.testing.assert_close(SCALE.in_unit(SCALE.scaled(label)), label)


def test_the_loss_is_the_squared_error_in_deviations_of_the_labelled() -> None:
    output, label = torch.tensor([0.0, 1.0, 5.0]), torch.tensor([60.0, 60.0, torch.nan])
    assert Measurement(SCALE).loss(output, label).item() == pytest.approx(0.5)
    assert labelled_squared_error(output, torch.full((3,), torch.nan)).item() == 0.0
    output = output.requires_grad_()
    Measurement(SCALE).loss(output, label).backward()
    assert output.grad is not None
    assert output.grad[2] == 0.0


def test_scores_and_predictions_are_in_the_unit() -> None:
    measured = Measurement(SCALE, "years")
    output, label = torch.tensor([-1.0, 0.0, 1.0]).double(), torch.tensor([45.0, 63.0, 75.0]).double()
    assert measured.tested(output, label, 0.5)["mae"] == pytest.approx(1.0)
    threshold = torch.tensor(0.5)
    assert measured.validated(output, label, threshold) == measured.tested(output, label, 0.5)
    assert threshold == 0.5  # nothing is decided
    assert measured.predictions(output, 0.5)["prediction"].tolist() == [45.0, 60.0, 75.0]
    assert measured.settings() == {"label_scale": {"mean": 60.0, "deviation": 15.0}}


def test_a_checkpoint_keeps_the_scale(tmp_path: Path) -> None:
    module = EcgClassifier(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 1)), target="age")
    module.target_info, module.label_scale = AGE, SCALE
    trainer = Trainer(logger=False, enable_checkpointing=False, accelerator="cpu")
    trainer.strategy.connect(module)
    trainer.save_checkpoint(tmp_path / "age.ckpt")
    content = torch.load(tmp_path / "age.ckpt", weights_only=True)
    assert content[SCALE_KEY] == SCALE.as_dict()
    content[TARGET_INFO_KEY] = AGE.as_dict()  # as with a datamodule
    assert kept_scale(content, TargetInfo("age")) == (AGE, SCALE)
    del content[SCALE_KEY]
    with pytest.raises(ValueError, match="age is a measurement, and the checkpoint does not keep the mean"):
        kept_scale(content, TargetInfo("age"))
    assert kept_scale({}, TargetInfo("x")) == (TargetInfo("x"), LabelScale())
