"""Critical path first: the ready task that starts the longest chain of work still to do in its job.

The level method of list scheduling (Hu 1961, doi 10.1287/opre.9.6.841), with run times for levels. Communication does
not count. A task of several instances counts with the work of all of them, as in Decima (arXiv 1810.01963).
"""

from __future__ import annotations

import numpy as np
from numba import njit

from clustersim.baselines.ready_order import ReadyOrder
from clustersim.dag_problem import DagProblem, Floats, Ints


def critical_path() -> ReadyOrder:
    """Ties go to the lowest node."""
    return ReadyOrder(path_work)


def path_work(problem: DagProblem) -> Floats:
    """Seconds of work, in mean run times, on the heaviest path from each node to the end of its job, shape (N,)."""
    work_s = problem.instances * problem.mean_run_time_s + problem.warm_up_s
    return _path_work(problem.order, work_s, problem.succ_start, problem.succ)


@njit(cache=True)
def _path_work(order: Ints, work_s: Floats, succ_start: Ints, succ: Ints) -> Floats:
    path_s = np.zeros(len(order))
    for node in order[::-1]:
        after_s = 0.0
        for edge in range(succ_start[node], succ_start[node + 1]):
            after_s = max(after_s, path_s[succ[edge]])
        path_s[node] = work_s[node] + after_s
    return path_s
