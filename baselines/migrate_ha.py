"""HA, the heuristic of VM rescheduling: the one move that reduces fragmentation most, if any does.

Of all (pod, target) that pass the filters the best by the drop of the fragment; here of the moves that are offered.
Ties go to the move with the fewest side effects, the shortest transfer.
Source: Ding et al., "Towards VM Rescheduling Optimization Through Deep Reinforcement Learning", arXiv 2505.17359.
"""

from __future__ import annotations

import numpy as np

from clustersim.control import Decision
from clustersim.scenarios.control_roles import Moves


class MigrateHa:
    """The steepest descent of fragmentation."""

    def reset(self, rng: np.random.Generator) -> None:
        """Nothing to forget and nothing left to chance."""

    def act(self, decision: Decision) -> int:
        moves: Moves = decision.subject
        rows = np.flatnonzero(decision.mask[:-1] & (moves.fragmentation_drop > 0))
        if len(rows) == 0:
            return len(decision.mask) - 1
        return int(rows[np.lexsort((rows, moves.transfer_s[rows], -moves.fragmentation_drop[rows]))[0]])
