"""``tune``: from a trained run to settings that ``test`` takes."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from workplace import TARGET, Workplace

from ecg_lightning import open_run
from ecg_lightning.attribution import METHODS
from ecg_lightning.cli import main
from ecg_lightning.runs.checkpoints import CheckpointError

SMALL = (
    *("--tune.target_correlation", "0.9", "--tune.n_ecgs", "4", "--tune.max_samples", "80"),
    *("--tune.max_steps", "12", "--tune.max_forwards", "400", "--trainer.logger", "false"),
)
STOCHASTIC = {"smoothgrad", "ig_smoothgrad", "gradient_shap", "shapley_sampling"}


@pytest.fixture(scope="module")
def tuned(trained: Workplace) -> Workplace:
    """The trained run after ``tune``."""
    main(trained.arguments("tune", *SMALL, pictures=False))
    return trained


def methods_of(path: Path) -> dict[str, dict[str, Any] | None]:
    """Method -> hyperparameters."""
    methods: dict[str, dict[str, Any] | None] = yaml.safe_load(path.read_text(encoding="utf-8"))["maps"]["methods"]
    return methods


def test_curves_are_written_for_every_method_with_something_to_choose(tuned: Workplace) -> None:
    folder = tuned.run() / "tune"
    frame = pd.read_parquet(folder / "tune.parquet")
    assert set(frame["method"]) == {*STOCHASTIC, "integrated_gradients", "deeplift_shap"}
    assert frame.groupby(["method", "value"])["ecg_id"].nunique().eq(4).all()
    assert frame.drop_duplicates("ecg_id")["label"].value_counts().to_dict() == {0.0: 2, 1.0: 2}
    known = frame["reliability"].dropna()
    assert known.between(0, 1).all()
    np.testing.assert_allclose(frame["correlation"] ** 2, frame["reliability"])
    for name in ("curves.png", "curves.svg", "methods.yaml"):
        assert (folder / name).stat().st_size > 1000
    methods = pd.read_parquet(folder / "methods.parquet").set_index("method")
    assert list(methods.index) == list(METHODS)
    assert set(methods.index[methods["status"] == "exact"]) == set(METHODS) - set(frame["method"])
    assert (methods["seconds"] > 0).all()


def test_only_validation_ecgs_are_read_and_of_distinct_patients(tuned: Workplace) -> None:
    frame = pd.read_parquet(tuned.run() / "tune/tune.parquet")
    splits = pd.read_parquet(tuned.run().parents[1] / "splits.parquet").set_index("ecg_id")
    used = splits.loc[frame["ecg_id"].unique()]
    assert set(used["split"]) == {"validation"}
    assert used["patient_id"].is_unique


def test_the_chosen_setting_is_the_first_that_is_good_enough(tuned: Workplace) -> None:
    frame = pd.read_parquet(tuned.run() / "tune/tune.parquet")
    for name, curve in frame[frame["status"].isin(["chosen", "bound"])].groupby("method"):
        by_value = curve.groupby("value")["correlation"]
        enough = (by_value.median() >= 1 - 0.7 * 0.1) & (by_value.quantile(0.1) >= 0.9 - 0.05)
        assert curve.loc[curve["chosen"], "value"].unique().tolist() == [enough.index[-1]], name
        assert not enough.iloc[:-1].any(), name
        assert enough.iloc[-1] == (curve["status"].iloc[0] == "chosen"), name


def test_what_was_found_is_what_test_takes(tuned: Workplace, copy_of: Callable[[Workplace], Workplace]) -> None:
    """Every method is in the configuration with what was found, and maps come out with it."""
    place = copy_of(tuned)
    path = place.run() / "tune/methods.yaml"
    settings = pd.read_parquet(path.with_name("methods.parquet")).set_index("method")
    changed = methods_of(path)
    assert list(changed) == list(METHODS)
    assert changed["shapley_sampling"]["group_samples"] == 50
    for name, argument in (
        ("smoothgrad", "n_samples"),
        ("ig_smoothgrad", "n_samples"),
        ("integrated_gradients", "n_steps"),
    ):
        assert changed[name] == {argument: settings.loc[name, "value"]}
    # the run may have been tested with other settings before
    aside = ("--trainer.logger", "false", "--on_mismatch", "replace")
    main(place.arguments("test", "--config", str(path), *aside, pictures=False))
    run = open_run(place.run())
    assert set(run.maps) == set(METHODS)
    manifest = run.row_store("maps/smoothgrad").spec.settings
    assert manifest["n_samples"] == settings.loc["smoothgrad", "value"]
    reached = np.sqrt(pd.read_parquet(place.run() / "tables/maps.parquet").set_index("method")["reliability_median"])
    assert reached["smoothgrad"] > 0.9


def test_a_target_out_of_reach_keeps_the_bound_and_says_so(
    tuned: Workplace, copy_of: Callable[[Workplace], Workplace], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = copy_of(tuned)
    only = tmp_path / "one.yaml"
    only.write_text("maps: { attribution_seed: 3, methods: [smoothgrad, saliency] }\n")
    more = ("--tune.target_correlation", "0.9999", "--tune.max_samples", "32")
    with pytest.warns(
        UserWarning, match=r"smoothgrad does not reach a correlation of 0\.9999 with n_samples 32.*raise"
    ):
        main(place.arguments("tune", *SMALL, *more, "--config", str(only), pictures=False))
    text = (place.run() / "tune/methods.yaml").read_text()
    assert re.search(r"# TARGET NOT REACHED within the bound: .*\n +smoothgrad: {n_samples: 32}", text)
    assert yaml.safe_load(text)["maps"]["attribution_seed"] == 3
    chosen = {"smoothgrad": {"n_samples": 32}, "saliency": {}}
    assert methods_of(place.run() / "tune/methods.yaml") == dict.fromkeys(METHODS) | chosen
    assert "below target" in " ".join(capsys.readouterr().out.split())


def test_bad_input_is_told_before_anything_is_measured(trained: Workplace, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no checkpoint .*; train it first"):
        main(trained.arguments("tune", *SMALL, study="never_trained"))
    with pytest.raises(ValueError, match=r"tune\.target_correlation must be between 0 and 1 .*got 1\.5"):
        main(trained.arguments("tune", *SMALL, "--tune.target_correlation", "1.5", pictures=False))
    none = tmp_path / "none.yaml"
    none.write_text("maps: null\n")
    with pytest.raises(ValueError, match="tune measures the methods of the key `maps`, which is null"):
        main(trained.arguments("tune", *SMALL, "--config", str(none)))
    with pytest.raises(ValueError, match=r"data\.split_seed: 0 then, 3 now"):
        main(trained.arguments("tune", *SMALL, "--data.split_seed", "3", pictures=False))
    with pytest.raises(ValueError, match=r"5000 backgrounds of distinct patients were asked for"):
        main(trained.arguments("tune", *SMALL, "--data.n_backgrounds", "5000", pictures=False))
    assert TARGET in str(trained.run())
