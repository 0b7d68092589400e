"""What a placer sees beside its zone: the pod in question, and a table of the zone's nodes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from clustersim.control import Decision
from clustersim.envs.control_columns import block
from clustersim.envs.control_columns_service import ServiceFacts
from clustersim.envs.encoding import Column, TableEncoder
from clustersim.envs.pod_placement import NODES, POD
from clustersim.pods import Pod

# --- the pod


class PodFacts(NamedTuple):
    """A pod that waits for a node. `service` is what it is a replica of, None for a batch pod."""

    pod: Pod
    service: ServiceFacts | None
    now_s: float
    fits: float


def pod_facts(decision: Decision, service: ServiceFacts | None) -> PodFacts:
    """Read a placer's question."""
    return PodFacts(decision.subject, service, decision.time_s, float(decision.mask[:-1].mean()))


NEED = block(
    (
        Column(
            "is_replica",
            "1 for a replica of a service, 0 for a batch pod",
            0,
            1,
            lambda p: float(p.service is not None),
        ),
        Column("priority", "share of 4", 0, 1, lambda p: p.pod.priority / 4),
        Column(
            "age",
            "time since a batch pod arrived, 1 from 10 minutes on; 0 for a replica",
            0,
            1,
            lambda p: (p.now_s - p.pod.arrival_s) / 600 if p.service is None else 0.0,
        ),
        Column("fits", "share of the zone's nodes on which it fits", 0, 1, lambda p: p.fits),
        Column("latency", "latency over SLO of its service", 0, 4, lambda p: p.service.latency if p.service else 0.0),
        Column(
            "missed",
            "requests of its service that missed the SLO in 60 s",
            0,
            1,
            lambda p: p.service.missed_60 if p.service else 0.0,
        ),
        Column(
            "load",
            "requests per second of its service over what all its wanted replicas can do",
            0,
            4,
            lambda p: p.service.arrival_rps / p.service.wanted_rps if p.service else 0.0,
        ),
    )
)
"""What the pod needs beyond its request."""

REQUEST = POD
"""Its request: the columns of pod placement."""

POD_COLUMNS = (*REQUEST.columns, *NEED.columns)

# --- the nodes; a column is a function of the view of the zone

STATE = block(
    (
        Column("cpu_pressure", "how busy its CPUs are", 0, 2, lambda view: view.cpu_pressure),
        Column("gpu_pressure", "load of its fullest device", 0, 2, lambda view: view.gpu_pressure),
        Column("clock", "share of the highest clock that low-priority work gets", 0, 1, lambda view: view.clock),
        Column("row_power", "power of its row over the budget", 0, 1.5, lambda view: view.row_power[view.row]),
        Column("up", "1 when it is not down", 0, 1, lambda view: view.up),
        Column("tenants", "pods on it, share of 8", 0, 1, lambda view: view.tenants / 8),
        Column("is_empty", "1 when there are none", 0, 1, lambda view: view.tenants == 0),
    )
)
"""What a node does beyond what is free on it, whose columns are those of pod placement."""

NODE_COLUMNS = (*NODES.columns, *STATE.columns)


def _fill_nodes(decision: Decision, out: NDArray[np.float32]) -> None:
    of_placement, nodes = len(NODES.columns), len(decision.view.up)
    NODES.fill(decision, out[:, :of_placement])
    STATE.fill(decision.view, out[:nodes, of_placement:])


def place_table(rows: int) -> TableEncoder:
    """The nodes of a zone, one row each, padded with zeros to `rows`."""
    return TableEncoder(NODE_COLUMNS, _fill_nodes, rows)
