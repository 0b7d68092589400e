"""The block of a service: its load against its replicas, its queue, and what it promised."""

from __future__ import annotations

from typing import Any, NamedTuple

from numba import njit

from clustersim.cluster import ClusterView
from clustersim.control_workload import Service
from clustersim.envs.control_columns import block, ratio
from clustersim.envs.encoding import Column
from clustersim.scenarios.control_roles import ServiceState


class ServiceFacts(NamedTuple):
    """A service now; rates and shares are means over the seconds in the name."""

    service: Service
    arrival_rps: float
    arrival_10_rps: float
    arrival_60_rps: float
    arrival_300_rps: float
    capacity_rps: float
    wanted_rps: float
    """Of all wanted replicas (one at least) at full clock without neighbours."""
    ready: int
    starting: int
    pending: int
    wanted: int
    pool_ready: int
    pool_wanted: int
    backlog: float
    latency: float
    """Over the SLO."""
    missed_10: float
    missed_60: float
    missed_300: float
    in_flight_10: float
    in_flight_60: float
    utilization_60: float
    room: float
    """Share of the zone's nodes on which a replica fits."""


def service_facts(state: ServiceState, room: float) -> ServiceFacts:
    """Read a service."""
    service = state.service
    wanted = state.wanted
    return ServiceFacts(
        service,
        state.arrival_rps,
        state.arrivals_mean_rps(10.0),
        state.arrivals_mean_rps(60.0),
        state.arrivals_mean_rps(300.0),
        state.capacity_rps,
        max(wanted, 1) * service.replica_rps,
        state.ready,
        state.starting,
        state.pending,
        wanted,
        state.pool_ready,
        state.pool_wanted,
        state.backlog,
        state.latency_s / service.slo_s,
        state.missed_share(10.0),
        state.missed_share(60.0),
        state.missed_share(300.0),
        state.in_flight_mean(10.0),
        state.in_flight_mean(60.0),
        state.utilization_mean(60.0),
        room,
    )


@njit(cache=True)
def _nodes_with_room(cpu_milli, memory_mib, gpu_milli, cpu_free, memory_free, gpu_free_most):  # type: ignore[no-untyped-def]
    fitting = 0
    for i in range(len(cpu_free)):
        fitting += cpu_free[i] >= cpu_milli and memory_free[i] >= memory_mib and gpu_free_most[i] >= gpu_milli
    return fitting


def room(service: Service, cluster: ClusterView) -> float:
    """Share of the nodes on which one more replica fits."""
    wanted = service.cpu_milli, service.memory_mib, service.gpu_milli
    nodes = _nodes_with_room(*wanted, cluster.cpu_free, cluster.memory_free, cluster.gpu_free_most)
    return nodes / len(cluster)  # type: ignore[no-any-return]


def _of_most(count: str) -> Any:
    return lambda s: getattr(s, count) / s.service.max_replicas


def _one_less(s: ServiceFacts) -> float:
    return s.arrival_10_rps / (max(s.wanted - 1, 0.5) * s.service.replica_rps)


def _one_more(s: ServiceFacts) -> float:
    return s.arrival_10_rps / ((s.wanted + 1) * s.service.replica_rps)


SERVICE = block(
    (
        Column(
            "load",
            "requests per second over what all wanted replicas can do",
            0,
            4,
            lambda s: s.arrival_rps / s.wanted_rps,
        ),
        Column("load_10s", "the same, mean of 10 s", 0, 4, lambda s: s.arrival_10_rps / s.wanted_rps),
        Column("load_60s", "the same, mean of 60 s", 0, 4, lambda s: s.arrival_60_rps / s.wanted_rps),
        Column("load_300s", "the same, mean of 300 s", 0, 4, lambda s: s.arrival_300_rps / s.wanted_rps),
        Column("load_one_less", "`load_10s` with one replica less", 0, 4, _one_less),
        Column("load_one_more", "`load_10s` with one replica more", 0, 4, _one_more),
        Column("rise", "`load` - `load_60s`", -1, 1, lambda s: (s.arrival_rps - s.arrival_60_rps) / s.wanted_rps),
        Column(
            "rise_60s", "`load_10s` - `load_60s`", -1, 1, lambda s: (s.arrival_10_rps - s.arrival_60_rps) / s.wanted_rps
        ),
        Column(
            "rise_300s",
            "`load_60s` - `load_300s`",
            -1,
            1,
            lambda s: (s.arrival_60_rps - s.arrival_300_rps) / s.wanted_rps,
        ),
        Column(
            "overload", "requests per second over capacity now", 0, 4, lambda s: ratio(s.arrival_rps, s.capacity_rps)
        ),
        Column(
            "speed",
            "capacity over that of as many replicas undisturbed; 1 without any",
            0,
            1,
            lambda s: s.capacity_rps / (s.ready * s.service.replica_rps) if s.ready else 1.0,
        ),
        Column("wanted", "replicas wanted, share of the most allowed", 0, 1, _of_most("wanted")),
        Column("ready", "of them ready", 0, 1, _of_most("ready")),
        Column("starting", "of them on their way", 0, 1, _of_most("starting")),
        Column("pending", "of them waiting for a node", 0, 1, _of_most("pending")),
        Column("one_replica", "1 / replicas wanted", 0, 1, lambda s: 1 / max(s.wanted, 1)),
        Column("pool_ready", "ready pods of the warm pool, share of 4", 0, 1, lambda s: s.pool_ready / 4),
        Column("pool_wanted", "target of the warm pool, share of 4", 0, 1, lambda s: s.pool_wanted / 4),
        Column(
            "backlog",
            "seconds to work off what waits, in units of the SLO",
            0,
            4,
            lambda s: ratio(s.backlog, s.capacity_rps * s.service.slo_s),
        ),
        Column("latency", "of a request that arrives now, over the SLO", 0, 4, lambda s: s.latency),
        Column("missed_10s", "share of requests that missed the SLO in 10 s", 0, 1, lambda s: s.missed_10),
        Column("missed_60s", "the same in 60 s", 0, 1, lambda s: s.missed_60),
        Column("missed_300s", "the same in 300 s", 0, 1, lambda s: s.missed_300),
        Column(
            "in_flight_10s",
            "requests in flight over what the ready replicas work on at a time, mean of 10 s",
            0,
            4,
            lambda s: s.in_flight_10 / (max(s.ready, 1) * s.service.concurrency),
        ),
        Column(
            "in_flight_60s",
            "the same, mean of 60 s",
            0,
            4,
            lambda s: s.in_flight_60 / (max(s.ready, 1) * s.service.concurrency),
        ),
        Column("utilization_60s", "of the ready replicas, mean of 60 s", 0, 1, lambda s: s.utilization_60),
        Column("room", "share of the zone's nodes on which one more replica fits", 0, 1, lambda s: s.room),
        Column("work_of_slo", "service time over the SLO", 0, 1, lambda s: s.service.service_time_s / s.service.slo_s),
        Column("replica_gpu", "GPU of a replica, share of a device", 0, 1, lambda s: s.service.gpu_milli / 1000),
        Column("replica_cpu", "CPU of a replica, share of 16 cores", 0, 1, lambda s: s.service.cpu_milli / 16_000),
        Column(
            "sensitivity", "share of its work that slows with the clock", 0, 1, lambda s: s.service.clock_sensitivity
        ),
    )
)
