"""A small network with BatchNorm that learns PTB-XL's classes in seconds, and the ECGs that the gate is shown."""

import ast
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import wfdb
from numpy.typing import NDArray
from scipy.signal import resample_poly
from torch import Tensor, nn

from ecg_lightning.cards.card import Promise, Reads
from ecg_lightning.cards.gate.finding import Finding
from ecg_lightning.cards.gate.known_answer import Labelled
from ecg_lightning.cards.gate.look import Looked, look
from ecg_lightning.data.representations import TWELVE_LEADS
from ecg_lightning.signal.leads import to_leads

CLASSES = ("NORM", "MI", "STTC", "CD", "HYP")
READS = Reads(TWELVE_LEADS, 100, 1000)


class Learner(nn.Module):
    """(batch, 12, 1000) -> five logits."""

    def __init__(self, width: int = 16, norms: bool = True, own_z: bool = False) -> None:
        super().__init__()
        self.own_z = own_z
        sizes = ((12, width, 15, 4), (width, 2 * width, 9, 4), (2 * width, 2 * width, 7, 2))
        self.convs = nn.ModuleList(nn.Conv1d(a, b, k, stride=s, padding=k // 2) for a, b, k, s in sizes)
        self.norms = nn.ModuleList(nn.BatchNorm1d(b) if norms else nn.GroupNorm(1, b) for _, b, _, _ in sizes)
        self.head = nn.Linear(2 * width, len(CLASSES))

    def forward(self, ecg: Tensor) -> Tensor:
        values = (ecg - ecg.mean(2, keepdim=True)) / ecg.std(2, keepdim=True) if self.own_z else ecg
        for conv, norm in zip(self.convs, self.norms, strict=True):
            values = torch.relu(norm(conv(values)))
        return self.head(values.mean(-1))


def trained(ecg: Tensor, label: Tensor, seed: int = 0, steps: int = 250, **settings: bool) -> Learner:
    """Some seconds on one core."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Learner(**settings)
    optimiser = torch.optim.Adam(network.parameters(), 3e-3, weight_decay=1e-3)
    draws = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        rows = torch.randperm(len(ecg), generator=draws)[:48]
        noisy = ecg[rows] + 0.02 * torch.randn(ecg[rows].shape, generator=draws)
        known = ~label[rows].isnan()
        loss = nn.functional.binary_cross_entropy_with_logits(network(noisy)[known], label[rows][known])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return network.eval()


@dataclass(frozen=True)
class Archive:
    """PTB-XL's first 300 records: (ecg, 12, 1000) mV at 100 Hz, the first 2 s at 500 Hz, and their classes."""

    ecg: Tensor
    fast: Tensor
    label: NDArray[np.float64]
    patients: NDArray[Any]

    def halves(self, seed: int = 0) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Rows to learn from and rows to look at, of other patients."""
        everybody = np.random.default_rng(seed).permutation(np.unique(self.patients))
        learnt = np.isin(self.patients, everybody[: len(everybody) // 2])
        return np.flatnonzero(learnt), np.flatnonzero(~learnt)

    def look(
        self,
        network: nn.Module,
        rows: NDArray[np.intp],
        reads: Reads = READS,
        ecg: Tensor | None = None,
        target: str = "NORM",
        outputs: dict[str, int] | None = None,
        promises: tuple[Promise, ...] = (),
        labels: bool = True,
    ) -> list[Finding]:
        """What the gate finds of these rows."""
        known = {name: self.label[rows, place] for place, name in enumerate(CLASSES)} if labels else {}
        places = {name: place for place, name in enumerate(CLASSES)} | (outputs or {})
        labelled = Labelled(places, known, self.patients[rows], target)
        looked = Looked(network, lambda output: output, reads, promises=promises)
        return look(looked, (self.ecg if ecg is None else ecg)[rows], labelled, known)


def read_archive(root: Path) -> Archive:
    """Read the records as they are; the classes by their statements."""
    table = pd.read_csv(root / "ptbxl_database.csv")
    statements = pd.read_csv(root / "scp_statements.csv", index_col=0)["diagnostic_class"].dropna()
    slow, fast, labels = [], [], []
    for name, codes in zip(table["filename_hr"], table["scp_codes"], strict=True):
        record = wfdb.rdrecord(str(root / name))
        signal = to_leads(record.p_signal.T, record.sig_name, TWELVE_LEADS)
        slow.append(resample_poly(signal, 1, 5, axis=1)[:, :1000])
        fast.append(signal[:, :1000])
        classes = {statements[code] for code in ast.literal_eval(codes) if code in statements}
        labels.append([float(one in classes) if classes else np.nan for one in CLASSES])
    ecgs = (torch.from_numpy(np.stack(part)).float() for part in (slow, fast))
    return Archive(*ecgs, np.array(labels), table["patient_id"].to_numpy())
