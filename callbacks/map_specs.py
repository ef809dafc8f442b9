"""What the store of each method's maps holds, and what determines its rows."""

from collections.abc import Mapping, Sequence
from typing import Literal

from ecg_lightning.attribution import AttributionMethod
from ecg_lightning.attribution.task import FrozenModel
from ecg_lightning.data.backgrounds import Backgrounds
from ecg_lightning.data.targets import TargetInfo
from ecg_lightning.ecg import FORMAT_SETTING, format_of
from ecg_lightning.storage.hashing import JSON, digest_array_rows
from ecg_lightning.storage.store import StoreSpec


def map_specs(
    methods: Sequence[AttributionMethod],
    task: FrozenModel,
    *,
    n_ecgs: int,
    dtype: Literal["float32", "float16"],
    of: tuple[str, str, Mapping[str, JSON]],
    draws: Mapping[str, JSON],
    backgrounds: Backgrounds,
    target: TargetInfo,
) -> dict[str, StoreSpec]:
    """Method -> its store (row, lead, sample).

    Args:
        methods: The methods.
        task: The network, whose backgrounds have the maps' shape.
        n_ecgs: Rows.
        dtype: Of the stores.
        of: Network, examples and settings that all stores of a run share, see ``callbacks.current_run.identity``.
        draws: What determines the maps of stochastic methods besides their hyperparameters.
        backgrounds: What determines those of the methods that use them.
        target: What is explained, which gives maps their unit.
    """
    network, examples, common = of
    shape = (n_ecgs, *(int(length) for length in task.backgrounds.shape[1:]))
    known = format_of(common).leads
    leads = known if shape[1] == len(known) else tuple(str(lead) for lead in range(shape[1]))
    content = digest_array_rows(backgrounds.beats.numpy(), backgrounds.ecg_ids)
    references: JSON = {"ecg_ids": backgrounds.ecg_ids, "content": content}
    return {
        method.name: StoreSpec(
            dims=("row", "lead", "sample"),
            shape=shape,
            coords={"lead": leads},
            dtype=dtype,
            unit=target.output_unit(method.unit),
            settings={**common, **_settings(method, task, draws, references), **_groups(method, common)},
            network=network,
            examples=examples,
        )
        for method in methods
    }


def _groups(method: AttributionMethod, common: Mapping[str, JSON]) -> dict[str, JSON]:
    """How long and how many the stretches are that have one value; stores of median beats have never said it."""
    size, of_ecgs = method.samples_a_value, format_of(common)
    if FORMAT_SETTING not in common or size == 1:
        return {}
    groups = len(of_ecgs.leads) * -(-of_ecgs.samples // size)
    return {"group_ms": 1000.0 * size / of_ecgs.sampling_rate, "groups": groups}


def _settings(
    method: AttributionMethod, task: FrozenModel, draws: Mapping[str, JSON], backgrounds: JSON
) -> dict[str, JSON]:
    """What determines this method's rows, and nothing else: a new background must not redo Shapley values."""
    settings = method.resolved_settings(task) | {"precision": str(task.backgrounds.dtype)}
    if method.stochastic:
        settings |= draws
    if method.uses_backgrounds:
        settings["backgrounds"] = backgrounds
    return settings
