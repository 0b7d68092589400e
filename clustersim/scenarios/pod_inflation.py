"""Inflation, the protocol of FGD (Weng et al., USENIX ATC 2023): demand grows until the cluster is more than full.

Pods drawn from the list arrive one per second until the GPU demand that has arrived reaches a multiple of the
capacity; nobody departs, and a pod that does not fit is lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import simpy
from numpy.typing import NDArray

from clustersim.control import NO_CANDIDATE
from clustersim.metrics import TimeIntegral
from clustersim.scenarios.pod_world import LOST, PodPlacementSimulation

if TYPE_CHECKING:
    from clustersim.scenarios.pod_placement import PodPlacement

MARKS_PERCENT = (95, 100, 130)
"""Arrived GPU demand, in percent of the GPU capacity, at which an inflation run is measured."""


class PodInflation(PodPlacementSimulation):
    """An episode of arrivals only. The `allocation` cost is minus what is allocated."""

    def __init__(self, scenario: PodPlacement, seed: int) -> None:
        super().__init__(scenario, seed)
        target_milli = scenario.demand_ratio * self.gpu_capacity_milli
        self.arrivals = inflation_order(self._pods.gpu_demand_milli, target_milli, self.streams["workload"])
        if len(self.arrivals):
            self.env.timeout(0.0).callbacks.append(self._arrive)

    def requests_until(self, percent: int) -> NDArray[np.int64]:
        """(P, 5) requests of the pods that arrive until the arrived GPU demand no longer rounds to this percent."""
        arrived_milli = np.cumsum(self._pods.gpu_demand_milli[self.arrivals])
        until = np.rint(100 * arrived_milli / self.gpu_capacity_milli) <= percent
        return self._pods.requests[self.arrivals[until]]

    def _arrive(self, _event: simpy.Event) -> None:
        pod = self._pods.pods[self.arrivals[self.arrived_pods]]
        self._arrived(pod)
        self._subject = pod
        self.control.ask(self.role, pod, self._answer)

    def _answer(self, node: int, device: int | None) -> None:
        if node == NO_CANDIDATE:
            self.lost_pods += 1
            self._unserved.add(self.env.now, self._demand_milli(self._subject))
            self.log.add(self.env.now, LOST, self._subject.row)
        else:
            self._bind(self._subject, node, device)
        self._remember()
        if self.arrived_pods < len(self.arrivals):
            self.env.timeout(1.0).callbacks.append(self._arrive)

    def _allocation_cost(self) -> float:
        return -self.gpu_allocated.value

    def _amount(self, quantity: TimeIntegral) -> float:
        return quantity.value

    def metrics(self) -> dict[str, float]:
        figures = super().metrics()
        figures["pods_lost"] = float(self.lost_pods)
        for mark in MARKS_PERCENT:
            allocated, fragmented = float("nan"), float("nan")
            if mark <= 100 * self.scenario.demand_ratio + 1e-9:
                allocated, fragmented = self.history.at_mark(mark, self.gpu_capacity_milli)
            figures[f"gpu_allocation_at_{mark}"] = allocated
            figures[f"gpu_fragmentation_at_{mark}"] = fragmented
        return figures


def inflation_order(demand: NDArray[np.int64], target_milli: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """Rows of a pod list in order of arrival: the list shuffled, then thinned or drawn on to the target demand.

    `demand`: (P,) GPU milli per pod, not all 0.
    """
    rows = rng.permutation(len(demand))
    total = int(demand.sum())
    if total > target_milli:
        # Pods leave the shuffled list at random until the demand is no longer above the target.
        leaving = rng.permutation(len(rows))
        left_total = total - np.cumsum(demand[rows[leaving]])
        gone = leaving[: 1 + int(np.argmax(left_total <= target_milli))]
        return np.delete(rows, gone)
    drawn: list[NDArray[np.int64]] = []
    while True:
        more = rng.integers(len(demand), size=len(demand))
        reached = total + np.cumsum(demand[more])
        if reached[-1] <= target_milli:
            drawn.append(more)
            total = int(reached[-1])
            continue
        drawn.append(more[: int(np.argmax(reached > target_milli))])
        return np.concatenate([rows, *drawn])
