"""What POLCA is compared with: no caps at all, and one threshold, for low-priority work only or for all work.

One threshold caps at the lowest clocks there are above 89 % of the budget, and lifts the caps below 84 %. Against the
paper, high-priority work has no clock below 1305 MHz here.
Source: Patel et al., arXiv 2308.12908 (No-cap, 1-Thresh-Low-Pri, 1-Thresh-All).
"""

from __future__ import annotations

import numpy as np

from clustersim.baselines.polca import CAPPED, HYSTERESIS, SECOND_THRESHOLD, STRONG, power_share
from clustersim.control import Decision
from clustersim.scenarios.control_roles import RowState, capper_candidate


class NoCap:
    """Leaves the row to its brake."""

    def reset(self, rng: np.random.Generator) -> None:
        """Nothing to forget and nothing left to chance."""

    def act(self, decision: Decision) -> int:
        return capper_candidate(0, 0)


class OneThreshold:
    """Caps low-priority work, or `everything`, above the threshold."""

    def __init__(self, everything: bool = False) -> None:
        self._high = CAPPED if everything else 0

    def reset(self, rng: np.random.Generator) -> None:
        """Nothing to forget and nothing left to chance."""

    def act(self, decision: Decision) -> int:
        row: RowState = decision.subject
        share = power_share(row)
        if share is None or SECOND_THRESHOLD - HYSTERESIS <= share <= SECOND_THRESHOLD:
            return capper_candidate(row.low, row.high)
        if share > SECOND_THRESHOLD:
            return capper_candidate(STRONG, self._high)
        return capper_candidate(0, 0)
