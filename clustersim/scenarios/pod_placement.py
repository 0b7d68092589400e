"""Pods on heterogeneous GPU nodes: shared and whole GPUs, two workload modes, one role: `place`.

`inflation` is the protocol of FGD (ATC'23): pods drawn from the list arrive one at a time, one per second, until the
GPU demand that has arrived reaches a multiple of the capacity; nobody departs, and a pod that does not fit is lost.
`replay` follows the times of the trace: pods depart, and pods that do not fit wait.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, fields
from functools import lru_cache
from math import inf, isnan
from typing import Any, Literal, get_args

import numpy as np
import simpy
from numpy.typing import NDArray

from clustersim.cluster import Binding, Cluster, ClusterView, accepted_models, gpu_models
from clustersim.control import NO_CANDIDATE, ControlPlane, Role
from clustersim.errors import ConfigError
from clustersim.eventlog import EventLog
from clustersim.fragmentation import Fragmentation, FragmentationView, TypicalPods, typical_pods
from clustersim.images import ImageCache
from clustersim.metrics import TimeIntegral, mean_and_percentiles, share
from clustersim.sampling import stratified_sample
from clustersim.streams import Streams
from clustersim.work import Work
from clustersim.workload import GPU_MILLI, PodWorkload

Mode = Literal["inflation", "replay"]
Queue = Literal["head", "backfill"]

PLACE = "place"
MARKS_PERCENT = (95, 100, 130)
"""Arrived GPU demand, in percent of the GPU capacity, at which an inflation run is measured."""

EVENTS = ("arrive", "bind", "start", "finish", "lost")
ARRIVE, BIND, START, FINISH, LOST = range(len(EVENTS))


@dataclass(frozen=True, slots=True, eq=False)
class Pod:
    """A pod as a policy sees it.

    `request` (5,) is described in `clustersim.cluster`; `shape` numbers the distinct requests of the workload.
    `duration_s` is the truth: a policy that reads it is clairvoyant and should say so.
    """

    row: int
    name: str
    request: NDArray[np.int64]
    shape: int
    priority: int
    arrival_s: float
    duration_s: float  # inf: never leaves
    image: str
    image_mib: int

    def __str__(self) -> str:
        return f"pod {self.name!r}"


@dataclass(frozen=True, slots=True, eq=False)
class PlacementView:
    """What a placement policy may read: the cluster and its GPU fragmentation."""

    cluster: ClusterView
    fragmentation: FragmentationView


@dataclass(frozen=True)
class PodPlacement:
    """The scenario: a workload and how it is played.

    The candidates of `place` are the nodes in the order of `view.cluster`, and in replay mode one more: wait. The
    order of the nodes is shuffled by the seed, because ties go to the lowest index. A policy may leave the index of a
    GPU device in `decision.detail` for a pod that shares one; otherwise the device is the tightest fit.
    """

    workload: PodWorkload
    mode: Mode = "inflation"
    demand_ratio: float = 1.3
    """inflation: GPU demand that arrives, as a multiple of the GPU capacity."""
    nodes: int | None = None
    """Play on a sample of this many nodes, drawn by the seed in proportion to the node shapes; None: on all."""
    queue: Queue = "backfill"
    """replay: `head` offers only the first pod of the queue, `backfill` every pod that fits."""
    arrival_speedup: float = 1.0
    """replay: arrival times are divided by this, durations stay; 10 loads the cluster ten times as much."""
    typical_share: float = 0.95
    """Share of the pod list that the typical pods of the fragmentation measure cover."""
    image_bandwidth_mib_s: float = inf
    """Speed of an image pull; infinite: starting a pod takes no time."""
    image_cache_mib: float = inf
    """Budget of a node's image cache."""
    image_mib: int = 0
    """Size of the image of pods whose trace names none; they then share one image per request shape."""

    def __post_init__(self) -> None:
        for name, choices in (("mode", get_args(Mode)), ("queue", get_args(Queue))):
            if getattr(self, name) not in choices:
                raise ConfigError(f"{name} is {getattr(self, name)!r}; choose one of {', '.join(choices)}")
        if not 0 < self.demand_ratio < inf:
            raise ConfigError(f"demand_ratio is {self.demand_ratio}; it has to be positive and finite")
        if not self.image_bandwidth_mib_s > 0:
            raise ConfigError(f"image_bandwidth_mib_s is {self.image_bandwidth_mib_s}; it has to be positive")
        if not self.image_cache_mib >= 0:
            raise ConfigError(f"image_cache_mib is {self.image_cache_mib}; it has to be at least 0")
        if not 0 < self.arrival_speedup < inf:
            raise ConfigError(f"arrival_speedup is {self.arrival_speedup}; it has to be positive")
        if not 0 < self.typical_share <= 1:
            raise ConfigError(f"typical_share is {self.typical_share}; it has to be in (0, 1]")
        if self.image_mib < 0:
            raise ConfigError(f"image_mib is {self.image_mib}; it has to be at least 0")
        self._reject_options_without_effect()
        if self.nodes is not None and self.nodes not in range(1, len(self.workload.nodes) + 1):
            raise ConfigError(
                f"nodes is {self.nodes}, but workload {self.workload.name!r} has {len(self.workload.nodes)}; "
                f"choose a number from 1 to {len(self.workload.nodes)}"
            )
        if len(self.workload.pods) == 0:
            raise ConfigError(f"workload {self.workload.name!r} has no pods")
        if self.mode == "inflation" and not self.workload.pods.gpu_demand_milli.any():
            raise ConfigError(
                f"no pod of workload {self.workload.name!r} asks for a GPU, so its GPU demand never reaches "
                f"{self.demand_ratio} x capacity; use mode='replay'"
            )
        if self.mode == "inflation" and not self.workload.nodes.gpu_count.any():
            raise ConfigError(f"no node of workload {self.workload.name!r} has a GPU; use mode='replay'")

    def _reject_options_without_effect(self) -> None:
        only_in = dict.fromkeys(
            ("queue", "arrival_speedup", "image_bandwidth_mib_s", "image_cache_mib", "image_mib"), "replay"
        ) | {"demand_ratio": "inflation"}
        for option in fields(self):
            mode = only_in.get(option.name, self.mode)
            if mode != self.mode and getattr(self, option.name) != option.default:
                raise ConfigError(
                    f"{option.name} is {getattr(self, option.name)!r}, which has an effect only in mode {mode!r}; "
                    f"leave it away, or set mode={mode!r}"
                )
        for name, default in (("image_mib", 0), ("image_cache_mib", inf)):
            if self.image_bandwidth_mib_s == inf and getattr(self, name) != default:
                raise ConfigError(
                    f"{name} is {getattr(self, name)}, which has no effect while pulls take no time; "
                    "set image_bandwidth_mib_s too"
                )

    def build(self, seed: int) -> PodPlacementSimulation:
        """A simulation at time 0; the same seed builds the same one."""
        return PodPlacementSimulation(self, seed)


@dataclass(frozen=True, slots=True, eq=False)
class _Compiled:
    """What every episode on one workload shares, computed once."""

    pods: tuple[Pod, ...]
    requests: NDArray[np.int64]
    shapes: NDArray[np.int64]
    typical: TypicalPods
    gpu_demand_milli: NDArray[np.int64]
    rank: NDArray[np.int64]  # row -> place in the queue
    models: tuple[str, ...]


@lru_cache(maxsize=16)
def _compile(workload: PodWorkload, typical_share: float, image_mib: int) -> _Compiled:
    pods = workload.pods
    models = gpu_models(workload.nodes)
    specs = {spec: accepted_models(spec, models) for spec in dict.fromkeys(pods.gpu_spec)}
    requests = np.stack(
        [
            pods.cpu_milli,
            pods.memory_mib,
            pods.num_gpu,
            pods.gpu_milli,
            np.array([specs[spec] for spec in pods.gpu_spec], dtype=np.int64),
        ],
        axis=1,
    )
    requests.flags.writeable = False
    shapes, shape = np.unique(requests, axis=0, return_inverse=True)
    shape = shape.ravel()
    order = np.lexsort((np.arange(len(pods)), pods.arrival_s, -pods.priority))
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return _Compiled(
        pods=tuple(
            Pod(
                row=row,
                name=pods.name[row],
                request=requests[row],
                shape=int(shape[row]),
                priority=int(pods.priority[row]),
                arrival_s=float(pods.arrival_s[row]),
                duration_s=inf if isnan(pods.duration_s[row]) else float(pods.duration_s[row]),
                image=pods.image[row] or (f"shape-{shape[row]}" if image_mib else ""),
                image_mib=int(pods.image_mib[row]) if pods.image[row] else image_mib,
            )
            for row in range(len(pods))
        ),
        requests=requests,
        shapes=shapes,
        typical=typical_pods(requests, typical_share),
        gpu_demand_milli=pods.gpu_demand_milli,
        rank=rank,
        models=models,
    )


class PodPlacementSimulation:
    """One episode. `control` is driven from outside; everything else is to be read."""

    def __init__(self, scenario: PodPlacement, seed: int) -> None:
        self.scenario = scenario
        self.streams = Streams(seed)
        self.env = simpy.Environment()
        self.control = ControlPlane(self.env)
        self.log = EventLog(EVENTS)
        self._compiled = _compile(scenario.workload, scenario.typical_share, scenario.image_mib)

        nodes = scenario.workload.nodes
        self.cluster = Cluster(nodes.take(self._draw_nodes()), self._compiled.models)
        self.fragmentation = Fragmentation(self.cluster, self._compiled.typical, self._compiled.shapes)
        self.view = PlacementView(self.cluster.view, self.fragmentation.view)
        self.gpu_capacity_milli = int(self.cluster.view.gpu_count.sum()) * GPU_MILLI
        self.capacity = {
            "cpu_milli": int(self.cluster.view.cpu_capacity.sum()),
            "memory_mib": int(self.cluster.view.memory_capacity.sum()),
        }

        self.wait = len(self.cluster) if scenario.mode == "replay" else None
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
        self._queueing_s = array("d")
        self._images = (
            ImageCache(len(self.cluster), scenario.image_bandwidth_mib_s, scenario.image_cache_mib)
            if scenario.image_bandwidth_mib_s < inf
            else None
        )
        self._image_pull_s = 0.0
        self.history = History()

        self._subject: Pod = self._compiled.pods[0]
        if scenario.mode == "inflation":
            self.arrivals = self._draw_inflation()
            if len(self.arrivals):
                self.env.timeout(0.0).callbacks.append(self._arrive_inflation)
        else:
            self.arrivals = np.argsort(scenario.workload.pods.arrival_s, kind="stable")
            self._arrived_s = np.zeros(len(self.arrivals))
            self._leaving = 0  # placed pods that will depart
            self._pending = _PendingPods(self._compiled.rank)
            self._released: list[int] = []  # nodes with new room since the last round ended
            self._in_round = False
            self._round_wanted = False
            self._schedule_arrival()

    def _draw_nodes(self) -> NDArray[np.int64]:
        nodes, rng = self.scenario.workload.nodes, self.streams["nodes"]
        if self.scenario.nodes is None:
            return rng.permutation(len(nodes))
        return rng.permutation(stratified_sample(nodes, self.scenario.nodes, rng))

    # --- what is asked

    def _legal(self, pod: Pod, out: NDArray[np.bool_]) -> bool:
        found = self.cluster.feasible(pod.request, out)
        if self.wait is not None:
            # Waiting makes sense while a placed pod will depart: that is when waiting pods are offered again.
            out[self.wait] = found and self._leaving > 0
        return found

    # --- inflation: one pod per second, until the demand is reached

    def _draw_inflation(self) -> NDArray[np.int64]:
        """Rows of the pod list in order of arrival: the list shuffled, then thinned or drawn on to the demand."""
        rng = self.streams["workload"]
        demand = self._compiled.gpu_demand_milli
        target = self.scenario.demand_ratio * self.gpu_capacity_milli
        rows = rng.permutation(len(demand))
        total = int(demand.sum())
        if total > target:
            # Pods leave the shuffled list at random until the demand is no longer above the target.
            leaving = rng.permutation(len(rows))
            left_total = total - np.cumsum(demand[rows[leaving]])
            gone = leaving[: 1 + int(np.argmax(left_total <= target))]
            return np.delete(rows, gone)
        drawn: list[NDArray[np.int64]] = []
        while True:
            more = rng.integers(len(demand), size=len(demand))
            reached = total + np.cumsum(demand[more])
            if reached[-1] <= target:
                drawn.append(more)
                total = int(reached[-1])
                continue
            drawn.append(more[: int(np.argmax(reached > target))])
            return np.concatenate([rows, *drawn])

    def _arrive_inflation(self, _event: simpy.Event) -> None:
        pod = self._compiled.pods[self.arrivals[self.arrived_pods]]
        self._arrived(pod)
        self._subject = pod
        self.control.ask(self.role, pod, self._answer_inflation)

    def _answer_inflation(self, node: int, device: int | None) -> None:
        if node == NO_CANDIDATE:
            self.lost_pods += 1
            self._unserved.add(self.env.now, self._demand_milli(self._subject))
            self.log.add(self.env.now, LOST, self._subject.row)
        else:
            self._bind(self._subject, node, device)
        self._remember()
        if self.arrived_pods < len(self.arrivals):
            self.env.timeout(1.0).callbacks.append(self._arrive_inflation)

    # --- replay: the times of the trace, a queue, and rounds of questions

    def _schedule_arrival(self) -> None:
        if self.arrived_pods < len(self.arrivals):
            pod = self._compiled.pods[self.arrivals[self.arrived_pods]]
            # max: the sum of delays may have rounded to just above the next arrival.
            delay_s = max(0.0, pod.arrival_s / self.scenario.arrival_speedup - self.env.now)
            self.env.timeout(delay_s).callbacks.append(self._arrive_replay)

    def _arrive_replay(self, _event: simpy.Event) -> None:
        """Every pod with the arrival time of the next one arrives: one event, so that rounding cannot part them."""
        pods = self._compiled.pods
        arrival_s = pods[self.arrivals[self.arrived_pods]].arrival_s
        while self.arrived_pods < len(self.arrivals):
            pod = pods[self.arrivals[self.arrived_pods]]
            if pod.arrival_s != arrival_s:
                break
            self._arrived(pod)
            self._arrived_s[pod.row] = self.env.now
            self._unserved.add(self.env.now, self._demand_milli(pod))
            self._pending.add(pod.row)
        self._want_round()
        self._schedule_arrival()

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
        row = self._pending.next(self.cluster, self._compiled.requests, self._released, self.scenario.queue)
        if row is None:
            self._in_round = False
            self._released.clear()
            return
        self._subject = self._compiled.pods[row]
        self.control.ask(self.role, self._subject, self._answer_replay)

    def _answer_replay(self, node: int, device: int | None) -> None:
        pod = self._subject
        if node in (NO_CANDIDATE, self.wait):
            self._pending.keep(waited=node == self.wait)
        else:
            self._pending.remove()
            self._unserved.add(self.env.now, -self._demand_milli(pod))
            self._queueing_s.append(self.env.now - self._arrived_s[pod.row])
            self._leaving += pod.duration_s < inf
            binding = self._bind(pod, node, device)
            self._start(pod, binding)
            self._remember()
        # Not at once: a pod of no duration may end at this very instant and make room.
        self.control.settle(self._offer_next)

    def _start(self, pod: Pod, binding: Binding) -> None:
        pull_s = 0.0
        if self._images is not None and pod.image:
            pull_s = self._images.use(binding.node, pod.image, pod.image_mib, self.env.now)
            self._image_pull_s += pull_s
        if pull_s > 0:
            self.env.timeout(pull_s).callbacks.append(lambda _event: self._run(pod, binding))
        else:
            self._run(pod, binding)

    def _run(self, pod: Pod, binding: Binding) -> None:
        self.log.add(self.env.now, START, pod.row, binding.node)
        if pod.duration_s < inf:
            Work(self.env, pod.duration_s, lambda: self._finish(pod, binding))

    def _finish(self, pod: Pod, binding: Binding) -> None:
        now_s = self.env.now
        self.cluster.release(binding)
        self._leaving -= 1
        if self._images is not None and pod.image:
            self._images.leave(binding.node, pod.image)
        self._account(binding, -1)
        self.log.add(now_s, FINISH, pod.row, binding.node)
        self._remember()
        if len(self._pending):
            self._released.append(binding.node)
            self._want_round()

    # --- both modes

    def _arrived(self, pod: Pod) -> None:
        self.arrived_pods += 1
        self.arrived_gpu_milli += self._demand_milli(pod)
        self.log.add(self.env.now, ARRIVE, pod.row)

    def _demand_milli(self, pod: Pod) -> int:
        return int(self._compiled.gpu_demand_milli[pod.row])

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

        inflation: `allocation` is minus what is allocated, `fragmentation` what is fragmented, `shaped` what lost pods
        asked for plus what is fragmented: it ranks policies nearly as `allocation` does, but charges a bad place at
        once and not when a later pod is lost, and does not swing with the size of the pods that happen to arrive.
        replay: integrated over time, in point hours. Every policy that serves all pods allocates the same in the end,
        so there `allocation` is what is missing, the demand of pending pods, and `shaped` adds what is fragmented.
        """
        if name == "allocation":
            inflation = self.scenario.mode == "inflation"
            amount = -self.gpu_allocated.value if inflation else self._amount(self._unserved)
        elif name == "fragmentation":
            amount = self._amount(self._fragmented)
        else:
            amount = self._amount(self._unserved) + self._amount(self._fragmented)
        return 100 * share(amount, self.gpu_capacity_milli)

    def _amount(self, quantity: TimeIntegral) -> float:
        return quantity.value if self.scenario.mode == "inflation" else quantity.integral(self.env.now) / 3600

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
            "cpu_allocation": share(self.history.mean("allocated_cpu_milli", now_s), self.capacity["cpu_milli"]),
            "memory_allocation": share(self.history.mean("allocated_memory_mib", now_s), self.capacity["memory_mib"]),
            "gpu_fragmentation": share(self._fragmented.mean(now_s), gpu_capacity),
            "pods_arrived": float(self.arrived_pods),
            "pods_placed": float(self.placed_pods),
        }
        if self.scenario.mode == "inflation":
            figures["pods_lost"] = float(self.lost_pods)
            for mark in MARKS_PERCENT:
                allocated, fragmented = float("nan"), float("nan")
                if mark <= 100 * self.scenario.demand_ratio + 1e-9:
                    allocated, fragmented = self.history.at_mark(mark, gpu_capacity)
                figures[f"gpu_allocation_at_{mark}"] = allocated
                figures[f"gpu_fragmentation_at_{mark}"] = fragmented
            return figures
        figures["pods_pending"] = float(len(self._pending))
        figures |= mean_and_percentiles("queueing_delay_s", self._queueing_s)
        figures["image_pull_s"] = self._image_pull_s
        if self._images is not None:
            figures["image_pulls"] = float(self._images.pulls)
        return figures


REWARDS = ("allocation", "fragmentation", "shaped")
"""The costs that `PodPlacementSimulation.cost` declares."""


class History:
    """What was arrived, allocated and fragmented after every step of an episode."""

    COLUMNS = (
        "time_s",
        "arrived_gpu_milli",
        "allocated_gpu_milli",
        "fragmented_gpu_milli",
        "allocated_cpu_milli",
        "allocated_memory_mib",
    )

    def __init__(self) -> None:
        self._flat: list[float] = []

    def add(self, *step: float) -> None:
        """One value per column, in the order of COLUMNS."""
        self._flat += step

    def columns(self) -> dict[str, NDArray[np.float64]]:
        """The columns by name, of equal length."""
        width = len(self.COLUMNS)
        table = np.array(self._flat, dtype=np.float64).reshape(-1, width)
        return dict(zip(self.COLUMNS, table.T, strict=True))

    def mean(self, column: str, now_s: float) -> float:
        """Time-weighted mean of a column from time 0 until now; a value holds until the next step."""
        columns = self.columns()
        if len(columns["time_s"]) == 0 or now_s == 0:
            return float(columns[column][-1]) if len(columns["time_s"]) else 0.0
        return float(columns[column] @ np.diff(columns["time_s"], append=now_s)) / now_s

    def at_mark(self, percent: int, gpu_capacity_milli: int) -> tuple[float, float]:
        """Allocated and fragmented share at an arrived demand: the mean over arrivals within half a point of it.

        That is how the published table reads its values off. On a small cluster no arrival may fall into that point;
        then it is the last arrival before it.
        """
        if gpu_capacity_milli == 0:
            return float("nan"), float("nan")
        columns = self.columns()
        arrived = 100 * columns["arrived_gpu_milli"] / gpu_capacity_milli
        at = np.rint(arrived) == percent
        if not at.any():
            before = np.flatnonzero(arrived <= percent)
            if before.size == 0:
                return 0.0, float("nan")
            at = before[-1:]
        allocated, fragmented = columns["allocated_gpu_milli"][at], columns["fragmented_gpu_milli"][at]
        return float(allocated.mean() / gpu_capacity_milli), float(fragmented.mean() / gpu_capacity_milli)


class _PendingPods:
    """Waiting pods by priority, then arrival, and a cursor for one round of offers.

    A pod that fitted nowhere is offered again only when it fits on a node that was released since; looking at those
    few nodes instead of at all of them is what keeps a long queue cheap. A pod whose policy preferred to wait is
    offered again after any release.
    """

    BLOCKED, WAITED, FRESH = range(3)

    def __init__(self, rank: NDArray[np.int64]) -> None:
        self._rank = rank
        self._row_at = np.argsort(rank)
        self._rows = np.empty(0, dtype=np.int64)
        self._status = np.full(len(rank), self.BLOCKED, dtype=np.int8)
        self._cursor = 0
        self._offered = -1

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, row: int) -> None:
        ranks = self._rank[self._rows]
        self._rows = np.insert(self._rows, int(np.searchsorted(ranks, self._rank[row])), row)
        self._status[row] = self.FRESH

    def rewind(self) -> None:
        self._cursor = 0

    def next(self, cluster: Cluster, requests: NDArray[np.int64], released: list[int], queue: Queue) -> int | None:
        """The next pod to offer in this round; None when the round is over."""
        if self._cursor >= len(self._rows):
            return None
        if queue == "head":
            # A pod behind the head was never offered, so it is still fresh when it becomes the head.
            worth_it = self._cursor == 0 and (released or self._status[self._rows[0]] == self.FRESH)
            self._offered = 0 if worth_it else -1
        else:
            self._offered = self._next_hopeful(cluster, requests, released)
        return None if self._offered < 0 else int(self._rows[self._offered])

    def keep(self, waited: bool) -> None:
        """The offered pod stays pending."""
        self._status[self._rows[self._offered]] = self.WAITED if waited else self.BLOCKED
        self._cursor = self._offered + 1

    def remove(self) -> None:
        """The offered pod was placed."""
        self._rows = np.delete(self._rows, self._offered)
        self._cursor = self._offered

    def _next_hopeful(self, cluster: Cluster, requests: NDArray[np.int64], released: list[int]) -> int:
        ahead = self._rows[self._cursor :]
        hopeful = np.flatnonzero(self._status[ahead] >= (self.WAITED if released else self.FRESH))
        nearest = int(hopeful[0]) if len(hopeful) else len(ahead)
        if released:
            fitting = cluster.first_fitting(requests, ahead[:nearest], np.array(released, dtype=np.int64))
            nearest = nearest if fitting < 0 else fitting
        return self._cursor + nearest if nearest < len(ahead) else -1
