"""Pictures of what the network is asked to tell apart: test beats with and without the diagnosis."""

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import WandbLogger
from matplotlib.figure import Figure

from callbacks.current_run import datamodule_of, on_rank_zero, run_folder
from callbacks.drawn_figures import figures_of
from ecg_lightning.data.datamodule import EcgDataModule
from ecg_lightning.plotting import class_title, classes_figure
from ecg_lightning.plotting.cached_beats import choose_rows, class_beat, group_words, has_evidence
from ecg_lightning.plotting.figure_files import save_figure_files
from ecg_lightning.plotting.recording_examples import recordings_figure
from ecg_lightning.runs.pseudonyms import EcgNames, IdChoice


class BeatPictures(Callback):
    """Draws test beats with and without the diagnosis side by side, to ``figures/beats/<target>.png`` and to W&B.

    The beats are chosen by a hash of their ids: the same in every run, and nobody picks favourites. All are of
    distinct patients, and none whose label is missing. Evidence is marked where the cache knows it (the simulator's);
    in a cache without any, the waves, where somebody has annotated them. Recordings stand below each other.

    It needs no maps, so it may stand anywhere in the list. It draws before the first batch of ``test``, on rank zero.

    Args:
        n_examples: Beats with the diagnosis, and as many without.
        choice_seed: Another one chooses other beats.
        ids: How ECGs are named in the picture and its caption: ``pseudonyms`` or ``keep``.

    Raises:
        ValueError: ``n_examples`` is not positive.
    """

    def __init__(self, n_examples: int = 2, choice_seed: int = 0, ids: IdChoice = "pseudonyms") -> None:
        super().__init__()
        if n_examples < 1:
            raise ValueError(f"BeatPictures: expected at least 1 example, got n_examples = {n_examples}")
        self.n_examples = n_examples
        self.choice_seed = choice_seed
        self.ids: IdChoice = ids

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse a trainer without a datamodule that knows the ECGs."""
        if stage == "test":
            datamodule_of(trainer, "BeatPictures")

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw the beats, on rank zero, where figures are wanted."""
        if figures_of(trainer).wants(summary=True):
            on_rank_zero(trainer, lambda: self._draw(trainer))

    def _draw(self, trainer: Trainer) -> None:
        datamodule = datamodule_of(trainer, "BeatPictures")
        path = run_folder(trainer).path / "figures" / "beats" / f"{datamodule.target}.png"
        figure, chosen = self._draw_beats(datamodule, EcgNames.of_study(run_folder(trainer).study, self.ids))
        save_figure_files(figure, path, figures_of(trainer).files)
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                logger.log_image("beats", images=[str(path)], caption=[f"ECGs {', '.join(chosen)}"])

    def _draw_beats(self, datamodule: EcgDataModule, names: EcgNames) -> tuple[Figure, list[str]]:
        """Return the figure and the names of the ECGs that are on it."""
        cache, target = datamodule.cache, datamodule.target
        tested = datamodule.examples("test")
        examples = cache.examples.iloc[tested["cache_row"]]
        shown = {
            cache_row: names.shown(row, ecg_id)
            for cache_row, row, ecg_id in zip(tested["cache_row"], tested["row"], tested["ecg_id"], strict=True)
        }
        rows = choose_rows(examples, target, self.n_examples, seed=self.choice_seed)
        patients = set(examples["patient_id"].loc[rows])
        others = choose_rows(examples, target, self.n_examples, present=False, without=patients, seed=self.choice_seed)
        waves = not has_evidence(cache, target)
        groups = dict(zip(group_words(target), (rows, others), strict=True))
        columns = {
            head: [class_beat(cache, row, target, shown[row], waves=waves) for row in chosen]
            for head, chosen in groups.items()
            if chosen
        }
        title, signal_format = class_title(target), datamodule.signal_format
        if signal_format.fiducial is None:
            figure = recordings_figure(columns, signal_format, title=title, subtitle="recordings of test ECGs")
        else:
            figure = classes_figure(columns, title=title, subtitle="median beats of test ECGs")
        return figure, [beat.name for beats in columns.values() for beat in beats]
