"""Real ECGs for the benchmarks: their archives, what plain criteria say of them, and whether they are known ones.

No script; ``sim_to_real.py`` scores networks on them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import torch
from multilabel import labels_of_cache
from numpy.typing import NDArray
from torch import Tensor

from ecg_lightning.data.cache import BeatCache
from ecg_lightning.data.prepare import prepare
from ecg_lightning.data.sources import Cinc, Ludb, PtbXl, Source
from ecg_lightning.data.sources.cinc import part_of
from ecg_lightning.ecg import FIDUCIAL_SAMPLE, LEADS, TARGETS, Target
from ecg_lightning.simulator.voltage import measure_voltages

VOLTAGE: Final[tuple[Target, ...]] = ("low_qrs_voltage", "left_ventricular_hypertrophy")
CRITERIA: Final[tuple[Target, ...]] = ("left_ventricular_hypertrophy", "sinus_bradycardia")
"""Classes that a plain criterion can be compared with."""
_QRS: Final = slice(FIDUCIAL_SAMPLE - 35, FIDUCIAL_SAMPLE + 52)  # the widest complexes, before T
_SOKOLOW, _CORNELL = 3.5, 2.4  # mV; Cornell between its thresholds for men (2.8) and women (2.0)
_CHAPMAN: Final = ("Chapman_Shaoxing", "Ningbo")


@dataclass(frozen=True, eq=False)
class RealEcgs:
    """Real ECGs of all archives, one after the other.

    Attributes:
        ecg: (n, 8, 600) mV.
        label: (n, 9) 1, 0 or NaN where missing.
        patient: (n,) patients, named after their source.
        archive: (n,) where each was recorded: PTB-XL's are found in two sources.
        heart_rate: (n,) beats per minute, over the R peaks of the whole recording; NaN where unknown.
        digest: Of all ECGs' sources and ids, whether or not they can be used.
    """

    ecg: Tensor
    label: NDArray[np.float64]
    patient: NDArray[np.str_]
    archive: NDArray[np.str_]
    heart_rate: NDArray[np.float64]
    digest: str

    def criterion(self, target: Target) -> NDArray[np.float64]:
        """(n,) a score of a class of ``CRITERIA`` that needs no network.

        Hypertrophy: the larger of Sokolow-Lyon over 3.5 mV and Cornell over 2.4 mV, in the median beat. Bradycardia:
        the rate, lower ones first.
        """
        if target == "sinus_bradycardia":
            return -self.heart_rate
        complexes = [beat[:, _QRS] for beat in self.ecg.double().numpy()]
        return np.array(
            [max(measure_voltages(qrs).sokolow_lyon / _SOKOLOW, cornell(qrs) / _CORNELL) for qrs in complexes]
        )


def cornell(qrs: NDArray[np.float64]) -> float:
    """R of aVL plus the depth of S in V3, mV (Casale et al., J Am Coll Cardiol 1985;6:572).

    Args:
        qrs: (8, sample) mV from QRS onset to offset, against the voltage before the QRS complex.
    """
    avl, v3 = qrs[LEADS.index("I")] - 0.5 * qrs[LEADS.index("II")], qrs[LEADS.index("V3")]
    return max(float(avl.max()), 0.0) + max(-float(v3.min()), 0.0)


def real_sources(root: Path) -> tuple[Source, ...]:
    """The archives of real ECGs under a root: those of its folders ``ptbxl``, ``cinc2021`` and ``ludb`` that exist.

    Raises:
        FileNotFoundError: None does.
    """
    kinds = {"ptbxl": PtbXl, "cinc2021": Cinc, "ludb": Ludb}
    found = tuple(kind(root / folder) for folder, kind in kinds.items() if (root / folder).is_dir())
    if not found:
        raise FileNotFoundError(f"{root}: expected a folder {', '.join(kinds)} in it, found none; set --real-root")
    return found


def real_ecgs(sources: Sequence[Source], cache_dir: Path, processes: int) -> RealEcgs:
    """The beats and labels of all archives; LUDB's voltage classes are missing."""
    caches = [prepare(source, cache_dir, processes=processes, min_age=0.0) for source in sources]
    table = pd.concat([cache.examples for cache in caches], ignore_index=True)
    return RealEcgs(
        ecg=torch.from_numpy(np.concatenate([cache.read_beats(np.arange(len(cache))) for cache in caches])),
        label=np.concatenate([_judgeable_labels(cache) for cache in caches]),
        patient=(table["source"] + ":" + table["patient_id"]).to_numpy(np.str_),
        archive=np.array([archive_of(*pair) for pair in zip(table["source"], table["ecg_id"], strict=True)]),
        heart_rate=table["heart_rate"].to_numpy(np.float64),
        digest=digest_of_ids(sources),
    )


def archive_of(source: str, ecg_id: str) -> str:
    """Where an ECG was recorded, by its source's name and its id: PTB-XL, Chapman, LUDB, or the challenge's name."""
    part = part_of(Path(ecg_id).name) if source == Cinc.name else None
    if source == PtbXl.name or part == "PTB_XL":
        return "PTB-XL"
    if source == Ludb.name:
        return "LUDB"
    return "Chapman" if part in _CHAPMAN else part or source


def digest_of_ids(sources: Sequence[Source]) -> str:
    """Hash of which ECGs there are, whatever their order."""
    ids = sorted(f"{source.name}:{entry.ecg_id}" for source in sources for entry in source.entries())
    return blake2b("\n".join(ids).encode(), digest_size=8).hexdigest()


def without_patients(real: RealEcgs, patients: Sequence[str]) -> RealEcgs:
    """Leave some patients out; what is left is no known set of ECGs, unless none was named.

    Raises:
        ValueError: A patient who is not there.
    """
    if not patients:
        return real
    unknown = sorted(set(patients) - set(real.patient.tolist()))
    if unknown:
        raise ValueError(
            f"no real ECG of the patients {', '.join(unknown)}; expected <archive>:<patient>, such as {real.patient[0]}"
        )
    kept = ~np.isin(real.patient, patients)
    return RealEcgs(
        real.ecg[torch.from_numpy(kept)],
        real.label[kept],
        real.patient[kept],
        real.archive[kept],
        real.heart_rate[kept],
        digest="",
    )


def _judgeable_labels(cache: BeatCache) -> NDArray[np.float64]:
    labels = labels_of_cache(cache)
    if cache.examples["source"].iloc[0] == Ludb.name:
        labels[:, [TARGETS.index(target) for target in VOLTAGE]] = np.nan
    return labels
