"""Earliest finish time: the machine on which the task would end first, behind what is queued there already.

What HEFT does with the next task of its list (Topcuoglu, Hariri, Wu 2002, doi 10.1109/71.993206), and what DS3
(arXiv 2003.09016) and every policy here that only chooses the order leave the machine to.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from clustersim.control import Decision
from clustersim.dag_problem import Floats, Ints
from clustersim.dag_state import DagView, expected_s


class EftAssign:
    """Plays `assign`: the machine where the task would end first; on ties the lowest.

    With `open_only`, of the open machines as long as there is one that can run it: nothing waits for a busy machine.
    """

    def __init__(self, open_only: bool = False) -> None:
        self._open_only = open_only

    def reset(self, rng: np.random.Generator) -> None:
        """Nothing to forget and nothing left to chance."""

    def act(self, decision: Decision) -> int:
        view: DagView = decision.view
        machine = self._earliest(decision, view.open) if self._open_only else -1
        return machine if machine >= 0 else self._earliest(decision, view.up)

    def _earliest(self, decision: Decision, allowed: NDArray[np.bool_]) -> int:
        view: DagView = decision.view
        problem = view.problem
        machine, _ = earliest_finish(
            decision.subject,
            decision.time_s,
            problem.run_time_s,
            problem.warm_up_s,
            problem.job_of,
            view.switch_s,
            view.data_at_s,
            view.free_at_s,
            view.tail_node,
            view.tail_job,
            allowed,
        )
        return machine


@njit(cache=True)
def earliest_finish(
    node: int,
    now_s: float,
    run_time_s: Floats,
    warm_up_s: Floats,
    job_of: Ints,
    switch_s: float,
    data_at_s: Floats,
    free_at_s: Floats,
    tail_node: Ints,
    tail_job: Ints,
    allowed: NDArray[np.bool_],
) -> tuple[int, float]:
    """The allowed machine where an instance of the node would end first, and when; (-1, inf) where none can run it."""
    # One call and no buffer: a call with so many arrays costs more than the loop over 64 machines.
    best, best_s = -1, np.inf
    for machine in range(len(allowed)):
        if allowed[machine]:
            start_s = max(now_s, free_at_s[machine], data_at_s[node, machine])
            # Warm-up and switching only add to the run time: most machines are out without looking at them.
            if start_s + run_time_s[node, machine] < best_s:
                finish_s = start_s + expected_s(
                    node, machine, run_time_s, warm_up_s, job_of, switch_s, tail_node, tail_job
                )
                if finish_s < best_s:
                    best, best_s = machine, finish_s
    return best, best_s
