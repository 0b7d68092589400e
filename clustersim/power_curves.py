"""How power and speed follow the clock of a GPU, and how speed and energy follow its power limit."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, pow

import numpy as np
from numba import njit

from clustersim.errors import ConfigError

STATIC_SHARE = 0.54
CLOCK_EXPONENT = 2.4
"""Fitted so that an A100 at 1110 of 1410 MHz draws 20 % less, as measured for LLM inference (arXiv 2308.12908) [D]."""


@njit(cache=True)
def clock_power(clock: float) -> float:
    """Power above idle at a clock, over that at the highest clock; `clock` is a share of the highest, in (0, 1]."""
    return STATIC_SHARE + (1.0 - STATIC_SHARE) * pow(clock, CLOCK_EXPONENT)


@njit(cache=True)
def clock_speed(clock: float, sensitivity: float) -> float:
    """Speed at a clock, over that at the highest; of the work, the share `sensitivity` slows with the clock.

    Prompts of an LLM have a sensitivity of 1, its tokens .15 (reference to POLCA, arXiv 2308.12908) [D].
    """
    return 1.0 / (1.0 + sensitivity * (1.0 / clock - 1.0))


@njit(cache=True)
def gpu_power_w(idle_w: float, tdp_w: float, load: float, clock: float) -> float:
    """Power of a device that is busy for the share `load` of the time, at a clock."""
    return idle_w + (tdp_w - idle_w) * load * clock_power(clock)


@njit(cache=True)
def cpu_power_w(idle_w: float, range_w: float, load: float) -> float:
    """Power of all of a server but its GPUs, `load` is the share of its CPUs that is busy."""
    return idle_w + range_w * load


@dataclass(frozen=True)
class PowerCapCurve:
    """Speed, and energy per work, over those without a limit, by power limit as a share of the TDP.

    Between the points both are linear. A lower limit never makes faster, and energy falls to one lowest point and
    rises behind it: what breaks that was misread.
    """

    name: str
    share: tuple[float, ...]
    speed: tuple[float, ...]
    energy: tuple[float, ...]

    def __post_init__(self) -> None:
        what = f"cap curve {self.name!r}"
        if not len(self.share) == len(self.speed) == len(self.energy) >= 2:
            raise ConfigError(
                f"{what} has {len(self.share)} limits, {len(self.speed)} speeds and {len(self.energy)} energies; "
                "use as many of each, at least 2"
            )
        if not all(0 < value < inf for value in (*self.share, *self.speed, *self.energy)):
            raise ConfigError(f"{what} holds a value that is not positive and finite")
        if self.share[-1] != 1 or self.speed[-1] != 1 or self.energy[-1] != 1:
            raise ConfigError(f"{what} has to end at the TDP: limit, speed and energy 1")
        for k in range(1, len(self.share)):
            if not self.share[k - 1] < self.share[k]:
                raise ConfigError(f"{what}: limit {self.share[k]} comes after {self.share[k - 1]}; limits increase")
            if self.speed[k - 1] > self.speed[k]:
                raise ConfigError(
                    f"{what} is not monotone: speed {self.speed[k - 1]} at limit {self.share[k - 1]}, but only "
                    f"{self.speed[k]} at {self.share[k]}; a lower limit never makes faster"
                )
        lowest = int(np.argmin(self.energy))
        steps = np.diff(self.energy)
        if (steps[:lowest] > 0).any() or (steps[lowest:] < 0).any():
            raise ConfigError(f"{what} is not monotone: energies {self.energy} have more than one lowest point")

    def at(self, share: float) -> tuple[float, float]:
        """(speed, energy per work) at a limit; raises ConfigError for one outside the measured limits."""
        if not self.share[0] <= share <= 1:
            raise ConfigError(
                f"cap curve {self.name!r} was measured from {self.share[0]} to 1 of the TDP, not at {share}"
            )
        return float(np.interp(share, self.share, self.speed)), float(np.interp(share, self.share, self.energy))
