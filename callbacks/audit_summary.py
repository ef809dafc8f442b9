"""The verdicts of a run, from its own stores: which claims hold of which methods."""

import pandas as pd
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info

from callbacks.attribution_maps import AttributionMaps
from callbacks.audit_results import AuditResults
from callbacks.current_run import callback_before, on_rank_zero, run_folder
from ecg_lightning.experiments.verdicts import preconditions_of, verdicts_of
from ecg_lightning.plotting.method_style import method_style
from ecg_lightning.runs.run import Run
from ecg_lightning.runs.target_runs import TargetRuns
from ecg_lightning.verdicts.words import counts_words


class AuditSummary(Callback):
    """Decides on every claim of every method: ``tables/verdicts.parquet``, and the table ``verdicts`` on W&B.

    Stands behind the audits, whose stores it reads. The verdicts are on this one network; those of a study, over its
    seeds and targets, are made by the report. ``tables/preconditions.parquet`` says which methods are safe on this
    network and which maps have converged. Controls go through the same checks: one that passes a check says what the
    check is worth.
    """

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Stand behind the maps."""
        if stage == "test":
            self.maps = callback_before(trainer, self, AttributionMaps)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Every audit before this one has closed its stores."""
        on_rank_zero(trainer, lambda: self._decide(trainer))

    def _decide(self, trainer: Trainer) -> None:
        run = Run(run_folder(trainer).path.resolve())
        targets = [TargetRuns.of(run.target, {run.seed: run})]
        results, verdicts = AuditResults(trainer), verdicts_of(targets, methods=self.maps.asked)
        results.table("verdicts", verdicts)
        results.table("preconditions", preconditions_of(targets))
        refused = set(self.maps.asked) - set(self.maps.names)
        rank_zero_info("\n".join(["Verdicts (tables/verdicts.parquet):", *verdict_lines(verdicts, refused)]))


def verdict_lines(verdicts: pd.DataFrame, refused: set[str]) -> list[str]:
    """One line a method, such as "Grad-CAM: passes 1 of 5 claims, fails 2, can't tell 2".

    Args:
        verdicts: See ``ecg_lightning.verdicts.table.COLUMNS``.
        refused: Methods whose maps would be wrong on this network.
    """
    states = verdicts[~verdicts["control"]].groupby("method", sort=False)["state"].apply(list)
    said = {
        method: "refused, it gives wrong maps on this network (tables/lint.parquet)"
        if method in refused
        else counts_words(found)
        for method, found in states.items()
    }
    return [f"  {method_style(str(method)).label}: {words}" for method, words in said.items()]
