"""The generated load of a service: wave, noise and bursts are as declared, and like those of recorded functions."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from clustersim.control_workload import ServiceLoad
from clustersim.errors import ConfigError
from clustersim.traces.diurnal import SPIKY, STEADY, Diurnal
from clustersim.traces.faas import FaasTrace, read_faas

DAY_S = 86_400.0
PLAIN = Diurnal(peak_to_trough=1.0, noise=0.0, bursts_per_hour=0.0)


def draw(diurnal: Diurnal, seed: int = 0, days: int = 1, step_s: float = 10.0) -> ServiceLoad:
    return diurnal.load(np.random.default_rng(seed), 10.0, days * DAY_S, step_s, DAY_S)


def runs(hot: NDArray[np.bool_]) -> list[slice]:
    """The longest slices in which it is hot."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], hot.astype(int), [0]))))
    return [slice(first, last) for first, last in edges.reshape(-1, 2)]


def by_minute(load: ServiceLoad) -> NDArray[np.float64]:
    return load.rate_rps.reshape(-1, 6).mean(axis=1)


def test_without_wave_noise_and_bursts_the_load_is_the_mean() -> None:
    load = draw(PLAIN, days=1, step_s=600.0)
    assert load.time_s.tolist() == [600.0 * step for step in range(144)]
    assert load.rate_rps.tolist() == [10.0] * 144


def test_the_wave_goes_from_trough_to_peak_within_a_period_from_a_random_phase() -> None:
    waves = [draw(replace(PLAIN, peak_to_trough=3.0), seed).rate_rps for seed in range(20)]
    for wave in waves:
        assert (wave.max(), wave.min()) == pytest.approx((15.0, 5.0), rel=1e-4)
        assert wave.mean() == pytest.approx(10.0)
    tops = [int(wave.argmax()) / len(wave) for wave in waves]
    assert min(tops) < 0.2
    assert max(tops) > 0.8
    half = PLAIN.load(np.random.default_rng(0), 10.0, 3600.0, 10.0, 3600.0)
    assert len(half.time_s) == 360


def test_noise_has_its_spread_its_memory_and_no_bias() -> None:
    noise = np.log(draw(replace(PLAIN, noise=0.2, noise_memory_s=120.0), days=30, step_s=60.0).rate_rps / 10)
    assert noise.std() == pytest.approx(0.2, rel=0.03)
    assert np.exp(noise).mean() == pytest.approx(1.0, abs=0.01)
    for lag in (1, 2, 4):
        assert np.corrcoef(noise[lag:], noise[:-lag])[0, 1] == pytest.approx(np.exp(-lag / 2), abs=0.02)


def test_bursts_rise_within_their_range_and_are_as_frequent_tall_and_long_as_declared() -> None:
    rare = replace(
        PLAIN, bursts_per_hour=0.2, burst_height=2.0, burst_height_sigma=0.3, burst_mean_s=300.0, rise_s=(60.0, 120.0)
    )
    rises_s, heights, count, total = [], [], 0, 0.0
    for seed in range(150):
        rate = draw(replace(rare, tallest=100.0), seed).rate_rps / 10 - 1
        total += rate.sum() / len(rate)
        for run in runs(rate > 0):
            top = rate[run].max()
            count += 1
            heights.append(top)
            rises_s.append(10.0 * int((rate[run] > 0.99 * top).argmax()))
    assert count == pytest.approx(0.2 * 24 * 150, rel=0.1)
    assert np.median(heights) == pytest.approx(2.0, rel=0.07)
    assert np.quantile(rises_s, 0.05) >= 50
    assert np.quantile(rises_s, 0.9) <= 130
    assert total / 150 == pytest.approx(rare.mean - 1, rel=0.1)


def test_the_mean_counts_that_heights_are_skewed() -> None:
    skewed = replace(PLAIN, bursts_per_hour=2.0, burst_height_sigma=0.8, tallest=1000.0)
    mean = np.mean([draw(skewed, seed).rate_rps.mean() / 10 for seed in range(100)])
    assert mean - 1 == pytest.approx(skewed.mean - 1, rel=0.08)


def test_bursts_are_cut_where_they_would_be_too_tall() -> None:
    wild = replace(PLAIN, bursts_per_hour=60.0, burst_height=3.0, tallest=1.5)
    assert draw(wild).rate_rps.max() == 25.0


def test_the_same_generator_gives_the_same_load_and_another_seed_another() -> None:
    assert draw(STEADY, 1).rate_rps.tolist() == draw(STEADY, 1).rate_rps.tolist()
    assert draw(STEADY, 1).rate_rps.tolist() != draw(STEADY, 2).rate_rps.tolist()


Bursts = tuple[float, float, float]
"""How many an hour, how high (median) and how long (mean, minutes)."""


def bursts(minutes: list[NDArray[np.float64]], level: list[float], over: list[float]) -> Bursts:
    """Of the runs of minutes above a level each, heights as multiples of another."""
    found = [
        (load[run].max() / base, run)
        for load, at, base in zip(minutes, level, over, strict=True)
        for run in runs(load > at)
    ]
    hours = sum(map(len, minutes)) / 60
    return (
        len(found) / hours,
        float(np.median([height for height, _ in found])),
        float(np.mean([run.stop - run.start for _, run in found])),
    )


def steady_bursts(minutes: list[NDArray[np.float64]]) -> Bursts:
    medians = [float(np.median(load)) for load in minutes]
    return bursts(minutes, [1.5 * median for median in medians], medians)


def spikes(load: NDArray[np.float64]) -> Bursts:
    return bursts([load], [2 * load.mean()], [load.mean()])


def generated(diurnal: Diurnal) -> list[NDArray[np.float64]]:
    """Minutes of ten days without the wave: the recorded eight hours show none."""
    return [by_minute(draw(replace(diurnal, peak_to_trough=1.0), seed)) for seed in range(10)]


@pytest.fixture(scope="module")
def recorded() -> FaasTrace:
    root = Path(os.environ.get("CLUSTERSIM_TRACES") or Path(__file__).parents[2] / "shared" / "traces")
    folder = root / "faas_azure2019_sample" / "500"
    if not folder.is_dir():
        pytest.skip(f"there are no recorded functions: {folder} is no folder; name its root in CLUSTERSIM_TRACES")
    return read_faas(folder)


def test_a_steady_load_has_the_bursts_that_are_quoted_for_it() -> None:
    minutes = generated(STEADY)
    assert steady_bursts(minutes) == pytest.approx((2.5, 1.8, 2.6), rel=0.05)
    calm = [np.log(load[load < 1.5 * np.median(load)] / np.median(load)).std() for load in minutes]
    assert np.mean(calm) == pytest.approx(0.13, abs=0.01)


def test_a_spiky_load_has_the_spikes_that_are_quoted_for_it() -> None:
    assert np.median([spikes(load) for load in generated(SPIKY)], axis=0) == pytest.approx((3.6, 3.0, 1.6), rel=0.05)


def test_the_recorded_bursts_are_those_that_are_quoted(recorded: FaasTrace) -> None:
    counts = [row.astype(np.float64) for row in recorded.counts if np.median(row) >= 30]
    bursting = [row for row in counts if (row > 1.5 * np.median(row)).any()]
    assert (len(counts), len(bursting)) == (14, 3)
    assert steady_bursts(bursting) == pytest.approx((3.5, 1.7, 2.0), rel=0.03)
    noise = [np.log(row[row < 1.5 * np.median(row)]).std() for row in counts]
    assert np.median(noise) == pytest.approx(0.10, abs=0.005)


def test_the_recorded_spikes_are_those_that_are_quoted(recorded: FaasTrace) -> None:
    http = [
        row.astype(np.float64)
        for row, trigger in zip(recorded.counts, recorded.trigger, strict=True)
        if trigger == "http" and row.std() > row.mean() >= 1
    ]
    assert len(http) == 8
    assert np.median([spikes(row) for row in http], axis=0) == pytest.approx((4.2, 3.4, 1.4), rel=0.03)
    over_calm = [spikes(row)[1] * row.mean() / max(row[row <= 2 * row.mean()].mean(), 1e-9) for row in http]
    assert np.median(over_calm) == pytest.approx(8.5, rel=0.03)


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ({"peak_to_trough": 0.5}, "peak_to_trough is 0.5"),
        ({"noise": -1.0}, "noise is -1.0"),
        ({"bursts_per_hour": float("nan")}, "bursts_per_hour is nan"),
        ({"burst_mean_s": 0.0}, "burst_mean_s is 0.0"),
        ({"tallest": 0.0}, "tallest is 0.0"),
        ({"rise_s": (0.0, 1.0)}, r"rise_s is \(0.0, 1.0\)"),
        ({"rise_s": (2.0, 1.0)}, "shortest first"),
    ],
)
def test_a_load_that_cannot_be_is_refused(bad: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Diurnal(**bad)


@pytest.mark.parametrize("bad", [{"mean_rps": 0.0}, {"step_s": 7300.0}, {"duration_s": float("inf")}])
def test_a_load_needs_a_rate_and_steps_shorter_than_itself(bad: dict[str, float]) -> None:
    asked = {"mean_rps": 1.0, "duration_s": 7200.0, "step_s": 10.0, "period_s": DAY_S} | bad
    with pytest.raises(ConfigError, match=f"{next(iter(bad))}={next(iter(bad.values()))}"):
        STEADY.load(np.random.default_rng(0), **asked)
