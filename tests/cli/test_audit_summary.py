"""The verdict of a run, from tables whose content is known."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from workplace import Workplace

from callbacks.audit_summary import AuditSummary, audit_table

NAMES = ("saliency", "deeplift", "gradcam", "random")


def write(folder: Path) -> None:
    folder.mkdir()
    pd.DataFrame({"method": NAMES[:3], "verdict": ["safe", "safe", "refused"]}).to_parquet(folder / "lint.parquet")
    rows = [
        {"direction": direction, "statistic": "pearson", "sign": "native", "smooth": False, "complete": True,
         "method": name, "depth": depth, "similarity": value, "low": value - 0.05, "high": value + 0.05}
        for direction in ("from_output", "from_input")
        for depth in (0, 9)
        for name, value in zip(NAMES, (0.5, 0.02, np.nan, 0.0), strict=True)
    ]  # fmt: skip
    pd.DataFrame(rows).to_parquet(folder / "cascade.parquet")
    pd.DataFrame({"depth": [0, 9]}).to_parquet(folder / "cascade_network.parquet")
    perturbation = pd.DataFrame({"method": NAMES, "metric": "auroc", "abpc": [0.1, 0.3, np.nan, 0.0]})
    perturbation["difference_to_best_control"] = [0.1, 0.3, np.nan, np.nan]
    perturbation["p_holm"] = [0.2, 0.001, np.nan, np.nan]
    perturbation["beats_controls"] = [False, True, False, False]
    perturbation.to_parquet(folder / "perturbation_summary.parquet")


def test_verdicts_say_what_failed(tmp_path: Path) -> None:
    write(tmp_path / "tables")
    table = audit_table(tmp_path / "tables", NAMES, NAMES[3:], 0.2).set_index("method")
    assert table.loc["deeplift", "verdict"] == "passes all 2 checks"
    assert table.loc["saliency", "verdict"].startswith("fails 2 of 2 checks: its maps outlive the randomised network")
    assert "(correlation 0.50, expected below 0.2)" in table.loc["saliency", "verdict"]
    assert table.loc["gradcam", "verdict"].startswith("refused")
    assert table.loc["random", "verdict"] == "passes the one check"  # what the cascade alone is worth
    assert table["control"].tolist() == [False, False, False, True]
    assert pd.isna(table.loc["random", "beats_controls"])


def test_the_bound_decides_and_stands_in_table_and_words(tmp_path: Path) -> None:
    write(tmp_path / "tables")
    table = audit_table(tmp_path / "tables", NAMES, NAMES[3:], 0.6).set_index("method")
    assert table.loc["saliency", "passes_cascade"]  # .55 at the upper end
    assert table["near_zero"].eq(0.6).all()
    strict = audit_table(tmp_path / "tables", NAMES, NAMES[3:], 0.05).set_index("method")
    assert "(correlation 0.02, expected below 0.05)" in strict.loc["deeplift", "verdict"]


def test_without_tables_nothing_is_checked(tmp_path: Path) -> None:
    table = audit_table(tmp_path, NAMES, NAMES[3:], 0.2)
    assert set(table["verdict"]) == {"not checked"}


def test_a_real_run_has_a_verdict_on_every_method(tested: Workplace) -> None:
    table = pd.read_parquet(tested.run() / "tables/audit.parquet")
    assert len(table) == 16
    assert table["control"].sum() == 4
    assert table.loc[~table["control"], "verdict"].str.contains("checks|constant").all()
    for name in ("similarity", "cascade", "perturbation", "scores", "lint"):
        assert (tested.run() / "tables" / f"{name}.parquet").is_file(), name
    assert not (tested.run() / "localization").exists()  # the archive knows no evidence


def test_near_zero_is_checked() -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        AuditSummary(near_zero=1.5)
