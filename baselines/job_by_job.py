"""Jobs one behind another, the one with the least work first: what a search for short job times starts from.

Within a job tasks go by upward rank, each to the machine where it ends first (Topcuoglu, Hariri, Wu 2002,
doi 10.1109/71.993206), behind all that was planned there before. The order of jobs is that of Smith 1956
(doi 10.1002/nav.3800030106), which is best on one machine.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from clustersim.baselines.heft import upward_rank
from clustersim.baselines.heft_kernel import in_order
from clustersim.dag_problem import DagProblem, Floats, Ints
from clustersim.dag_schedule import Busy, Schedule


def plan_job_by_job(problem: DagProblem, earliest_s: Floats, busy: Busy) -> Schedule:
    """`earliest_s`, shape (N, M): what a start has to wait for apart from predecessors."""
    rank_s = upward_rank(problem)
    work_s = np.add.reduceat(problem.mean_run_time_s, problem.first_node[:-1])
    turn = np.empty(len(work_s), dtype=np.int64)
    turn[np.argsort(work_s, kind="stable")] = np.arange(len(work_s))
    order = in_order(problem, rank_s - turn[problem.job_of] * (rank_s.max() + 1.0))
    return Schedule(
        *_place(
            order,
            problem.run_time_s,
            earliest_s,
            problem.pred_start,
            problem.pred,
            problem.pred_bytes,
            problem.latency_s,
            problem.s_per_byte,
            busy.start_s,
            busy.finish_s,
            busy.count,
        )
    )


@njit(cache=True)
def _place(
    order: Ints,
    run_time_s: Floats,
    earliest_s: Floats,
    pred_start: Ints,
    pred: Ints,
    pred_bytes: Floats,
    latency_s: Floats,
    s_per_byte: Floats,
    busy_start_s: Floats,
    busy_finish_s: Floats,
    busy_count: Ints,
) -> tuple[Ints, Floats, Floats]:
    nodes, machines = run_time_s.shape
    machine_of, start_s, finish_s = np.zeros(nodes, dtype=np.int64), np.zeros(nodes), np.full(nodes, np.inf)
    free_s = np.zeros(machines)
    for node in order:
        for machine in range(machines):
            if run_time_s[node, machine] == np.inf:
                continue
            at_s = max(free_s[machine], earliest_s[node, machine])
            for edge in range(pred_start[node], pred_start[node + 1]):
                source, there = pred[edge], machine_of[pred[edge]]
                send_s = latency_s[there, machine] + pred_bytes[edge] * s_per_byte[there, machine]
                at_s = max(at_s, finish_s[source] + send_s)
            for slot in range(busy_count[machine]):
                if (
                    busy_finish_s[machine, slot] > at_s
                    and busy_start_s[machine, slot] < at_s + run_time_s[node, machine]
                ):
                    at_s = busy_finish_s[machine, slot]
            if at_s + run_time_s[node, machine] < finish_s[node]:
                machine_of[node], start_s[node] = machine, at_s
                finish_s[node] = at_s + run_time_s[node, machine]
        free_s[machine_of[node]] = finish_s[node]
    return machine_of, start_s, finish_s
