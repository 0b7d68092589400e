"""First-fit, best-fit and worst-fit over CPU and GPU.

best-fit scores floor(100 * (1 - sum over {CPU, GPU} of .5 * (free - asked) / largest node)), where a node's GPUs count
together; that is how the FGD simulator defines it (Weng et al., USENIX ATC 2023). worst-fit is its mirror image.
First- and best-fit for bin packing: Johnson, Demers, Ullman, Garey, Graham 1974 (doi 10.1137/0203025).
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from clustersim.cluster import CPU, GPU_SHARE, NUM_GPU
from clustersim.control import Decision

LARGEST_CPU_MILLI = 128_000
LARGEST_GPU_MILLI = 8_000
"""The largest node of the openb cluster, by which every node is normalised."""


class FirstFit:
    """The legal node with the lowest index."""

    def reset(self, rng: np.random.Generator) -> None:
        """Nothing to forget and nothing left to chance."""

    def act(self, decision: Decision) -> int:
        return int(decision.mask.argmax())


def best_fit(decision: Decision, out: NDArray[np.float64]) -> None:
    """The least CPU and GPU left over scores highest."""
    cluster = decision.view.cluster
    _fit_score(decision.subject.request, cluster.cpu_free, cluster.gpu_free_total, out)


def worst_fit(decision: Decision, out: NDArray[np.float64]) -> None:
    """The most CPU and GPU left over scores highest."""
    cluster = decision.view.cluster
    _fit_score(decision.subject.request, cluster.cpu_free, cluster.gpu_free_total, out)
    nodes = out[: len(cluster)]
    np.subtract(100.0, nodes, out=nodes)


@njit(cache=True)
def _fit_score(request, cpu_free, gpu_free_total, out):  # type: ignore[no-untyped-def]
    gpu_asked = request[NUM_GPU] * request[GPU_SHARE]
    for node in range(len(cpu_free)):
        cpu_over = cpu_free[node] - request[CPU]
        gpu_over = gpu_free_total[node] - gpu_asked
        left_over = cpu_over / LARGEST_CPU_MILLI * 0.5 + gpu_over / LARGEST_GPU_MILLI * 0.5
        out[node] = np.floor((1.0 - left_over) * 100)
