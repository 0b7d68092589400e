"""Fair shares: the machines are divided among the jobs in the system, equally or by their size.

The heuristics that Decima is compared with (Mao et al. 2019, arXiv 1810.01963, section 7; recalled): `fair` gives every
job the same share, `weighted-fair` one in proportion to T^alpha, where T is the total work of the job. Their best alpha
is -1, small jobs first; so it is here, of 0, -.5, ... -2 and -3 on batches of 20 TPC-H queries on 50 machines. Within a
job the heaviest remaining path goes first.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from clustersim.baselines.critical_path import path_work
from clustersim.control import Decision
from clustersim.dag_problem import DagProblem, Floats, Ints
from clustersim.dag_state import DagView


class FairShare:
    """Plays `order`: a task of the job that is furthest below its share.

    The next machine goes to the job of the largest weight / (instances that it runs + 1), as seats go to parties by
    the divisor method of D'Hondt: of idle machines each job gets at least its share, rounded down, if it can use it.
    """

    def __init__(self, alpha: float = 0.0) -> None:
        self._alpha = alpha

    def reset(self, rng: np.random.Generator) -> None:
        """Nothing is left to chance."""
        self._problem: DagProblem | None = None

    def act(self, decision: Decision) -> int:
        view: DagView = decision.view
        problem = view.problem
        if problem is not self._problem:
            self._problem = problem
            self._path_work_s = path_work(problem)
            self._weight = total_work_s(problem) ** self._alpha
            self._held = np.zeros(len(self._weight), dtype=np.int64)
        return _furthest_below(
            view.ready,
            decision.mask,
            problem.job_of,
            problem.first_node,
            view.admitted,
            view.unfinished,
            view.running,
            view.reserved,
            self._weight,
            self._path_work_s,
            self._held,
        )


def total_work_s(problem: DagProblem) -> Floats:
    """Seconds of work in each job, in mean run times, shape (J,)."""
    work_s = problem.instances * problem.mean_run_time_s
    return np.maximum(np.add.reduceat(work_s, problem.first_node[:-1]), 1e-12)


@njit(cache=True)
def _furthest_below(
    ready: Ints,
    mask: NDArray[np.bool_],
    job_of: Ints,
    first_node: Ints,
    admitted: NDArray[np.bool_],
    unfinished: Ints,
    running: Ints,
    reserved: Ints,
    weight: Floats,
    path_work_s: Floats,
    held: Ints,
) -> int:
    for job in range(len(held)):
        held[job] = 0
        if admitted[job] and unfinished[job] > 0:
            for node in range(first_node[job], first_node[job + 1]):
                held[job] += running[node] + reserved[node]
    best, best_claim = -1, -1.0
    for node in ready:
        if mask[node]:
            claim = weight[job_of[node]] / (held[job_of[node]] + 1)
            if claim > best_claim or (
                claim == best_claim and job_of[node] == job_of[best] and path_work_s[node] > path_work_s[best]
            ):
                best, best_claim = node, claim
    return best
