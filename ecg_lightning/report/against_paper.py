"""The page *published vs this study*: the paper's numbers beside one's own, and every setting that differs."""

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
import pandas as pd

from ecg_lightning.ecg import TARGETS
from ecg_lightning.plotting.class_words import class_name
from ecg_lightning.plotting.method_style import method_style
from ecg_lightning.report.blocks import Block, Items, Paragraph, ReportFiles, Section, TableBlock, number
from ecg_lightning.report.networks import performance_table
from ecg_lightning.report.published import CITATION, INCONSISTENCIES, NUMBERS
from ecg_lightning.report.runs import StudyRuns, records
from ecg_lightning.report.settings_text import deviations
from ecg_lightning.study.consistency_tables import ALL_TARGETS

_CONTRIBUTION: Final = (
    "shapley_sampling", "deeplift", "integrated_gradients", "ig_smoothgrad", "gradient_shap", "deeplift_shap",
)  # fmt: skip
_ACTIVATION: Final = ("guided_backprop", "gradcam", "guided_gradcam")
_NAMED_IN_4B: Final = ("smoothgrad", "deeplift_shap", "gradient_x_input", "saliency", "gradcam")
_NEAR_ZERO: Final = 0.2


def paper_section(runs: StudyRuns, files: ReportFiles) -> Section:
    """The paper's numbers beside this study's."""
    table = pd.DataFrame(
        [
            {"quantity": one.what, "published": one.value, "this_study": own_number(runs, one.key), "where": one.where}
            for one in NUMBERS
        ]
    )
    blocks: list[Block] = [
        TableBlock(
            head=("Quantity", "Published", "This study", "In the paper"),
            rows=table.to_numpy().tolist(),
            caption="± is the standard deviation over ECGs and networks. A dash: this study has no such number. "
            f"{CITATION}",
            label="Published vs this study",
            files=files.table("published_vs_this_study", table),
            prose=True,
        ),
        Paragraph("Where the settings differ from the paper's"),
        Items(deviations(runs)),
        Paragraph("What does not agree within the paper"),
        Items(INCONSISTENCIES),
    ]
    return Section("paper", "Published vs this study", blocks)


def own_number(runs: StudyRuns, key: str) -> str:
    """What this study has in the place of one of the paper's numbers; a dash for nothing."""
    kind, *rest = key.split(":")
    readers: Mapping[str, Callable[[StudyRuns, list[str]], str]] = {
        "ecgs": _ecgs,
        "patients": _patients,
        "networks": lambda runs, _: f"{len(runs)} ({len(runs.targets)} x {len(runs.seeds)})",
        "auroc": lambda runs, _: _lowest(runs, "auroc"),
        "auprc": lambda runs, _: _lowest(runs, "auprc"),
        "similarity": _similarity,
        "consistency": _consistency,
        "cascade": _cascade,
        "perturbation": _perturbation,
        "maps": _maps,
    }
    return readers[kind](runs, rest)


def _population(runs: StudyRuns, split: str) -> pd.DataFrame:
    population = runs.population
    return population if population.empty else population[population["split"] == split]


def _ecgs(runs: StudyRuns, rest: list[str]) -> str:
    return _count(len(_population(runs, rest[0])))


def _patients(runs: StudyRuns, rest: list[str]) -> str:
    population = _population(runs, rest[0])
    return _count(population["patient_id"].nunique() if len(population) else 0)


def _count(number_of: int) -> str:
    return f"{number_of:,}" if number_of else "\N{EN DASH}"


def _lowest(runs: StudyRuns, metric: str) -> str:
    table = performance_table(runs)
    if table.empty or not table[metric].notna().any():
        return "\N{EN DASH}"
    means = table.groupby("target")[metric].mean()
    return f"{means.min():.2f} ({class_name(means.idxmin())})"


def _similarity(runs: StudyRuns, rest: list[str]) -> str:
    table = runs.study_table("similarity_by_class")
    if table.empty:
        return "\N{EN DASH}"
    own = table[(table["target"] == ALL_TARGETS) & (table["statistic"] == "pearson") & (table["sign"] == "native")]
    if rest[0] in ("contribution", "activation"):
        family = _CONTRIBUTION if rest[0] == "contribution" else _ACTIVATION
        inside = own[own["method"].isin(family) & own["other_method"].isin(family)].dropna(subset=["mean"])
        if rest[0] == "activation":
            inside = inside[~((inside["method"] == "guided_backprop") & (inside["other_method"] == "guided_gradcam"))]
        if inside.empty:
            return "\N{EN DASH}"
        row = inside.iloc[int(inside["mean"].argmin() if rest[1] == "min" else inside["mean"].argmax())]
        names = " and ".join(method_style(str(row[side])).label for side in ("method", "other_method"))
        return f"{number(row['mean'])} ({names})"
    pair = own[own["method"].isin(rest) & own["other_method"].isin(rest)]
    return f"{number(pair['mean'].iloc[0])} ± {number(pair['sd'].iloc[0])}" if len(pair) else "\N{EN DASH}"


def _consistency(runs: StudyRuns, rest: list[str]) -> str:
    table = runs.study_table("self_consistency")
    if table.empty:
        return "\N{EN DASH}"
    own = table[(table["statistic"] == "pearson") & (table["sign"] == "native")].dropna(subset=["mean"])
    classes = own[own["target"] != ALL_TARGETS]
    if rest[0] == "class":
        means = classes.groupby("target")["mean"].mean()
        if means.empty:
            return "\N{EN DASH}"
        place = int(means.argmin() if rest[1] == "min" else means.argmax())
        return f"{number(means.iloc[place])} ({class_name(means.index[place])})"
    if rest[0] == "all" or rest[0] in TARGETS:
        chosen = classes if rest[0] == "all" else classes[classes["target"] == rest[0]]
    else:
        chosen = classes[classes["method"] == rest[0]]
    if chosen.empty:
        return "\N{EN DASH}"
    sd = _pooled_sd(chosen)
    return number(sd) if rest[-1] == "sd" else f"{number(chosen['mean'].mean())} ± {number(sd)}"


def _pooled_sd(rows: pd.DataFrame) -> float:
    """Of all ECGs and pairs of the rows together, from their means and standard deviations."""
    counts = (rows["n_ecgs"] * rows["n_pairs"]).to_numpy(dtype=float)
    means, sds = rows["mean"].to_numpy(dtype=float), rows["sd"].to_numpy(dtype=float)
    mean = np.average(means, weights=counts)
    return float(np.sqrt(np.average(sds**2 + (means - mean) ** 2, weights=counts)))


def _cascade(runs: StudyRuns, _: list[str]) -> str:
    table = runs.study_table("cascade_all")
    if table.empty:
        return "\N{EN DASH}"
    own = table[
        table["complete"]
        & ~table["smooth"]
        & (table["statistic"] == "pearson")
        & (table["sign"] == "native")
        & (table["direction"] == "from_output")
    ]
    if own.empty:
        return "\N{EN DASH}"
    last = own[own["depth"] == own["depth"].max()]
    kept = [method_style(str(row["method"])) for row in records(last) if row["similarity"] >= _NEAR_ZERO]
    names = ", ".join(style.label for style in kept if not style.control) or "none"
    return f"{names} (similarity of {_NEAR_ZERO} or more)"


def _perturbation(runs: StudyRuns, rest: list[str]) -> str:
    table = runs.study_table("perturbation_all")
    if table.empty:
        return "\N{EN DASH}"
    own = table[(table["metric"] == "auroc") & (table["order"] == "morf") & ~table["control"]]
    last = own[own["step"] == own["step"].max()].set_index("method")
    percent = f" at {100 * last['fraction'].iloc[0]:.0f} %" if len(last) else ""
    if rest[0] == "others":
        others = last[~last.index.isin(_NAMED_IN_4B)]["value"].dropna()
        return f"{others.min():.2f} to {others.max():.2f}{percent}" if len(others) else "\N{EN DASH}"
    if rest[0] not in last.index:
        return "\N{EN DASH}"
    return f"{number(float(last.loc[rest[0], 'value']))}{percent}"


def _maps(runs: StudyRuns, _: list[str]) -> str:
    table = runs.tables("maps")
    if not table.empty:
        return f"{int(table['done'].sum()):,}"
    return f"{sum(len(run.examples) * len(run.maps) for run in runs):,}"
