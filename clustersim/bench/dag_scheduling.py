"""The DAG scheduling benchmark: which episodes it has and how one run of it is played."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from clustersim.agents.folder import fingerprint
from clustersim.bench.dag_clock import Clocked
from clustersim.bench.dag_each import one_by_one
from clustersim.bench.dag_gantt import schedule_of
from clustersim.bench.dag_gap import gap_metrics
from clustersim.bench.dag_lines import lines_of
from clustersim.bench.dag_metrics import metrics_of
from clustersim.bench.dag_teams import SCENARIO, SOLVER, agent_folder, make_team
from clustersim.bench.metrics import MetricInfo
from clustersim.bench.runs import JSON, Experiment, RunResult
from clustersim.errors import ConfigError, ResultsError
from clustersim.policy import run
from clustersim.scenarios.dag_scheduling import DagScheduling
from clustersim.traces.dag_load import DagOptions, dag_source
from clustersim.traces.dag_sources import DagSource, GeneratedSource, GoldenSource, RecordedSource, SocSource

if TYPE_CHECKING:
    from clustersim.baselines.dag_constraint import DagSolution

ARRIVING_JOBS = 50
"""Of an episode whose jobs arrive over time, where the trace would have only one."""

WORLD = ("noise", "max_jobs", "slowdown_every_s", "slowdown_s", "slowdown_rate", "failure_every_s", "repair_s")
"""The options that are fields of the scenario under the same name."""

NEVER = math.inf


@dataclass(frozen=True)
class DagBench:
    """A trace and how it is played: everything that a run needs besides its policy and its number.

    The number of a run is its seed. With `each` it tells the job as well: number n plays job n % K of the K jobs of the
    trace with the seed first_seed + n // K, which draws the machines.
    """

    trace: str
    options: DagOptions = field(default_factory=DagOptions)
    first_seed: int = 42
    each: bool = False
    noise: float = 0.0
    max_jobs: int | None = None
    slowdown_every_s: float = NEVER
    slowdown_s: float = 60.0
    slowdown_rate: float = 0.5
    failure_every_s: float = NEVER
    repair_s: float = 60.0
    clock: float = 1.0
    """Share of the highest clock; 1: as it is."""
    gap: bool = False
    budget_s: float | None = None
    """How long CP-SAT may search for one plan, and for a bound; None: as long as each of them does by default."""

    @cached_property
    def source(self) -> RecordedSource | SocSource | GoldenSource | GeneratedSource:
        """What the episodes come from, before each job becomes an episode of its own and clocks are lowered."""
        options = self.options
        if self.each:
            without = [name for name in ("jobs", "arrivals", "load", "interarrival_s") if name in options.given()]
            if without:
                raise ConfigError(f"each plays every job alone, so {without[0]} has no effect; leave one of them away")
            options = replace(options, jobs=1, arrivals="batch")
        source = dag_source(self.trace, options)
        assert isinstance(source, RecordedSource | SocSource | GoldenSource | GeneratedSource)
        arrivals = source.arrivals
        if arrivals.kind != "batch" and options.jobs is None and arrivals.jobs == 1:
            return replace(source, arrivals=replace(arrivals, jobs=ARRIVING_JOBS))
        return source

    @cached_property
    def sources(self) -> tuple[DagSource, ...]:
        """One, or with `each` one per job of the trace."""
        sources = one_by_one(self.source) if self.each else (self.source,)
        return sources if self.clock == 1 else tuple(Clocked(source, self.clock) for source in sources)

    def numbers(self, seeds: int) -> tuple[int, ...]:
        """The runs of so many seeds."""
        if self.each:
            return tuple(range(seeds * len(self.sources)))
        return tuple(range(self.first_seed, self.first_seed + seeds))

    def instance(self, number: int) -> tuple[DagSource, int]:
        """The source and the seed of a run."""
        if not self.each:
            return self.sources[0], number
        return self.sources[number % len(self.sources)], self.first_seed + number // len(self.sources)

    def metrics(self, policies: Sequence[str]) -> tuple[MetricInfo, ...]:
        """What a table of these policies shows."""
        arrivals = self.source.arrivals
        return metrics_of(
            arrive=arrivals.kind != "batch",
            several=arrivals.jobs > 1,
            each=self.each,
            gap=self.gap,
            fail=self.failure_every_s < NEVER,
            search=any(name.startswith(SOLVER) for name in policies),
        )

    def scenario(self, source: DagSource, world: Mapping[str, Any]) -> DagScheduling:
        """The scenario on a source, with the fields that a team needs."""
        return DagScheduling(source, **{name: getattr(self, name) for name in WORLD}, **world)

    def experiment(self, policies: tuple[str, ...], seeds: int) -> Experiment:
        """The benchmark of some policies; raises for whatever cannot be played, before anything runs."""
        self._check_options(policies)
        for name in policies:
            self.scenario(self.source, make_team(name, self.budget_s).world)
        numbers = self.numbers(seeds)
        for number in numbers:
            source, seed = self.instance(number)
            source(seed)  # a damaged file among many should not come up after hours
        agents = {name: folder for name in policies if (folder := agent_folder(name)) is not None}
        fingerprints = {name: fingerprint(folder) for name, folder in agents.items()}
        return Experiment(SCENARIO, self.trace, self._config(), policies, numbers, self.play, fingerprints)

    def play(self, policy: str, number: int) -> RunResult:
        """One run. The schedule is kept of the first only: a chart of one is enough, and all would fill the disk."""
        source, seed = self.instance(number)
        team = make_team(policy, self.budget_s)
        simulation = self.scenario(source, team.world).build(seed)
        players = team.players()
        start_s = time.perf_counter()
        decisions = run(simulation, players)
        wall_s = time.perf_counter() - start_s
        metrics = {name: value for name, value in simulation.metrics().items() if not math.isnan(value)}
        for player in players.values():
            metrics |= _searches(getattr(player, "solutions", None))
        jobs = len(simulation.workload.jobs)
        if metrics["jobs_done"] < jobs:
            raise ResultsError(f"policy {policy!r} has finished only {metrics['jobs_done']:.0f} of {jobs} jobs")
        if self.gap:
            metrics |= gap_metrics(source, seed, self.budget_s, metrics["makespan"])
        # The times of different jobs have nothing in common: with `each` there are no lines to compare.
        series = {} if self.each else dict(lines_of(simulation))
        if number == self.numbers(1)[0]:
            series |= schedule_of(simulation)
        return RunResult(metrics, series, decisions, wall_s)

    def _check_options(self, policies: Sequence[str]) -> None:
        if self.budget_s is not None:
            if not 0 < self.budget_s < math.inf:
                raise ConfigError(f"budget is {self.budget_s}; it has to be a positive number of seconds")
            if not self.gap and not any(name.startswith(SOLVER) for name in policies):
                raise ConfigError(f"budget is {self.budget_s}, which has no effect without gap or the policy {SOLVER}")
        for what, options in (
            ("slowdown_every_s", ("slowdown_s", "slowdown_rate")),
            ("failure_every_s", ("repair_s",)),
        ):
            for name in options:
                if getattr(self, what) == NEVER and getattr(self, name) != getattr(DagBench, name):
                    raise ConfigError(f"{name} is {getattr(self, name)}, which has no effect without {what}")
        if not self.gap:
            return
        reasons = {
            "noise": self.noise > 0,
            "arrivals over time": self.source.arrivals.kind != "batch",
            "max_jobs": self.max_jobs is not None,
            "slow-downs": self.slowdown_every_s < NEVER,
            "failures": self.failure_every_s < NEVER,
        }
        for reason, given in reasons.items():
            if given:
                raise ConfigError(
                    f"gap compares with a plan for jobs that are all there at time 0 and run as expected, which "
                    f"contradicts {reason}; leave one of them away"
                )

    def _config(self) -> dict[str, JSON]:
        options: dict[str, JSON] = {
            name: list(value) if isinstance(value, tuple) else value for name, value in self.options.given().items()
        }
        optional = (*WORLD, "each", "clock", "gap", "budget_s")
        others = [name for name in optional if getattr(self, name) != getattr(DagBench, name)]
        # With `each` the numbers of the runs depend on it.
        first = ("first_seed",) if self.each else ()
        world = {name: getattr(self, name) for name in dict.fromkeys(("noise", *others, *first))}
        return {**options, **world, "trace_sha256": self.source.checksum()[:16]}


def _searches(solutions: Sequence[DagSolution] | None) -> dict[str, float]:
    """What a solver says of its searches; nothing for a player that is none."""
    if solutions is None:
        return {}
    found = [solution.status for solution in solutions]
    return {
        "searches": len(found),
        "searches_optimal": found.count("OPTIMAL"),
        "searches_unknown": found.count("UNKNOWN"),
    }
