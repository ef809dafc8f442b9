"""This package draws beats, recordings, classes, maps and curves, to scale on ECG paper where they are ECGs."""

from ecg_lightning.plotting.class_beat import ClassBeat
from ecg_lightning.plotting.class_words import class_title
from ecg_lightning.plotting.classes import classes_figure
from ecg_lightning.plotting.classes_overview import classes_overview
from ecg_lightning.plotting.ecg_paper import ecg_figure
from ecg_lightning.plotting.figure_files import save_figure
from ecg_lightning.plotting.maps import map_figure
from ecg_lightning.plotting.overview import maps_overview
from ecg_lightning.plotting.paper import PaperScale
from ecg_lightning.plotting.recording_examples import recordings_figure
from ecg_lightning.plotting.recording_maps import recording_map_figure

__all__ = [
    "ClassBeat",
    "PaperScale",
    "class_title",
    "classes_figure",
    "classes_overview",
    "ecg_figure",
    "map_figure",
    "maps_overview",
    "recording_map_figure",
    "recordings_figure",
    "save_figure",
]
