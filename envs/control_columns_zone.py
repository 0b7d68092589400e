"""The block of a zone: what is free on its nodes, what waits, how hot its rows are, how its services are doing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from clustersim.envs.control_columns import block
from clustersim.envs.control_columns_service import ServiceFacts
from clustersim.envs.encoding import Column
from clustersim.scenarios.control_roles import ZoneView
from clustersim.workload import GPU_MILLI

CROWDED = 0.9
"""Pressure above which tenants slow each other by `clustersim.interference.slowdown`."""


@njit(cache=True)
def _sum_up(  # type: ignore[no-untyped-def]
    cpu_free,
    memory_free,
    gpu_free_total,
    gpu_free_whole,
    fragmented,
    tenants,
    up,
    cpu_pressure,
    gpu_pressure,
    clock,
    crowded,
    out,
):
    """Sums over the nodes, in the order of `NodeSums`."""
    out[:] = 0.0
    for i in range(len(cpu_free)):
        out[0] += cpu_free[i]
        out[1] += memory_free[i]
        out[2] += gpu_free_total[i]
        out[3] += gpu_free_whole[i]
        out[4] += fragmented[i]
        out[5] += tenants[i] == 0
        out[6] += up[i]
        out[7] += cpu_pressure[i]
        out[8] += gpu_pressure[i]
        out[9] += clock[i]
        out[10] += max(cpu_pressure[i], gpu_pressure[i]) > crowded


class NodeSums(NamedTuple):
    """Sums over the nodes of a zone."""

    cpu_free: float
    memory_free: float
    gpu_free_milli: float
    gpu_free_whole: float
    fragmented_milli: float
    empty: float
    up: float
    cpu_pressure: float
    gpu_pressure: float
    clock: float
    crowded: float


class ZoneSize(NamedTuple):
    """What does not change about a zone; at least 1 each, so that it can be divided by."""

    nodes: int
    cpu_milli: int
    memory_mib: int
    gpus: int
    rows: tuple[int, ...]


class ZoneFacts(NamedTuple):
    """A zone now. `powers`: of its rows, shares of their budgets."""

    size: ZoneSize
    sums: NodeSums
    waiting: int
    powers: Sequence[float]
    services: Sequence[ServiceFacts]


def zone_size(view: ZoneView) -> ZoneSize:
    """Measure a zone."""
    cluster = view.cluster
    return ZoneSize(
        len(cluster),
        int(cluster.cpu_capacity.sum()),
        int(cluster.memory_capacity.sum()),
        max(1, int(cluster.gpu_count.sum())),
        tuple(np.unique(view.row).tolist()),
    )


def zone_facts(view: ZoneView, size: ZoneSize, services: Sequence[ServiceFacts]) -> ZoneFacts:
    """Read a zone; `services` are those that live in it."""
    cluster = view.cluster
    out: NDArray[np.float64] = np.empty(len(NodeSums._fields))
    _sum_up(
        cluster.cpu_free,
        cluster.memory_free,
        cluster.gpu_free_total,
        cluster.gpu_free_whole,
        view.fragmentation.per_node,
        view.tenants,
        view.up,
        view.cpu_pressure,
        view.gpu_pressure,
        view.clock,
        CROWDED,
        out,
    )
    powers = [float(view.row_power[row]) for row in size.rows]
    return ZoneFacts(size, NodeSums(*out.tolist()), int(view.waiting[0]), powers, services)


def _load(z: ZoneFacts) -> float:
    return sum(s.arrival_10_rps for s in z.services) / max(sum(s.wanted_rps for s in z.services), 1e-9)


def _rise(z: ZoneFacts) -> float:
    rise_rps = sum(s.arrival_10_rps - s.arrival_60_rps for s in z.services)
    return rise_rps / max(sum(s.wanted_rps for s in z.services), 1e-9)


def _on_their_way(z: ZoneFacts) -> float:
    return sum(s.starting + s.pending for s in z.services) / max(sum(s.wanted for s in z.services), 1)


ZONE = block(
    (
        Column("waiting", "pods that wait, per node", 0, 2, lambda z: z.waiting / z.size.nodes),
        Column("cpu_free", "free CPU, share of all", 0, 1, lambda z: z.sums.cpu_free / max(1, z.size.cpu_milli)),
        Column(
            "memory_free", "free memory, share of all", 0, 1, lambda z: z.sums.memory_free / max(1, z.size.memory_mib)
        ),
        Column("gpu_free", "free GPU, share of all", 0, 1, lambda z: z.sums.gpu_free_milli / (z.size.gpus * GPU_MILLI)),
        Column("whole_free", "untouched devices, share of all", 0, 1, lambda z: z.sums.gpu_free_whole / z.size.gpus),
        Column(
            "fragmented",
            "fragmented GPU, share of all",
            0,
            1,
            lambda z: z.sums.fragmented_milli / (z.size.gpus * GPU_MILLI),
        ),
        Column("empty", "share of nodes without a tenant", 0, 1, lambda z: z.sums.empty / z.size.nodes),
        Column("up", "share of nodes that are up", 0, 1, lambda z: z.sums.up / z.size.nodes),
        Column(
            "cpu_pressure", "how busy CPUs are, mean of the nodes", 0, 2, lambda z: z.sums.cpu_pressure / z.size.nodes
        ),
        Column(
            "gpu_pressure",
            "load of the fullest device, mean of the nodes",
            0,
            2,
            lambda z: z.sums.gpu_pressure / z.size.nodes,
        ),
        Column(
            "crowded", "share of nodes where tenants slow each other", 0, 1, lambda z: z.sums.crowded / z.size.nodes
        ),
        Column("clock", "clock of low-priority work, mean of the nodes", 0, 1, lambda z: z.sums.clock / z.size.nodes),
        Column("hottest_row", "power over budget, highest of the zone's rows", 0, 1.5, lambda z: max(z.powers)),
        Column("coolest_row", "the same, lowest", 0, 1.5, lambda z: min(z.powers)),
        Column("load", "requests per second of its services over what all wanted replicas can do", 0, 4, _load),
        Column("rise", "how much `load` is above its mean of 60 s", -1, 1, _rise),
        Column("on_their_way", "replicas that are starting or waiting, share of the wanted", 0, 1, _on_their_way),
        Column(
            "worst_latency",
            "latency over SLO of the service that does worst",
            0,
            4,
            lambda z: max((s.latency for s in z.services), default=0.0),
        ),
        Column(
            "worst_missed",
            "requests that missed the SLO in 60 s, of the service that does worst",
            0,
            1,
            lambda z: max((s.missed_60 for s in z.services), default=0.0),
        ),
    )
)
