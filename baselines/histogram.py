"""Hybrid histogram keep-alive: learn how long a replica idles, keep it that long, or drop it and warm it up in time.

Published for whole applications that are either in use or not. A service with several replicas is taken apart into
levels: level k is in use while the requests in flight need at least k replicas, and idle otherwise. Each level has a
histogram of its idle times, in minutes up to four hours. Its 5th percentile, rounded down to whole minutes and less
10 %, is how long an idle level may do without a replica (the pre-warming window); its 99th, rounded up and 10 % more,
is when the level is given up. Where the first is 0 the replica is kept meanwhile; otherwise it goes at once, and a pod
of the warm pool stands for it from the pre-warming window on. With a flat histogram (coefficient of variation of the
bins below 2), none yet, or mostly idle times beyond its range, a level keeps its replica for the whole range. The
paper's forecast by ARIMA for idle times beyond the range is left out.
Source: Shahrad et al., "Serverless in the Wild", USENIX ATC 2020.
"""

from __future__ import annotations

from math import ceil, inf, nan

import numpy as np
from numpy.typing import NDArray

from clustersim.baselines.fixed_replicas import towards
from clustersim.control import Decision
from clustersim.scenarios.control_roles import ServiceState

BIN_S = 60.0
BINS = 240
RANGE_S = BIN_S * BINS
HEAD, TAIL = 0.05, 0.99
MARGIN = 0.1
LEAST_VARIATION = 2.0
IN_USE_WINDOW_S = 10.0
"""Over which the requests in flight are averaged: a tick."""


def windows(counts: NDArray[np.int64], beyond: int) -> tuple[float, float]:
    """When an idle level is warmed up and when it is given up, in seconds since it became idle.

    `counts` (BINS,): idle times by bin; `beyond`: those longer than the range.
    """
    total = int(counts.sum())
    if total == 0 or beyond > total or counts.std() < LEAST_VARIATION * counts.mean():
        return 0.0, RANGE_S
    cumulative = np.cumsum(counts)
    head = int(np.searchsorted(cumulative, HEAD * total))
    tail = int(np.searchsorted(cumulative, TAIL * total)) + 1
    return (1 - MARGIN) * head * BIN_S, (1 + MARGIN) * tail * BIN_S


class _Levels:
    """Of one service: since when each level is idle (inf: in use, NaN: never was), and the idle times it has had."""

    def __init__(self, levels: int, in_use: int) -> None:
        self._idle_since_s = np.where(np.arange(levels) < in_use, inf, nan)
        self._counts = np.zeros((levels, BINS), dtype=np.int64)
        self._beyond = np.zeros(levels, dtype=np.int64)
        self._windows_s = np.array([windows(counts, 0) for counts in self._counts])

    def see(self, needed: int, now_s: float) -> None:
        """So many levels are in use now."""
        used = np.arange(len(self._idle_since_s)) < needed
        for level in np.flatnonzero(used & (self._idle_since_s < inf)).tolist():
            self._learn(level, now_s - float(self._idle_since_s[level]))
        self._idle_since_s[~used & (self._idle_since_s == inf)] = now_s
        self._idle_since_s[used] = inf

    def targets(self, now_s: float) -> tuple[int, int]:
        """How many levels have a replica, and how many a pod of the warm pool."""
        idle_s = now_s - self._idle_since_s  # -inf while in use, NaN when it never was, which compares as false
        warm_s, end_s = self._windows_s.T
        kept = (idle_s < 0) | ((warm_s == 0) & (idle_s < end_s))
        warmed = (warm_s > 0) & (idle_s >= warm_s) & (idle_s < end_s)
        return int(kept.sum()), int(warmed.sum())

    def _learn(self, level: int, idle_s: float) -> None:
        if idle_s < RANGE_S:
            self._counts[level, int(idle_s / BIN_S)] += 1
        else:
            self._beyond[level] += 1
        self._windows_s[level] = windows(self._counts[level], int(self._beyond[level]))


class Histogram:
    """Plays `scaler`: a number of replicas and a target of the warm pool."""

    def reset(self, rng: np.random.Generator) -> None:
        """Nothing left to chance."""
        self._services: dict[str, _Levels] = {}

    def act(self, decision: Decision) -> int:
        state: ServiceState = decision.subject
        service = state.service
        needed = ceil(round(state.in_flight_mean(IN_USE_WINDOW_S) / service.concurrency, 9))
        levels = self._services.get(decision.agent)
        if levels is None:
            # What the service starts with counts as in use until now, so that it is kept and not given up unseen.
            in_use = max(needed, service.initial_replicas)
            levels = self._services[decision.agent] = _Levels(service.max_replicas, in_use)
        levels.see(needed, state.now_s)
        return towards(decision, *levels.targets(state.now_s))
