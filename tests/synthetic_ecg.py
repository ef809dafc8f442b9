"""A plain synthetic ECG for tests: Gaussians at known times, the same in every beat, and a PTB-XL-shaped folder."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import wfdb
from numpy.typing import NDArray
from scipy.io import savemat

from ecg_lightning.data.sources.base import Recording
from ecg_lightning.ecg import LEADS

# centre (s from R), sigma (s), amplitude (mV) per lead of I II V1-V6
WAVES = {
    "P": (-0.170, 0.018, (0.08, 0.12, 0.05, 0.06, 0.06, 0.06, 0.06, 0.06)),
    "Q": (-0.022, 0.007, (-0.08, -0.06, 0.05, 0.10, 0.05, -0.05, -0.09, -0.09)),
    "R": (0.0, 0.010, (0.60, 0.95, -0.45, -0.50, 0.35, 1.10, 1.20, 0.90)),
    "S": (0.026, 0.009, (-0.12, -0.15, -0.35, -0.80, -0.70, -0.40, -0.20, -0.08)),
    "T": (0.270, 0.045, (0.18, 0.25, 0.05, 0.30, 0.35, 0.32, 0.28, 0.20)),
}
QRS_HALF_WIDTH = 0.055
"""s; the QRS complex is inside R - 45 ms ... R + 55 ms."""

TWELVE_LEADS = ("I", "II", "III", "AVR", "AVL", "AVF", "V1", "V2", "V3", "V4", "V5", "V6")


def one_beat(
    seconds_from_r: NDArray[np.float64], scale: Sequence[float] | NDArray[np.float64] = (1.0,) * 8
) -> NDArray[np.float64]:
    """(8, sample) mV of one beat."""
    signal = np.zeros((len(LEADS), len(seconds_from_r)))
    for centre, sigma, amplitude in WAVES.values():
        bump = np.exp(-0.5 * ((seconds_from_r - centre) / sigma) ** 2)
        signal += np.asarray(amplitude)[:, None] * bump
    return np.asarray(signal * np.asarray(scale)[:, None])


@dataclass(frozen=True)
class Synthetic:
    """A recording, and where its R peaks are (s)."""

    recording: Recording
    r_times: NDArray[np.float64]


def synthetic(
    heart_rate: float = 70.0,
    *,
    rate: float = 500.0,
    seconds: float = 10.0,
    first_r: float = 0.6,
    noise: float = 0.002,
    seed: int = 0,
    with_masks: bool = False,
) -> Synthetic:
    """A recording of identical beats: regular, noise in mV."""
    r_times = np.arange(first_r, seconds, 60.0 / heart_rate)
    time = np.arange(round(seconds * rate)) / rate
    signal = np.sum([one_beat(time - r) for r in r_times], axis=0)
    signal += noise * np.random.default_rng(seed).standard_normal(signal.shape)
    masks = {}
    if with_masks:
        qrs = (np.abs(time[:, None] - r_times) <= QRS_HALF_WIDTH).any(axis=1)
        masks["QRS"] = np.tile(qrs, (len(LEADS), 1))
    return Synthetic(Recording(signal, rate, LEADS, masks), r_times)


def twelve_leads(signal: NDArray[np.floating]) -> NDArray[np.floating]:
    """(8, sample) -> (12, sample) in the order of ``TWELVE_LEADS``."""
    one, two = signal[:2]
    limb = np.stack([one, two, two - one, -(one + two) / 2, one - two / 2, two - one / 2])
    return np.concatenate([limb, signal[2:]])


def write_record(
    path: Path, signal: NDArray[np.floating], rate: float = 500.0, unit: str = "mV", gain: float = 1000.0
) -> None:
    """Write (12, sample) as a WFDB record of 16-bit samples; ``path`` without ending."""
    path.parent.mkdir(parents=True, exist_ok=True)
    wfdb.wrsamp(
        path.name,
        fs=rate,
        units=[unit] * len(signal),
        sig_name=list(TWELVE_LEADS[: len(signal)]),
        p_signal=np.asarray(signal.T, dtype=np.float64),
        fmt=["16"] * len(signal),
        adc_gain=[gain] * len(signal),
        baseline=[0] * len(signal),
        write_dir=str(path.parent),
    )


PTBXL_HEADER = "ecg_id,patient_id,age,sex,report,scp_codes,strat_fold,filename_lr,filename_hr"


def write_ptbxl(
    root: Path, records: Sequence[tuple[float, str]], *, signal: NDArray[np.floating] | None = None
) -> None:
    """Write a folder in PTB-XL's shape: one (age, scp_codes) per record, ids from 1."""
    lines = [PTBXL_HEADER]
    for ecg_id, (age, codes) in enumerate(records, start=1):
        name = f"records500/00000/{ecg_id:05d}_hr"
        age_text = "" if np.isnan(age) else f"{age}"
        fold, sex = ecg_id % 10 + 1, ecg_id % 2
        lines.append(f'{ecg_id},{100 + ecg_id}.0,{age_text},{sex},"report, with comma","{codes}",{fold},lr,{name}')
        beat = synthetic(60.0 + ecg_id, seconds=6.0, seed=ecg_id).recording.signal
        write_record(root / name, twelve_leads(beat if signal is None else signal))
    (root / "ptbxl_database.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_challenge(
    record: Path,
    *,
    comments: Sequence[str] = ("#Age: 54", "#Sex: Male", "#Dx: 426783006,59118001"),
    signal: NDArray[np.floating] | None = None,
    rate: float = 500.0,
    gain: str = "1000/mV",
    name: str | None = None,
) -> None:
    """Write (12, sample) mV as the challenge does: ``val`` in steps of 1 uV; ``record`` without ending."""
    record.parent.mkdir(parents=True, exist_ok=True)
    if signal is None:
        signal = twelve_leads(synthetic(61.0, seconds=6.0, seed=1).recording.signal)
    steps = np.rint(1000.0 * signal).astype(np.int16)
    savemat(record.parent / f"{record.name}.mat", {"val": steps}, format="4")
    lines = [f"{name or record.name} {len(steps)} {rate:g} {steps.shape[1]} 05-May-2020 14:50:55"]
    for lead, row in zip(TWELVE_LEADS, steps, strict=False):
        lines.append(f"{record.name}.mat 16+24 {gain} 16 0 {row[0]} {np.int16(row.sum(dtype=np.int16))} 0 {lead}")
    (record.parent / f"{record.name}.hea").write_text("\n".join([*lines, *comments]) + "\n")
