"""FGD, fragmentation gradient descent: put the pod where it fragments the idle GPUs least.

score(n) = floor(100 * sigmoid((F_n before - F_n after) / 1000)); a pod that shares a device is tried on each device of
the node, and the best one is where it goes. Ties go to the lowest index: random ties cost five points on openb.
Source: Weng et al., "Beware of Fragmentation: Scheduling GPU-Sharing Workloads with Fragmentation Gradient Descent",
USENIX ATC 2023, and the authors' simulator.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from clustersim.control import Decision
from clustersim.fragmentation import fgd_score
from clustersim.policy import best_legal


class Fgd:
    """The steepest descent of fragmentation, device included."""

    def __init__(self) -> None:
        self._scores = np.empty(0)

    def reset(self, rng: np.random.Generator) -> None:
        """Nothing to forget and nothing left to chance."""

    def act(self, decision: Decision) -> int:
        if len(self._scores) != len(decision.mask):
            self._scores = np.empty(len(decision.mask))
        fragmentation = decision.view.fragmentation
        after, device = fragmentation.after(decision.subject.shape, decision.mask)
        _score(fragmentation.per_node, after, decision.mask, self._scores)
        node = int(best_legal(self._scores, decision.mask))
        if node < len(device) and device[node] >= 0:
            decision.detail = int(device[node])
        return node


@njit(cache=True)
def _score(before, after, mask, out):  # type: ignore[no-untyped-def]
    for node in range(len(before)):
        if mask[node]:
            out[node] = fgd_score(before[node], after[node])
    out[len(before) :] = -np.inf
