"""What a map costs: plain Captum at its best batch, plain Captum with one ECG a call, and ours, side by side.

Usage::

    python benchmarks/attribution_cost.py --network small --ecgs 8
    python benchmarks/attribution_cost.py --checkpoint runs/demo/first_degree_av_block/seed0/checkpoints/best.ckpt \
        --beats cache/ptbxl-<hash>

Prints milliseconds and passes (forwards + gradients) an ECG, the peak of the process's anonymous memory (``RssAnon``,
Linux only), and for ours the share of the limit: passes x best measured pass / time. A pass that is saved, because it
is kept, makes a share above 1.

Everything is measured in one run and in turns, so that a busy machine is busy for all; medians over ``--repeats``.
Captum gets the passes that a correlation of .99 with the converged map takes (``PLAIN``); of its long methods a few
draws are timed, and their number scaled. Ours are the methods' defaults, which reach more than that, or with
``--at_99`` the passes that reach .99 (``AT_99``; both from the same three networks).

Bars: with ``--at_99`` at least 3 times as fast as Captum at its best batch, 7.5 times without Shapley sampling; the
suite's share of the limit at least .9; memory below 1.5 GB at any number of ECGs.
"""

import argparse
import ctypes
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

import numpy as np
import torch
from memory import own_megabytes, watched
from plain_captum import BACKGROUNDS, PLAIN, Plain
from simulated import FirstEcgs
from torch import Tensor, nn

from ecg_lightning.attribution import AttributionMethod, Passes, RandomKey, build_methods, prepare_task
from ecg_lightning.attribution.methods import (
    GradientShap,
    IgSmoothGrad,
    IntegratedGradients,
    ShapleySampling,
    SmoothGrad,
)
from ecg_lightning.data.cache import BeatCache
from ecg_lightning.data.prepare import prepare
from ecg_lightning.models import EcgClassifier, ResNet1d

SMALL: Final = {"widths": (8, 16, 32, 64), "strides": (1, 2, 2, 2)}
AT_99: Final[dict[str, AttributionMethod]] = {
    method.name: method
    for method in (
        SmoothGrad(n_samples=24),
        IntegratedGradients(n_steps=8),
        IgSmoothGrad(n_samples=84),
        GradientShap(n_samples=110),
        ShapleySampling(n_forwards=1528),
    )
}
"""Passes to a median correlation of .99 with the converged map on three trained networks; ``convergence.py`` and
``shapley_estimators.py`` measure them."""

BATCHES: Final = (8, 32)
PASS_SIZES: Final = (8, 16, 32)
EXPENSIVE_ECGS: Final = 2  # that methods of many passes are timed on
WATCH_EVERY: Final = 0.003  # s


@dataclass(frozen=True)
class Cost:
    """Measured cost of one map.

    Attributes:
        milliseconds: An ECG.
        passes: Of one map; None where several methods share.
        megabytes: Peak of the process's anonymous memory.
    """

    milliseconds: float
    passes: Passes | None
    megabytes: float


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Milliseconds of a call, and the peak of memory (MB)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)  # what an earlier call has left is not this one's
    with watched(own_megabytes, WATCH_EVERY) as megabytes:
        start = time.perf_counter()
        work()
        seconds = time.perf_counter() - start
    return 1e3 * seconds, max(megabytes)


class Bench:
    """One network and its ECGs, in the three ways."""

    def __init__(self, network: nn.Module, ecg: Tensor, backgrounds: Tensor, at_99: bool = False) -> None:
        self.network = network.eval().requires_grad_(False)
        self.ecg = ecg.requires_grad_()
        self.backgrounds = backgrounds
        self.task = prepare_task(network, backgrounds)
        self.methods = [AT_99.get(method.name, method) if at_99 else method for method in build_methods()]
        self.forwards: dict[int, list[float]] = {size: [] for size in PASS_SIZES}
        self.gradients: dict[int, list[float]] = {size: [] for size in PASS_SIZES}

    def variants(self) -> dict[tuple[str, str], tuple[Callable[[], object], float, Passes | None]]:
        """(method, way) -> (work, what its milliseconds are multiplied by to give one map's, passes of a map)."""
        works: dict[tuple[str, str], tuple[Callable[[], object], float, Passes | None]] = {}
        for method in self.methods:
            ecg = self.ecg if method.single_pass else self.ecg[:EXPENSIVE_ECGS]
            plain = PLAIN[method.name]
            for way, batch in (("one a call", None), *((f"batch {batch}", batch) for batch in BATCHES)):
                scale = plain.draws / plain.timed / len(ecg)
                works[method.name, way] = (self._plain(plain, ecg, batch), scale, plain.passes)
            passes = method.passes((int(ecg.shape[1]), int(ecg.shape[2])), len(self.backgrounds))
            works[method.name, "ours"] = (self._ours(method, ecg), 1 / len(ecg), passes)
        return works

    def _plain(self, plain: Plain, ecg: Tensor, batch: int | None) -> Callable[[], object]:
        return lambda: plain.call(self.network, ecg, self.backgrounds, plain.timed, batch)

    def _ours(self, method: Callable[..., object], ecg: Tensor) -> Callable[[], object]:
        keys = [RandomKey(ecg_id=str(index)) for index in range(len(ecg))]
        return lambda: method(self.task, ecg.detach(), keys)

    def _time_passes(self) -> None:
        """Time one forward and one gradient of each size; beside what is compared with them, on a busy machine."""
        for size in PASS_SIZES:
            batch = self.ecg.detach().repeat(-(-size // len(self.ecg)), 1, 1)[:size]
            with torch.no_grad():
                self.forwards[size].append(timed(lambda batch=batch: self.task.network(batch))[0] / size)
            self.gradients[size].append(timed(lambda batch=batch: self._gradient(batch))[0] / size)

    def _gradient(self, batch: Tensor) -> Tensor:
        probe = batch.clone().requires_grad_()
        return torch.autograd.grad(self.task.network(probe).sum(), probe)[0]

    @property
    def best_pass(self) -> tuple[float, float]:
        """Milliseconds of a forward and of a gradient of one input, each at its best size; after ``measure``."""
        forward, gradient = (
            min(median(times) for times in sizes.values()) for sizes in (self.forwards, self.gradients)
        )
        return forward, gradient

    def measure(self, repeats: int) -> dict[tuple[str, str], Cost]:
        """Medians over turns."""
        works = self.variants()
        results: dict[tuple[str, str], list[tuple[float, float]]] = {key: [] for key in works}
        for _ in range(repeats):
            for key, (work, scale, _passes) in works.items():
                if key[1] == "ours":
                    self._time_passes()
                milliseconds, megabytes = timed(work)
                results[key].append((milliseconds * scale, megabytes))
        return {
            key: Cost(median(ms for ms, _ in values), works[key][2], max(mb for _, mb in values))
            for key, values in results.items()
        }


def suite(costs: dict[tuple[str, str], Cost], way: str, names: Sequence[str]) -> float:
    """Milliseconds of some methods together; ``best batch`` takes each method at its own."""
    ways = [f"batch {batch}" for batch in BATCHES] if way == "best batch" else [way]
    return sum(min(costs[name, one].milliseconds for one in ways) for name in names)


def report(costs: dict[tuple[str, str], Cost], bench: Bench) -> None:
    """Print the table and the suite's sums."""
    forward, gradient = bench.best_pass
    print(f"best pass: {forward:.3f} ms a forward, {gradient:.3f} ms a gradient, of one input")
    print("milliseconds and passes (forwards + gradients) an ECG")
    print(f"{'':22} {'Captum: one a call':>18} {'best batch':>15} {'passes':>12} {'ours':>11} {'passes':>12}")
    limits = {}
    for method in bench.methods:
        name, ours = method.name, costs[method.name, "ours"]
        passes = ours.passes or Passes()
        limits[name] = passes.forward * forward + passes.gradient * gradient
        print(
            f"{name:22} {suite(costs, 'one a call', [name]):18.1f} {suite(costs, 'best batch', [name]):15.1f} "
            f"{_text(PLAIN[name].passes):>12} {ours.milliseconds:11.1f} {_text(passes):>12} "
            f" share of the limit {limits[name] / ours.milliseconds:.2f}, {ours.megabytes:.0f} MB"
        )
    report_suite(costs, bench, limits)


def report_suite(costs: dict[tuple[str, str], Cost], bench: Bench, limits: dict[str, float]) -> None:
    """Print the sums with and without Shapley sampling, and the memory of each way."""
    every = [method.name for method in bench.methods]
    for title, names in (("suite", every), ("without Shapley", [name for name in every if "shapley" not in name])):
        single, batched = suite(costs, "one a call", names), suite(costs, "best batch", names)
        ours = suite(costs, "ours", names)
        print(
            f"{title}: Captum one a call {single:.0f} ms, best batch {batched:.0f} ms, ours {ours:.0f} ms an ECG "
            f"({batched / ours:.1f} times less; share of the limit {sum(limits[name] for name in names) / ours:.2f})"
        )
    for way in ("one a call", *(f"batch {batch}" for batch in BATCHES), "ours"):
        print(f"peak memory, {way}: {max(cost.megabytes for key, cost in costs.items() if key[1] == way):.0f} MB")


def _text(passes: Passes) -> str:
    return f"{passes.forward} + {passes.gradient}"


def beats(folders: Sequence[str], count: int) -> Tensor:
    """Beats of finished caches in turns, as many of each, or simulated ones, (n, lead, sample) mV."""
    if not folders:
        with tempfile.TemporaryDirectory() as scratch:
            return torch.from_numpy(prepare(FirstEcgs(count, evidence=False), scratch).read_beats(np.arange(count)))
    share = -(-count // len(folders))
    parts = [_spread(BeatCache.open(folder), share) for folder in folders]
    return torch.stack(parts, dim=1).flatten(0, 1)[:count]


def _spread(cache: BeatCache, count: int) -> Tensor:
    if len(cache) < count:
        raise SystemExit(f"{cache.folder} holds {len(cache)} beats, {count} are needed")
    return torch.from_numpy(cache.read_beats(np.arange(count) * len(cache) // count))


def network_of(options: argparse.Namespace, ecg: Tensor) -> nn.Module:
    """The trained network of a checkpoint, or random weights under BatchNorm statistics of real input."""
    if options.checkpoint:
        return EcgClassifier.load_from_checkpoint(options.checkpoint, weights_only=True, map_location="cpu").network
    torch.manual_seed(0)
    network = ResNet1d(**(SMALL if options.network == "small" else {}))
    with torch.no_grad():
        network.train()(ecg)
    return network


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", choices=("small", "full"), default="small", help="with random weights")
    parser.add_argument("--checkpoint", help="a trained network instead")
    parser.add_argument("--beats", nargs="*", default=(), help="folders of finished caches; none: simulated beats")
    parser.add_argument("--ecgs", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--at_99", action="store_true", help="ours with the passes to .99 instead of the defaults")
    options = parser.parse_args()
    warnings.filterwarnings("ignore", message="(?s).*ooks.*removed")
    ecg = beats(options.beats, options.ecgs + BACKGROUNDS)
    bench = Bench(network_of(options, ecg), ecg[BACKGROUNDS:].clone(), ecg[:BACKGROUNDS].clone(), options.at_99)
    folded = "folded" if bench.task.folded else "not folded"
    print(
        f"{options.checkpoint or options.network}: {options.ecgs} ECGs, {torch.get_num_threads()} threads, BatchNorms "
        f"{folded}, ours {'at .99' if options.at_99 else 'by default'}"
    )
    report(bench.measure(options.repeats), bench)


if __name__ == "__main__":
    main()
