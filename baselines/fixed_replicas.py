"""A fixed number of replicas: what a scaler does that never scales, and how any scaler goes to the number it wants.

A ReplicaSet keeps the number that it was created with; whoever scales it writes another number, and the difference is
made up at once. Here a decision changes the number by at most two replicas and the pool by one pod, so a number that
is further away is reached over several ticks.
Source: kubernetes/kubernetes, pkg/controller/replicaset, Apache-2.0 (behaviour only).
"""

from __future__ import annotations

import numpy as np

from clustersim.control import Decision
from clustersim.scenarios.control_roles import SCALER_CANDIDATES, ServiceState, scaler_candidate, scaler_choice

MANY = 1_000_000
"""More replicas than any service may have: as many as it may, as whoever provisions for the peak keeps."""


class FixedReplicas:
    """Keeps `replicas` of every service, by default as many as it starts with, and a warm pool of `pool` pods."""

    def __init__(self, replicas: int | None = None, pool: int = 0) -> None:
        self._replicas = replicas
        self._pool = pool

    def reset(self, rng: np.random.Generator) -> None:
        """Nothing to forget and nothing left to chance."""

    def act(self, decision: Decision) -> int:
        service = decision.subject.service
        return towards(decision, service.initial_replicas if self._replicas is None else self._replicas, self._pool)


def towards(decision: Decision, replicas: int, pool: int) -> int:
    """The legal candidate that comes closest to these numbers: replicas first, then the pool, then the lowest index."""
    state: ServiceState = decision.subject
    best = scaler_candidate(replicas - state.wanted, pool - state.pool_wanted)
    if decision.mask[best]:
        return best

    def distance(candidate: int) -> tuple[int, int]:
        change, pool_change = scaler_choice(candidate)
        return abs(state.wanted + change - replicas), abs(state.pool_wanted + pool_change - pool)

    return min((k for k in range(SCALER_CANDIDATES) if decision.mask[k]), key=distance)
