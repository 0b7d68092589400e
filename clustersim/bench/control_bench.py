"""The cluster control benchmark: which episodes it has and how one run of it is played."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from functools import cached_property

from clustersim.bench.checksum import checksum
from clustersim.bench.control_lines import lines_of
from clustersim.bench.control_story import story_of
from clustersim.bench.control_teams import SCENARIO, make_team
from clustersim.bench.runs import JSON, Experiment, RunResult, Series
from clustersim.errors import TraceError
from clustersim.interference import Interference
from clustersim.meters import SiteSeries, constant_site
from clustersim.policy import run
from clustersim.scenarios.cluster_control import ClusterControl
from clustersim.traces.carbon import read_site
from clustersim.traces.control_scenario import control_scenario
from clustersim.traces.locate import VARIABLE, locate
from clustersim.traces.site_catalog import CARBON

LOAD = ("trace_pods", "trace_services", "duration_s")
"""The options that change what the cluster serves; the preset besides."""

WORLD = ("tick_s", "oversubscription", "interference", "failure_multiplier", "carbon_zone")
"""The options that change how it behaves."""


@dataclass(frozen=True)
class ControlBench:
    """A preset and how it is played: everything that a run needs besides its team and its seed."""

    preset: str = "small"
    trace_pods: str | None = None
    trace_services: str | None = None
    duration_s: float | None = None
    tick_s: float = 10.0
    oversubscription: float | None = None
    interference: Interference = "hinge"
    failure_multiplier: float | None = None
    """None, here and above: as the preset has it."""
    carbon_zone: str | None = None
    """Zone of the trace `carbon` whose grid feeds the cluster in 2024; None: 475 g/kWh, the global mean."""
    lines: bool = True
    """Whether runs keep what they tell over time; a grid has too many for that."""
    first_seed: int = 42
    """The run with this seed also keeps the cluster over time."""

    @cached_property
    def scenario(self) -> ClusterControl:
        scenario = control_scenario(
            self.preset,
            self.trace_pods,
            self.trace_services,
            self.duration_s,
            tick_s=self.tick_s,
            interference=self.interference,
        )
        if self.oversubscription is not None:
            scenario = replace(scenario, power=replace(scenario.power, oversubscription=self.oversubscription))
        if self.failure_multiplier is not None:
            scenario = replace(scenario, failures=replace(scenario.failures, multiplier=self.failure_multiplier))
        if self.carbon_zone is not None:
            scenario = replace(scenario, site=_site(self.carbon_zone))
        return scenario

    def seeds(self, count: int) -> tuple[int, ...]:
        return tuple(range(self.first_seed, self.first_seed + count))

    def experiment(self, policies: tuple[str, ...], seeds: int) -> Experiment:
        """The benchmark of some teams, named as `canonical` does; raises for what cannot be played."""
        teams = {name: make_team(name) for name in policies}
        fingerprints = {name: found for name, team in teams.items() if (found := team.fingerprint) is not None}
        config: dict[str, JSON] = {name: getattr(self, name) for name in (*LOAD, *WORLD, "lines")}
        config["workload_sha256"] = checksum(self.scenario.source(0))
        # An episode that cannot be built should not come up after others have been played.
        self.scenario.build(self.first_seed)
        return Experiment(SCENARIO, self.preset, config, policies, self.seeds(seeds), self.play, fingerprints)

    def play(self, policy: str, seed: int) -> RunResult:
        """One run."""
        simulation = self.scenario.build(seed)
        players = {role: player() for role, player in make_team(policy).players.items()}
        start_s = time.perf_counter()
        decisions = run(simulation, players)
        wall_s = time.perf_counter() - start_s
        # Undefined, as the latency of what never got an answer is.
        metrics = {name: value for name, value in simulation.metrics().items() if math.isfinite(value)}
        series: dict[str, Series] = dict(lines_of(simulation)) if self.lines else {}
        if self.lines and seed == self.first_seed:
            series |= story_of(simulation)
        return RunResult(metrics, series, decisions, wall_s)


def _site(zone: str) -> SiteSeries:
    """A year of a grid; price and weather, which few copies of the trace hold, stay constant."""
    folder = locate(CARBON.name)
    if folder is None:
        raise TraceError(
            f"trace {CARBON.name!r} is not on this machine; run `clustersim traces fetch {CARBON.name}` or name its "
            f"folder in {VARIABLE}"
        )
    usual = constant_site()
    return read_site(
        folder, zone, 2024, price_usd_mwh=float(usual.price_usd_mwh[0]), wet_bulb_c=float(usual.wet_bulb_c[0])
    )
