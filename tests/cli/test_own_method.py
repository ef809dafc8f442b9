"""A method of one's own, named by its class in YAML, goes through a run as the twelve do."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pandas as pd
import pytest
import torch
import yaml
from torch import Tensor
from workplace import Workplace

from ecg_lightning import open_run
from ecg_lightning.attribution import FrozenModel, RandomKey
from ecg_lightning.attribution.base import SinglePassMethod
from ecg_lightning.attribution.sampling import gradients
from ecg_lightning.attribution.style import MethodStyle
from ecg_lightning.cli import main
from ecg_lightning.plotting.method_style import know_styles, method_style
from ecg_lightning.runs.study_runs import StudyRuns
from ecg_lightning.statistics.interval_settings import IntervalSettings

ONLY_OWN = dict.fromkeys(
    (
        *("saliency", "smoothgrad", "guided_backprop", "gradcam", "guided_gradcam", "shapley_sampling", "deeplift"),
        *("integrated_gradients", "ig_smoothgrad", "gradient_shap", "deeplift_shap"),
    )
)


@dataclass(frozen=True)
class SquaredGradient(SinglePassMethod):
    """The gradient's square, which is always positive."""

    name: ClassVar[str] = "squared_gradient"
    unit: ClassVar[str] = "logit² per mV²"
    style: ClassVar[MethodStyle | None] = MethodStyle("Squared gradient", "#00aa88", behind="saliency")
    needs_module_relu: ClassVar[bool] = False

    @property
    def signed(self) -> bool:
        return False

    def _attribute(self, task: FrozenModel, ecg: Tensor, key: RandomKey) -> Tensor:
        return gradients(task, ecg).square()


def test_a_class_path_in_yaml_is_computed_linted_and_drawn(
    trained: Workplace,
    copy_of: Callable[[Workplace], Workplace],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place = copy_of(trained)
    monkeypatch.setattr("ecg_lightning.plotting.method_style._OWN", {})
    config = tmp_path / "own.yaml"
    own = {"class_path": f"{__name__}.SquaredGradient"}
    config.write_text(yaml.safe_dump({"maps": {"methods": {**ONLY_OWN, "own": [own]}}}), encoding="utf-8")
    arguments = place.arguments("test", "--config", str(config), "--trainer.logger", "false", pictures=False)
    main([*arguments, "--on_mismatch", "replace"])
    run = open_run(place.run())
    maps = torch.from_numpy(run.maps["squared_gradient"].to_numpy().copy())
    assert maps.isfinite().all()
    assert (maps >= 0).all()
    lint = pd.read_parquet(place.run() / "tables/lint.parquet").set_index("method")
    assert lint.loc["squared_gradient", "verdict"] == "safe"
    monkeypatch.setattr("ecg_lightning.plotting.method_style._OWN", {})  # as in the process of a report
    runs = StudyRuns.open(place.run().parents[1], IntervalSettings())
    assert runs.methods == ["squared_gradient", "gradient_x_input"]  # saliency, behind which it stands, was left out
    know_styles(runs.method_styles)
    assert method_style("squared_gradient") == SquaredGradient.style
