"""GPU packing: shared devices first, then free devices of used nodes, then idle nodes.

Three bands of integer scores: 100 - (free percent of the devices to use) // 10, at least 50; 50 - free devices to use,
at least 33; 33 - free devices of the idle node (or, from 17 on, their number). Pods without GPU score 0 everywhere.
Source: the GpuPacking baseline of the FGD simulator (Weng et al., USENIX ATC 2023), after Weng et al., "MLaaS in the
wild", NSDI 2022.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from clustersim.cluster import GPU_SHARE, NUM_GPU
from clustersim.control import Decision
from clustersim.workload import GPU_MILLI


def gpu_packing(decision: Decision, out: NDArray[np.float64]) -> None:
    """The fullest devices that are big enough score highest."""
    cluster = decision.view.cluster
    _score(decision.subject.request, decision.mask, cluster.gpu_count, cluster.gpu_free, cluster.gpu_free_whole, out)


@njit(cache=True)
def _score(request, mask, gpu_count, gpu_free, gpu_free_whole, out):  # type: ignore[no-untyped-def]
    count, share = request[NUM_GPU], request[GPU_SHARE]
    for node in range(len(gpu_count)):
        out[node] = 0.0
        if count == 0 or not mask[node]:
            continue
        whole = gpu_free_whole[node]
        if whole == gpu_count[node]:
            out[node] = max(33 - whole, whole)
            continue
        # The devices to use are the fullest that are big enough: partly used ones before untouched ones.
        used_wanted, used_percent = count, 0
        for free in np.sort(gpu_free[node]):
            if used_wanted > 0 and share <= free < GPU_MILLI:
                used_wanted -= 1
                used_percent += free * 100 // GPU_MILLI
        if used_wanted > 0:
            out[node] = max(50 - used_wanted, 33)
        else:
            out[node] = max(100 - used_percent // 10, 50)
