"""The ready task with the highest score, where a task keeps its score for ever: list scheduling.

As in Graham 1969 (doi 10.1137/0117039): the list is given, and the first of it that can go next does.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numba import njit
from numpy.typing import NDArray

from clustersim.control import Decision
from clustersim.dag_problem import DagProblem, Floats, Ints


class ReadyOrder:
    """Plays `order`; `score` is computed once for every problem. Ties go to the lowest node. It never waits."""

    def __init__(self, score: Callable[[DagProblem], Floats]) -> None:
        self._score = score

    def reset(self, rng: np.random.Generator) -> None:
        """Nothing is left to chance."""
        self._problem: DagProblem | None = None

    def act(self, decision: Decision) -> int:
        view = decision.view
        if view.problem is not self._problem:
            self._problem = view.problem
            self._scores = self._score(view.problem)
        return first_ready(self._scores, view.ready, decision.mask)


@njit(cache=True)
def first_ready(scores: Floats, ready: Ints, mask: NDArray[np.bool_]) -> int:
    """The legal one of the ready nodes with the highest score; -1 when there is none."""
    best = -1
    for node in ready:
        if mask[node] and (best < 0 or scores[node] > scores[best]):
            best = node
    return best
