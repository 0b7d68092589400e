"""Machines at a lower clock, with numbers by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from clustersim.dag_clock import at_clock
from clustersim.dags import Dag, DagWorkload, OperatingPoint, batch, uniform_machines
from clustersim.errors import ConfigError

SLOW, MIDDLE, FAST = OperatingPoint(500.0, 800.0), OperatingPoint(1000.0, 900.0), OperatingPoint(2000.0, 1000.0)


def two_machines() -> DagWorkload:
    """A machine of three clocks beside one of a fixed clock; both take 10 W when idle and 50 W when busy."""
    machines = replace(uniform_machines(2, busy_w=50.0, idle_w=10.0), operating_points=((SLOW, MIDDLE, FAST), ()))
    edges = np.array([[0, 1]])
    job = Dag(
        "job",
        ("a", "b"),
        np.array([[6.0, 4.0], [np.inf, 3.0]]),
        edges,
        np.array([7.0]),
        instances=np.array([2, 1]),
        warm_up_s=np.array([1.5, 0.0]),
    )
    return batch("two", machines, [job], switch_s=2.0)


def test_half_the_clock_doubles_run_times_and_takes_the_power_of_its_voltage() -> None:
    slower = at_clock(two_machines(), 0.5)
    assert slower.jobs[0].run_time_s.tolist() == [[12.0, 4.0], [np.inf, 3.0]]
    # Idle: 10 W * 0.9 = 9 W. Busy: 9 W + (50 - 10) W * 1000 / 2000 * 0.9^2 = 9 W + 16.2 W.
    assert slower.machines.idle_w == pytest.approx([9.0, 10.0])
    assert slower.machines.busy_w == pytest.approx([25.2, 50.0])


def test_the_lowest_point_that_is_fast_enough_is_taken() -> None:
    def clocks(share: float) -> tuple[float, float]:
        chosen = at_clock(two_machines(), share)
        return chosen.machines.operating_points[0][-1].mhz, float(chosen.jobs[0].run_time_s[0, 0])

    assert clocks(0.01) == clocks(0.25) == (500.0, 24.0)
    assert clocks(0.26) == clocks(0.5) == (1000.0, 12.0)
    assert clocks(0.51) == clocks(1.0) == (2000.0, 6.0)


def test_a_share_that_is_exactly_a_point_takes_it_although_the_product_is_rounded_up() -> None:
    assert 0.55 * 1400.0 > 770.0
    machines = replace(
        uniform_machines(1), operating_points=((OperatingPoint(770.0, 900.0), OperatingPoint(1400.0, 1000.0)),)
    )
    world = batch("one", machines, [Dag("job", ("a",), np.ones((1, 1)), np.zeros((0, 2), dtype=np.int64), np.zeros(0))])
    assert at_clock(world, 0.55).machines.operating_points[0][-1].mhz == 770.0


def test_run_times_hold_at_the_highest_point_of_the_result_so_that_clocks_can_be_lowered_again() -> None:
    once, twice = at_clock(two_machines(), 0.25), at_clock(at_clock(two_machines(), 0.5), 0.5)
    assert once.machines.operating_points == twice.machines.operating_points == ((SLOW,), ())
    assert twice.jobs[0].run_time_s.tolist() == once.jobs[0].run_time_s.tolist() == [[24.0, 4.0], [np.inf, 3.0]]
    # Busy: 10 W * 0.8 + 40 W * 0.25 * 0.64.
    assert once.machines.busy_w == pytest.approx([14.4, 50.0])
    assert twice.machines.busy_w == pytest.approx([14.4, 50.0])


def test_everything_else_stays_and_the_workload_that_was_given_is_left_alone() -> None:
    given = two_machines()
    slower = at_clock(given, 0.25)
    assert given.jobs[0].run_time_s[0, 0] == 6.0
    assert given.machines.busy_w.tolist() == [50.0, 50.0]
    job = slower.jobs[0]
    assert (job.warm_up_s.tolist(), job.instances.tolist(), job.data_bytes.tolist()) == ([1.5, 0.0], [2, 1], [7.0])
    assert (slower.name, slower.switch_s, slower.arrival_s.tolist()) == (given.name, 2.0, [0.0])


def test_the_full_clock_and_machines_of_a_fixed_clock_change_nothing() -> None:
    full = at_clock(two_machines(), 1.0)
    assert full.jobs[0].run_time_s.tolist() == [[6.0, 4.0], [np.inf, 3.0]]
    assert full.machines.busy_w.tolist() == [50.0, 50.0]
    fixed = batch("fixed", uniform_machines(2), two_machines().jobs)
    assert at_clock(fixed, 0.1) is fixed


@pytest.mark.parametrize("share", [0.0, -0.5, 1.01, float("nan")])
def test_an_impossible_share_is_refused(share: float) -> None:
    with pytest.raises(ConfigError, match=rf"share of the highest clock is {share}; .*above 0 and at most 1"):
        at_clock(two_machines(), share)
