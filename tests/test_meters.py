"""What a site draws, emits, evaporates and pays: published values, and exact integrals."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from worlds import FEW

from clustersim.errors import ConfigError
from clustersim.meters import HOUR_S, Meter, SiteConfig, SiteSeries, constant_site, cooling_water_l_kwh


def celsius(fahrenheit: float) -> float:
    return (fahrenheit - 32) / 1.8


def site(
    carbon: list[float], price: list[float], wet_bulb: list[float], ewif: list[float], step_s: float = HOUR_S
) -> SiteSeries:
    return SiteSeries(step_s, *(np.array(values) for values in (carbon, price, wet_bulb, ewif)))


def amounts(meter: Meter) -> tuple[float, float, float, float]:
    return meter.energy_kwh, meter.carbon_g, meter.water_l, meter.cost_usd


@pytest.mark.parametrize(
    ("fahrenheit", "litres"),
    [(35, 1.53), (40, 2.21), (50, 3.12), (60, 3.79), (65, 4.17), (70, 4.66), (75, 5.29), (80, 6.14), (85, 7.26)],
)
def test_cooling_water_is_that_of_the_reference(fahrenheit: float, litres: float) -> None:
    assert cooling_water_l_kwh(np.array([celsius(fahrenheit)])) == pytest.approx(litres, abs=0.006)


def test_cooling_water_has_a_floor_and_falls_with_the_cycles() -> None:
    assert cooling_water_l_kwh(np.array([-40.0, -5.0])).tolist() == [0.05, 0.05]
    three, six = (cooling_water_l_kwh(np.array([20.0]), cycles)[0] for cycles in (3.0, 6.0))
    assert three / six == pytest.approx((3 / 2) / (6 / 5))
    with pytest.raises(ConfigError, match=r"cycles of concentration is 1\.0"):
        cooling_water_l_kwh(np.array([20.0]), 1.0)


def test_a_day_of_a_kilowatt_under_constant_conditions() -> None:
    series = site([400.0], [50.0], [celsius(50)], [2.0])
    meter = Meter(0.0, series, SiteConfig(pue=1.5))
    meter.set_power(0.0, 1000.0)
    meter.advance(86_400.0)
    assert amounts(meter) == pytest.approx((24.0, 24 * 1.5 * 400, 24 * (3.12 + 1.5 * 2.0), 24 * 1.5 * 0.05))


def test_water_of_the_towers_can_be_scaled_or_fixed() -> None:
    def water_l(config: SiteConfig) -> float:
        meter = Meter(0.0, constant_site(wet_bulb_c=celsius(50), ewif_l_kwh=1.0), config)
        meter.set_power(0.0, 1000.0)
        meter.advance(3600.0)
        return meter.water_l

    assert water_l(SiteConfig(pue=1.0)) == pytest.approx(3.12 + 1)
    assert water_l(SiteConfig(pue=1.0, water_scale=0.25)) == pytest.approx(3.12 / 4 + 1)
    assert water_l(SiteConfig(pue=1.0, water_scale=0.25, fixed_water_l_kwh=0.5)) == pytest.approx(0.5 + 1)


def test_a_negative_price_pays() -> None:
    meter = Meter(0.0, constant_site(price_usd_mwh=-20.0), SiteConfig(pue=1.0))
    meter.set_power(0.0, 1e6)
    meter.advance(1800.0)
    assert meter.cost_usd == pytest.approx(-10.0)


def test_a_simulation_may_start_in_the_middle_of_the_series_and_run_over_its_end() -> None:
    series = site([100.0, 200.0, 400.0], [0.0] * 3, [10.0] * 3, [0.0] * 3)
    meter = Meter(50.0, series, SiteConfig(pue=1.0, start_s=2.5 * HOUR_S))
    meter.set_power(50.0, 1000.0)
    meter.advance(50.0 + HOUR_S)
    assert meter.carbon_g == pytest.approx(0.5 * 400 + 0.5 * 100)
    meter.advance(50.0 + 4 * HOUR_S)
    assert meter.carbon_g == pytest.approx(0.5 * 400 + 100 + 200 + 400 + 0.5 * 100)


def test_a_start_beyond_the_series_is_in_one_of_its_rounds() -> None:
    series = site([100.0, 200.0], [0.0] * 2, [10.0] * 2, [0.0] * 2)
    meter = Meter(0.0, series, SiteConfig(pue=1.0, start_s=7 * HOUR_S))
    meter.set_power(0.0, 1000.0)
    meter.advance(HOUR_S / 2)
    assert meter.carbon_g == pytest.approx(100.0)


STEPS = st.lists(
    st.tuples(st.floats(0, 900), st.floats(-100, 500), st.floats(-20, 35), st.floats(0, 3)), min_size=1, max_size=5
)
CHANGES = st.lists(
    st.tuples(st.one_of(st.floats(0, 40_000), st.integers(0, 11).map(lambda hour: hour * HOUR_S)), st.floats(0, 1e5)),
    min_size=1,
    max_size=12,
)


@FEW
@given(STEPS, CHANGES, st.floats(1, 2), st.floats(0, 20_000), st.sampled_from([HOUR_S, 900.0]))
def test_amounts_are_the_integrals_across_steps(
    steps: list[tuple[float, ...]], changes: list[tuple[float, float]], pue: float, start_s: float, step_s: float
) -> None:
    """Against scipy's quadrature of P(t) x condition(t), cut at every jump."""
    series = site(*map(list, zip(*steps, strict=True)), step_s=step_s)
    meter = Meter(0.0, series, SiteConfig(pue=pue, start_s=start_s))
    changes = sorted(changes)
    end_s = 45_000.0
    for time_s, watts in changes:
        meter.set_power(time_s, watts)
    meter.advance(end_s)

    def rates(time_s: float) -> tuple[float, ...]:
        kilowatt = next((watts for at_s, watts in reversed(changes) if at_s <= time_s), 0.0) / 1000
        carbon, price, wet_bulb, ewif = steps[int((start_s + time_s) // step_s) % len(steps)]
        f = 1.8 * wet_bulb + 32
        on_site = max(0.05, 6 / 5 * (6e-5 * f**3 - 0.01 * f**2 + 0.61 * f - 10.4))
        return (
            kilowatt,
            kilowatt * pue * carbon,
            kilowatt * (on_site + pue * ewif),
            kilowatt * pue * price / 1000,
        )

    boundaries_s = [k * step_s - start_s for k in range(int((start_s + end_s) // step_s) + 1)]
    cuts_s = sorted({0.0, end_s, *(time_s for time_s, _ in changes), *(t for t in boundaries_s if 0 < t < end_s)})
    for k, measured in enumerate(amounts(meter)):
        exact = sum(
            quad(lambda t, k=k: rates(t)[k] / HOUR_S, low, high)[0]
            for low, high in pairwise(cuts_s)
            if high - low > 1e-6
        )
        assert measured == pytest.approx(exact, rel=1e-6, abs=1e-4)


@FEW
@given(st.lists(st.floats(0, 30_000), max_size=10))
def test_reading_a_meter_does_not_change_it(readings_s: list[float]) -> None:
    series = site([100.0, 300.0], [10.0, -5.0], [5.0, 25.0], [1.0, 2.0])
    read, unread = Meter(0.0, series), Meter(0.0, series)
    for meter in (read, unread):
        meter.set_power(0.0, 700.0)
    for time_s in sorted(readings_s):
        read.advance(time_s)
        assert amounts(read) == amounts(read)
    for meter in (read, unread):
        meter.advance(30_000.0)
    assert amounts(read) == pytest.approx(amounts(unread))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"step_s": 0.0}, "step_s is 0.0"),
        ({"price_usd_mwh": np.array([1.0])}, "as many steps; got carbon_g_kwh 2, price_usd_mwh 1, "),
        ({"carbon_g_kwh": np.array([1.0, -2.0])}, "carbon_g_kwh of step 1 is -2.0; .* at least 0"),
        ({"ewif_l_kwh": np.array([-1.0, 2.0])}, "ewif_l_kwh of step 0 is -1.0; .* at least 0"),
        ({"price_usd_mwh": np.array([1.0, np.nan])}, "price_usd_mwh of step 1 is nan; it has to be finite"),
        ({"wet_bulb_c": np.array([np.inf, 1.0])}, "wet_bulb_c of step 0 is inf; it has to be finite"),
    ],
)
def test_conditions_that_cannot_be_are_rejected(change: dict[str, Any], message: str) -> None:
    series = site([1.0, 2.0], [1.0, 2.0], [1.0, 2.0], [1.0, 2.0])
    with pytest.raises(ConfigError, match=message):
        replace(series, **change)


def test_a_site_without_any_step_is_rejected() -> None:
    with pytest.raises(ConfigError, match="as many steps; got carbon_g_kwh 0"):
        site([], [], [], [])


@pytest.mark.parametrize(
    "change", [{"pue": 0.9}, {"water_scale": -1.0}, {"fixed_water_l_kwh": -1.0}, {"start_s": -1.0}, {"pue": np.nan}]
)
def test_a_site_that_cannot_be_is_rejected(change: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=f"{next(iter(change))} is"):
        replace(SiteConfig(), **change)


def test_power_below_zero_and_time_that_goes_back_are_rejected() -> None:
    meter = Meter(0.0, constant_site())
    for watts in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ConfigError, match="a meter was told"):
            meter.set_power(1.0, watts)
    meter.advance(5.0)
    with pytest.raises(ConfigError, match=r"was read at 5.0 s and cannot go back to 4.0 s"):
        meter.advance(4.0)
