"""Hourly conditions at a site: carbon intensity, electricity price and weather, as SustainCluster collected them.

A folder holds `carbon_intensity/ZONE_YEAR_hourly.csv` (Electricity Maps), `electricity_price/
ZONE_electricity_prices_YEAR.csv` (market operators) and `weather/ZONE_YEAR.json` (Open-Meteo), each plain or gzipped.
Source: HewlettPackard/sustain-cluster.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clustersim.errors import TraceError
from clustersim.meters import HOUR_S, SiteSeries
from clustersim.traces.rules import breaches, require_columns
from clustersim.traces.text_file import read_text
from clustersim.traces.text_table import read_text_table

Floats = NDArray[np.float64]

DIRECT = "Carbon Intensity gCO₂eq/kWh (direct)"
LIFECYCLE = "Carbon Intensity gCO₂eq/kWh (LCA)"


def read_site(
    folder: Path,
    zone: str,
    year: int,
    *,
    lifecycle: bool = True,
    price_usd_mwh: float | None = None,
    wet_bulb_c: float | None = None,
    ewif_l_kwh: float = 0.0,
) -> SiteSeries:
    """A year at a site, hour by hour in UTC. A price or temperature that is given replaces the file.

    `lifecycle`: carbon of building the power stations too, not only of what they burn. Raises TraceError for a file
    that is missing (naming what there is) or damaged, and for an hour that is missing.
    """
    carbon = _column(
        _file(folder, "carbon_intensity", f"{zone}_{year}_hourly.csv", ""), LIFECYCLE if lifecycle else DIRECT, year
    )
    if (carbon < 0).any():
        raise TraceError(f"{folder}: the carbon intensity of {zone} in {year} is negative in hour {carbon.argmin()}")
    hours = len(carbon)
    if price_usd_mwh is None:
        name = f"{zone}_electricity_prices_{year}.csv"
        price = _column(_file(folder, "electricity_price", name, "price_usd_mwh"), "Price", year)
    else:
        price = np.full(hours, price_usd_mwh)
    if wet_bulb_c is None:
        wet_bulb = _wet_bulb(_file(folder, "weather", f"{zone}_{year}.json", "wet_bulb_c"), hours)
    else:
        wet_bulb = np.full(hours, wet_bulb_c)
    return SiteSeries(HOUR_S, carbon, price, wet_bulb, np.full(hours, ewif_l_kwh))


def stull_wet_bulb_c(temperature_c: Floats, humidity_percent: Floats) -> Floats:
    """Wet-bulb temperature at sea-level pressure, within 1 C for humidities of 5 to 99 %.

    Source: Stull 2011 (doi 10.1175/JAMC-D-11-0143.1) [R].
    """
    t, rh = temperature_c, humidity_percent
    return np.asarray(
        t * np.arctan(0.151977 * np.sqrt(rh + 8.313659))
        + np.arctan(t + rh)
        - np.arctan(rh - 1.676331)
        + 0.00391838 * rh**1.5 * np.arctan(0.023101 * rh)
        - 4.686035
    )


def _file(folder: Path, below: str, name: str, instead: str) -> Path:
    for file in (folder / below / name, folder / below / f"{name}.gz"):
        if file.exists():
            return file
    there = ", ".join(sorted(file.name.removesuffix(".gz") for file in (folder / below).glob("*"))) or "nothing"
    remedy = f"; give a constant {instead}=... to do without it" if instead else ""
    raise TraceError(f"{folder / below}: there is no {name} or {name}.gz{remedy}. There is {there}")


def _column(file: Path, column: str, year: int) -> Floats:
    """The numbers of the column that starts so, one for every hour of the year."""
    table = read_text_table(file)
    column = next((name for name in table.columns if name.startswith(column)), column)
    require_columns(table, ["Datetime (UTC)", column], file)
    hours = pd.date_range(f"{year}-01-01", f"{year + 1}-01-01", freq="h", inclusive="left")
    time = pd.to_datetime(table["Datetime (UTC)"], errors="coerce", format="%Y-%m-%d %H:%M:%S")
    values = pd.to_numeric(table[column], errors="coerce")
    found = [
        f"line {line}, column {name!r}: {table.at[line, name]!r} {rule}"
        for name, bad, rule in (
            ("Datetime (UTC)", ~time.isin(hours), f"must be an hour of {year}"),
            ("Datetime (UTC)", time.duplicated() & time.notna(), "repeats an earlier line"),
            (column, ~np.isfinite(values), "must be a number"),
        )
        for line in table.index[bad]
    ]
    missing = hours.difference(pd.DatetimeIndex(time.dropna()))
    found += [f"hour {hour} is missing" for hour in missing]
    if found:
        raise breaches(file, found)
    return values.to_numpy(dtype=np.float64)[np.argsort(time.to_numpy(), kind="stable")]


def _wet_bulb(file: Path, hours: int) -> Floats:
    """From Open-Meteo's local hours to hours of UTC; half-hour zones lie between two of them."""
    try:
        weather = json.loads(read_text(file))
        offset_h = float(weather["utc_offset_seconds"]) / HOUR_S
        hourly = weather["hourly"]
        temperature_c, humidity = (
            np.array(hourly[name], dtype=np.float64) for name in ("temperature_2m", "relative_humidity_2m")
        )
    except (KeyError, TypeError, ValueError) as error:
        raise TraceError(
            f"{file}: not a reply of Open-Meteo ({error}); it has utc_offset_seconds and hourly.temperature_2m, "
            ".relative_humidity_2m"
        ) from None
    if not len(temperature_c) == len(humidity) == hours or not np.isfinite(temperature_c + humidity).all():
        raise TraceError(
            f"{file}: {len(temperature_c)} temperatures and {len(humidity)} humidities for {hours} hours, or one that "
            "is not a number; there has to be one of each for every hour"
        )
    local_h = np.arange(hours, dtype=np.float64)
    return np.interp(local_h + offset_h, local_h, stull_wet_bulb_c(temperature_c, humidity), period=hours)
