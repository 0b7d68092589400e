"""The running and pending pods of an instant as a packing, for those who plan for all of them at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clustersim.cluster import ClusterView
from clustersim.packing import NOWHERE, Packing, Plan
from clustersim.readonly import read_only
from clustersim.running_pods import RunningView

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """All pods that run or wait, in the order of the pod table, where `rows` (P,) are their rows."""

    packing: Packing
    rows: Ints

    def __str__(self) -> str:
        running = int((self.packing.home != NOWHERE).sum())
        return f"a snapshot of {running} running and {len(self.rows) - running} pending pods"


def take_snapshot(cluster: ClusterView, running: RunningView, names: tuple[str, ...], pending: Ints) -> Snapshot:
    """`names` (all pods) and `pending` are by row of the pod table. What is taken does not follow later changes."""
    rows = np.sort(np.concatenate([np.flatnonzero(running.home != NOWHERE), pending]))
    packing = Packing(
        node_names=cluster.names,
        cpu_milli=cluster.cpu_capacity,
        memory_mib=cluster.memory_capacity,
        gpu_count=cluster.gpu_count,
        model_bit=cluster.model_bit,
        pod_names=tuple(names[row] for row in rows),
        request=read_only(running.requests[rows]),
        priority=read_only(running.priority[rows]),
        home=read_only(running.home[rows]),
        home_devices=read_only(running.devices[rows]),
        protected=read_only(np.zeros(len(rows), dtype=np.bool_)),
    )
    return Snapshot(packing, read_only(rows))


def why_no_plan(snapshot: Snapshot, plan: Plan | None) -> str | None:
    """Why a plan cannot be carried out, or None."""
    if plan is None:
        return "there is none; leave a Plan in decision.detail, or keep everything as it is"
    pods, nodes = len(snapshot.rows), len(snapshot.packing.node_names)
    for name in ("node", "device"):
        column = getattr(plan, name)
        if column.shape != (pods,):
            return f"its {name} has the shape {column.shape}, but the snapshot has {pods} pods"
    strange = np.flatnonzero((plan.node < NOWHERE) | (plan.node >= nodes))
    if len(strange):
        pod = int(strange[0])
        return f"pod {snapshot.packing.pod_names[pod]!r} goes to node {plan.node[pod]}, but there are {nodes}"
    return snapshot.packing.why_illegal(plan)
