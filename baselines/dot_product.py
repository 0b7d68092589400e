"""Dot product: prefer the node whose free resources are least aligned with what the pod asks for.

score = floor(100 * (1 - mean over {CPU, GPU} of free * asked / largest node ** 2)), GPUs merged into one dimension.
Source: the alignment score of Grandl et al., "Multi-resource packing for cluster schedulers" (Tetris), SIGCOMM 2014
(doi 10.1145/2619239.2626334), in the form and with the sign of the FGD simulator (Weng et al., USENIX ATC 2023).
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from clustersim.baselines.fits import LARGEST_CPU_MILLI, LARGEST_GPU_MILLI
from clustersim.cluster import CPU, GPU_SHARE, NUM_GPU
from clustersim.control import Decision


def dot_product(decision: Decision, out: NDArray[np.float64]) -> None:
    """The smallest product of free and asked resources scores highest."""
    cluster = decision.view.cluster
    _score(decision.subject.request, cluster.cpu_free, cluster.gpu_free_total, out)


@njit(cache=True)
def _score(request, cpu_free, gpu_free_total, out):  # type: ignore[no-untyped-def]
    cpu_asked = request[CPU] / LARGEST_CPU_MILLI
    gpu_asked = request[NUM_GPU] * request[GPU_SHARE] / LARGEST_GPU_MILLI
    for node in range(len(cpu_free)):
        product = cpu_free[node] / LARGEST_CPU_MILLI * cpu_asked + gpu_free_total[node] / LARGEST_GPU_MILLI * gpu_asked
        out[node] = np.floor(100 * (1.0 - product / 2))
