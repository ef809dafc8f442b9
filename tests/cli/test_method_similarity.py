"""The similarity of methods: the command line's stores against SciPy, the table against its definition."""

from dataclasses import dataclass
from itertools import combinations, product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.signal import savgol_filter
from scipy.stats import pearsonr, spearmanr
from test_callbacks import datamodule, run_test, small
from torch import Tensor
from workplace import Workplace

import callbacks.method_similarity
from callbacks import AttributionMaps, LogitsAndMetrics
from callbacks.map_computation import MapComputation
from callbacks.method_similarity import MethodSimilarity
from ecg_lightning import open_run
from ecg_lightning.attribution.base import SinglePassMethod
from ecg_lightning.attribution.controls import CONTROLS, control_maps
from ecg_lightning.attribution.seeding import RandomKey
from ecg_lightning.attribution.task import FrozenModel
from ecg_lightning.cli import main
from ecg_lightning.experiments.audited_run import AuditedRun
from ecg_lightning.experiments.similarity.tables import caption, select, similarity_table, warning_of
from ecg_lightning.functional.ecg_means import mean_over_ecgs
from ecg_lightning.functional.similarity import similarity_matrices
from ecg_lightning.runs.run import Run
from ecg_lightning.storage.store import RowStore, StoreSpec

METHODS = ("saliency", "smoothgrad", "gradcam", "guided_gradcam")
NAMES = (*METHODS, *CONTROLS)
SCOPES, SIGNS = ("ecg", "lead"), ("native", "absolute")
CONFIG = """
maps:
  methods:
    - saliency
    - class_path: ecg_lightning.attribution.methods.SmoothGrad
      init_args: { n_samples: 32 }
    - gradcam
    - class_path: ecg_lightning.attribution.methods.GuidedGradCam
      init_args: { rectified: false } # rectified, they are zero on so small a network
similarity: { n_resamples: 200 }
figure_files: [png, svg]
"""


@pytest.fixture(scope="module")
def arguments(trained: Workplace, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    config = tmp_path_factory.mktemp("similarity") / "similarity.yaml"
    config.write_text(CONFIG)
    checkpoint = str(trained.run() / "checkpoints/best.ckpt")
    return trained.arguments(
        "test", "--config", str(config), "--ckpt_path", checkpoint, study="similarity", pictures=False
    )


@pytest.fixture(scope="module")
def audited(trained: Workplace, arguments: list[str]) -> Run:
    """After ``test`` with this audit."""
    main(arguments)
    return open_run(trained.run("similarity"))


@pytest.fixture(scope="module")
def maps(trained: Workplace, audited: Run) -> dict[str, np.ndarray]:
    """Name -> (ecg, lead, sample): methods' maps from their stores, controls made anew."""
    module = datamodule(trained)
    module.prepare_data()
    module.setup("test")
    ecg = torch.cat([item["ecg"].reshape(1, 8, 600) for item in map(module.dataset("test").__getitem__, range(9))])
    ids = audited.examples["ecg_id"]
    controls = control_maps(CONTROLS, ecg, lambda name, row: RandomKey(0, 0, name, str(ids[row])))
    return {name: audited.maps[name].to_numpy() for name in METHODS} | {n: m.numpy() for n, m in controls.items()}


def scipys(a: np.ndarray, b: np.ndarray, statistic: str, scope: str, sign: str) -> float:
    measure = pearsonr if statistic == "pearson" else spearmanr
    x, y = (savgol_filter(one.astype(np.float64), 31, 3, axis=-1) for one in (a, b))
    if sign == "absolute":
        x, y = np.abs(x), np.abs(y)
    if statistic == "spearman":  # Grad-CAM is level at both ends, where the filter's rounding would be ranked
        x, y = (np.round(one / np.abs(one).max(), 11) for one in (x, y))
    if scope == "ecg":
        return float(measure(x.ravel(), y.ravel()).statistic)
    return float(
        np.mean([measure(*leads).statistic for leads in zip(x, y, strict=True) if np.ptp(leads, axis=1).all()])
    )


def test_the_stores_are_what_scipy_gives_for_every_pair(audited: Run, maps: dict[str, np.ndarray]) -> None:
    for statistic in ("pearson", "spearman"):
        found = audited.store(f"similarity/{statistic}")
        assert found.dims == ("row", "scope", "sign", "method", "other_method")
        assert list(found.coords["method"].values) == list(found.coords["other_method"].values) == list(NAMES)
        assert bool(found.coords["done"].all())
        for row, (scope, sign), (a, b) in product((0, 8), product(SCOPES, SIGNS), combinations(NAMES, 2)):
            place = {"scope": scope, "sign": sign, "method": a, "other_method": b}
            expected = scipys(maps[a][row], maps[b][row], statistic, scope, sign)
            assert float(found.sel(place)[row]) == pytest.approx(expected, abs=1e-6), (row, statistic, place)
        np.testing.assert_array_equal(found, found.transpose(*found.dims[:3], "other_method", "method"))


def test_maps_are_compared_with_another_patient_s_and_with_the_mean(audited: Run, maps: dict[str, np.ndarray]) -> None:
    partner = pd.read_parquet(audited.path / "partners.parquet").set_index(["row", "place"])["partner_row"].unstack()[0]
    table = pd.read_parquet(audited.path / "tables/similarity_controls.parquet")
    for statistic, sign in product(("pearson", "spearman"), SIGNS):
        found = audited.store(f"similarity/controls/{statistic}").sel({"sign": sign})
        for row, name in product((0, 8), NAMES):
            scaled = [one / np.abs(one).sum() for one in np.delete(maps[name].astype(np.float64), row, axis=0)]
            for control, other in (("other_ecg", maps[name][partner[row]]), ("mean_map", np.mean(scaled, axis=0))):
                expected = scipys(maps[name][row], other, statistic, "ecg", sign)
                measured = float(found.sel({"method": name, "control": control})[row])
                assert measured == pytest.approx(expected, abs=1e-6), (row, name, control)
        mean = found.sel({"method": "saliency", "control": "mean_map"}).to_numpy().astype(float).mean()
        row = table.query("statistic == @statistic and sign == @sign and method == 'saliency' and map == 'mean_map'")
        assert row["value"].item() == pytest.approx(mean)
        assert row["n_patients"].item() + row["n_patients_without"].item() == 9


def test_the_table_has_each_pair_once_with_mean_interval_and_deviation(audited: Run) -> None:
    table = pd.read_parquet(audited.path / "tables/similarity.parquet")
    assert len(table) == 2 * 2 * 2 * 28
    assert not table.duplicated(["statistic", "scope", "sign", "method", "other_method"]).any()
    patients = audited.examples["patient_id"].to_numpy()
    for row in table.sample(12, random_state=0).to_dict("records"):
        place = {key: row[key] for key in ("scope", "sign", "method", "other_method")}
        values = audited.store(f"similarity/{row['statistic']}").sel(place).to_numpy()
        expected = mean_over_ecgs(values, patients, n_resamples=200)
        assert row["correlation_mean"] == pytest.approx(float(values.mean(dtype=float)), abs=1e-7)
        assert row["correlation_sd"] == pytest.approx(float(values.std(ddof=1, dtype=float)), abs=1e-7)
        assert row["correlation_low"] == pytest.approx(float(expected.low), abs=1e-7)
        assert row["correlation_high"] == pytest.approx(float(expected.high), abs=1e-7)
        assert (row["n_ecgs"], row["n_undefined"], row["confidence"]) == (9, 0, 0.95)
    assert (table["correlation_low"] <= table["correlation_mean"]).all()
    assert (table["correlation_mean"] <= table["correlation_high"]).all()


def test_only_stochastic_maps_are_corrected_for_their_noise(audited: Run) -> None:
    table = pd.read_parquet(audited.path / "tables/similarity.parquet")
    noise = np.sqrt(audited.store("reliability/smoothgrad").to_numpy())
    assert noise.max() < 1
    values = audited.store("similarity/pearson").sel({"scope": "ecg", "sign": "native", "method": "saliency"})
    pearson = table[(table["statistic"] == "pearson") & (table["scope"] == "ecg") & (table["sign"] == "native")]
    found = pearson[pearson["method"] == "saliency"].set_index("other_method")["disattenuated_median"]
    assert found["smoothgrad"] == pytest.approx(np.median(values.sel({"other_method": "smoothgrad"}) / noise), abs=1e-6)
    assert found["gradcam"] == pytest.approx(float(np.median(values.sel({"other_method": "gradcam"}))), abs=1e-6)
    assert table["disattenuated_median"].notna().sum() == 28


def test_pictures_and_table_are_kept_and_logged(audited: Run) -> None:
    names = [f"{statistic}_{sign}" for statistic in ("pearson", "spearman") for sign in SIGNS]
    for suffix in ("png", "svg"):
        assert {path.name for path in (audited.path / "figures/similarity").glob(f"*.{suffix}")} == {
            f"{name}.{suffix}" for name in names
        }
    (folder,) = (audited.path / "wandb").glob("offline-run-*")
    assert len(list((folder / "files/media/images/similarity").glob("*.png"))) == 4
    assert list((folder / "files/media/table").glob("similarity_*.json"))
    svg = (audited.path / "figures/similarity/pearson_native.svg").read_text()
    assert svg.count("smoothed random") >= 1
    assert "correlation (signed)" in svg
    assert "native" not in svg


def test_a_finished_audit_measures_nothing_again(
    audited: Run, arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (audited.path / "tables/similarity.parquet").read_bytes()

    def refuse(*_: object) -> None:
        raise AssertionError("a finished row was measured again")

    monkeypatch.setattr(callbacks.method_similarity, "similarity_matrices", refuse)
    monkeypatch.setattr(MapComputation, "_explain", refuse)
    main([*arguments, "--trainer.logger", "false"])
    assert (audited.path / "tables/similarity.parquet").read_bytes() == before


@dataclass(frozen=True)
class Flat(SinglePassMethod):
    """The ECG itself, but for one ECG whose map is constant; known by its first value."""

    flat: float

    name = "flat"
    unit = "mV"
    needs_module_relu = False

    def _attribute(self, task: FrozenModel, ecg: Tensor, key: RandomKey) -> Tensor:
        return torch.where((ecg[:, :1, :1] == self.flat), 0.1, ecg)


@pytest.fixture
def first_values(trained: Workplace) -> list[float]:
    module = datamodule(trained)
    module.prepare_data()
    module.setup("test")
    return [float(module.dataset("test")[row]["ecg"].reshape(8, 600)[0, 0]) for row in range(9)]


@pytest.mark.usefixtures("with_figures")
def test_constant_maps_are_counted_told_and_left_out_of_means(
    trained: Workplace, tmp_path: Path, first_values: list[float]
) -> None:
    maps = AttributionMaps(["saliency", Flat(first_values[3])], ["absolute_input"])
    audit = MethodSimilarity(statistics=["spearman"], n_resamples=100)
    with pytest.warns(
        UserWarning, match=r"MethodSimilarity: 8 of 108 similarities are undefined.*\(flat in 1 of 9 ECGs"
    ):
        path = run_test(trained, tmp_path, small(), maps, LogitsAndMetrics(), audit)
    table = pd.read_parquet(path / "tables/similarity.parquet")
    with_flat = (table["method"] == "flat") | (table["other_method"] == "flat")
    assert table[with_flat]["n_undefined"].tolist() == [1] * 8
    assert table[~with_flat]["n_undefined"].tolist() == [0] * 4
    assert (table["n_ecgs"] + table["n_undefined"] == 9).all()
    assert table["correlation_mean"].notna().all()
    found = open_run(path).store("similarity/spearman").to_numpy()
    assert np.isnan(found[3, :, :, 1]).all()
    assert np.isfinite(np.delete(found, 3, axis=0)).all()


@pytest.mark.usefixtures("with_figures")
def test_a_network_that_never_moves_gives_nan_and_a_clear_message(trained: Workplace, tmp_path: Path) -> None:
    network = small()
    with torch.no_grad():
        network.linear.weight.zero_()
    audit = MethodSimilarity(n_resamples=100)
    with pytest.warns(UserWarning, match=r"undefined, because a map is constant.*saliency in 9 of 9 ECGs"):
        path = run_test(trained, tmp_path, network, AttributionMaps(["saliency", "gradcam"], ["random"]), audit)
    table = pd.read_parquet(path / "tables/similarity.parquet")
    assert table["correlation_mean"].isna().all()
    assert (table["n_ecgs"] == 0).all()
    assert (path / "figures/similarity/pearson_native.png").is_file()


def test_maps_that_vary_in_different_leads_are_told_too(tmp_path: Path) -> None:
    maps = torch.randn(6, 2, 8, 600, generator=torch.Generator().manual_seed(0))
    maps[2, 0, :4], maps[2, 1, 4:] = 0.0, 0.0
    dims, names = ("row", "scope", "sign", "method", "other_method"), ("a", "b")
    store = RowStore.create(tmp_path / "pearson", StoreSpec(dims, (6, 2, 2, 2, 2)))
    store.write(np.arange(6), similarity_matrices(maps, ["pearson"])["pearson"].numpy())
    tested = AuditedRun(names, (), pd.DataFrame({"patient_id": np.arange(6).astype(object)}), 100, 0.9, 0, "six ECGs")
    table = similarity_table({"pearson": store}, tested, None)
    assert table.set_index(["scope", "sign"])["n_undefined"].to_dict() == {
        (scope, sign): int(scope == "lead") for scope, sign in product(SCOPES, SIGNS)
    }
    told = warning_of({"pearson": store}, table, names)
    assert told is not None
    lead = caption(
        select(table, "pearson", "lead", "native"), "points", "without smoothing", 6, "2 of them with the diagnosis"
    )
    assert "*: undefined for some ECGs, which are left out, so that 5 or more count. No similarity" in lead
    assert "undefined" not in caption(
        select(table, "pearson", "ecg", "native"), "points", "without smoothing", 6, "2 of them with the diagnosis"
    )
    assert told.startswith("2 of 24 similarities are undefined, because no lead varies in both maps")


def test_another_smoothing_knows_no_reliability(trained: Workplace, tmp_path: Path) -> None:
    audit = MethodSimilarity(window=None, statistics=["pearson"], n_resamples=100)
    path = run_test(trained, tmp_path, small(), AttributionMaps(["saliency", "gradcam"], []), LogitsAndMetrics(), audit)
    table = pd.read_parquet(path / "tables/similarity.parquet")
    assert table["disattenuated_median"].isna().all()
    run = open_run(path)
    a, b = (run.maps[name].to_numpy()[4].ravel().astype(float) for name in ("saliency", "gradcam"))
    found = run.store("similarity/pearson").sel({"scope": "ecg", "sign": "native", "method": "saliency"})[4, 1]
    assert float(found) == pytest.approx(np.corrcoef(a, b)[0, 1], abs=1e-6)
    assert not (path / "similarity/spearman").exists()


def test_what_cannot_be_compared_is_refused(trained: Workplace, tmp_path: Path) -> None:
    for window, order in ((30, 3), (3, 3), (5, -1)):
        with pytest.raises(ValueError, match=rf"an odd window and an order from 0 to window - 1, got {window} and"):
            MethodSimilarity(window, order)
    with pytest.raises(ValueError, match="expected the statistic to be one of pearson, spearman, got 'kendall'"):
        MethodSimilarity(statistics=["kendall"])  # type: ignore[list-item]
    for twice in ([], ["pearson", "pearson"]):
        with pytest.raises(ValueError, match="expected each statistic once"):
            MethodSimilarity(statistics=twice)  # type: ignore[arg-type]
    for audit, names, message in (
        (MethodSimilarity(), ["saliency"], "compares two methods or controls at least, got saliency"),
        (MethodSimilarity(601), ["saliency", "gradcam"], "a window of 601 samples is longer than a map of 600"),
    ):
        with pytest.raises(ValueError, match=message):
            run_test(trained, tmp_path, small(), AttributionMaps(names, []), audit)  # type: ignore[arg-type]
