"""Load of a service, generated: a daily wave, noise, and bursts that rise within minutes."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, inf, sqrt

import numpy as np
from numpy.typing import NDArray

from clustersim.control_workload import ServiceLoad
from clustersim.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Diurnal:
    """A distribution of loads around a mean of 1: `load` scales it, and draws one.

    rate = wave * noise * (1 + bursts). The wave goes from trough to peak and back once in a period, from a random
    phase. The noise is a lognormal AR(1) process. Bursts arrive as a Poisson process; each rises in a straight line
    within `rise_s`, stays for an exponential time, and falls as it rose. Their height is lognormal in units of the
    wave; bursts that overlap add up.
    """

    peak_to_trough: float = 3.0
    noise: float = 0.08
    """Standard deviation of the logarithm."""
    noise_memory_s: float = 120.0
    bursts_per_hour: float = 5.0
    burst_height: float = 0.7
    """Median, times the wave."""
    burst_height_sigma: float = 0.5
    burst_mean_s: float = 40.0
    rise_s: tuple[float, float] = (60.0, 150.0)
    tallest: float = 1.0
    """All bursts together are cut here, in units of the wave."""

    def __post_init__(self) -> None:
        if not self.peak_to_trough >= 1:
            raise ConfigError(f"peak_to_trough is {self.peak_to_trough}; it has to be at least 1")
        for name in ("noise", "bursts_per_hour", "burst_height", "burst_height_sigma"):
            if not 0 <= getattr(self, name) < inf:
                raise ConfigError(f"{name} is {getattr(self, name)}; it has to be at least 0")
        for name in ("noise_memory_s", "burst_mean_s", "tallest"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} is {getattr(self, name)}; it has to be positive")
        if not 0 < self.rise_s[0] <= self.rise_s[1] < inf:
            raise ConfigError(f"rise_s is {self.rise_s}; it has to be a range of positive seconds, shortest first")

    @property
    def mean(self) -> float:
        """Mean of the load, bursts included, but for what `tallest` cuts off."""
        burst = self.burst_height * exp(self.burst_height_sigma**2 / 2)
        return 1 + self.bursts_per_hour / 3600 * burst * (self.burst_mean_s + sum(self.rise_s) / 2)

    def load(
        self, rng: np.random.Generator, mean_rps: float, duration_s: float, step_s: float, period_s: float
    ) -> ServiceLoad:
        """One load of that length in steps of `step_s`; `mean_rps` is the mean of the wave, without bursts."""
        if not (0 < mean_rps < inf and 0 < step_s <= duration_s < inf and 0 < period_s < inf):
            raise ConfigError(
                f"a load needs a positive rate, and steps no longer than its length; got {mean_rps=}, {step_s=}, "
                f"{duration_s=}, {period_s=}"
            )
        time_s = np.arange(0.0, duration_s, step_s)
        wave = self._wave(rng, time_s, period_s)
        noise = self._noise(rng, len(time_s), step_s)
        return ServiceLoad(time_s, mean_rps * wave * noise * (1 + self._bursts(rng, time_s, duration_s)))

    def _wave(self, rng: np.random.Generator, time_s: NDArray[np.float64], period_s: float) -> NDArray[np.float64]:
        amplitude = (self.peak_to_trough - 1) / (self.peak_to_trough + 1)
        wave: NDArray[np.float64] = 1 + amplitude * np.sin(2 * np.pi * (time_s / period_s + rng.random()))
        return wave

    def _noise(self, rng: np.random.Generator, steps: int, step_s: float) -> NDArray[np.float64]:
        memory = exp(-step_s / self.noise_memory_s)
        fresh = sqrt(1 - memory**2)
        level = [float(rng.standard_normal())]
        for shock in rng.standard_normal(steps - 1).tolist():
            level.append(memory * level[-1] + fresh * shock)
        noise: NDArray[np.float64] = np.exp(self.noise * np.array(level) - self.noise**2 / 2)
        return noise

    def _bursts(self, rng: np.random.Generator, time_s: NDArray[np.float64], duration_s: float) -> NDArray[np.float64]:
        total = np.zeros(len(time_s))
        for _ in range(rng.poisson(self.bursts_per_hour * duration_s / 3600)):
            start_s, rise_s = rng.uniform(0, duration_s), rng.uniform(*self.rise_s)
            height = self.burst_height * np.exp(self.burst_height_sigma * rng.standard_normal())
            end_s = start_s + rise_s + rng.exponential(self.burst_mean_s)
            corners = (start_s, start_s + rise_s, end_s, end_s + rise_s)
            total += height * np.interp(time_s, corners, (0.0, 1.0, 1.0, 0.0))
        return np.minimum(total, self.tallest)


STEADY = Diurnal()
"""A busy service, with noise and bursts like those of recorded functions.

Measured on the 14 functions with a median of at least 30 calls a minute in the sample of 500 of Azure Functions 2019
(C), bursts being runs of minutes above 1.5 medians, and in brackets on this load without its wave: the three functions
that have any have 3.5 an hour (2.5), .7 above the median in the middle and 1.4 for a tenth of them (.8, 1.1), 2.0
minutes long (2.6), at their top within 1 to 3 minutes; calm minutes vary by .10 (.13). The sample ends after 8 hours,
so peak over trough is ours (D).
"""

SPIKY = Diurnal(
    peak_to_trough=1.5,
    noise=0.15,
    bursts_per_hour=6.0,
    burst_height=3.5,
    burst_mean_s=30.0,
    rise_s=(20.0, 60.0),
    tallest=4.0,
)
"""A service that is called in spikes, as functions that answer HTTP are.

Measured on the 8 of them in that sample with at least a call a minute and a standard deviation above their mean (C,
medians), spikes being runs of minutes above twice the mean, and in brackets on this load without its wave: 4.2 an hour
(3.6), 3.4 means high (3.0), 1.4 minutes long (1.6). Their calm load is lower than ours, of which they reach 8.5 times.
How fast they rise is hidden within a minute (D).
"""
