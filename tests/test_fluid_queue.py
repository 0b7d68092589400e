"""The fluid queue: against a reference in small steps, against arithmetic by hand, and what has to add up."""

from __future__ import annotations

from math import inf, isnan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustersim.fluid_queue import BIN_RATIO, LONGEST, FluidQueue

SERVICE_S, SLO_S = 0.1, 1.13
STEP_S = 1e-3

rates = st.integers(0, 20)
some_rps = st.just(0.0) | st.floats(1e-6, 1e3)
pieces = st.lists(st.tuples(st.integers(1, 1500), rates, rates), min_size=1, max_size=5)


class Steps:
    """The same queue in small steps: first arrivals, then service, then what is too much is turned away."""

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.backlog = self.arrived = self.served = self.turned_away = self.missed = self.busy_s = 0.0
        self.waiting_request_s = self.latency_request_s = 0.0
        self.latencies: list[tuple[float, float]] = []

    def step(self, arrival_rps: float, capacity_rps: float) -> None:
        before, arrived, can = self.backlog, arrival_rps * STEP_S, capacity_rps * STEP_S
        served = min(before + arrived, can)
        turned_away = max(0.0, before + arrived - served - self.limit)
        self.backlog = before + arrived - served - turned_away
        waiting = (before + self.backlog) / 2
        latency_s = waiting / capacity_rps + SERVICE_S if capacity_rps else inf
        self.arrived += arrived
        self.served += served
        self.turned_away += turned_away
        self.busy_s += served / capacity_rps if capacity_rps else 0.0
        self.waiting_request_s += waiting * STEP_S
        self.missed += arrived if latency_s > SLO_S else turned_away
        self.latency_request_s += (arrived - turned_away) * latency_s if capacity_rps else 0.0
        self.latencies += [(latency_s, arrived - turned_away), (inf, turned_away)]


@given(pieces, st.sampled_from([3.7, 12.3, inf]))
@settings(max_examples=60, deadline=None)
def test_the_queue_is_that_of_small_steps(course: list[tuple[int, int, int]], limit: float) -> None:
    queue, steps, now_s = FluidQueue(5.0, SLO_S, SERVICE_S, limit), Steps(limit), 5.0
    for count, arrival_rps, capacity_rps in course:
        queue.set(now_s, arrival_rps, capacity_rps)
        for _ in range(count):
            steps.step(arrival_rps, capacity_rps)
        now_s += count * STEP_S
        assert queue.backlog(now_s) == pytest.approx(steps.backlog, abs=1e-6)
    queue.advance(now_s)
    for name in ("arrived", "served", "turned_away"):
        assert getattr(queue, name) == pytest.approx(getattr(steps, name), abs=0.03), name
    # One step of a piece may fall on the other side of the SLO, and one may serve and queue at once.
    assert queue.missed == pytest.approx(steps.missed, abs=0.03 * len(course))
    assert queue.busy_s == pytest.approx(steps.busy_s, abs=2 * STEP_S * len(course))
    assert queue.waiting_request_s == pytest.approx(steps.waiting_request_s, abs=0.03)
    assert queue.latency_request_s == pytest.approx(steps.latency_request_s, abs=0.2)
    if steps.arrived:
        for share in (0.5, 0.9, 0.99):
            assert_quantile(steps, share, queue.latency_quantile_s(share))


def assert_quantile(steps: Steps, share: float, latency_s: float) -> None:
    """To one bin of latency, and to a few steps of requests."""
    latencies, weights = np.array(steps.latencies).T
    at_most = weights[latencies <= latency_s * BIN_RATIO].sum() / weights.sum()
    below = weights[latencies < latency_s / BIN_RATIO].sum() / weights.sum()
    slack = 0.1 / weights.sum() + 1e-3
    assert below - slack <= share <= at_most + slack


@given(
    st.lists(st.tuples(st.floats(1e-9, 1e4), some_rps, some_rps), min_size=1, max_size=12),
    st.sampled_from([0.5, 100.0, inf]),
)
def test_what_arrives_is_served_waits_or_is_turned_away(course: list[tuple[float, float, float]], limit: float) -> None:
    queue, now_s = FluidQueue(0.0, SLO_S, SERVICE_S, limit), 0.0
    for dt_s, arrival_rps, capacity_rps in course:
        queue.set(now_s, arrival_rps, capacity_rps)
        assert queue.next_change_s > now_s
        now_s += dt_s
        queue.advance(now_s)
        backlog = queue.backlog(now_s)
        assert 0 <= backlog <= limit
        assert queue.served + backlog + queue.turned_away == pytest.approx(queue.arrived, rel=1e-9, abs=1e-6)
        assert queue.turned_away - 1e-6 <= queue.missed <= queue.arrived * (1 + 1e-9) + 1e-6
        assert queue.busy_s <= now_s * (1 + 1e-9)


@given(pieces, st.lists(st.floats(0, 7.5), max_size=10))
def test_looking_at_the_queue_changes_nothing(course: list[tuple[int, int, int]], looks_s: list[float]) -> None:
    def play(looks_s: list[float]) -> list[float]:
        queue, now_s = FluidQueue(0.0, SLO_S, SERVICE_S, 12.3), 0.0
        for count, arrival_rps, capacity_rps in course:
            queue.set(now_s, arrival_rps, capacity_rps)
            end_s = now_s + count * STEP_S
            for look_s in sorted(look_s for look_s in looks_s if now_s < look_s < end_s):
                queue.advance(look_s)
            now_s = end_s
        queue.advance(now_s)
        names = ("arrived", "served", "turned_away", "missed", "busy_s", "waiting_request_s", "latency_request_s")
        return [getattr(queue, name) for name in names] + [queue.backlog(now_s), queue.latency_quantile_s(0.9)]

    assert play(looks_s) == pytest.approx(play([]), rel=1e-9, abs=1e-9, nan_ok=True)


def test_a_queue_that_grows_and_empties_has_the_counts_worked_out_by_hand() -> None:
    queue = FluidQueue(0.0, slo_s=1.0, service_time_s=0.5)
    queue.set(0.0, arrival_rps=30.0, capacity_rps=20.0)
    assert queue.next_change_s == inf
    queue.set(4.0, arrival_rps=10.0)  # 40 wait
    assert queue.backlog(4.0) == 40.0
    assert queue.latency_s(4.0) == 40 / 20 + 0.5
    assert queue.next_change_s == 8.0
    assert queue.backlog(6.0) == 20.0
    assert (queue.served_rps(6.0), queue.served_rps(8.0)) == (20.0, 10.0)
    queue.advance(10.0)
    assert queue.backlog(10.0) == 0.0
    assert (queue.arrived, queue.served) == (120 + 60, 180)
    assert queue.busy_s == pytest.approx(8 + 2 / 2)
    assert queue.waiting_request_s == pytest.approx(40 * 8 / 2)
    # The backlog is above (1.0 - 0.5) * 20 = 10 from t = 1 to t = 7.
    assert queue.missed == pytest.approx(30 * 3 + 10 * 3)
    assert queue.latency_request_s == pytest.approx(0.5 * 180 + 120 * 1 + 40 * 1)
    # The 20 of the last two seconds did not wait; half of the others waited less than a second.
    assert queue.latency_quantile_s(20 / 180) == 0.5
    # Even within a bin, so this is exact; nobody took longer than the last bin's edge.
    assert queue.latency_quantile_s(100 / 180) == pytest.approx(1.5)
    assert queue.latency_quantile_s(1.0) == pytest.approx(2.5, rel=BIN_RATIO - 1)


def test_a_full_queue_turns_away_what_it_cannot_serve() -> None:
    queue = FluidQueue(0.0, slo_s=1.0, service_time_s=0.5, queue_limit=5.0)
    queue.set(0.0, arrival_rps=20.0, capacity_rps=10.0)
    assert queue.next_change_s == 0.5
    queue.advance(2.5)
    assert queue.backlog(2.5) == 5.0
    assert (queue.arrived, queue.served, queue.turned_away) == (50.0, 25.0, 20.0)
    assert queue.missed == 20.0  # those let in wait half a second at most, and are done within the SLO
    assert queue.latency_quantile_s(0.59) == pytest.approx(1.0, rel=BIN_RATIO - 1)
    assert queue.latency_quantile_s(0.61) == inf


def test_without_capacity_everything_misses_and_nothing_is_served() -> None:
    queue = FluidQueue(0.0, SLO_S, SERVICE_S)
    assert isnan(queue.latency_quantile_s(0.5))
    queue.set(0.0, arrival_rps=3.0)
    queue.advance(10.0)
    assert (queue.arrived, queue.served, queue.missed, queue.backlog(10.0)) == (30.0, 0.0, 30.0, 30.0)
    assert queue.latency_s(10.0) == queue.latency_quantile_s(0.1) == inf
    assert (queue.busy_s, queue.latency_request_s, queue.waiting_request_s) == (0.0, 0.0, 150.0)


def test_a_request_that_takes_as_long_as_the_slo_meets_it() -> None:
    queue = FluidQueue(0.0, slo_s=1.0, service_time_s=0.5)
    queue.set(0.0, arrival_rps=10.0, capacity_rps=0.0)
    queue.set(1.0, arrival_rps=20.0, capacity_rps=20.0)  # 10 wait half a second, for ever
    queue.advance(5.0)
    assert queue.missed == 10.0
    assert queue.latency_quantile_s(0.0) == pytest.approx(1.0, rel=BIN_RATIO - 1)


def test_waking_at_the_next_change_finds_it_done_however_coarse_the_clock() -> None:
    queue, now_s = FluidQueue(0.0, SLO_S, SERVICE_S, 1000.0), 123_456.7
    queue.set(now_s, 900.1, 0.0)
    now_s += 1 / 3
    for wake in range(50):
        queue.set(now_s, arrival_rps=0.1 * wake, capacity_rps=1234.5 / (wake + 1))
        if queue.next_change_s < inf:
            now_s = queue.next_change_s
            queue.advance(now_s)
            assert queue.backlog(now_s) in (0.0, 1000.0)
            assert queue.next_change_s == inf
        now_s += 0.7
        queue.set(now_s, 1000.0, 0.0)
        now_s += 1e-12
    assert queue.served + queue.backlog(now_s) + queue.turned_away == pytest.approx(queue.arrived, abs=1e-6)


def test_a_backlog_that_is_gone_before_the_clock_can_tick_is_gone_at_once() -> None:
    queue = FluidQueue(1e9, SLO_S, SERVICE_S)
    queue.set(1e9, arrival_rps=1.0, capacity_rps=0.0)
    queue.set(1e9 + 2**-20, arrival_rps=0.0, capacity_rps=1000.0)  # a clock at 1e9 s ticks every 2 ** -23 s
    assert queue.next_change_s == inf
    assert queue.backlog(1e9 + 2**-20) == 0.0
    assert queue.served == queue.arrived == 2**-20


def test_latencies_beyond_the_longest_bin_count_as_infinite() -> None:
    queue = FluidQueue(0.0, slo_s=1.0, service_time_s=0.5)
    queue.set(0.0, arrival_rps=1.0, capacity_rps=1e-5)
    queue.advance(1.0)  # from 0.5 s to 100,000 s; the bins end at 50,000 s
    assert queue.latency_quantile_s(0.49) == pytest.approx(0.49 * 1e5, rel=BIN_RATIO - 1)
    assert LONGEST * 0.5 == 50_000
    assert queue.latency_quantile_s(0.51) == inf


@pytest.mark.parametrize("bad", [{"arrival_rps": -1.0}, {"arrival_rps": inf}, {"capacity_rps": float("nan")}])
def test_a_rate_that_is_none_is_refused(bad: dict[str, float]) -> None:
    queue = FluidQueue(0.0, SLO_S, SERVICE_S)
    with pytest.raises(ValueError, match="a finite rate of at least 0"):
        queue.set(0.0, **bad)


def test_time_does_not_go_back() -> None:
    queue = FluidQueue(3.0, SLO_S, SERVICE_S)
    with pytest.raises(ValueError, match="cannot go back"):
        queue.advance(2.0)


def test_a_queue_that_could_never_meet_its_slo_is_refused() -> None:
    with pytest.raises(ValueError, match="0 < service_time_s < slo_s"):
        FluidQueue(0.0, slo_s=0.5, service_time_s=0.5)
    with pytest.raises(ValueError, match="a positive limit"):
        FluidQueue(0.0, slo_s=1.0, service_time_s=0.5, queue_limit=0.0)
