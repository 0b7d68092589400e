"""Hourly carbon intensity, price and weather: rules of the files, and what the real ones hold."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clustersim.errors import TraceError
from clustersim.meters import Meter, SiteConfig
from clustersim.traces.carbon import read_site, stull_wet_bulb_c
from clustersim.traces.site_catalog import CARBON

HOURS = 8760
YEAR = [f"{datetime(2023, 1, 1, tzinfo=UTC) + timedelta(hours=hour):%Y-%m-%d %H:%M:%S}" for hour in range(HOURS)]
HEADER = "Datetime (UTC),Country,Carbon Intensity gCO₂eq/kWh (direct),Carbon Intensity gCO₂eq/kWh (LCA)"


@pytest.fixture(scope="module")
def carbon_folder() -> Path:
    root = Path(os.environ.get("CLUSTERSIM_TRACES") or Path(__file__).parents[2] / "shared" / "traces")
    if not any((root / CARBON.folder / "carbon_intensity").glob("*.csv*")):
        pytest.skip(f"carbon intensities are not in {root}; name its folder in CLUSTERSIM_TRACES")
    return root / CARBON.folder


def carbon_lines() -> list[str]:
    """Line k + 1 is hour k: (100 + k) g/kWh directly, twice that with what was built."""
    return [HEADER, *(f"{time},Nowhere,{100 + hour},{200 + 2 * hour}" for hour, time in enumerate(YEAR))]


def write_carbon(folder: Path, lines: list[str]) -> Path:
    below = folder / "carbon_intensity"
    below.mkdir(exist_ok=True)
    (below / "XX_2023_hourly.csv").write_text("\n".join(lines), encoding="utf-8")
    return folder


def write_price(folder: Path) -> None:
    below = folder / "electricity_price"
    below.mkdir()
    lines = [
        "Datetime (UTC),Datetime (Local),Price (USD/MWh)",
        *(f"{time},,{k % 24 - 5}" for k, time in enumerate(YEAR)),
    ]
    with gzip.open(below / "XX_electricity_prices_2023.csv.gz", "wt") as file:
        file.write("\n".join(lines))


def write_weather(folder: Path, offset_h: float = 0.0, **change: Any) -> None:
    below = folder / "weather"
    below.mkdir(exist_ok=True)
    hour = np.arange(HOURS)
    hourly = {"temperature_2m": (hour % 24 * 1.0).tolist(), "relative_humidity_2m": [50.0] * HOURS, **change}
    (below / "XX_2023.json").write_text(json.dumps({"utc_offset_seconds": 3600 * offset_h, "hourly": hourly}))


def test_a_year_becomes_a_series_hour_by_hour(tmp_path: Path) -> None:
    write_carbon(tmp_path, carbon_lines())
    write_price(tmp_path)
    write_weather(tmp_path)
    series = read_site(tmp_path, "XX", 2023, ewif_l_kwh=1.5)
    assert (len(series), series.step_s) == (HOURS, 3600.0)
    assert series.carbon_g_kwh[:3].tolist() == [200, 202, 204]
    assert series.price_usd_mwh[:3].tolist() == [-5, -4, -3]
    assert series.wet_bulb_c[20] == pytest.approx(13.7, abs=0.1)
    assert set(series.ewif_l_kwh) == {1.5}
    assert read_site(tmp_path, "XX", 2023, lifecycle=False).carbon_g_kwh[:2].tolist() == [100, 101]


def test_rows_in_another_order_are_sorted(tmp_path: Path) -> None:
    header, *rows = carbon_lines()
    write_carbon(tmp_path, [header, *reversed(rows)])
    series = read_site(tmp_path, "XX", 2023, price_usd_mwh=80.0, wet_bulb_c=10.0)
    assert series.carbon_g_kwh[:2].tolist() == [200, 202]
    assert (set(series.price_usd_mwh), set(series.wet_bulb_c)) == ({80.0}, {10.0})


@pytest.mark.parametrize("offset_h", [-5.0, 0.0, 9.0, 5.5])
def test_local_weather_is_put_on_utc(tmp_path: Path, offset_h: float) -> None:
    write_carbon(tmp_path, carbon_lines())
    write_weather(tmp_path, offset_h)
    series = read_site(tmp_path, "XX", 2023, price_usd_mwh=80.0)
    local_h = (12 + offset_h) % 24  # temperatures count the local hour
    low, high = stull_wet_bulb_c(np.array([np.floor(local_h), np.ceil(local_h)]), np.array([50.0, 50.0]))
    assert series.wet_bulb_c[12] == pytest.approx((low + high) / 2)


@pytest.mark.parametrize(
    ("line", "change", "message"),
    [
        (100, None, "hour 2023-01-05 03:00:00 is missing"),
        (100, "2023-01-01 00:00:00,Nowhere,1,2", r"line 101, column 'Datetime \(UTC\)': .* repeats an earlier line"),
        (100, "2024-01-01 00:00:00,Nowhere,1,2", "line 101, .*'2024-01-01 00:00:00' must be an hour of 2023"),
        (100, "2023-01-05 03:30:00,Nowhere,1,2", "'2023-01-05 03:30:00' must be an hour of 2023"),
        (100, "yesterday,Nowhere,1,2", "'yesterday' must be an hour of 2023"),
        (100, "2023-01-05 03:00:00,Nowhere,1,", r"line 101, column 'Carbon Intensity .*': '' must be a number"),
        (100, "2023-01-05 03:00:00,Nowhere,1,-2", "carbon intensity of XX in 2023 is negative in hour 99"),
        (0, HEADER.replace("Carbon", "Coal"), "column 'Carbon Intensity gCO₂eq/kWh .LCA.' is missing"),
    ],
)
def test_a_file_that_breaks_a_rule_is_rejected(tmp_path: Path, line: int, change: str | None, message: str) -> None:
    lines = carbon_lines()
    lines[line : line + 1] = [] if change is None else [change]
    with pytest.raises(TraceError, match=message):
        read_site(write_carbon(tmp_path, lines), "XX", 2023, price_usd_mwh=80.0, wet_bulb_c=10.0)


def test_a_missing_file_is_named_with_what_there_is_and_the_remedy(tmp_path: Path) -> None:
    write_carbon(tmp_path, carbon_lines())
    with pytest.raises(
        TraceError, match=r"no YY_2023_hourly.csv or YY_2023_hourly.csv.gz\. There is XX_2023_hourly.csv"
    ):
        read_site(tmp_path, "YY", 2023)
    with pytest.raises(TraceError, match=r"no XX_electricity_prices_2023.csv .* give a constant price_usd_mwh="):
        read_site(tmp_path, "XX", 2023, wet_bulb_c=10.0)
    with pytest.raises(TraceError, match=r"no XX_2023.json .* give a constant wet_bulb_c=.* There is nothing"):
        read_site(tmp_path, "XX", 2023, price_usd_mwh=80.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"temperature_2m": [1.0]}, f"1 temperatures and {HOURS} humidities for {HOURS} hours"),
        ({"relative_humidity_2m": [None] * HOURS}, "one that is not a number"),
        ({"temperature_2m": "warm"}, "not a reply of Open-Meteo"),
    ],
)
def test_weather_that_breaks_a_rule_is_rejected(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    write_carbon(tmp_path, carbon_lines())
    write_weather(tmp_path, **change)
    with pytest.raises(TraceError, match=message):
        read_site(tmp_path, "XX", 2023, price_usd_mwh=80.0)


def test_wet_bulb_temperature_is_that_of_the_published_example() -> None:
    # Stull 2011: 20 C and 50 % give 13.7 C; saturated air is at its wet-bulb temperature already.
    assert stull_wet_bulb_c(np.array([20.0, 20.0]), np.array([50.0, 99.0])) == pytest.approx([13.7, 19.9], abs=0.05)


def test_the_real_files_are_those_of_the_catalogue(carbon_folder: Path) -> None:
    compared = 0
    for file in CARBON.files:
        plain, zipped = carbon_folder / file.name, carbon_folder / f"{file.name}.gz"
        if plain.exists() or zipped.exists():
            content = plain.read_bytes() if plain.exists() else gzip.decompress(zipped.read_bytes())
            assert hashlib.sha256(content).hexdigest() == file.sha256, file.name
            compared += 1
    assert compared


def test_a_megawatt_emits_the_mean_of_the_year(carbon_folder: Path) -> None:
    series = read_site(carbon_folder, "DE-LU", 2023, price_usd_mwh=0.0, wet_bulb_c=10.0)
    assert len(series) == HOURS
    assert 300 < series.carbon_g_kwh.mean() < 450  # Germany: 381 g/kWh in CodeCarbon's table
    meter = Meter(0.0, series, SiteConfig(pue=1.0))
    meter.set_power(0.0, 1e6)
    meter.advance(HOURS * 3600.0)
    assert meter.carbon_g / meter.energy_kwh == pytest.approx(series.carbon_g_kwh.mean())
    assert len(read_site(carbon_folder, "ZA", 2024, price_usd_mwh=0.0, wet_bulb_c=10.0)) == 8784
