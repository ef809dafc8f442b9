"""What a run says about its maps: their cost before, and afterwards which of them are unusable or unreliable."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from lightning.pytorch import Trainer
from lightning.pytorch.utilities import rank_zero_info
from rich.console import Console
from rich.table import Table

from callbacks.map_stores import MapStores
from ecg_lightning.attribution import AttributionMethod
from ecg_lightning.attribution.cost import MethodCost, estimate, measure_passes
from ecg_lightning.attribution.task import FrozenModel
from ecg_lightning.functional.maps import count_unusable
from ecg_lightning.storage.store import RowStore


def maps_table(
    methods: Sequence[AttributionMethod],
    maps: Mapping[str, RowStore],
    reliability: Mapping[str, RowStore],
    n_backgrounds: int,
) -> pd.DataFrame:
    """One row a method.

    Args:
        methods: The methods.
        maps: Their stores.
        reliability: Those of the stochastic ones.
        n_backgrounds: Of the SHAP methods.

    Returns:
        ``method, unit, signed, uses_backgrounds, done, constant, not_finite``; ``forwards`` and ``gradients``, passes a
        map (at most, where a target_correlation was asked for; methods that share passes count them each);
        ``reliability_median`` and ``reliability_lowest_decile``
        (NaN for deterministic methods), ``target_correlation`` (NaN where none was asked for), and ``unreliable``: maps
        whose predicted correlation with their limit stays below the target, or that have no reliability.
    """
    rows = []
    for method in methods:
        maps[method.name].check()
        counts = count_unusable(maps[method.name].array, maps[method.name].done)
        row = {"method": method.name, "unit": maps[method.name].spec.unit, "signed": method.signed}
        row |= {"uses_backgrounds": method.uses_backgrounds, **counts._asdict()}
        leads, samples = maps[method.name].spec.shape[1:]
        passes = method.passes((leads, samples), n_backgrounds)
        row |= {"forwards": passes.forward, "gradients": passes.gradient}
        rows.append(row | _reliability(method, reliability.get(method.name)))
    return pd.DataFrame(rows)


def _reliability(method: AttributionMethod, store: RowStore | None) -> dict[str, float]:
    target = getattr(method, "target_correlation", None)
    values = np.empty(0) if store is None else store.read(np.flatnonzero(store.done)).astype(float)
    known = values[np.isfinite(values)]
    short = 0 if target is None else int((~(np.sqrt(values) >= target)).sum())  # NaN is short too
    return {
        "reliability_median": float(np.median(known)) if len(known) else np.nan,
        "reliability_lowest_decile": float(np.quantile(known, 0.1)) if len(known) else np.nan,
        "target_correlation": np.nan if target is None else float(target),
        "unreliable": short,
    }


def logged_numbers(table: pd.DataFrame) -> dict[str, float]:
    """Metric -> value: how many maps are done or unusable, and the median reliability of each stochastic method.

    Args:
        table: Of ``maps_table``.
    """
    totals = table[["done", "constant", "not_finite", "unreliable"]].sum()
    logged = {f"maps/{name}": float(total) for name, total in totals.items()}
    medians = table.set_index("method")["reliability_median"].dropna()
    return logged | {f"reliability/{name}": float(value) for name, value in medians.items()}


def warnings_of(table: pd.DataFrame, methods: Sequence[AttributionMethod]) -> Iterator[str]:
    """What a person must know of the maps, one sentence each; see :func:`maps_table`."""
    hints = {method.name: f"; {method.constant_hint}" for method in methods if method.constant_hint}
    for row in table.to_dict("records"):
        if row["constant"] or row["not_finite"]:
            yield (
                f"{row['method']}: of {row['done']} maps {row['constant']} are constant and {row['not_finite']} are "
                "not finite; they have no correlation and are left out of every average" + hints.get(row["method"], "")
            )
        if row["unreliable"]:
            yield (
                f"{row['method']}: {row['unreliable']} of {row['done']} maps did not reach the correlation of "
                f"{row['target_correlation']:g} with their limit that was asked for; they are kept, their reliability "
                f"is in reliability/{row['method']}/: raise `max_samples`, or lower `target_correlation`"
            )


def cost_table(costs: Sequence[MethodCost], ranks: int, gigabytes: float) -> Table:
    """The expected cost, for a terminal.

    Args:
        costs: Of each method, on one rank.
        ranks: How many share the ECGs.
        gigabytes: Of all stores.
    """
    total = sum(cost.seconds for cost in costs)
    table = Table(
        title=f"Attribution: about {_duration(total)} ({ranks} ranks), {gigabytes:.2f} GB on disk",
        caption="maps to compute a rank; passes a map (at most, where a target_correlation is asked for); maps x "
        "passes x the measured time of a pass",
    )
    for column in ("method", "maps", "forwards", "gradients", "time"):
        table.add_column(column, justify="left" if column == "method" else "right")
    for cost in costs:
        table.add_row(
            cost.method, f"{cost.maps:,}", f"{cost.forwards:,}", f"{cost.gradients:,}", _duration(cost.seconds)
        )
    return table


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def tell_cost(trainer: Trainer, methods: Sequence[AttributionMethod], stores: MapStores, model: FrozenModel) -> None:
    """Print what the maps that are in no store yet will cost: passes, their measured time, and disk."""
    missing = [len(stores.missing(method.name)) for method in methods]
    if not any(missing):
        rank_zero_info("Attribution: every map is in its store already; none is computed.")
        return
    seconds = measure_passes(model)
    share = [-(-number // trainer.world_size) for number in missing]
    costs = estimate(methods, share, model, seconds)
    if trainer.is_global_zero:
        Console().print(cost_table(costs, trainer.world_size, stores.gigabytes))
