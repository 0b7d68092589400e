"""ETF, earliest task first: of all pairs of a ready task and a machine the one that can start first.

Ties go to the task with the higher level, the work on the longest path from it to the end, without communication.
Source: Hwang, Chow, Anger, Lee 1989 (doi 10.1137/0218016), for equal machines; that a task takes the machine where it
ends first, of those where it starts at the same time, is ours.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from clustersim.baselines.critical_path import path_work
from clustersim.control import Decision
from clustersim.dag_problem import DagProblem, Floats, Ints
from clustersim.dag_state import DagView, expected_s


class Etf:
    """Plays `dispatch` with late binding; what is left equal goes to the lowest node and then the lowest machine."""

    def reset(self, rng: np.random.Generator) -> None:
        """Nothing is left to chance."""
        self._problem: DagProblem | None = None

    def act(self, decision: Decision) -> int:
        view: DagView = decision.view
        problem = view.problem
        if problem is not self._problem:
            self._problem = problem
            self._level_s = path_work(problem)
        return _pair(
            view.ready,
            decision.time_s,
            problem.run_time_s,
            problem.warm_up_s,
            problem.job_of,
            view.switch_s,
            view.data_at_s,
            view.free_at_s,
            view.tail_node,
            view.tail_job,
            view.up,
            self._level_s,
        )


@njit(cache=True)
def _pair(
    ready: Ints,
    now_s: float,
    run_time_s: Floats,
    warm_up_s: Floats,
    job_of: Ints,
    switch_s: float,
    data_at_s: Floats,
    free_at_s: Floats,
    tail_node: Ints,
    tail_job: Ints,
    up: NDArray[np.bool_],
    level_s: Floats,
) -> int:
    machines = len(up)
    best, best_start_s, best_level_s, best_takes_s = -1, np.inf, -np.inf, np.inf
    for node in ready:
        for machine in range(machines):
            if up[machine] and run_time_s[node, machine] < np.inf:
                start_s = max(now_s, free_at_s[machine], data_at_s[node, machine])
                if start_s > best_start_s:
                    continue
                takes_s = expected_s(node, machine, run_time_s, warm_up_s, job_of, switch_s, tail_node, tail_job)
                if start_s < best_start_s or (
                    level_s[node] > best_level_s or (level_s[node] == best_level_s and takes_s < best_takes_s)
                ):
                    best, best_start_s = node * machines + machine, start_s
                    best_level_s, best_takes_s = level_s[node], takes_s
    return best
