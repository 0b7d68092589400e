"""Work: an amount, a rate that changes, and a finish time that follows."""

from __future__ import annotations

import pytest
import simpy
from hypothesis import given
from hypothesis import strategies as st
from worlds import MANY

from clustersim.work import Work


class Bench:
    """One work of `amount` units, its finish times, and a calendar of things to do to it."""

    def __init__(self, amount: float, rate: float = 1.0) -> None:
        self.env = simpy.Environment()
        self.finished_s: list[float] = []
        self.work = Work(self.env, amount, lambda: self.finished_s.append(self.env.now), rate)

    def at(self, time_s: float, rate: float) -> None:
        self.env.timeout(time_s).callbacks.append(lambda _event: self.work.set_rate(rate))


def test_work_finishes_after_amount_over_rate() -> None:
    bench = Bench(12.0, rate=4.0)
    bench.env.run()
    assert bench.finished_s == [3.0]
    assert (bench.work.left, bench.work.rate) == (0.0, 0.0)


def test_no_work_is_finished_at_once_but_not_inside_the_call_that_starts_it() -> None:
    bench = Bench(0.0)
    assert bench.finished_s == []
    bench.env.run()
    assert bench.finished_s == [0.0]


def test_no_work_that_is_paused_is_finished_when_it_goes_on() -> None:
    bench = Bench(0.0, rate=0.0)
    bench.at(5.0, 1.0)
    bench.env.run()
    assert bench.finished_s == [5.0]


def test_slowing_work_down_postpones_its_end_and_the_old_end_is_ignored() -> None:
    bench = Bench(10.0)
    bench.at(4.0, 0.5)
    bench.env.run()
    assert bench.finished_s == [16.0]


def test_speeding_work_up_brings_its_end_forward_and_finishes_it_once() -> None:
    bench = Bench(10.0)
    bench.at(4.0, 3.0)
    bench.env.run()
    assert bench.finished_s == [6.0]


def test_paused_work_keeps_what_is_left() -> None:
    bench = Bench(10.0)
    bench.at(4.0, 0.0)
    bench.env.run(until=50.0)
    assert bench.finished_s == []
    assert (bench.work.left, bench.work.rate) == (6.0, 0.0)
    bench.work.set_rate(2.0)
    bench.env.run()
    assert bench.finished_s == [53.0]


def test_what_is_left_falls_while_time_passes() -> None:
    bench = Bench(10.0, rate=2.0)
    bench.env.run(until=1.5)
    assert bench.work.left == 7.0
    assert bench.work.rate == 2.0


def test_stopped_work_tells_what_was_left_and_never_finishes() -> None:
    bench = Bench(10.0, rate=2.0)
    bench.env.run(until=3.0)
    assert bench.work.stop() == 4.0
    bench.env.run()
    assert bench.finished_s == []
    assert bench.work.rate == 0.0


def test_a_change_at_the_very_instant_of_the_end_does_not_finish_the_work_twice() -> None:
    bench = Bench(10.0)
    slowed = simpy.Environment.timeout(bench.env, 10.0)  # after the finish event of the same instant
    slowed.callbacks.append(lambda _event: None if bench.finished_s else bench.work.set_rate(0.5))
    bench.env.run()
    assert bench.finished_s == [10.0]


@pytest.mark.parametrize("amount", [-1.0, float("nan")])
def test_an_impossible_amount_is_refused(amount: float) -> None:
    with pytest.raises(ValueError, match="amount of work is at least 0"):
        Bench(amount)


@pytest.mark.parametrize("rate", [-0.1, float("nan")])
def test_an_impossible_rate_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="rate of work is at least 0"):
        Bench(1.0).work.set_rate(rate)


rates = st.one_of(st.just(0.0), st.floats(1e-3, 4.0))


@given(st.floats(0.1, 100.0), rates, st.lists(st.tuples(st.floats(0.0, 20.0), rates), max_size=8))
@MANY
def test_the_end_is_where_the_integral_of_the_rate_reaches_the_amount(
    amount: float, rate: float, changes: list[tuple[float, float]]
) -> None:
    bench = Bench(amount, rate)
    time_s = 0.0
    pieces = [(0.0, rate)]
    for gap_s, changed in changes:
        time_s += gap_s
        pieces.append((time_s, changed))
    # A change after the end would revive the work (see the next test), so the calendar goes only as far as it runs.
    expected_s, left = None, amount
    for (start_s, speed), (end_s, _) in zip(pieces, [*pieces[1:], (float("inf"), 0.0)], strict=True):
        done = speed * (end_s - start_s) if speed else 0.0
        if speed and left <= done:
            expected_s = start_s + left / speed
            break
        left -= done
    for start_s, speed in pieces[1:]:
        if expected_s is None or start_s < expected_s * (1 - 1e-9):
            bench.at(start_s, speed)
    bench.env.run()
    if expected_s is None:
        assert bench.finished_s == []
        assert bench.work.left == pytest.approx(left, rel=1e-9, abs=1e-9)
    else:
        assert bench.finished_s == [pytest.approx(expected_s, rel=1e-9)]


def test_work_that_is_finished_does_not_finish_again_when_its_rate_changes() -> None:
    bench = Bench(10.0)
    bench.at(20.0, 0.5)
    bench.env.run()
    assert bench.finished_s == [10.0]


def test_work_that_was_given_up_does_not_come_back_when_its_rate_changes() -> None:
    bench = Bench(10.0)
    bench.work.stop()
    bench.work.set_rate(1.0)
    bench.env.run()
    assert bench.finished_s == []
