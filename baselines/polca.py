"""POLCA: two thresholds of a row's power; low-priority work is capped first, high-priority work when it has to be.

p is the newest telemetry sample over the row's budget, looked at every tick:
  p > 80 %: low-priority GPUs to 1275 MHz; p > 89 %: to 1110 MHz; still above 89 % once that acts: high-priority GPUs to
  1305 MHz; below 84 % the second threshold is undone, below 75 % the first.
89 % is what leaves room for the largest rise of 11.8 % within the 40 s that a cap may take. POLCA looks at every
sample, which is every 2 s; the brake above 100 % is the row's own.
Source: Patel et al., "POLCA: Power Oversubscription in LLM Cloud Providers", arXiv 2308.12908.
"""

from __future__ import annotations

import numpy as np

from clustersim.control import Decision
from clustersim.scenarios.control_roles import HIGH_CLOCKS, LOW_CLOCKS, RowState, capper_candidate

FIRST_THRESHOLD, SECOND_THRESHOLD = 0.80, 0.89
HYSTERESIS = 0.05
"""All three: shares of the budget."""
TELEMETRY_S = 2.0
MILD, STRONG = 1, len(LOW_CLOCKS) - 1
"""Caps of low-priority work: indices into LOW_CLOCKS."""
CAPPED = len(HIGH_CLOCKS) - 1
"""Cap of high-priority work: an index into HIGH_CLOCKS."""


def power_share(row: RowState) -> float | None:
    """The newest telemetry sample over the budget; None before the first, and while the row brakes.

    A braked row draws little whatever its load: to go by that would lift the caps that it needs when the brake is off.
    """
    return float(row.samples_w[-1]) / row.budget_w if len(row.samples_w) and not row.braked else None


class Polca:
    """Plays `capper`; all that it goes by is what is commanded already."""

    def reset(self, rng: np.random.Generator) -> None:
        """Nothing to forget and nothing left to chance."""

    def act(self, decision: Decision) -> int:
        row: RowState = decision.subject
        low, high = row.low, row.high
        share = power_share(row)
        if share is None:
            return capper_candidate(low, high)
        if share > SECOND_THRESHOLD:
            # Every command acts, and did when the newest sample was taken.
            if low == STRONG and row.settled_s <= row.now_s - TELEMETRY_S:
                high = CAPPED
            low = STRONG
        elif share < SECOND_THRESHOLD - HYSTERESIS:
            low, high = min(low, MILD), 0
            if share > FIRST_THRESHOLD:
                low = MILD
            elif share < FIRST_THRESHOLD - HYSTERESIS:
                low = 0
        else:
            low = max(low, MILD)
        return capper_candidate(low, high)
