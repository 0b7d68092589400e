"""What both modes of pod placement share: the cluster, what is allocated and fragmented on it, costs and metrics."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import simpy
from numpy.typing import NDArray

from clustersim.cluster import Binding, Cluster, ClusterView
from clustersim.control import ControlPlane, Role
from clustersim.errors import ConfigError
from clustersim.eventlog import EventLog
from clustersim.fragmentation import Fragmentation, FragmentationView
from clustersim.history import History
from clustersim.metrics import TimeIntegral, share
from clustersim.pods import Pod, compile_pods
from clustersim.sampling import stratified_sample
from clustersim.streams import Streams
from clustersim.workload import GPU_MILLI

if TYPE_CHECKING:
    from clustersim.scenarios.pod_placement import PodPlacement

PLACE = "place"
PREEMPT = "preempt"
REPLAN = "replan"

KEEP, CARRY_OUT = range(2)
"""The candidates of `replan`."""

EVENTS = ("arrive", "bind", "start", "finish", "lost", "evict", "move", "preempt")
"""What the log holds of a pod. The place is a node; of `evict` and `move` the one that the pod leaves, and a `bind`
follows every `move`. The value is the bit set of GPU devices for `bind`, the number of victims for `preempt`."""
ARRIVE, BIND, START, FINISH, LOST, EVICT, MOVE, PREEMPTED = range(len(EVENTS))

REWARDS = ("allocation", "fragmentation", "shaped")
"""The costs that `PodPlacementSimulation.cost` declares."""


@dataclass(frozen=True, slots=True, eq=False)
class PlacementView:
    """What a placement policy may read: the cluster and its GPU fragmentation."""

    cluster: ClusterView
    fragmentation: FragmentationView


class PodPlacementSimulation(ABC):
    """One episode. `control` is driven from outside; everything else is to be read."""

    def __init__(self, scenario: PodPlacement, seed: int) -> None:
        self.scenario = scenario
        self.streams = Streams(seed)
        self.env = simpy.Environment()
        self.control = ControlPlane(self.env)
        self.log = EventLog(EVENTS)
        self._pods = compile_pods(scenario.workload, scenario.typical_share, scenario.image_mib)
        # A list, because one number is read from it in 0.02 us and from an array in 0.1 us.
        self._gpu_demand_milli: list[int] = self._pods.gpu_demand_milli.tolist()

        nodes = scenario.workload.nodes
        self.cluster = Cluster(nodes.take(self._draw_nodes()), self._pods.models)
        self.fragmentation = Fragmentation(self.cluster, self._pods.typical, self._pods.shapes)
        self.view = PlacementView(self.cluster.view, self.fragmentation.view)
        self.gpu_capacity_milli = int(self.cluster.view.gpu_count.sum()) * GPU_MILLI
        self.capacity = {
            "cpu_milli": int(self.cluster.view.cpu_capacity.sum()),
            "memory_mib": int(self.cluster.view.memory_capacity.sum()),
        }

        self.wait = self._wait_candidate()
        candidates = len(self.cluster) + (self.wait is not None)
        self.role = Role(PLACE, "cluster", candidates, self.view, self._legal)

        self.arrived_gpu_milli = 0
        self.arrived_pods = 0
        self.placed_pods = 0
        self.lost_pods = 0
        self.gpu_allocated = TimeIntegral(0.0)
        self._cpu_allocated_milli = 0
        self._memory_allocated_mib = 0
        self._unserved = TimeIntegral(0.0)  # asked for by pods that were lost, or that are pending
        self._fragmented = TimeIntegral(0.0, self.fragmentation.total)
        self.history = History()
        self._subject: Pod = self._pods.pods[0]

    def _draw_nodes(self) -> NDArray[np.int64]:
        nodes, rng = self.scenario.workload.nodes, self.streams["nodes"]
        if self.scenario.nodes is None:
            return rng.permutation(len(nodes))
        return rng.permutation(stratified_sample(nodes, self.scenario.nodes, rng))

    def _wait_candidate(self) -> int | None:
        """The candidate that means waiting, where there is one."""
        return None

    def _legal(self, pod: Pod, out: NDArray[np.bool_]) -> bool:
        return self.cluster.feasible(pod.request, out)

    def _arrived(self, pod: Pod) -> None:
        self.arrived_pods += 1
        self.arrived_gpu_milli += self._demand_milli(pod)
        self.log.add(self.env.now, ARRIVE, pod.row)

    def _demand_milli(self, pod: Pod) -> int:
        return self._gpu_demand_milli[pod.row]

    def _bind(self, pod: Pod, node: int, device: int | None) -> Binding:
        binding = self.cluster.bind(pod.request, node, device)
        self.placed_pods += 1
        self._account(binding, +1)
        self.log.add(self.env.now, BIND, pod.row, node, binding.devices)
        return binding

    def _account(self, binding: Binding, sign: int) -> None:
        """A binding came (+1) or went (-1): bring the fragmentation and the integrals up to date."""
        now_s = self.env.now
        cpu_milli, memory_mib, num_gpu, gpu_milli, _ = binding.request.tolist()
        self._cpu_allocated_milli += sign * cpu_milli
        self._memory_allocated_mib += sign * memory_mib
        self.gpu_allocated.add(now_s, sign * num_gpu * gpu_milli)
        before = self.fragmentation.total
        self.fragmentation.update(binding.node)
        self._fragmented.add(now_s, self.fragmentation.total - before)

    def _remember(self) -> None:
        self.history.add(
            self.env.now,
            self.arrived_gpu_milli,
            self.gpu_allocated.value,
            self.fragmentation.total,
            self._cpu_allocated_milli,
            self._memory_allocated_mib,
        )

    # --- costs and metrics

    def cost(self, name: str) -> float:
        """A declared cost so far, in percentage points of the GPU capacity; its negative increase is a reward.

        `fragmentation` is what is fragmented. `shaped` adds the demand that is unserved: it ranks policies nearly as
        `allocation` does, but charges a bad place at once, and does not swing with the size of the pods that happen to
        arrive. What `allocation` is, and whether amounts are taken as they are or over time, is up to the mode.
        """
        if name == "allocation":
            amount = self._allocation_cost()
        elif name == "fragmentation":
            amount = self._amount(self._fragmented)
        elif name == "shaped":
            amount = self._amount(self._unserved) + self._amount(self._fragmented)
        else:
            raise ConfigError(f"there is no cost {name!r}; choose one of {', '.join(REWARDS)}")
        return 100 * share(amount, self.gpu_capacity_milli)

    @abstractmethod
    def _allocation_cost(self) -> float:
        """In GPU milli (or milli hours)."""

    @abstractmethod
    def _amount(self, quantity: TimeIntegral) -> float:
        """A quantity as costs count it."""

    def raw(self) -> dict[str, Any]:
        """The plain quantities now, from which any other reward can be computed."""
        return {
            "time_s": self.env.now,
            "arrived_pods": self.arrived_pods,
            "placed_pods": self.placed_pods,
            "lost_pods": self.lost_pods,
            "arrived_gpu_milli": self.arrived_gpu_milli,
            "allocated_gpu_milli": self.gpu_allocated.value,
            "fragmented_gpu_milli": self.fragmentation.total,
            "gpu_capacity_milli": self.gpu_capacity_milli,
        }

    def metrics(self) -> dict[str, float]:
        """The figures of the episode so far; shares are fractions of 1, times are seconds."""
        now_s = self.env.now
        gpu_capacity = self.gpu_capacity_milli
        figures = {
            "gpu_allocation": share(self.gpu_allocated.mean(now_s), gpu_capacity),
            # No cost is made of these two, so no integral of them is kept while the episode runs.
            "cpu_allocation": share(self.history.mean("allocated_cpu_milli", now_s), self.capacity["cpu_milli"]),
            "memory_allocation": share(self.history.mean("allocated_memory_mib", now_s), self.capacity["memory_mib"]),
            "gpu_fragmentation": share(self._fragmented.mean(now_s), gpu_capacity),
            "pods_arrived": float(self.arrived_pods),
            "pods_placed": float(self.placed_pods),
        }
        return figures
