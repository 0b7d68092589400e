"""KPA, Knative's autoscaler: as many replicas as the requests in flight need, counted over 60 s or, in panic, over 6 s.

The numbers wanted are Knative's. They are carried out by at most two replicas per tick, where Knative starts all at
once; Knative looks every 2 s, this every tick. There is no activator and no burst capacity: requests wait in the queue
of the service whatever the number of replicas. The warm pool is a parameter, as Knative has none.
Source: knative/serving, pkg/autoscaler/scaling/autoscaler.go, Apache-2.0 (formulas only); the setting in which its
concurrency target was studied: arXiv 2005.14410.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor
from typing import NamedTuple

import numpy as np

from clustersim.baselines.fixed_replicas import towards
from clustersim.control import Decision
from clustersim.scenarios.control_roles import ServiceState

STABLE_WINDOW_S = 60.0
PANIC_WINDOW_S = 6.0
"""A tenth of the stable window."""
TARGET_SHARE = 0.7
"""Requests in flight per replica that are aimed at, as a share of what a replica works on at a time."""
PANIC_THRESHOLD = 2.0
MAX_SCALE_UP_RATE = 1000.0
MAX_SCALE_DOWN_RATE = 2.0
GRACE_S = 30.0
"""How long zero has to be wanted before the last replica goes."""


class Wish(NamedTuple):
    """Replicas wanted by either window, and whether the short one is a reason to panic."""

    stable: int
    panic: int
    over_threshold: bool


def kpa_desired(stable: float, panic: float, ready: int, target: float) -> Wish:
    """What the mean requests in flight over the stable and the panic window call for, with `ready` replicas.

    `target` is in requests in flight per replica. Both numbers are clamped to what may be scaled to in one step.
    """
    pods = max(1, ready)
    least, most = floor(pods / MAX_SCALE_DOWN_RATE), ceil(pods * MAX_SCALE_UP_RATE)
    for_stable, for_panic = ceil(stable / target), ceil(panic / target)
    return Wish(
        min(max(for_stable, least), most),
        min(max(for_panic, least), most),
        for_panic / pods >= PANIC_THRESHOLD,
    )


@dataclass(slots=True)
class _Memory:
    """Of one service: since when it was over the threshold last, the most replicas wanted in this panic, and since when
    none is wanted; None: not now."""

    panic_s: float | None = None
    most_in_panic: int = 0
    idle_since_s: float | None = None


class Kpa:
    """Plays `scaler` as Knative does; `pool` is the warm pool that it keeps."""

    def __init__(self, pool: int = 0) -> None:
        self._pool = pool

    def reset(self, rng: np.random.Generator) -> None:
        """Nothing left to chance."""
        self._memories: dict[str, _Memory] = {}

    def act(self, decision: Decision) -> int:
        state: ServiceState = decision.subject
        memory = self._memories.setdefault(decision.agent, _Memory())
        stable, panic = state.in_flight_mean(STABLE_WINDOW_S), state.in_flight_mean(PANIC_WINDOW_S)
        if state.now_s <= 0:
            return towards(decision, state.wanted, self._pool)  # no data, no decision
        wish = kpa_desired(stable, panic, state.ready, TARGET_SHARE * state.service.concurrency)
        desired = _with_grace(_with_panic(wish, state.now_s, memory), state.now_s, memory)
        return towards(decision, desired, self._pool)


def _with_panic(wish: Wish, now_s: float, memory: _Memory) -> int:
    """In panic the number never falls; panic ends a stable window after the threshold was last exceeded."""
    if wish.over_threshold:
        memory.panic_s = now_s
    elif memory.panic_s is not None and memory.panic_s + STABLE_WINDOW_S < now_s:
        memory.panic_s = None
        memory.most_in_panic = 0
    if memory.panic_s is None:
        return wish.stable
    memory.most_in_panic = max(memory.most_in_panic, wish.stable, wish.panic)
    return memory.most_in_panic


def _with_grace(desired: int, now_s: float, memory: _Memory) -> int:
    if desired > 0:
        memory.idle_since_s = None
        return desired
    if memory.idle_since_s is None:
        memory.idle_since_s = now_s
    return 0 if now_s - memory.idle_since_s >= GRACE_S else 1
