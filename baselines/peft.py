"""PEFT, predict earliest finish time: each task where it and the rest of its job are likely to end first.

The optimistic cost table says how long the rest of the job takes at least, in mean communication, after a task on a
machine: if all that follows found its best machine free. Tasks are planned by the mean of their row, and go where
their end plus their entry is least. Source: Arabnejad, Barbosa 2014 (doi 10.1109/TPDS.2013.57). Where some machines
cannot run a task, the mean is over those that can.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from clustersim.baselines.heft_kernel import in_order, place_in_order
from clustersim.dag_problem import DagProblem, Floats, Ints
from clustersim.dag_schedule import Busy, Schedule, check_plannable


def plan_peft(problem: DagProblem, release_s: Floats, busy: Busy) -> Schedule:
    """Several jobs are planned together."""
    check_plannable(problem)
    cost_s = optimistic_cost(problem)
    can_run = np.isfinite(problem.run_time_s)
    priority = np.where(can_run, cost_s, 0.0).sum(axis=1) / can_run.sum(axis=1)
    return place_in_order(problem, in_order(problem, priority), release_s, busy, ahead_s=cost_s)


def optimistic_cost(problem: DagProblem) -> Floats:
    """Seconds of all that follows each node when that runs on each machine, shape (N, M); 0 for a last node."""
    send_s = problem.mean_latency_s + problem.succ_bytes * problem.mean_s_per_byte
    return _optimistic_cost(problem.order, problem.run_time_s, problem.succ_start, problem.succ, send_s)


@njit(cache=True)
def _optimistic_cost(order: Ints, run_time_s: Floats, succ_start: Ints, succ: Ints, send_s: Floats) -> Floats:
    nodes, machines = run_time_s.shape
    cost_s, with_run_s, fastest_s = np.zeros((nodes, machines)), np.empty((nodes, machines)), np.empty(nodes)
    for node in order[::-1]:
        for edge in range(succ_start[node], succ_start[node + 1]):
            target = succ[edge]
            elsewhere_s = fastest_s[target] + send_s[edge]
            for machine in range(machines):
                # Where the best machine is this one, staying is the lesser of the two anyway.
                least_s = min(with_run_s[target, machine], elsewhere_s)
                cost_s[node, machine] = max(cost_s[node, machine], least_s)
        for machine in range(machines):
            with_run_s[node, machine] = run_time_s[node, machine] + cost_s[node, machine]
        fastest_s[node] = with_run_s[node].min()
    return cost_s
