"""How an episode of the shared cluster went: a row of quantities at every tick."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clustersim.metrics import share
from clustersim.workload import GPU_MILLI

if TYPE_CHECKING:
    from clustersim.scenarios.control_world import ControlSimulation

Floats = NDArray[np.float64]

MOST_TICKS = 1500
"""Longer episodes remember every second, third, ... tick, so that a day of a large cluster stays small."""


class ControlHistory:
    """Arrays over T remembered ticks, R power rows, S services, Z zones and N nodes.

    `row_low`, `row_high`: the caps that act, as indices; `row_braked`: 1 while the brake acts. `node_gpu`: share of the
    GPUs that is allocated (of the CPUs, on nodes without GPUs). `queue`: pods that wait.
    """

    def __init__(self, world: ControlSimulation) -> None:
        self._world = world
        ticks = world.workload.duration_s / world.scenario.tick_s
        self._every = max(1, int(np.ceil(ticks / MOST_TICKS)))
        self._ticks = 0
        self._numbers: list[tuple[float, ...]] = []
        self._by_row: list[list[tuple[float, ...]]] = []
        self._by_service: list[list[tuple[float, ...]]] = []
        self._queue: list[list[int]] = []
        self._node_gpu: list[NDArray[np.float32]] = []
        self.row_budget_w = world.budget_w

    def remember(self) -> None:
        """A tick begins."""
        self._ticks += 1
        if (self._ticks - 1) % self._every:
            return
        world = self._world
        states = [world.rows.state(row) for row in range(world.workload.rows)]
        self._numbers.append((world.env.now, world.cost("team")))
        self._by_row.append([(s.power_w, s.low_acting, s.high_acting, s.braked) for s in states])
        self._by_service.append(
            [(g.ready, g.wanted, g.arrival_rps, g.capacity_rps, g.latency_s, g.backlog) for g in world.services]
        )
        self._queue.append([len(zone.pending) for zone in world.zones])
        used = np.zeros(len(world.workload.nodes), dtype=np.float32)
        for zone in world.zones:
            view = zone.view.cluster
            gpus = view.gpu_count * GPU_MILLI
            cpu = 1 - view.cpu_free / np.maximum(1, view.cpu_capacity)
            used[zone.nodes] = np.where(gpus > 0, 1 - view.gpu_free_total / np.maximum(1, gpus), cpu)
        self._node_gpu.append(used)

    def means(self) -> dict[str, float]:
        """Means over the remembered ticks: allocated GPUs and CPUs of nodes, as shares, and replicas."""
        if not self._numbers:
            return {}
        gpus = self._world.workload.nodes.gpu_count
        allocated = float((self.node_gpu @ gpus).mean()) if len(gpus) else 0.0
        return {
            "gpu_allocation": share(allocated, float(gpus.sum())),
            "replicas_mean": float(self.replicas.sum(axis=1).mean()),
        }

    @property
    def time_s(self) -> Floats:
        return np.array([row[0] for row in self._numbers])

    @property
    def team_cost(self) -> Floats:
        return np.array([row[1] for row in self._numbers])

    @property
    def queue(self) -> Floats:
        return np.array(self._queue, dtype=np.float64)

    @property
    def node_gpu(self) -> NDArray[np.float32]:
        return np.array(self._node_gpu)

    def _row(self, column: int) -> Floats:
        return np.array(self._by_row, dtype=np.float64).reshape(len(self._by_row), -1, 4)[:, :, column]

    def _service(self, column: int) -> Floats:
        return np.array(self._by_service, dtype=np.float64).reshape(len(self._by_service), -1, 6)[:, :, column]

    @property
    def row_power_w(self) -> Floats:
        return self._row(0)

    @property
    def row_low(self) -> Floats:
        return self._row(1)

    @property
    def row_high(self) -> Floats:
        return self._row(2)

    @property
    def row_braked(self) -> Floats:
        return self._row(3)

    @property
    def replicas(self) -> Floats:
        return self._service(0)

    @property
    def wanted(self) -> Floats:
        return self._service(1)

    @property
    def arrival_rps(self) -> Floats:
        return self._service(2)

    @property
    def capacity_rps(self) -> Floats:
        return self._service(3)

    @property
    def latency_s(self) -> Floats:
        return self._service(4)

    @property
    def backlog(self) -> Floats:
        return self._service(5)
