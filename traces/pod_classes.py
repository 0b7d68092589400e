"""The classes in which the openb figures count pods: CPU only, a share of a GPU, one GPU, several GPUs."""

from __future__ import annotations

import numpy as np

from clustersim.workload import GPU_MILLI, PodTable

CPU_ONLY = "CPU only"
SHARE = "share of a GPU"


def whole_gpus(count: int) -> str:
    return "1 GPU" if count == 1 else f"{count} GPUs"


def pod_counts(pods: PodTable) -> dict[str, int]:
    """Number of pods in each class, classes in ascending order of what they ask for."""
    share = (pods.num_gpu == 1) & (pods.gpu_milli < GPU_MILLI)
    counts = {CPU_ONLY: int((pods.num_gpu == 0).sum()), SHARE: int(share.sum())}
    for count in np.unique(pods.num_gpu[(pods.num_gpu > 0) & ~share]).tolist():
        counts[whole_gpus(count)] = int((~share & (pods.num_gpu == count)).sum())
    return counts
