"""What a randomisation cascade says: how fast maps lose their likeness, beside the network and the controls."""

import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ecg_lightning.experiments.audited_run import AuditedRun
from ecg_lightning.experiments.randomization.cascade import Cascade
from ecg_lightning.experiments.randomization.figures import AXIS, cascade_panels, network_score
from ecg_lightning.experiments.randomization.plan import CascadePlan
from ecg_lightning.experiments.randomization.random_weights import Direction
from ecg_lightning.experiments.run_results import RunResults
from ecg_lightning.functional.classification import auroc
from ecg_lightning.functional.ecg_means import EcgMeans, mean_over_ecgs
from ecg_lightning.functional.intervals import patient_bootstrap
from ecg_lightning.functional.regression import r2_of_columns
from ecg_lightning.functional.similarity import SIGNS, STATISTICS, compared_words
from ecg_lightning.functional.smoothing import smoothing_words
from ecg_lightning.plotting.curves import curves_figure
from ecg_lightning.statistics.draws import known_mean
from ecg_lightning.statistics.effect import patient_means


@dataclass(frozen=True)
class CascadeReport:
    """Tables and pictures of one run.

    Attributes:
        cascade: What was measured.
        values: Folder -> (n, ...) of its store, NaN where nothing was measured.
        chosen: (n,) which ECGs were measured.
        reliability: Stochastic method -> (n,) of its trained maps: the similarity that fresh draws alone would leave.
        run: The run.
    """

    cascade: Cascade
    values: Callable[[str], NDArray[np.float64]]
    chosen: NDArray[np.bool_]
    reliability: Mapping[str, NDArray[np.float32]]
    run: AuditedRun

    @property
    def plan(self) -> CascadePlan:
        """Return which random networks there are."""
        return self.cascade.plan

    def write(self, results: RunResults) -> None:
        """Tables, pictures and log."""
        table = pd.concat(self._parts(), ignore_index=True)
        network = pd.concat([self._network(direction) for direction in self.plan.directions], ignore_index=True)
        results.table("cascade", table)
        results.table("cascade_network", network)
        for statistic in STATISTICS:
            for sign in SIGNS:
                caption = self.caption(statistic, sign)

                def draw(statistic: str = statistic, sign: str = sign, caption: str = caption) -> Figure:
                    panels = cascade_panels(table, network, statistic, sign)
                    return curves_figure(panels, AXIS, f"Randomisation cascade: {self.run.what}", caption)

                name = f"cascade/{statistic}_{sign}"
                results.figure(name, draw, caption, summary=name == "cascade/pearson_native")
        self._log_curves(results, table, network)
        undefined = int(table["n_undefined"].sum())
        if undefined or self.cascade.random.failures:
            failed = ", ".join(f"{name} {count}" for name, count in self.cascade.random.failures.items()) or "none"
            warnings.warn(
                f"RandomizationCascade: {undefined:,} similarities are undefined, because a map is constant or not "
                f"finite (maps that could not be computed: {failed}); they are NaN, and left out of means",
                stacklevel=2,
            )

    def caption(self, statistic: str, sign: str) -> str:
        """Data, settings and intervals in words."""
        label, patients = self.run.label[self.chosen], np.unique(self.run.patient_ids[self.chosen])
        about = self.run.target_info
        return (
            f"{statistic.capitalize()} correlation of {compared_words(sign)} with those of the trained network, "
            f"{smoothing_words(self.cascade.window)}, over all points of an ECG; {self._draws()}. "
            f"{int(self.chosen.sum())} test ECGs ({int(about.present(label).sum())} {about.having_it}) of "
            f"{len(patients)} patients; bands: {self.run.confidence:.0%} intervals, "
            "patients resampled. Grey, broken: controls, which know nothing of the network."
        )

    def _kinds(self) -> Iterator[tuple[Direction, bool]]:
        for direction in self.plan.directions:
            yield direction, False
            if self.cascade.smooth_draws:
                yield direction, True

    def _parts(self) -> Iterator[pd.DataFrame]:
        """Of the table, a part for each direction, statistic, sign and method."""
        for direction, smooth in self._kinds():
            for statistic in STATISTICS:
                folder = f"cascade/{direction}{'_smooth' if smooth else ''}/{statistic}"
                values = known_mean(self.values(folder)[self.chosen], axis=1)  # (ecg, sign, method, depth)
                means = self._means(values)
                patients = self._patients(values)
                for s, sign in enumerate(SIGNS):
                    for m, name in enumerate(self.plan.names):
                        yield pd.DataFrame(
                            {
                                "direction": direction,
                                "smooth": smooth,
                                "statistic": statistic,
                                "sign": sign,
                                "method": name,
                                "control": name in self.run.controls,
                                "depth": list(self.plan.depths),
                                "complete": self.plan.complete(direction),
                                "batchnorm": self.plan.batchnorm,
                                "layer": [self._layer(direction, depth) for depth in self.plan.depths],
                                "similarity": means.mean[s, m],
                                "low": means.low[s, m],
                                "high": means.high[s, m],
                                "n_ecgs": means.defined[s, m],
                                "n_patients": patients[s, m],
                                "n_undefined": len(values) - means.defined[s, m],
                                "ceiling": self._ceiling(name)
                                if (statistic, sign) == ("pearson", "native")
                                else np.nan,
                            }
                        )

    def _network(self, direction: Direction) -> pd.DataFrame:
        """``direction, depth, layer, auroc`` (of a measurement ``r2``) ``, low, high``: averaged over repeats."""
        label = self.run.label
        known = self.chosen & np.isfinite(label)
        logits = self.values(f"cascade/{direction}_logits")[known]  # (ecg, repeat, depth)
        label, patients = label[known], self.run.patient_ids[known]
        rows: list[dict[str, Any]] = []
        for place, depth in enumerate(self.plan.depths):
            row: dict[str, Any] = {"direction": direction, "depth": depth, "layer": self._layer(direction, depth)}
            rows.append(row | self._score(logits[:, :, place], label, patients))
        return pd.DataFrame(rows)

    def _score(
        self, logits: NDArray[np.float64], label: NDArray[np.float64], patients: NDArray[Any]
    ) -> dict[str, float]:
        logits = logits[:, np.isfinite(logits).any(axis=0)]  # of the repeats that randomised so many layers
        finite = np.isfinite(logits).all(axis=1)
        name, score = ("auroc", auroc) if self.run.target_info.kind == "binary" else ("r2", _r2)
        if not logits.shape[1] or not _scorable(name, label[finite]):
            return {name: np.nan, "low": np.nan, "high": np.nan}

        def mean_score(weights: NDArray[np.uint16] | None) -> NDArray[np.float64]:
            each = [score(logits[finite, repeat], label[finite], weights) for repeat in range(logits.shape[1])]
            return np.asarray(np.mean(each, axis=0))

        found = {name: float(mean_score(None)[0]), "low": np.nan, "high": np.nan}
        if len(np.unique(patients[finite])) > 1:
            interval = patient_bootstrap(
                mean_score,
                patients[finite],
                n_resamples=self.run.n_resamples,
                confidence=self.run.confidence,
                seed=self.run.seed,
            ).interval
            found |= {"low": float(interval.low), "high": float(interval.high)}
        return found

    def _patients(self, values: NDArray[np.float64]) -> NDArray[np.int64]:
        """How many have a value, (ecg, ...) -> (...)."""
        means, _ = patient_means(values, self.run.patient_ids[self.chosen])
        return np.asarray(np.isfinite(means).sum(axis=0))

    def _draws(self) -> str:
        """How layers are randomised and how often, in words."""
        plan = self.plan
        between = "one draw of the weights" if plan.repeats == 1 else f"{plan.repeats} draws of the weights"
        more = plan.full_direction is not None and plan.full_repeats > plan.repeats
        how = f"{self.cascade.random.tasks.how.replace('_', ' ')}, BatchNorms {plan.batchnorm}, {between}"
        return how + (f", {plan.full_repeats} where every layer is random" if more else "")

    def _means(self, values: NDArray[np.float64]) -> EcgMeans:
        patients = self.run.patient_ids[self.chosen]
        return mean_over_ecgs(
            values, patients, n_resamples=self.run.n_resamples, confidence=self.run.confidence, seed=self.run.seed
        )

    def _ceiling(self, name: str) -> float:
        """Median reliability of a stochastic method's trained maps; NaN of a deterministic one."""
        if name not in self.reliability:
            return float("nan")
        values = self.reliability[name][self.chosen]
        return float(np.nanmedian(values)) if np.isfinite(values).any() else float("nan")

    def _layer(self, direction: str, depth: int) -> str:
        """The layer that this depth has randomised beside those of the depth before it."""
        if depth == 0:
            return ""
        layers = self.cascade.random.tasks.layers
        return layers[depth - 1] if direction == "from_input" else layers[-depth]

    def _log_curves(self, results: RunResults, table: pd.DataFrame, network: pd.DataFrame) -> None:
        chosen = table[(table["sign"] == "native") & ~table["smooth"]]
        names = chosen["direction"] + "/" + chosen["statistic"] + "/" + chosen["method"]
        wide = chosen.assign(name=names).pivot(index="depth", columns="name", values="similarity")
        score = network_score(network)
        own = network.assign(name=network["direction"] + f"/network_{score}").pivot(
            index="depth", columns="name", values=score
        )
        results.curves("cascade", "depth", wide.join(own))


def _r2(output: NDArray[np.float64], label: NDArray[np.float64], weights: NDArray[Any] | None) -> NDArray[np.float64]:
    """(r,) R2 of each weighting."""
    counts = np.ones((1, len(label))) if weights is None else weights.astype(np.float64)
    return r2_of_columns(output[:, None], label, counts)[:, 0]


def _scorable(score: str, label: NDArray[np.float64]) -> bool:
    """Whether the network has this score on the labels."""
    return bool(np.isin((0, 1), label).all()) if score == "auroc" else len(np.unique(label)) > 1
