"""A sample of what the stores hold of single ECGs, computed from their maps, beats and masks."""

from collections.abc import Iterator
from itertools import combinations_with_replacement, product
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray

from recomputed import maps as measures
from recomputed.compare import Finding, compare
from recomputed.stores import Array, RunFiles

_DRAWN = {"random, smoothed_random": "keyed random draws"}


def sample_findings(run: RunFiles, study: Path, ecgs: int) -> Iterator[Finding]:
    """Similarity, localization and shapes of some ECGs, with and without the diagnosis."""
    rows = np.unique(np.linspace(0, len(run.examples) - 1, ecgs).round().astype(int))
    positive = np.flatnonzero(run.label == 1)
    rows = np.unique(np.concatenate([rows, positive[:: max(1, len(positive) // ecgs)][:ecgs]]))
    found = {int(row): _maps_of(run, study, int(row)) for row in rows}
    yield _finding("similarity of maps", _similarities(run, found), "value")
    if run.has("localization/auroc"):
        yield _localization(run, found)
    if run.has("scores/sparseness"):
        yield _finding("shapes of maps", _shapes(run, found), "value")


def _maps_of(run: RunFiles, study: Path, row: int) -> dict[str, Array]:
    """Name -> (lead, sample) of the stored methods, and of the controls that draw nothing."""
    found = {method: run.store_row(f"maps/{method}", row) for method in run.methods}
    beats = study / "test_beats.npy"
    if beats.is_file():
        examples = pd.read_parquet(study / "splits.parquet").query("split == 'test'")["ecg_id"].tolist()
        ecg = np.load(beats, mmap_mode="r")[examples.index(run.examples["ecg_id"].iloc[row])]
        found |= measures.network_free(np.asarray(ecg, dtype=np.float32))
    return found


def _finding(name: str, rows: Iterator[dict], column: str) -> Finding:
    frame = pd.DataFrame(list(rows))
    if frame.empty:
        return Finding(name, left_out={"all": "nothing of these ECGs was measured"})
    written, again = frame.drop(columns="again"), frame.rename(columns={column: "_", "again": column})
    finding = compare(name, written, again, [key for key in written if key != column], {})
    finding.left_out |= _DRAWN
    return finding


def _similarities(run: RunFiles, found: dict[int, dict[str, Array]]) -> Iterator[dict]:
    for statistic in ("pearson", "spearman"):
        store = run.store(f"similarity/{statistic}")
        window, names = store.settings["window"], store.coords["method"]
        for (row, maps), (i, scope), (j, sign) in product(
            found.items(), enumerate(store.coords["scope"]), enumerate(store.coords["sign"])
        ):
            known = {n: measures.vectors(maps[n], statistic, scope, sign, window) for n in names if n in maps}
            for a, b in combinations_with_replacement(known, 2):
                yield {
                    "row": row,
                    "statistic": statistic,
                    "scope": scope,
                    "sign": sign,
                    "method": a,
                    "other_method": b,
                    "value": store.values[row, i, j, names.index(a), names.index(b)],
                    "again": measures.correlation(known[a], known[b]),
                }


def _shapes(run: RunFiles, found: dict[int, dict[str, Array]]) -> Iterator[dict]:
    for score, measure in (("sparseness", measures.sparseness), ("complexity", measures.complexity)):
        store = run.store(f"scores/{score}")
        for (row, maps), (m, method) in product(found.items(), enumerate(store.coords["method"])):
            if method in maps and np.isfinite(store.values[row]).any():
                value = store.values[row, m]
                yield {"row": row, "score": score, "method": method, "value": value, "again": measure(maps[method])}


def _localization(run: RunFiles, found: dict[int, dict[str, Array]]) -> Finding:
    masks = _Masks.of(run)
    if masks is None:
        return Finding("localization of maps", left_out={"all": "the cache with the masks is not where test.yaml says"})
    return _finding("localization of maps", _scores_against(run, found, masks), "value")


def _scores_against(run: RunFiles, found: dict[int, dict[str, Array]], masks: "_Masks") -> Iterator[dict]:
    for score in ("relevance_mass", "relevance_rank_accuracy", "pointing_game", "auroc"):
        store = run.store(f"localization/{score}")
        for (row, maps), (r, region), (m, method) in product(
            found.items(), enumerate(store.coords["region"]), enumerate(store.coords["method"])
        ):
            inside = masks.read(region, run.examples["ecg_id"].iloc[row])
            if inside is None or method not in maps:
                continue
            yield {
                "row": row,
                "score": score,
                "region": region,
                "method": method,
                "value": store.values[row, r, m],
                "again": measures.localization(maps[method], inside)[score],
            }


class _Masks:
    """Packed masks of the beats' cache: evidence and waves; segments between waves are not stored.

    Args:
        folder: ``<cache_dir>/<source>-<hash>``.
        target: Whose evidence.
    """

    def __init__(self, folder: Path, target: str) -> None:
        self.folder, self.target = folder / "masks", target
        self.place = {e: k for k, e in enumerate(pd.read_parquet(folder / "examples.parquet")["ecg_id"])}

    @classmethod
    def of(cls, run: RunFiles) -> "_Masks | None":
        """Of the cache that the run's configuration names, where it is still there."""
        data = yaml.safe_load((run.path / "test.yaml").read_text())["data"]
        digest = run.store("localization/auroc").settings["evidence"]
        found = list(Path(data["cache_dir"]).glob(f"*-{digest}"))
        return cls(found[0], run.target) if found else None

    def read(self, region: str, ecg_id: str) -> NDArray[np.bool_] | None:
        """(lead, sample); None where it is not known, or not stored."""
        name = f"{region}/{self.target}" if region in ("causal", "core") else region
        path = self.folder / f"{name}.npy"
        if not path.is_file() or not np.load(self.folder / f"{name}.present.npy")[self.place[ecg_id]]:
            return None
        return np.unpackbits(np.load(path, mmap_mode="r")[self.place[ecg_id]], axis=-1).astype(bool)
