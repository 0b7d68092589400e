"""The best of several list schedules: what the exact search starts from.

HEFT (Topcuoglu, Hariri, Wu 2002, doi 10.1109/71.993206), PEFT (Arabnejad, Barbosa 2014, doi 10.1109/TPDS.2013.57), and
HEFT kept to the machines on which a task is nearly cheapest, at the prices that make the area bound: where machines
suit tasks differently, HEFT fills every machine at once and leaves 10 to 20 % to gain, with prices 2 to 8 % are left.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clustersim.baselines.dag_bounds import prices
from clustersim.baselines.heft import plan_heft, upward_rank
from clustersim.baselines.heft_kernel import in_order, place_in_order
from clustersim.baselines.peft import plan_peft
from clustersim.dag_problem import DagProblem, Floats, Ints
from clustersim.dag_schedule import Busy, Schedule

ABOVE_CHEAPEST = (0.03, 0.1, 0.2, 0.4)
"""Up to how much dearer than on its cheapest machine a task may run."""


def list_schedules(problem: DagProblem, release_s: Floats, busy: Busy) -> list[Schedule]:
    """HEFT's first."""
    price = prices(problem)
    order = in_order(problem, upward_rank(problem))
    plans = [plan_heft(problem, release_s, busy), plan_peft(problem, release_s, busy)]
    for share in ABOVE_CHEAPEST:
        kept = price <= (1 + share) * price.min(axis=1, keepdims=True)
        run_time_s = np.where(kept, problem.run_time_s, np.inf)
        plans.append(place_in_order(problem, order, release_s, busy, run_time_s=run_time_s))
    return plans


def by_time(problem: DagProblem, start: NDArray[np.generic], end: NDArray[np.generic]) -> Ints:
    """The nodes in the order of their times; predecessors first, also where nodes have no length."""
    rank = np.empty(len(problem), dtype=np.int64)
    rank[problem.order] = np.arange(len(problem))
    return np.lexsort((rank, end, start)).astype(np.int64)


def timed(problem: DagProblem, machine: Ints, order: Ints, earliest_s: Floats, busy: Busy) -> Schedule:
    """Every node on its machine behind those before it in the order, as early as its data allow.

    `earliest_s`, shape (N, M): what a start waits for apart from predecessors.
    """
    start_s, finish_s = np.zeros(len(order)), np.zeros(len(order))
    free_s = np.full(problem.machines, -np.inf)
    for node in order.tolist():
        here = machine[node]
        before = slice(problem.pred_start[node], problem.pred_start[node + 1])
        source, there = problem.pred[before], machine[problem.pred[before]]
        send_s = problem.latency_s[there, here] + problem.pred_bytes[before] * problem.s_per_byte[there, here]
        arrival_s = (finish_s[source] + np.where(there == here, 0.0, send_s)).max(initial=-np.inf)
        at_s = max(free_s[here], earliest_s[node, here], arrival_s)
        run_s = problem.run_time_s[node, here]
        for slot in range(int(busy.count[here])):
            if busy.finish_s[here, slot] > at_s and busy.start_s[here, slot] < at_s + run_s:
                at_s = busy.finish_s[here, slot]
        start_s[node] = at_s
        finish_s[node] = free_s[here] = at_s + run_s
    return Schedule(machine, start_s, finish_s)
