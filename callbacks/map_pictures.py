"""Pictures of a few chosen ECGs: the beat or recording on ECG paper, coloured by each method's map."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import WandbLogger
from numpy.typing import NDArray

from callbacks.attribution_maps import AttributionMaps
from callbacks.current_run import callback_before, classifier_of, datamodule_of, on_rank_zero, run_folder
from callbacks.drawn_figures import Figures, figures_of
from callbacks.logits_and_metrics import LogitsAndMetrics
from ecg_lightning.data.label_columns import R_PEAKS
from ecg_lightning.ecg import shown_text
from ecg_lightning.models.classifier import EcgClassifier
from ecg_lightning.plotting.cached_beats import mask_of
from ecg_lightning.plotting.chosen_ecgs import PREDICTIONS, ChosenEcg, EcgMaps, choose_ecgs, choose_predictions
from ecg_lightning.plotting.figure_files import save_figure_files, seldom_collected
from ecg_lightning.runs.pseudonyms import EcgNames, IdChoice, picture_stem
from ecg_lightning.storage.store import RowStore


class MapPictures(Callback):
    """Draws every method's map of a few test ECGs, to ``figures/maps/`` and to W&B.

    Where the cache knows an ECG's evidence for the target (``causal/<target>``), it is outlined over each map.
    Recordings also get a picture of all maps around one beat, that in which most of the maps lies.

    By default the most typical ECG of each outcome: the one with the median probability among the true
    positives, false negatives, false positives and true negatives, so that nobody picks favourites. Of these a summary
    (``--figures summary``) has the pictures of all methods at once; ECGs that are asked for are always drawn.

    Args:
        ecg_ids: Draw these ECGs instead.
        svg: Also write vector graphics beside the PNG, whatever ``--figure_files`` says.
        ids: How ECGs are named in pictures, tables and captions: ``pseudonyms`` or ``keep``. Files are named by rows.
    """

    def __init__(self, ecg_ids: Sequence[str] | None = None, svg: bool = False, ids: IdChoice = "pseudonyms") -> None:
        super().__init__()
        self.ecg_ids = None if ecg_ids is None else [str(ecg_id) for ecg_id in ecg_ids]
        self.svg = svg
        self.ids: IdChoice = ids

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Find the callbacks that leave maps and logits."""
        if stage == "test":
            self.maps = callback_before(trainer, self, AttributionMaps)
            callback_before(trainer, self, LogitsAndMetrics)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Refuse ids that are not in the test set before anything is computed."""
        known = set(self.maps.ecg_ids)
        unknown = [ecg_id for ecg_id in self.ecg_ids or () if ecg_id not in known]
        if unknown:
            raise ValueError(
                f"MapPictures: {', '.join(map(shown_text, unknown[:5]))} not among the {len(known)} test ECGs; their "
                f"ids stand in {run_folder(trainer).path / 'examples.parquet'}"
            )

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Rank zero draws what is wanted; the logits of all ranks are on disk by now."""
        module = classifier_of(pl_module, "MapPictures")
        if self.ecg_ids is not None or figures_of(trainer).wants(summary=True):
            on_rank_zero(trainer, lambda: self._draw(trainer, module))

    def _draw(self, trainer: Trainer, module: EcgClassifier) -> None:
        datamodule, run = datamodule_of(trainer, "MapPictures"), run_folder(trainer)
        cache, examples = datamodule.cache, datamodule.examples("test")
        chosen, settings = self._choose(RowStore.open(run.logits), examples, module)
        cache_rows = examples["cache_row"].to_numpy(dtype=np.intp)[[ecg.row for ecg in chosen]]
        names = EcgNames.of_study(run.study, self.ids)
        titles = [names.shown(ecg.row, ecg.ecg_id) for ecg in chosen]
        about = f"{datamodule.target.replace('_', ' ')}{settings}"
        drawn = []
        for ecg, beat, row, title in zip(chosen, cache.read_beats(cache_rows), cache_rows, titles, strict=True):
            evidence = mask_of(cache, int(row), f"causal/{datamodule.target}")
            maps = self._maps_of(ecg, beat, evidence, (f"ECG {title}", about))
            peaks = examples[R_PEAKS].iloc[ecg.row] if R_PEAKS in examples else None
            maps = replace(maps, signal_format=datamodule.signal_format, r_peaks=peaks, target_info=module.target_info)
            stem = run.path / "figures" / "maps" / picture_stem(ecg.row)
            drawn.append(self._save(maps, stem, figures_of(trainer)))
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                _log(logger, chosen, titles, drawn)

    def _choose(self, outputs: RowStore, examples: pd.DataFrame, module: EcgClassifier) -> tuple[list[ChosenEcg], str]:
        """Choose ECGs by what the network says of them, and say the threshold, if there is one."""
        tested = np.flatnonzero(outputs.done)
        said = outputs.read(tested)
        if module.target_info.kind == "regression":
            said = module.label_scale.in_unit(said.astype(float))
            known = dict(zip(tested.tolist(), said.tolist(), strict=True))
            return choose_predictions(examples, known, module.target_info.unit, self.ecg_ids), ""
        threshold, known = float(module.threshold), dict(zip(tested.tolist(), said.tolist(), strict=True))
        return choose_ecgs(examples, known, threshold, self.ecg_ids), f", threshold {threshold:.3f}"

    def _maps_of(
        self, ecg: ChosenEcg, beat: NDArray[np.float32], evidence: NDArray[np.bool_] | None, words: tuple[str, str]
    ) -> EcgMaps:
        title, about = words
        return EcgMaps(
            beat,
            {name: store.read([ecg.row])[0].astype(float) for name, store in self.maps.stores.items()},
            {name: float(store.read([ecg.row])[0]) for name, store in self.maps.reliability.items()},
            evidence,
            title,
            f"{about}: {ecg.words}, {ecg.outcome}",
        )

    def _save(self, maps: EcgMaps, stem: Path, wanted: Figures) -> dict[str, Path]:
        """Write the pictures of one ECG that are wanted, and return their paths by name."""
        every = self.ecg_ids is not None or wanted.wants(summary=False)
        paths = {}
        with seldom_collected():
            for name, figure in islice(maps.pictures(self.maps.methods, self.maps.task), None if every else 1):
                paths[name] = stem.with_name(f"{stem.name}_{name}.png")
                save_figure_files(figure, paths[name], (*wanted.files, *(("svg",) if self.svg else ())))
        return paths


def _log(
    logger: WandbLogger, chosen: Sequence[ChosenEcg], titles: Sequence[str], drawn: Sequence[dict[str, Path]]
) -> None:
    import wandb

    said = "prediction" if any(ecg.outcome in PREDICTIONS for ecg in chosen) else "probability"
    columns = ["ecg", "label", said, "outcome", "maps"]
    rows = [
        [title, ecg.label, ecg.predicted, ecg.outcome, wandb.Image(str(paths["overview"]))]
        for ecg, title, paths in zip(chosen, titles, drawn, strict=True)
    ]
    logger.log_table("examples", columns=columns, data=rows)
    # One key each: W&B shows the pictures of one key at one size, and these differ in height. Outcomes and not rows, so
    # that runs stand side by side, unless several ECGs have the same outcome.
    outcomes = [ecg.outcome.replace(" ", "_") for ecg in chosen]
    keys = outcomes if len(set(outcomes)) == len(outcomes) else [picture_stem(ecg.row) for ecg in chosen]
    for key, ecg, title, paths in zip(keys, chosen, titles, drawn, strict=True):
        caption = f"ECG {title}, {ecg.outcome}, {ecg.words}"
        for name, path in paths.items():
            logger.log_image(f"maps/{name}/{key}", images=[str(path)], caption=[caption])
