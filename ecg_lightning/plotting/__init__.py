"""Pictures: beats and attribution maps on ECG paper."""

from ecg_lightning.plotting.ecg_paper import PaperScale, ecg_figure
from ecg_lightning.plotting.maps import map_figure
from ecg_lightning.plotting.overview import maps_overview
from ecg_lightning.plotting.sheet import save_figure

__all__ = ["PaperScale", "ecg_figure", "map_figure", "maps_overview", "save_figure"]
