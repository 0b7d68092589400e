"""Figures of merit."""

from __future__ import annotations

from math import isnan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds import MANY

from clustersim.metrics import TimeIntegral, mean_and_percentiles, share


@given(st.floats(-5, 5), st.lists(st.tuples(st.floats(0, 10), st.floats(-3, 3)), max_size=10), st.floats(0, 10))
@MANY
def test_an_integral_is_the_sum_of_its_rectangles(
    start: float, steps: list[tuple[float, float]], tail_s: float
) -> None:
    quantity = TimeIntegral(100.0, start)
    now_s, value, area = 100.0, start, 0.0
    for gap_s, change in steps:
        area += value * gap_s
        now_s += gap_s
        value += change
        quantity.add(now_s, change)
    area += value * tail_s
    now_s += tail_s
    assert quantity.value == pytest.approx(value, abs=1e-9)
    assert quantity.integral(now_s) == pytest.approx(area, rel=1e-9, abs=1e-6)
    if now_s - 100.0 > 1e-3:
        assert quantity.mean(now_s) == pytest.approx(area / (now_s - 100.0), rel=1e-6, abs=1e-6)


def test_the_mean_over_no_time_is_the_value() -> None:
    quantity = TimeIntegral(3.0, 2.0)
    quantity.add(3.0, 5.0)
    assert quantity.mean(3.0) == 7.0


def test_looking_does_not_change_an_integral() -> None:
    quantity = TimeIntegral(0.0, 2.0)
    quantity.integral(50.0)
    quantity.mean(50.0)
    assert quantity.integral(10.0) == 20.0


def test_a_share_of_nothing_is_zero() -> None:
    assert share(3.0, 4.0) == 0.75
    assert share(3.0, 0.0) == 0.0


def test_percentiles_are_named_and_interpolated() -> None:
    figures = mean_and_percentiles("delay_s", [float(v) for v in range(101)])
    assert figures == {"delay_s_mean": 50.0, "delay_s_p50": 50.0, "delay_s_p95": 95.0, "delay_s_p99": 99.0}


@pytest.mark.parametrize("empty", [[], np.empty(0)])
def test_percentiles_of_nothing_are_nan(empty: list[float]) -> None:
    figures = mean_and_percentiles("delay_s", empty)
    assert list(figures) == ["delay_s_mean", "delay_s_p50", "delay_s_p95", "delay_s_p99"]
    assert all(isnan(value) for value in figures.values())
