"""Does a network that has seen simulated beats only read real ECGs?

Usage: ``python benchmarks/sim_to_real.py [--ecgs 5000] [--seeds 3] [--simulation-seeds 0 1] [--epochs 10]``

Trains a small network with nine outputs (``multilabel.py``) on ``--ecgs`` simulated beats, once per seed, and averages
the logits over the seeds; the whole for each simulation seed. Prints for every class: the AUROC on 1,500 simulated
beats of other patients; the positives and the AUROC on the real ECGs under ``--real-root`` (``ptbxl/``, ``cinc2021/``,
``ludb/``, or some of them) with a 95 % interval that resamples patients; the AUROC of each seed alone, since one
seed's can be far from another's; and the same for each archive: PTB-XL (of both sources), Chapman with Ningbo, LUDB.

Hypertrophy and bradycardia are compared with a plain criterion on the same ECGs: the larger of Sokolow-Lyon / 3.5 mV
and Cornell / 2.4 mV of the median beat, and the rate of the whole recording. The difference, network minus criterion,
has an interval that resamples patients, both AUROCs at once. The rate is hard to reach: below 83 beats per minute a
median beat shows no P wave, and no QRS complex, of the next one.

AUROCs of two sets of ECGs can't be compared. Figures that were published for the project's own test ECGs are printed,
with a verdict, only where the ids of all ECGs are those (``KNOWN``); for any other set there is no verdict on a class.

LUDB is left out for low QRS voltage and left ventricular hypertrophy: its voltages are unusable in the copy that these
figures are for (Einthoven residual 52 %). Children are not left out. One label caps left bundle branch block: PTB-XL's
ECG 287 is coded CLBBB, but its report says right bundle branch block, and its beat shows it; ``--leave-out ptbxl:6437``
(the patient) shows the figures without it, without a verdict.

Beats and networks are kept under ``--cache`` and found again: beats by the simulator's settings and a hash of its
source code, networks by a hash of the beats they saw. Delete the folder to start afresh.

Bars: no class with nine positives or more whose interval lies below the published figure, and every class under 1.000
on simulated beats; against a criterion a difference of -.05 or more, undecided where an archive has under nine
positives.
"""

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from multilabel import Beats, Training, logits, trained_networks
from numpy.typing import NDArray
from real_ecgs import CRITERIA, RealEcgs, real_ecgs, real_sources, without_patients
from simulated import FirstEcgs

from ecg_lightning.data.prepare import prepare
from ecg_lightning.ecg import TARGETS
from ecg_lightning.functional.classification import auroc
from ecg_lightning.functional.intervals import patient_bootstrap
from ecg_lightning.storage.atomic import write_json_atomic

REPOSITORY: Final = Path(__file__).parents[1]
HELD_OUT: Final = 1500
SPARE: Final = 100
"""ECGs that are simulated beyond those needed: the last training patient's others, and rejected ones."""
RESAMPLES: Final = 1000
MIN_POSITIVES: Final = 9
MIN_DIFFERENCE: Final = -0.05
"""Of the network's AUROC to a plain criterion's."""
ALL: Final = "all"
KNOWN: Final = "2a09848851cee42b"
"""Digest of the ids of the 474 ECGs that ``PUBLISHED`` is for."""
PUBLISHED: Final = (0.825, 0.982, 0.907, 0.971, 0.974, 0.996, 0.939, None, 0.945)
"""AUROC of every class on these ECGs that an earlier version of the simulator reached: no later one may be below it."""

Interval = tuple[float, float]


def simulated_beats(n: int, simulation_seed: int, cache_dir: Path, processes: int) -> tuple[Beats, Beats]:
    """Beats for training, ``n`` of them, and ``HELD_OUT`` beats of other patients."""
    source = FirstEcgs(n + HELD_OUT + SPARE, simulation_seed, evidence=False)
    cache = prepare(source, cache_dir, processes=processes)
    patient = cache.examples["patient_id"].to_numpy(np.str_)
    others = np.flatnonzero(~np.isin(patient, patient[:n]))[:HELD_OUT]
    if len(others) < HELD_OUT:
        raise ValueError(
            f"{len(cache)} of {source.n_ecgs} simulated ECGs can be used, too few for {n} to train on and {HELD_OUT} "
            f"of other patients; see why in {cache.folder}"
        )
    return Beats(cache.folder, np.arange(n)), Beats(cache.folder, others)


@dataclass(frozen=True)
class ClassScore:
    """The figures of one class on some ECGs.

    Attributes:
        positives: ECGs that have the diagnosis.
        negatives: ECGs that have not.
        real: AUROC; NaN where one of the two is missing.
        interval: Its 95 % interval.
        seeds: AUROC of each seed's network alone.
        criterion: AUROC of the plain criterion; None where there is none.
        difference: Network minus criterion.
        difference_interval: Its 95 % interval.
    """

    positives: int
    negatives: int
    real: float
    interval: Interval
    seeds: list[float]
    criterion: float | None = None
    difference: float | None = None
    difference_interval: Interval | None = None

    @property
    def beside_criterion(self) -> str:
        """Verdict beside the plain criterion."""
        if self.difference is None:
            return ""
        if self.positives < MIN_POSITIVES:
            return "undecided"
        return "ok" if self.difference >= MIN_DIFFERENCE else "BELOW"

    def beside_published(self, published: float | None) -> str:
        """Verdict beside a figure for the same ECGs; none without such a figure."""
        if published is None:
            return ""
        if self.positives < MIN_POSITIVES:
            return "few"
        return "ok" if self.interval[1] >= published else "BELOW"


Scores = dict[str, dict[str, ClassScore]]  # by archive (and ALL), by target


def scores(real_logits: NDArray[np.float64], real: RealEcgs) -> Scores:
    """Score every class on all real ECGs and on those of each archive.

    Args:
        real_logits: (seed, n, 9) of the real ECGs.
        real: The real ECGs.
    """
    criteria = {target: real.criterion(target) for target in CRITERIA}
    places = {ALL: np.ones(len(real.patient), dtype=np.bool_)}
    places |= {name: real.archive == name for name in dict.fromkeys(real.archive.tolist())}
    return {
        archive: {
            target: score_class(
                real_logits[:, there, index],
                real.label[there, index],
                real.patient[there],
                criteria[target][there] if target in criteria else None,
            )
            for index, target in enumerate(TARGETS)
        }
        for archive, there in places.items()
    }


def score_class(
    logit: NDArray[np.float64],
    label: NDArray[np.float64],
    patient: NDArray[np.str_],
    criterion: NDArray[np.float64] | None = None,
) -> ClassScore:
    """Score one class.

    Args:
        logit: (seed, n).
        label: (n,) 1, 0 or NaN where missing.
        patient: (n,).
        criterion: (n,) a score to compare with; ECGs where it is NaN are left out of the comparison.
    """
    known = ~np.isnan(label)
    logit, label, patient = logit[:, known], label[known], patient[known]
    mean = logit.mean(axis=0)
    real, interval = _with_interval([mean], label, patient)
    positives = int(label.sum())
    score = ClassScore(positives, len(label) - positives, real, interval, [_auroc(one, label) for one in logit])
    if criterion is None or not score.positives or not score.negatives:
        return score
    there = ~np.isnan(criterion[known])
    pair = [mean[there], criterion[known][there]]
    difference, around = _with_interval(pair, label[there], patient[there])
    return ClassScore(
        score.positives, score.negatives, real, interval, score.seeds, _auroc(pair[1], label[there]), difference, around
    )


def _auroc(score: NDArray[np.float64], label: NDArray[np.float64]) -> float:
    return float(auroc(score, label)[0])


def _with_interval(
    compared: Sequence[NDArray[np.float64]], label: NDArray[np.float64], patient: NDArray[np.str_]
) -> tuple[float, Interval]:
    """AUROC of the first score, less that of the second where there are two; 95 % interval over patients."""
    if not 0 < label.sum() < len(label):
        return float("nan"), (float("nan"), float("nan"))

    def statistic(weights: NDArray[np.uint16]) -> NDArray[np.float64]:
        first, *second = (auroc(score, label, weights) for score in compared)
        return np.asarray(first - second[0] if second else first)

    bootstrap = patient_bootstrap(statistic, patient, n_resamples=RESAMPLES)
    low, high = bootstrap.interval
    return float(bootstrap.estimate), (float(low), float(high))


def simulated_scores(simulated_logits: NDArray[np.float64], label: NDArray[np.float64]) -> dict[str, float]:
    """AUROC of every class on simulated beats, from (seed, n, 9) logits and (n, 9) labels."""
    mean = simulated_logits.mean(axis=0)
    return {target: _auroc(mean[:, index], label[:, index]) for index, target in enumerate(TARGETS)}


def table(simulated: Mapping[str, float], found: Scores, *, known: bool) -> str:
    """All archives together with verdicts where the ECGs are known ones, each archive, and the criteria.

    Args:
        simulated: Target -> AUROC on simulated beats.
        found: Of :func:`scores`.
        known: Whether the ECGs are those of ``PUBLISHED``.
    """
    lines = [f"{'class':29}{'simulated':>9}{'positives':>10}  {'real (95 % interval)':22}published    seeds"]
    for target, published in zip(TARGETS, PUBLISHED, strict=True):
        row = found[ALL][target]
        beside = f"{published:.3f} {row.beside_published(published):5}" if known and published else f"{'-':11}"
        easy = " EASY" if simulated[target] >= 1 else ""
        seeds = " ".join(f"{value:.3f}" for value in row.seeds)
        lines.append(f"{target:29}{simulated[target]:9.4f}{row.positives:10}  {_range(row)}   {beside}  {seeds}{easy}")
    for archive in found:
        if archive != ALL:
            lines.append(f"{archive}:")
            lines += [
                f"  {target:29}{row.positives:5} of {row.positives + row.negatives:4}  {_range(row)}"
                for target, row in found[archive].items()
                if row.positives and row.negatives
            ]
    lines.append("network minus criterion (95 % interval):")
    lines += [
        f"  {target:29}{archive:10}{row.positives:5} positives  criterion {row.criterion:.3f}  {row.difference:+.3f} "
        f"({row.difference_interval[0]:+.3f} to {row.difference_interval[1]:+.3f}) {row.beside_criterion}"
        for target in CRITERIA
        for archive in found
        if (row := found[archive][target]).difference_interval is not None
    ]
    return "\n".join(lines)


def _range(row: ClassScore) -> str:
    return f"{row.real:.3f} ({row.interval[0]:.3f}-{row.interval[1]:.3f})"


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that say which networks: ``graft_remove.py`` has the same."""
    parser.add_argument("--ecgs", type=int, default=5000, help="simulated ECGs to train on")
    parser.add_argument("--seeds", type=int, default=3, help="networks whose logits are averaged")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--processes", type=int, default=1, help="for beats and for networks, one core each")
    parser.add_argument("--cache", type=Path, default=REPOSITORY / "cache", help="where beats and networks are kept")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    parser.add_argument("--simulation-seeds", type=int, nargs="+", default=[0, 1], help="a table for each")
    data = Path(os.environ.get("ECG_LIGHTNING_DATA", REPOSITORY.parent / "shared" / "data"))
    parser.add_argument("--real-root", type=Path, default=data, help="the folder of ptbxl/, cinc2021/ and ludb/")
    parser.add_argument("--leave-out", nargs="+", default=[], help="patients, as <archive>:<patient>")
    parser.add_argument("--out", type=Path, help="a JSON file for the figures")
    options = parser.parse_args()
    torch.set_num_threads(1)
    real = without_patients(
        real_ecgs(real_sources(options.real_root), options.cache, options.processes), options.leave_out
    )
    known, patients = real.digest == KNOWN, len(np.unique(real.patient))
    print(f"{len(real.ecg)} real ECGs of {patients} patients", end="")
    print("" if known else ", not those of the published figures: no verdict beside these")
    figures = {}
    for simulation_seed in options.simulation_seeds:
        simulated, found = _of_simulation(simulation_seed, real, options)
        print(f"simulation seed {simulation_seed}: {options.ecgs} ECGs, {options.seeds} seeds")
        print(table(simulated, found, known=known), flush=True)
        by_archive = {a: {name: asdict(row) for name, row in rows.items()} for a, rows in found.items()}
        figures[str(simulation_seed)] = {"simulated": simulated, "real": by_archive}
    if options.out:
        write_json_atomic(options.out, figures)


def _of_simulation(
    simulation_seed: int, real: RealEcgs, options: argparse.Namespace
) -> tuple[dict[str, float], Scores]:
    """Train the networks of one simulation, and score them on simulated and on real beats."""
    training, held_out = simulated_beats(options.ecgs, simulation_seed, options.cache, options.processes)
    settings = Training(epochs=options.epochs)
    networks = trained_networks(training, range(options.seeds), settings, options.cache / "networks", options.processes)
    simulated = np.stack([logits(network, held_out.read()) for network in networks])
    return (
        simulated_scores(simulated, held_out.labels()),
        scores(np.stack([logits(network, real.ecg) for network in networks]), real),
    )


if __name__ == "__main__":
    main()
