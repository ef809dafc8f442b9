"""The first screen says what was studied and what follows for each diagnosis, and shows three ECGs."""

from collections.abc import Iterator
from typing import Final

import pandas as pd

from ecg_lightning.data.targets import known_info
from ecg_lightning.plotting.class_words import class_name, kind_word
from ecg_lightning.plotting.method_style import method_style
from ecg_lightning.plotting.page_blocks import Block, Items, Paragraph, ReportFiles, Section, TableBlock, number
from ecg_lightning.report.claims import CHECKS, EXPLAINING, NOT_MEASURED
from ecg_lightning.report.config_words import at, card_of, short_name, trained_config
from ecg_lightning.report.example_pictures import example_blocks, shown_run
from ecg_lightning.report.judged_runs import JudgedRuns
from ecg_lightning.report.scorecard_table import verdict_cell
from ecg_lightning.report.scorecard_words import answer, networks_in_words, short_answer
from ecg_lightning.runs.performance import performance_table
from ecg_lightning.runs.study_runs import records
from ecg_lightning.verdicts.words import claim_words

_SIMULATED: Final = "Synthetic"
_TWO_CLAIMS: Final = ("uses_the_network", "is_about_this_patient")


def first_screen_section(runs: JudgedRuns, files: ReportFiles) -> Section:
    """Make the section for who has one minute: what was studied, the answer, three ECGs with a map, and the effects."""
    examples, pages = example_blocks(runs, files)
    blocks: list[Block] = [Paragraph(short_answer(runs.verdicts), "answer"), Items(list(_studied(runs)))]
    blocks += [
        TableBlock(
            head=(kind_word(runs.targets, 1).capitalize(), *_patients(runs), "What can be said"),
            rows=[_answer_row(runs, target) for target in runs.targets],
            caption="A map counts as an explanation where it is better than every map that knows nothing of the "
            "network, and better than the same method's map of another patient. \"Can't be told\" is neither good nor "
            "bad news: these patients and networks do not decide it.",
            label=f"The answer for each {kind_word(runs.targets, 1)}",
            prose=True,
        ),
        *examples,
    ]
    if (table := _effects(runs)) is not None:
        blocks.append(table)
    details: dict[str, list[Block]] = {"The whole recordings, as they are read": list(pages)} if pages else {}
    return Section("first", "What was studied, and the answer", blocks, details)


def _studied(runs: JudgedRuns) -> Iterator[str]:
    run = next(iter(runs))
    source = at(trained_config(run), "data", "source", "class_path")
    if source is None:
        yield "Where the ECGs come from is not on record."
    elif short_name(source) == _SIMULATED:
        yield "The ECGs are simulated: no patient stands behind them, and it is known where each diagnosis lies."
    else:
        yield f"The ECGs are real ones, read by {short_name(source)}."
    seen = "which no network has seen in training"
    if card_of(run):
        seen = "of which it is not on record whether the network, trained elsewhere, has seen them in training"
    yield f"Test: {len(run.examples):,} ECGs of {run.examples['patient_id'].nunique():,} patients, {seen}."
    counts = sorted({len(seeds) for seeds in runs.finished.values()})
    many = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    plural = "" if counts == [1] else "s"
    networks = f"{many} network{plural} a {kind_word(runs.targets, 1)}{_how_good(runs)}"
    yield f"{networks}. {networks_in_words(runs.verdicts)}".strip()
    yield from _coarse(runs.preconditions)


def _how_good(runs: JudgedRuns) -> str:
    table = performance_table(runs)
    words = ""
    for name, title in (("auroc", "AUROC"), ("r2", "R2")):
        if name not in table or not table[name].notna().any():
            continue
        means = table.groupby("target", sort=False)[name].mean().dropna()
        low, high = number(means.min()), number(means.max())
        kind = "diagnosis" if name == "auroc" else "measurement"
        words += f", {title} {low}" if low == high else f", {title} {low} to {high} by {kind}"
    return words


def _patients(runs: JudgedRuns) -> list[str]:
    """Head the column of patients: with a diagnosis; of measurements all that have a value."""
    return ["Patients" if kind_word(runs.targets) == "measurements" else "Patients with it"]


def _coarse(preconditions: pd.DataFrame) -> Iterator[str]:
    """Say whether the maps would change if they were computed again, with more passes or other backgrounds."""
    known = preconditions[preconditions["state"] != NOT_MEASURED]
    for name, holds, breaks in (
        ("converged", "Every map has converged.", "Coarse maps, which more passes or other backgrounds would change"),
        ("safe", "Every method is safe on these networks.", "Methods that are not safe on these networks"),
    ):
        of_precondition = known[known["precondition"] == name]
        if of_precondition.empty:
            continue
        broken = of_precondition[of_precondition["state"] == "does_not_hold"]
        methods = ", ".join(method_style(str(method)).label for method in dict.fromkeys(broken["method"]))
        yield f"{breaks}: {methods}." if methods else holds


def _answer_row(runs: JudgedRuns, target: str) -> list[object]:
    examples = next(iter(runs.finished[target].values())).examples
    patients = examples[known_info(target).present(examples["label"])]["patient_id"].nunique()
    return [class_name(target), f"{patients:,}", answer(runs.verdicts, target)]


def _effects(runs: JudgedRuns) -> TableBlock | None:
    """Both claims of one check for the diagnosis of the pictures: localisation if it was measured, else the next."""
    run = shown_run(runs)
    target = run.target if run is not None else runs.targets[0]
    of_methods = runs.verdicts[(runs.verdicts["target"] == target) & ~runs.verdicts["control"].astype(bool)]
    measured = set(of_methods[of_methods["state"] != NOT_MEASURED]["check"])
    check = next((name for name in EXPLAINING if name in measured), None)
    if check is None:
        return None
    by_method = {(row["method"], row["check"], row["claim"]): row for row in records(of_methods)}
    rows = [
        [
            method_style(str(method)).label,
            *(verdict_cell(by_method[method, check, claim]) for claim in _TWO_CLAIMS),
        ]
        for method in dict.fromkeys(of_methods["method"])
    ]
    return TableBlock(
        head=("Method", *(claim_words(claim) for claim in _TWO_CLAIMS)),
        rows=rows,
        caption=f"{class_name(target)}, by {CHECKS[check].lower()}: effect with its 95 % interval, and what follows. "
        f"The other checks and {kind_word(runs.targets)} stand in the scorecard.",
        label="Effects",
    )
