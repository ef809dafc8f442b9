"""The verdicts of a run: read from its stores, one plain line a method."""

import pandas as pd
from workplace import Workplace

from callbacks.audit_summary import verdict_lines
from ecg_lightning.verdicts.checks import margins
from ecg_lightning.verdicts.table import COLUMNS, verdicts_table


def test_one_line_a_method() -> None:
    states = {"saliency": ["passes", "fails", "cannot_tell"], "gradcam": ["not_measured"] * 3, "deeplift": ["passes"]}
    rows = [{"method": method, "state": state} for method, found in states.items() for state in found]
    table = verdicts_table([*rows, {"method": "random", "control": True, "state": "passes"}])
    assert verdict_lines(table, {"deeplift"}) == [
        "  Saliency: passes 1 of 3 claims, fails 1, can't tell 1",
        "  Grad-CAM: nothing was measured",
        "  DeepLIFT: refused, it gives wrong maps on this network (tables/lint.parquet)",
    ]


def test_a_real_run_has_a_verdict_on_every_claim_of_every_method(tested: Workplace) -> None:
    table = pd.read_parquet(tested.run() / "tables/verdicts.parquet")
    assert list(table) == list(COLUMNS)
    claims = {(one.check, one.claim) for one in margins()} - {("self_consistency", "seeds_agree")}
    own = table[~table["control"]]
    assert set(zip(own["check"], own["claim"], strict=True)) == claims  # one network says nothing of others' seeds
    assert own.groupby("method").size().to_dict() == dict.fromkeys(own["method"], len(claims))
    assert own["method"].nunique() == 12
    assert set(own["networks"][own["state"] != "not_measured"]) <= {"this_network"}
    assert own.loc[own["check"] == "localization", "state"].eq("not_measured").all()  # the archive knows no evidence
    few = own["n_patients"] < 20
    assert own.loc[few & (own["check"] != "randomization"), "state"].isin(["cannot_tell", "not_measured"]).all()
    assert (tested.run() / "tables/preconditions.parquet").is_file()
    for name in ("similarity", "cascade", "perturbation", "scores", "lint"):
        assert (tested.run() / "tables" / f"{name}.parquet").is_file(), name
