"""Power domains and rows: budgets, telemetry, caps that take time, and the brake that keeps every budget."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from typing import Any

import numpy as np
import pytest
import simpy
from hypothesis import given
from hypothesis import strategies as st
from worlds import MANY

from clustersim.errors import ConfigError
from clustersim.power import POWER_EVENTS, PowerConfig, PowerRows
from clustersim.power_domains import Domain, budgets
from clustersim.scenarios.control_roles import HIGH_CLOCKS, LOW_CLOCKS, RowState

BUDGET_W, NAMEPLATE_W, BRAKED_W = 1000.0, 1300.0, 800.0

Step = tuple[float, float]
"""At this time the row would draw so many watts if no brake were on."""


class Rows:
    """Rows of servers that draw what a calendar says, and never more than BRAKED_W while the brake is on."""

    def __init__(self, config: PowerConfig | None = None, rows: int = 1, seed: int = 0) -> None:
        self.env = simpy.Environment()
        self.changes: list[tuple[float, int]] = []
        self.log: list[tuple[float, str, int, float]] = []
        self.history: list[list[Step]] = [[(0.0, 0.0)] for _ in range(rows)]
        self._wanted_w = [0.0] * rows
        same = np.ones(rows)
        self.config = config or PowerConfig()
        self.power = PowerRows(
            self.env,
            np.random.default_rng(seed),
            self.config,
            same * BUDGET_W,
            same * NAMEPLATE_W,
            same * BRAKED_W,
            self._changed,
            lambda *event: self.log.append((self.env.now, *event)),
        )

    def draw(self, row: int, watts: float) -> None:
        self._wanted_w[row] = watts
        actual_w = min(watts, BRAKED_W) if self.power.state(row).braked else watts
        self.power.add(row, actual_w - self.power.power_w[row])
        self.history[row].append((self.env.now, actual_w))

    def at(self, time_s: float, then: Any, *arguments: Any) -> None:
        self.env.timeout(time_s).callbacks.append(lambda _event: then(*arguments))

    def play(self, steps: list[Step], row: int = 0) -> None:
        for time_s, watts in steps:
            self.at(time_s, self.draw, row, watts)

    def kinds(self) -> list[tuple[float, str]]:
        return [(time_s, kind) for time_s, kind, _, _ in self.log]

    def _changed(self, row: int) -> None:
        self.changes.append((self.env.now, row))
        self.draw(row, self._wanted_w[row])


def stretches_above(history: list[Step], until_s: float) -> list[float]:
    """Lengths of the stretches above the budget, in seconds."""
    found, since_s = [], None
    for time_s, watts in [*history, (until_s, 0.0)]:
        if watts > BUDGET_W and since_s is None:
            since_s = time_s
        elif watts <= BUDGET_W and since_s is not None:
            found.append(time_s - since_s)
            since_s = None
    return found


# --- domains


def test_a_budget_is_nameplate_over_one_plus_oversubscription() -> None:
    assert budgets(np.array([1300.0, 2600.0]), 0.3) == pytest.approx([1000.0, 2000.0])


def test_budgets_that_sum_above_their_parent_are_rejected_with_all_numbers() -> None:
    rows = (Domain("row-0", 700.0), Domain("row-1", 400.0))
    with pytest.raises(
        ConfigError,
        match=r"'cluster' has a budget of 1000 W, .* sum to 1100: 700 \(row-0\) \+ 400 \(row-1\); lower them by 100 W",
    ):
        Domain("cluster", 1000.0, rows)
    assert Domain("cluster", 1100.0, rows).children == rows


def test_a_tree_is_checked_at_every_level() -> None:
    servers = tuple(Domain(f"server-{i}", 300.0) for i in range(3))
    row = Domain("row", 900.0, servers)
    assert Domain("cluster", 1000.0, (row,)).children[0].children == servers
    with pytest.raises(ConfigError, match="'row' has a budget of 800 W"):
        Domain("row", 800.0, servers)


def test_thirds_of_a_budget_are_not_above_it() -> None:
    assert Domain("row", 0.1 * 3, tuple(Domain(f"server-{i}", 0.1) for i in range(3))).budget_w < 0.31
    assert Domain("row", 0.3, tuple(Domain(f"server-{i}", 0.1) for i in range(3))).budget_w == 0.3


@pytest.mark.parametrize("budget_w", [0.0, -1.0, inf, float("nan")])
def test_a_domain_without_a_budget_is_rejected(budget_w: float) -> None:
    with pytest.raises(ConfigError, match="'row' has a budget of"):
        Domain("row", budget_w)


# --- configuration


def test_the_clocks_are_those_of_the_roles() -> None:
    assert (PowerConfig().low_clocks, PowerConfig().high_clocks) == (LOW_CLOCKS, HIGH_CLOCKS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"oversubscription": -0.1}, "oversubscription is -0.1"),
        ({"telemetry_s": 0.0}, "telemetry_s is 0.0; it has to be positive"),
        ({"brake_delay_s": -1.0}, "brake_delay_s is -1.0; it has to be at least 0"),
        ({"brake_hold_s": inf}, "brake_hold_s is inf"),
        ({"actuation_s": (40.0, 10.0)}, r"actuation_s is \(40.0, 10.0\)"),
        ({"release_share": 0.0}, "release_share is 0.0"),
        ({"brake_clock": 0.0}, "brake_clock is 0.0"),
        ({"low_clocks": (1.0, 0.2)}, "low_clocks go down to 0.200, below the lowest clock, that of the brake, 0.204"),
        ({"high_clocks": (1.0, 0.1)}, "high_clocks go down to 0.100"),
        ({"low_clocks": (1.0, 0.8, 0.9)}, "low_clocks are .* they start at 1"),
        ({"low_clocks": (0.9, 0.8)}, "low_clocks are .* they start at 1"),
        ({"high_clocks": ()}, "high_clocks are .* they start at 1"),
    ],
)
def test_a_configuration_that_cannot_be_is_rejected(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(PowerConfig(), **change)


def test_a_budget_that_the_brake_cannot_keep_is_rejected() -> None:
    two = np.array([1.0, 1.0])
    with pytest.raises(ConfigError, match=r"row 1 has a budget of 999 W, .* draws 1000 W, .* by 30\.0% at most"):
        PowerRows(
            simpy.Environment(),
            np.random.default_rng(0),
            PowerConfig(),
            np.array([1000.0, 999.0]),
            1300 * two,
            1000 * two,
            lambda row: None,
        )


def test_an_unknown_clock_is_rejected() -> None:
    for low, high in ((3, 0), (0, 2), (-1, 0), (0, -1)):
        with pytest.raises(ConfigError, match=rf"row 0 is commanded to clocks \({low}, {high}\); there are 3 .* and 2"):
            Rows().power.command(0, low, high)


# --- caps


def test_a_row_is_what_a_capper_may_read() -> None:
    state: RowState = Rows().power.state(0)
    assert (state.index, state.budget_w, state.nameplate_w, state.now_s, state.power_w) == (
        0,
        BUDGET_W,
        NAMEPLATE_W,
        0,
        0,
    )
    assert (state.low, state.high, state.low_acting, state.high_acting, state.settled_s) == (0, 0, 0, 0, 0)
    assert (state.braked, state.brakes, state.low_busy, state.high_busy) == (False, 0, 0, 0)


def test_a_cap_acts_after_its_delay_and_not_before() -> None:
    rows = Rows(PowerConfig(actuation_s=(25.0, 25.0)))
    state = rows.power.state(0)
    rows.at(7.0, rows.power.command, 0, 2, 1)
    rows.env.run(until=31.9)
    assert (state.low, state.low_acting, state.high, state.high_acting, state.settled_s) == (2, 0, 1, 0, inf)
    assert (rows.power.low_clock(0), rows.power.high_clock(0), rows.changes) == (1.0, 1.0, [])
    rows.env.run(until=40.0)
    assert (state.low_acting, state.high_acting, state.settled_s) == (2, 1, 32.0)
    assert (rows.power.low_clock(0), rows.power.high_clock(0)) == (LOW_CLOCKS[2], HIGH_CLOCKS[1])
    assert rows.log == [(32.0, "low_clock", 0, LOW_CLOCKS[2]), (32.0, "high_clock", 0, HIGH_CLOCKS[1])]
    assert rows.changes == [(32.0, 0), (32.0, 0)]


def test_delays_are_spread_over_the_whole_range_and_no_further() -> None:
    rows = Rows(rows=200)
    for row in range(200):
        rows.power.command(row, 1, 1)
    rows.env.run(until=100.0)
    acted_s = np.array([time_s for time_s, _, _, _ in rows.log])
    assert len(acted_s) == 400
    assert 10 <= acted_s.min() <= acted_s.max() <= 40
    assert np.histogram(acted_s, bins=3, range=(10, 40))[0] == pytest.approx([133, 133, 133], abs=40)


def test_a_newer_command_replaces_the_one_on_its_way() -> None:
    rows = Rows(PowerConfig(actuation_s=(25.0, 25.0)))
    rows.power.command(0, 2, 0)
    rows.at(20.0, rows.power.command, 0, 1, 0)
    rows.env.run(until=100.0)
    assert rows.log == [(45.0, "low_clock", 0, LOW_CLOCKS[1])]


def test_a_newer_command_to_one_class_leaves_the_other_alone() -> None:
    rows = Rows(PowerConfig(actuation_s=(25.0, 25.0)))
    rows.power.command(0, 2, 1)
    rows.at(20.0, rows.power.command, 0, 1, 1)
    rows.env.run(until=100.0)
    assert rows.log == [(25.0, "high_clock", 0, HIGH_CLOCKS[1]), (45.0, "low_clock", 0, LOW_CLOCKS[1])]
    assert rows.power.state(0).settled_s == 45.0


def test_commanding_what_is_commanded_changes_nothing() -> None:
    rows = Rows(PowerConfig(actuation_s=(25.0, 25.0)))
    for time_s in (0.0, 10.0, 20.0, 60.0):
        rows.at(time_s, rows.power.command, 0, 2, 0)
    rows.env.run(until=100.0)
    assert rows.log == [(25.0, "low_clock", 0, LOW_CLOCKS[2])]
    assert rows.power.state(0).settled_s == 25.0


def test_taking_a_command_back_before_it_acts_leaves_the_clock_alone() -> None:
    rows = Rows(PowerConfig(actuation_s=(25.0, 25.0)))
    rows.power.command(0, 2, 0)
    rows.at(10.0, rows.power.command, 0, 0, 0)
    rows.env.run(until=30.0)
    assert rows.power.state(0).settled_s == inf
    rows.env.run(until=100.0)
    assert (rows.log, rows.changes, rows.power.state(0).settled_s) == ([], [], 35.0)


def test_commands_to_one_row_do_not_shift_the_delays_of_another() -> None:
    quiet, busy = Rows(rows=2, seed=5), Rows(rows=2, seed=5)
    busy.power.command(0, 1, 1)
    busy.at(50.0, busy.power.command, 0, 2, 0)
    for rows in (quiet, busy):
        rows.at(60.0, rows.power.command, 1, 1, 1)
        rows.env.run(until=200.0)
    assert [event for event in busy.log if event[2] == 1] == quiet.log
    assert len(quiet.log) == 2


# --- telemetry and accounts


def test_telemetry_keeps_the_samples_of_40_seconds() -> None:
    rows = Rows()
    rows.play([(time_s, 10.0 * time_s) for time_s in range(1, 80)])
    rows.env.run(until=0.5)
    assert rows.power.state(0).samples_w.tolist() == [0.0]
    rows.env.run(until=6.5)
    assert len(rows.power.state(0).samples_w) == 4
    rows.env.run(until=71.0)
    samples_w = rows.power.state(0).samples_w
    assert len(samples_w) == 20
    assert np.diff(samples_w) == pytest.approx(20.0)
    assert samples_w[-1] in (690.0, 700.0)  # a change and a sample of one instant go in the order of the calendar


def test_the_power_of_all_rows_is_live_and_read_only() -> None:
    rows = Rows(rows=2)
    rows.power.add(1, 300.0)
    rows.power.add(1, -100.0)
    assert (rows.power.power_w.tolist(), rows.power.state(1).power_w) == ([0.0, 200.0], 200.0)
    with pytest.raises(ValueError, match="read-only"):
        rows.power.power_w[0] = 1.0


def test_energy_and_seconds_above_budget_are_exact() -> None:
    rows = Rows(PowerConfig(brake_delay_s=100.0))
    rows.play([(10.0, 500.0), (20.0, 1200.0), (23.5, 900.0), (30.0, 1000.0), (40.0, 1001.0)])
    rows.env.run(until=41.25)
    assert rows.power.energy_j(0) == pytest.approx(10 * 500 + 3.5 * 1200 + 6.5 * 900 + 10 * 1000 + 1.25 * 1001)
    assert rows.power.over_budget_s(0) == pytest.approx(3.5 + 1.25)


# --- the brake


def test_the_brake_acts_a_delay_after_the_sample_that_is_above_budget() -> None:
    rows = Rows()
    rows.play([(3.0, 1100.0)])
    rows.env.run(until=8.9)
    assert (rows.power.state(0).braked, rows.log) == (False, [])
    rows.env.run(until=9.1)
    assert rows.log == [(9.0, "brake", 0, 1100.0)]
    assert (rows.power.state(0).braked, rows.power.state(0).brakes, rows.power.power_w[0]) == (True, 1, BRAKED_W)
    assert (rows.power.low_clock(0), rows.power.high_clock(0)) == (288 / 1410, 288 / 1410)


def test_a_row_that_brakes_leaves_the_others_alone() -> None:
    rows = Rows(rows=3)
    rows.play([(3.0, 1100.0)], row=1)
    rows.play([(3.0, 1000.0)], row=2)
    rows.env.run(until=69.0)
    assert rows.log == [(9.0, "brake", 1, 1100.0)]
    assert [rows.power.state(row).braked for row in range(3)] == [False, True, False]
    assert [rows.power.low_clock(row) for row in range(3)] == [1.0, 288 / 1410, 1.0]


def test_a_row_at_its_budget_does_not_brake() -> None:
    rows = Rows()
    rows.play([(3.0, BUDGET_W)])
    rows.env.run(until=100.0)
    assert rows.log == []


def test_a_peak_between_two_samples_is_not_seen() -> None:
    rows = Rows()
    rows.play([(2.5, 1100.0), (3.5, 900.0)])
    rows.env.run(until=100.0)
    assert (rows.log, rows.power.over_budget_s(0)) == ([], 1.0)


def test_the_brake_holds_for_its_time_and_is_lifted_at_a_sample_well_below_budget() -> None:
    rows = Rows()
    rows.play([(3.0, 1100.0), (20.0, 500.0)])
    rows.env.run(until=200.0)
    assert rows.kinds() == [(9.0, "brake"), (70.0, "release")]  # 9 + 60 = 69; the next sample is at 70
    assert rows.changes == [(9.0, 0), (70.0, 0)]


def test_the_brake_stays_on_while_the_row_is_close_to_its_budget() -> None:
    rows = Rows(PowerConfig(release_share=0.5))
    rows.play([(3.0, 1100.0), (100.0, 501.0), (121.0, 499.0)])
    rows.env.run(until=200.0)
    assert rows.kinds() == [(9.0, "brake"), (122.0, "release")]


def test_a_row_that_goes_on_to_draw_too_much_brakes_again() -> None:
    rows = Rows()
    rows.play([(3.0, 1100.0)])
    rows.env.run(until=150.0)
    assert rows.kinds() == [(9.0, "brake"), (70.0, "release"), (77.0, "brake"), (138.0, "release"), (145.0, "brake")]
    assert rows.power.state(0).brakes == 3


def test_a_cap_that_acts_under_the_brake_is_felt_when_the_brake_is_lifted() -> None:
    rows = Rows(PowerConfig(actuation_s=(25.0, 25.0)))
    rows.play([(3.0, 1100.0), (20.0, 500.0)])
    rows.power.command(0, 1, 0)
    rows.env.run(until=60.0)
    assert rows.power.state(0).low_acting == 1
    assert (rows.power.low_clock(0), rows.changes) == (288 / 1410, [(9.0, 0)])
    rows.env.run(until=71.0)
    assert (rows.power.low_clock(0), rows.power.high_clock(0)) == (LOW_CLOCKS[1], 1.0)
    assert [kind for _, kind in rows.kinds()] == ["brake", "low_clock", "release"]


def test_everything_logged_is_a_declared_kind() -> None:
    rows = Rows()
    rows.play([(3.0, 1100.0), (20.0, 500.0)])
    rows.power.command(0, 1, 1)
    rows.env.run(until=200.0)
    assert {kind for _, kind in rows.kinds()} == set(POWER_EVENTS)


WATTS = st.floats(0.0, 2000.0)
TIMES = st.one_of(st.floats(0.0, 300.0), st.integers(0, 300).map(float))
COMMANDS = st.tuples(TIMES, st.integers(0, 2), st.integers(0, 1))


@MANY
@given(
    st.lists(st.tuples(TIMES, WATTS), min_size=1, max_size=40),
    st.lists(COMMANDS, max_size=10),
    st.sampled_from([0.5, 2.0, 7.0]),
    st.sampled_from([0.0, 5.0, 11.0]),
    st.sampled_from([0.0, 1.0, 60.0]),
    st.sampled_from([0.5, 0.95, 1.0]),
)
def test_no_row_is_above_its_budget_for_longer_than_telemetry_and_brake_delay(
    steps: list[Step],
    commands: list[tuple[float, int, int]],
    telemetry_s: float,
    brake_delay_s: float,
    brake_hold_s: float,
    release_share: float,
) -> None:
    rows = Rows(
        PowerConfig(
            telemetry_s=telemetry_s,
            brake_delay_s=brake_delay_s,
            brake_hold_s=brake_hold_s,
            release_share=release_share,
        )
    )
    rows.play(steps)
    for time_s, low, high in commands:
        rows.at(time_s, rows.power.command, 0, low, high)
    rows.env.run(until=400.0)
    above_s = stretches_above(rows.history[0], 400.0)
    assert max(above_s, default=0.0) <= telemetry_s + brake_delay_s + 1e-9
    assert rows.power.over_budget_s(0) == pytest.approx(sum(above_s))


@MANY
@given(st.lists(st.tuples(TIMES, WATTS), max_size=40))
def test_energy_is_the_integral_of_the_logged_power(steps: list[Step]) -> None:
    rows = Rows()
    rows.play(steps)
    rows.env.run(until=400.0)
    time_s, watts = np.array([*rows.history[0], (400.0, 0.0)]).T
    assert rows.power.energy_j(0) == pytest.approx(float(np.sum(watts[:-1] * np.diff(time_s))), abs=1e-6)
