"""How near a schedule comes to the best possible one: its makespan over a proven bound."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from clustersim.baselines.constraint_budget import Limits
from clustersim.dag_problem import critical_path_s, problem_of
from clustersim.dag_schedule import Busy
from clustersim.traces.dag_sources import DagSource

BUDGET_S = 10.0
"""How long CP-SAT may search for a bound where nobody says otherwise."""


@dataclass(frozen=True)
class Bound:
    """No schedule is shorter than `makespan_s`; `closed`: and one is as short."""

    makespan_s: float
    closed: bool


def gap_metrics(source: DagSource, seed: int, budget_s: float | None, makespan_s: float) -> dict[str, float]:
    """What a makespan is above the bound, as a share of the bound, and whether the bound is the optimum."""
    bound = bound_of(source, seed, BUDGET_S if budget_s is None else budget_s)  # type: ignore[arg-type]  # all are frozen
    figures = {"bound_closed": float(bound.closed), "bound_s": bound.makespan_s}
    if bound.makespan_s > 0:
        figures["gap_to_bound"] = makespan_s / bound.makespan_s - 1
    return figures


@lru_cache(maxsize=4096)
def bound_of(source: DagSource, seed: int, budget_s: float) -> Bound:
    """Of an episode whose jobs are all there at time 0; kept, because every policy is compared with it.

    The best of CP-SAT's bound within its budget and of those of paths and areas. Tasks of several instances and with
    warm-ups are beyond both: there it is the critical path on the fastest machines.
    """
    # OR-Tools brings pandas along and takes half a second to import.
    from clustersim.baselines.dag_constraint import solve_dag

    workload = source(seed)
    problem = problem_of(workload.machines, workload.jobs)
    if problem.instances.max() > 1 or problem.warm_up_s.any():
        return Bound(float(critical_path_s(problem).max()), False)
    release_s = np.zeros(len(workload.jobs))
    solution = solve_dag(problem, release_s, Busy.nothing(problem.machines), Limits(budget_s))
    return Bound(solution.bound_s, solution.status == "OPTIMAL")
