"""What a cascade will cost, said before it starts."""

from collections.abc import Sequence

from ecg_lightning.attribution import AttributionMethod
from ecg_lightning.attribution.cost import estimate, measure_passes
from ecg_lightning.attribution.task import FrozenModel
from ecg_lightning.experiments.randomization.measure import forward_equivalents
from ecg_lightning.experiments.randomization.plan import CascadePlan


def cost_words(
    plan: CascadePlan,
    methods: Sequence[AttributionMethod],
    task: FrozenModel,
    missing: int,
    ranks: int,
    smooth_draws: int,
) -> str:
    """Say how many ECGs x random networks x methods, passes and minutes each part of the experiment is.

    Args:
        plan: Which random networks.
        methods: Which methods.
        task: The trained network, whose passes are timed.
        missing: ECGs that are not in the stores.
        ranks: How many processes share them.
        smooth_draws: Noisy copies an ECG of the smooth test.
    """
    seconds = measure_passes(task)
    share = -(-missing // ranks)
    parts = []
    for part in (*plan.wholly_random, "progressive"):
        networks = [plan.maps_of(method.name, smooth_draws)[part] for method in methods]
        costs = estimate(methods, [share * count for count in networks], task, seconds)
        passes = sum(
            missing * count * forward_equivalents(method, task.backgrounds)
            for method, count in zip(methods, networks, strict=True)
        )
        parts.append(
            f"{max(networks, default=0)} {_of(part, plan)} ({passes:,} forward-equivalent passes, about "
            f"{sum(cost.seconds for cost in costs) / 60:.1f} min)"
        )
    fewer = f"; {plan.draws_of_expensive_methods} draws at most of {', '.join(plan.expensive)}"
    return (
        f"RandomizationCascade: {missing} ECGs x {len(methods)} methods x networks: {', '.join(parts)}"
        f"{fewer if plan.expensive else ''}"
    )


def _of(part: str, plan: CascadePlan) -> str:
    if part == "progressive":
        return "partly random ones of the progressive cascade" if plan.full_direction else "of the progressive cascade"
    return f"wholly random ones with BatchNorms {part.replace('_', ' and ')}"
