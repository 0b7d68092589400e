"""The four roles of a shared cluster: what each is asked, what its candidates mean, and what it may read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from clustersim.cluster import ClusterView
from clustersim.control_workload import ControlWorkload, Service
from clustersim.fragmentation import FragmentationView

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

PLACER, SCALER, CAPPER, MIGRATOR = "placer", "scaler", "capper", "migrator"
ROLES = (PLACER, SCALER, CAPPER, MIGRATOR)

# --- scaler: how many replicas and pool pods more or fewer, all pairs

REPLICA_CHANGES = (-2, -1, 0, 1, 2)
POOL_CHANGES = (-1, 0, 1)
SCALER_CANDIDATES = len(REPLICA_CHANGES) * len(POOL_CHANGES)
SCALER_NOOP = SCALER_CANDIDATES // 2


def scaler_candidate(replicas: int, pool: int = 0) -> int:
    """The candidate that changes the number of replicas and the target of the warm pool so; both are clipped."""
    replicas = min(max(replicas, REPLICA_CHANGES[0]), REPLICA_CHANGES[-1])
    pool = min(max(pool, POOL_CHANGES[0]), POOL_CHANGES[-1])
    return REPLICA_CHANGES.index(replicas) * len(POOL_CHANGES) + POOL_CHANGES.index(pool)


def scaler_choice(candidate: int) -> tuple[int, int]:
    """What a candidate changes: (replicas, target of the warm pool)."""
    replicas, pool = divmod(candidate, len(POOL_CHANGES))
    return REPLICA_CHANGES[replicas], POOL_CHANGES[pool]


# --- capper: the clocks of low- and high-priority work, all pairs

LOW_CLOCKS = (1.0, 1275 / 1410, 1110 / 1410)
HIGH_CLOCKS = (1.0, 1305 / 1410)
"""Shares of the highest clock. POLCA's MHz for the A100, of 1410 (arXiv 2308.12908)."""
CAPPER_CANDIDATES = len(LOW_CLOCKS) * len(HIGH_CLOCKS)


def capper_candidate(low: int, high: int) -> int:
    """The candidate that caps at LOW_CLOCKS[low] and HIGH_CLOCKS[high]."""
    return low * len(HIGH_CLOCKS) + high


def capper_choice(candidate: int) -> tuple[int, int]:
    """What a candidate caps at: (index in LOW_CLOCKS, index in HIGH_CLOCKS)."""
    return divmod(candidate, len(HIGH_CLOCKS))


# --- migrator: one of a short list of moves

MOVES = 8
"""Length of the list; the candidate behind it moves nothing."""


# --- what policies read. All objects are live: they show the cluster as it is when they are read.


class ServiceState(Protocol):
    """The subject of a scaler's decision: a service now. Counts are pods, rates are per second.

    `ready` replicas serve, `starting` have a node and are on their way, `pending` wait for a node; what is wanted is
    their sum, `wanted`. The warm pool has `pool_ready` pods that can become a replica at once, `pool_wanted` is its
    target. Means are over the last so many seconds (or since the start).
    """

    @property
    def service(self) -> Service: ...
    @property
    def ready(self) -> int: ...
    @property
    def starting(self) -> int: ...
    @property
    def pending(self) -> int: ...
    @property
    def wanted(self) -> int: ...
    @property
    def pool_ready(self) -> int: ...
    @property
    def pool_wanted(self) -> int: ...
    @property
    def now_s(self) -> float: ...
    @property
    def arrival_rps(self) -> float: ...
    @property
    def capacity_rps(self) -> float:
        """Of all ready replicas, at their clocks and with their neighbours."""

    @property
    def backlog(self) -> float:
        """Requests that wait."""

    @property
    def in_flight(self) -> float:
        """Requests that wait or are worked on."""

    @property
    def latency_s(self) -> float:
        """Of a request that arrives now; inf without capacity."""

    def in_flight_mean(self, window_s: float) -> float: ...
    def arrivals_mean_rps(self, window_s: float) -> float: ...
    def utilization_mean(self, window_s: float) -> float:
        """Of the ready replicas, in [0, 1]: requests worked on over their concurrency."""

    def missed_share(self, window_s: float) -> float:
        """Requests that missed the SLO, as a share of those that arrived; 0 when none did."""


class RowState(Protocol):
    """The subject of a capper's decision: a power row now.

    `samples_w` holds the telemetry of the last 40 s (every 2 s, the newest last; shorter at the start). `low`, `high`
    index LOW_CLOCKS and HIGH_CLOCKS as commanded; `low_acting`, `high_acting` as they act by now. `settled_s` is the
    time at which the last command acted; inf while one is on its way.
    """

    index: int
    budget_w: float
    nameplate_w: float
    low: int
    high: int
    low_acting: int
    high_acting: int
    settled_s: float
    braked: bool
    brakes: int

    @property
    def now_s(self) -> float: ...
    @property
    def power_w(self) -> float: ...
    @property
    def samples_w(self) -> Floats: ...
    @property
    def low_busy(self) -> float:
        """Sum of the GPU loads of low-priority work over the row's devices; above 1 when many share."""

    @property
    def high_busy(self) -> float: ...


@dataclass(frozen=True, slots=True, eq=False)
class Moves:
    """The subject of a migrator's decision: up to MOVES moves of batch pods, (MOVES,) each, empty rows have pod -1.

    The best moves by fragmentation, by emptying a node, by interference and by power of the rows, duplicates left out.
    `fragmentation_drop`: GPU milli. `relief`: how much less busy the busiest thing is that the pod shares. `empties`: 1
    when the source has no other pod. `headroom`: share of the budget that the target's row has left, minus that of the
    source's. `transfer_s`: seconds the move takes; `left_s`: seconds of work the pod has left at full speed.
    """

    pod: Ints
    source: Ints
    target: Ints
    fragmentation_drop: Floats
    relief: Floats
    empties: Floats
    fills: Floats
    """Pods on the target."""
    headroom: Floats
    transfer_s: Floats
    left_s: Floats


class ControlView(Protocol):
    """What a scaler and a capper may read beside their subject, and a trained agent of any role: the whole cluster.

    Services, power rows and zones stand in the order of their numbers.
    """

    @property
    def workload(self) -> ControlWorkload: ...
    @property
    def services(self) -> Sequence[ServiceState]: ...
    @property
    def zones(self) -> Sequence[HasZoneView]: ...
    def row(self, row: int) -> RowState: ...


class HasZoneView(Protocol):
    """A zone, of which a policy may read the view."""

    @property
    def view(self) -> ZoneView: ...


@dataclass(frozen=True, slots=True, eq=False)
class ZoneView:
    """What a placer and a migrator may read of a zone of n nodes, read-only; (n,) unless noted.

    `cluster` and `fragmentation` are as in pod placement, so its policies play here. `cpu_pressure`: how busy the CPUs
    are, as a share. `gpu_pressure`: of the fullest device, the sum of its tenants' loads. `clock`: share of the highest
    clock that low-priority work gets now. `power_w`: now. `row`: the power row of each node; `row_power`: power over
    budget of that row, by row (rows of all zones). `up`: 1 when the node is not down. `tenants`: pods on the node.
    `waiting`: (1,) pods in the zone's queue. `world`: the cluster around it.
    """

    cluster: ClusterView
    fragmentation: FragmentationView
    cpu_pressure: Floats
    gpu_pressure: Floats
    clock: Floats
    power_w: Floats
    row: Ints
    row_power: Floats
    up: Floats
    tenants: Ints
    waiting: Ints
    world: ControlView
