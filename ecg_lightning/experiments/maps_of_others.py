"""Maps that know nothing of the patient: another patient's, and the mean over all others."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from ecg_lightning.attribution.controls import ControlName, control_maps
from ecg_lightning.attribution.partners import PATIENT_CONTROLS, PatientControl
from ecg_lightning.attribution.seeding import RandomKey
from ecg_lightning.ecg import format_of
from ecg_lightning.experiments.audit_stores import rows_as_large
from ecg_lightning.storage.manifest import StoreError
from ecg_lightning.storage.store import Rows, RowStore, StoreSpec

_AT_ONCE: Final = 32
"""Patients, and ECGs, that are summed up at a time (fewer of longer ECGs): 2 x 32 x 16 maps in float64 are 40 MB."""


def check_patient_controls(names: Sequence[str], count: int) -> tuple[PatientControl, ...]:
    """Return the controls of these names.

    Raises:
        ValueError: An unknown name, one listed twice, or no partner.
    """
    known: dict[str, PatientControl] = {name: name for name in PATIENT_CONTROLS}
    if any(name not in known for name in names) or len(set(names)) < len(names) or count < 1:
        raise ValueError(
            f"patient_controls are some of {', '.join(PATIENT_CONTROLS)}, each at most once, and partners is 1 or "
            f"more; got {', '.join(names) or 'none'} and {count}"
        )
    return tuple(known[name] for name in names)


@dataclass(frozen=True)
class OwnMaps:
    """The source of a run's own maps.

    Attributes:
        stores: Method -> store of its maps.
        controls: Whose maps are made anew, after those of the methods.
        key: Control and row -> what its noise is drawn by.
        device: Of the network.
    """

    stores: Mapping[str, RowStore]
    controls: tuple[ControlName, ...]
    key: Callable[[str, int], RandomKey]
    device: torch.device

    @property
    def names(self) -> tuple[str, ...]:
        """List the methods, then the controls."""
        return (*self.stores, *self.controls)

    @property
    def spec(self) -> StoreSpec:
        """Return what the first method's store holds."""
        return next(iter(self.stores.values())).spec

    def read(self, rows: Rows, ecg: Tensor) -> dict[str, Tensor]:
        """Name -> (k, lead, sample) of the rows, whose ECGs (k, lead, sample) are given; NaN where there is no map."""
        stored = {name: torch.from_numpy(store.read(rows)) for name, store in self.stores.items()}
        methods = {name: maps.to(ecg.device, torch.float32) for name, maps in stored.items()}
        rate = format_of(self.spec.settings).sampling_rate
        return methods | control_maps(self.controls, ecg, lambda name, place: self.key(name, int(rows[place])), rate)


class MapsOfOthers:
    """Hands out what the methods' maps would be if they were not of this patient, from the run's own maps.

    ``other_ecg``: the same method's map of another patient's ECG of the same predicted class (of a measurement, with
    the nearest prediction), as noisy as the own one.
    ``mean_map``: the mean over all *other* patients, of whatever class; each map is divided by the sum of its
    magnitudes, and a patient's ECGs are averaged first. Controls without a network have both too, made anew from the
    other ECGs. Exists once every map is in its store.

    Args:
        source: The run's own maps.
        examples: The test ECGs.
        read: Rows -> their ECGs (k, lead, sample) mV.
        predicted: (n,) predicted class, or measurement, of each ECG, NaN where it is not known.
        partners: (n, count) rows of each ECG's partners, -1 where there is none.

    Attributes:
        totals: Sum of the patients' mean maps (1, name, lead, sample), and of how many patients it is; None before
            they are summed up.
    """

    def __init__(
        self,
        source: OwnMaps,
        examples: pd.DataFrame,
        read: Callable[[Rows], Tensor],
        predicted: NDArray[np.float64],
        partners: NDArray[np.int64],
    ) -> None:
        self.source, self.read, self.predicted = source, read, predicted
        self.patients, self.codes = np.unique(examples["patient_id"].astype(str), return_inverse=True)
        self.by_patient = np.argsort(self.codes, kind="stable")
        self.first = np.concatenate([[0], np.cumsum(np.bincount(self.codes))])  # of each patient's rows in by_patient
        self.partners = partners
        self.totals: tuple[Tensor, Tensor] | None = None

    @property
    def ready(self) -> bool:
        """Tell whether every ECG was predicted: partners of a part of them would not be those of all."""
        return not np.isnan(self.predicted).any()

    def ecgs(self, rows: Rows) -> Tensor:
        """Read ECGs (k, lead, sample) in mV, onto the network's device."""
        return self.read(rows).to(self.source.device)

    def own(self, rows: Rows) -> dict[str, Tensor]:
        """Name -> (k, lead, sample): the rows' own maps, of methods and controls; NaN where there is none."""
        return self.source.read(rows, self.ecgs(rows))

    def maps(self, control: PatientControl, rows: Rows, place: int = 0) -> dict[str, Tensor]:
        """Name -> (k, lead, sample): what stands in for the rows' own maps; NaN where there is nothing.

        Args:
            control: Which.
            rows: (k,) of the test set.
            place: Which of several partners.
        """
        return self._other_ecg(rows, place) if control == "other_ecg" else self._mean_map(rows)

    def sums(self, patients: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Add up the mean maps of some patients, as in ``totals``; their number by name, (1, name, 1, 1)."""
        total, count = self._zeros(1)
        for start in range(0, len(patients), self._at_once):
            means, known = self._patient_means(np.asarray(patients[start : start + self._at_once]))
            total += means.sum(0, keepdim=True)
            count += known.sum(0, keepdim=True)
        return total, count

    @property
    def _at_once(self) -> int:
        return rows_as_large(_AT_ONCE, self.source.spec.shape[1:])

    def _other_ecg(self, rows: Rows, place: int) -> dict[str, Tensor]:
        partner = self.partners[rows, place]
        alone = torch.from_numpy(partner < 0)
        found = self.own(np.where(partner < 0, rows, partner))
        return {name: maps.masked_fill(alone.to(maps.device)[:, None, None], torch.nan) for name, maps in found.items()}

    def _mean_map(self, rows: Rows) -> dict[str, Tensor]:
        """In float64: what is the same for all patients stays the same to the last digit that ranks its points."""
        if self.totals is None:
            raise RuntimeError("PatientControls.sum_up has to be called on every rank before a mean map is asked for")
        patients, place = np.unique(self.codes[rows], return_inverse=True)
        means, known = self._patient_means(patients)
        total, count = self.totals
        left = count - known  # (patient, name): other patients with a usable map
        mean = torch.where(left > 0, total - means, torch.nan) / left.clamp(min=1)
        return {name: mean[place, index].to(self.source.device) for index, name in enumerate(self.source.names)}

    def _patient_means(self, patients: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Mean of each patient's usable maps at a sum of magnitudes of 1, 0 where there is none; and where there are.

        Returns:
            (patient, name, lead, sample) and (patient, name, 1, 1), float64 on the CPU.
        """
        total, count = self._zeros(len(patients))
        for rows, place in self._rows_of(patients):
            stacked = torch.stack([maps.cpu().double() for maps in self.own(rows).values()], dim=1)
            size = stacked.abs().flatten(2)
            usable = stacked.isfinite().flatten(2).all(-1) & (stacked.flatten(2).amax(-1) > stacked.flatten(2).amin(-1))
            scaled = torch.where(usable[..., None, None], stacked / size.sum(-1)[..., None, None], 0.0)
            total.index_add_(0, place, scaled)
            count.index_add_(0, place, usable.double()[..., None, None])
        return total / count.clamp(min=1), (count > 0).double()

    def _rows_of(self, patients: NDArray[np.int64]) -> Iterator[tuple[Rows, Tensor]]:
        """Rows of some patients and which patient each is of, some rows at a time."""
        ends = self.first[patients + 1]
        own = [self.by_patient[start:end] for start, end in zip(self.first[patients], ends, strict=True)]
        rows, place = np.concatenate(own), np.repeat(np.arange(len(patients)), ends - self.first[patients])
        for start in range(0, len(rows), self._at_once):
            some = slice(start, start + self._at_once)
            yield rows[some], torch.from_numpy(place[some])

    def _zeros(self, patients: int) -> tuple[Tensor, Tensor]:
        shape, points = (patients, len(self.source.names)), self.source.spec.shape[1:]
        return torch.zeros(*shape, *points, dtype=torch.float64), torch.zeros(*shape, 1, 1, dtype=torch.float64)

    def table(self) -> pd.DataFrame:
        """Return one row an ECG and partner: ``row, partner_row, predicted, place``."""
        n, count = self.partners.shape
        row = np.repeat(np.arange(n), count)
        return pd.DataFrame(
            {
                "row": row,
                "partner_row": self.partners.ravel(),
                "predicted": self.predicted[row],
                "place": np.tile(np.arange(count), n),
            }
        )


def stored_outputs(folder: Path, of_maps: StoreSpec, n_ecgs: int) -> NDArray[np.float64]:
    """Read (n,) outputs; NaN where there is none of this network.

    Args:
        folder: Of the outputs' store.
        of_maps: What the maps' stores hold: of which network and ECGs.
        n_ecgs: Number of test ECGs.
    """
    unknown = np.full(n_ecgs, np.nan)
    try:
        store = RowStore.open(folder)
        output = store.read(np.arange(len(store))).astype(np.float64)
    except (FileNotFoundError, StoreError):
        return unknown
    if (store.spec.network, store.spec.examples) != (of_maps.network, of_maps.examples):
        return unknown
    return output


def predicted_classes(logit: NDArray[np.float64], threshold: float) -> NDArray[np.float64]:
    """Return (n,) 1 where the probability of a logit reaches the threshold, else 0; NaN where the logit is."""
    positive = 1 / (1 + np.exp(-logit)) >= threshold
    return np.where(np.isnan(logit), np.nan, positive)
