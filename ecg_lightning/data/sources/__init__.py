"""Sources of recordings: the interface, and one module per archive."""

from ecg_lightning.data.sources.base import Entry, Recording, RecordingError, Source
from ecg_lightning.data.sources.ptbxl import PtbXl

__all__ = ["Entry", "PtbXl", "Recording", "RecordingError", "Source"]
