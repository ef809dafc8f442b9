"""Safe and converged, from run folders whose stores and tables are known."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ecg_lightning.runs.run import open_run
from ecg_lightning.runs.target_runs import TargetRuns
from ecg_lightning.storage.store import RowStore, StoreSpec
from ecg_lightning.verdicts.preconditions import preconditions

N = 9
TARGET = "atrial_fibrillation"
DRAWS = {"attribution_seed": 0}
BACKGROUNDS = {"backgrounds": {"ecg_ids": ["a"]}}


def write(
    run: Path, name: str, values: np.ndarray, settings: dict | None = None, methods: tuple[str, ...] = ()
) -> None:
    dims = ("row", "method", "sample")[: values.ndim] if methods else ("row", "lead", "sample")[: values.ndim]
    spec = StoreSpec(
        dims=dims, shape=values.shape, coords={"method": list(methods)} if methods else {}, dtype="float64", unit="1",
        settings=settings or {}, network="n", examples="e",
    )  # fmt: skip
    store = RowStore.create(run / name, spec)
    store.write(np.arange(len(values)), values)
    store.merge()
    store.close()


def make(folder: Path, seed: int = 0, lint: dict[str, str] | None = None) -> Path:
    """A run with its examples and the linter's table."""
    run = folder / "runs/s" / TARGET / f"seed{seed}"
    (run / "tables").mkdir(parents=True)
    examples = {"row": range(N), "ecg_id": [f"e{k}" for k in range(N)], "patient_id": [f"p{k}" for k in range(N)]}
    pd.DataFrame(examples | {"label": np.arange(N) % 2, "age": 50.0, "sex": "female", "source": "s"}).to_parquet(
        run / "examples.parquet"
    )
    if lint is not None:
        table = {"method": list(lint), "verdict": list(lint.values()), "reasons": "a gate", "remedy": ""}
        pd.DataFrame(table).to_parquet(run / "tables/lint.parquet")
    return run


def maps(run: Path, method: str, **settings: object) -> None:
    write(run, f"maps/{method}", np.ones((N, 2, 3)), settings)


def found(*runs: Path) -> pd.DataFrame:
    opened = {int(run.name[4:]): open_run(run) for run in runs}
    return preconditions(TargetRuns.of(TARGET, opened)).set_index(["precondition", "method"])


def around(median: float) -> np.ndarray:
    """(n,) whose median is known, with one row that was not measured."""
    return np.append(median + np.linspace(-0.01, 0.01, N - 1), np.nan)


def test_a_map_without_draws_and_backgrounds_has_converged(tmp_path: Path) -> None:
    run = make(tmp_path, lint={"saliency": "safe"})
    maps(run, "saliency")
    row = found(run).loc[("converged", "saliency")]
    assert (row["state"], row["reason"]) == ("holds", "deterministic: no draws")
    assert found(run).loc[("safe", "saliency"), "state"] == "holds"


@pytest.mark.parametrize(
    ("draws", "backgrounds", "state", "value"),
    [
        (0.99, 0.985, "holds", 0.985),
        (0.99, 0.936, "does_not_hold", 0.936),
        (0.97, 0.99, "does_not_hold", 0.97),
        (0.97, None, "does_not_hold", 0.97),
        (0.99, None, "not_measured", np.nan),
        (None, 0.99, "not_measured", np.nan),
    ],
)
def test_both_reliabilities_decide(
    tmp_path: Path, draws: float | None, backgrounds: float | None, state: str, value: float
) -> None:
    run = make(tmp_path)
    maps(run, "gradient_shap", **DRAWS, **BACKGROUNDS)
    for store, median in (("reliability", draws), ("reliability_over_backgrounds", backgrounds)):
        if median is not None:
            write(run, f"{store}/gradient_shap", around(median))
    row = found(run).loc[("converged", "gradient_shap")]
    assert row["state"] == state
    assert row["value"] == pytest.approx(value, nan_ok=True)


def test_deeplift_shap_is_never_exact(tmp_path: Path) -> None:
    run = make(tmp_path)
    maps(run, "deeplift_shap", **BACKGROUNDS)
    row = found(run).loc[("converged", "deeplift_shap")]
    assert (row["state"], row["reason"]) == ("not_measured", "not measured with other backgrounds")


def test_it_holds_of_several_networks_where_it_holds_in_each(tmp_path: Path) -> None:
    runs = [make(tmp_path, seed) for seed in range(3)]
    for run, median in zip(runs, (0.995, 0.95, 0.97), strict=True):
        maps(run, "smoothgrad", **DRAWS)
        write(run, "reliability/smoothgrad", around(median))
    row = found(*runs).loc[("converged", "smoothgrad")]
    assert row["state"] == "does_not_hold"
    assert row["value"] == pytest.approx(0.95)
    assert row["reason"].endswith("0.950 (in 2 of 3 networks)")
    assert found(runs[0]).loc[("converged", "smoothgrad"), "state"] == "holds"


def completeness(run: Path, errors: dict[str, float]) -> None:
    """Median errors as shares of a median of 2 logits, the other half of the ECGs much worse or better."""
    spread = np.concatenate([np.full(N // 2, 0.01), [1.0], np.full(N // 2, 20.0)])
    delta = np.stack([2.0 * error * spread * (-1.0) ** np.arange(N) for error in errors.values()], axis=1)
    expected = np.repeat(np.linspace(-4.0, -0.0, N)[:, None], len(errors), axis=1)
    for name, values in (("delta", delta), ("expected", expected)):
        write(run, f"scores/completeness_{name}", values, methods=tuple(errors))


def test_all_test_ecgs_decide_what_the_linter_saw_on_four(tmp_path: Path) -> None:
    """Its doubts are about the sums too; a refusal is not."""
    verdicts = {"deeplift": "refused", "integrated_gradients": "safe", "shapley_sampling": "doubtful"}
    run = make(tmp_path, lint=verdicts | {"gradcam": "doubtful"})
    for method in ("integrated_gradients", "shapley_sampling", "deeplift", "gradcam"):
        maps(run, method)
    completeness(run, {"integrated_gradients": 0.07, "shapley_sampling": 0.03, "deeplift": 0.0})
    safe = found(run).loc["safe"]
    expected = {"integrated_gradients": "does_not_hold", "shapley_sampling": "holds", "deeplift": "does_not_hold"}
    assert safe["state"].to_dict() == expected | {"gradcam": "does_not_hold"}
    assert safe.loc["integrated_gradients", "value"] == pytest.approx(0.07)
    assert "miss f(ECG) - f(baseline) by 7.0%" in safe.loc["integrated_gradients", "reason"]
    assert "refuses" in safe.loc["deeplift", "reason"]


def test_the_network_with_the_largest_error_is_told(tmp_path: Path) -> None:
    runs = [make(tmp_path, seed, {"deeplift": "safe"}) for seed in range(3)]
    for run, error in zip(runs, (0.01, 0.04, 0.02), strict=True):
        maps(run, "deeplift")
        completeness(run, {"deeplift": error})
    row = found(*runs).loc[("safe", "deeplift")]
    assert (row["state"], row["value"]) == ("holds", pytest.approx(0.04))


def test_what_an_old_run_lacks_is_not_measured(tmp_path: Path) -> None:
    run = make(tmp_path)
    maps(run, "saliency")
    maps(run, "deeplift")
    completeness(run, {"deeplift": 0.01})
    safe = found(run).loc["safe"]
    assert set(safe["state"]) == {"not_measured"}
    assert set(safe["reason"]) == {"the linter did not run"}


def test_a_refused_method_has_no_maps_that_could_converge(tmp_path: Path) -> None:
    run = make(tmp_path, lint={"guided_backprop": "refused", "saliency": "safe"})
    maps(run, "saliency")
    row = found(run).loc[("converged", "guided_backprop")]
    assert (row["state"], row["reason"]) == ("not_measured", "there are no maps")
