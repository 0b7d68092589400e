"""The life of a fleet: VMs come and go, a policy places them, and every period another one reschedules."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from clustersim.bench import vm_metrics as m
from clustersim.bench.benchmark import Compared
from clustersim.bench.metrics import MetricInfo
from clustersim.bench.runs import JSON, Experiment, RunResult, Series
from clustersim.bench.vm_lives import Lives
from clustersim.bench.vm_policies import fingerprints, placer, rescheduler, warm_up
from clustersim.errors import ConfigError
from clustersim.metrics import share
from clustersim.policy import run
from clustersim.scenarios.vm_rescheduling import PICK_PM, PICK_VM, PLACE_VM, VmRescheduling
from clustersim.vm_fleet import FLAVOUR_CORES
from clustersim.vm_plan import require_mnl

SCENARIO = "vm-fleet"
AND = "+"
POINTS = 240

METRICS = (
    MetricInfo("fragment_rate_mean", "mean fragment rate", "", "lower", main=True, percent=True),
    MetricInfo("rejected_share", "rejected arrivals", "", "lower", main=True, percent=True),
    m.MOVES,
    m.GONE,
    m.FULL,
    m.MIGRATED,
    m.DOWNTIME,
    m.SECONDS,
    MetricInfo("calls", "calls", "", "higher"),
    MetricInfo("skipped_calls", "calls skipped, as the last plan was under way", "", "lower"),
    MetricInfo("arrivals", "arrivals", "", "higher"),
    MetricInfo("vms", "VMs at the end", "", "higher"),
    MetricInfo("fragment_rate", "fragment rate at the end", "", "lower", percent=True),
)
BRIEF = METRICS[:8]

WORLD = ("every_s", "mnl", "delay_s", "at_once", "budget_s", "samples", "flavour_cores")
"""The fields of the benchmark that determine its numbers, besides the lives."""


@dataclass(frozen=True)
class FleetBench:
    """Everything that a run needs besides its policies and its seed."""

    lives: Lives
    every_s: float = 600.0
    mnl: int = 50
    delay_s: float | Literal["measured"] = 5.0
    """From a call to its plan."""
    at_once: int = 4
    """Migrations under way at a time."""
    budget_s: float | None = 5.0
    """Seconds of wall clock that a policy may think per call; None: plans repeat, by limits that are counted."""
    samples: int = 1
    """Games that a trained agent plays per call."""
    flavour_cores: int = FLAVOUR_CORES

    def __post_init__(self) -> None:
        for name, value in (("duration_s", self.lives.duration_s), ("budget", self.budget_s)):
            if value is not None and not 0 < value < math.inf:
                raise ConfigError(f"{name} is {value}; it has to be a positive number of seconds")
        if self.flavour_cores < 1:
            raise ConfigError(f"flavour_cores is {self.flavour_cores}; a flavour has at least 1 core")
        self.scenario()

    def experiment(self, placements: Sequence[str], policies: Sequence[str], seeds: tuple[int, ...]) -> Experiment:
        """Every placement with every rescheduler, called `PLACEMENT+RESCHEDULER`; raises for what cannot be played."""
        for name in placements:
            placer(name)
        for name in policies:
            rescheduler(name, self.budget_s, self.samples)
        for seed in seeds:
            require_mnl(self.mnl, self.lives(seed).snapshot)
        pairs = {f"{placement}{AND}{policy}": policy for placement in placements for policy in policies}
        agents = fingerprints(policies)
        made_of = {pair: agents[policy] for pair, policy in pairs.items() if policy in agents}
        world: dict[str, JSON] = {name: getattr(self, name) for name in WORLD}
        config = {**self.lives.config(), **world}
        return Experiment(SCENARIO, self.lives.name, config, tuple(pairs), seeds, self.play, made_of)

    def scenario(self) -> VmRescheduling:
        """The world."""
        return VmRescheduling(
            self.lives,
            self.mnl,
            self.flavour_cores,
            delay_s=self.delay_s,
            every_s=self.every_s,
            horizon_s=self.lives.duration_s,
            takes_time=True,
            at_once=self.at_once,
        )

    def play(self, policy: str, seed: int) -> RunResult:
        """One life."""
        placement, _, name = policy.partition(AND)
        warm_up(name)
        simulation, player = self.scenario().build(seed), rescheduler(name, self.budget_s, self.samples)
        started_s = time.perf_counter()
        decisions = run(simulation, {PICK_VM: player, PICK_PM: player, PLACE_VM: placer(placement)})
        wall_s = time.perf_counter() - started_s
        found = simulation.metrics()
        metrics = {name: value for name, value in found.items() if math.isfinite(value)}
        metrics["rejected_share"] = share(found["rejected"], found["arrivals"])
        metrics["seconds"] = share(sum(player.seconds), len(player.seconds))
        return RunResult(metrics, {"fragment_rate_by_time": self._line(simulation.history)}, decisions, wall_s)

    def _line(self, history: Sequence[tuple[float, float]]) -> Series:
        """The fragment rate, which is constant between changes, at evenly spaced moments."""
        at_s, rate = np.array(history).T
        moments_s = np.linspace(0, self.lives.duration_s, POINTS)
        last = np.searchsorted(at_s, moments_s, side="right") - 1
        return Series(moments_s / 3600, 100 * rate[last], "time [h]", "fragment rate [%]")

    def view(self) -> Compared:
        """How the results are shown."""
        return Compared(METRICS, BRIEF)
