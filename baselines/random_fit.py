"""A random feasible node, and on it a random device for a pod that shares one.

The `Random` baseline of the FGD simulator (Weng et al., USENIX ATC 2023). The device matters: with the tightest fit
on the random node, 1 point more of the GPUs is allocated.
"""

from __future__ import annotations

import numpy as np

from clustersim.cluster import GPU_SHARE, NUM_GPU
from clustersim.control import Decision
from clustersim.policy import random_legal
from clustersim.workload import GPU_MILLI


class RandomFit:
    """Every feasible node with the same probability; it never prefers to wait."""

    def reset(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def act(self, decision: Decision) -> int:
        cluster, request = decision.view.cluster, decision.subject.request
        node = int(random_legal(decision.mask[: len(cluster)], self._rng.random()))
        if request[NUM_GPU] == 1 and request[GPU_SHARE] < GPU_MILLI:
            decision.detail = int(self._rng.choice(np.flatnonzero(cluster.gpu_free[node] >= request[GPU_SHARE])))
        return node
