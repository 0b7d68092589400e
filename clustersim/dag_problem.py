"""The tasks of several jobs as arrays: what schedulers plan over and what the simulation keeps its state beside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numba import njit
from numpy.typing import NDArray

from clustersim.dags import Dag, Machines

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class DagProblem:
    """N tasks (nodes) of J jobs on M machines; all arrays are read-only.

    Job j has the nodes `first_node[j]` to `first_node[j + 1] - 1`, in the order of its tasks.
    `run_time_s`, shape (N, M): inf where a machine cannot run a node. `mean_run_time_s`: over those that can.
    The predecessors of node n are `pred[pred_start[n] : pred_start[n + 1]]` with `pred_bytes` beside them, ascending;
    successors likewise. `order`, shape (N,): predecessors first, the lowest node of the possible ones next.
    `mean_latency_s` and `mean_s_per_byte`: over all ordered pairs of different machines; 0 with one machine.
    """

    first_node: Ints
    job_of: Ints
    run_time_s: Floats
    mean_run_time_s: Floats
    instances: Ints
    warm_up_s: Floats
    pred_start: Ints
    pred: Ints
    pred_bytes: Floats
    succ_start: Ints
    succ: Ints
    succ_bytes: Floats
    order: Ints
    latency_s: Floats
    s_per_byte: Floats
    mean_latency_s: float
    mean_s_per_byte: float

    def __len__(self) -> int:
        return len(self.job_of)

    @property
    def machines(self) -> int:
        return int(self.run_time_s.shape[1])


def problem_of(machines: Machines, jobs: Sequence[Dag]) -> DagProblem:
    """The jobs one behind another."""
    sizes = np.array([len(job) for job in jobs], dtype=np.int64)
    first = np.concatenate(([0], np.cumsum(sizes))).astype(np.int64)
    count = int(first[-1])
    edges = np.concatenate([job.edges + offset for job, offset in zip(jobs, first[:-1], strict=True)])
    data = np.concatenate([job.data_bytes for job in jobs])
    pred_start, pred, pred_bytes = _grouped(edges[:, 1], edges[:, 0], data, count)
    succ_start, succ, succ_bytes = _grouped(edges[:, 0], edges[:, 1], data, count)
    run_time_s = np.ascontiguousarray(np.concatenate([job.run_time_s for job in jobs]), dtype=np.float64)
    can_run = np.isfinite(run_time_s)
    pairs = len(machines) * (len(machines) - 1)
    problem = DagProblem(
        first,
        np.repeat(np.arange(len(jobs)), sizes),
        run_time_s,
        np.where(can_run, run_time_s, 0.0).sum(axis=1) / can_run.sum(axis=1),
        np.concatenate([job.instances for job in jobs]).astype(np.int64),
        np.concatenate([job.warm_up_s for job in jobs]).astype(np.float64),
        pred_start,
        pred,
        pred_bytes,
        succ_start,
        succ,
        succ_bytes,
        _topological(pred_start, succ_start, succ),
        np.array(machines.latency_s, dtype=np.float64),
        np.array(machines.s_per_byte, dtype=np.float64),
        float(machines.latency_s.sum()) / pairs if pairs else 0.0,
        float(machines.s_per_byte.sum()) / pairs if pairs else 0.0,
    )
    for entry in fields(problem):
        value = getattr(problem, entry.name)
        if isinstance(value, np.ndarray):
            value.flags.writeable = False
    return problem


def tail_s(problem: DagProblem) -> Floats:
    """Seconds from the start of each node to the end of its job at best, shape (N,).

    Every instance runs on its fastest machine, as many at once as there are machines, and no data take time.
    """
    tail: Floats = _tail_s(
        problem.run_time_s,
        problem.instances,
        problem.warm_up_s,
        problem.order,
        problem.succ_start,
        problem.succ,
    )
    return tail


def critical_path_s(problem: DagProblem) -> Floats:
    """Seconds of each job at best, shape (J,).

    No schedule can end a job earlier: the lower bound that slowdown and schedule length ratio refer to.
    """
    return np.maximum.reduceat(tail_s(problem), problem.first_node[:-1])


@njit(cache=True)
def _tail_s(
    run_time_s: Floats, instances: Ints, warm_up_s: Floats, order: Ints, succ_start: Ints, succ: Ints
) -> Floats:
    nodes, machines = run_time_s.shape
    tail = np.zeros(nodes)
    for node in order[::-1]:
        # With more instances than machines some machine runs several; the first of them is warmed up.
        rounds = (instances[node] + machines - 1) // machines
        after_s = 0.0
        for edge in range(succ_start[node], succ_start[node + 1]):
            after_s = max(after_s, tail[succ[edge]])
        tail[node] = warm_up_s[node] + rounds * run_time_s[node].min() + after_s
    return tail


def _grouped(by: Ints, value: Ints, data: Floats, count: int) -> tuple[Ints, Ints, Floats]:
    """The edges grouped by one end and sorted by the other, as (start, other end, bytes)."""
    rows = np.lexsort((value, by))
    start = np.searchsorted(by[rows], np.arange(count + 1)).astype(np.int64)
    return start, value[rows].astype(np.int64), data[rows].astype(np.float64)


def _topological(pred_start: Ints, succ_start: Ints, succ: Ints) -> Ints:
    from heapq import heappop, heappush

    missing = np.diff(pred_start)
    ready = [int(node) for node in np.flatnonzero(missing == 0)]
    order = []
    while ready:
        node = heappop(ready)
        order.append(node)
        for target in succ[succ_start[node] : succ_start[node + 1]]:
            missing[target] -= 1
            if missing[target] == 0:
                heappush(ready, int(target))
    return np.array(order, dtype=np.int64)
