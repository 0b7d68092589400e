"""A zone of the shared cluster: its nodes, its queue, and the placer that is asked about every pod that may fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clustersim.cluster import Binding, Cluster
from clustersim.control import NO_CANDIDATE, Role
from clustersim.fragmentation import Fragmentation
from clustersim.metrics import TimeIntegral
from clustersim.packing import NOWHERE
from clustersim.pending import PendingPods
from clustersim.pods import Pod, PodList
from clustersim.preemption import first_with_hope, nodes_that_could_make_room, pick_node, victims_by_reprieve
from clustersim.readonly import read_only
from clustersim.running_pods import RunningView
from clustersim.scenarios.control_log import BIND, EVICT
from clustersim.scenarios.control_roles import PLACER, ZoneView
from clustersim.workload import GPU_MILLI

if TYPE_CHECKING:
    from clustersim.scenarios.control_world import ControlSimulation


class Zone:
    """n nodes, numbered from 0 in here and by `nodes` in the cluster, with a cluster state of their own.

    Waiting pods are offered to the placer by priority, then arrival: one that fits nowhere again when a node has more
    room, one that the placer let wait after any release. A replica of a service that fits nowhere takes the place of
    pods of lower priority, if that is allowed: on the node where, as in Kubernetes, the most important victim matters
    least, then all of them together and their number, and where the most important has run for the shortest time.
    """

    def __init__(self, world: ControlSimulation, index: int, nodes: NDArray[np.int64], pods: PodList) -> None:
        self.index = index
        self.agent = f"{PLACER}_{index}"
        self.nodes = nodes
        self._world = world
        self._pods = pods
        self.cluster = Cluster(world.workload.nodes.take(nodes), pods.models)
        self.fragmentation = Fragmentation(self.cluster, pods.typical, pods.shapes)
        self.bindings: dict[int, Binding] = {}
        self._outages: dict[int, Binding] = {}
        rows = len(pods.pods)
        self._home = np.full(rows, NOWHERE, dtype=np.int64)
        self._devices = np.zeros(rows, dtype=np.int64)
        self._started_s = np.zeros(rows)
        priority = np.array([pod.priority for pod in pods.pods], dtype=np.int64)
        self.running = RunningView(
            read_only(self._home), read_only(self._devices), read_only(self._started_s), priority, pods.requests
        )
        self.pending = PendingPods(pods.rank, self._first_fitting)
        self._since_s: dict[int, float] = {}
        self._weight: dict[int, float] = {}
        self.queueing = TimeIntegral(0.0)
        """Priority-weighted number of waiting pods."""
        self.queueing_s: dict[int, float] = {}
        """Seconds that each batch pod has waited, all its waits together, for those that have been placed."""
        self.evictions = 0
        self._released: list[int] = []
        self._in_round = False
        self._round_wanted = False
        self._subject: Pod | None = None
        self._waiting = np.zeros(1, dtype=np.int64)
        tenancy, here = world.tenancy, slice(int(nodes[0]), int(nodes[-1]) + 1)
        self.view = ZoneView(
            cluster=self.cluster.view,
            fragmentation=self.fragmentation.view,
            cpu_pressure=tenancy.cpu_pressure[here],
            gpu_pressure=tenancy.gpu_pressure[here],
            clock=tenancy.low_clock[here],
            power_w=tenancy.power_w[here],
            row=read_only(world.workload.row[here]),
            row_power=read_only(world.row_power),
            up=tenancy.up[here],
            tenants=tenancy.count[here],
            waiting=read_only(self._waiting),
            world=world,
        )
        self.wait = len(nodes)
        self.role = Role(PLACER, self.agent, len(nodes) + 1, self.view, self._legal)

    def local(self, node: int) -> int:
        """The number in here of a node of the cluster."""
        return node - int(self.nodes[0])

    # --- the queue

    def enqueue(self, row: int, weight: float) -> None:
        """A pod waits for a node; every second costs `weight`."""
        now_s = self._world.env.now
        self._since_s[row] = now_s
        self._weight[row] = weight
        self.queueing.add(now_s, weight)
        self.pending.add(row)
        self._waiting[0] = len(self.pending)
        self._want_round()

    def withdraw(self, row: int) -> None:
        """A waiting pod is not wanted any more."""
        self.pending.take(np.array([row], dtype=np.int64))
        self._no_longer_waits(row)
        if self._subject is not None and self._subject.row == row:
            self._subject = None
        if self._in_round:
            self._round_wanted = True

    def _no_longer_waits(self, row: int) -> float:
        now_s = self._world.env.now
        self.queueing.add(now_s, -self._weight.pop(row))
        self._waiting[0] = len(self.pending)
        return now_s - self._since_s.pop(row)

    def _first_fitting(self, rows: NDArray[np.int64], nodes: NDArray[np.int64]) -> int:
        # Pods of services have the last rows: without one among these, none may preempt.
        if len(rows) and self._world.may_preempt(self._pods.pods[rows.max()]):
            return first_with_hope(rows, nodes, self.cluster.view, self.running)
        return self.cluster.first_fitting(self._pods.requests, rows, nodes)

    def _legal(self, pod: Pod, out: NDArray[np.bool_]) -> bool:
        # Answers of the same instant may have taken the pod out of the queue, and queued another one in its row.
        if pod is not self._subject:
            out[:] = False
            return False
        found = self.cluster.feasible(pod.request, out)
        out[-1] = found
        return found

    def _want_round(self) -> None:
        self._round_wanted = True
        if not self._in_round:
            self._in_round = True
            self._world.control.settle(self._offer_next)

    def _offer_next(self) -> None:
        if self._round_wanted:
            self._round_wanted = False
            self.pending.rewind()
        row = self.pending.next(self._released, "backfill")
        if row is None:
            self._in_round = False
            self._released.clear()
            return
        self._subject = self._pods.pods[row]
        self._world.control.ask(self.role, self._subject, self._answer)

    def _answer(self, node: int, device: int | None) -> None:
        pod, self._subject = self._subject, None
        if pod is None:
            pass  # withdrawn while its question was open
        elif node == self.wait:
            self.pending.keep(waited=True)
        elif node != NO_CANDIDATE:
            self.pending.remove()
            self._place(pod, node, device)
        elif not self._world.may_preempt(pod) or not self._preempt(pod):
            self.pending.keep(waited=False)
        self._world.control.settle(self._offer_next)

    # --- placing and leaving

    def _place(self, pod: Pod, node: int, device: int | None) -> None:
        waited_s = self._no_longer_waits(pod.row)
        self.queueing_s[pod.row] = self.queueing_s.get(pod.row, 0.0) + waited_s
        binding = self.cluster.bind(pod.request, node, device)
        self.hold(pod.row, binding)
        self._started_s[pod.row] = self._world.env.now
        self._world.log.add(self._world.env.now, BIND, pod.row, int(self.nodes[node]), binding.devices)
        self._world.placed(pod, binding)

    def hold(self, row: int, binding: Binding) -> None:
        """A pod is on a node by this binding."""
        self.bindings[row] = binding
        self._home[row] = binding.node
        self._devices[row] = binding.devices
        self.fragmentation.update(binding.node)

    def let_go(self, row: int) -> Binding:
        """A pod is on no node; the binding still holds its part of the node it was on."""
        self._home[row] = NOWHERE
        self._devices[row] = 0
        return self.bindings.pop(row)

    def rename(self, row: int, to: int) -> Binding:
        """A pod goes on as another one where it is."""
        self._started_s[to] = self._started_s[row]
        binding = self.let_go(row)
        self.hold(to, binding)
        return binding

    def reserve(self, row: int, node: int) -> Binding:
        """Hold a part of a node for a pod that is on its way there."""
        binding = self.cluster.bind(self._pods.requests[row], node)
        self.fragmentation.update(node)
        return binding

    def release(self, binding: Binding) -> None:
        """What a binding held is free, unless the node is down."""
        self.cluster.release(binding)
        self.fragmentation.update(binding.node)
        self._released.append(binding.node)
        if len(self.pending):
            self._want_round()

    # --- outages

    def close(self, node: int) -> None:
        """A node is down: all of it is taken, so that nothing fits. Everybody has left it before."""
        view = self.cluster.view
        everything = np.array(
            [view.cpu_free[node], view.memory_free[node], view.gpu_count[node], GPU_MILLI, -1], dtype=np.int64
        )
        if view.gpu_count[node] == 0:
            everything[3] = 0
        self._outages[node] = self.cluster.bind(everything, node)
        self.fragmentation.update(node)

    def open(self, node: int) -> None:
        """A node is up again."""
        self.release(self._outages.pop(node))

    # --- preemption

    def _preempt(self, pod: Pod) -> bool:
        """Evict pods of lower priority so that this one fits; return whether that was possible."""
        view = self.cluster.view
        hopeful = np.zeros(len(self.nodes), dtype=np.bool_)
        if not nodes_that_could_make_room(pod, view, self.running, hopeful):
            return False
        victims = np.flatnonzero(victims_by_reprieve(pod, hopeful, view, self.running))
        home = self.running.home[victims]
        node = pick_node(home, self.running.priority[victims], self.running.started_s[victims])
        self.pending.remove()
        for row in victims[home == node].tolist():
            self.evictions += 1
            self._world.log.add(self._world.env.now, EVICT, row, int(self.nodes[node]))
            self._world.displace(row)
        self._place(pod, node, None)
        return True
