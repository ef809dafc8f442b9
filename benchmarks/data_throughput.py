"""How fast, and in how much memory, one process streams ECGs from a cache to the training loop.

Usage: ``python benchmarks/data_throughput.py [--beats 100000] [--epochs 3] [--batch-size 128] [--rate 100]``

With ``--rate`` they are recordings, 12 leads x 10 s at that rate, in place of median beats; the bar of the speed is the
same per byte.

A cache of ``--beats`` beats is tiled from up to 1,000 PTB-XL beats where ``ECG_LIGHTNING_DATA`` (default
``../shared/data``) holds ``ptbxl/``, else from synthetic ones, and written by the product's own ``merge``; that happens
in a process of its own, so that its memory is not counted. Then ``EcgDataModule.train_dataloader`` is read for some
epochs, shuffled, without doing anything with the batches. Memory is the largest ``RssAnon`` (``/proc/self/status``:
Linux only), read every 50 batches, above its value after the imports; pages of the memory map are the system's to drop
and not counted.

Bars: at least 20,000 beats/s or as many bytes, under 300 MB.
"""

import argparse
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecg_lightning.data.datamodule import EcgDataModule
from ecg_lightning.data.merge import finish, merge
from ecg_lightning.data.prepare import cache_hash, cache_settings, prepare
from ecg_lightning.data.representations import MedianBeats, RecordingWindow, Representation
from ecg_lightning.data.shards import PrepareSettings
from ecg_lightning.data.sources import Entry, PtbXl, Recording, Source
from ecg_lightning.ecg import BEAT_SAMPLES, FIDUCIAL_SAMPLE, FORMAT_SETTING, LEADS, MEDIAN_BEAT

REPOSITORY = Path(__file__).parents[1]
MIN_BYTES_A_SECOND = 20_000 * 2 * MEDIAN_BEAT.shape[0] * MEDIAN_BEAT.shape[1]  # of int16: 20,000 beats
MAX_MEGABYTES = 300
SEED_BEATS = 1000
PART = 10_000
WATCH_EVERY = 50


class TiledBeats(Source):
    """``n`` ECGs that repeat a few beats; only its table is ever asked for, the beats are in the cache already.

    Args:
        n: Number of ECGs; every patient has two, every third ECG is positive.
    """

    name = "tiled"

    def __init__(self, n: int) -> None:
        self.n = n

    def entries(self) -> Sequence[Entry]:
        """Two ECGs a patient."""
        return [
            Entry(str(k), f"p{k // 2}", 60.0, "unknown", {"sinus_rhythm": float(k % 3 == 0)}) for k in range(self.n)
        ]

    def read(self, entry: Entry) -> Recording:
        """There are no recordings behind these beats."""
        raise NotImplementedError(f"{entry.ecg_id}: tiled beats have no recording")

    def settings(self) -> dict[str, object]:
        """Their number is all there is to know."""
        return {"n": self.n}


class FirstOfPtbXl(PtbXl):
    """The first records, as many as are tiled."""

    def entries(self) -> Sequence[Entry]:
        """At most ``SEED_BEATS``."""
        return super().entries()[:SEED_BEATS]


def real_data() -> Path | None:
    """The folder of PTB-XL, where there is one."""
    root = Path(os.environ.get("ECG_LIGHTNING_DATA", REPOSITORY.parent / "shared" / "data"), "ptbxl")
    return root if (root / "ptbxl_database.csv").is_file() else None


def seed_beats(scratch: Path, representation: Representation) -> NDArray[np.int16]:
    """The ECGs that are tiled, (ecg, lead, sample) uV."""
    root = real_data()
    if root is not None:
        of_root = FirstOfPtbXl(root)
        return np.array(prepare(of_root, scratch, representation=representation, processes=1, progress=False).beats)
    if representation != MedianBeats():
        raise FileNotFoundError("recordings are tiled from PTB-XL's: set ECG_LIGHTNING_DATA to where ptbxl/ lies")
    time_from_r = np.arange(BEAT_SAMPLES) - FIDUCIAL_SAMPLE
    rng = np.random.default_rng(0)
    widths = rng.uniform(5, 15, (SEED_BEATS, len(LEADS), 1))
    qrs = rng.normal(0, 800, widths.shape) * np.exp(-0.5 * (time_from_r / widths) ** 2)
    return np.rint(qrs + rng.normal(0, 5, qrs.shape)).astype(np.int16)


def build_cache(n: int, cache_dir: Path, representation: Representation) -> None:
    """Write the cache that an ``EcgDataModule`` of ``TiledBeats(n)`` and the representation will find finished."""
    source = TiledBeats(n)
    settings = cache_settings(source, PrepareSettings(representation))
    folder = cache_dir / f"{source.name}-{cache_hash(settings)}"
    folder.mkdir(parents=True)
    with tempfile.TemporaryDirectory(dir=cache_dir) as scratch:
        tiles = seed_beats(Path(scratch), representation)
        parts = [write_part(Path(scratch), start, min(n, start + PART), tiles) for start in range(0, n, PART)]
        found = merge(folder, parts, source.entries(), source.name, representation.format.shape)
    head = {"hash": cache_hash(settings), "settings": settings, FORMAT_SETTING: representation.format.as_dict()}
    finish(folder, {**head, **found})


def write_part(folder: Path, start: int, stop: int, tiles: NDArray[np.int16]) -> Path:
    """A part file as ``prepare`` writes it."""
    index = np.arange(start, stop)
    path = folder / f"{start:09d}.npz"
    np.savez(
        path,
        index=index,
        beats=tiles[index % len(tiles)],
        heart_rate=np.full(len(index), 60.0),
        n_beats=np.full(len(index), 10, dtype=np.int32),
        rejected_index=np.empty(0, dtype=np.int64),
        rejected=np.empty((0, 2), dtype=np.str_),
    )
    return path


def build_apart(n: int, cache_dir: Path, representation: Representation) -> None:
    """Build the cache in another process, whose memory goes with it."""
    child = multiprocessing.get_context("spawn").Process(target=build_cache, args=(n, cache_dir, representation))
    child.start()
    child.join()
    if child.exitcode:
        raise RuntimeError(f"the process that builds the cache ended with {child.exitcode}; its message is above")


def anonymous_megabytes() -> float:
    """Resident memory of this process that is not backed by a file (MB)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise OSError("/proc/self/status has no RssAnon; this benchmark needs Linux 4.5 or newer")


def stream(datamodule: EcgDataModule, epoch: int) -> tuple[int, float, float]:
    """Read one epoch: its beats, its seconds, and the largest anonymous memory (MB)."""
    loader = datamodule.train_dataloader()
    loader.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
    beats, peak, start = 0, 0.0, time.perf_counter()
    for number, batch in enumerate(loader):
        beats += len(batch["ecg"])
        if number % WATCH_EVERY == 0:
            peak = max(peak, anonymous_megabytes())
    return beats, time.perf_counter() - start, peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--beats", type=int, default=100_000)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--rate", type=float)
    options = parser.parse_args()
    chosen = RecordingWindow(sampling_rate=options.rate, seconds=10.0) if options.rate else MedianBeats()
    bar = MIN_BYTES_A_SECOND / (2 * chosen.format.shape[0] * chosen.format.shape[1])
    before = anonymous_megabytes()
    with tempfile.TemporaryDirectory() as scratch:
        build_apart(options.beats, Path(scratch), chosen)
        source, size = TiledBeats(options.beats), options.batch_size
        datamodule = EcgDataModule(source, cache_dir=scratch, batch_size=size, representation=chosen)
        datamodule.setup("fit")
        epochs = [stream(datamodule, epoch) for epoch in range(options.epochs)]
    rates = [beats / seconds for beats, seconds, _ in epochs]
    memory = max(peak for *_, peak in epochs) - before
    tiled = "PTB-XL" if real_data() else "synthetic"
    print(f"{epochs[0][0]:,} training ECGs of {options.beats:,} ({tiled}, tiled; {chosen.format})")
    print("ECGs/s an epoch: " + ", ".join(f"{rate:,.0f}" for rate in rates))
    print(f"median: {statistics.median(rates):,.0f} ECGs/s (bar: at least {bar:,.0f})")
    print(f"anonymous memory above the imports ({before:.0f} MB): {memory:.0f} MB (bar: under {MAX_MEGABYTES})")


if __name__ == "__main__":
    main()
