"""Pods as policies see them: one object per row of a pod table, and the arrays that every episode on it shares."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import inf, isnan

import numpy as np
from numpy.typing import NDArray

from clustersim.cluster import accepted_models, gpu_models
from clustersim.fragmentation import TypicalPods, typical_pods
from clustersim.readonly import read_only
from clustersim.workload import PodWorkload


@dataclass(frozen=True, slots=True, eq=False)
class Pod:
    """A pod as a policy sees it.

    `request` (5,) is described in `clustersim.cluster`; `shape` numbers the distinct requests of the workload.
    `duration_s` is the truth: a policy that reads it is clairvoyant and should say so.
    """

    row: int
    name: str
    request: NDArray[np.int64]
    shape: int
    priority: int
    arrival_s: float
    duration_s: float  # inf: never leaves
    image: str
    image_mib: int

    def __str__(self) -> str:
        return f"pod {self.name!r}"


@dataclass(frozen=True, slots=True, eq=False)
class PodList:
    """What every episode on one workload shares.

    `requests` (P, 5), `shapes` (C, 5) the distinct ones, `gpu_demand_milli` (P,) on all devices together, `rank` (P,)
    the place of each row in a queue by priority, then arrival.
    """

    pods: tuple[Pod, ...]
    requests: NDArray[np.int64]
    shapes: NDArray[np.int64]
    typical: TypicalPods
    gpu_demand_milli: NDArray[np.int64]
    rank: NDArray[np.int64]
    models: tuple[str, ...]


@lru_cache(maxsize=16)
def compile_pods(workload: PodWorkload, typical_share: float, image_mib: int) -> PodList:
    """Computed once per workload; pods without an image get one of `image_mib` per request shape, if that is not 0."""
    pods = workload.pods
    models = gpu_models(workload.nodes)
    specs = {spec: accepted_models(spec, models) for spec in dict.fromkeys(pods.gpu_spec)}
    accepted = np.array([specs[spec] for spec in pods.gpu_spec], dtype=np.int64)
    columns = [pods.cpu_milli, pods.memory_mib, pods.num_gpu, pods.gpu_milli, accepted]
    requests = read_only(np.stack(columns, axis=1))
    shapes, shape = np.unique(requests, axis=0, return_inverse=True)
    shape = shape.ravel()
    order = np.lexsort((np.arange(len(pods)), pods.arrival_s, -pods.priority))
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return PodList(
        pods=tuple(
            Pod(
                row=row,
                name=pods.name[row],
                request=requests[row],
                shape=int(shape[row]),
                priority=int(pods.priority[row]),
                arrival_s=float(pods.arrival_s[row]),
                duration_s=inf if isnan(pods.duration_s[row]) else float(pods.duration_s[row]),
                image=pods.image[row] or (f"shape-{shape[row]}" if image_mib else ""),
                image_mib=int(pods.image_mib[row]) if pods.image[row] else image_mib,
            )
            for row in range(len(pods))
        ),
        requests=requests,
        shapes=shapes,
        typical=typical_pods(requests, typical_share),
        gpu_demand_milli=pods.gpu_demand_milli,
        rank=rank,
        models=models,
    )
