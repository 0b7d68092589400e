"""Immediate mode: a task is assigned for good the moment it is ready, in the order of becoming ready.

MCT takes the machine of minimum completion time, which is `EftAssign`; MET that of minimum execution time, however
long its queue is; OLB (opportunistic load balancing) the one that is available first, however slow it is. Sources:
Maheswaran et al. 1999 (doi 10.1006/jpdc.1999.1581), Braun et al. 2001 (doi 10.1006/jpdc.2000.1714).
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from clustersim.control import Decision
from clustersim.dag_problem import Floats
from clustersim.dag_state import DagView


class MetAssign:
    """Plays `assign`: the machine with the shortest run time; of equal ones the one available first, then the lowest.

    If it were the lowest at once, one of several equal machines would get all tasks; DS3 (arXiv 2003.09016) spreads
    them too.
    """

    def reset(self, rng: np.random.Generator) -> None:
        """Nothing to forget and nothing left to chance."""

    def act(self, decision: Decision) -> int:
        view: DagView = decision.view
        run_time_s = view.problem.run_time_s[decision.subject]
        return _fastest(decision.time_s, run_time_s, view.free_at_s, decision.mask)


class OlbAssign:
    """Plays `assign`: the machine that is available first; on ties the lowest."""

    def reset(self, rng: np.random.Generator) -> None:
        """Nothing to forget and nothing left to chance."""

    def act(self, decision: Decision) -> int:
        view: DagView = decision.view
        return _available_first(decision.time_s, view.free_at_s, decision.mask)


@njit(cache=True)
def _fastest(now_s: float, run_time_s: Floats, free_at_s: Floats, mask: NDArray[np.bool_]) -> int:
    best, best_s, best_from_s = -1, np.inf, np.inf
    for machine in range(len(mask)):
        if mask[machine] and run_time_s[machine] <= best_s:
            from_s = max(now_s, free_at_s[machine])
            if run_time_s[machine] < best_s or from_s < best_from_s:
                best, best_s, best_from_s = machine, run_time_s[machine], from_s
    return best


@njit(cache=True)
def _available_first(now_s: float, free_at_s: Floats, mask: NDArray[np.bool_]) -> int:
    best, best_from_s = -1, np.inf
    for machine in range(len(mask)):
        from_s = max(now_s, free_at_s[machine])
        if mask[machine] and from_s < best_from_s:
            best, best_from_s = machine, from_s
    return best
