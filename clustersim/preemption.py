"""Preemption: on which nodes less important pods could make room for a pod, and which of them would have to go.

The victims on a node are chosen as kube-scheduler does: all pods of lower priority are taken away, then as many as
possible are put back, the more important first (higher priority, then earlier start). Source: kubernetes/kubernetes,
pkg/scheduler/framework/preemption and plugins/defaultpreemption, Apache-2.0 (the procedure only).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import njit
from numpy.typing import NDArray

from clustersim.cluster import ACCEPTED, CPU, GPU_SHARE, MEMORY, NUM_GPU, ClusterView
from clustersim.packing import NOWHERE
from clustersim.pods import Pod
from clustersim.running_pods import RunningView

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

PRIORITY_OFFSET = 1 << 31
"""Added to each priority in a sum, so that fewer victims of negative priority make a smaller one."""


def nodes_that_could_make_room(pod: Pod, cluster: ClusterView, running: RunningView, out: Bools) -> bool:
    """Write into out[:N] where the pod would fit if all pods of lower priority were gone; return whether anywhere."""
    return _nodes_that_could_make_room(pod.request, pod.priority, out, *_state(cluster, running))  # type: ignore[no-any-return]


def first_with_hope(candidates: Ints, nodes: Ints, cluster: ClusterView, running: RunningView) -> int:
    """The first position in `candidates` that would fit on one of `nodes` if all pods of lower priority were gone.

    `candidates` are rows in the order of a queue: the higher priority first. -1 when there is none.
    """
    return _first_with_hope(candidates, nodes, *_state(cluster, running))  # type: ignore[no-any-return]


def victims_by_reprieve(
    pod: Pod, nodes: Bools, cluster: ClusterView, running: RunningView, violates: Bools | None = None
) -> Bools:
    """(P,) which running pods would have to go, on each of `nodes` (N,), if the pod got that node.

    All of `nodes` have to be legal. `violates` (P,) are the pods whose eviction violates a disruption budget: they are
    put back first. By default none does.
    """
    lower = np.flatnonzero((running.home != NOWHERE) & (running.priority < pod.priority))
    lower = lower[nodes[running.home[lower]]]
    violating = np.zeros(len(lower), dtype=np.bool_) if violates is None else violates[lower]
    important_first = lower[np.lexsort((running.started_s[lower], -running.priority[lower], ~violating))]
    return _reprieve(pod.request, pod.priority, important_first, *_state(cluster, running))  # type: ignore[no-any-return]


def pick_node(
    node: NDArray[np.int64],
    priority: NDArray[np.int64],
    started_s: NDArray[np.float64],
    violates: NDArray[np.bool_] | None = None,
) -> int:
    """The node whose victims hurt least; all arrays are (V,), one entry per victim on any node.

    In this order: the fewest victims that violate a disruption budget; the lowest highest priority; the smallest sum
    of priorities; the fewest victims; the latest start among the nodes' earliest of their highest priority; the
    lowest index.
    """
    nodes, at = np.unique(node, return_inverse=True)
    violations = np.zeros(len(nodes), dtype=np.int64)
    if violates is not None:
        np.add.at(violations, at, violates)
    highest = np.full(len(nodes), np.iinfo(np.int64).min)
    np.maximum.at(highest, at, priority)
    total = np.zeros(len(nodes), dtype=np.int64)
    np.add.at(total, at, priority + PRIORITY_OFFSET)
    count = np.bincount(at)
    earliest_s = np.full(len(nodes), np.inf)
    top = priority == highest[at]
    np.minimum.at(earliest_s, at[top], started_s[top])
    return int(nodes[np.lexsort((nodes, -earliest_s, count, total, highest, violations))[0]])


def why_no_victims(
    pod: Pod, node: int, victims: Sequence[int], cluster: ClusterView, running: RunningView
) -> str | None:
    """Why these rows cannot make room for the pod on this node, or None."""
    rows = np.array(victims, dtype=np.int64)
    if len(np.unique(rows)) < len(rows):
        return "a victim is named twice"
    unknown = rows[(rows < 0) | (rows >= len(running.home))]
    if len(unknown):
        return f"there is no pod in row {unknown[0]}"
    elsewhere = rows[running.home[rows] != node]
    if len(elsewhere):
        return f"the pod in row {elsewhere[0]} does not run there"
    as_important = rows[running.priority[rows] >= pod.priority]
    if len(as_important):
        row = as_important[0]
        return f"the pod in row {row} has priority {running.priority[row]}, which is not below {pod.priority}"
    if not _has_room_without(pod.request, node, rows, *_state(cluster, running)):
        return f"the pod would not fit there without these {len(rows)}; name more, or leave the choice to the world"
    return None


def _state(cluster: ClusterView, running: RunningView) -> tuple[Ints, ...]:
    return (
        running.home,
        running.devices,
        running.priority,
        running.requests,
        cluster.model_bit,
        cluster.cpu_free,
        cluster.memory_free,
        cluster.gpu_free,
    )


@njit(cache=True)
def _change(request, devices, node, sign, cpu, memory, gpu):  # type: ignore[no-untyped-def]
    cpu[node] += sign * request[CPU]
    memory[node] += sign * request[MEMORY]
    for device in range(gpu.shape[1]):
        if devices >> device & 1:
            gpu[node, device] += sign * request[GPU_SHARE]


@njit(cache=True)
def _fits(request, model_bit, node, cpu, memory, gpu):  # type: ignore[no-untyped-def]
    if cpu[node] < request[CPU] or memory[node] < request[MEMORY]:
        return False
    if request[NUM_GPU] == 0:
        return True
    if request[ACCEPTED] & model_bit[node] == 0:
        return False
    roomy = 0
    for device in range(gpu.shape[1]):
        roomy += gpu[node, device] >= request[GPU_SHARE]
    return roomy >= request[NUM_GPU]


@njit(cache=True)
def _without_lower(below, home, devices, priority, requests, cpu_free, memory_free, gpu_free):  # type: ignore[no-untyped-def]
    """What would be free if all pods of a priority below this one were gone."""
    cpu, memory, gpu = cpu_free.copy(), memory_free.copy(), gpu_free.copy()
    for row in range(len(home)):
        if home[row] != NOWHERE and priority[row] < below:
            _change(requests[row], devices[row], home[row], +1, cpu, memory, gpu)
    return cpu, memory, gpu


@njit(cache=True)
def _nodes_that_could_make_room(  # type: ignore[no-untyped-def]
    request, below, out, home, devices, priority, requests, model_bit, cpu_free, memory_free, gpu_free
):
    cpu, memory, gpu = _without_lower(below, home, devices, priority, requests, cpu_free, memory_free, gpu_free)
    found = False
    for node in range(len(cpu)):
        out[node] = _fits(request, model_bit, node, cpu, memory, gpu)
        found |= out[node]
    return found


@njit(cache=True)
def _first_with_hope(  # type: ignore[no-untyped-def]
    candidates, nodes, home, devices, priority, requests, model_bit, cpu_free, memory_free, gpu_free
):
    if len(candidates) == 0:
        return -1
    below = priority[candidates[0]]
    cpu, memory, gpu = _without_lower(below, home, devices, priority, requests, cpu_free, memory_free, gpu_free)
    for position in range(len(candidates)):
        row = candidates[position]
        if priority[row] != below:  # candidates of one priority stand together, so this is done once per priority
            below = priority[row]
            cpu, memory, gpu = _without_lower(below, home, devices, priority, requests, cpu_free, memory_free, gpu_free)
        for node in nodes:
            if _fits(requests[row], model_bit, node, cpu, memory, gpu):
                return position
    return -1


@njit(cache=True)
def _has_room_without(  # type: ignore[no-untyped-def]
    request, node, victims, home, devices, priority, requests, model_bit, cpu_free, memory_free, gpu_free
):
    cpu, memory, gpu = cpu_free.copy(), memory_free.copy(), gpu_free.copy()
    for row in victims:
        _change(requests[row], devices[row], node, +1, cpu, memory, gpu)
    return _fits(request, model_bit, node, cpu, memory, gpu)


@njit(cache=True)
def _reprieve(  # type: ignore[no-untyped-def]
    request, below, important_first, home, devices, priority, requests, model_bit, cpu_free, memory_free, gpu_free
):
    cpu, memory, gpu = _without_lower(below, home, devices, priority, requests, cpu_free, memory_free, gpu_free)
    victims = np.zeros(len(home), dtype=np.bool_)
    for row in important_first:
        _change(requests[row], devices[row], home[row], -1, cpu, memory, gpu)
        if not _fits(request, model_bit, home[row], cpu, memory, gpu):
            _change(requests[row], devices[row], home[row], +1, cpu, memory, gpu)
            victims[row] = True
    return victims
