"""The figures of an episode of DAG scheduling."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clustersim.dag_problem import critical_path_s

if TYPE_CHECKING:
    from clustersim.scenarios.dag_scheduling import DagSchedulingSimulation


def episode_metrics(simulation: DagSchedulingSimulation) -> dict[str, float]:
    """The figures so far; those of jobs are over the jobs that have ended, NaN without any.

    makespan: seconds from the first arrival to the last end. jct_s_*: job completion time, end minus arrival;
    time_in_system_s_mean: end minus admission (DS3's latency). slowdown_mean: JCT over the job's critical path on its
    fastest machines without communication, of jobs where that takes time. slr (schedule length ratio): makespan over
    the same bound for all jobs together, each after its arrival. utilization: busy time over machines and makespan.
    energy_j, edp_js: energy times makespan.
    """
    problem, arrival_s = simulation.problem, simulation.workload.arrival_s
    ideal_s = critical_path_s(problem)
    done = ~np.isnan(simulation.done_s)
    jct_s = (simulation.done_s - arrival_s)[done]
    slowdown = (simulation.done_s - arrival_s)[done & (ideal_s > 0)] / ideal_s[done & (ideal_s > 0)]
    makespan_s = simulation.cost("makespan")
    bound_s = float((arrival_s + ideal_s).max() - arrival_s[0])
    energy_j = simulation.energy_j()
    some = bool(done.any())
    figures = {
        "makespan": makespan_s,
        "jct_s_mean": float(jct_s.mean()) if some else np.nan,
        "slowdown_mean": float(slowdown.mean()) if len(slowdown) else np.nan,
        "slr": makespan_s / bound_s if bound_s > 0 else np.nan,
        "utilization": float(simulation.busy_s.sum()) / (len(simulation.busy_s) * makespan_s) if makespan_s else np.nan,
        "energy_j": energy_j,
        "edp_js": energy_j * makespan_s,
        "transferred_bytes": simulation.transferred_bytes,
        "jobs_done": float(done.sum()),
        "lost_instances": float(simulation.lost_instances),
        "time_in_system_s_mean": float((simulation.done_s - simulation.admitted_s)[done].mean()) if some else np.nan,
    }
    for share in (50, 95, 99):
        figures[f"jct_s_p{share}"] = float(np.percentile(jct_s, share)) if some else np.nan
    return figures
