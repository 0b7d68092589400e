"""Shortest remaining job first: all machines that it can use go to the job with the least work left.

On one machine that is preempted for it no rule ends jobs sooner on average (Schrage 1968, doi 10.1287/opre.16.3.687).
Within a job the critical path goes first: SJF-CP of Decima (arXiv 1810.01963, section 7), which goes by the total work
of a job instead of what is left.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from clustersim.baselines.critical_path import path_work
from clustersim.control import Decision
from clustersim.dag_problem import DagProblem, Floats, Ints
from clustersim.dag_state import DagView


class ShortestJobFirst:
    """Plays `order`; ties go to the lowest job, in a job to the lowest node."""

    def reset(self, rng: np.random.Generator) -> None:
        """Nothing is left to chance."""
        self._problem: DagProblem | None = None

    def act(self, decision: Decision) -> int:
        view: DagView = decision.view
        problem = view.problem
        if problem is not self._problem:
            self._problem = problem
            self._path_work_s = path_work(problem)
            self._left_s = np.empty(len(view.admitted))
        return _least_left(
            view.ready,
            decision.mask,
            problem.job_of,
            problem.first_node,
            view.admitted,
            view.unfinished,
            view.unstarted,
            view.running,
            problem.mean_run_time_s,
            self._path_work_s,
            self._left_s,
        )


@njit(cache=True)
def _least_left(
    ready: Ints,
    mask: NDArray[np.bool_],
    job_of: Ints,
    first_node: Ints,
    admitted: NDArray[np.bool_],
    unfinished: Ints,
    unstarted: Ints,
    running: Ints,
    mean_run_time_s: Floats,
    path_work_s: Floats,
    left_s: Floats,
) -> int:
    for job in range(len(left_s)):
        left_s[job] = 0.0
        if admitted[job] and unfinished[job] > 0:
            for node in range(first_node[job], first_node[job + 1]):
                left_s[job] += (unstarted[node] + running[node]) * mean_run_time_s[node]
    best = -1
    for node in ready:
        if mask[node] and (
            best < 0
            or left_s[job_of[node]] < left_s[job_of[best]]
            or (job_of[node] == job_of[best] and path_work_s[node] > path_work_s[best])
        ):
            best = node
    return best
