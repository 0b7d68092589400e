"""How near a placement policy comes to the best that could have been done, had all pods been known beforehand."""

from __future__ import annotations

from functools import lru_cache

from clustersim.baselines.inflation_bound import Bracket, gpu_bracket
from clustersim.bench.metrics import MetricInfo
from clustersim.scenarios.pod_inflation import PodInflation
from clustersim.scenarios.pod_placement import PodPlacement

MARK_PERCENT = 100
"""Of arrived demand, at which policies are ranked."""

GAP_METRICS = (
    MetricInfo("share_of_bound_at_100", "of the proven bound at 100 %", "", "higher", percent=True),
    MetricInfo("share_of_known_at_100", "of the best plan known at 100 %", "", "higher", percent=True),
)


def gap_metrics(scenario: PodPlacement, seed: int, gpu_allocation: float) -> dict[str, float]:
    """A policy's allocation as a share of the bound and of the plan; the share of the optimum lies between them."""
    capacity_milli, bracket = _bracket(scenario, seed)
    allocated_milli = gpu_allocation * capacity_milli
    bound, known = (allocated_milli / max(1, milli) for milli in (bracket.bound_milli, bracket.known_milli))
    return {"share_of_bound_at_100": bound, "share_of_known_at_100": known}


@lru_cache(maxsize=256)
def _bracket(scenario: PodPlacement, seed: int) -> tuple[int, Bracket]:
    """Capacity and bracket of a seed; cached, because every policy is played on it."""
    simulation = scenario.build(seed)
    assert isinstance(simulation, PodInflation), "only inflation runs have a mark"
    return simulation.gpu_capacity_milli, gpu_bracket(simulation.cluster.view, simulation.requests_until(MARK_PERCENT))
