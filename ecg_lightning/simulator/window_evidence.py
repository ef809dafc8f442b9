"""This module finds where the evidence lies in a window of a recording, by twins whose beats come at the same times."""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from ecg_lightning.ecg import LEADS, SAMPLING_RATE, Target
from ecg_lightning.signal.recording import Recording, RecordingError
from ecg_lightning.signal.window import Window
from ecg_lightning.simulator.case import Case
from ecg_lightning.simulator.evidence import RHYTHMS, difference_mask, twin_of
from ecg_lightning.simulator.recording import SAMPLES, simulate
from ecg_lightning.simulator.repolarisation import has_strain
from ecg_lightning.simulator.textbook import textbook_mask, waves_of


def window_evidence(
    case: Case, targets: tuple[Target, ...], cut: Callable[[Recording], Window], sampling_rate: float
) -> Mapping[str, NDArray[np.bool_]]:
    """Find the causal and core masks of several targets in a window of one ECG's recording.

    Both twins' recordings are cut without noise; where the windows differ is the causal mask, by the rules of the
    median beat.

    Args:
        case: The case of the ECG.
        targets: Diagnoses that it has, and measurements. Rhythms are left out: their twin has its beats at other times,
            so that the windows differ everywhere, and no difference says where the evidence lies.
        cut: Cuts the window out of a recording.
        sampling_rate: Of the window, Hz.

    Returns:
        ``causal/<target>`` and ``core/<target>`` -> (lead, sample) boolean of the window.
    """
    cases = {
        target: twin for target in targets if target not in RHYTHMS and (twin := twin_of(case, target)) is not None
    }
    if not cases:
        return {}
    ecg, strain = simulate(case), has_strain(case.patient_streams)
    waves = waves_of(ecg)
    core = {f"core/{target}": textbook_mask(target, waves, SAMPLES, strain=strain) for target in cases}
    masks: dict[str, NDArray[np.bool_]] = {}
    try:
        present = cut(Recording(ecg.signal, float(SAMPLING_RATE), LEADS, core))
        for target, twin in cases.items():
            absent = cut(simulate(twin).recording(noise=False))
            masks[f"causal/{target}"] = difference_mask(present.signal - absent.signal, target, sampling_rate)
            masks[f"core/{target}"] = present.wave_masks[f"core/{target}"]
    except RecordingError:
        return {}
    return masks
