"""The packing benchmark of "Priority Matters" (arXiv 2511.08373): how one instance is played by one policy.

The default scheduler places pod by pod. When pods stay pending, that is a call: a policy may repair the placement.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np

from clustersim.agents import shipped
from clustersim.agents.folder import fingerprint
from clustersim.agents.packing_player import LearnedRepair
from clustersim.baselines.constraint import Solution
from clustersim.baselines.constraint_budget import Limits
from clustersim.baselines.cp_sat import CpSatFallback
from clustersim.baselines.kube import kube_default
from clustersim.baselines.kube_preemption import KubePreemption
from clustersim.bench.packing_grid import REPLICA_SETS, Cell, Grid
from clustersim.bench.packing_totals import OUTCOMES, PLACED, placed_vector
from clustersim.bench.pod_placement import checksum
from clustersim.bench.runs import JSON, Experiment, RunResult
from clustersim.control import Decision
from clustersim.errors import ConfigError
from clustersim.policy import Policy, ScorePolicy, run
from clustersim.replica_sets import ReplicaSets
from clustersim.scenarios.pod_placement import PodPlacement
from clustersim.scenarios.pod_world import KEEP, PLACE, PREEMPT, REPLAN
from clustersim.traces import load
from clustersim.traces.openb_pool import OpenbPool
from clustersim.workload import PodWorkload

SCENARIO = "pod-packing"
CP_SAT = "cp-sat-fallback"
DEFAULT = "default"
PREEMPTION = "kube-preemption"
SHIPPED_AGENT = "ppo-packing"

DISRUPTION = ("moves", "evictions")


@dataclass(frozen=True)
class PodPackingBench:
    """Which instances are packed, and how long the solver may think about each."""

    grid: Grid
    windows_s: tuple[float, ...]
    trace: str = REPLICA_SETS
    """Random instances, or a trace of which one node pool is packed."""
    clock: Literal["deterministic", "wall"] = "deterministic"
    workers: int = 1
    gap_s: float = 0.0
    """Time from one ReplicaSet's creation to the next."""

    def __post_init__(self) -> None:
        if self.trace != REPLICA_SETS and self.gap_s:
            raise ConfigError(
                f"gap_s is {self.gap_s}, which has no effect on trace {self.trace!r}: its pods are in the queue "
                "at once; leave it away"
            )
        for window_s in self.windows_s:
            self._limits(window_s)
        for cell in self.grid.cells:
            _source(self.trace, cell, self.gap_s)

    @property
    def windows(self) -> dict[str, float]:
        """The solver's policies by name, with their windows in seconds."""
        return {f"{CP_SAT} {window_s:g} s": window_s for window_s in self.windows_s}

    def experiment(self, others: tuple[str, ...], seeds: int) -> Experiment:
        """The solver with every window, then other policies; the "seeds" are the numbers of the instances."""
        others = tuple(name for name in others if name != CP_SAT)
        for name in others:
            self._repairer(name)
        config: dict[str, JSON] = {**asdict(self.grid), "clock": self.clock, "workers": self.workers}
        if self.trace == REPLICA_SETS:
            config["gap_s"] = self.gap_s
        else:
            config["trace_sha256"] = checksum(_trace(self.trace))
        agents = {name: folder for name in others if (folder := _agent_folder(name)) is not None}
        if agents and self.trace != REPLICA_SETS:
            raise ConfigError(
                f"{', '.join(agents)} can repair only CPU and memory, but pods of trace {self.trace!r} ask for GPUs; "
                f"leave it away, or use --trace {REPLICA_SETS}"
            )
        fingerprints = {name: fingerprint(folder) for name, folder in agents.items()}
        policies = (*self.windows, *others)
        return Experiment(SCENARIO, self.trace, config, policies, self.grid.numbers(seeds), self.play, fingerprints)

    def play(self, policy: str, number: int) -> RunResult:
        """One instance. Where the default scheduler leaves nothing pending there is no call, and no more to tell."""
        started_s = time.perf_counter()
        workload = _source(self.trace, self.grid.cell(number), self.gap_s)(self.grid.seed(number))
        default = Repairer(None, len(workload.pods))
        decisions, found = _play(workload, {REPLAN: default})
        metrics = {"called": float(default.asked)}
        if default.asked:
            player = self._repairer(policy)
            repairer = Repairer(player, len(workload.pods))
            players: dict[str, Policy] = {REPLAN: repairer}
            if policy == PREEMPTION:
                players[PREEMPT] = KubePreemption()
            more_decisions, made = _play(workload, players)
            decisions += more_decisions
            metrics |= made | _compared(found, made)
            if player is not None:
                metrics["call_s"] = repairer.call_s
            if isinstance(player, CpSatFallback):
                metrics |= _solved(player.solutions[-1], repairer.call_s, self.windows[policy])
        return RunResult(metrics, {}, decisions, time.perf_counter() - started_s)

    def _limits(self, window_s: float) -> Limits:
        return Limits(window_s, self.clock, self.workers)

    def _repairer(self, name: str) -> Policy | None:
        """Who plays `replan`; None for nobody. An unknown name is answered with the nearest one."""
        if name in self.windows:
            return CpSatFallback(self._limits(self.windows[name]))
        if name in (DEFAULT, PREEMPTION):
            return None
        folder = _agent_folder(name)
        if folder is not None:
            return LearnedRepair(folder)
        known = (CP_SAT, DEFAULT, PREEMPTION, SHIPPED_AGENT)
        near = get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ConfigError(
            f"{SCENARIO} has no policy {name!r}; {hint}known are {', '.join(known)}, or the folder of a trained agent"
        )


class Repairer:
    """Lets another policy answer `replan` once, when all pods have arrived, and takes the time; nobody keeps all."""

    def __init__(self, policy: Policy | None, pods: int) -> None:
        self._policy = policy
        self._pods = pods
        self.asked = False
        self.call_s = 0.0

    def reset(self, rng: np.random.Generator) -> None:
        self.asked = False
        if self._policy is not None:
            self._policy.reset(rng)

    def act(self, decision: Decision) -> int:
        if self.asked or len(decision.subject.rows) < self._pods:
            return KEEP
        self.asked = True
        if self._policy is None:
            return KEEP
        started_s = time.perf_counter()
        answer = self._policy.act(decision)
        self.call_s = time.perf_counter() - started_s
        return answer


def _play(workload: PodWorkload, players: dict[str, Policy]) -> tuple[int, dict[str, float]]:
    """Decisions and figures with the default scheduler made deterministic: ties go to the first node."""
    scenario = PodPlacement(workload, mode="replay", replan="pending", preemption=PREEMPT in players)
    simulation = scenario.build(0)
    decisions = run(simulation, {PLACE: ScorePolicy(kube_default), **players})
    figures, history = simulation.metrics(), simulation.history.columns()
    made = {name: figures[name] for name in figures if name.startswith(PLACED) or name in DISRUPTION}
    for resource in ("cpu_milli", "memory_mib"):
        made[f"{resource}_share"] = float(history[f"allocated_{resource}"][-1] / simulation.capacity[resource])
    return decisions, made


def _compared(default: Mapping[str, float], made: Mapping[str, float]) -> dict[str, float]:
    """Whether more pods are placed than by the default scheduler, the more important first, and how much more."""
    improved = placed_vector(made) > placed_vector(default)
    return {
        "improved": float(improved),
        "failed": float(not improved),
        "cpu_gain": made["cpu_milli_share"] - default["cpu_milli_share"],
        "memory_gain": made["memory_mib_share"] - default["memory_mib_share"],
    }


def _solved(solution: Solution, call_s: float, window_s: float) -> dict[str, float]:
    """What only a solver can say."""
    figures = {name: float(solution.outcome.replace("-", "_") == name) for name in OUTCOMES}
    return figures | {
        "build_s": solution.build_s,
        "solve_s": solution.solve_s,
        "within_window": float(call_s <= window_s),
        "unknown": float(any(report.status == "UNKNOWN" for report in solution.stages)),
        "decomposed": float(solution.parts > 1),
    }


@lru_cache(maxsize=64)
def _source(trace: str, cell: Cell, gap_s: float) -> ReplicaSets | OpenbPool:
    if trace != REPLICA_SETS:
        return OpenbPool(_trace(trace), cell.nodes, cell.usage)
    assert cell.pods_per_node is not None
    assert cell.priorities is not None
    return ReplicaSets(cell.nodes, cell.pods_per_node, cell.priorities, cell.usage, gap_s)


@lru_cache(maxsize=2)
def _trace(name: str) -> PodWorkload:
    return load(name)


def _agent_folder(name: str) -> Path | None:
    """The folder of a trained agent, or None when the name is none."""
    folder = Path(shipped.__path__[0]) / name if name == SHIPPED_AGENT else Path(name)
    return folder if folder.is_dir() else None
