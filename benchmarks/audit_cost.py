"""What the audits cost: the share of their limit, memory, and Quantus beside ours.

Usage: ``OMP_NUM_THREADS=1 python benchmarks/audit_cost.py [--ecgs 8] [--repeats 3] [--network full|small]``

Limit: passes x the best measured time of a pass (forward or gradient) at its best size. Ours: the cascade's and the
perturbation's own ``_measure`` on a batch, with everything that belongs to it (random networks, similarities of both
statistics and signs; ranking, interpolation, noise, both orders). Quantus: MPRT of saliency by Pearson and by its
default, Spearman, and PixelFlipping, on the same ECGs, network and number of threads; milliseconds for each ECG and
random network, or each ECG and step, since its own layers include the BatchNorms and its steps go through all points.
Everything is measured in one run and in turns; medians.

Bars: share of the limit at least .9; at least 1.3 times (Pearson), 3 times (Spearman) and 1.2 times (PixelFlipping) as
fast; anonymous memory that does not grow with the number of ECGs.
"""

import argparse
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from statistics import median
from types import SimpleNamespace
from typing import Any, Final

import numpy as np
import pandas as pd
import torch
from attribution_cost import SMALL, beats
from memory import own_megabytes, watched
from torch import Tensor, nn

from callbacks.attribution_maps import AttributionMaps
from callbacks.audit import AuditBatch
from callbacks.randomization_cascade import RandomizationCascade
from ecg_lightning.attribution.controls import control_maps
from ecg_lightning.attribution.robust import suite_maps
from ecg_lightning.data.recalibration import RecalibrationBeats
from ecg_lightning.experiments.perturbation.beat_model import BeatModel
from ecg_lightning.experiments.perturbation.data import PerturbationData
from ecg_lightning.experiments.perturbation.kinds import PAPER_KIND, PerturbationKind
from ecg_lightning.experiments.perturbation.perturbed_logits import PerturbedLogits
from ecg_lightning.experiments.randomization.plan import RandomNetwork
from ecg_lightning.functional.correlation import unit_product
from ecg_lightning.functional.similarity import Statistic, correlated_vectors
from ecg_lightning.models import ResNet1d

PASS_SIZES: Final = (8, 16, 32)
METHODS: Final = ("saliency", "gradient_x_input", "integrated_gradients", "smoothgrad")


def maps_of(network: nn.Module, ecg: Tensor, methods: tuple[str, ...]) -> AttributionMaps:
    """The maps' callback as a test prepares it, without a trainer."""
    maps = AttributionMaps(list(methods))  # type: ignore[arg-type]
    maps.ecg_ids, maps.training_seed = [f"e{k}" for k in range(len(ecg))], 0
    maps.backgrounds, maps.source_network = ecg[:8], network
    maps.task = maps.prepared(network)
    return maps


def batch_of(maps: AttributionMaps, ecg: Tensor) -> AuditBatch:
    """ECGs with the trained network's maps and the controls'."""
    rows = np.arange(len(ecg))

    def key(name: str, place: int) -> Any:
        return maps.key(name, place)

    found, _ = suite_maps(maps.methods, maps.task, ecg, key)
    return AuditBatch(rows, ecg, found | control_maps(maps.controls, ecg, key))


def cascade_of(maps: AttributionMaps) -> RandomizationCascade:
    """The progressive cascade as a test prepares it, one draw of the weights."""
    audit = RandomizationCascade(draws=0, full_repeats=1)
    audit.maps = maps
    audit.prepare(RecalibrationBeats(maps.backgrounds, "backgrounds"))
    return audit


@dataclass
class Clock:
    """Measured milliseconds by what was done, in turns."""

    times: dict[str, list[float]] = field(default_factory=dict)

    def time(self, name: str, work: Callable[[], object]) -> None:
        """Do and measure."""
        start = time.perf_counter()
        work()
        self.times.setdefault(name, []).append(1e3 * (time.perf_counter() - start))

    def median(self, name: str) -> float:
        """Of all turns, ms."""
        return median(self.times[name])


def passes(maps: AttributionMaps, ecg: Tensor) -> Iterator[tuple[str, Callable[[], object]]]:
    """One forward and one gradient of each size."""
    for size in PASS_SIZES:
        part = ecg.repeat(-(-size // len(ecg)), 1, 1)[:size]

        def forward(part: Tensor = part) -> None:
            with torch.no_grad():
                maps.task.network(part)

        def gradient(part: Tensor = part) -> None:
            probe = part.clone().requires_grad_()
            torch.autograd.grad(maps.task.network(probe).sum(), probe)

        yield f"forward {size}", forward
        yield f"gradient {size}", gradient


def best(clock: Clock, kind: str) -> float:
    """Milliseconds of one input's pass at its best size."""
    return min(clock.median(f"{kind} {size}") / size for size in PASS_SIZES)


class Peer:
    """Quantus on the same job."""

    def __init__(self, network: nn.Module, ecg: Tensor, maps: Tensor) -> None:
        import quantus

        self.quantus, self.ecg, self.maps = quantus, ecg.numpy(), maps.numpy()
        self.network = nn.Sequential(network, nn.Unflatten(0, (-1, 1))).eval()
        self.given = {"x_batch": self.ecg, "y_batch": np.zeros(len(ecg), dtype=int), "channel_first": True}
        self.layers = sum(hasattr(module, "reset_parameters") for module in self.network.modules())

    def mprt(self, statistic: str) -> None:
        """Every layer, cascading."""
        test = self.quantus.MPRT(
            similarity_func=getattr(self.quantus, f"correlation_{statistic}"),
            skip_layers=False,
            abs=False,
            normalise=False,
            disable_warnings=True,
        )
        test(model=self.network, a_batch=self.maps, explain_func=self._saliency, **self.given)

    def flipping(self, step: int) -> None:
        """All points, ``step`` at a time."""
        test = self.quantus.PixelFlipping(features_in_step=step, abs=True, normalise=False, disable_warnings=True)
        test(model=self.network, a_batch=self.maps, softmax=False, **self.given)

    @staticmethod
    def _saliency(model: nn.Module, inputs: np.ndarray, **_: object) -> np.ndarray:
        probe = torch.as_tensor(inputs).float().requires_grad_()
        (gradient,) = torch.autograd.grad(model(probe).sum(), probe)
        return gradient.abs().numpy()


def our_cascade_of_saliency(audit: RandomizationCascade, batch: AuditBatch, statistic: Statistic) -> None:
    """What MPRT does: saliency at every depth, one statistic, one sign."""
    own, cascade = batch.maps["saliency"], audit.cascade
    others = []
    for depth in cascade.plan.depths[1:]:
        task = cascade.random.tasks.at(RandomNetwork("kept", "from_output", 0, depth))
        others.append(
            suite_maps(cascade.random.methods, task, batch.ecg, lambda name, place: audit.maps.key(name, place))[0]
        )
    stacked = torch.stack([found["saliency"] for found in others], dim=1)
    vectors = [next(correlated_vectors(maps, (statistic,)))[statistic] for maps in (own[:, None], stacked)]
    unit_product(*vectors)


def report_limits(clock: Clock, maps: AttributionMaps, batch: AuditBatch, audit: RandomizationCascade) -> None:
    """Share of the limit of both audits."""
    forward, gradient = best(clock, "forward"), best(clock, "gradient")
    print(f"best pass: {forward:.3f} ms a forward, {gradient:.3f} ms a gradient, of one input")
    networks, ecgs = len(audit.cascade.plan.depths) - 1, len(batch.ecg)
    # every method's gradients, and the logit of every depth
    gradients = sum(method.passes((8, 600), 8).gradient for method in audit.cascade.random.methods)
    limit = ecgs * (networks * (gradients * gradient + forward) + forward)
    took = clock.median("cascade")
    print(f"cascade: {took / ecgs:.1f} ms an ECG, limit {limit / ecgs:.1f}: share {limit / took:.2f} (bar .9)")
    curves = (len(maps.names) * 30 + 1) * 2
    took, limit = clock.median("perturbation"), ecgs * curves * forward
    print(f"perturbation: {took / ecgs:.1f} ms an ECG, limit {limit / ecgs:.1f}: share {limit / took:.2f} (bar .9)")


def report_peer(clock: Clock, peer: Peer, audit: RandomizationCascade, ecgs: int, steps: int) -> None:
    """Ratios to Quantus."""
    networks = len(audit.cascade.plan.depths) - 1
    for statistic, bar in (("pearson", 1.3), ("spearman", 3.0)):
        ours = clock.median(f"ours {statistic}") / (ecgs * networks)
        # it also explains the trained network once more
        theirs = clock.median(f"quantus {statistic}") / (ecgs * (peer.layers + 1))
        ratio = f"{theirs / ours:.2f} x (bar {bar})"
        print(f"MPRT {statistic}: ours {ours:.2f}, Quantus {theirs:.2f} ms an ECG and network: {ratio}")
    ours, theirs = (clock.median(name) / (ecgs * steps) for name in ("ours flipping", "quantus flipping"))
    print(f"flipping: ours {ours:.3f}, Quantus {theirs:.3f} ms an ECG and step: {theirs / ours:.2f} x (bar 1.2)")


def grows(measure: Callable[[AuditBatch], object], maps: AttributionMaps, ecg: Tensor, name: str) -> None:
    """Peak of anonymous memory over batches of few ECGs, and over four times as many batches."""
    peaks = []
    for rounds in (1, 4):
        with watched(own_megabytes, 0.01) as readings:
            for _ in range(rounds):
                measure(batch_of(maps, ecg))
        peaks.append(max(readings))
    few, many = peaks
    print(f"{name}: peak of anonymous memory {few:.0f} MB over {len(ecg)} ECGs, {many:.0f} MB over 4 times as many")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ecgs", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--network", choices=("small", "full"), default="full", help="with random weights")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    ecg = beats((), options.ecgs)
    torch.manual_seed(0)
    network = ResNet1d(**(SMALL if options.network == "small" else {}))
    with torch.no_grad():
        network.train()(ecg)
    network.eval().requires_grad_(False)
    maps, alone = maps_of(network, ecg, METHODS), maps_of(network, ecg, ("saliency",))
    alone.controls = ()
    batch, single = batch_of(maps, ecg), batch_of(alone, ecg)
    audit, saliency = cascade_of(maps), cascade_of(alone)
    examples = pd.DataFrame({"ecg_id": maps.ecg_ids})
    step = 600 // 8  # quantus' steps must divide the samples of a lead
    points = PerturbationKind("point", steps=4800 // step, fraction_per_step=step / 4800, orders=["morf"])
    data = PerturbationData(None, examples, "", BeatModel.fit(beats((), 64)))  # type: ignore[arg-type]
    curves, flipping = PerturbedLogits(maps, data, [PAPER_KIND]), PerturbedLogits(alone, data, [points])
    peer = Peer(network, ecg, single.maps["saliency"])
    audit.datamodule = SimpleNamespace(target="sinus_rhythm")
    works: dict[str, Callable[[], object]] = {
        "cascade": lambda: audit._measure(batch),
        "perturbation": lambda: curves.measure(PAPER_KIND, batch),
        "ours pearson": lambda: our_cascade_of_saliency(saliency, single, "pearson"),
        "quantus pearson": lambda: peer.mprt("pearson"),
        "ours spearman": lambda: our_cascade_of_saliency(saliency, single, "spearman"),
        "quantus spearman": lambda: peer.mprt("spearman"),
        "ours flipping": lambda: flipping.measure(points, single, others=True),
        "quantus flipping": lambda: peer.flipping(step),
    }
    works["cascade"]()  # random networks are made once in a test
    works["ours pearson"]()
    clock = Clock()
    for _ in range(options.repeats):
        for name, work in works.items():
            for kind, one in passes(maps, ecg):
                clock.time(kind, one)
            clock.time(name, work)
    print(f"{options.network} network, {options.ecgs} ECGs, {torch.get_num_threads()} threads")
    report_limits(clock, maps, batch, audit)
    report_peer(clock, peer, saliency, options.ecgs, points.steps)
    grows(audit._measure, maps, ecg, "cascade")
    grows(lambda batch: curves.measure(PAPER_KIND, batch), maps, ecg, "perturbation")


if __name__ == "__main__":
    main()
