"""Pictures of a few chosen ECGs: the beat on ECG paper coloured by each method's map."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import WandbLogger
from matplotlib.figure import Figure
from numpy.typing import NDArray

from callbacks.attribution_maps import AttributionMaps
from callbacks.current_run import callback_before, classifier_of, datamodule_of, on_rank_zero, run_folder
from callbacks.test_record import TestRecord
from ecg_lightning.attribution.base import AttributionMethod, Passes
from ecg_lightning.ecg import shown_text
from ecg_lightning.plotting import map_figure, maps_overview, save_figure
from ecg_lightning.plotting.cached_beats import mask_of
from ecg_lightning.runs.pseudonyms import EcgNames, IdChoice, picture_stem
from ecg_lightning.storage.store import RowStore

EVIDENCE_NAME = "evidence (twin)"
"""What differs from the counterfactual twin without the diagnosis; only simulated ECGs that have it know it."""

OUTCOMES = ("true positive", "false negative", "false positive", "true negative")


class ChosenEcg(NamedTuple):
    """An ECG that gets pictures.

    Attributes:
        row: Its row of the test set.
        ecg_id: Its id.
        label: 1, 0, or NaN where missing.
        probability: The network's.
        outcome: One of ``OUTCOMES``, or ``asked for``.
    """

    row: int
    ecg_id: str
    label: float
    probability: float
    outcome: str


class MapPictures(Callback):
    """Draws every method's map of a few test ECGs, to ``figures/maps/`` and to W&B.

    Where the cache knows an ECG's evidence for the target (``causal/<target>``), it is outlined over each map.

    By default the most typical ECG of each outcome: the one with the median probability among the true
    positives, false negatives, false positives and true negatives, so that nobody picks favourites.

    Args:
        ecg_ids: Draw these ECGs instead.
        svg: Also write vector graphics beside the PNG.
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
            callback_before(trainer, self, TestRecord)

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
        """Rank zero draws; the logits of all ranks are on disk by now."""
        threshold = float(classifier_of(pl_module, "MapPictures").threshold)
        on_rank_zero(trainer, lambda: self._draw(trainer, threshold))

    def _draw(self, trainer: Trainer, threshold: float) -> None:
        datamodule = datamodule_of(trainer, "MapPictures")
        examples = datamodule.examples("test")
        logits = RowStore.open(run_folder(trainer).logits)
        tested = np.flatnonzero(logits.done)
        chosen = choose(
            examples, dict(zip(tested.tolist(), logits.read(tested).tolist(), strict=True)), threshold, self.ecg_ids
        )
        cache_rows = examples["cache_row"].to_numpy(dtype=np.intp)[[ecg.row for ecg in chosen]]
        beats = datamodule.cache.read_beats(cache_rows)
        region = f"causal/{datamodule.target}"
        evidence = [mask_of(datamodule.cache, int(row), region) for row in cache_rows]
        folder = run_folder(trainer).path / "figures" / "maps"
        names = EcgNames.of_study(run_folder(trainer).study, self.ids)
        titles = [names.shown(ecg.row, ecg.ecg_id) for ecg in chosen]
        about = f"{datamodule.target.replace('_', ' ')}, threshold {threshold:.3f}"
        drawn = [
            self._draw_ecg(ecg, beat, mask, (f"ECG {title}", about), folder)
            for ecg, beat, mask, title in zip(chosen, beats, evidence, titles, strict=True)
        ]
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                _log(logger, chosen, titles, drawn)

    def _draw_ecg(
        self,
        ecg: ChosenEcg,
        beat: NDArray[np.float32],
        evidence: NDArray[np.bool_] | None,
        words: tuple[str, str],
        folder: Path,
    ) -> dict[str, Path]:
        maps = {name: store.read([ecg.row])[0].astype(float) for name, store in self.maps.stores.items()}
        reliable = {
            name: f", reliability {store.read([ecg.row])[0]:.3f}" for name, store in self.maps.reliability.items()
        }
        title, about = words
        subtitle = f"{about}: p = {ecg.probability:.3f}, {ecg.outcome}"
        paths = {"overview": folder / f"{picture_stem(ecg.row)}_overview.png"}
        self._save(self._overview(beat, maps, evidence, title, subtitle, reliable), paths["overview"])
        for method in self.maps.methods:
            paths[method.name] = folder / f"{picture_stem(ecg.row)}_{method.name}.png"
            figure = map_figure(
                beat,
                maps[method.name],
                method=method.name,
                signed=method.signed,
                title=title,
                subtitle=f"{subtitle} | {_settings(method.resolved_settings(self.maps.task))}"
                + reliable.get(method.name, ""),
                unit=method.unit,
                evidence=evidence,
                evidence_name=EVIDENCE_NAME,
            )
            self._save(figure, paths[method.name])
        return paths

    def _overview(
        self,
        beat: NDArray[np.float32],
        maps: Mapping[str, NDArray[np.float64]],
        evidence: NDArray[np.bool_] | None,
        title: str,
        subtitle: str,
        reliable: Mapping[str, str],
    ) -> Figure:
        methods, backgrounds = self.maps.methods, self.maps.task.backgrounds
        shape = (int(backgrounds.shape[1]), int(backgrounds.shape[2]))
        return maps_overview(
            beat,
            maps,
            signed={method.name: method.signed for method in methods},
            units={method.name: method.unit for method in methods},
            notes={
                method.name: _cost(method, method.passes(shape, len(backgrounds))) + reliable.get(method.name, "")
                for method in methods
            },
            title=title,
            subtitle=subtitle,
            evidence=evidence,
            evidence_name=EVIDENCE_NAME,
        )

    def _save(self, figure: Figure, path: Path) -> None:
        save_figure(figure, path)
        if self.svg:
            save_figure(figure, path.with_suffix(".svg"))


def choose(
    examples: pd.DataFrame, logits: dict[int, float], threshold: float, ecg_ids: Sequence[str] | None
) -> list[ChosenEcg]:
    """The ECGs to draw: those asked for, or the median one of each outcome.

    Args:
        examples: The test ECGs with ``row``, ``ecg_id`` and ``label``.
        logits: Logit of each row that was tested.
        threshold: On the probability.
        ecg_ids: Ids asked for, or None.
    """
    table = examples[examples["row"].isin(logits)].copy()
    logit = table["row"].map(logits).to_numpy(dtype=float)
    table["probability"] = 1 / (1 + np.exp(-logit))
    positive, label = table["probability"] >= threshold, table["label"]
    table["outcome"] = np.select(
        [positive & (label == 1), ~positive & (label == 1), positive & (label == 0), ~positive & (label == 0)],
        OUTCOMES,
        default="label missing",
    )
    if ecg_ids is not None:
        picked = table[table["ecg_id"].isin(ecg_ids)]
    else:
        ordered = table[table["outcome"].isin(OUTCOMES)].sort_values(["probability", "row"])
        picked = pd.concat([group.iloc[[len(group) // 2]] for _, group in ordered.groupby("outcome")])
    return [
        ChosenEcg(int(r["row"]), str(r["ecg_id"]), float(r["label"]), float(r["probability"]), str(r["outcome"]))
        for r in picked.to_dict("records")
    ]


def _cost(method: AttributionMethod, passes: Passes) -> str:
    """Passes of one map, such as ``64 gradient passes``; a bound where the map's own reliability set them."""
    bound = "at most " if getattr(method, "target_correlation", None) is not None else ""
    parts = [f"{n:,} {kind}" for n, kind in ((passes.forward, "forward"), (passes.gradient, "gradient")) if n]
    return f"{bound}{' and '.join(parts)} {'pass' if passes.forward + passes.gradient == 1 else 'passes'}"


def _settings(settings: Mapping[str, object]) -> str:
    shown = [f"{key} {value}" for key, value in settings.items() if key != "method" and value is not None]
    return ", ".join(shown) if shown else "no hyperparameters"


def _log(
    logger: WandbLogger, chosen: Sequence[ChosenEcg], titles: Sequence[str], drawn: Sequence[dict[str, Path]]
) -> None:
    import wandb

    columns = ["ecg", "label", "probability", "outcome", "maps"]
    rows = [
        [title, ecg.label, ecg.probability, ecg.outcome, wandb.Image(str(paths["overview"]))]
        for ecg, title, paths in zip(chosen, titles, drawn, strict=True)
    ]
    logger.log_table("examples", columns=columns, data=rows)
    # One key each: W&B shows the pictures of one key at one size, and these differ in height. Outcomes and not rows, so
    # that runs stand side by side, unless several ECGs have the same outcome.
    outcomes = [ecg.outcome.replace(" ", "_") for ecg in chosen]
    keys = outcomes if len(set(outcomes)) == len(outcomes) else [picture_stem(ecg.row) for ecg in chosen]
    for key, ecg, title, paths in zip(keys, chosen, titles, drawn, strict=True):
        caption = f"ECG {title}, {ecg.outcome}, p = {ecg.probability:.2f}"
        for name, path in paths.items():
            logger.log_image(f"maps/{name}/{key}", images=[str(path)], caption=[caption])
