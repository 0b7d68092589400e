"""Policies of ours that teams may imitate before they learn by themselves.

Their numbers were found by trials on the seeds 1 to 4 and 100 to 109. They are no published policies, so no benchmark
counts them among those.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from math import ceil

import numpy as np

from clustersim.baselines.fixed_replicas import towards
from clustersim.control import Decision
from clustersim.policy import Policy
from clustersim.scenarios.control_roles import CAPPER, SCALER, RowState, ServiceState, capper_candidate


class TrendScaler:
    """As many replicas as the load needs that a rise will have led to when they are ready.

    The rise is what the mean over 10 s is above that over 40 s. A replica counts for what it does among its neighbours
    now. The number falls only to the largest of the last three wanted. Two pods are kept warm.
    """

    def __init__(self, target: float = 0.6, ahead_s: float = 20.0, pool: int = 2, memory: int = 3) -> None:
        self._target = target
        self._ahead_s = ahead_s
        self._pool = pool
        self._memory = memory
        self._wanted: dict[str, deque[int]] = {}

    def reset(self, rng: np.random.Generator) -> None:
        """Forget the episode before; nothing is left to chance."""
        self._wanted = {}

    def act(self, decision: Decision) -> int:
        state: ServiceState = decision.subject
        service = state.service
        lately_rps = state.arrivals_mean_rps(10.0)
        rise_rps_s = max(0.0, (lately_rps - state.arrivals_mean_rps(40.0)) / 20)
        expected_rps = max(state.arrival_rps, lately_rps + rise_rps_s * self._ahead_s)
        of_one_rps = service.replica_rps
        if state.ready:
            of_one_rps *= min(1.0, max(0.6, state.capacity_rps / state.ready / of_one_rps))
        needed = ceil((expected_rps + state.backlog / 20) / of_one_rps / self._target)
        wanted = self._wanted.setdefault(decision.agent, deque(maxlen=self._memory))
        wanted.append(needed)
        replicas = min(max(max(wanted), service.min_replicas), service.max_replicas)
        return towards(decision, replicas, self._pool)


class LateCaps:
    """Caps in three steps (low-priority work to 1275 and 1110 MHz, then high-priority work), close to the budget.

    It goes by the power that half of the rise of the last 20 s would lead to in 30 s, and undoes a step when the
    newest sample is 6 % of the budget below it.
    """

    STEPS = ((0.95, 1, 0), (0.97, 2, 0), (0.99, 2, 1))
    """Share of the budget, and the caps above it."""
    HYSTERESIS = 0.06

    def reset(self, rng: np.random.Generator) -> None:
        """Nothing to forget and nothing left to chance."""

    def act(self, decision: Decision) -> int:
        row: RowState = decision.subject
        share = row.samples_w[-10:] / row.budget_w
        if row.braked or len(share) < 2:
            return capper_candidate(row.low, row.high)
        rise_s = max(0.0, float(share[-1] - share[0]) / (2.0 * (len(share) - 1)))
        expected = float(share[-1]) + 15.0 * rise_s
        step = sum(expected > threshold for threshold, _, _ in self.STEPS)
        now = 3 if row.high else row.low
        while now > step and share[-1] < self.STEPS[now - 1][0] - self.HYSTERESIS:
            now -= 1
        step = max(step, now)
        _, low, high = self.STEPS[step - 1] if step else (0.0, 0, 0)
        return capper_candidate(low, high)


TUTORS: dict[str, dict[str, Callable[[], Policy]]] = {SCALER: {"trend": TrendScaler}, CAPPER: {"late-caps": LateCaps}}
"""Role -> name -> a fresh tutor, beside the published policies."""
