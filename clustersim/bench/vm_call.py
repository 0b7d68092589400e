"""One call of the rescheduler: a fleet, a plan, and the fragment rate by the time when the plan is carried out."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from clustersim.baselines.vm_planned import PlannedMoves
from clustersim.bench.runs import JSON, RunResult
from clustersim.bench.vm_fleets import Fleets
from clustersim.bench.vm_policies import placer, rescheduler, warm_up
from clustersim.errors import ConfigError
from clustersim.policy import run
from clustersim.scenarios.vm_carry_out import READY
from clustersim.scenarios.vm_rescheduling import PICK_PM, PICK_VM, PLACE_VM, VmRescheduling, VmReschedulingSimulation
from clustersim.traces.vm_drift import Drifting
from clustersim.vm_fleet import FLAVOUR_CORES
from clustersim.vm_life import FleetLife, still
from clustersim.vm_plan import require_mnl

TURNOVER_S = 2500.0
"""Mean life of a VM while a plan is made. With it a plan of `ha` on generated fleets loses 1, 3, 7, 27, 80 and 94 % of
what it gains after 5, 7, 20, 60, 300 and 600 s (16 seeds); "VMR2L" (arXiv 2505.17359, read off a figure) 0, 4, 7, 23,
77 and 100 %."""

DRIFT_S = 3600.0
"""For so long a fleet drifts; the same for all delays, so that they all see the same exits and arrivals."""

AT_ONCE_S = 1e-9
"""An episode has to have a length; no VM comes or goes in this one."""

KEPT = (
    "fragment_rate",
    "initial_fragment_rate",
    "planned_fragment_rate",
    "moves",
    "planned_moves",
    "dropped_gone",
    "dropped_full",
    "migrated_mib",
    "downtime_s",
    "transfer_s",
)
"""What a run keeps of the metrics of the world."""


@dataclass(frozen=True)
class Call:
    """Everything that a run needs besides its policy and its seed."""

    fleets: Fleets
    mnl: int = 50
    budget_s: float | None = 5.0
    """Seconds of wall clock that a policy may think per call; None: plans repeat, by limits that are counted."""
    samples: int = 1
    """Games that a trained agent plays per call."""
    flavour_cores: int = FLAVOUR_CORES
    delay_s: float | Literal["measured"] | None = None
    """From the call to the plan, while the fleet drifts; measured: what the policy needs; None: time stands still."""
    turnover_s: float = TURNOVER_S
    placement: str = "mixed"
    """Who places the VMs that arrive meanwhile."""

    def __post_init__(self) -> None:
        if self.budget_s is not None and not 0 < self.budget_s < math.inf:
            raise ConfigError(f"budget is {self.budget_s}; it has to be a positive number of seconds")
        if not 0 < self.turnover_s < math.inf:
            raise ConfigError(f"turnover_s is {self.turnover_s}; it has to be a positive number of seconds")
        if isinstance(self.delay_s, float | int) and self.delay_s > DRIFT_S:
            raise ConfigError(f"delay_s is {self.delay_s}; fleets drift for {DRIFT_S:g} s, choose a shorter one")
        if self.flavour_cores < 1:
            raise ConfigError(f"flavour_cores is {self.flavour_cores}; a flavour has at least 1 core")
        placer(self.placement)
        self.scenario()

    def require(self, policies: Sequence[str], seeds: Sequence[int]) -> None:
        """Raise for whatever cannot be played, before anything runs."""
        for name in policies:
            rescheduler(name, self.budget_s, self.samples)
        for seed in seeds[:1] if self.fleets.one_fleet else seeds:
            require_mnl(self.mnl, self.fleets(seed))

    def config(self) -> dict[str, JSON]:
        """What determines the numbers, but for the fleets."""
        told: dict[str, JSON] = {name: getattr(self, name) for name in ("budget_s", "samples", "flavour_cores")}
        if self.delay_s is not None:
            told |= {"turnover_s": self.turnover_s, "placement": self.placement}
        return told

    def notes(self) -> tuple[str, ...]:
        """What must be known to read the results."""
        fleets = self.fleets
        told = list(fleets.defects)
        if fleets.one_fleet:
            chance = "what policies leave to chance" + (", and who comes and goes" if self.delay_s is not None else "")
            told.append(
                f"Every seed plays the same snapshot. It only changes {chance}, so that intervals over seeds tell "
                "nothing about other fleets."
            )
        elif not fleets.like:
            told.append("Every seed plays the same snapshot with anti-affinity sets of its own.")
        return tuple(told)

    def scenario(self) -> VmRescheduling:
        """The world of this call."""
        if self.delay_s is None:
            return VmRescheduling(self._still, self.mnl, self.flavour_cores)
        horizon_s = DRIFT_S if self.delay_s == "measured" else max(self.delay_s, AT_ONCE_S)
        life = Drifting(self.fleets, self.turnover_s, DRIFT_S)
        return VmRescheduling(life, self.mnl, self.flavour_cores, delay_s=self.delay_s, horizon_s=horizon_s)

    def play(self, policy: str, seed: int) -> RunResult:
        """The call on the fleet of a seed."""
        warm_up(policy)
        simulation, player = self.scenario().build(seed), rescheduler(policy, self.budget_s, self.samples)
        started_s = time.perf_counter()
        decisions = run(simulation, {PICK_VM: player, PICK_PM: player, PLACE_VM: placer(self.placement)})
        wall_s = time.perf_counter() - started_s
        found = simulation.metrics()
        metrics = {name: found[name] for name in KEPT}
        metrics["fragment_rate"] = rate_when_carried_out(simulation)
        return RunResult(metrics | told(player), {}, decisions, wall_s)

    def _still(self, seed: int) -> FleetLife:
        return _still(self.fleets, seed)


@lru_cache(maxsize=4)
def _still(fleets: Fleets, seed: int) -> FleetLife:
    """Kept, because the world keeps the beginning of a life that it has seen."""
    return still(fleets(seed))


def rate_when_carried_out(simulation: VmReschedulingSimulation) -> float:
    """The fragment rate right after the last move of the only call; without time for moves that is when it was ready.

    A plan that is not ready by the end of the episode has no effect: the rate of the end.
    """
    time_s, kind, *_ = simulation.log.columns()
    ready_s = time_s[kind == READY]
    until_s = float(ready_s[0]) if len(ready_s) else math.inf
    return next(rate for at_s, rate in reversed(simulation.history) if at_s <= until_s)


def told(player: PlannedMoves) -> dict[str, float]:
    """Seconds per call, and what a planner that was called once says of its plan; undefined figures are left out."""
    figures: dict[str, Any] = {}
    if player.seconds:
        figures["seconds"] = sum(player.seconds) / len(player.seconds)
    if len(player.plans) == 1:
        plan = player.plans[0]
        figures |= {f"plan_{name}": value for name, value in plan.figures.items()} | {"bound": plan.bound}
    return {name: float(value) for name, value in figures.items() if math.isfinite(value)}
