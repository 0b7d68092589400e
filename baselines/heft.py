"""HEFT, heterogeneous earliest finish time: the tasks by upward rank, each where it ends first.

The upward rank of a task is the mean time that it and all that has to follow still take. Source: Topcuoglu, Hariri, Wu
2002 (doi 10.1109/71.993206). Run times are averaged over the machines that can run a task, communication over all
pairs of different machines. Several jobs are ranked together.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from clustersim.baselines.heft_kernel import in_order, place_in_order
from clustersim.dag_problem import DagProblem, Floats, Ints
from clustersim.dag_schedule import Busy, Schedule, check_plannable


def plan_heft(problem: DagProblem, release_s: Floats, busy: Busy, *, insertion: bool = True) -> Schedule:
    """With `insertion`, tasks may fill idle gaps between those already planned, as the paper has it."""
    check_plannable(problem)
    return place_in_order(problem, in_order(problem, upward_rank(problem)), release_s, busy, insertion=insertion)


def upward_rank(problem: DagProblem) -> Floats:
    """Seconds from the start of each node to the end of its job along the longest path, in mean times, shape (N,)."""
    send_s = problem.mean_latency_s + problem.succ_bytes * problem.mean_s_per_byte
    return _upward_rank(problem.order, problem.mean_run_time_s, problem.succ_start, problem.succ, send_s)


def downward_rank(problem: DagProblem) -> Floats:
    """Seconds from the start of its job to the start of each node along the longest path, in mean times, shape (N,)."""
    send_s = problem.mean_latency_s + problem.pred_bytes * problem.mean_s_per_byte
    return _downward_rank(problem.order, problem.mean_run_time_s, problem.pred_start, problem.pred, send_s)


@njit(cache=True)
def _upward_rank(order: Ints, mean_run_time_s: Floats, succ_start: Ints, succ: Ints, send_s: Floats) -> Floats:
    rank_s = np.zeros(len(order))
    for node in order[::-1]:
        after_s = 0.0
        for edge in range(succ_start[node], succ_start[node + 1]):
            after_s = max(after_s, send_s[edge] + rank_s[succ[edge]])
        rank_s[node] = mean_run_time_s[node] + after_s
    return rank_s


@njit(cache=True)
def _downward_rank(order: Ints, mean_run_time_s: Floats, pred_start: Ints, pred: Ints, send_s: Floats) -> Floats:
    rank_s = np.zeros(len(order))
    for node in order:
        for edge in range(pred_start[node], pred_start[node + 1]):
            source = pred[edge]
            rank_s[node] = max(rank_s[node], rank_s[source] + mean_run_time_s[source] + send_s[edge])
    return rank_s
