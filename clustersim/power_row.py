"""A power row as its controllers see it: what it draws, the clocks commanded and acting, its brake."""

from __future__ import annotations

from collections import deque
from math import inf

import numpy as np
import simpy
from numpy.typing import NDArray

TELEMETRY_WINDOW_S = 40.0
"""How far `samples_w` reaches back: the longest that a clock cap takes to act (arXiv 2308.12908)."""


class PowerRow:
    """One row now. `PowerRows` writes it, but for `low_busy` and `high_busy`: those are for whoever knows the load.

    `low` and `high` index the clocks as commanded, `low_acting` and `high_acting` as they act by now (the brake hides
    them). `settled_s`: when the last command acted; inf while one is on its way. `brakes` counts how often it braked.
    """

    __slots__ = (
        *("acted_s", "brake_on_its_way", "braked", "braked_s", "brakes", "budget_w", "env", "high", "high_acting"),
        *("high_busy", "index", "low", "low_acting", "low_busy", "nameplate_w", "power_w", "telemetry_w"),
        *("_before_j", "_over_before_s", "_since_s"),
    )

    def __init__(self, env: simpy.Environment, index: int, budget_w: float, nameplate_w: float, samples: int) -> None:
        self.env = env
        self.index = index
        self.budget_w = budget_w
        self.nameplate_w = nameplate_w
        self.power_w = 0.0
        self.telemetry_w: deque[float] = deque(maxlen=samples)
        self.low = self.high = self.low_acting = self.high_acting = 0
        self.acted_s = [env.now, env.now]
        """When the last command to the low and to the high class acted; inf while it is on its way."""
        self.brake_on_its_way = self.braked = False
        self.braked_s = inf
        self.brakes = 0
        self.low_busy = self.high_busy = 0.0
        self._before_j = self._over_before_s = 0.0
        self._since_s = env.now

    @property
    def now_s(self) -> float:
        return float(self.env.now)

    @property
    def samples_w(self) -> NDArray[np.float64]:
        """Telemetry of the last 40 s, the newest last; the first sample is taken as the simulation starts."""
        return np.array(self.telemetry_w)

    @property
    def settled_s(self) -> float:
        return max(self.acted_s)

    @property
    def energy_j(self) -> float:
        """Drawn until now: the exact integral of the power."""
        return self._before_j + self.power_w * (self.env.now - self._since_s)

    @property
    def over_budget_s(self) -> float:
        """Seconds above the budget until now."""
        return self._over_before_s + (self.env.now - self._since_s) * (self.power_w > self.budget_w)

    def add(self, delta_w: float) -> None:
        """The power changes now."""
        self._before_j, self._over_before_s = self.energy_j, self.over_budget_s
        self._since_s = self.env.now
        self.power_w += delta_w
