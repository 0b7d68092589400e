"""Places waiting pods one by one, the smallest first and where they leave the least over: the greedy start.

Smallest first, because the number of placed pods counts. Best fit is classic bin packing (Johnson, Demers, Ullman,
Garey, Graham 1974, doi 10.1137/0203025); here the left-over is the sum over CPU, memory and GPU of what stays free,
each as a share of the largest node.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clustersim.cluster import CPU, GPU_SHARE, MEMORY, NUM_GPU
from clustersim.packing import NOWHERE, RESTART, Packing, Plan, moved
from clustersim.workload import GPU_MILLI


def fill(packing: Packing, plan: Plan, tier: int) -> Plan:
    """The plan with waiting pods of this tier placed where there is room; nothing else is touched."""
    waiting = np.flatnonzero((packing.priority == tier) & (plan.node == NOWHERE))
    if not len(waiting):
        return plan
    room = _Room(packing, plan)
    node, device = plan.node.copy(), plan.device.copy()
    hopeless: set[bytes] = set()
    for pod in waiting[np.argsort(room.size(packing.request[waiting]), kind="stable")].tolist():
        # Equal pods with equal rules fare alike: once one has found no room, the rest need not look.
        key = packing.request[pod].tobytes()
        if key in hopeless:
            continue
        place = room.tightest(pod, node)
        if place is None:
            if not any(pod in together for together in packing.apart):
                hopeless.add(key)
            continue
        node[pod], device[pod] = place
        room.take(pod, *place)
        whole = packing.request[pod, NUM_GPU] and not packing.shares[pod]
        if whole and node[pod] == packing.home[pod]:
            device[pod] = RESTART  # evicted by a higher tier: the devices that it held may be another's by now
    return Plan(node, device)


class _Room:
    """What a plan leaves free: (N,) CPU and memory, (N, G) milli per device."""

    def __init__(self, packing: Packing, plan: Plan) -> None:
        self._packing = packing
        self._cpu = packing.cpu_milli.copy()
        self._memory = packing.memory_mib.copy()
        devices = np.arange(max(1, int(packing.gpu_count.max(initial=0))))
        self._gpu = np.where(devices < packing.gpu_count[:, None], GPU_MILLI, 0).astype(np.int64)
        largest = (packing.cpu_milli.max(), packing.memory_mib.max(), GPU_MILLI * len(devices))
        self._scale = 1.0 / np.maximum(1, np.array(largest, dtype=np.float64))
        placed = np.flatnonzero(plan.node != NOWHERE)
        np.subtract.at(self._cpu, plan.node[placed], packing.request[placed, CPU])
        np.subtract.at(self._memory, plan.node[placed], packing.request[placed, MEMORY])
        with_gpu = placed[packing.request[placed, NUM_GPU] > 0]
        arrives = moved(packing, plan) | (packing.home == NOWHERE)
        arriving = [pod for pod in with_gpu.tolist() if arrives[pod] and not packing.shares[pod]]
        for pod in with_gpu.tolist():
            if packing.shares[pod]:
                self._gpu[plan.node[pod], plan.device[pod]] -= packing.request[pod, GPU_SHARE]
            elif not arrives[pod]:
                self._gpu[plan.node[pod], (packing.home_devices[pod] >> devices & 1).astype(bool)] = 0
        for pod in arriving:  # last: they take what the others leave
            self._take_whole(int(plan.node[pod]), int(packing.request[pod, NUM_GPU]))

    def size(self, request: NDArray[np.int64]) -> NDArray[np.float64]:
        """How large requests (P, 5) are, as shares of the largest node added up."""
        gpu = request[:, NUM_GPU] * request[:, GPU_SHARE]
        return np.stack([request[:, CPU], request[:, MEMORY], gpu], axis=1) @ self._scale

    def tightest(self, pod: int, node: NDArray[np.int64]) -> tuple[int, int] | None:
        """Node and device where a pod leaves least over; None when it fits nowhere."""
        packing, request = self._packing, self._packing.request[pod]
        fits = packing.accepts(pod) & (self._cpu >= request[CPU]) & (self._memory >= request[MEMORY])
        if packing.shares[pod]:
            fits &= (self._gpu >= request[GPU_SHARE]).any(axis=1)
        elif request[NUM_GPU]:
            fits &= (self._gpu == GPU_MILLI).sum(axis=1) >= request[NUM_GPU]
        for together in packing.apart:
            if pod in together:
                fits[[node[other] for other in together if node[other] != NOWHERE]] = False
        candidates = np.flatnonzero(fits)
        if not len(candidates):
            return None
        left = np.stack([self._cpu[candidates], self._memory[candidates], self._gpu[candidates].sum(axis=1)], axis=1)
        n = int(candidates[np.argmin(left @ self._scale)])
        if not packing.shares[pod]:
            return n, NOWHERE
        free = self._gpu[n]
        return n, int(np.argmin(np.where(free >= request[GPU_SHARE], free, GPU_MILLI + 1)))

    def take(self, pod: int, n: int, device: int) -> None:
        request = self._packing.request[pod]
        self._cpu[n] -= request[CPU]
        self._memory[n] -= request[MEMORY]
        if device != NOWHERE:
            self._gpu[n, device] -= request[GPU_SHARE]
        elif request[NUM_GPU]:
            self._take_whole(n, int(request[NUM_GPU]))

    def _take_whole(self, n: int, count: int) -> None:
        self._gpu[n, np.flatnonzero(self._gpu[n] == GPU_MILLI)[:count]] = 0
