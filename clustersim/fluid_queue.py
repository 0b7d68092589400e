"""A queue of requests as a fluid: arrivals and capacity are rates, and everything in between follows exactly."""

from __future__ import annotations

from copy import copy
from math import ceil, inf, log, nan

BIN_RATIO = 1.05
"""Upper over lower edge of a latency bin: percentiles are exact to 5 %."""

LONGEST = 1e5
"""Latencies above so many service times count as infinite."""

_LOG_RATIO = log(BIN_RATIO)
_BINS = ceil(log(LONGEST) / _LOG_RATIO)


class FluidQueue:
    """Requests arrive at `arrival_rps`, are served in order at `capacity_rps`, and wait when that is too little.

    A request that arrives takes `backlog / capacity + service_time_s`, at the capacity of that instant; without
    capacity that is infinite. It misses the SLO when this is longer than `slo_s`. What would make the backlog longer
    than `queue_limit` is turned away, and missed too. The backlog is linear between its changes (`next_change_s`), so
    every count below is an exact integral up to the last `set` or `advance`, in requests unless noted.

    `set` was measured at 0.8 us while nobody waits and at 2 to 3 us in a queue that grows and shrinks.
    """

    __slots__ = (
        "_backlog",
        "_end",
        "_never",
        "_now_s",
        "_tally",
        "arrival_rps",
        "arrived",
        "busy_s",
        "capacity_rps",
        "latency_request_s",
        "missed",
        "next_change_s",
        "queue_limit",
        "served",
        "service_time_s",
        "slo_s",
        "turned_away",
        "waiting_request_s",
    )

    def __init__(self, now_s: float, slo_s: float, service_time_s: float, queue_limit: float = inf) -> None:
        if not (0 < service_time_s < slo_s and queue_limit > 0):
            raise ValueError(
                f"a queue needs 0 < service_time_s < slo_s and a positive limit, not {service_time_s}, {slo_s}, "
                f"{queue_limit}"
            )
        self.slo_s = slo_s
        self.service_time_s = service_time_s
        self.queue_limit = queue_limit
        self.arrival_rps = 0.0
        self.capacity_rps = 0.0
        self.arrived = 0.0
        self.served = 0.0
        self.turned_away = 0.0
        self.missed = 0.0
        self.busy_s = 0.0
        """Seconds of capacity in use: the integral of served requests per second over capacity."""
        self.waiting_request_s = 0.0
        """The integral of the backlog."""
        self.latency_request_s = 0.0
        """Sum of the latencies of what was let in while there was capacity."""
        self.next_change_s = inf
        """When the backlog will be 0 or at its limit if nothing changes; later than the last `set`, inf for never."""
        self._now_s = now_s
        self._backlog = 0.0
        self._end = 0.0
        # Bin 0 holds what did not wait, bin k > 0 latencies up to service_time_s * BIN_RATIO ** k.
        self._tally = [0.0] * (_BINS + 1)
        self._never = 0.0

    def set(self, now_s: float, arrival_rps: float | None = None, capacity_rps: float | None = None) -> None:
        """From now on one rate is another, or both are."""
        self.advance(now_s)
        if arrival_rps is not None:
            if not 0 <= arrival_rps < inf:
                raise ValueError(f"arrivals are a finite rate of at least 0, not {arrival_rps}")
            self.arrival_rps = arrival_rps
        if capacity_rps is not None:
            if not 0 <= capacity_rps < inf:
                raise ValueError(f"capacity is a finite rate of at least 0, not {capacity_rps}")
            self.capacity_rps = capacity_rps
        self._foresee()

    def advance(self, now_s: float) -> None:
        """Bring every count up to now."""
        if now_s < self._now_s:
            raise ValueError(f"the queue is at {self._now_s} s; it cannot go back to {now_s} s")
        if now_s >= self.next_change_s:
            self._pass(self.next_change_s, self._end)
            self.next_change_s = inf
        if now_s > self._now_s:
            self._pass(now_s, self.backlog(now_s))

    def peek(self, now_s: float) -> FluidQueue:
        """A copy with every count up to `now_s`; this queue stays as it is, to the last bit."""
        ahead = copy(self)
        ahead._tally = self._tally.copy()
        ahead.advance(now_s)
        return ahead

    def backlog(self, now_s: float) -> float:
        """Requests that wait at `now_s`, which is not before the last `set` or `advance`."""
        if now_s >= self.next_change_s:
            return self._end
        grown = self._backlog + (self.arrival_rps - self.capacity_rps) * (now_s - self._now_s)
        return min(max(grown, 0.0), self.queue_limit)

    def latency_s(self, now_s: float) -> float:
        """Of a request that arrives at `now_s`; inf without capacity."""
        return self.backlog(now_s) / self.capacity_rps + self.service_time_s if self.capacity_rps > 0 else inf

    def served_rps(self, now_s: float) -> float:
        """What is being served at `now_s`: all of the capacity while somebody waits."""
        return self.capacity_rps if self.backlog(now_s) > 0 else min(self.arrival_rps, self.capacity_rps)

    def latency_quantile_s(self, share: float) -> float:
        """The latency that this share of the arrivals does not exceed, to one bin: NaN without any, inf for never.

        Requests that were turned away or arrived without capacity have an infinite latency.
        """
        if not 0 <= share <= 1:
            raise ValueError(f"a share is in [0, 1], not {share}")
        if not self.arrived:
            return nan
        wanted = share * (sum(self._tally) + self._never)
        below = self._tally[0]
        if below > 0 and below >= wanted:
            return self.service_time_s
        for k in range(1, _BINS + 1):
            inside = self._tally[k]
            if inside > 0 and below + inside >= wanted:
                edge = self.service_time_s * BIN_RATIO ** (k - 1)
                return edge * (1 + (BIN_RATIO - 1) * (wanted - below) / inside)
            below += inside
        return inf

    def _foresee(self) -> None:
        """Where the backlog goes and when it is there; an end too near for a clock in float is reached now."""
        drift = self.arrival_rps - self.capacity_rps
        self._end = self.queue_limit if drift > 0 else 0.0
        self.next_change_s = inf
        if drift and self._backlog != self._end:
            at_s = self._now_s + (self._end - self._backlog) / drift
            if at_s > self._now_s:
                self.next_change_s = at_s
            else:
                self.served += self._backlog - self._end
                self._backlog = self._end

    def _pass(self, until_s: float, after: float) -> None:
        """Time goes on to `until_s`, while the backlog goes in a straight line to `after`."""
        dt_s, before = until_s - self._now_s, self._backlog
        arrived = self.arrival_rps * dt_s
        self._now_s = until_s
        self._backlog = after
        self.arrived += arrived
        if before == after == 0.0 and self.capacity_rps > 0:  # nobody waits
            self.served += arrived
            self.busy_s += arrived / self.capacity_rps
            self.latency_request_s += arrived * self.service_time_s
            self._tally[0] += arrived
            return
        at_limit = before == after == self.queue_limit and self.arrival_rps > self.capacity_rps
        turned_away = (self.arrival_rps - self.capacity_rps) * dt_s if at_limit else 0.0
        let_in = arrived - turned_away
        self.served += let_in - (after - before)
        self.turned_away += turned_away
        self.waiting_request_s += (before + after) / 2 * dt_s
        self._never += turned_away
        if self.capacity_rps == 0:
            self.missed += arrived
            self._never += let_in
            return
        self.busy_s += dt_s
        low_s = min(before, after) / self.capacity_rps + self.service_time_s
        high_s = max(before, after) / self.capacity_rps + self.service_time_s
        self.latency_request_s += let_in * (low_s + high_s) / 2
        self.missed += turned_away + let_in * _share_above(self.slo_s, low_s, high_s)
        self._count(let_in, low_s, high_s)

    def _count(self, requests: float, low_s: float, high_s: float) -> None:
        """Requests whose latencies are spread evenly from low to high."""
        if high_s > self.service_time_s * LONGEST:
            above = requests * _share_above(self.service_time_s * LONGEST, low_s, high_s)
            self._never += above
            requests -= above
            high_s = self.service_time_s * LONGEST
            low_s = min(low_s, high_s)
        first, last = self._bin(low_s), self._bin(high_s)
        if first == last:
            self._tally[first] += requests
            return
        density = requests / (high_s - low_s)
        edge_s = self.service_time_s * BIN_RATIO**first
        self._tally[first] += (edge_s - low_s) * density
        for k in range(first + 1, last):
            self._tally[k] += edge_s * (BIN_RATIO - 1) * density
            edge_s *= BIN_RATIO
        self._tally[last] += (high_s - edge_s) * density

    def _bin(self, latency_s: float) -> int:
        return min(1 + int(log(latency_s / self.service_time_s) / _LOG_RATIO), _BINS)


def _share_above(limit: float, low: float, high: float) -> float:
    """How much of an even spread from low to high lies above the limit."""
    if low > limit:
        return 1.0
    return (high - limit) / (high - low) if high > limit else 0.0
