"""The pod placement benchmark: which metrics it has and how one run of it is played."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustersim.agents import shipped
from clustersim.agents.folder import fingerprint
from clustersim.agents.learned import LearnedPolicy
from clustersim.baselines.constraint import Solution
from clustersim.baselines.kube_preemption import KubePreemption
from clustersim.baselines.registry import POLICIES, TEAMS, Team, policy, team, unknown_policy
from clustersim.bench.metrics import MetricInfo
from clustersim.bench.placement_gap import GAP_METRICS, gap_metrics
from clustersim.bench.runs import JSON, Experiment, RunResult, Series
from clustersim.errors import ConfigError
from clustersim.policy import Policy, run
from clustersim.scenarios.pod_placement import Mode, PodPlacement
from clustersim.scenarios.pod_world import PLACE, PREEMPT, PodPlacementSimulation
from clustersim.traces import load
from clustersim.traces.catalog import OPENB_LIKE
from clustersim.workload import NodeTable, PodTable, PodWorkload

SCENARIO = "pod-placement"
SHIPPED_AGENT = "ppo-openb"
POINTS = 260
"""Points of a chart, evenly spaced over the run."""

INFLATION_METRICS = (
    MetricInfo("gpu_allocation_at_100", "GPU allocation at 100 %", "", "higher", main=True, percent=True),
    MetricInfo("gpu_fragmentation_at_100", "fragmented GPU at 100 %", "", "lower", main=True, percent=True),
    MetricInfo("gpu_allocation_at_95", "GPU allocation at 95 %", "", "higher", percent=True),
    MetricInfo("gpu_allocation_at_130", "GPU allocation at 130 %", "", "higher", main=True, percent=True),
    MetricInfo("pods_lost", "pods lost", "", "lower"),
)
REPLAY_METRICS = (
    MetricInfo("queueing_delay_s_mean", "mean queueing delay", "s", "lower", main=True),
    MetricInfo("gpu_fragmentation", "fragmented GPU", "", "lower", main=True, percent=True),
    MetricInfo("queueing_delay_s_p99", "p99 queueing delay", "s", "lower"),
    MetricInfo("gpu_allocation", "GPU allocation", "", "higher", main=True, percent=True),
    MetricInfo("pods_pending", "pods still pending", "", "lower"),
    MetricInfo("image_pull_s", "image pulls", "s", "lower"),
)
RESCHEDULING_METRICS = (
    MetricInfo("moves", "pods moved", "", "lower"),
    MetricInfo("evictions", "pods evicted", "", "lower"),
    MetricInfo("lost_work_s", "work to do again", "s", "lower"),
    MetricInfo("searches", "searches of a solver", "", "lower"),
    MetricInfo("searches_unknown", "searches that found out nothing in some stage", "", "lower"),
    MetricInfo("searches_in_parts", "searches in parts of the cluster", "", "lower"),
)
"""Of policies that stop running pods."""


@dataclass(frozen=True)
class PodPlacementBench:
    """A trace and how it is played: everything that a run needs besides its policy and its seed."""

    trace: str
    workload: str = "default"
    mode: Mode = "inflation"
    nodes: int | None = None
    queue: str = "backfill"
    arrival_speedup: float = 1.0
    image_mib: int = 0
    image_bandwidth_mib_s: float = float("inf")
    image_cache_mib: float = float("inf")
    preemption: bool = False
    checkpoint_share: float = 0.0
    gap: bool = False

    def metrics(self, policies: tuple[str, ...]) -> tuple[MetricInfo, ...]:
        """What a table of these policies shows."""
        if self.mode == "inflation":
            return (*INFLATION_METRICS, *GAP_METRICS) if self.gap else INFLATION_METRICS
        stops = any(self.scenario(make_team(name).world).reschedules for name in policies)
        return (*REPLAY_METRICS, *RESCHEDULING_METRICS) if stops else REPLAY_METRICS

    def scenario(self, world: Mapping[str, Any] | None = None) -> PodPlacement:
        """The scenario on the trace, with the fields that a team needs; a team that stops no pod has no checkpoints.

        Inflation runs on the GPU nodes as published, replay on all nodes.
        """
        all_nodes = self.mode == "replay" and self.trace != OPENB_LIKE.name
        scenario = PodPlacement(
            _load(self.trace, self.workload, "all" if all_nodes else "gpu"),
            mode=self.mode,
            nodes=self.nodes,
            queue=self.queue,  # type: ignore[arg-type]
            arrival_speedup=self.arrival_speedup,
            image_mib=self.image_mib,
            image_bandwidth_mib_s=self.image_bandwidth_mib_s,
            image_cache_mib=self.image_cache_mib,
            preemption=self.preemption,
        )
        scenario = replace(scenario, **(world or {}))
        return replace(scenario, checkpoint_share=self.checkpoint_share) if scenario.reschedules else scenario

    def experiment(self, policies: tuple[str, ...], seeds: tuple[int, ...]) -> Experiment:
        """The benchmark of some policies; raises for unknown policies and unusable traces before anything runs."""
        if self.gap and self.mode != "inflation":
            raise ConfigError(f"gap has no effect in mode {self.mode!r}; leave it away, or use mode 'inflation'")
        scenarios = [self.scenario(make_team(name).world) for name in policies]
        if not any(scenario.reschedules for scenario in scenarios):
            replace(self.scenario(), checkpoint_share=self.checkpoint_share)  # says that it has no effect
        built_in = {*POLICIES[SCENARIO], *TEAMS[SCENARIO]}
        agents = {name: agent_folder(name) for name in policies if name not in built_in}
        fingerprints = {name: fingerprint(folder) for name, folder in agents.items() if folder is not None}
        config: dict[str, JSON] = {f.name: _json(getattr(self, f.name)) for f in fields(self) if f.name != "trace"}
        config["trace_sha256"] = checksum(self.scenario().workload)
        return Experiment(SCENARIO, self.trace, config, policies, seeds, self.play, fingerprints)

    def play(self, policy_name: str, seed: int) -> RunResult:
        """One run."""
        chosen = make_team(policy_name)
        simulation = self.scenario(chosen.world).build(seed)
        players = chosen.players()
        if self.preemption:
            players.setdefault(PREEMPT, KubePreemption())
        start_s = time.perf_counter()
        decisions = run(simulation, players)
        wall_s = time.perf_counter() - start_s
        metrics = {name: value for name, value in simulation.metrics().items() if not np.isnan(value)}
        for player in players.values():
            metrics |= searches(getattr(player, "solutions", None))
        if self.gap:
            metrics |= gap_metrics(self.scenario(), seed, metrics["gpu_allocation_at_100"])
        return RunResult(metrics, _series(simulation), decisions, wall_s)


def searches(solutions: Sequence[Solution] | None) -> dict[str, float]:
    """What a solver says of its searches; nothing for a player that is none."""
    if solutions is None:
        return {}
    unknown = sum(any(report.status == "UNKNOWN" for report in found.stages) for found in solutions)
    in_parts = sum(found.parts > 1 for found in solutions)
    return {"searches": len(solutions), "searches_unknown": unknown, "searches_in_parts": in_parts}


def make_team(name: str) -> Team:
    """A built-in team, or a single policy as a team of one."""
    if name in TEAMS[SCENARIO]:
        return team(SCENARIO, name)
    make_policy(name)
    return Team(lambda: {PLACE: make_policy(name)})


def make_policy(name: str) -> Policy:
    """A built-in policy, the agent that comes with clustersim, or the agent in a folder: who places pods."""
    if name in POLICIES[SCENARIO]:
        return policy(SCENARIO, name)
    folder = agent_folder(name)
    if folder is None:
        raise ConfigError(f"{unknown_policy(SCENARIO, name)}, {SHIPPED_AGENT}, or the folder of a trained agent")
    return LearnedPolicy(folder)


def agent_folder(name: str) -> Path | None:
    """The folder of a trained agent, or None when the name is none."""
    if name == SHIPPED_AGENT:
        return Path(shipped.__path__[0]) / SHIPPED_AGENT
    return Path(name) if Path(name).is_dir() else None


def checksum(workload: PodWorkload) -> str:
    """Sixteen hexadecimal digits that change when any cell of the workload does."""
    digest = hashlib.sha256()
    tables: tuple[NodeTable | PodTable, ...] = (workload.nodes, workload.pods)
    for table in tables:
        for column in fields(table):
            value = getattr(table, column.name)
            digest.update(value.tobytes() if isinstance(value, np.ndarray) else repr(value).encode())
    return digest.hexdigest()[:16]


@lru_cache(maxsize=4)
def _load(trace: str, workload: str, nodes: str) -> PodWorkload:
    return load(trace, workload, nodes)  # type: ignore[arg-type]


def _json(value: Any) -> JSON:
    return None if value == float("inf") else value


def _series(simulation: PodPlacementSimulation) -> Mapping[str, Series]:
    history = simulation.history.columns()
    gpu, capacity = 100 / simulation.gpu_capacity_milli, simulation.capacity
    used = {
        "GPU": history["allocated_gpu_milli"] * gpu,
        "CPU": history["allocated_cpu_milli"] * 100 / capacity["cpu_milli"],
        "memory": history["allocated_memory_mib"] * 100 / capacity["memory_mib"],
    }
    fragmented = history["fragmented_gpu_milli"] * gpu
    series: dict[str, Series] = {}

    arrived = history["arrived_gpu_milli"] * gpu

    def add(name: str, x: NDArray[np.float64], y: NDArray[np.float64], x_label: str, y_label: str) -> None:
        if len(x) == 0:
            return
        # Until the last demand has arrived; what drains afterwards would take up most of the axis.
        grid = np.linspace(x[0], x[int(np.argmax(arrived))], POINTS)
        series[name] = Series(grid, y[np.searchsorted(x, grid, side="right") - 1], x_label, y_label)

    if simulation.scenario.mode == "inflation":
        demand = "arrived GPU demand [% of capacity]"
        add("allocation_by_demand", arrived, used["GPU"], demand, "allocated GPU [% of capacity]")
        add("fragmentation_by_demand", arrived, fragmented, demand, "fragmented GPU [% of capacity]")
        time_x, time_label = history["time_s"], "time [s], one pod arrives per second"
    else:
        time_x, time_label = history["time_s"] / 86400, "time [days]"
        add("fragmentation_by_time", time_x, fragmented, time_label, "fragmented GPU [% of capacity]")
    for resource, share in used.items():
        add(
            f"{resource.lower()}_utilization_by_time",
            time_x,
            share,
            time_label,
            f"allocated {resource} [% of capacity]",
        )
    return series
