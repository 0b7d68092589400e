"""GPU clustering: keep pods of one GPU size (a share, 1, 2, 4, 8 devices) together.

Four bands, from the top: nodes that run only pods of this size; also others; idle nodes; only others. Within a band the
fuller node wins: 25 * (8000 - free GPU milli) // 8000. Pods without GPU score 0 everywhere.
Source: the GpuClustering baseline of the FGD simulator (Weng et al., USENIX ATC 2023), after the affinity of Xiao et
al., "Gandiva", OSDI 2018.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from clustersim.baselines.fits import LARGEST_GPU_MILLI
from clustersim.cluster import GPU_SHARE, NUM_GPU
from clustersim.control import Decision
from clustersim.workload import GPU_MILLI


def gpu_clustering(decision: Decision, out: NDArray[np.float64]) -> None:
    """Nodes full of pods of the same size score highest."""
    cluster = decision.view.cluster
    _score(decision.subject.request, cluster.gpu_free_total, cluster.gpu_tenants, out)


@njit(cache=True)
def _score(request, gpu_free_total, gpu_tenants, out):  # type: ignore[no-untyped-def]
    count = request[NUM_GPU]
    size = 0 if request[GPU_SHARE] < GPU_MILLI else count
    for node in range(len(gpu_free_total)):
        if count == 0 or size >= gpu_tenants.shape[1]:
            out[node] = 0.0
            continue
        sizes_here = 0
        for other in range(gpu_tenants.shape[1]):
            sizes_here += gpu_tenants[node, other] > 0
        band = 0
        if gpu_tenants[node, size] > 0:
            band = 75 if sizes_here == 1 else 50
        elif sizes_here == 0:
            band = 25
        out[node] = 25 * (LARGEST_GPU_MILLI - gpu_free_total[node]) // LARGEST_GPU_MILLI + band
