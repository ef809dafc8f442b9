"""Perturbation curves on a real network: stores, tables, and what a slow loop says."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from test_audit import run
from torchmetrics.functional.classification import binary_auroc, binary_average_precision
from workplace import Workplace

from callbacks import AttributionMaps, Figures, LogitsAndMetrics
from callbacks.perturbation_curves import PerturbationCurves
from ecg_lightning import open_run
from ecg_lightning.attribution.controls import CONTROLS
from ecg_lightning.attribution.seeding import RandomKey
from ecg_lightning.data.datamodule import EcgDataModule
from ecg_lightning.experiments.audited_run import AuditedRun
from ecg_lightning.experiments.perturbation.kinds import PerturbationKind
from ecg_lightning.experiments.perturbation.perturbed_logits import PerturbedLogits
from ecg_lightning.experiments.perturbation.tables import MapLogits
from ecg_lightning.models import EcgClassifier

METHODS = ["saliency", "gradcam"]
STEPS = 4
POINTS = PerturbationKind("point", noise="multiplicative", steps=STEPS, fraction_per_step=0.05)
BLOCKS = PerturbationKind(steps=STEPS, fraction_per_step=0.05)


def opened_split(place: Workplace) -> EcgDataModule:
    from test_callbacks import datamodule

    module = datamodule(place)
    module.prepare_data()
    module.setup("test")
    return module


@pytest.fixture(scope="module")
def audited(trained: Workplace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("perturbed")
    curves = PerturbationCurves([POINTS, BLOCKS], ["other_ecg", "mean_map"], n_resamples=100)
    return run(trained, folder, AttributionMaps(METHODS), LogitsAndMetrics(), curves, Figures(files=["png", "svg"]))


def slow_logit(
    place: Workplace, beat: np.ndarray, map_: np.ndarray, ecg_id: str, step: int, lerf: bool, kind: PerturbationKind
) -> float:
    """One ECG after one step, point by point or block by block, through the unfolded network."""
    ties, noise = (
        RandomKey(0, ecg_id=ecg_id, purpose=f"perturbation {what}").normal(8, 600).numpy() for what in ("ties", "noise")
    )
    size = {"point": 1, "block50": 25}[kind.unit]
    blocks = np.abs(map_).astype(float).reshape(8, -1, size).mean(axis=2).ravel()
    order = np.lexsort((ties.reshape(8, -1, size).mean(axis=2).ravel(), -blocks))
    count = round(4800 * 0.05 * step / size)
    chosen = np.zeros(len(blocks), dtype=bool)
    chosen[order[::-1][:count] if lerf else order[:count]] = True
    chosen = np.repeat(chosen, size).reshape(8, 600)
    result, time = beat.copy(), np.arange(600)
    for lead in range(8):
        out = chosen[lead]
        line = np.interp(time, time[~out], beat[lead, ~out]) if not out.all() else np.zeros(600)
        sigma = 0.25 if kind.noise == "multiplicative" else 0.0
        result[lead, out] = (line * (1 + sigma * noise[lead]))[out]
    network = EcgClassifier.load_from_checkpoint(place.run() / "checkpoints/best.ckpt").network.eval()
    with torch.no_grad():
        return float(network(torch.from_numpy(result[None]).float()).reshape(()))


def test_logits_are_those_of_a_slow_loop(trained: Workplace, audited: Path) -> None:
    module = opened_split(trained)
    opened = open_run(audited)
    partners = pd.read_parquet(audited / "partners.parquet").query("place == 0").set_index("row")["partner_row"]
    for row, name, step, order, kind, control in (
        (0, "saliency", 4, "morf", POINTS, None),
        (5, "gradcam", 2, "lerf", POINTS, None),
        (8, "absolute_input", 1, "morf", POINTS, None),
        (3, "saliency", 3, "morf", BLOCKS, None),
        (5, "gradcam", 2, "lerf", BLOCKS, None),
        (4, "saliency", 2, "morf", BLOCKS, "other_ecg"),
        (6, "absolute_input", 3, "lerf", BLOCKS, "other_ecg"),
    ):
        of = row if control is None else int(partners[row])
        beat, others = (module.dataset("test")[one]["ecg"][0].numpy().astype(float) for one in (row, of))
        map_ = np.abs(others) if name == "absolute_input" else opened.maps[name][of].to_numpy()
        ecg_id = str(opened.examples["ecg_id"][row])
        expected = slow_logit(trained, beat, map_.astype(np.float32), ecg_id, step, order == "lerf", kind)
        store = f"perturbation/{kind.name}/" + (order if control is None else f"controls/{order}")
        chosen = {"method": name, "step": step} | ({} if control is None else {"control": control})
        assert float(opened.store(store).sel(chosen)[row]) == pytest.approx(expected, abs=1e-4), (row, name, kind.name)


def test_step_zero_is_the_untouched_beat(audited: Path) -> None:
    opened = open_run(audited)
    for order in ("morf", "lerf"):
        for kind in (POINTS, BLOCKS):
            start = opened.store(f"perturbation/{kind.name}/{order}").sel({"step": 0}).to_numpy()
            np.testing.assert_allclose(start, np.tile(opened.logits.to_numpy()[:, None], len(METHODS) + 4), atol=1e-4)
            far = opened.store(f"perturbation/{kind.name}/{order}_distance").sel({"step": 0, "method": "gradcam"})
            assert float(far.median()) == pytest.approx(1.0, rel=1e-4)  # of the test ECGs themselves
        others = opened.store(f"perturbation/{BLOCKS.name}/controls/{order}")
        assert others.coords["control"].to_numpy().tolist() == ["other_ecg", "mean_map"]
        start = others.sel({"step": 0, "control": "mean_map", "method": "saliency"})
        np.testing.assert_allclose(start, opened.logits, atol=1e-4)


def test_tables_hold_the_scores_of_the_stores(audited: Path) -> None:
    opened = open_run(audited)
    table = pd.read_parquet(audited / "tables/perturbation.parquet")
    assert set(table["method"]) == {*METHODS, *CONTROLS}
    assert set(table[table["control"]]["method"]) == set(CONTROLS)
    assert set(table["kind"] + "/" + table["map"]) == {
        f"{POINTS.name}/own",
        *(f"{BLOCKS.name}/{one}" for one in ("own", "other_ecg", "mean_map")),
    }
    label = torch.tensor(opened.examples["label"].to_numpy()).long()
    untouched = torch.tensor(opened.logits.to_numpy()).double()
    rows = table.set_index(["kind", "map", "order", "method", "step", "metric"])["value"]
    for kind, folder, what, chosen in (
        (POINTS, "morf", "own", {}),
        (BLOCKS, "controls/morf", "other_ecg", {"control": "other_ecg"}),
    ):
        store = opened.store(f"perturbation/{kind.name}/{folder}").sel({"method": "saliency", "step": 3} | chosen)
        perturbed = torch.tensor(store.to_numpy()).double()
        known = perturbed.isfinite()
        logits, label_, before = perturbed[known], label[known], untouched[known]
        found = rows[kind.name, what, "morf", "saliency", 3]
        assert found["auroc"] == pytest.approx(float(binary_auroc(logits.sigmoid(), label_)))
        assert found["auprc"] == pytest.approx(float(binary_average_precision(logits.sigmoid(), label_)))
        assert found["probability"] == pytest.approx(float(logits.sigmoid()[label_ == 1].mean()))
        assert found["probability_negatives"] == pytest.approx(float(logits.sigmoid()[label_ == 0].mean()))
        for metric, perturbed_class in (("auroc_positives", 1), ("auroc_negatives", 0)):
            mixed = torch.where(label_ == perturbed_class, logits, before).sigmoid()
            assert found[metric] == pytest.approx(float(binary_auroc(mixed, label_)), abs=1e-3), metric
    own = table[table["map"] == "own"]
    wide = own[(own["metric"] == "auroc") & (own["step"] == 0)]
    assert wide["value"].nunique() == 1
    assert (wide["n_ecgs"] == len(label)).all()
    assert (wide["n_patients_with"] == opened.examples[label.numpy() == 1]["patient_id"].nunique()).all()
    bounded = table.dropna(subset=["low"])
    assert (bounded["low"] <= bounded["value"] + 1e-9).all()
    assert (bounded["value"] <= bounded["high"] + 1e-9).mean() > 0.9  # an AUROC of 1 has an interval below it
    assert (table[table["metric"] == "auroc"]["undefined"] < 100).all()


def test_the_summary_has_the_areas_of_every_map(audited: Path) -> None:
    summary = pd.read_parquet(audited / "tables/perturbation_summary.parquet")
    curves = pd.read_parquet(audited / "tables/perturbation.parquet")
    keys = ["kind", "map", "method", "metric"]
    assert not summary.duplicated(keys).any()
    rows = summary.set_index(keys)
    points = curves.set_index([*keys, "order"]).sort_index()
    for key in ((BLOCKS.name, "other_ecg", "gradcam", "probability"), (POINTS.name, "own", "random", "auroc")):
        morf, lerf = (points.loc[(*key, order)].sort_values("step")["value"].to_numpy() for order in ("morf", "lerf"))
        assert rows.loc[key, "abpc"] == pytest.approx(np.trapezoid(lerf - morf) / STEPS)
        assert rows.loc[key, "abpc_low"] <= rows.loc[key, "abpc"] <= rows.loc[key, "abpc_high"]
    assert not {"p_holm", "beats_controls"} & set(summary)


def test_pictures_are_there(audited: Path) -> None:
    for name in ("auroc", BLOCKS.name, f"{BLOCKS.name}_classes"):
        for suffix in ("png", "svg"):
            assert (audited / f"figures/perturbation/{name}.{suffix}").stat().st_size > 10_000


def test_rows_do_not_depend_on_the_batch_and_are_not_measured_twice(
    trained: Workplace, audited: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PerturbationCurves, "rows_at_once", 1)
    monkeypatch.setattr("ecg_lightning.experiments.perturbation.perturbed_logits._FLOATS_AT_ONCE", 1)
    curves = PerturbationCurves([POINTS, BLOCKS], n_resamples=100)
    other = run(trained, tmp_path, AttributionMaps(METHODS), LogitsAndMetrics(), curves)
    for name in (f"{POINTS.name}/morf", f"{BLOCKS.name}/morf", f"{BLOCKS.name}/lerf", f"{BLOCKS.name}/controls/morf"):
        one, many = (open_run(path).store(f"perturbation/{name}") for path in (other, audited))
        many = many.sel({"control": ["other_ecg"]}) if "control" in many.dims else many
        np.testing.assert_array_equal(one.to_numpy(), many.to_numpy())
    added = PerturbationKind("wave", "zero", steps=2)
    asked = []
    measure = PerturbedLogits.measure

    def only_the_new(self: PerturbedLogits, kind: PerturbationKind, *arguments: object, **more: bool) -> object:
        asked.append(kind)
        return measure(self, kind, *arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(PerturbedLogits, "measure", only_the_new)
    wider = PerturbationCurves([POINTS, BLOCKS, added], n_resamples=100)
    run(trained, tmp_path, AttributionMaps(METHODS), LogitsAndMetrics(), wider)
    assert set(asked) == {added}


@pytest.mark.usefixtures("with_figures")
def test_other_replacements(trained: Workplace, tmp_path: Path) -> None:
    kinds = [
        PerturbationKind("wave", "zero", steps=1, fraction_per_step=1.0),
        PerturbationKind("point", "class_mean", steps=1, fraction_per_step=1.0),
        PerturbationKind("block100", "conditional", "additive_lead_std", steps=2, ranking="signed", orders=["morf"]),
    ]
    opened = open_run(run(trained, tmp_path, AttributionMaps(METHODS), LogitsAndMetrics(), PerturbationCurves(kinds)))
    module = opened_split(trained)
    train = module.dataset("train")
    beats = train.__getitems__(list(range(len(train))))
    means = [beats["ecg"][beats["label"] == label].mean(0) for label in (0, 1)]
    network = EcgClassifier.load_from_checkpoint(trained.run() / "checkpoints/best.ckpt").network.eval()
    with torch.no_grad():
        silent, typical = (float(network(one[None])) for one in (torch.zeros(8, 600), (means[0] + means[1]) / 2))
    for kind, expected in zip(kinds[:2], (silent, typical), strict=True):
        last = opened.store(f"perturbation/{kind.name}/lerf").sel({"step": 1}).to_numpy()
        np.testing.assert_allclose(last, expected, atol=1e-4, err_msg=kind.name)
    filled = opened.store(f"perturbation/{kinds[2].name}/morf").to_numpy()
    assert np.isfinite(filled).all()
    assert np.ptp(filled[:, :, 2], axis=1).min() > 0


def test_twins_need_simulated_ecgs(trained: Workplace, tmp_path: Path) -> None:
    curves = PerturbationCurves([PerturbationKind(replacement="twin")])
    with pytest.raises(ValueError, match="perturbation by twins needs simulated ECGs"):
        run(trained, tmp_path, AttributionMaps(METHODS), LogitsAndMetrics(), curves)


@pytest.mark.usefixtures("with_figures")
def test_constant_maps_have_no_curve(trained: Workplace, tmp_path: Path) -> None:
    curves = PerturbationCurves([PerturbationKind(steps=2, orders=["morf"])], n_resamples=100)
    maps = AttributionMaps(["saliency"], controls=["random"])
    original = maps.on_test_batch_end

    def flatten(*arguments: object) -> None:
        original(*arguments)  # type: ignore[arg-type]
        arguments[2]["maps"]["saliency"][:] = 1.0  # type: ignore[index]

    maps.on_test_batch_end = flatten  # type: ignore[method-assign, assignment]
    with pytest.warns(UserWarning, match=r"rank nothing and have no curve \(saliency: 9 ECGs\)"):
        path = run(trained, tmp_path, maps, LogitsAndMetrics(), curves)
    found = open_run(path).store(f"perturbation/{BLOCKS.name}/morf")
    assert np.isnan(found.sel({"method": "saliency"})).all()
    assert np.isfinite(found.sel({"method": "random"})).all()


@pytest.mark.parametrize("kind", [0.0, 1.0, np.nan])
def test_ecgs_of_one_class_have_a_probability_and_no_auroc(kind: float) -> None:
    label, patients = np.full(6, kind), np.array(list("aabbcd"), dtype=object)
    examples = pd.DataFrame({"label": label, "patient_id": patients})
    tested = AuditedRun(["saliency", "random"], ["random"], examples, 100, 0.95, 0, "one class")
    logits = {order: np.random.default_rng(len(order)).normal(size=(6, 2, STEPS + 1)) for order in BLOCKS.orders}
    one = MapLogits(BLOCKS, "own", logits, {}, tested)
    rows = one.curve_table.set_index(["metric", "order", "method", "step"]).sort_index()
    assert rows.loc[("auroc", "morf", "saliency", 2), "undefined"] == 100
    for name, of_class in (("probability", 1.0), ("probability_negatives", 0.0)):
        expected = (1 / (1 + np.exp(-logits["morf"][:, 0, 2]))).mean() if kind == of_class else np.nan
        assert rows.loc[(name, "morf", "saliency", 2), "value"] == pytest.approx(expected, nan_ok=True)
    assert one.summary().loc[lambda table: table["metric"] == "auroc", "abpc"].isna().all()


def test_impossible_settings() -> None:
    with pytest.raises(ValueError, match="of different unit"):
        PerturbationCurves([BLOCKS, PerturbationKind(steps=2)])
    with pytest.raises(ValueError, match="patient_controls are some of"):
        PerturbationCurves(patient_controls=["twin"])  # type: ignore[list-item]
