"""This module lists the numbers that the paper gives too: the population's, the networks', each experiment's."""

from functools import partial
from typing import Final

from ecg_lightning.data.label_columns import is_binary, label_column
from ecg_lightning.data.targets import PAPER_TARGETS
from ecg_lightning.experiments.published import Published
from ecg_lightning.experiments.registry import EXPERIMENTS
from ecg_lightning.plotting.class_words import class_name
from ecg_lightning.plotting.page_blocks import NO_NUMBER
from ecg_lightning.runs.performance import performance_table
from ecg_lightning.runs.study_runs import StudyRuns


def _networks(runs: StudyRuns) -> str:
    grid = f"{len(runs.targets)} x {len(runs.seeds)}"
    return f"{len(runs)} ({grid})" if len(runs) == len(runs.targets) * len(runs.seeds) else f"{len(runs)} (of {grid})"


def _total(runs: StudyRuns, what: str) -> str:
    population = runs.population
    if population.empty:
        return NO_NUMBER
    patients = population.drop_duplicates("patient_id")
    if what == "female":
        sex = patients["sex"][patients["sex"].isin(["female", "male"])]
        return f"{(sex == 'female').mean():.1%}".replace("%", " %") if len(sex) else "unknown"
    if what == "age":
        return f"{population['age'].mean():.1f} years" if population["age"].notna().any() else "unknown"
    return f"{len(population if what == 'ecgs' else patients):,}"


def _prevalence(runs: StudyRuns, which: str) -> str:
    if runs.population.empty:
        return NO_NUMBER
    names = [name for name in dict.fromkeys((*PAPER_TARGETS, *runs.targets)) if label_column(name) in runs.population]
    binary = [name for name in names if is_binary(runs.population, name)]
    labels = runs.population[list(map(label_column, binary))].set_axis(binary, axis=1)
    shares = labels.astype("Float64").mean().dropna()
    if shares.empty:
        return NO_NUMBER
    name = str(shares.idxmax() if which == "max" else shares.idxmin())
    return f"{100 * float(shares[name]):.1f} % ({class_name(name)})"


def _lowest(runs: StudyRuns, metric: str) -> str:
    table = performance_table(runs)
    if metric not in table or not table[metric].notna().any():
        return NO_NUMBER
    means = table.groupby("target")[metric].mean().dropna()
    return f"{means.min():.2f} ({class_name(means.idxmin())})"


def _maps(runs: StudyRuns) -> str:
    table = runs.tables("maps")
    if not table.empty:
        return f"{int(table['done'].sum()):,}"
    return f"{sum(len(run.examples) * len(run.maps) for run in runs):,}"


_POPULATION: Final = (
    Published("total:ecgs", "ECGs in total", "873,710", "Results", partial(_total, what="ecgs")),
    Published("total:patients", "patients in total", "192,257", "Results", partial(_total, what="patients")),
    Published("total:female", "female patients", "45.1 %", "Results", partial(_total, what="female")),
    Published("total:age", "mean age", "60.9 years", "Results", partial(_total, what="age")),
    Published(
        "prevalence:max",
        "most prevalent diagnosis",
        "62.9 % (sinus rhythm)",
        "Results",
        partial(_prevalence, which="max"),
    ),
    Published(
        "prevalence:min",
        "least prevalent diagnosis",
        "3.6 % (low QRS voltage)",
        "Results",
        partial(_prevalence, which="min"),
    ),
    Published("networks", "networks (classes x seeds)", "90 (9 x 10)", "Methods", _networks),
    Published("auroc:min", "lowest class mean of AUROC", "above 0.95", "Results", partial(_lowest, metric="auroc")),
    Published(
        "auprc:min",
        "lowest class mean of AUPRC",
        "0.64 (sinus bradycardia); above 0.85 for the others",
        "Results",
        partial(_lowest, metric="auprc"),
    ),
)

_MAPS: Final = Published("maps", "attribution maps", "more than 1.5 million", "Discussion", _maps)

NUMBERS: Final = (*_POPULATION, *(published for experiment in EXPERIMENTS for published in experiment.published), _MAPS)
"""In the order of the paper; its Table 1 by split stands in ``published.TABLE_1``."""
