"""The callbacks from Python: what they refuse, count and warn of."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from lightning.pytorch import Callback, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader
from workplace import TARGET, Workplace

from callbacks import AttributionMaps, Completeness, LogitsAndMetrics, MapPictures
from callbacks.current_run import on_rank_zero
from ecg_lightning import open_run
from ecg_lightning.attribution.folding_check import FoldingError
from ecg_lightning.attribution.methods import IgSmoothGrad, SmoothGrad
from ecg_lightning.data.datamodule import EcgDataModule
from ecg_lightning.data.sources import PtbXl
from ecg_lightning.models import EcgClassifier, ResNet1d
from ecg_lightning.plotting.chosen_ecgs import passes_words
from ecg_lightning.storage.store import RowStore

QUICK = ["saliency", "gradient_x_input"]


class OneLayer(nn.Module):
    """Convolution, activation, mean: with a module or a function as activation."""

    def __init__(self, activation: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.conv = nn.Conv1d(8, 4, 25, bias=True)
        self.activation = activation
        self.linear = nn.Linear(4, 1)

    def forward(self, ecg: Tensor) -> Tensor:
        return self.linear(self.activation(self.conv(ecg)).mean(2))


class InfiniteSlope(nn.Module):
    """Finite logits whose gradient is not a number."""

    def forward(self, ecg: Tensor) -> Tensor:
        return ecg.sum((1, 2)) + (0 * ecg).sqrt().sum((1, 2))


def datamodule(place: Workplace) -> EcgDataModule:
    return EcgDataModule(
        PtbXl(place.root),
        TARGET,
        cache_dir=str(place.folder / "cache"),
        eval_batch_size=4,
        n_backgrounds=5,
        processes=1,
    )


def trainer(folder: Path, *callbacks: Callback, **more: Any) -> Trainer:
    return Trainer(
        default_root_dir=folder / "runs/study" / TARGET / "seed0",
        accelerator="cpu",
        logger=False,
        callbacks=list(callbacks),
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        **more,
    )


def run_test(place: Workplace, folder: Path, network: nn.Module, *callbacks: Callback, **more: Any) -> Path:
    torch.manual_seed(0)
    trainer(folder, *callbacks, **more).test(EcgClassifier(network, TARGET), datamodule(place), verbose=False)
    return folder / "runs/study" / TARGET / "seed0"


def small() -> ResNet1d:
    torch.manual_seed(2)
    return ResNet1d(widths=(8, 8, 16), strides=(1, 4, 4))


@pytest.mark.parametrize("reader", [Completeness(), MapPictures()], ids=lambda reader: type(reader).__name__)
@pytest.mark.parametrize("before", [[], ["after"]])
def test_a_reader_of_maps_needs_attribution_maps_before_it(
    trained: Workplace, tmp_path: Path, reader: Callback, before: list[str]
) -> None:
    after = [AttributionMaps(QUICK)] if before else []
    with pytest.raises(
        ValueError, match=rf"{type(reader).__name__} reads what AttributionMaps computes: put AttributionMaps"
    ):
        run_test(trained, tmp_path, small(), reader, *after)


def test_maps_need_a_datamodule_that_knows_the_ecgs(tmp_path: Path) -> None:
    batch = {"ecg": torch.zeros(1, 8, 600), "label": torch.zeros(1), "row": torch.zeros(1, dtype=torch.long)}
    loader = DataLoader([batch], batch_size=None)
    with pytest.raises(TypeError, match=r"AttributionMaps needs an EcgDataModule.*got NoneType"):
        trainer(tmp_path, AttributionMaps(QUICK)).test(EcgClassifier(small(), TARGET), loader)


def test_results_belong_into_a_run_folder(trained: Workplace, tmp_path: Path) -> None:
    stray = Trainer(
        default_root_dir=tmp_path,
        accelerator="cpu",
        logger=False,
        callbacks=[LogitsAndMetrics()],
        enable_progress_bar=False,
        use_distributed_sampler=False,
    )
    with pytest.raises(ValueError, match=r"belong into a run folder .*the trainer's folder is"):
        stray.test(EcgClassifier(small(), TARGET), datamodule(trained), verbose=False)
    assert not list(tmp_path.iterdir())


def test_a_network_whose_logit_never_moves_has_metrics_but_no_completeness(trained: Workplace, tmp_path: Path) -> None:
    network = small()
    with torch.no_grad():
        network.linear.weight.zero_()
    callbacks = (AttributionMaps(["deeplift"]), LogitsAndMetrics(), Completeness())
    with pytest.warns(UserWarning, match=r"deeplift: the maps' sums miss f\(ecg\) - f\(baseline\) by nan%"):
        run = run_test(trained, tmp_path, network, *callbacks)
    assert open_run(run).metrics["auroc"]["value"] == 0.5


def test_a_method_that_cannot_work_is_skipped_and_the_record_says_why(trained: Workplace, tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match=r"gradcam is skipped on OneLayer: .*Grad-CAM needs the name of a module"):
        run = run_test(trained, tmp_path, OneLayer(nn.ReLU()), AttributionMaps(["saliency", "gradcam"]))
    assert sorted(open_run(run).maps) == ["saliency"]
    table = pd.read_parquet(run / "tables/lint.parquet").set_index("method")
    assert table["verdict"].to_dict() == {"saliency": "safe", "gradcam": "refused"}
    assert (run / "lint.json").is_file()


def test_a_layer_that_is_not_there_is_told_before_a_store_is_made(trained: Workplace, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has no 'blocks.99'"):
        run_test(trained, tmp_path, small(), AttributionMaps(["saliency", "gradcam"], gradcam_layer="blocks.99"))
    assert not list(tmp_path.rglob("maps"))


def test_a_network_that_no_method_can_explain(trained: Workplace, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"(?s)refuses every method.*deeplift +refused"):
        run_test(trained, tmp_path, OneLayer(torch.relu), AttributionMaps(["deeplift"]))
    with pytest.warns(UserWarning, match="deeplift is computed all the same, and wrong"):
        run = run_test(trained, tmp_path, OneLayer(torch.relu), AttributionMaps(["deeplift"], lint="warn"))
    assert sorted(open_run(run).maps) == ["deeplift"]


def test_a_probability_is_told_at_the_start(trained: Workplace, tmp_path: Path) -> None:
    network = nn.Sequential(OneLayer(nn.ReLU()), nn.Sigmoid())
    with pytest.warns(UserWarning, match=r"it is a probability \(it ends in a sigmoid\), and a logit is needed"):
        run = run_test(trained, tmp_path, network, AttributionMaps(["saliency"]))
    table = pd.read_parquet(run / "tables/lint.parquet").set_index("method")
    assert table["verdict"].to_dict() == {"saliency": "doubtful"}


def test_folding_is_measured_and_left_where_it_harms(
    trained: Workplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    maps = AttributionMaps(QUICK)
    run = run_test(trained, tmp_path / "folded", small(), maps)
    assert maps.task.folded
    assert "of 16 gradients" in (run / "lint.json").read_text()
    monkeypatch.setattr(FoldingError, "worse", True)
    maps = AttributionMaps(QUICK)
    with pytest.warns(UserWarning, match="ResNet1d is attributed without folding its BatchNorms, in slower"):
        run_test(trained, tmp_path / "plain", small(), maps)
    assert not maps.task.folded
    assert not maps.prepared(small()).folded  # neither are networks with random weights


def test_half_precision_networks_keep_their_maps_as_float32(trained: Workplace, tmp_path: Path) -> None:
    run = run_test(trained, tmp_path, small(), AttributionMaps(QUICK), precision="bf16-true")
    assert np.isfinite(np.asarray(RowStore.open(run / "maps/saliency").array)).all()


def test_functional_relu_shows_in_the_completeness(trained: Workplace, tmp_path: Path) -> None:
    def deltas(activation: Callable[[Tensor], Tensor], name: str) -> float:
        torch.manual_seed(4)
        maps = AttributionMaps(["deeplift"], lint="off")
        run = run_test(trained, tmp_path / name, OneLayer(activation), maps, Completeness())
        delta, expected = (open_run(run).store(f"scores/completeness_{name}") for name in ("delta", "expected"))
        error = float(np.abs(delta).median() / np.abs(expected).median())
        table = pd.read_parquet(run / "tables/completeness.parquet").loc[0]
        assert table["median"] == pytest.approx(error)
        assert table["n_ecgs"] == len(delta)
        assert table["holds"] == (error <= table["tolerance"])
        return error

    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        warnings.filterwarnings("ignore", message=".*(workers|LeafSpec|logger|srun).*")
        assert deltas(nn.ReLU(), "module") < 1e-5
    with pytest.warns(UserWarning, match=r"deeplift: the maps' sums miss .* functional, reused or"):
        assert deltas(nn.functional.relu, "function") > 0.05


def test_maps_that_are_constant_or_not_finite_are_counted(trained: Workplace, tmp_path: Path) -> None:
    network = small()
    with torch.no_grad():
        network.linear.weight.zero_()
    with pytest.warns(UserWarning, match=r"saliency: of 9 maps 9 are constant and 0 are not finite"):
        run = run_test(trained, tmp_path / "zero", network, AttributionMaps(["saliency"]))
    assert pd.read_parquet(run / "tables/maps.parquet")["constant"].tolist() == [9]
    with pytest.warns(UserWarning, match=r"saliency: of 9 maps 0 are constant and 9 are not finite"):
        run = run_test(trained, tmp_path / "nan", InfiniteSlope(), AttributionMaps(["saliency"]))
    assert pd.read_parquet(run / "tables/maps.parquet")["not_finite"].tolist() == [9]


def test_an_old_key_is_accepted_and_said_to_be_gone() -> None:
    with pytest.warns(UserWarning, match="maps.compiled is gone and ignored"):
        AttributionMaps(["saliency"], compiled=True)


def test_unknown_pictures_are_refused_before_anything_is_computed(trained: Workplace, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"MapPictures: 12345 not among the 9 test ECGs"):
        run_test(trained, tmp_path, small(), AttributionMaps(QUICK), LogitsAndMetrics(), MapPictures(["12345"]))


def test_pictures_that_were_asked_for(trained: Workplace, tmp_path: Path) -> None:
    module = datamodule(trained)
    module.setup("test")
    wanted = module.examples("test")["ecg_id"].iloc[3]
    run = run_test(
        trained, tmp_path, small(), AttributionMaps(QUICK), LogitsAndMetrics(), MapPictures([wanted], svg=True)
    )
    names = {path.name for path in (run / "figures/maps").iterdir()}
    stems = (f"row00003_{name}" for name in ("overview", *QUICK))
    assert names == {f"{stem}.{suffix}" for stem in stems for suffix in ("png", "svg")}


def test_a_part_of_the_test_set_leaves_the_rest_undone(trained: Workplace, tmp_path: Path) -> None:
    run = run_test(trained, tmp_path, small(), AttributionMaps(QUICK), LogitsAndMetrics(), limit_test_batches=2)
    store = RowStore.open(run / "maps/saliency")
    assert store.done.tolist() == [True] * 8 + [False]
    assert np.isnan(store.array[8]).all()
    metrics = open_run(run).metrics
    assert (metrics["n_ecgs"], metrics["n_not_tested"]) == (8, 1)
    run_test(trained, tmp_path, small(), AttributionMaps(QUICK), LogitsAndMetrics())
    assert RowStore.open(run / "maps/saliency").complete
    assert open_run(run).metrics["n_not_tested"] == 0


def test_half_precision_stores(trained: Workplace, tmp_path: Path) -> None:
    full = run_test(trained, tmp_path / "full", small(), AttributionMaps(QUICK))
    half = run_test(trained, tmp_path / "half", small(), AttributionMaps(QUICK, dtype="float16"))
    for name in QUICK:
        a, b = (np.asarray(RowStore.open(run / "maps" / name).array, dtype=float) for run in (full, half))
        assert RowStore.open(half / "maps" / name).array.dtype == np.float16
        np.testing.assert_allclose(b, a, atol=1e-3 * np.abs(a).max())


def test_other_hyperparameters_are_other_maps(trained: Workplace, tmp_path: Path) -> None:
    run_test(trained, tmp_path, small(), AttributionMaps([SmoothGrad(n_samples=3)]))
    with pytest.raises(ValueError, match=r"(?s)maps/smoothgrad holds.*n_samples: 3 in the store, 4 now"):
        run_test(trained, tmp_path, small(), AttributionMaps([SmoothGrad(n_samples=4)]))
    run = run_test(trained, tmp_path, small(), AttributionMaps([SmoothGrad(n_samples=4)], on_mismatch="replace"))
    assert len(list((run / "maps").glob("smoothgrad.replaced-*"))) == 1


def test_stochastic_maps_come_with_their_reliability(trained: Workplace, tmp_path: Path) -> None:
    """Stores, table, and a warning where a target was out of reach; a rerun computes nothing."""
    methods = [SmoothGrad(n_samples=32), IgSmoothGrad(target_correlation=0.9999, max_samples=32), "saliency"]
    with pytest.warns(UserWarning, match=r"ig_smoothgrad: \d+ of \d+ maps did not reach the correlation of 0.9999"):
        run = run_test(trained, tmp_path, small(), AttributionMaps(methods))
    for name in ("smoothgrad", "ig_smoothgrad"):
        values = np.asarray(RowStore.open(run / "reliability" / name).array)
        assert ((values > 0) & (values < 1)).all()
    assert not (run / "reliability/saliency").exists()
    table = pd.read_parquet(run / "tables/maps.parquet").set_index("method")
    assert table.loc["ig_smoothgrad", "unreliable"] == table.loc["ig_smoothgrad", "done"]
    assert table.loc[["smoothgrad", "saliency"], "unreliable"].sum() == 0
    assert np.isnan(table.loc["saliency", "reliability_median"])
    assert 0 < table.loc["smoothgrad", "reliability_lowest_decile"] <= table.loc["smoothgrad", "reliability_median"] < 1
    before = (run / "maps/smoothgrad/rows.npy").stat().st_mtime_ns
    run_test(trained, tmp_path, small(), AttributionMaps(methods))
    assert (run / "maps/smoothgrad/rows.npy").stat().st_mtime_ns == before


def test_passes_that_reliability_sets_are_shown_as_a_bound() -> None:
    for method, words in (
        (SmoothGrad(32), "32 gradient passes"),
        (SmoothGrad(target_correlation=0.99, max_samples=256), "at most 256 gradient passes"),
    ):
        assert passes_words(method, method.passes((8, 600), 20)) == words


def test_a_method_can_be_added_to_a_finished_run(trained: Workplace, tmp_path: Path) -> None:
    run = run_test(trained, tmp_path, small(), AttributionMaps(["saliency"]), Completeness())
    before = (run / "maps/saliency/rows.npy").stat().st_mtime_ns
    run_test(trained, tmp_path, small(), AttributionMaps(["saliency", "deeplift"]), Completeness())
    assert (run / "maps/saliency/rows.npy").stat().st_mtime_ns == before
    assert RowStore.open(run / "maps/deeplift").complete
    assert RowStore.open(run / "scores/completeness_delta").complete


def test_a_failure_on_rank_zero_is_raised_with_its_own_type(tmp_path: Path) -> None:
    def fail() -> None:
        raise KeyError("which")

    with pytest.raises(KeyError, match="which"):
        on_rank_zero(trainer(tmp_path), fail)
    assert on_rank_zero(trainer(tmp_path), lambda: 7) == 7
