"""Writes PTB-XL+ 1.0.1 in its layout: 12SL's tables, and median beats as 32-bit WFDB with its stale record line."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecg_lightning.data.sources.ptbxl_plus_beats import header_path

TWELVE = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
USUAL = {
    "HR__Global": "61",
    "P_Dur_Global": "104",
    "PR_Int_Global": "150",
    "QRS_Dur_Global": "88",
    "QT_Int_Global": "392",
    "RR_Mean_Global": "984",
    "QT_IntBazett_Global": "395",
    "QT_IntFridericia_Global": "394",
    "P_On_Global": "284",
    "P_Off_Global": "388",
    "QRS_On_Global": "434",
    "QRS_Off_Global": "522",
    "T_On_Global": "640",
    "T_Off_Global": "826",
    "R_Amp_V5": "1.25",
}
DESCRIPTION = """\ufeffid,description,unit,loinc
HR__Global,Heart rate,bpm,
RR_Mean_Global,Mean RR interval,ms,
P_Dur_Global,P wave duration,ms,
PR_Int_Global,P-R interval,ms,
QRS_Dur_Global,QRS duration,ms,
QT_Int_Global,Q-T interval,ms,
QT_IntBazett_Global,Q-T interval by Bazett,ms,
QT_IntFridericia_Global,Q-T interval by Fridericia,ms,
R_Amp_X,R wave amplitude,mV,
"""


def write_tables(root: Path, rows: Mapping[int, Mapping[str, str]]) -> None:
    """Both tables; ``rows`` is id -> what differs from ``USUAL``, ids stand in the middle and in no order."""
    folder = root / "features"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "feature_description.csv").write_text(DESCRIPTION, encoding="utf-8")
    columns = [*list(USUAL)[:5], "ecg_id", *list(USUAL)[5:], "QRS_Area_aVF"]
    lines = [",".join(columns)]
    for ecg_id, own in sorted(rows.items(), reverse=True):
        cells = {**USUAL, "ecg_id": str(ecg_id), "QRS_Area_aVF": "12.5", **own}
        lines.append(",".join(cells[column] for column in columns))
    (folder / "12sl_features.csv").write_text("\n".join(lines) + "\n")


def write_median(root: Path, ecg_id: int, millivolts: NDArray[np.floating], *, per_millivolt: float = 1000.0) -> Path:
    """Write (12, 600) mV as the release has it: whole uV that the header calls mV, each lead over all 32 bits."""
    header = header_path(root, str(ecg_id))
    header.parent.mkdir(parents=True, exist_ok=True)
    values = millivolts * per_millivolt
    low, high = values.min(axis=1), values.max(axis=1)
    gain = (2.0**32 - 3.0) / (high - low)
    baseline = np.rint(-(2.0**31) + 1.0 - gain * low)
    steps = np.rint(values * gain[:, None] + baseline[:, None]).astype(np.int64)
    assert np.abs(steps).max() < 2**31
    name = f"ge_median_beats_wfdb/{header.stem}"
    lines = [f"{name} {len(steps)} 500 {steps.shape[1]}"]
    for lead, row, one, zero in zip(TWELVE, steps, gain, baseline, strict=False):
        lines.append(f"{name}.dat 32 {float(one)!r}({int(zero)})/mV 32 0 {row[0]} {row.sum() % 65536} 0 {lead}")
    header.write_text("\n".join(lines) + "\n")
    steps.T.astype("<i4").tofile(header.with_suffix(".dat"))
    return header
