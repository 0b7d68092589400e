"""HPA, the horizontal pod autoscaler of Kubernetes: replicas in proportion to utilization over its target.

desired = ceil(ready replicas * utilization / target), unless the ratio is within 10 % of 1. Replicas that are not ready
count as idle when more are wanted. Down goes only to the most that was wanted in the last five minutes; up to twice
the replicas, or 4. It looks every 15 s; with ticks of 10 s that is at every first and second tick out of three. The
utilization is the share of a replica's concurrency that is busy, the mean over 15 s. It never scales to zero. What is
wanted is carried out by at most two replicas per tick. The warm pool is a parameter, as Kubernetes has none.
Source: kubernetes/kubernetes, pkg/controller/podautoscaler (replica_calculator.go, horizontal.go), Apache-2.0
(formulas only).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from math import ceil

import numpy as np

from clustersim.baselines.fixed_replicas import towards
from clustersim.control import Decision
from clustersim.scenarios.control_roles import ServiceState

TARGET = 0.8
"""The default of Kubernetes for CPU."""
TOLERANCE = 0.1
SYNC_S = 15.0
STABILIZATION_S = 300.0
SCALE_UP_FACTOR, SCALE_UP_MINIMUM = 2, 4


def hpa_desired(replicas: int, ready: int, utilization: float, target: float = TARGET) -> int:
    """How many replicas a service with so many, of which `ready` are, should have; `utilization` is that of the ready.

    Nothing changes within the tolerance, and never down when the ready ones are too busy.
    """
    if ready == 0:
        return replicas  # no data, no decision
    ratio = utilization / target
    unready = max(0, replicas - ready)
    cautious = ratio * ready / (ready + unready) if ratio > 1 else ratio
    if abs(cautious - 1) <= TOLERANCE:
        return replicas
    desired = ceil(round(ratio * ready, 9))  # a rounding error is not a replica
    return max(desired, replicas) if ratio > 1 else desired


@dataclass(slots=True)
class _Memory:
    """Of one service: when to look next, what was decided last, and (time, replicas) wanted in the last minutes."""

    next_s: float = 0.0
    desired: int | None = None
    wanted: deque[tuple[float, int]] = field(default_factory=deque)


class Hpa:
    """Plays `scaler` as Kubernetes does; `pool` is the warm pool that it keeps."""

    def __init__(self, target: float = TARGET, pool: int = 0) -> None:
        self._target = target
        self._pool = pool

    def reset(self, rng: np.random.Generator) -> None:
        """Nothing left to chance."""
        self._memories: dict[str, _Memory] = {}

    def act(self, decision: Decision) -> int:
        state: ServiceState = decision.subject
        memory = self._memories.setdefault(decision.agent, _Memory())
        if memory.desired is None:
            memory.desired = state.wanted
            memory.wanted.append((state.now_s, state.wanted))
        if state.now_s > 0 and state.now_s >= memory.next_s:
            memory.next_s = max(memory.next_s + SYNC_S, state.now_s)
            memory.desired = self._look(state, memory)
        return towards(decision, memory.desired, self._pool)

    def _look(self, state: ServiceState, memory: _Memory) -> int:
        desired = hpa_desired(state.wanted, state.ready, state.utilization_mean(SYNC_S), self._target)
        memory.wanted.append((state.now_s, desired))
        while memory.wanted[0][0] < state.now_s - STABILIZATION_S:
            memory.wanted.popleft()
        stabilized = max(replicas for _, replicas in memory.wanted)
        return max(min(stabilized, max(SCALE_UP_FACTOR * state.wanted, SCALE_UP_MINIMUM)), 1)
