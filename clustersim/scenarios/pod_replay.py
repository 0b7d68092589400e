"""Replay: pods arrive and depart at the times of the trace, and wait in a queue while they do not fit."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

import numpy as np
import simpy
from numpy.typing import NDArray

from clustersim.cluster import Binding
from clustersim.control import NO_CANDIDATE
from clustersim.images import ImageCache
from clustersim.metrics import TimeIntegral, mean_and_percentiles
from clustersim.pending import PendingPods
from clustersim.pods import Pod
from clustersim.running_pods import RunningPods
from clustersim.scenarios.pod_world import FINISH, START, PodPlacementSimulation

if TYPE_CHECKING:
    from clustersim.scenarios.pod_placement import PodPlacement


class PodReplay(PodPlacementSimulation):
    """An episode of arrivals and departures.

    Costs are integrated over time, in point hours. Every policy that serves all pods allocates the same in the end, so
    the `allocation` cost is what is missing: the demand of pending pods.
    """

    def __init__(self, scenario: PodPlacement, seed: int) -> None:
        super().__init__(scenario, seed)
        self.arrivals = np.argsort(scenario.workload.pods.arrival_s, kind="stable")
        self._leaving = 0  # placed pods that will depart
        self._pending = PendingPods(self._pods.rank, self._first_fitting)
        self._pending_since_s = [0.0] * len(self.arrivals)
        self._queueing_s: dict[int, float] = {}  # of every pod that was placed: the time it has spent pending
        self._released: list[int] = []  # nodes with new room since the last round ended
        self._in_round = False
        self._round_wanted = False
        self._images = (
            ImageCache(len(self.cluster), scenario.image_bandwidth_mib_s, scenario.image_cache_mib)
            if scenario.image_bandwidth_mib_s < inf
            else None
        )
        self.running = RunningPods(
            self.env,
            self._pods.requests,
            scenario.workload.pods.priority,
            self._images,
            scenario.checkpoint_share,
            lambda pod, binding: self.log.add(self.env.now, START, pod.row, binding.node),
            self._finish,
        )
        self._schedule_arrival()

    def _wait_candidate(self) -> int | None:
        return len(self.cluster)

    def _legal(self, pod: Pod, out: NDArray[np.bool_]) -> bool:
        found = super()._legal(pod, out)
        # Waiting makes sense while a placed pod will depart: that is when waiting pods are offered again.
        out[-1] = found and self._leaving > 0
        return found

    # --- arrivals and the queue

    def _schedule_arrival(self) -> None:
        if self.arrived_pods < len(self.arrivals):
            pod = self._pods.pods[self.arrivals[self.arrived_pods]]
            # max: the sum of delays may have rounded to just above the next arrival.
            delay_s = max(0.0, pod.arrival_s / self.scenario.arrival_speedup - self.env.now)
            self.env.timeout(delay_s).callbacks.append(self._arrive)

    def _arrive(self, _event: simpy.Event) -> None:
        """Every pod with the arrival time of the next one arrives: one event, so that rounding cannot part them."""
        pods = self._pods.pods
        arrival_s = pods[self.arrivals[self.arrived_pods]].arrival_s
        while self.arrived_pods < len(self.arrivals):
            pod = pods[self.arrivals[self.arrived_pods]]
            if pod.arrival_s != arrival_s:
                break
            self._arrived(pod)
            self._enqueue(pod)
        self._want_round()
        self._schedule_arrival()

    def _enqueue(self, pod: Pod) -> None:
        self._pending_since_s[pod.row] = self.env.now
        self._unserved.add(self.env.now, self._demand_milli(pod))
        self._pending.add(pod.row)

    def _want_round(self) -> None:
        """Offer pending pods, from the first on, once the instant has settled."""
        self._round_wanted = True
        if not self._in_round:
            self._in_round = True
            self.control.settle(self._offer_next)

    def _offer_next(self) -> None:
        if self._round_wanted:  # a new round, or something came up during one: look from the first pod again
            self._round_wanted = False
            self._pending.rewind()
        row = self._pending.next(self._released, self.scenario.queue)
        if row is None:
            self._in_round = False
            self._released.clear()
            self._round_over()
            return
        self._subject = self._pods.pods[row]
        self.control.ask(self.role, self._subject, self._answer)

    def _first_fitting(self, rows: NDArray[np.int64], nodes: NDArray[np.int64]) -> int:
        return self.cluster.first_fitting(self._pods.requests, rows, nodes)

    def _answer(self, node: int, device: int | None) -> None:
        if node == NO_CANDIDATE:
            self._fits_nowhere(self._subject)
        elif node == self.wait:
            self._keep_pending(waited=True)
        else:
            self._pending.remove()
            self._place(self._subject, node, device)
            self._remember()
            # Not at once: a pod of no duration may end at this very instant and make room.
            self.control.settle(self._offer_next)

    def _fits_nowhere(self, _pod: Pod) -> None:
        self._keep_pending(waited=False)

    def _keep_pending(self, waited: bool) -> None:
        """The offered pod stays in the queue; go on with the next."""
        self._pending.keep(waited)
        self.control.settle(self._offer_next)

    def _round_over(self) -> None:
        """Every pod that there was hope for has been offered."""

    # --- running

    def _place(self, pod: Pod, node: int, device: int | None) -> None:
        """A pod that was pending gets its node."""
        now_s = self.env.now
        self._unserved.add(now_s, -self._demand_milli(pod))
        self._queueing_s[pod.row] = self._queueing_s.get(pod.row, 0.0) + now_s - self._pending_since_s[pod.row]
        self._leaving += pod.duration_s < inf
        self.running.start(pod, self._bind(pod, node, device))

    def _finish(self, pod: Pod, binding: Binding) -> None:
        self.cluster.release(binding)
        self._leaving -= 1
        self._account(binding, -1)
        self.log.add(self.env.now, FINISH, pod.row, binding.node)
        self._remember()
        if len(self._pending):
            self._released.append(binding.node)
            self._want_round()

    # --- costs and metrics

    def _allocation_cost(self) -> float:
        return self._amount(self._unserved)

    def _amount(self, quantity: TimeIntegral) -> float:
        return quantity.integral(self.env.now) / 3600

    def metrics(self) -> dict[str, float]:
        """The figures of the episode so far. The queueing delay of a pod is all the time that it was pending."""
        figures = super().metrics()
        figures["pods_pending"] = float(len(self._pending))
        figures |= mean_and_percentiles("queueing_delay_s", list(self._queueing_s.values()))
        figures["image_pull_s"] = self.running.image_pull_s
        if self._images is not None:
            figures["image_pulls"] = float(self._images.pulls)
        return figures
