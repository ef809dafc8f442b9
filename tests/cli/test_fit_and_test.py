"""``fit`` and ``test`` on the shipped YAML, from recordings to maps, and what they leave on disk."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from torchmetrics.functional.classification import binary_auroc, binary_f1_score
from workplace import TARGET, Workplace

from ecg_lightning import open_run
from ecg_lightning.attribution import METHODS
from ecg_lightning.cli import main
from ecg_lightning.models import EcgClassifier
from ecg_lightning.runs.checkpoints import CheckpointError
from ecg_lightning.runs.same_run import RunMismatchError
from ecg_lightning.storage.readers import DamagedFileError
from ecg_lightning.storage.store import StoreMismatchError


def wandb_runs(run: Path) -> dict[str, tuple[str, set[str]]]:
    """Offline runs below a run folder as ``wandb leet inspect`` reads them: job type -> group, logged keys."""
    found = {}
    for folder in sorted((run / "wandb").glob("offline-run-*")):
        command = [Path(sys.executable).with_name("wandb"), "leet", "inspect", "--json", str(folder)]
        told = subprocess.run(command, capture_output=True, text=True, check=True)
        records = [json.loads(line) for line in told.stdout.splitlines()]
        (begun,) = (record["run"] for record in records if record["type"] == "run")
        # media keys have their properties behind a dot
        items = [record["history"]["item"] for record in records if record["type"] == "history"]
        keys = {key.partition(".")[0] for item in items for key in item}
        found[begun["job_type"]] = (begun["run_group"], keys)
    return found


def test_fit_leaves_what_the_contract_says(trained: Workplace) -> None:
    run = trained.run()
    for name in ("fit.yaml", "fit.done.json", "checkpoints/best.ckpt", "checkpoints/last.ckpt"):
        assert (run / name).is_file(), name
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == ["best.ckpt", "last.ckpt"]
    assert json.loads((run / "fit.done.json").read_text())["epochs"] == 3
    config = yaml.safe_load((run / "fit.yaml").read_text())
    assert config["target"] == TARGET
    assert config["model"]["network"]["init_args"]["widths"] == [8, 16, 32, 64]
    splits = pd.read_parquet(run.parents[1] / "splits.parquet")
    assert splits.groupby("split").size().to_dict() == {"train": 72, "validation": 9, "test": 9}
    module = EcgClassifier.load_from_checkpoint(run / "checkpoints/best.ckpt")
    assert module.target == TARGET
    assert 0 < float(module.threshold) < 1


def test_test_leaves_twelve_complete_stores(tested: Workplace) -> None:
    run = open_run(tested.run())
    assert set(run.maps) == set(METHODS)
    for name, maps in run.maps.items():
        values = maps.to_numpy()
        assert values.shape == (9, 8, 600)
        assert np.isfinite(values).all(), name
        if name != "guided_gradcam":  # its CAM is rectified, and zero where the network finds nothing for the target
            assert (np.ptp(values.reshape(9, -1), axis=1) > 0).all(), name
    assert run.row_store("logits").complete
    assert list(run.examples["row"]) == list(range(9))
    assert len(list((tested.run() / "figures/maps").glob("*_overview.png"))) >= 2
    counted = pd.read_parquet(tested.run() / "tables/maps.parquet")
    assert counted["done"].tolist() == [9] * 12
    assert counted["not_finite"].sum() == 0


def test_metrics_are_those_of_torchmetrics_at_the_threshold_of_the_checkpoint(tested: Workplace) -> None:
    run = open_run(tested.run())
    threshold = float(EcgClassifier.load_from_checkpoint(run.checkpoint).threshold)
    probability = torch.sigmoid(torch.from_numpy(run.logits.to_numpy()).double())
    label = torch.from_numpy(run.examples["label"].to_numpy().astype(int))
    assert run.metrics["threshold"]["value"] == threshold
    assert run.metrics["auroc"]["value"] == pytest.approx(float(binary_auroc(probability, label)))
    assert run.metrics["f1"]["value"] == pytest.approx(float(binary_f1_score(probability, label, threshold)))
    for name in ("auroc", "auprc", "precision", "recall", "specificity", "accuracy", "f1", "f1_micro"):
        scored = run.metrics[name]
        assert scored["low"] <= scored["value"] <= scored["high"], name
    assert run.metrics["n_patients"] == 9


def test_completeness_is_recorded(tested: Workplace) -> None:
    run = open_run(tested.run())
    delta, expected = (np.abs(run.store(f"scores/completeness_{name}")) for name in ("delta", "expected"))
    limits = {"deeplift": 1e-5, "deeplift_shap": 1e-5, "shapley_sampling": 1e-5, "integrated_gradients": 0.05}
    for method, limit in limits.items():
        # `method` is an argument of xarray's `sel`, so the dimension goes in as a mapping
        ours, scale = (float(values.sel({"method": method}).median()) for values in (delta, expected))
        assert ours < limit * scale, method


def test_wandb_runs_are_joined_and_hold_curves_metrics_and_pictures(tested: Workplace) -> None:
    runs = wandb_runs(tested.run())
    assert set(runs) == {"fit", "test"}
    assert {group for group, _ in runs.values()} == {f"tiny/{TARGET}/seed0"}
    assert {"train/loss_epoch", "val/loss", "val/auroc", "val/auprc"} <= runs["fit"][1]
    assert {"test/auroc", "test/auroc_low", "test/f1_high"} <= runs["test"][1]
    pictured = {tuple(key.split("/")[1:]) for key in runs["test"][1] if key.startswith("maps/") and key.count("/") == 2}
    assert {name for name, _ in pictured} == {*METHODS, "overview"}
    assert {outcome for _, outcome in pictured} <= {
        f"{a}_{b}" for a in ("true", "false") for b in ("positive", "negative")
    }
    assert list((tested.run() / "wandb").glob("offline-run-*/files/media/images/maps/saliency/*.png"))
    assert list((tested.run() / "wandb").glob("offline-run-*/files/media/table/examples_*.json"))


def same_rows(first: Path, second: Path, tolerance: float) -> None:
    """Every row of every map store and of the logits within a tolerance of its maximum."""
    rows = wrong = 0
    for name in METHODS:
        a, b = (np.load(run / "maps" / name / "rows.npy").reshape(9, -1).astype(float) for run in (first, second))
        assert np.isfinite(a).all()
        off = np.abs(a - b).max(1) > tolerance * np.maximum(np.abs(a).max(1), 1e-30)
        rows, wrong = rows + len(a), wrong + int(off.sum())
    assert rows == 9 * len(METHODS)
    assert wrong <= 0.001 * rows, f"{wrong} of {rows} rows differ by more than {tolerance:g} of their maximum"


@pytest.mark.parametrize("batch", ["1", "16"])
def test_rows_do_not_depend_on_the_batch_size(tested: Workplace, batch: str) -> None:
    other = ("--data.eval_batch_size", batch, "--ckpt_path", str(tested.run() / "checkpoints/best.ckpt"))
    main(tested.arguments("test", *other, study=f"batch_{batch}", pictures=False))
    same_rows(tested.run(), tested.run(f"batch_{batch}"), 1e-5)


def test_rows_do_not_depend_on_the_batch_size_in_float64(tested: Workplace) -> None:
    checkpoint = str(tested.run() / "checkpoints/best.ckpt")
    double = ("--trainer.precision", "64-true", "--ckpt_path", checkpoint)
    main(tested.arguments("test", *double, study="double", pictures=False))
    main(tested.arguments("test", *double, "--data.eval_batch_size", "4", study="double_small", pictures=False))
    same_rows(tested.run("double"), tested.run("double_small"), 1e-6)


def test_a_finished_fit_is_left_alone(trained: Workplace, caplog: pytest.LogCaptureFixture) -> None:
    before = (trained.run() / "checkpoints/last.ckpt").stat().st_mtime_ns
    with caplog.at_level("INFO"):
        main(trained.arguments("fit", "--trainer.max_epochs", "3", "--data.batch_size", "24"))
    assert "is trained already with these settings; nothing to do" in caplog.text
    assert (trained.run() / "checkpoints/last.ckpt").stat().st_mtime_ns == before


def test_other_settings_in_the_run_folder_are_refused_and_named(trained: Workplace) -> None:
    with pytest.raises(RunMismatchError, match=r"data\.batch_size: 24 there, 12 now"):
        main(trained.arguments("fit", "--trainer.max_epochs", "3", "--data.batch_size", "12"))


def test_replace_moves_the_old_run_aside(tested: Workplace, copy_of: Callable[[Workplace], Workplace]) -> None:
    place = copy_of(tested)
    quick = ("--trainer.max_epochs", "1", "--data.batch_size", "12", "--trainer.logger", "false")
    main(place.arguments("fit", *quick, "--on_mismatch", "replace"))
    old = list(place.run().parent.glob("seed0.replaced-*"))
    assert len(old) == 1
    assert (old[0] / "maps/saliency/rows.npy").is_file()
    assert not (place.run() / "maps").exists()


def test_other_data_under_the_same_study_is_refused_before_a_run_is_moved_aside(
    trained: Workplace, copy_of: Callable[[Workplace], Workplace]
) -> None:
    """As a study does it that is started again with other settings: ``--on_mismatch replace``."""
    place = copy_of(trained)
    other = ("--data.split_seed", "3", "--data.neighbours", "blank", "--on_mismatch", "replace")
    message = (
        r'(?s)the study tiny .*splits\.parquet.*neighbours: "keep" then, "blank" now; data\.split_seed: 0 then, 3 now'
    )
    for seed in ("0", "1"):  # the run that is there, and a new one
        with pytest.raises(ValueError, match=message + r".* Use another --study"):
            main(place.arguments("fit", *other, "--seed_everything", seed, "--trainer.logger", "false"))
    assert [path.name for path in place.run().parent.iterdir()] == ["seed0"]
    assert (place.run() / "fit.done.json").is_file()


def test_maps_of_another_network_are_refused_and_kept(
    tested: Workplace, copy_of: Callable[[Workplace], Workplace]
) -> None:
    place = copy_of(tested)
    checkpoint = place.run() / "checkpoints/best.ckpt"
    content = torch.load(checkpoint, weights_only=True)
    content["state_dict"]["network.linear.bias"] += 1
    torch.save(content, checkpoint)
    before = (place.run() / "maps/saliency/rows.npy").read_bytes()
    with pytest.raises(DamagedFileError, match=r"best\.ckpt is damaged.*--ckpt_path last"):
        main(place.arguments("test", "--trainer.logger", "false"))
    (place.run() / "fit.done.json").unlink()  # which seals the checkpoint
    with pytest.raises(StoreMismatchError, match=r"maps/saliency"):
        main(place.arguments("test", "--trainer.logger", "false"))
    assert (place.run() / "maps/saliency/rows.npy").read_bytes() == before


def test_evaluation_needs_a_checkpoint_of_the_same_target(trained: Workplace) -> None:
    arguments = trained.arguments("test")
    arguments[arguments.index("--target") + 1] = "sinus_rhythm"
    best = str(trained.run() / "checkpoints/best.ckpt")
    with pytest.raises(CheckpointError, match=r"no checkpoint .*sinus_rhythm/seed0/checkpoints/best\.ckpt; train it"):
        main(arguments)
    with pytest.raises(CheckpointError, match=r"trained for sinus_tachycardia, this run is for sinus_rhythm"):
        main([*arguments, "--ckpt_path", best])
    arguments = trained.arguments("test", "--ckpt_path", best)
    arguments[arguments.index("--seed_everything") + 1] = "1"
    with pytest.raises(CheckpointError, match=r"trained with seed 0, this run is of seed 1: pass --seed_everything 0"):
        main(arguments)


def test_a_broken_checkpoint_is_named(trained: Workplace, tmp_path: Path) -> None:
    whole = (trained.run() / "checkpoints/best.ckpt").read_bytes()
    for name, content in {"short": whole[:5000], "empty": b"", "text": b"no checkpoint"}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(CheckpointError, match=rf"{name} can't be read as a checkpoint"):
            main(trained.arguments("test", "--ckpt_path", str(tmp_path / name)))


@pytest.mark.parametrize("stage", ["test", "predict", "validate"])
def test_beats_made_or_split_otherwise_are_refused_and_leave_the_run_alone(
    tested: Workplace, copy_of: Callable[[Workplace], Workplace], stage: str
) -> None:
    place = copy_of(tested)
    shutil.rmtree(place.run() / "maps")
    before = {path.name for path in place.run().iterdir()}, (place.run() / "test.yaml").read_text()
    with pytest.raises(ValueError, match=r'data\.neighbours: "keep" then, "blank" now'):
        main(place.arguments(stage, "--data.neighbours", "blank", "--trainer.logger", "false"))
    with pytest.raises(ValueError, match=r"data\.split_seed: 0 then, 3 now"):
        main(place.arguments(stage, "--data.split_seed", "3", "--trainer.logger", "false"))
    assert ({path.name for path in place.run().iterdir()}, (place.run() / "test.yaml").read_text()) == before


def test_other_backgrounds_only_redo_the_methods_that_use_them(tested: Workplace) -> None:
    specs = {name: open_run(tested.run()).row_store(f"maps/{name}").spec.settings for name in METHODS}
    assert {name for name, spec in specs.items() if "backgrounds" in spec} == {"gradient_shap", "deeplift_shap"}
    assert {name for name, spec in specs.items() if "layer" in spec} == {"gradcam", "guided_gradcam"}
    assert specs["gradcam"]["layer"] == "blocks.3"
    stochastic = {name for name, kind in METHODS.items() if kind.stochastic}
    assert {name for name, spec in specs.items() if "training_seed" in spec} == stochastic


def test_missing_arguments_are_named(trained: Workplace, capsys: pytest.CaptureFixture[str]) -> None:
    def without(name: str) -> list[str]:
        arguments = trained.arguments("fit")
        where = arguments.index(name)
        return arguments[:where] + arguments[where + 2 :]

    with pytest.raises(SystemExit):
        main(without("--target"))
    told = capsys.readouterr().err
    assert 'target": ' in told.replace("\n", " ")
    assert "pass --target, a target of the source" in told
    assert "left_bundle_branch_block" in told
    with pytest.raises(SystemExit, match=r"PtbXl reads files: pass --root FOLDER"):
        main(without("--root"))
    with pytest.raises(SystemExit):
        main([*without("--study"), "--study", "a/b"])
    assert "without a slash; got 'a/b'" in capsys.readouterr().err
    with pytest.raises(SystemExit):  # it names the run folder
        main([*without("--seed_everything"), "--seed_everything", "true"])
    assert "Expected a <class 'int'>. Got value: True" in capsys.readouterr().err


def test_validate_and_predict(tested: Workplace, copy_of: Callable[[Workplace], Workplace]) -> None:
    place = copy_of(tested)
    main(place.arguments("validate", "--trainer.logger", "false"))
    assert (place.run() / "validate.yaml").is_file()
    main(place.arguments("predict", "--trainer.logger", "false"))
    predictions = pd.read_parquet(place.run() / "predictions.parquet")
    run = open_run(place.run())
    np.testing.assert_allclose(predictions["logit"], run.logits.to_numpy(), rtol=1e-5, atol=1e-6)
    threshold = run.metrics["threshold"]["value"]
    assert (predictions["positive"] == (predictions["probability"] >= threshold)).all()
    assert not list(place.run().glob("predictions.*.parquet"))


def test_prepare(archive: Path, tmp_path: Path) -> None:
    config = str(Path(__file__).parents[2] / "configs/data/ptbxl.yaml")
    main(["prepare", "--config", config, "--root", str(archive), "--data.cache_dir", str(tmp_path)])
    (folder,) = (path for path in tmp_path.iterdir() if path.is_dir())
    assert len(np.load(folder / "beats.npy", mmap_mode="r")) == 90


def test_print_config_resolves_links(trained: Workplace, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main([*trained.arguments("fit"), "--print_config"])
    assert stop.value.code == 0
    config = yaml.safe_load(capsys.readouterr().out)
    assert config["early_stopping"]["patience"] == 5
    assert config["checkpoint"]["monitor"] == "val/loss"
