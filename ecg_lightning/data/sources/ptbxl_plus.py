"""PTB-XL+ 1.0.1: Marquette 12SL's median beats and measurements of PTB-XL's ECGs (PhysioNet, CC BY 4.0)."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Final, Literal, get_args

from numpy.typing import NDArray

from ecg_lightning.data.sources.archive import cached_names
from ecg_lightning.data.sources.base import Entry, Recording, RecordingError, RejectedEntry, Source
from ecg_lightning.data.sources.coded_labels import CodedLabels
from ecg_lightning.data.sources.ptbxl import PtbXl, Rate
from ecg_lightning.data.sources.ptbxl_plus_beats import MILLIVOLTS, Unit, decided_unit, header_path, read_median
from ecg_lightning.data.sources.ptbxl_plus_features import DESCRIPTION, TABLE, Measured, read_features, read_targets
from ecg_lightning.data.sources.vendor_median import Median, QrsMarks
from ecg_lightning.data.targets import TargetInfo
from ecg_lightning.ecg import Target
from ecg_lightning.signal.beat import MedianBeat, Neighbours, median_beat
from ecg_lightning.storage.hashing import digest_file

_MARKS: Final = "QRS_On_Global and QRS_Off_Global"
_COMPARED: Final = 5
_TRIED: Final = 50
_NO_ROW: Final = Measured()


class PtbXlPlus(Source):
    """PTB-XL+ in its own layout, joined with PTB-XL by ``ecg_id``.

    Beats are those of Marquette 12SL, as the paper's are (Methods, "ECG processing and outcome selection"), with the
    waves that it has found as masks of all leads. Patients, folds, ages and labels are PTB-XL's; 12SL's measurements
    are regression targets. An ECG without a median beat is rejected; a window of a recording needs PTB-XL's records.

    Args:
        root: The folder that holds ``features/`` and ``median_beats/``.
        ptbxl: PTB-XL's own folder, which holds ``ptbxl_database.csv``.
        label_map: A YAML file with lines ``code: target`` to use instead of ``labels/ptbxl.yaml``.
        features: Columns of ``12sl_features.csv`` that are targets; None takes heart rate, P, PR, QRS and QT.
        unit: What the beats are in, where their headers say mV: ``compare`` decides it by PTB-XL's own records, and
            refuses to guess where there are none.
        sampling_rate: Of PTB-XL's records, Hz: 500 or 100.

    Raises:
        ValueError: No ``ptbxl``, or another ``unit`` or rate.
    """

    name = "ptbxl_plus"

    def __init__(
        self,
        root: str | Path,
        ptbxl: str | Path | None = None,
        label_map: str | None = None,
        features: list[str] | None = None,
        unit: Literal["compare"] | Unit = "compare",
        sampling_rate: Rate = 500,
    ) -> None:
        if unit not in ("compare", *get_args(Unit)):
            raise ValueError(f"PtbXlPlus: unit must be compare or one of {', '.join(get_args(Unit))}, got {unit!r}")
        if ptbxl is None:
            raise ValueError(
                "PTB-XL+ holds neither patients nor folds: set `data.source.init_args.ptbxl` to PTB-XL's own folder, "
                "which holds ptbxl_database.csv"
            )
        self.root = Path(root)
        self.ptbxl = PtbXl(ptbxl, label_map, sampling_rate)
        self.features = features
        self.unit: Literal["compare"] | Unit = unit

    def __getstate__(self) -> dict[str, object]:
        """The arguments alone: a worker process reads the tables itself."""
        return {key: value for key, value in vars(self).items() if key not in cached_names(type(self))}

    def entries(self) -> Sequence[Entry]:
        """List every ECG of PTB-XL, with what 12SL has measured; the unit that was decided on is said in a warning.

        Raises:
            FileNotFoundError: A table of either archive is missing.
            ValueError: A table lacks a column, no code of the label map occurs, or the unit can't be decided.
        """
        if self.unit == "compare" and MILLIVOLTS[self._decided[0]] != 1.0:
            warnings.warn(f"{self._decided[1]}. `data.source.init_args.unit` sets it", stacklevel=2)
        return [self._joined(entry) for entry in self.ptbxl.labelled()]

    def _joined(self, entry: Entry) -> Entry:
        measured = self._measured.get(entry.ecg_id, _NO_ROW)
        if isinstance(entry, RejectedEntry):
            return entry
        if measured.problem:
            return RejectedEntry.of(entry.ecg_id, measured.problem, patient_id=entry.patient_id)
        labels = CodedLabels(measured.labels, entry.labels)
        return Entry(entry.ecg_id, entry.patient_id, entry.age, entry.sex, labels, entry.fold)

    def targets(self) -> Mapping[Target, TargetInfo]:
        """Describe PTB-XL's targets and 12SL's measurements."""
        return {**self.ptbxl.targets(), **self._features}

    @property
    def more_targets(self) -> str:
        """How PTB-XL's files, and further columns of 12SL's table, become targets."""
        return f"{self.ptbxl.more_targets}; columns of {TABLE} with `--data.source.init_args.features`"

    def where(self, place: int) -> str:
        """Name the file and line of an entry in PTB-XL's table."""
        return self.ptbxl.where(place)

    def unmapped_codes(self) -> Mapping[str, int]:
        """Count PTB-XL's codes that mean no target."""
        return self.ptbxl.unmapped_codes()

    def read(self, entry: Entry) -> Recording:
        """Read PTB-XL's own record of one entry.

        Raises:
            RecordingError: As for PTB-XL.
        """
        return self.ptbxl.read(entry)

    def beat(self, entry: Entry, neighbours: Neighbours = "keep") -> MedianBeat:
        """Return 12SL's median beat, with the waves that it has found.

        Raises:
            RecordingError: 12SL has made none, it is damaged, or it is no beat of 1.2 s around a QRS complex.
            ValueError: ``neighbours: blank``, which needs recordings.
        """
        if neighbours != "keep":
            raise ValueError("data.neighbours: blank needs recordings; 12SL's beats are used as they are (keep)")
        path = header_path(self.root, entry.ecg_id)
        given, scale = read_median(path), MILLIVOLTS[self._unit]
        measured = self._measured.get(entry.ecg_id, _NO_ROW)
        waveform = Recording(given.signal * scale, given.sampling_rate, given.leads)
        marks = QrsMarks(measured.waves.get("QRS"), _MARKS)
        return Median(waveform, path, marks, measured.heart_rate, measured.waves).ready()

    def settings(self) -> dict[str, object]:
        """Return digests of the tables, what determines PTB-XL's part, the targets' columns and the unit."""
        return {
            "features_blake2b": digest_file(self.root / TABLE),
            "description_blake2b": digest_file(self.root / DESCRIPTION),
            "ptbxl": self.ptbxl.settings(),
            "features": list(self._features),
            "unit": self._unit,
        }

    @cached_property
    def _features(self) -> dict[Target, TargetInfo]:
        return read_targets(self.root, self.features)

    @cached_property
    def _measured(self) -> dict[str, Measured]:
        return read_features(self.root, self._features)

    @property
    def _unit(self) -> Unit:
        return self._decided[0] if self.unit == "compare" else self.unit

    @cached_property
    def _decided(self) -> tuple[Unit, str]:
        return decided_unit(islice(self._pairs(), _COMPARED))

    def _pairs(self) -> Iterator[tuple[str, Recording, NDArray]]:  # type: ignore[type-arg]
        """Beats of 12SL with those that are made of PTB-XL's records, where there are both."""
        usable = (one for one in self.ptbxl.labelled() if not isinstance(one, RejectedEntry))
        both = (one for one in usable if header_path(self.root, one.ecg_id).is_file() and self.ptbxl.has_record(one))
        for entry in islice(both, _TRIED):
            try:
                yield entry.ecg_id, read_median(header_path(self.root, entry.ecg_id)), self._own_beat(entry)
            except RecordingError:
                continue  # it is rejected with the reason when its turn comes; another ECG decides

    def _own_beat(self, entry: Entry) -> NDArray:  # type: ignore[type-arg]
        return median_beat(self.ptbxl.read(entry)).beat
