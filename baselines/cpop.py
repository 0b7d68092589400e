"""CPOP, critical path on a processor: the critical path runs on one machine, all else where it ends first.

The next task is the ready one of the longest path through it (upward plus downward rank). Source: Topcuoglu, Hariri,
Wu 2002 (doi 10.1109/71.993206). What the paper leaves open:
- The critical path follows the upward rank from its largest first task on; of equal ways it takes the lowest node.
- Every job has its own. Its machine is the one that would be through with it first, after the critical paths of the
  jobs before it and what else is reserved there: one fast machine cannot carry the paths of all jobs.
- A path that no machine can run as a whole is planned like all else.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from clustersim.baselines.heft import downward_rank, upward_rank
from clustersim.baselines.heft_kernel import TIE, in_order, place_in_order
from clustersim.dag_problem import DagProblem, Floats, Ints
from clustersim.dag_schedule import Busy, Schedule, check_plannable
from clustersim.readonly import read_only


def plan_cpop(problem: DagProblem, release_s: Floats, busy: Busy) -> Schedule:
    """Several jobs are planned together."""
    check_plannable(problem)
    upward_s = upward_rank(problem)
    order = in_order(problem, upward_s + downward_rank(problem))
    critical = critical_path(problem, upward_s)
    run_time_s = _with_paths_on_one_machine(problem, critical, release_s, busy)
    return place_in_order(problem, order, release_s, busy, run_time_s=run_time_s)


def critical_path(problem: DagProblem, upward_rank_s: Floats) -> NDArray[np.bool_]:
    """Which nodes lie on the critical path of their job, shape (N,)."""
    send_s = problem.mean_latency_s + problem.succ_bytes * problem.mean_s_per_byte
    return _critical_path(
        problem.first_node, problem.pred_start, problem.succ_start, problem.succ, send_s, upward_rank_s
    )


def _with_paths_on_one_machine(
    problem: DagProblem, critical: NDArray[np.bool_], release_s: Floats, busy: Busy
) -> Floats:
    run_time_s = problem.run_time_s.copy()
    claimed_s = np.zeros(problem.machines)
    for job, (begin, end) in enumerate(zip(problem.first_node[:-1], problem.first_node[1:], strict=True)):
        path = begin + np.flatnonzero(critical[begin:end])
        path_s = run_time_s[path].sum(axis=0)
        through_s = path_s + claimed_s + _reserved_s(busy, float(release_s[job]))
        least_s = through_s.min()
        if np.isfinite(least_s):
            machine = int(np.flatnonzero(through_s <= least_s * (1 + TIE))[0])
            claimed_s[machine] += path_s[machine]
            run_time_s[path, :machine] = np.inf
            run_time_s[path, machine + 1 :] = np.inf
    # Read-only like the problem's own, for which the kernels are compiled already.
    return read_only(run_time_s)


def _reserved_s(busy: Busy, from_s: float) -> Floats:
    """How long each machine is reserved from a time on, shape (M,)."""
    means_something = np.arange(busy.start_s.shape[1]) < busy.count[:, None]
    left_s = np.maximum(busy.finish_s, from_s) - np.maximum(busy.start_s, from_s)
    reserved_s: Floats = np.where(means_something, left_s, 0.0).sum(axis=1)
    return reserved_s


@njit(cache=True)
def _critical_path(
    first_node: Ints, pred_start: Ints, succ_start: Ints, succ: Ints, send_s: Floats, rank_s: Floats
) -> NDArray[np.bool_]:
    critical = np.zeros(len(rank_s), dtype=np.bool_)
    for job in range(len(first_node) - 1):
        longest_s = rank_s[first_node[job] : first_node[job + 1]].max()
        node = first_node[job]
        while pred_start[node + 1] > pred_start[node] or rank_s[node] < longest_s * (1 - TIE):
            node += 1
        critical[node] = True
        while succ_start[node + 1] > succ_start[node]:
            longest_s = 0.0
            for edge in range(succ_start[node], succ_start[node + 1]):
                longest_s = max(longest_s, send_s[edge] + rank_s[succ[edge]])
            edge = succ_start[node]
            while send_s[edge] + rank_s[succ[edge]] < longest_s * (1 - TIE):
                edge += 1
            node = succ[edge]
            critical[node] = True
    return critical
