"""What ``compare`` leaves beside its stores: tables, and that it has ended."""

import pandas as pd

from ecg_lightning.experiments.self_consistency.agreement_tables import network_table, rank_table
from ecg_lightning.experiments.self_consistency.compare import Comparison
from ecg_lightning.experiments.self_consistency.other_target_table import other_target_table
from ecg_lightning.experiments.self_consistency.tables import consistency_table
from ecg_lightning.runs.study_folder import ALL_TARGETS, StudyFolder
from ecg_lightning.runs.study_sealing import seal_comparison
from ecg_lightning.statistics.interval_settings import IntervalSettings
from ecg_lightning.storage.atomic import write_parquet_atomic


def write_comparison(study: StudyFolder, found: Comparison, settings: IntervalSettings) -> list[str]:
    """Write the tables of what was compared, and ``compare.done.json``.

    ``self_consistency``, ``network_agreement`` and ``method_ranks`` where a target has two seeds, ``other_target``
    where targets share test ECGs.

    Args:
        study: Its folder.
        found: What was compared.
        settings: Of the intervals.

    Returns:
        What was found, in lines for a person.
    """
    study.compare_record.unlink(missing_ok=True)  # its seals are of the tables before
    across = _write_other_targets(study, found, settings)
    if not found.targets:
        seal_comparison(study, _record(found, settings, None))
        return [f"{study.name}: no target has two finished seeds, so there is no self-consistency", *across]
    table = consistency_table(found.targets, settings)
    ranks = rank_table(table)
    write_parquet_atomic(study.tables / "self_consistency.parquet", table)
    write_parquet_atomic(study.tables / "network_agreement.parquet", network_table(found.targets))
    write_parquet_atomic(study.tables / "method_ranks.parquet", ranks)
    seal_comparison(study, _record(found, settings, ranks.attrs["kendall_w"]))
    chosen = table[(table["target"] == ALL_TARGETS) & (table["statistic"] == "pearson") & (table["sign"] == "native")]
    lines = [
        f"{study.name}: self-consistency over {sum(len(one.seeds) for one in found.targets)} networks of "
        f"{len(found.targets)} targets (Pearson; above the floor of other patients' maps, without Monte-Carlo noise): "
        f"{study.tables}"
    ]
    lines += [
        f"  {row['method']:22} {row['mean']:5.2f}, above the floor {row['corrected_above_floor']:5.2f}"
        for row in chosen.sort_values("mean", ascending=False).to_dict("records")
    ]
    return [*lines, *across]


def _write_other_targets(study: StudyFolder, found: Comparison, settings: IntervalSettings) -> list[str]:
    path = study.tables / "other_target.parquet"
    table = pd.DataFrame() if found.others is None else other_target_table(found.others, settings.confidence)
    if table.empty:
        path.unlink(missing_ok=True)  # of targets that shared ECGs once
        return []
    write_parquet_atomic(path, table)
    chosen = table[(table["target"] == ALL_TARGETS) & (table["statistic"] == "pearson") & (table["sign"] == "native")]
    pairs = len(table[table["target"] != ALL_TARGETS].groupby(["target", "other_target"]))
    return [
        f"{study.name}: the same ECG's maps by networks of another target, {pairs} pairs of targets (Pearson):",
        *(f"  {row['method']:22} {row['mean']:5.2f}" for row in chosen.to_dict("records")),
    ]


def _record(found: Comparison, settings: IntervalSettings, kendall_w: float | None) -> dict[str, object]:
    return {
        "seeds": {one.target: list(one.seeds) for one in found.targets},
        "single": found.single,
        "unfinished": [{"target": one.target, "seed": one.seed, "reason": one.reason} for one in found.unfinished],
        "left_out_between_targets": found.others.left_out if found.others else [],
        "left_out": {one.target: one.left_out for one in found.targets if one.left_out},
        "kendall_w_of_method_ranks": kendall_w,
        "intervals": {"confidence": settings.confidence, "kind": "Student's t over patients and seeds jointly"},
    }
