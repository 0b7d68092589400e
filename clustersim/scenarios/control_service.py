"""A service of the shared cluster: its replicas, its warm pool, its queue, and how busy that keeps the machines."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING

import simpy

from clustersim.cluster import Binding
from clustersim.coldstart import ALLOCATION_S, ColdStart, Stage
from clustersim.coldstart_tables import known_runtime
from clustersim.control_workload import Service
from clustersim.fluid_queue import FluidQueue
from clustersim.metrics import TimeIntegral, share
from clustersim.scenarios.control_log import POOLED, READY, REMOVE, STARTING
from clustersim.tenancy import device_load
from clustersim.work import Work

if TYPE_CHECKING:
    from clustersim.scenarios.control_world import ControlSimulation

SAMPLE_S = 2.0
_SAMPLES = 301
"""Counts are remembered every 2 s for 10 minutes; means over longer windows are over 10 minutes."""


class ServiceGroup:
    """Implements `control_roles.ServiceState`.

    A replica is pending (waits for a node), starting or ready; a pod of the warm pool is pending, being created (from
    scratch, with the image of the service that it is meant for) or ready, and works only when it becomes a replica. The
    load that a replica puts on its machine is how busy the service is: arrivals over what the replicas could do
    undisturbed, and all of it while requests wait. It does not depend on how much the replicas are slowed down, so
    nothing goes in circles.
    """

    def __init__(self, world: ControlSimulation, index: int, service: Service, rows: Iterable[int]) -> None:
        self.service = service
        self.index = index
        self.agent = f"scaler_{index}"
        known_runtime(service.runtime)
        self.queue = FluidQueue(0.0, service.slo_s, service.service_time_s, service.queue_limit)
        self.starting_pods = TimeIntegral(0.0)
        self.cold_starts = dict.fromkeys(Stage, 0)
        self.cold_start_s: list[float] = []
        self.pool_wanted = 0
        self._world = world
        self._configuration = (service.cpu_milli, service.memory_mib, service.gpu_milli)
        self._pools = world.pools[service.zone]
        self._free = list(rows)[::-1]
        self._pending: list[int] = []
        self._starting: dict[int, ColdStart] = {}
        self._ready: list[int] = []
        self._pool_pending: list[int] = []
        self._pool_created: dict[int, Work | Callable[[], None]] = {}
        self._pool_ready: list[int] = []
        self._load = 0.0
        self._version = 0
        self._step = 0
        self._samples: deque[tuple[float, ...]] = deque(maxlen=_SAMPLES)
        self._counted: tuple[float, ...] = (-1.0,)
        self.sample()
        self._change_load(None)
        for _ in range(service.initial_replicas):
            self._ask_for_node(self._pending)

    # --- what policies read

    @property
    def now_s(self) -> float:
        return float(self._world.env.now)

    @property
    def ready(self) -> int:
        return len(self._ready)

    @property
    def starting(self) -> int:
        return len(self._starting)

    @property
    def pending(self) -> int:
        return len(self._pending)

    @property
    def wanted(self) -> int:
        return len(self._ready) + len(self._starting) + len(self._pending)

    @property
    def pool_ready(self) -> int:
        return len(self._pool_ready)

    @property
    def arrival_rps(self) -> float:
        return self.queue.arrival_rps

    @property
    def capacity_rps(self) -> float:
        return self.queue.capacity_rps

    @property
    def backlog(self) -> float:
        return self.queue.backlog(self._world.env.now)

    @property
    def in_flight(self) -> float:
        now_s = self._world.env.now
        return self.queue.backlog(now_s) + self.queue.served_rps(now_s) * self.service.service_time_s

    @property
    def latency_s(self) -> float:
        return self.queue.latency_s(self._world.env.now)

    def in_flight_mean(self, window_s: float) -> float:
        elapsed_s, _, _, waited, served, _ = self._since(window_s)
        in_flight = waited + served * self.service.service_time_s
        return in_flight / elapsed_s if elapsed_s > 0 else self.in_flight

    def arrivals_mean_rps(self, window_s: float) -> float:
        elapsed_s, arrived, *_ = self._since(window_s)
        return arrived / elapsed_s if elapsed_s > 0 else self.arrival_rps

    def utilization_mean(self, window_s: float) -> float:
        elapsed_s, *_, busy_s = self._since(window_s)
        return busy_s / elapsed_s if elapsed_s > 0 else self._load

    def missed_share(self, window_s: float) -> float:
        _, arrived, missed, *_ = self._since(window_s)
        return share(missed, arrived)

    def sample(self) -> None:
        """Remember the counts of now; called every SAMPLE_S."""
        self._samples.append(self._counts())

    @property
    def arrived(self) -> float:
        """Requests so far."""
        return self._counts()[1]

    @property
    def missed(self) -> float:
        """Of them, those that missed the SLO."""
        return self._counts()[2]

    def _counts(self) -> tuple[float, ...]:
        """Time and counts of now. Nobody who looks may change what comes, and many look at the same instant."""
        now_s = self.now_s
        if self._counted[0] != now_s:
            queue = self.queue.peek(now_s)
            self._counted = (now_s, queue.arrived, queue.missed, queue.waiting_request_s, queue.served, queue.busy_s)
        return self._counted

    def _since(self, window_s: float) -> tuple[float, ...]:
        back = min(max(1, round(window_s / SAMPLE_S)), len(self._samples) - 1)
        now, then = self._counts(), self._samples[-1 - back]
        if now[0] > self._samples[-1][0]:  # between two samples: the newest is not now
            then = self._samples[-min(back, len(self._samples))]
        return tuple(a - b for a, b in zip(now, then, strict=True))

    # --- what the scaler's answer does

    def can_change(self, replicas: int, pool: int) -> bool:
        """Whether the service may have so many replicas more, and its pool such a target."""
        service = self.service
        return (replicas == 0 or service.min_replicas <= self.wanted + replicas <= service.max_replicas) and (
            0 <= self.pool_wanted + pool <= self._world.scenario.pool_most
        )

    def change(self, replicas: int, pool: int) -> None:
        """Start or remove replicas, and set another target for the warm pool."""
        self.pool_wanted += pool
        for _ in range(replicas):
            self._one_more()
        for _ in range(-replicas):
            self._one_less()
        self._fill_pool()

    def _one_more(self) -> None:
        stage, entry = self._pools.take(self._configuration)
        if entry is None:
            self._ask_for_node(self._pending)
            return
        lender, row = entry
        lender._pool_ready.remove(row)
        lent_image = lender.service.image
        if lender is not self:
            own = self._free.pop()
            self._world.rename(row, own)
            lender._free.append(row)
            lender._fill_pool()
            row = own
        self._start(row, stage)
        # Its image is kept until the start itself needs one, or it might have to be pulled again.
        world, node = self._world, self._world.node_of(row)
        Work(world.env, ALLOCATION_S[stage], lambda: world.cold.leave(node, lent_image))

    def _one_less(self) -> None:
        """The newest goes, and one that does not serve yet before one that does."""
        if self._pending:
            self._withdraw(self._pending)
        elif self._starting:
            row, start = self._starting.popitem()
            self._cancel(start)
            self._remove(row)
        else:
            row = self._ready.pop()
            self._world.cold.leave(self._world.node_of(row), self.service.image)
            self._remove(row)
            self._world.disturbed(self)

    def _fill_pool(self) -> None:
        pods = len(self._pool_pending) + len(self._pool_created) + len(self._pool_ready)
        for _ in range(self.pool_wanted - pods):
            if self._free:
                self._ask_for_node(self._pool_pending)
        for _ in range(pods - self.pool_wanted):
            if self._pool_pending:
                self._withdraw(self._pool_pending)
                continue
            row = next(reversed(self._pool_created), None)
            row = self._pool_ready[-1] if row is None else row
            self._leave_pool(row, self._world.node_of(row))
            self._remove(row)

    def _leave_pool(self, row: int, node: int) -> None:
        """A pod of the pool that has a node is none any more."""
        cold, image = self._world.cold, self.service.image
        if row in self._pool_ready:
            self._pool_ready.remove(row)
            self._pools.remove((self, row))
            cold.leave(node, image)
            return
        creation = self._pool_created.pop(row)
        if isinstance(creation, Work):
            creation.stop()
        else:
            cold.pulls.leave(node, image, creation)

    def _cancel(self, start: ColdStart) -> None:
        start.cancel()
        self.starting_pods.add(self.now_s, -1)

    def _ask_for_node(self, queue: list[int]) -> None:
        row = self._free.pop()
        queue.append(row)
        self._world.enqueue(row, weighty=queue is self._pending)

    def _withdraw(self, queue: list[int]) -> None:
        row = queue.pop()
        self._world.withdraw(row)
        self._free.append(row)

    def _remove(self, row: int) -> None:
        self._world.log.add(self.now_s, REMOVE, row, self._world.node_of(row))
        self._world.leave(row)
        self._free.append(row)

    # --- pods on their way

    def placed(self, row: int, binding: Binding) -> None:
        """A pod got its node. What is there when an episode begins has started before."""
        service, world = self.service, self._world
        node = world.node_of(row)
        high = service.priority >= world.scenario.high_priority
        world.tenancy.enter(row, node, binding, service.clock_sensitivity, high)
        world.tenancy.refresh(node)
        if row in self._pool_pending:
            self._pool_pending.remove(row)
            allocation_s = ALLOCATION_S[Stage.SCRATCH]
            self._pool_created[row] = Work(world.env, allocation_s, lambda: self._allocated(row))
            return
        self._pending.remove(row)
        if self.now_s == 0:
            world.cold.hold(node, service.image, service.image_mib)
            self._serve(row)
        else:
            self._start(row, Stage.SCRATCH)

    def lost(self, row: int, node: int) -> None:
        """A pod has lost its node, and another one takes its place."""
        self._free.append(row)
        if row in self._pool_ready or row in self._pool_created:
            self._leave_pool(row, node)
            self._fill_pool()
            return
        if row in self._starting:
            self._cancel(self._starting.pop(row))
        else:
            self._ready.remove(row)
            self._world.cold.leave(node, self.service.image)
            self._world.disturbed(self)
        self._ask_for_node(self._pending)

    def _allocated(self, row: int) -> None:
        service, world = self.service, self._world
        self._pool_created[row] = there = partial(self._created, row)
        if not service.image or world.cold.pulls.use(world.node_of(row), service.image, service.image_mib, there):
            there()

    def _created(self, row: int) -> None:
        del self._pool_created[row]
        self._pool_ready.append(row)
        self._pools.add(self._configuration, (self, row))
        self._world.log.add(self.now_s, POOLED, row, self._world.node_of(row))

    def _start(self, row: int, stage: Stage) -> None:
        service, world = self.service, self._world
        self.starting_pods.add(self.now_s, 1)
        self.cold_starts[stage] += 1
        world.log.add(self.now_s, STARTING, row, world.node_of(row), int(stage))
        self._starting[row] = world.cold.start(
            world.node_of(row), service.runtime, stage, service.image, service.image_mib, lambda _: self._started(row)
        )
        self._fill_pool()

    def _started(self, row: int) -> None:
        start = self._starting.pop(row)
        self.starting_pods.add(self.now_s, -1)
        self.cold_start_s.append(start.total_s)
        self._serve(row)

    def _serve(self, row: int) -> None:
        self._ready.append(row)
        self._world.log.add(self.now_s, READY, row, self._world.node_of(row))
        if not self.backlog:
            # As if alone, until it is looked at: nobody waits, so it is not swamped by having had fewer replicas.
            self.queue.set(self.now_s, capacity_rps=len(self._ready) * self.service.replica_rps)
        self._world.disturbed(self)

    # --- the queue

    def _change_load(self, _event: simpy.Event | None) -> None:
        """The next step of the load begins."""
        load, step = self.service.load, self._step
        self.queue.set(self.now_s, arrival_rps=float(load.rate_rps[step]))
        self._step = step + 1
        if self._step < len(load.time_s):
            wait = self._world.env.timeout(max(0.0, float(load.time_s[self._step]) - self.now_s))
            wait.callbacks.append(self._change_load)
        self._world.disturbed(self)

    def rebalance(self) -> bool:
        """Bring the load of the replicas and what they can do up to date; return whether that has to be done again.

        More load means less speed, so a service that is swamped at one load may not be at another. It stays what it
        was if it can, and changes at most once and back, also when services slow each other.
        """
        world, queue, now_s = self._world, self.queue, self.now_s
        queue.advance(now_s)
        possible_rps = len(self._ready) * self.service.replica_rps
        swamped = self._swamped()
        load = 1.0 if swamped or possible_rps == 0 else min(1.0, queue.arrival_rps / possible_rps)
        self._load = load
        if self._ready:
            nodes = [world.node_of(row) for row in self._ready]
            gpu = device_load(self.service.gpu_milli, load)
            world.tenancy.set_load(self._ready, nodes, load * self.service.cpu_milli, gpu)
        speed = world.tenancy.speed
        capacity_rps = float(sum(speed[row] for row in self._ready) * self.service.replica_rps)
        queue.set(now_s, capacity_rps=capacity_rps)
        self._version += 1
        if queue.next_change_s < float("inf"):
            turn = world.env.timeout(max(0.0, queue.next_change_s - now_s), self._version)
            turn.callbacks.append(self._on_turn)
        return swamped != self._swamped()

    def _swamped(self) -> bool:
        return self.queue.backlog(self._world.env.now) > 0 or self.queue.arrival_rps > self.queue.capacity_rps

    def _on_turn(self, event: simpy.Event) -> None:
        """The backlog has gone, or has reached its limit."""
        if event.value == self._version:
            self._world.disturbed(self)
