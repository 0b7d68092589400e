"""How the time of a solve is split over tiers and stages.

A part of the window is guaranteed to the tiers in equal shares, the rest is a pool that the first tiers may use up;
what a tier leaves over flows on. Within a tier, placing pods gets a part and reducing disruption whatever remains.
Source: the scripts of "Priority Matters" (arXiv 2511.08373), whose shares .6 and .5 are the defaults here.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Literal

from clustersim.errors import ConfigError

DETERMINISTIC_UNITS_PER_S = 0.4
"""Deterministic time of CP-SAT per second of CPU on the development machine: with this a window of 1 s takes up to
about 1 s there on packing models of 8 to 32 nodes, local search included."""


WALL_PADDING_S = 0.1
"""What the wall clock keeps back, at most half of the window: the solver stops some 20 ms late, and the plan has to be
read off. The authors keep back 0.2 s."""


@dataclass(frozen=True)
class Limits:
    """How long to search. `deterministic` counts the solver's own operations: the same answer on any machine."""

    window_s: float = 1.0
    clock: Literal["deterministic", "wall"] = "deterministic"
    workers: int = 1
    """Threads; more than one only with the wall clock, because they race."""
    seed: int = 0
    guaranteed_share: float = 0.6
    """Part of the window that is divided equally among the tiers."""
    disruption_share: float = 0.5
    """Part of a tier's time that placing leaves to the disruption stage."""

    def __post_init__(self) -> None:
        if not 0 < self.window_s < inf:
            raise ConfigError(f"window_s is {self.window_s}; a time limit has to be positive and finite")
        if self.clock not in ("deterministic", "wall"):
            raise ConfigError(f"clock is {self.clock!r}; choose deterministic or wall")
        if self.workers < 1:
            raise ConfigError(f"workers is {self.workers}; it has to be at least 1")
        if self.workers > 1 and self.clock == "deterministic":
            raise ConfigError(
                f"workers is {self.workers}, but several workers race; set clock='wall', or use one worker"
            )
        if not 0 <= self.seed < 1 << 31:
            raise ConfigError(f"seed is {self.seed}; the solver takes 0 to {(1 << 31) - 1}")
        for name in ("guaranteed_share", "disruption_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it has to be in [0, 1]")


class Budget:
    """Seconds of the window that are left, by the clock of the limits."""

    def __init__(self, limits: Limits, tiers: int) -> None:
        padding_s = min(WALL_PADDING_S, limits.window_s / 2) if limits.clock == "wall" else 0.0
        window_s = limits.window_s - padding_s
        self._guaranteed_s = window_s * limits.guaranteed_share / max(1, tiers)
        self._pool_s = window_s * (1 - limits.guaranteed_share)
        self._disruption_share = limits.disruption_share
        self._left_s = 0.0

    def start_tier(self) -> None:
        """Give a tier its share and the pool; what the tier before left over is in the pool."""
        self._pool_s += self._left_s
        self._left_s = self._guaranteed_s + self._pool_s
        self._pool_s = 0.0

    def of_stage(self, stage: Literal["place", "disrupt"]) -> float:
        """Seconds that a stage may use now."""
        return self._left_s * (1 - self._disruption_share if stage == "place" else 1.0)

    def spend(self, seconds: float) -> None:
        self._left_s = max(0.0, self._left_s - seconds)
