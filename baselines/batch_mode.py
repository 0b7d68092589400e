"""Batch mode: whenever something happens all ready tasks are mapped anew, and only what starts at once stays.

Each task has a best machine, where it would end first. Min-min maps the task that would end first of all, max-min the
one that would end last; then completion times are computed again. Sources: Maheswaran et al. 1999
(doi 10.1006/jpdc.1999.1581), Braun et al. 2001 (doi 10.1006/jpdc.2000.1714).
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from clustersim.baselines.eft import earliest_finish
from clustersim.control import Decision
from clustersim.dag_problem import Floats, Ints
from clustersim.dag_state import DagView


class BatchMode:
    """Plays `dispatch` with late binding; ties go to the lowest node and then to the lowest machine."""

    def __init__(self, last_first: bool) -> None:
        """`last_first`: max-min instead of min-min."""
        self._last_first = last_first

    def reset(self, rng: np.random.Generator) -> None:
        """Nothing to forget and nothing left to chance."""

    def act(self, decision: Decision) -> int:
        view: DagView = decision.view
        problem = view.problem
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
            self._last_first,
        )


def min_min() -> BatchMode:
    """The task that would end first."""
    return BatchMode(last_first=False)


def max_min() -> BatchMode:
    """The task that would end last, each on its best machine."""
    return BatchMode(last_first=True)


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
    last_first: bool,
) -> int:
    best, best_s = -1, np.inf
    for node in ready:
        machine, finish_s = earliest_finish(
            node, now_s, run_time_s, warm_up_s, job_of, switch_s, data_at_s, free_at_s, tail_node, tail_job, up
        )
        if machine >= 0 and (best < 0 or (finish_s > best_s if last_first else finish_s < best_s)):
            best, best_s = node * len(up) + machine, finish_s
    return best
