"""Draw every diagnosis, simulated beside real: the pictures of the README, and what to look at after a change.

Usage::

    python benchmarks/class_pictures.py --synthetic 600 --out docs/pictures \
        --real ../shared/data/ptbxl ../shared/data/cinc2021 ../shared/data/ludb

``--synthetic`` takes a finished cache (``cache/synthetic-<hash>``) or a number of patients to simulate. ``--real``
takes folders of PTB-XL, LUDB, or CinC records; earlier ones come first, and later ones fill up. Beats are chosen by a
hash of their ids, so that nobody picks favourites; ``--seed`` chooses others. LUDB's voltages are inferred, so it gives
no example of the two classes that are made by voltage.

Writes ``<out>/<target>.png`` (three simulated and three real beats, eight leads, 25 mm/s and 10 mm/mV at 100 %) and
``<out>/classes.png`` (one of each, four leads, half gain), in 64 colours so that a README stays light, and prints
their sizes.

Bars: no picture above 400 kB.
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from matplotlib.figure import Figure
from PIL import Image

from ecg_lightning.data.cache import MARKER, BeatCache
from ecg_lightning.data.prepare import prepare
from ecg_lightning.data.sources import Cinc, Ludb, PtbXl, Source
from ecg_lightning.data.sources.synthetic import Synthetic
from ecg_lightning.ecg import TARGETS, Target, shown_text
from ecg_lightning.plotting import ClassBeat, class_title, classes_figure, classes_overview, save_figure
from ecg_lightning.plotting.cached_beats import choose_rows, class_beat
from ecg_lightning.plotting.classes import Columns
from ecg_lightning.storage.atomic import atomic_path

MAX_KILOBYTES = 400
COLOURS = 64
VOLTAGE_TARGETS = ("low_qrs_voltage", "left_ventricular_hypertrophy")
CREDITS = {
    "ptbxl": "PTB-XL: Wagner et al., Scientific Data 2020;7:154 (PhysioNet), CC BY 4.0",
    "cinc": "PhysioNet/CinC Challenge 2021: Reyna et al., Computing in Cardiology 2021 (PhysioNet), CC BY 4.0",
    "ludb": "LUDB: Kalyakulina et al., IEEE Access 2020;8:186181 (PhysioNet), ODC-By 1.0",
}


MISLABELLED: Final = {"ptbxl": ("287",)}
"""ECGs that are no example of their label: 287 is coded as left bundle branch block, its report says right."""


def real_source(root: Path) -> Source:
    """The archive in a folder, told by its table."""
    if (root / "ptbxl_database.csv").is_file():
        return PtbXl(root)
    if (root / "ludb.csv").is_file():
        return Ludb(root)
    if any(root.rglob("*.hea")):
        return Cinc(root)
    raise SystemExit(
        f"--real {root}: expected a folder with ptbxl_database.csv (PTB-XL), ludb.csv (LUDB) or .hea files (CinC)"
    )


def synthetic_cache(given: str, scratch: Path) -> BeatCache:
    """Open a cache, or simulate patients into a temporary one."""
    if given.isdigit():
        return prepare(Synthetic(int(given)), scratch)
    if not (Path(given) / MARKER).is_file():
        raise SystemExit(f"--synthetic {given}: expected a number of patients, or the folder of a finished cache")
    return BeatCache.open(given)


def choose(caches: Sequence[BeatCache], target: Target, n: int, seed: int) -> list[ClassBeat]:
    """Beats with a diagnosis, as many as there are up to ``n``, earlier caches first."""
    beats: list[ClassBeat] = []
    for cache in caches:
        usable = cache.settings["source"] != Ludb.name or target not in VOLTAGE_TARGETS
        if usable and len(beats) < n:
            examples = cache.examples[
                ~cache.examples["ecg_id"].isin(MISLABELLED.get(str(cache.settings["source"]), ()))
            ]
            rows = choose_rows(examples, target, n - len(beats), seed=seed)
            beats += [
                class_beat(cache, row, target, shown_text(cache.examples["ecg_id"].iloc[row]), waves=False)
                for row in rows
            ]
    return beats


def credit(beats: Sequence[ClassBeat]) -> str:
    """Whose ECGs these are, a line for each archive."""
    return "\n".join(CREDITS[name] for name in dict.fromkeys(beat.source for beat in beats) if name in CREDITS)


def groups(simulated: Sequence[ClassBeat], real: Sequence[ClassBeat], n: int) -> Columns:
    """The first of both; a group without a beat is left out."""
    return {name: beats[:n] for name, beats in (("Simulated", simulated), ("Real", real)) if beats}


def save_small(figure: Figure, path: Path) -> str:
    """Write a PNG in few colours; returns a line for people."""
    save_figure(figure, path)
    with Image.open(path) as image:
        few = image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
        with atomic_path(path) as temporary:
            few.save(temporary, format="PNG", optimize=True, dpi=image.info["dpi"])
    kilobytes = path.stat().st_size / 1000
    verdict = "" if kilobytes <= MAX_KILOBYTES else f"  above the bar of {MAX_KILOBYTES} kB"
    return f"{path}: {few.width} x {few.height} px, {kilobytes:.0f} kB{verdict}"


def draw(synthetic: BeatCache, real: Sequence[BeatCache], out: Path, n: int, seed: int) -> None:
    """Draw all targets and the overview."""
    overview: dict[str, Columns] = {}
    shown: list[ClassBeat] = []
    for target in TARGETS:
        simulated, others = choose([synthetic], target, n, seed), choose(real, target, n, seed)
        if not simulated and not others:
            print(f"{target}: no ECG has it, no picture; simulate more patients")
            continue
        figure = classes_figure(groups(simulated, others, n), title=class_title(target), credit=credit(others))
        print(save_small(figure, out / f"{target}.png"))
        overview[class_title(target)] = groups(simulated, others, 1)
        shown += others[:1]
    figure = classes_overview(
        overview,
        title="The nine diagnoses, simulated and real",
        subtitle="median beats in four of the eight leads; chosen by a hash of their ids",
        credit=credit(shown),
    )
    print(save_small(figure, out / "classes.png"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--synthetic", required=True, help="a finished cache, or a number of patients")
    parser.add_argument("--real", nargs="+", type=Path, required=True, help="folders of real archives")
    parser.add_argument("--out", type=Path, default=Path("docs/pictures"))
    parser.add_argument("--examples", type=int, default=3, help="beats of each kind")
    parser.add_argument("--seed", type=int, default=0, help="of the choice")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        real = [prepare(real_source(root), scratch) for root in options.real]
        draw(synthetic_cache(options.synthetic, Path(scratch)), real, options.out, options.examples, options.seed)


if __name__ == "__main__":
    main()
