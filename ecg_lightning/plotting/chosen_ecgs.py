"""A few test ECGs get pictures: the most typical one of each outcome, with the map of every method."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from ecg_lightning.attribution.base import AttributionMethod, Passes
from ecg_lightning.attribution.task import FrozenModel
from ecg_lightning.data.targets import TargetInfo
from ecg_lightning.ecg import MEDIAN_BEAT, SignalFormat
from ecg_lightning.plotting.maps import map_figure
from ecg_lightning.plotting.overview import maps_overview
from ecg_lightning.plotting.recording_maps import most_relevant_beat, recording_map_figure, shares_of_leads

OUTCOMES: Final = ("true positive", "false negative", "false positive", "true negative")

PREDICTIONS: Final = ("lowest prediction", "median prediction", "highest prediction", "largest error")
"""The ECGs of a measurement that get pictures."""

_EVIDENCE_NAME: Final = "evidence (twin)"
"""What differs from the counterfactual twin without the diagnosis; only simulated ECGs that have it know it."""


class ChosenEcg(NamedTuple):
    """An ECG that gets pictures.

    Attributes:
        row: Its row of the test set.
        ecg_id: Its id.
        label: 1, 0, or NaN where missing; or the value of a measurement.
        predicted: The network's probability, or its prediction of a measurement.
        outcome: One of ``OUTCOMES`` or ``PREDICTIONS``, or ``label missing`` or ``prediction``.
        words: What the network says, such as ``p = 0.812``.
    """

    row: int
    ecg_id: str
    label: float
    predicted: float
    outcome: str
    words: str


def choose_ecgs(
    examples: pd.DataFrame, logits: Mapping[int, float], threshold: float, ecg_ids: Sequence[str] | None
) -> list[ChosenEcg]:
    """Choose the ECGs to draw: those asked for, or the median one of each outcome.

    Args:
        examples: The test ECGs with ``row``, ``ecg_id`` and ``label``.
        logits: Logit of each row that was tested.
        threshold: On the probability.
        ecg_ids: Ids asked for, or None.
    """
    table = examples[examples["row"].isin(logits)].copy()
    logit = table["row"].map(logits).to_numpy(dtype=float)
    table["predicted"] = 1 / (1 + np.exp(-logit))
    positive, label = table["predicted"] >= threshold, table["label"]
    table["outcome"] = np.select(
        [positive & (label == 1), ~positive & (label == 1), positive & (label == 0), ~positive & (label == 0)],
        OUTCOMES,
        default="label missing",
    )
    if ecg_ids is not None:
        picked = table[table["ecg_id"].isin(ecg_ids)]
    else:
        ordered = table[table["outcome"].isin(OUTCOMES)].sort_values(["predicted", "row"])
        picked = pd.concat([group.iloc[[len(group) // 2]] for _, group in ordered.groupby("outcome")])
    return _chosen(picked.assign(words=[f"p = {p:.3f}" for p in picked["predicted"]]))


def choose_predictions(
    examples: pd.DataFrame, predictions: Mapping[int, float], unit: str, ecg_ids: Sequence[str] | None
) -> list[ChosenEcg]:
    """Choose the ECGs of a measurement to draw: those asked for, or one of each of ``PREDICTIONS``.

    Args:
        examples: The test ECGs with ``row``, ``ecg_id`` and ``label``.
        predictions: Prediction of each row that was tested, in the target's unit.
        unit: The unit.
        ecg_ids: Ids asked for, or None.
    """
    table = examples[examples["row"].isin(predictions)].copy()
    table["predicted"] = table["row"].map(predictions).astype(float)
    table["outcome"] = "prediction"
    words = zip(table["predicted"], table["label"], strict=True)
    table["words"] = [f"predicted {p:.3g} {unit}, measured {_number(y, unit)}" for p, y in words]
    if ecg_ids is not None:
        return _chosen(table[table["ecg_id"].isin(ecg_ids)])
    ordered = table.sort_values(["predicted", "row"], ignore_index=True)
    error = (ordered["predicted"] - ordered["label"]).abs()
    places = [0, len(ordered) // 2, len(ordered) - 1]
    if error.notna().any():
        places.append(int(np.nanargmax(error)))
    picked = ordered.iloc[places].assign(outcome=PREDICTIONS[: len(places)])
    return _chosen(picked.drop_duplicates("row"))


def _number(value: float, unit: str) -> str:
    return f"{value:.3g} {unit}".rstrip() if np.isfinite(value) else "nothing"


def _chosen(picked: pd.DataFrame) -> list[ChosenEcg]:
    return [
        ChosenEcg(
            int(r["row"]), str(r["ecg_id"]), float(r["label"]), float(r["predicted"]), str(r["outcome"]), r["words"]
        )
        for r in picked.to_dict("records")
    ]


@dataclass(frozen=True, eq=False)
class EcgMaps:
    """Draws the maps of one ECG.

    Attributes:
        beat: (lead, sample) mV.
        maps: Method -> (lead, sample).
        reliability: Stochastic method -> that of its map.
        evidence: (lead, sample) mask to outline, if any is known.
        title: Bold heading.
        subtitle: What the network says of the ECG.
        signal_format: Leads, rate and samples; a recording, which has no fiducial, is drawn as such.
        r_peaks: (beat,) samples of a recording's R peaks, if they are known.
        target_info: What is explained, which gives maps their unit.
    """

    beat: NDArray[np.float32]
    maps: Mapping[str, NDArray[np.float64]]
    reliability: Mapping[str, float]
    evidence: NDArray[np.bool_] | None
    title: str
    subtitle: str
    signal_format: SignalFormat = MEDIAN_BEAT
    r_peaks: NDArray[np.integer] | None = None
    target_info: TargetInfo = field(default_factory=lambda: TargetInfo("diagnosis"))

    def pictures(self, methods: Sequence[AttributionMethod], task: FrozenModel) -> Iterator[tuple[str, Figure]]:
        """Draw all maps at once, named ``overview``, of a recording also around one ``beat``, then each method's.

        Args:
            methods: The methods.
            task: The network.
        """
        yield "overview", self._overview(methods, task.backgrounds)
        recording = self.signal_format.fiducial is None
        if recording and (beat := self.most_relevant_beat()) is not None:
            yield "beat", beat._overview(methods, task.backgrounds)
        draw = partial(recording_map_figure, signal_format=self.signal_format) if recording else map_figure
        for method in methods:
            figure = draw(
                self.beat,
                self.maps[method.name],
                method=method.name,
                signed=method.signed,
                title=self.title,
                subtitle=f"{self.subtitle} | {_settings_words(method.resolved_settings(task))}{self._reliable(method)}",
                unit=self._unit(method),
                evidence=self.evidence,
                evidence_name=_EVIDENCE_NAME,
            )
            yield method.name, figure

    def _overview(self, methods: Sequence[AttributionMethod], backgrounds: Tensor) -> Figure:
        shape = (int(backgrounds.shape[1]), int(backgrounds.shape[2]))
        passes = {method.name: method.passes(shape, len(backgrounds)) for method in methods}
        lead, notes = self._lead_shown()
        return maps_overview(
            self.beat,
            self.maps,
            signed={method.name: method.signed for method in methods},
            units={method.name: self._unit(method) for method in methods},
            notes={m.name: passes_words(m, passes[m.name]) + self._reliable(m) + notes[m.name] for m in methods},
            title=self.title,
            subtitle=self.subtitle if lead is None else f"{self.subtitle} | {lead} has the largest share of |map|",
            evidence=self.evidence,
            evidence_name=_EVIDENCE_NAME,
            signal_format=self.signal_format,
            leads=None if lead is None else [lead],
        )

    def most_relevant_beat(self) -> "EcgMaps | None":
        """Cut out the beat in which most of the maps lies; None where no whole beat is known."""
        found = most_relevant_beat(
            self.maps, self.signal_format, np.array([]) if self.r_peaks is None else self.r_peaks
        )
        if found is None:
            return None
        part, of_format = found
        peak = (part.start + (of_format.fiducial or 0)) / of_format.sampling_rate
        return replace(
            self,
            beat=self.beat[:, part],
            maps={name: values[:, part] for name, values in self.maps.items()},
            evidence=None if self.evidence is None else self.evidence[:, part],
            subtitle=f"{self.subtitle} | beat at {peak:.2f} s: largest share of |map|; limits are of this beat",
            signal_format=of_format,
        )

    def _lead_shown(self) -> tuple[str | None, dict[str, str]]:
        """Choose the one lead of a recording that an overview has room for, and say how much of each map is in it."""
        if self.signal_format.fiducial is not None:
            return None, dict.fromkeys(self.maps, "")
        shares = shares_of_leads(self.maps)
        index = int(np.mean(list(shares.values()), axis=0).argmax())
        lead = self.signal_format.leads[index]
        return lead, {name: f"\n{100 * share[index]:.0f} % of |map| in {lead}" for name, share in shares.items()}

    def _unit(self, method: AttributionMethod) -> str:
        return self.target_info.output_unit(method.unit)

    def _reliable(self, method: AttributionMethod) -> str:
        return f", reliability {self.reliability[method.name]:.3f}" if method.name in self.reliability else ""


def passes_words(method: AttributionMethod, passes: Passes) -> str:
    """Say how many passes one map takes, such as ``64 gradient passes``; a bound where its own reliability set them."""
    bound = "at most " if getattr(method, "target_correlation", None) is not None else ""
    parts = [f"{n:,} {kind}" for n, kind in ((passes.forward, "forward"), (passes.gradient, "gradient")) if n]
    return f"{bound}{' and '.join(parts)} {'pass' if passes.forward + passes.gradient == 1 else 'passes'}"


def _settings_words(settings: Mapping[str, object]) -> str:
    shown = [f"{key} {value}" for key, value in settings.items() if key != "method" and value is not None]
    return ", ".join(shown) if shown else "no hyperparameters"
