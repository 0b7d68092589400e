"""Packing as a game: pods are placed one by one, and where some stay pending, the placement is repaired move by move.

Everything happens at one instant. Two roles: `place`, asked for every pod in queue order (priority, then creation), a
pod that fits nowhere is pending; then, if any is, `repair`, asked until the game of `clustersim.repair` is over.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import simpy
from numpy.typing import NDArray

from clustersim.cluster import Cluster, ClusterView
from clustersim.control import NO_CANDIDATE, ControlPlane, Role
from clustersim.errors import ConfigError
from clustersim.eventlog import EventLog
from clustersim.packing import NOWHERE, Packing, evicted, moved
from clustersim.pods import Pod, compile_pods
from clustersim.repair import REPAIR_COSTS, Choice, Repair
from clustersim.replica_sets import ReplicaSets
from clustersim.scenarios.pod_world import PLACE
from clustersim.streams import Streams
from clustersim.workload import PodWorkload

REPAIR = "repair"

EVENTS = ("bind", "pending", "put", "evict", "done")
BIND, PENDING, PUT, EVICT, DONE = range(len(EVENTS))


@dataclass(frozen=True)
class PodPacking:
    """The scenario: a distribution of instances, of which a seed draws one. Only CPU and memory are packed."""

    instances: Callable[[int], PodWorkload] = field(default_factory=ReplicaSets)

    def build(self, seed: int) -> PodPackingSimulation:
        """A simulation at time 0; the same seed builds the same one."""
        return PodPackingSimulation(self.instances(seed), seed)


@dataclass(frozen=True, slots=True, eq=False)
class ClusterOnly:
    """What a placement policy may read."""

    cluster: ClusterView


class PodPackingSimulation:
    """One episode. `control` is driven from outside; everything else is to be read.

    `cluster` is how the pods were placed one by one and stays so; `repair` is the game that follows, None before.
    """

    def __init__(self, workload: PodWorkload, seed: int) -> None:
        if len(workload.pods) == 0:
            raise ConfigError(f"workload {workload.name!r} has no pods")
        with_gpu = int((workload.pods.num_gpu > 0).sum())
        if with_gpu:
            raise ConfigError(
                f"{with_gpu} pods of workload {workload.name!r} ask for GPUs, but only CPU and memory are packed here; "
                "leave those pods out"
            )
        self.workload = workload
        self.streams = Streams(seed)
        self.env = simpy.Environment()
        self.control = ControlPlane(self.env)
        self.log = EventLog(EVENTS)
        self._pods = compile_pods(workload, 1.0, 0)
        self._queue = np.argsort(self._pods.rank)
        self._asked = 0
        self._home = np.full(len(workload.pods), NOWHERE, dtype=np.int64)
        self.cluster = Cluster(workload.nodes, self._pods.models)
        self._place = Role(PLACE, "cluster", len(self.cluster), ClusterOnly(self.cluster.view), self._fits)
        self.repair: Repair | None = None
        self.repair_decisions = 0
        self._ask_for_next_pod()

    # --- placing

    def _fits(self, pod: Pod, out: NDArray[np.bool_]) -> bool:
        return self.cluster.feasible(pod.request, out)

    def _ask_for_next_pod(self) -> None:
        if self._asked == len(self._queue):
            self._start_repair()
            return
        pod = self._pods.pods[self._queue[self._asked]]
        self._asked += 1
        self.control.ask(self._place, pod, lambda node, _device: self._placed(pod, node))

    def _placed(self, pod: Pod, node: int) -> None:
        if node == NO_CANDIDATE:
            self.log.add(self.env.now, PENDING, pod.row)
        else:
            self.cluster.bind(pod.request, node)
            self._home[pod.row] = node
            self.log.add(self.env.now, BIND, pod.row, node)
        self._ask_for_next_pod()

    # --- repairing

    def _start_repair(self) -> None:
        self.repair = Repair(self.packing())
        if (self._home == NOWHERE).any():
            role = Role(REPAIR, "cluster", self.repair.size, self.repair.view, self._legal)
            self._ask_for_next_move(role)

    def packing(self) -> Packing:
        """The placement as the pods were placed one by one."""
        view, pods = self.cluster.view, self.workload.pods
        return Packing(
            view.names,
            view.cpu_capacity,
            view.memory_capacity,
            view.gpu_count,
            view.model_bit,
            pods.name,
            self._pods.requests,
            pods.priority,
            self._home,
            np.zeros_like(self._home),
            np.zeros(len(self._home), dtype=np.bool_),
        )

    def _legal(self, _choice: Choice, out: NDArray[np.bool_]) -> bool:
        return self._game.legal(out)

    @property
    def _game(self) -> Repair:
        assert self.repair is not None
        return self.repair

    def _ask_for_next_move(self, role: Role) -> None:
        self.control.ask(role, self._game.choice, lambda k, _detail: self._play(role, k))

    def _play(self, role: Role, candidate: int) -> None:
        game, pod = self._game, self._game.choice.pod
        self.repair_decisions += 1
        game.play(candidate)
        if candidate == game.done:
            self.log.add(self.env.now, DONE, -1)
        elif candidate == game.evict:
            self.log.add(self.env.now, EVICT, -1 if pod is None else pod)
        elif pod is not None:
            self.log.add(self.env.now, PUT, pod, candidate - game.done - 1)
        if not game.over:
            self._ask_for_next_move(role)

    # --- costs and metrics

    def cost(self, name: str) -> float:
        """A cost of the placement as it is now, told in `Repair.cost`; 0 until the repair begins."""
        if name not in REPAIR_COSTS:
            raise ConfigError(f"there is no cost {name!r}; choose one of {', '.join(REPAIR_COSTS)}")
        return 0.0 if self.repair is None else self.repair.cost(name)

    def raw(self) -> dict[str, Any]:
        """The plain quantities now, from which any other reward can be computed."""
        node = self._home if self.repair is None else self.repair.view.node
        running = int((node != NOWHERE).sum())
        return {"time_s": self.env.now, "placed_pods": running, "pending_pods": len(node) - running}

    def metrics(self) -> dict[str, float]:
        """The figures of the episode so far.

        `improvement` is 1, 0 or -1: pods placed by tier compared with the start of the repair, the higher tiers first.
        `pods_moved` and `pods_evicted` count what the plan disrupts, `moves` what the game took to find it.
        """
        if self.repair is None:
            return {}
        game, plan, priority = self.repair, self.repair.plan(), self.workload.pods.priority
        runs = plan.node != NOWHERE
        figures = {"pods_placed": float(runs.sum()), "pods_pending": float((~runs).sum())}
        for tier in game.packing.tiers:
            figures[f"pods_placed_priority_{tier}"] = float((runs & (priority == tier)).sum())
        figures["improvement"] = float(game.improved)
        figures["degraded"] = float(game.degraded)
        figures["moves"] = float(len(runs) - game.choice.moves_left)
        figures["pods_moved"] = float(moved(game.packing, plan).sum())
        figures["pods_evicted"] = float(evicted(game.packing, plan).sum())
        figures["repair_decisions"] = float(self.repair_decisions)
        return figures
