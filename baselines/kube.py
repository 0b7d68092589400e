"""The default scorer of kube-scheduler (v1.29): NodeResourcesFit plus NodeResourcesBalancedAllocation, weight 1 each.

All arithmetic is the integer arithmetic of the Go source, on CPU and memory; GPUs are filtered on but not scored, as
extended resources are by default. The other default plug-ins (taints, affinities, topology spread, image locality)
score every node alike here and are left out. Every feasible node is scored (percentageOfNodesToScore 100). Pods that
are on a node count with what they asked for, the pod that is placed with a default where it asked for nothing.
Source: kubernetes/kubernetes, pkg/scheduler/framework/plugins/noderesources, Apache-2.0 (formulas only).
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from clustersim.cluster import CPU, MEMORY
from clustersim.control import Decision

MAX_NODE_SCORE = 100
DEFAULT_CPU_MILLI = 100
DEFAULT_MEMORY_MIB = 200
"""What a pod without a request counts as when it is scored; the Go source says 200 MB and means 200 * 1024 * 1024."""


def kube_default(decision: Decision, out: NDArray[np.float64]) -> None:
    """LeastAllocated + BalancedAllocation: spread."""
    _write_scores(decision, out, pack=False)


def kube_most_allocated(decision: Decision, out: NDArray[np.float64]) -> None:
    """MostAllocated + BalancedAllocation: pack."""
    _write_scores(decision, out, pack=True)


def _write_scores(decision: Decision, out: NDArray[np.float64], pack: bool) -> None:
    cluster = decision.view.cluster
    _score(
        decision.subject.request,
        cluster.cpu_capacity,
        cluster.cpu_free,
        cluster.memory_capacity,
        cluster.memory_free,
        pack,
        out,
    )


@njit(cache=True)
def least_allocated(capacity: int, requested: int) -> int:
    """Free percent after placing, rounded down; 0 when too much is requested."""
    if capacity == 0 or requested > capacity:
        return 0
    return (capacity - requested) * MAX_NODE_SCORE // capacity


@njit(cache=True)
def most_allocated(capacity: int, requested: int) -> int:
    """Requested percent after placing, rounded down; a request above the capacity counts as the capacity."""
    if capacity == 0:
        return 0
    return min(requested, capacity) * MAX_NODE_SCORE // capacity


@njit(cache=True)
def balanced_allocation(cpu_fraction: float, memory_fraction: float) -> int:
    """floor(100 * (1 - standard deviation of the two requested fractions)), each fraction at most 1."""
    deviation = abs(min(cpu_fraction, 1.0) - min(memory_fraction, 1.0)) / 2
    return int((1.0 - deviation) * MAX_NODE_SCORE)


@njit(cache=True)
def balanced_allocation_v1_20(cpu_fraction: float, memory_fraction: float) -> int:
    """The older form, as inside the FGD simulator: floor(100 * (1 - difference)), 0 when either fraction reaches 1."""
    if cpu_fraction >= 1.0 or memory_fraction >= 1.0:
        return 0
    return int((1.0 - abs(cpu_fraction - memory_fraction)) * MAX_NODE_SCORE)


@njit(cache=True)
def _score(request, cpu_capacity, cpu_free, memory_capacity, memory_free, pack, out):  # type: ignore[no-untyped-def]
    cpu_asked = request[CPU] if request[CPU] > 0 else DEFAULT_CPU_MILLI
    memory_asked = request[MEMORY] if request[MEMORY] > 0 else DEFAULT_MEMORY_MIB
    for node in range(len(cpu_free)):
        cpu = cpu_capacity[node] - cpu_free[node] + cpu_asked
        memory = memory_capacity[node] - memory_free[node] + memory_asked
        if pack:
            fit = (most_allocated(cpu_capacity[node], cpu) + most_allocated(memory_capacity[node], memory)) // 2
        else:
            fit = (least_allocated(cpu_capacity[node], cpu) + least_allocated(memory_capacity[node], memory)) // 2
        # BalancedAllocation goes by what is really asked for, without the defaults.
        cpu_fraction = (cpu_capacity[node] - cpu_free[node] + request[CPU]) / max(cpu_capacity[node], 1)
        memory_fraction = (memory_capacity[node] - memory_free[node] + request[MEMORY]) / max(memory_capacity[node], 1)
        balance = balanced_allocation(cpu_fraction, memory_fraction)
        out[node] = fit + balance
