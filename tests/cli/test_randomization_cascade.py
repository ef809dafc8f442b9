"""The randomisation cascade on a real network: stores, tables, and what a slow recomputation says."""

import copy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from scipy.signal import savgol_filter
from test_audit import run
from test_callbacks import datamodule
from workplace import Workplace

from callbacks import AttributionMaps, LogitsAndMetrics
from callbacks.randomization_cascade import RandomizationCascade
from ecg_lightning import open_run
from ecg_lightning.attribution.methods import SmoothGrad
from ecg_lightning.attribution.seeding import RandomKey
from ecg_lightning.experiments.example_choice import balanced_choice, patients_choice
from ecg_lightning.experiments.randomization.partial_similarity import covariate_basis, map_vectors
from ecg_lightning.experiments.randomization.random_models import permuted_tasks
from ecg_lightning.models import EcgClassifier

METHODS = ["saliency", "gradient_x_input", SmoothGrad(n_samples=8)]
DEPTHS = (1, 4, 9)
CONTROLS = ["random", "absolute_input"]
FEW = {"draws": 3, "full_repeats": 2, "draws_of_expensive_methods": 2, "expensive_from": 20}  # SmoothGrad is dear here
BASIS = "cascade/random_networks/reset_recalibrated"
KEPT = "cascade/random_networks/kept"


def cascade(**settings: object) -> RandomizationCascade:
    given = {"directions": ["from_output", "independent"], "depths": DEPTHS, "n_resamples": 100, **FEW, **settings}
    return RandomizationCascade(**given)  # type: ignore[arg-type]


def maps() -> AttributionMaps:
    return AttributionMaps(METHODS, CONTROLS)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def audited(trained: Workplace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(trained, tmp_path_factory.mktemp("cascade"), maps(), LogitsAndMetrics(), cascade())


def test_depth_0_is_1_and_its_logits_are_the_network_s(audited: Path) -> None:
    opened = open_run(audited)
    for statistic in ("pearson", "spearman"):
        store = opened.store(f"cascade/from_output/{statistic}")
        assert store.dims == ("row", "repeat", "sign", "method", "depth")
        assert list(store.coords["depth"].values) == [0, *DEPTHS]
        np.testing.assert_allclose(store.sel({"depth": 0}), 1.0, atol=1e-6)
        # a second draw only where every layer is random
        assert np.isfinite(store.sel({"repeat": 0})).all()
        np.testing.assert_array_equal(
            np.isfinite(store.sel({"repeat": 1})).all(("row", "sign", "method")), [1, 0, 0, 1]
        )
        # a control that does not know the network stays what it is, or is drawn anew
        np.testing.assert_allclose(store.sel({"method": "absolute_input", "repeat": 0}), 1.0, atol=1e-6)
        noise = store.sel({"method": "random", "sign": "native", "repeat": 0})[..., 1:]
        assert np.abs(noise).max() < 0.3
    logits = opened.store("cascade/from_output_logits")
    np.testing.assert_allclose(logits.sel({"depth": 0})[:, 0], opened.logits, atol=1e-4)
    assert np.abs(logits.sel({"depth": 9}) - logits.sel({"depth": 0})).max() > 0.01


def test_the_cascade_ends_in_the_random_networks_whose_batchnorms_are_kept(audited: Path) -> None:
    opened = open_run(audited)
    end = opened.store("cascade/from_output/pearson").sel({"depth": 9})
    for quantity, sign in (("signed", "native"), ("magnitude", "absolute")):
        np.testing.assert_allclose(opened.store(f"{KEPT}/{quantity}"), end.sel({"sign": sign}), atol=1e-6)


def test_random_networks_draw_by_draw(audited: Path) -> None:
    opened = open_run(audited)
    partial, between = opened.store(f"{BASIS}/partial"), opened.store(f"{BASIS}/between")
    assert partial.dims == ("row", "draw", "method")
    assert partial.sizes["draw"] == 3
    assert np.isfinite(partial.sel({"method": "saliency"})).all()
    # a dear method has fewer draws, and there is no network after the last one
    np.testing.assert_array_equal(np.isfinite(partial.sel({"method": "smoothgrad"})).all("row"), [1, 1, 0])
    np.testing.assert_array_equal(np.isfinite(between.sel({"method": "saliency"})).all("row"), [1, 1, 0])
    # draws differ from each other, and from those of the other policy
    first = partial.sel({"method": "saliency", "draw": 0})
    for other in (partial.sel({"draw": 1}), opened.store(f"{KEPT}/partial").sel({"draw": 0})):
        assert (np.abs(first.to_numpy() - other.sel({"method": "saliency"}).to_numpy()) > 1e-4).all()
    # |ECG| stays what it is, and has nothing beyond itself
    assert np.isnan(partial.sel({"method": "absolute_input"})).all()
    np.testing.assert_allclose(opened.store(f"{BASIS}/magnitude").sel({"method": "absolute_input"}), 1.0, atol=1e-9)
    assert np.abs(partial.sel({"method": "random"})).max() < 0.3


def test_a_random_network_is_what_a_slow_recomputation_gives(trained: Workplace, audited: Path) -> None:
    """A new network with weights of the keys and statistics of the training ECGs; the gradient by autograd."""
    module = datamodule(trained)
    module.prepare_data()
    module.setup("test")
    network = EcgClassifier.load_from_checkpoint(trained.run() / "checkpoints/best.ckpt").network.eval()
    random = copy.deepcopy(network)
    for norm in (one for one in random.modules() if isinstance(one, torch.nn.BatchNorm1d)):
        norm.reset_parameters()
        norm.momentum = None
    for name in [f"blocks.{k}.conv{c}" for k in range(4) for c in (1, 2)] + ["linear"]:
        draw = "from_output, reset_recalibrated"
        torch.manual_seed(RandomKey(purpose=f"weights of {name}", direction=draw, repeat=1).seed)
        random.get_submodule(name).reset_parameters()
    train = torch.cat(
        [one["ecg"] for one in (module.dataset("train")[k] for k in range(len(module.examples("train"))))]
    )
    for norm in (one for one in random.modules() if isinstance(one, torch.nn.BatchNorm1d)):
        norm.train()
    with torch.no_grad():
        random(train)  # fewer than 256: all of them
    row = 5
    ecg = module.dataset("test")[row]["ecg"]
    maps = []
    for one in (network, random.eval()):
        probe = ecg.clone().requires_grad_()
        one(probe).sum().backward()
        maps.append(probe.grad[0].abs())
    covariates = torch.stack([ecg[0].abs(), torch.gradient(ecg[0], spacing=1 / 500, dim=-1)[0].abs()])
    basis = covariate_basis(covariates)
    trained_map, random_map = (map_vectors(one, basis) for one in maps)
    expected = float(trained_map.correlation(random_map).partial)
    found = open_run(audited).store(f"{BASIS}/partial").sel({"method": "saliency", "draw": 1})[row]
    assert float(found) == pytest.approx(expected, abs=1e-4)


def test_a_row_is_what_a_slow_recomputation_gives(trained: Workplace, audited: Path) -> None:
    """Layers reset by hand, in the order in which the network executes them; the gradient by autograd."""
    module = datamodule(trained)
    module.prepare_data()
    module.setup("test")
    network = EcgClassifier.load_from_checkpoint(trained.run() / "checkpoints/best.ckpt").network.eval()
    names = [f"blocks.{k}.conv{c}" for k in range(4) for c in (1, 2)] + ["linear"]
    row, depth = 5, 4
    ecg = module.dataset("test")[row]["ecg"]
    random = copy.deepcopy(network)
    for name in names[-depth:]:
        torch.manual_seed(RandomKey(purpose=f"weights of {name}", direction="from_output").seed)
        random.get_submodule(name).reset_parameters()
    smooth = []
    for one in (network, random):
        probe = ecg.clone().requires_grad_()
        one(probe).sum().backward()
        smooth.append(savgol_filter(probe.grad[0].abs().double().numpy(), 31, 3, axis=-1).ravel())
    opened = open_run(audited)
    for statistic, correlate in (("pearson", stats.pearsonr), ("spearman", stats.spearmanr)):
        store = opened.store(f"cascade/from_output/{statistic}")
        found = store.sel({"method": "saliency", "depth": depth, "sign": "native"})[row, 0]
        assert float(found) == pytest.approx(correlate(*smooth)[0], abs=1e-4)
    logit = opened.store("cascade/from_output_logits").sel({"depth": depth})[row, 0]
    assert float(logit) == pytest.approx(float(random(ecg).detach()), abs=1e-4)


def test_tables_and_pictures(audited: Path) -> None:
    table = pd.read_parquet(audited / "tables/cascade.parquet")
    opened = open_run(audited)
    row = table.set_index(["direction", "statistic", "sign", "method", "depth"]).loc[
        ("from_output", "pearson", "native", "saliency", 9)
    ]
    values = opened.store("cascade/from_output/pearson").sel({"method": "saliency", "sign": "native", "depth": 9})
    assert row["similarity"] == pytest.approx(float(values.mean()), abs=1e-6)
    assert row["low"] <= row["similarity"] <= row["high"]
    assert (row["batchnorm"], row["n_patients"]) == ("kept", opened.examples["patient_id"].nunique())
    assert row["layer"] == "blocks.0.conv1"
    ceilings = table[(table["sign"] == "native") & (table["statistic"] == "pearson")].groupby("method")["ceiling"].max()
    assert 0 < ceilings["smoothgrad"] < 1
    assert np.isnan(ceilings["saliency"])
    network = pd.read_parquet(audited / "tables/cascade_network.parquet")
    start = network[(network["direction"] == "from_output") & (network["depth"] == 0)]["auroc"].item()
    assert start == pytest.approx(opened.metrics["auroc"]["value"])
    for sign in ("native", "absolute"):
        assert (audited / f"figures/cascade/pearson_{sign}.png").stat().st_size > 10_000


def test_the_table_of_random_networks(audited: Path) -> None:
    table = pd.read_parquet(audited / "tables/random_networks.parquet")
    rows = table.set_index(["batchnorm", "quantity", "method"])
    values = open_run(audited).store(f"{BASIS}/partial").sel({"method": "saliency"}).to_numpy()  # (row, draw)
    own = rows.loc[("reset_recalibrated", "partial", "saliency")]
    assert own["mean"] == pytest.approx(values.mean())
    assert own["mean_abs"] == pytest.approx(np.abs(values).mean())
    assert own["sd_draws"] == pytest.approx(values.mean(0).std(ddof=1))
    assert (own["n_draws"], own["n_ecgs"], own["n_patients"], own["n_undefined"]) == (3, 9, 9, 0)
    # one network: the draws take the place of networks (VERDICTS, section 2)
    patients, draws = values.mean(1).var(ddof=1) / 9, values.mean(0).var(ddof=1) / 3
    share = np.array([patients, draws]) / (patients + draws)
    df = 1 / (share ** (2 - share) / (8, 2)).sum()
    half = stats.t.ppf(0.975, df) * np.sqrt(patients + draws)
    assert (own["low"], own["high"]) == pytest.approx((values.mean() - half, values.mean() + half))
    assert rows.loc[("reset_recalibrated", "partial", "smoothgrad"), "n_draws"] == 2
    undefined = rows.loc[("reset_recalibrated", "partial", "absolute_input")]
    assert np.isnan(undefined["mean"])
    assert undefined["n_undefined"] == 9 * 3
    assert set(table["batchnorm"]) == {"reset_recalibrated", "kept"}
    assert (audited / "figures/cascade/random_networks.png").stat().st_size > 10_000


def test_the_efficient_test_is_the_rise_of_entropy(audited: Path) -> None:
    found = open_run(audited).store("scores/efficient_mprt")
    np.testing.assert_allclose(found.sel({"method": "absolute_input"}), 0.0, atol=1e-6)
    assert np.isfinite(found).all()
    assert (found.sel({"method": "saliency"}) != 0).all()


def test_rows_do_not_depend_on_the_batch_and_are_not_measured_twice(
    trained: Workplace, audited: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RandomizationCascade, "rows_at_once", 1)
    monkeypatch.setattr(
        "ecg_lightning.experiments.randomization.random_models._KEPT_BYTES", 0
    )  # networks made anew each time
    other = run(trained, tmp_path, maps(), LogitsAndMetrics(), cascade())
    names = ("cascade/from_output/pearson", "cascade/independent/spearman", "cascade/from_output_logits")
    for name in (*names, f"{BASIS}/partial", f"{BASIS}/between"):
        one, many = (open_run(path).store(name).to_numpy() for path in (other, audited))
        np.testing.assert_allclose(one, many, atol=1e-5)
    monkeypatch.setattr(RandomizationCascade, "_measure", None)  # would fail if it were called
    run(trained, tmp_path, maps(), LogitsAndMetrics(), cascade())


def test_the_network_that_was_handed_in_is_untouched(trained: Workplace, tmp_path: Path) -> None:
    audit = cascade(directions=["from_output"], depths=[2], max_examples=4, smooth_draws=2, repeats=2)
    before = torch.get_rng_state()
    path = run(trained, tmp_path, maps(), LogitsAndMetrics(), audit)
    checkpoint = EcgClassifier.load_from_checkpoint(trained.run() / "checkpoints/best.ckpt").network
    for name, value in audit.maps.source_network.state_dict().items():
        assert torch.equal(value.cpu(), checkpoint.state_dict()[name]), name
    assert before is not None
    opened = open_run(path)
    found = opened.store("cascade/from_output_smooth/pearson")
    assert int(found.done.sum()) == 4
    label = opened.examples["label"].to_numpy()[found.done.to_numpy()]
    assert label.sum() == 2
    values = found[found.done.to_numpy()].sel({"method": "saliency", "sign": "native"})
    np.testing.assert_allclose(values.sel({"depth": 0}), 1.0, atol=1e-6)
    assert (np.abs(values.sel({"depth": 2}).to_numpy()[:, 0] - values.sel({"depth": 2}).to_numpy()[:, 1]) > 0).all()


def test_the_global_random_state_is_not_moved(trained: Workplace, tmp_path: Path) -> None:
    plain, with_cascade = [], []
    for states, extra in ((plain, []), (with_cascade, [cascade(depths=[1])])):
        torch.manual_seed(3)
        run(trained, tmp_path / str(len(extra)), AttributionMaps(["saliency"]), LogitsAndMetrics(), *extra)
        states.append(torch.get_rng_state())
    assert torch.equal(plain[0], with_cascade[0])


@pytest.mark.usefixtures("with_figures")
def test_a_network_trained_on_permuted_labels_is_a_second_check(trained: Workplace, tmp_path: Path) -> None:
    """The trained network itself in its place: every deterministic map is the same."""
    checkpoint = str(trained.run() / "checkpoints/best.ckpt")
    audit = cascade(directions=["from_output"], depths=[1], max_examples=3, permuted_checkpoints=[checkpoint])
    path = run(trained, tmp_path, maps(), LogitsAndMetrics(), audit)
    opened = open_run(path)
    for quantity in ("partial", "magnitude", "signed"):
        found = opened.store(f"cascade/permuted_labels/{quantity}")
        done = found[found.done.to_numpy()]
        np.testing.assert_allclose(done.sel({"method": "saliency"}), 1.0, atol=1e-4)
        assert (done.sel({"method": "smoothgrad"}) < 0.999).all()  # its noise is drawn anew
    table = pd.read_parquet(path / "tables/random_networks.parquet")
    assert set(table["batchnorm"]) == {"reset_recalibrated", "kept", "permuted_labels"}
    with pytest.raises(ValueError, match="holds another architecture than the tested network"):
        permuted_tasks(SimpleNamespace(task=audit.maps.task, source_network=torch.nn.ReLU()), [checkpoint])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"depths": [10]}, "9 layers with weights, so depths are 0 to 9"),
        ({"methods": ["deeplift"]}, "expected some of AttributionMaps' saliency, gradient_x_input"),
    ],
)
def test_what_the_network_or_the_maps_do_not_have(
    trained: Workplace, tmp_path: Path, settings: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        run(trained, tmp_path, maps(), LogitsAndMetrics(), cascade(**settings))


def test_impossible_settings() -> None:
    for settings, message in (
        ({"directions": ["sideways"]}, "a direction is one of"),
        ({"repeats": 0}, "expected repeats, full_repeats"),
        ({"draws": -1}, "draws and smooth_draws >= 0"),
        ({"depths": [1, 1]}, "distinct depths"),
        ({"max_examples": 1}, "max_examples >= 2"),
    ):
        with pytest.raises(ValueError, match=message):
            cascade(**settings)


def test_chosen_ecgs_are_balanced_and_do_not_depend_on_their_order() -> None:
    ids = [f"e{k}" for k in range(40)]
    label = np.where(np.arange(40) % 10 == 0, 1.0, 0.0)
    label[5] = np.nan
    chosen = balanced_choice(ids, label, 8)
    assert chosen.sum() == 8
    assert label[chosen].sum() == 4
    order = np.random.default_rng(0).permutation(40)
    again = balanced_choice([ids[k] for k in order], label[order], 8)
    assert {ids[k] for k in np.flatnonzero(chosen)} == {ids[k] for k in order[again]}
    assert balanced_choice(ids, label, 20)[label == 1].all()  # few with the diagnosis: all of them, the rest without
    assert balanced_choice(ids, label, None).all()
    assert not balanced_choice(ids, label, 39)[5]


def test_no_patient_is_chosen_twice_before_every_patient_is_once() -> None:
    """Few patients with the diagnosis, several ECGs each: the cascade counts patients of any label."""
    patients = [f"p{k // 4}" for k in range(20)] + [f"q{k // 2}" for k in range(60)]
    ids, label = [f"e{k}" for k in range(80)], np.arange(80) < 20
    chosen = patients_choice(ids, label.astype(float), 24, patients)
    taken = [patients[k] for k in np.flatnonzero(chosen)]
    assert len(set(taken)) == len(taken) == 24
    assert label[chosen].sum() == 5  # one of each
    order = np.random.default_rng(0).permutation(80)
    again = patients_choice([ids[k] for k in order], label[order].astype(float), 24, [patients[k] for k in order])
    assert {ids[k] for k in np.flatnonzero(chosen)} == {ids[k] for k in order[again]}
    more = patients_choice(ids, label.astype(float), 50, patients)  # more than there are patients
    assert more.sum() == 50
    assert {patients[k] for k in np.flatnonzero(more)} == set(patients)


def test_keys_of_the_cascade_differ_from_the_trained_map_s() -> None:
    key = RandomKey(method="smoothgrad", ecg_id="a")
    assert len({key.seed, replace(key, depth=1).seed, replace(key, depth=2, direction="from_output").seed}) == 3
