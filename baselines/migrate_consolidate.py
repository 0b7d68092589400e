"""Consolidation: empty a node that has a single pod left, and put the pod where the most others are.

An empty node idles, which is the cheapest that it can be.
Source: Beloglazov, Abawajy, Buyya 2012 (doi 10.1016/j.future.2011.04.017): migrate everything off under-used hosts.
"""

from __future__ import annotations

import numpy as np

from clustersim.control import Decision
from clustersim.scenarios.control_roles import Moves


class MigrateConsolidate:
    """The move that empties a node on the fullest target; ties by the shortest transfer, then the first."""

    def reset(self, rng: np.random.Generator) -> None:
        """Nothing to forget and nothing left to chance."""

    def act(self, decision: Decision) -> int:
        moves: Moves = decision.subject
        rows = np.flatnonzero(decision.mask[:-1] & (moves.empties > 0) & (moves.fills > 0))
        if len(rows) == 0:
            return len(decision.mask) - 1
        return int(rows[np.lexsort((rows, moves.transfer_s[rows], -moves.fills[rows]))[0]])
