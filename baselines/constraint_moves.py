"""Single moves of pods between nodes, as numba kernels over a plan: what the local searches of packing are made of.

Best fit by device, as in the world: Weng et al., USENIX ATC 2023.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from clustersim.cluster import ACCEPTED, CPU, GPU_SHARE, MEMORY, NUM_GPU
from clustersim.packing import NOWHERE, RESTART, Packing, Plan, devices_of
from clustersim.workload import GPU_MILLI


def movable_pods(packing: Packing) -> NDArray[np.bool_]:
    """(P,) pods that a local search may touch: neither protected nor to be kept apart from others."""
    movable = ~packing.protected
    for together in packing.apart:
        movable[list(together)] = False
    return movable


class PlanState:
    """A plan as arrays for the kernels: where each pod is, which devices it holds, and what is free."""

    def __init__(self, packing: Packing, plan: Plan) -> None:
        self._packing = packing
        node, held = plan.node.copy(), devices_of(packing, plan)
        placed = np.flatnonzero(node != NOWHERE)
        cpu_free, memory_free = packing.cpu_milli.copy(), packing.memory_mib.copy()
        np.subtract.at(cpu_free, node[placed], packing.request[placed, CPU])
        np.subtract.at(memory_free, node[placed], packing.request[placed, MEMORY])
        devices = np.arange(int(packing.gpu_count.max(initial=0)))
        gpu_free = np.where(devices < packing.gpu_count[:, None], GPU_MILLI, 0).astype(np.int64)
        taken = (held[placed, None] >> devices & 1) * packing.request[placed, GPU_SHARE, None]
        np.subtract.at(gpu_free, node[placed], taken)
        self.arrays = (node, held, cpu_free, memory_free, gpu_free)
        self.nodes = (packing.cpu_milli, packing.memory_mib, packing.gpu_count, packing.model_bit)

    def plan(self) -> Plan:
        packing, (node, held) = self._packing, self.arrays[:2]
        device = np.full(len(node), NOWHERE)
        shared = packing.shares & (node != NOWHERE)
        device[shared] = np.log2(held[shared]).astype(np.int64)
        device[(node == packing.home) & (node != NOWHERE) & ~shared & (held != packing.home_devices)] = RESTART
        return Plan(node, device)


# The state is passed around as arrays one by one: a tuple of them costs the kernels half their speed.


@njit(cache=True)
def stream_of(seed):  # type: ignore[no-untyped-def]
    """The state of a random stream; numba's own generator is global, and a search must not shift what another draws."""
    start = np.uint64(seed) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(0x2545F4914F6CDD1D)
    return np.array([start], dtype=np.uint64)


@njit(cache=True)
def draw(stream):  # type: ignore[no-untyped-def]
    """The next 31 random bits of a stream (xorshift64*)."""
    x = stream[0]
    x ^= x >> np.uint64(12)
    x ^= x << np.uint64(25)
    x ^= x >> np.uint64(27)
    stream[0] = x
    return (x * np.uint64(0x2545F4914F6CDD1D)) >> np.uint64(33)


@njit(cache=True)
def take(i, sign, request, node, held, cpu_free, memory_free, gpu_free):  # type: ignore[no-untyped-def]
    """Book (+1) pod i on the node and devices written down for it, or give them back (-1)."""
    n = node[i]
    cpu_free[n] -= sign * request[i, CPU]
    memory_free[n] -= sign * request[i, MEMORY]
    if request[i, NUM_GPU] > 0:
        for d in range(gpu_free.shape[1]):
            if held[i] >> d & 1:
                gpu_free[n, d] -= sign * request[i, GPU_SHARE]


@njit(cache=True)
def try_on(i, n, request, node, held, cpu_free, memory_free, gpu_free, model_bit):  # type: ignore[no-untyped-def]
    """Put pod i, booked nowhere, on node n if there is room: on its tightest device, or the first whole ones."""
    if cpu_free[n] < request[i, CPU] or memory_free[n] < request[i, MEMORY]:
        return False
    devices = 0
    if request[i, NUM_GPU] > 0:
        if request[i, ACCEPTED] & model_bit[n] == 0:
            return False
        share, left, best = request[i, GPU_SHARE], request[i, NUM_GPU], -1
        for d in range(gpu_free.shape[1]):
            if share == GPU_MILLI:
                if left > 0 and gpu_free[n, d] == GPU_MILLI:
                    devices |= 1 << d
                    left -= 1
            elif gpu_free[n, d] >= share and (best < 0 or gpu_free[n, d] < gpu_free[n, best]):
                best = d
        if share == GPU_MILLI and left > 0:
            return False
        if share < GPU_MILLI:
            if best < 0:
                return False
            devices = 1 << best
    node[i], held[i] = n, devices
    take(i, 1, request, node, held, cpu_free, memory_free, gpu_free)
    return True


@njit(cache=True)
def within(n, cpu_free, memory_free, gpu_free):  # type: ignore[no-untyped-def]
    """Whether nothing on node n is booked beyond what there is."""
    if cpu_free[n] < 0 or memory_free[n] < 0:
        return False
    return (gpu_free[n] >= 0).all()
