"""Sources of recordings: the interface, and one module per archive."""

from ecg_lightning.data.sources.arrays import Arrays
from ecg_lightning.data.sources.base import Entry, Recording, RecordingError, RejectedEntry, Source
from ecg_lightning.data.sources.cinc import Cinc
from ecg_lightning.data.sources.dicom import Dicom
from ecg_lightning.data.sources.ecgdatakit_files import Aecg, Scp
from ecg_lightning.data.sources.ludb import Ludb
from ecg_lightning.data.sources.muse import Muse
from ecg_lightning.data.sources.ptbxl import PtbXl
from ecg_lightning.data.sources.ptbxl_plus import PtbXlPlus
from ecg_lightning.data.sources.synthetic import Synthetic

__all__ = [
    "Aecg",
    "Arrays",
    "Cinc",
    "Dicom",
    "Entry",
    "Ludb",
    "Muse",
    "PtbXl",
    "PtbXlPlus",
    "Recording",
    "RecordingError",
    "RejectedEntry",
    "Scp",
    "Source",
    "Synthetic",
]
