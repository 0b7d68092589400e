"""The subcommands about fleets of VMs: `clustersim bench vm-rescheduling | vm-delay | vm-fleet`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rich.console import Console

from clustersim.cli_options import RunOptions, names
from clustersim.errors import ConfigError

if TYPE_CHECKING:
    from clustersim.bench.vm_call import Call
    from clustersim.bench.vm_delay import DelayBench
    from clustersim.bench.vm_fleets import Fleets
    from clustersim.bench.vm_lives import Lives
    from clustersim.bench.vm_rescheduling import VmBench


@dataclass(frozen=True, kw_only=True)
class FleetOptions(RunOptions):
    """Which fleets are played."""

    trace: str = "generated"
    """generated, generated-roomy (1,264 machines, 165 anti-affinity sets), vmr2l, or a file in the format of the
    latter."""
    cluster: int | Literal["all"] = 0
    """Which cluster of a snapshot, numbered from 0; all: as one fleet."""
    overlaps: Literal["reject", "keep"] = "reject"
    """keep: play a snapshot whose placement violates anti-affinity sets already."""
    machines: int | None = None
    """Machines of a generated fleet; by default 280, or as many as it is known for."""
    host_sets: int = 0
    """Anti-affinity sets that are drawn, of three VMs each that may not share a machine."""
    rack_sets: int = 0
    """The same for racks."""

    def fleets(self) -> Fleets:
        """Defects that are known of a snapshot are told once, on stderr."""
        from clustersim.bench.vm_fleets import Fleets

        fleets = Fleets(self.trace, self.cluster, self.overlaps, self.machines, self.host_sets, self.rack_sets)
        for defect in fleets.defects:
            print(f"clustersim: warning: {defect}", file=sys.stderr)
        return fleets


@dataclass(frozen=True, kw_only=True)
class CallOptions(FleetOptions):
    """How a policy is called, and what goes on meanwhile."""

    budget: float | None = 5.0
    """Seconds that a policy may think per call, where it takes a limit. None: it counts its steps instead, and the same
    seed gives the same plan on any machine."""
    samples: int = 1
    """Games that a trained agent plays per call, within the budget; the best counts."""
    flavour_cores: int = 16
    """Fragments are free cores that no VM of this size can use."""
    turnover_s: float | None = None
    """Mean life of a VM while a plan is made; by default as calibrated to the curve of "VMR2L"."""
    placement: str | None = None
    """Who places the VMs that arrive meanwhile: mixed (default), random, first-fit, best-fit, fragment."""

    def call(self, fleets: Fleets, delay_s: float | Literal["measured"] | None, mnl: int) -> Call:
        from clustersim.bench.vm_call import TURNOVER_S, Call

        for name, value in (("--turnover-s", self.turnover_s), ("--placement", self.placement)):
            if delay_s is None and value is not None:
                raise ConfigError(f"{name} is {value}, which has no effect without --delay-s: time stands still")
        turnover_s = TURNOVER_S if self.turnover_s is None else self.turnover_s
        placement = self.placement or "mixed"
        return Call(fleets, mnl, self.budget, self.samples, self.flavour_cores, delay_s, turnover_s, placement)

    def bench(self, bench: VmBench | DelayBench, policies: tuple[str, ...], reference: str, command_line: str) -> None:
        """Execute, write and print it."""
        from clustersim.bench import run_benchmark

        seeds = self.chosen_seeds(1 if bench.one_episode else 5)
        experiment = bench.experiment(policies, seeds)
        preferred = reference if reference in policies else next(iter(policies), "")
        out = self.out or Path("results") / f"{experiment.scenario}-{Path(self.trace).name}"
        run_benchmark(experiment, out, self.jobs, self.reference or preferred, bench.view(), command_line, Console())


@dataclass(frozen=True, kw_only=True)
class BenchVmRescheduling(CallOptions):
    """Compare plans of live migrations that defragment a NUMA fleet: how far, in which time, with how many moves."""

    mnl: str = "50"
    """Migration number limits, comma-separated: 10,20,50."""
    policies: str = "ha,exact,lns"
    """Comma-separated: no-op, random, ha, alpha-vbpp, mcts, pop, exact, cp-sat, lns, ppo-vm, folders of agents."""
    delay_s: float | Literal["measured"] | None = None
    """From the call to the plan, while VMs come and go; measured: what the policy needs. By default time stands
    still."""

    def run(self, command_line: str) -> None:
        from clustersim.bench.packing_grid import number_list
        from clustersim.bench.vm_rescheduling import VmBench

        limits = number_list("--mnl", self.mnl, int, positive=False)
        bench = VmBench(self.call(self.fleets(), self.delay_s, limits[0]), limits)
        self.bench(bench, names(self.policies), "ha", command_line)


@dataclass(frozen=True, kw_only=True)
class BenchVmDelay(CallOptions):
    """What thinking costs: the fragment rate by the delay from call to plan, while VMs come and go."""

    mnl: int = 50
    """Migration number limit."""
    delays_s: str = "0,1,2,5,7,20,60,300,600"
    """Comma-separated."""
    policies: str = "no-op,exact"
    """Comma-separated, as for vm-rescheduling; no-op tells the rate without a plan at the same moment."""

    def run(self, command_line: str) -> None:
        from clustersim.bench.packing_grid import number_list
        from clustersim.bench.vm_delay import DelayBench

        delays_s = number_list("--delays-s", self.delays_s, float, positive=False)
        bench = DelayBench(self.call(self.fleets(), 0.0, self.mnl), delays_s)
        self.bench(bench, names(self.policies), "no-op", command_line)


@dataclass(frozen=True, kw_only=True)
class BenchVmFleet(FleetOptions):
    """The life of a fleet: VMs come and go, a policy places them, and every period another one reschedules.

    With --trace azure2017 by the arrivals of Azure, with any other fleet by drift.
    """

    placements: str = "mixed,best-fit"
    """Who places arriving VMs, comma-separated: mixed, random, first-fit, best-fit, fragment."""
    policies: str = "no-op,ha"
    """Who reschedules, comma-separated, as for vm-rescheduling; every one is played with every placement."""
    duration_s: float = 14400.0
    every_s: float = 600.0
    """Period of the rescheduler."""
    mnl: int = 50
    """Migration number limit of a period."""
    turnover_s: float | None = None
    """Drift: mean life of a VM; by default as for vm-delay."""
    load_share: float | None = None
    """azure2017: cores that VMs ask for on average, as a share of all; by default 0.85."""
    delay_s: float | Literal["measured"] = 5.0
    """From a call to its plan; measured: what the policy needs."""
    at_once: int = 4
    """Migrations under way at a time; each lasts as long as its pre-copy."""
    budget: float | None = 5.0
    """Seconds that a policy may think per call, where it takes a limit. None: it counts its steps instead, and the same
    seed gives the same plan on any machine."""
    samples: int = 1
    """Games that a trained agent plays per call, within the budget; the best counts."""
    flavour_cores: int = 16
    """Fragments are free cores that no VM of this size can use."""

    def run(self, command_line: str) -> None:
        from clustersim.bench import run_benchmark
        from clustersim.bench.vm_fleet import SCENARIO, WORLD, FleetBench

        seeds = self.chosen_seeds(5)
        world: dict[str, Any] = {name: self.budget if name == "budget_s" else getattr(self, name) for name in WORLD}
        bench = FleetBench(self.lives(), **world)
        placements, policies = names(self.placements), names(self.policies)
        experiment = bench.experiment(placements, policies, seeds)
        reference = self.reference or experiment.policies[0]
        out = self.out or Path("results") / f"{SCENARIO}-{Path(self.trace).name}"
        run_benchmark(experiment, out, self.jobs, reference, bench.view(), command_line, Console())

    def lives(self) -> Lives:
        """Refuses what has no effect."""
        from clustersim.bench.vm_call import TURNOVER_S
        from clustersim.bench.vm_lives import AzureLives, DriftingLives

        azure = self.trace == "azure2017"
        drift_only = {
            "--turnover-s": self.turnover_s, "--host-sets": self.host_sets, "--rack-sets": self.rack_sets,
            "--cluster": self.cluster,
        }  # fmt: skip
        without_effect = drift_only if azure else {"--load-share": self.load_share}
        for name, value in without_effect.items():
            if value not in (None, 0):
                raise ConfigError(f"{name} is {value}, which has no effect on trace {self.trace!r}; leave it away")
        if azure:
            load_share = 0.85 if self.load_share is None else self.load_share
            return AzureLives(280 if self.machines is None else self.machines, load_share, self.duration_s)
        turnover_s = TURNOVER_S if self.turnover_s is None else self.turnover_s
        return DriftingLives(self.fleets(), turnover_s, self.duration_s)
