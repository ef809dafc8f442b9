"""The scorecard says what each method passes on each diagnosis, with effects and intervals."""

from ecg_lightning.plotting.class_words import class_name, kind_word
from ecg_lightning.plotting.method_style import method_style
from ecg_lightning.plotting.page_blocks import Block, Items, Paragraph, ReportFiles, Section, TableBlock
from ecg_lightning.report.claims import CANNOT_TELL, NOT_MEASURED, check_states
from ecg_lightning.report.judged_runs import JudgedRuns
from ecg_lightning.report.mean_map import one_map_for_all
from ecg_lightning.report.scorecard_table import diagnosis_table, preconditions_table, summary_table
from ecg_lightning.report.scorecard_words import (
    controls_in_words,
    families,
    headline,
    no_further_than_the_ecg,
    who_counts,
)
from ecg_lightning.report.verdict_tables import PRECONDITIONS
from ecg_lightning.runs.study_runs import records
from ecg_lightning.verdicts.words import sentence

LEGEND = (
    "An effect with its 95 % interval, and what follows from it: \N{CHECK MARK} passes, \N{MULTIPLICATION SIGN} fails "
    "(an effect that would matter is excluded), ? can't tell, \N{EN DASH} not measured. Intervals are of one test; "
    "states also account for how many tests there are, so that an interval beyond its margin may still be open. "
    "Uses the network: better than every control that knows none; the one it is least above is named. Is about this "
    "patient: better than the same method's map of another patient with the same predicted class. Only both claims of "
    "a check together make an explanation. Needs the weights: the correlation with its own map that is left when every "
    "layer is random, given |ECG| and |slope|. Seeds agree: correlation between seeds above that of different patients."
)


def scorecard_section(runs: JudgedRuns, files: ReportFiles) -> Section:
    """Report preconditions, each diagnosis, and a summary that counts them."""
    verdicts = runs.verdicts
    saved = files.table("verdicts", verdicts)
    counted = files.table("scorecard", check_states(verdicts))
    blocks: list[Block] = [Paragraph(headline(verdicts)), Paragraph(LEGEND, "note")]
    blocks += [
        Paragraph(f"{class_name(target)} has no verdict: {why}", "warning") for target, why in runs.joined[1].items()
    ]
    for target in runs.targets:
        blocks += _of_target(runs, target, saved)
    blocks.append(
        summary_table(
            verdicts,
            f"In how many {kind_word(runs.targets)} each check is decided, and how. A check of two claims passes where "
            f"both pass. No average is taken over so few {kind_word(runs.targets)}. Controls know nothing of the "
            "network.",
            counted,
        )
    )
    saved_preconditions = files.table("preconditions", runs.preconditions)
    blocks.append(preconditions_table(runs.preconditions, PRECONDITIONS, saved_preconditions))
    if rates := families(verdicts):
        blocks.append(
            TableBlock(
                head=("Claim", "Family", "One test passes falsely", "Any of 36 tests does"),
                rows=rates,
                caption="Share of simulated studies, of 20 to 250 patients with the diagnosis and 1 to 10 networks, in "
                "which a method without merit passes; nominal is 2.5 %. Last column: after Holm's adjustment, 12 "
                "methods x 3 diagnoses (docs/verdicts.md has every size, and the power).",
                label="What a pass is worth",
                prose=True,
            )
        )
    details: dict[str, list[Block]] = {}
    for target in runs.targets:
        if sentences := _sentences(runs, target):
            details[f"{class_name(target)} in sentences"] = [Items(sentences)]
    return Section("scorecard", "Scorecard: which methods can be trusted?", blocks, details)


def _of_target(runs: JudgedRuns, target: str, saved: list[str]) -> list[Block]:
    """The table of one diagnosis and what qualifies it."""
    verdicts = runs.verdicts
    if (verdicts[verdicts["target"] == target]["state"] == NOT_MEASURED).all():
        return [Paragraph(f"{class_name(target)}: not measured.", "note")]
    notes = [
        *no_further_than_the_ecg(verdicts, target),
        *(
            note
            for target_runs in runs.joined[0]
            if target_runs.target == target
            for note in one_map_for_all(target_runs)
        ),
        controls_in_words(verdicts, target),
    ]
    return [diagnosis_table(verdicts, target, who_counts(verdicts, target), saved), Items(notes)]


def _sentences(runs: JudgedRuns, target: str) -> list[str]:
    """Every decided verdict of a method, in words."""
    decided = runs.verdicts[(runs.verdicts["target"] == target) & ~runs.verdicts["control"].astype(bool)]
    decided = decided[~decided["state"].isin((NOT_MEASURED, CANNOT_TELL))]
    return [
        f"{method_style(str(method)).label}. {' '.join(sentence(row) for row in records(part))}"
        for method, part in decided.groupby("method", sort=False)
    ]
