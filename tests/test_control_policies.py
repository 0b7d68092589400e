"""The published controllers of a shared cluster, against hand-made services, rows and moves."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil, inf, nan
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from clustersim.baselines.fixed_replicas import FixedReplicas
from clustersim.baselines.histogram import BIN_S, BINS, RANGE_S, Histogram, windows
from clustersim.baselines.hpa import Hpa, hpa_desired
from clustersim.baselines.kpa import Kpa, kpa_desired
from clustersim.baselines.migrate_consolidate import MigrateConsolidate
from clustersim.baselines.migrate_ha import MigrateHa
from clustersim.baselines.migrate_none import MigrateNone
from clustersim.baselines.polca import Polca
from clustersim.baselines.threshold_caps import NoCap, OneThreshold
from clustersim.control import Decision
from clustersim.control_workload import Service, ServiceLoad
from clustersim.policy import Policy
from clustersim.scenarios.control_roles import (
    CAPPER,
    HIGH_CLOCKS,
    LOW_CLOCKS,
    MIGRATOR,
    MOVES,
    SCALER,
    SCALER_CANDIDATES,
    Moves,
    capper_choice,
    scaler_choice,
)

TICK_S = 10.0


def service(initial: int = 4, least: int = 0, most: int = 20, concurrency: int = 100) -> Service:
    load = ServiceLoad(np.zeros(1), np.ones(1))
    return Service("s", 0, load, 1000, 1024, 0, 0.1, concurrency, 1.0, initial, min_replicas=least, max_replicas=most)


@dataclass
class HandService:
    """A `ServiceState` that shows what a test says. Replicas wanted are ready at once, unless the test says so."""

    service: Service
    wanted: int = -1
    pool_wanted: int = 0
    pool_most: int = 3
    now_s: float = 0.0
    in_flight_s: dict[float, float] = field(default_factory=dict)
    utilization: float = nan
    ready_now: int | None = None

    def __post_init__(self) -> None:
        if self.wanted < 0:
            self.wanted = self.service.initial_replicas

    @property
    def ready(self) -> int:
        return self.wanted if self.ready_now is None else self.ready_now

    def in_flight_mean(self, window_s: float) -> float:
        return self.in_flight_s.get(window_s, self.in_flight_s.get(0, nan))

    def utilization_mean(self, window_s: float) -> float:
        return self.utilization

    def mask(self) -> NDArray[np.bool_]:
        changes = [scaler_choice(k) for k in range(SCALER_CANDIDATES)]
        least, most = self.service.min_replicas, self.service.max_replicas
        return np.array(
            [
                (not r or least <= self.wanted + r <= most) and 0 <= self.pool_wanted + p <= self.pool_most
                for r, p in changes
            ]
        )


def scale(policy: Policy, state: HandService, agent: str = "scaler_0") -> tuple[int, int]:
    """Ask once, carry it out; what was changed."""
    decision = Decision(SCALER, agent, state.now_s, state, state.mask(), None)
    k = policy.act(decision)
    assert decision.mask[k]
    replicas, pool = scaler_choice(k)
    state.wanted += replicas
    state.pool_wanted += pool
    state.now_s += TICK_S
    return replicas, pool


def fresh(policy: Policy) -> Policy:
    policy.reset(np.random.default_rng(0))
    return policy


# --- fixed, and how any number is reached


def test_fixed_keeps_the_initial_number_and_goes_back_to_it() -> None:
    state = HandService(service(initial=4))
    assert scale(fresh(FixedReplicas()), state) == (0, 0)
    state.wanted = 9
    assert [scale(fresh(FixedReplicas()), state)[0] for _ in range(4)] == [-2, -2, -1, 0]


def test_fixed_reaches_its_number_and_its_pool_by_steps() -> None:
    state, policy = HandService(service(initial=1)), fresh(FixedReplicas(replicas=6, pool=2))
    assert [scale(policy, state) for _ in range(4)] == [(2, 1), (2, 1), (1, 0), (0, 0)]


def test_a_number_beyond_the_limits_is_approached_as_far_as_they_allow() -> None:
    state, policy = HandService(service(initial=1, least=1, most=2), pool_most=0), fresh(FixedReplicas(9, pool=5))
    assert [scale(policy, state) for _ in range(2)] == [(1, 0), (0, 0)]
    state.pool_most = 3
    assert scale(policy, state) == (0, 1)
    policy = fresh(FixedReplicas(0, pool=1))
    assert [scale(policy, state) for _ in range(2)] == [(-1, 0), (0, 0)]


# --- kpa


@pytest.mark.parametrize(
    ("stable", "panic", "ready", "wish"),
    [
        (500, 500, 3, (8, 8, True)),
        (500, 2000, 8, (8, 29, True)),
        (60, 60, 8, (4, 4, False)),
    ],
)
def test_kpa_gives_the_golden_values_of_knative(stable: float, panic: float, ready: int, wish: Any) -> None:
    assert kpa_desired(stable, panic, ready, target=70) == wish


def test_kpa_clamps_up_to_a_thousandfold_and_counts_no_replica_as_one() -> None:
    assert kpa_desired(1e9, 1e9, 2, 1.0) == (2000, 2000, True)
    assert kpa_desired(0, 0, 0, 1.0) == (0, 0, False)
    assert kpa_desired(1, 2, 0, 1.0) == (1, 2, True)
    assert kpa_desired(0, 0, 1, 1.0) == (0, 0, False)


@given(st.floats(0, 1e4), st.floats(0, 1e4), st.integers(0, 50), st.floats(0.5, 100))
def test_kpa_wants_what_the_formula_says(stable: float, panic: float, ready: int, target: float) -> None:
    pods = max(1, ready)
    least, most = pods // 2, 1000 * pods
    expected = [min(max(ceil(value / target), least), most) for value in (stable, panic)]
    wish = kpa_desired(stable, panic, ready, target)
    assert (wish.stable, wish.panic) == tuple(expected)
    assert wish.over_threshold == (ceil(panic / target) >= 2 * pods)


def knative(state: HandService, policy: Policy, stable: float, panic: float) -> int:
    state.in_flight_s = {60.0: stable, 6.0: panic}
    scale(policy, state)
    return state.wanted


def test_kpa_without_data_decides_nothing() -> None:
    state, policy = HandService(service(initial=4)), fresh(Kpa())
    assert knative(state, policy, 2000, 2000) == 4  # at time 0 there is none yet
    assert knative(state, policy, 280, 280) == 4
    assert knative(state, policy, 420, 420) == 6


def test_kpa_reaches_what_it_wants_by_at_most_two_replicas_a_tick() -> None:
    state, policy = HandService(service(initial=4), now_s=10), fresh(Kpa())
    assert [knative(state, policy, 560, 350) for _ in range(4)] == [6, 8, 8, 8]


def test_kpa_in_panic_never_scales_down_until_a_stable_window_after_it() -> None:
    state, policy = HandService(service(initial=4), now_s=10), fresh(Kpa())
    assert knative(state, policy, 280, 600) == 6  # 9 / 4 >= 2: panic at t = 10 s, 9 wanted
    # The threshold is not reached any more; nine stay wanted while 10 s + 60 s has not passed, which it has at 80 s.
    assert [knative(state, policy, 70, 70) for _ in range(6)] == [8, 9, 9, 9, 9, 9]
    assert state.now_s == 80
    assert [knative(state, policy, 70, 70) for _ in range(5)] == [7, 5, 3, 1, 1]


def test_a_new_reason_to_panic_prolongs_it() -> None:
    state, policy = HandService(service(initial=2), now_s=10), fresh(Kpa())
    knative(state, policy, 140, 350)
    state.now_s = 60
    knative(state, policy, 140, 700)
    state.now_s = 110
    assert knative(state, policy, 70, 70) == 8  # on the way to ten
    state.now_s = 121
    assert knative(state, policy, 70, 70) == 6


def test_a_panic_knows_nothing_of_the_one_before() -> None:
    state, policy = HandService(service(initial=2), now_s=10), fresh(Kpa())
    for _ in range(3):
        knative(state, policy, 140, 560)
    for _ in range(20):
        knative(state, policy, 70, 70)
    assert state.wanted == 1
    assert [knative(state, policy, 70, 140) for _ in range(3)] == [2, 2, 2]


def test_kpa_waits_half_a_minute_before_the_last_replica_goes() -> None:
    state, policy = HandService(service(initial=1), now_s=10), fresh(Kpa())
    assert [knative(state, policy, 0, 0) for _ in range(4)] == [1, 1, 1, 0]
    assert knative(state, policy, 7, 70) == 1
    assert [knative(state, policy, 0, 0) for _ in range(4)] == [1, 1, 1, 0]


def test_kpa_stays_within_the_limits_of_the_service() -> None:
    state, policy = HandService(service(initial=3, least=2, most=4), now_s=10), fresh(Kpa())
    assert [knative(state, policy, 5000, 5000) for _ in range(2)] == [4, 4]
    state.now_s = 500
    assert [knative(state, policy, 0, 0) for _ in range(2)][-1] == 2


def test_kpa_aims_at_seven_tenths_of_the_concurrency() -> None:
    state, policy = HandService(service(initial=4, concurrency=10), now_s=10), fresh(Kpa())
    assert knative(state, policy, 28, 28) == 4
    assert knative(state, policy, 28.1, 28.1) == 5


# --- hpa


@pytest.mark.parametrize(
    ("replicas", "ready", "utilization", "desired"),
    [
        (4, 4, 0.8, 4),
        (4, 4, 0.87, 4),  # within 10 %
        (4, 4, 0.73, 4),
        (4, 4, 0.89, 5),
        (4, 4, 1.0, 5),
        (4, 4, 0.4, 2),
        (10, 10, 0.1, 2),
        (4, 0, 1.0, 4),  # nobody to ask
        (6, 5, 1.0, 6),  # 5 / 6 * 1.25 is within 10 %
        (8, 4, 1.0, 8),  # half of them are on their way: as if they idled
        (5, 4, 1.0, 5),  # 4 / 5 * 1.25 = 1
        (8, 4, 0.4, 2),  # down goes by those that are ready
        (6, 5, 1.6, 10),
    ],
)
def test_hpa_follows_the_formula_of_kubernetes(replicas: int, ready: int, utilization: float, desired: int) -> None:
    assert hpa_desired(replicas, ready, utilization, target=0.8) == desired


def test_hpa_does_not_take_a_rounding_error_for_a_replica() -> None:
    assert 10 * (0.56 / 0.8) > 7
    assert hpa_desired(10, 10, 0.56, target=0.8) == 7


def kubernetes(state: HandService, policy: Policy, utilization: float) -> int:
    state.utilization = utilization
    scale(policy, state)
    return state.wanted


def test_hpa_looks_at_two_ticks_out_of_three() -> None:
    state, policy = HandService(service(initial=10)), fresh(Hpa())
    wanted = [kubernetes(state, policy, 1.0) for _ in range(8)]
    # Looks at 10, 20, 30, 50 and 60 s; 10 -> 13 is done by 20 s.
    assert wanted[0] == 10
    assert wanted[1:5] == [12, 14, 16, 18]
    lookers = fresh(Hpa())
    looks = []
    state = HandService(service(initial=4))
    for _ in range(13):
        before = state.now_s
        state.utilization = 0.8
        asked: list[float] = []
        state.utilization_mean = lambda window_s, asked=asked: asked.append(window_s) or 0.8  # type: ignore[method-assign]
        scale(lookers, state)
        if asked:
            looks.append(before)
    assert looks == [10, 20, 30, 50, 60, 80, 90, 110, 120]


def test_hpa_scales_down_only_to_the_most_of_the_last_five_minutes() -> None:
    state, policy = HandService(service(initial=8), now_s=1000.0), fresh(Hpa())
    kubernetes(state, policy, 0.8)
    kept = 0
    while kubernetes(state, policy, 0.2) == 8:
        kept += 1
    assert 28 <= kept <= 31  # ticks of 10 s, looks every 15 s


@pytest.mark.parametrize(("initial", "wanted"), [(1, [3, 4]), (2, [4, 4]), (3, [5, 6])])
def test_hpa_scales_up_to_twice_the_replicas_or_four_at_a_look(initial: int, wanted: list[int]) -> None:
    state, policy = HandService(service(initial=initial), now_s=10, ready_now=0), fresh(Hpa(target=0.05))
    assert [kubernetes(state, policy, nan) for _ in range(2)] == [initial, initial]  # nobody to ask
    state.ready_now = None
    assert [kubernetes(state, policy, 1.0) for _ in range(2)] == wanted  # it looks at 30 s, but not at 40 s


def test_hpa_never_scales_to_zero() -> None:
    state, policy = HandService(service(initial=1), now_s=20), fresh(Hpa())
    for _ in range(50):
        kubernetes(state, policy, 0.0)
    assert state.wanted == 1


# --- histogram


def counted(**bins: int) -> NDArray[np.int64]:
    counts = np.zeros(BINS, dtype=np.int64)
    for minute, count in bins.items():
        counts[int(minute.removeprefix("m"))] = count
    return counts


def test_the_windows_are_the_percentiles_of_the_idle_times_with_a_margin() -> None:
    assert windows(counted(m10=100), 0) == pytest.approx((0.9 * 10 * BIN_S, 1.1 * 11 * BIN_S))
    # 5 % are at most 3 minutes, 99 % less than 21.
    assert windows(counted(m3=5, m7=94, m20=1), 0) == pytest.approx((0.9 * 3 * BIN_S, 1.1 * 8 * BIN_S))
    assert windows(counted(m3=5, m7=93, m20=2), 0) == pytest.approx((0.9 * 3 * BIN_S, 1.1 * 21 * BIN_S))


def test_short_idle_times_need_no_pre_warming() -> None:
    assert windows(counted(m0=10, m5=90), 0) == pytest.approx((0.0, 1.1 * 6 * BIN_S))


def test_without_a_clear_pattern_the_whole_range_is_kept() -> None:
    assert windows(counted(), 0) == (0.0, RANGE_S)
    assert windows(np.ones(BINS, dtype=np.int64), 0) == (0.0, RANGE_S)
    assert windows(counted(m10=5), 6) == (0.0, RANGE_S)
    assert windows(counted(m10=5), 5) != (0.0, RANGE_S)


def play_minutes(policy: Policy, state: HandService, in_flight: float, minutes: float) -> list[tuple[int, int]]:
    """(replicas, pool) wanted after each tick."""
    state.in_flight_s = {0: in_flight}
    found = []
    for _ in range(round(minutes * 60 / TICK_S)):
        scale(policy, state)
        found.append((state.wanted, state.pool_wanted))
    return found


def test_the_histogram_keeps_what_it_knows_nothing_about() -> None:
    state, policy = HandService(service(initial=4)), fresh(Histogram())
    assert play_minutes(policy, state, 150, 30)[-1] == (4, 0)  # 150 in flight need 2 of 100 each


def test_the_histogram_follows_a_load_that_it_has_never_seen() -> None:
    state, policy = HandService(service(initial=1)), fresh(Histogram())
    assert play_minutes(policy, state, 350, 1)[-1] == (4, 0)
    assert play_minutes(policy, state, 400, 1)[-1] == (4, 0)
    assert play_minutes(policy, state, 401, 1)[-1] == (5, 0)


def test_the_histogram_drops_a_regularly_idle_replica_and_warms_it_up_in_time() -> None:
    state, policy = HandService(service(initial=1, most=5)), fresh(Histogram())
    for _ in range(2):  # busy two minutes, idle ten: the second level learns at the start of the next round
        play_minutes(policy, state, 150, 2)
        assert play_minutes(policy, state, 50, 10)
    play_minutes(policy, state, 150, 2)
    idle = play_minutes(policy, state, 50, 20)
    wanted = [replicas for replicas, _ in idle]
    warm_s = [TICK_S * tick for tick, (_, pool) in enumerate(idle) if pool]
    assert set(wanted) == {1}
    assert min(warm_s) == pytest.approx(0.9 * 10 * BIN_S, abs=TICK_S)
    assert max(warm_s) == pytest.approx(1.1 * 11 * BIN_S, abs=2 * TICK_S)


def test_the_histogram_keeps_a_replica_that_idles_less_than_a_minute() -> None:
    state, policy = HandService(service(initial=1, most=5)), fresh(Histogram())
    for _ in range(3):
        play_minutes(policy, state, 150, 2)
        play_minutes(policy, state, 50, 0.5)
    play_minutes(policy, state, 150, 1)
    idle = play_minutes(policy, state, 50, 3)
    kept_s = TICK_S * sum(replicas == 2 for replicas, _ in idle)
    assert kept_s == pytest.approx(1.1 * BIN_S, abs=TICK_S)
    assert not any(pool for _, pool in idle)


# --- several services


@pytest.mark.parametrize("make", [Kpa, Hpa, Histogram])
def test_services_do_not_share_what_a_scaler_remembers(make: Any) -> None:
    """Two services asked in turn by one policy, as if each had a policy of its own."""
    quiet = [HandService(service(initial=5, most=9), now_s=10) for _ in range(2)]
    busy = [HandService(service(initial=1, most=9), now_s=10) for _ in range(2)]
    shared, own = fresh(make()), (fresh(make()), fresh(make()))
    for tick in range(60):
        load = 900.0 if tick % 20 < 10 else 30.0
        for state, amount in ((quiet, 20.0), (busy, load)):
            for twin in state:
                twin.in_flight_s, twin.utilization = {0: amount}, min(1.0, amount / 100 / max(1, twin.wanted))
        assert scale(shared, quiet[0], "scaler_0") == scale(own[0], quiet[1], "scaler_0")
        assert scale(shared, busy[0], "scaler_1") == scale(own[1], busy[1], "scaler_1")


@pytest.mark.parametrize("make", [Kpa, Hpa, Histogram, FixedReplicas])
def test_a_scaler_that_has_played_plays_like_a_fresh_one(make: Any) -> None:
    used = fresh(make())
    state = HandService(service(initial=5), now_s=10, in_flight_s={0: 900.0}, utilization=1.0)
    for _ in range(20):
        scale(used, state)
    states = [HandService(service(initial=5), now_s=10, in_flight_s={0: 70.0}, utilization=0.2) for _ in range(2)]
    other = fresh(make())
    fresh(used)
    for _ in range(50):
        assert scale(used, states[0]) == scale(other, states[1])


# --- cappers


@dataclass
class HandRow:
    """A `RowState` that shows what a test says."""

    budget_w: float = 1000.0
    samples_w: Any = field(default_factory=lambda: np.empty(0))
    low: int = 0
    high: int = 0
    low_acting: int = 0
    high_acting: int = 0
    settled_s: float = 0.0
    braked: bool = False
    now_s: float = 0.0

    def see(self, share: float) -> None:
        self.now_s += TICK_S
        self.samples_w = np.append(self.samples_w, share * self.budget_w)[-20:]

    def command(self, low: int, high: int) -> None:
        if (low, high) != (self.low, self.high):
            self.low, self.high, self.settled_s = low, high, inf

    def settle(self) -> None:
        self.low_acting, self.high_acting, self.settled_s = self.low, self.high, self.now_s


def cap(policy: Policy, row: HandRow, share: float | None = None) -> tuple[float, float]:
    """Ask after a sample, command; the clocks commanded, as MHz of an A100."""
    if share is not None:
        row.see(share)
    mask = np.ones(len(LOW_CLOCKS) * len(HIGH_CLOCKS), dtype=np.bool_)
    row.command(*capper_choice(policy.act(Decision(CAPPER, "capper_0", row.now_s, row, mask, None))))
    return round(1410 * LOW_CLOCKS[row.low]), round(1410 * HIGH_CLOCKS[row.high])


def test_polca_goes_through_its_thresholds_in_the_published_sequence() -> None:
    row, policy = HandRow(), fresh(Polca())
    assert cap(policy, row) == (1410, 1410)  # no sample yet
    assert cap(policy, row, 0.79) == (1410, 1410)
    assert cap(policy, row, 0.80) == (1410, 1410)  # above the threshold, not at it
    assert cap(policy, row, 0.81) == (1275, 1410)
    assert cap(policy, row, 0.89) == (1275, 1410)
    assert cap(policy, row, 0.90) == (1110, 1410)
    assert cap(policy, row, 0.95) == (1110, 1410)  # the command is on its way
    row.settle()
    assert cap(policy, row, 0.88) == (1110, 1410)
    assert cap(policy, row, 0.90) == (1110, 1305)  # still above, although it acts
    row.settle()
    assert cap(policy, row, 0.85) == (1110, 1305)  # within the hysteresis
    assert cap(policy, row, 0.84) == (1110, 1305)
    assert cap(policy, row, 0.83) == (1275, 1410)  # the second threshold is undone
    row.settle()
    assert cap(policy, row, 0.76) == (1275, 1410)
    assert cap(policy, row, 0.75) == (1275, 1410)
    assert cap(policy, row, 0.74) == (1410, 1410)  # and the first


def test_polca_jumps_over_the_first_threshold_and_back_over_both() -> None:
    row, policy = HandRow(), fresh(Polca())
    assert cap(policy, row, 0.95) == (1110, 1410)
    row.settle()
    assert cap(policy, row, 0.95) == (1110, 1305)
    assert cap(policy, row, 0.5) == (1410, 1410)


def test_polca_undoes_only_the_second_threshold_between_them() -> None:
    row, policy = HandRow(low=2, high=1, low_acting=2, high_acting=1), fresh(Polca())
    assert cap(policy, row, 0.82) == (1275, 1410)
    row = HandRow(low=2, high=1, low_acting=2, high_acting=1)
    assert cap(policy, row, 0.78) == (1275, 1410)
    row = HandRow()
    assert cap(policy, row, 0.78) == (1410, 1410)  # what was never capped is not capped by that
    assert cap(policy, row, 0.87) == (1275, 1410)


def test_polca_waits_for_a_sample_that_was_taken_with_the_caps() -> None:
    row, policy = HandRow(low=2, low_acting=2, now_s=100.0), fresh(Polca())
    row.settled_s = 109.0  # the newest sample may be from 108 s
    assert cap(policy, row, 0.95) == (1110, 1410)
    assert cap(policy, row, 0.95) == (1110, 1305)


@pytest.mark.parametrize("make", [Polca, OneThreshold])
def test_the_low_power_of_a_braked_row_is_no_reason_to_lift_its_caps(make: Any) -> None:
    row, policy = HandRow(low=2, low_acting=2, braked=True), fresh(make())
    assert cap(policy, row, 0.5) == (1110, 1410)
    row.braked = False
    assert cap(policy, row, 0.5) == (1410, 1410)


@pytest.mark.parametrize(("everything", "capped"), [(False, (1110, 1410)), (True, (1110, 1305))])
def test_one_threshold_caps_above_it_and_releases_below_its_hysteresis(everything: bool, capped: Any) -> None:
    row, policy = HandRow(), fresh(OneThreshold(everything))
    assert cap(policy, row) == (1410, 1410)
    assert cap(policy, row, 0.88) == (1410, 1410)
    assert cap(policy, row, 0.90) == capped
    assert cap(policy, row, 0.85) == capped
    assert cap(policy, row, 0.83) == (1410, 1410)
    assert cap(policy, row, 0.85) == (1410, 1410)


def test_no_cap_never_caps() -> None:
    row = HandRow(low=2, high=1)
    assert cap(fresh(NoCap()), row, 1.2) == (1410, 1410)


# --- migrators


def moves(**columns: list[float]) -> tuple[Moves, NDArray[np.bool_]]:
    """A list of moves, and the mask of a migrator that may make all of them."""
    count = max(len(column) for column in columns.values())
    names = ("fragmentation_drop", "relief", "empties", "fills", "headroom", "transfer_s", "left_s")
    filled = {name: np.array((columns.get(name, []) + [0.0] * MOVES)[:MOVES], dtype=np.float64) for name in names}
    present = np.arange(MOVES) < count
    pod = np.where(present, np.arange(MOVES), -1)
    subject = Moves(pod=pod, source=pod, target=np.where(present, pod + 100, -1), **filled)
    return subject, np.append(present, True)


def migrate(policy: Policy, subject: Moves, mask: NDArray[np.bool_]) -> int:
    return fresh(policy).act(Decision(MIGRATOR, "migrator_0", 0.0, subject, mask, None))


def test_none_moves_nothing() -> None:
    assert migrate(MigrateNone(), *moves(fragmentation_drop=[900.0], empties=[1.0], fills=[5.0])) == MOVES


def test_ha_takes_the_steepest_descent_of_fragmentation() -> None:
    assert migrate(MigrateHa(), *moves(fragmentation_drop=[100.0, 700.0, 300.0])) == 1


def test_ha_prefers_the_shortest_transfer_among_equals_and_then_the_first() -> None:
    assert migrate(MigrateHa(), *moves(fragmentation_drop=[500.0, 500.0, 500.0], transfer_s=[9.0, 4.0, 4.0])) == 1


def test_ha_leaves_alone_what_does_not_help_or_is_not_allowed() -> None:
    assert migrate(MigrateHa(), *moves(fragmentation_drop=[0.0, -100.0])) == MOVES
    subject, mask = moves(fragmentation_drop=[500.0, 100.0])
    mask[0] = False
    assert migrate(MigrateHa(), subject, mask) == 1
    mask[:-1] = False
    assert migrate(MigrateHa(), subject, mask) == MOVES


def test_consolidate_empties_a_node_onto_the_fullest() -> None:
    subject, mask = moves(empties=[0.0, 1.0, 1.0, 1.0], fills=[9.0, 2.0, 6.0, 6.0], transfer_s=[1.0, 1.0, 5.0, 3.0])
    assert migrate(MigrateConsolidate(), subject, mask) == 3
    mask[3] = False
    assert migrate(MigrateConsolidate(), subject, mask) == 2
    mask[2] = False
    assert migrate(MigrateConsolidate(), subject, mask) == 1
    mask[1] = False
    assert migrate(MigrateConsolidate(), subject, mask) == MOVES


def test_consolidate_does_not_swap_one_empty_node_for_another() -> None:
    assert migrate(MigrateConsolidate(), *moves(empties=[1.0], fills=[0.0])) == MOVES
