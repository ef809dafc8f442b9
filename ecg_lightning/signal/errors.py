"""These errors say why a recording can't be used, one class per reason.

``kind`` is the short machine word that stands in the column ``reason_kind`` of ``rejected.parquet``; the
message is the sentence for people.
"""

from typing import ClassVar

from ecg_lightning.signal.recording import RecordingError


class MissingLeadError(RecordingError):
    """The beat needs a lead that is neither there nor can be derived, or that is there twice."""

    kind: ClassVar[str] = "missing_lead"


class NotFiniteError(RecordingError):
    """The signal holds NaN or infinite samples."""

    kind: ClassVar[str] = "not_finite"


class VoltageError(RecordingError):
    """The signal is too large to be in mV."""

    kind: ClassVar[str] = "voltage"


class FlatLeadError(RecordingError):
    """A lead is constant or nearly so, or was for too long: an electrode was off."""

    kind: ClassVar[str] = "flat_lead"


class TooShortError(RecordingError):
    """The recording is too short for three beats."""

    kind: ClassVar[str] = "too_short"


class SamplingRateError(RecordingError):
    """The sampling rate is not one of an ECG, or has no exact small ratio to 500 Hz."""

    kind: ClassVar[str] = "sampling_rate"


class FewBeatsError(RecordingError):
    """Fewer than three beats were found, or fewer than three are alike."""

    kind: ClassVar[str] = "few_beats"


class NoisyError(RecordingError):
    """The median beat would be noise: its beats disagree, or its power is not at an ECG's frequencies."""

    kind: ClassVar[str] = "noisy"
