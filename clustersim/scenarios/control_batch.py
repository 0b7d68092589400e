"""The batch pods of the shared cluster: they arrive, work at the speed that their machine allows, and finish."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

import numpy as np
import simpy

from clustersim.cluster import Binding
from clustersim.pods import Pod
from clustersim.scenarios.control_log import ARRIVE, FINISH
from clustersim.tenancy import device_load
from clustersim.work import Work

if TYPE_CHECKING:
    from clustersim.scenarios.control_world import ControlSimulation


class BatchPods:
    """Pods in the first rows of the pod table, in any order of arrival.

    `duration_s` is a pod's work: the seconds that it takes alone at full clock. A pod that is stopped keeps
    `checkpoint_share` of what it has done since it got its node, and does the rest again.
    """

    def __init__(self, world: ControlSimulation, pods: tuple[Pod, ...]) -> None:
        self._world = world
        self._pods = pods
        self._traits = world.workload.traits
        self._order = np.argsort([pod.arrival_s for pod in pods], kind="stable").tolist()
        self._works: dict[int, Work] = {}
        self._left_s: dict[int, float] = {}  # of pods that were stopped
        self.arrived = 0
        self.finished: dict[int, float] = {}
        """Row -> when."""
        self.lost_work_s = 0.0
        self._schedule()

    def running(self) -> list[int]:
        """The rows of the pods that have a node, those placed first before others."""
        return list(self._works)

    def left_s(self, row: int) -> float:
        """Seconds of work that a running pod has left; inf for one that never leaves."""
        work = self._works.get(row)
        return inf if work is None else work.left

    def placed(self, row: int, binding: Binding) -> None:
        """A pod got its node and works."""
        amount_s = self._left_s.get(row, self._pods[row].duration_s)
        if amount_s < inf:
            # Before it is a tenant: from then on the machine tells its speed.
            self._works[row] = Work(self._world.env, amount_s, lambda: self._finish(row))
        self.resume(row, binding)

    def suspend(self, row: int) -> None:
        """A pod stands still."""
        self.set_rate(row, 0.0)

    def resume(self, row: int, binding: Binding) -> None:
        """A pod becomes a tenant of its node, and works."""
        world, traits = self._world, self._traits
        node = world.node_of(row)
        self.set_rate(row, 1.0)
        high = self._pods[row].priority >= world.scenario.high_priority
        sensitivity = float(traits.clock_sensitivity[row])
        world.tenancy.enter(row, node, binding, sensitivity, high, int(traits.kind[row]))
        cpu_milli, _, _, gpu_milli, _ = self._pods[row].request.tolist()
        gpu = device_load(gpu_milli, float(traits.gpu_load[row])) if gpu_milli else 0.0
        world.tenancy.set_load([row], [node], cpu_milli * float(traits.cpu_load[row]), gpu)

    def set_rate(self, row: int, speed: float) -> None:
        """The machine of a pod lets it work at another speed."""
        if row in self._works:
            self._works[row].set_rate(speed)

    def stop(self, row: int) -> None:
        """A pod loses its node before its end."""
        work = self._works.pop(row, None)
        if work is not None:
            left_s = work.stop()
            started_s = self._left_s.get(row, self._pods[row].duration_s)
            lost_s = (1 - self._world.scenario.checkpoint_share) * (started_s - left_s)
            self._left_s[row] = left_s + lost_s
            self.lost_work_s += lost_s

    def _finish(self, row: int) -> None:
        world = self._world
        del self._works[row]
        self.finished[row] = world.env.now
        world.log.add(world.env.now, FINISH, row, world.node_of(row))
        world.leave(row)

    def _schedule(self) -> None:
        if self.arrived < len(self._order):
            delay_s = max(0.0, self._pods[self._order[self.arrived]].arrival_s - self._world.env.now)
            self._world.env.timeout(delay_s).callbacks.append(self._arrive)

    def _arrive(self, _event: simpy.Event) -> None:
        """Every pod with the arrival time of the next one arrives."""
        arrival_s = self._pods[self._order[self.arrived]].arrival_s
        while self.arrived < len(self._order) and self._pods[self._order[self.arrived]].arrival_s == arrival_s:
            row = self._order[self.arrived]
            self.arrived += 1
            self._world.log.add(self._world.env.now, ARRIVE, row)
            self._world.enqueue(row)
        self._schedule()
