"""Networks that are built in unusual ways, and other precisions, through the command line."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from own_networks import WeightNormed
from workplace import CONFIGS, Workplace

from ecg_lightning import open_run
from ecg_lightning.cli import main
from ecg_lightning.functional.plain_copy import plain_copy
from ecg_lightning.models.classifier import EcgClassifier

FEW = (
    "maps: { methods: [saliency, gradcam, deeplift] }\nrandomization: { max_examples: 4, draws: 2, n_resamples: 100 }\n"
)
QUICK = ("--trainer.max_epochs", "1", "--trainer.logger", "false", "--data.batch_size", "24")


def without_preset(arguments: list[str]) -> list[str]:
    """Without the small network's settings."""
    place = arguments.index(str(CONFIGS / "model/small.yaml"))
    return [*arguments[: place - 1], *arguments[place + 1 :]]


def fitted(place: Workplace, study: str, *more: str) -> Workplace:
    main(place.arguments("fit", *QUICK, *more, study=study))
    return place


@pytest.mark.parametrize("name", ["WeightNormed", "Lazy", "Compiled"])
def test_unusual_networks_are_trained_and_audited(archive: Path, tmp_path: Path, name: str) -> None:
    place = Workplace(archive, tmp_path)
    network = ("--model.network", f"own_networks.{name}")
    main(without_preset(place.arguments("fit", *QUICK, *network)))
    (tmp_path / "few.yaml").write_text(FEW)
    main(
        place.arguments(
            "test", "--config", str(tmp_path / "few.yaml"), "--trainer.logger", "false", *network, pictures=False
        )
    )
    run = open_run(place.run())
    assert set(run.maps) == {"saliency", "gradcam", "deeplift"}
    assert np.isfinite(run.maps["saliency"]).all()
    layers = pd.read_parquet(place.run() / "tables/cascade.parquet")["depth"].max()
    assert layers == 3  # two convolutions and the linear unit


def test_a_network_that_mixes_ecgs_is_refused_before_it_is_trained(archive: Path, tmp_path: Path) -> None:
    place = Workplace(archive, tmp_path)
    with pytest.raises(ValueError, match=r"last\.0 is a BatchNorm without running statistics"):
        main(without_preset(place.arguments("fit", *QUICK, "--model.network", "own_networks.MixesEcgs")))
    assert not (place.run() / "checkpoints").exists()


@pytest.mark.parametrize("precision", ["64-true", "bf16-true", "16-true"])
def test_true_precisions_are_trained_with_the_summary_and_tested_in_float32(
    archive: Path, tmp_path: Path, precision: str
) -> None:
    place = fitted(Workplace(archive, tmp_path), "tiny", "--trainer.precision", precision)
    saved = torch.load(place.run() / "checkpoints/best.ckpt", weights_only=True)["state_dict"]
    assert saved["threshold"].dtype == torch.float32
    assert {value.dtype for name, value in saved.items() if name.endswith("weight")} == {
        {"64-true": torch.float64, "bf16-true": torch.bfloat16, "16-true": torch.float16}[precision]
    }
    (tmp_path / "few.yaml").write_text("maps: { methods: [saliency] }\n")
    some = ("--config", str(tmp_path / "few.yaml"), "--trainer.logger", "false")
    main(place.arguments("test", *some, pictures=False))
    run = open_run(place.run())
    assert run.logits.to_numpy().dtype == np.float32
    assert np.isfinite(run.logits.to_numpy()).all()
    assert run.metrics["threshold"]["value"] == pytest.approx(float(saved["threshold"]), abs=0)


def test_the_maps_of_a_weight_normed_network_are_its_gradients() -> None:
    torch.manual_seed(4)
    network = WeightNormed().eval()
    ecg = torch.randn(2, 8, 600, requires_grad=True)
    gradients = [torch.autograd.grad(one(ecg).sum(), ecg)[0] for one in (network, plain_copy(network))]
    torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-7)
    assert isinstance(EcgClassifier(network).network, WeightNormed)
