"""Packing instances from a real trace: one pool of identical nodes, and just so many of the trace's pods as fill it.

Clusters are packed pool by pool, because a pod seldom may run in two. The pods are drawn from the list, none leaves,
and all stand in the queue at once.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from clustersim.errors import ConfigError
from clustersim.streams import Streams
from clustersim.workload import GPU_MILLI, NodeTable, PodTable, PodWorkload


@dataclass(frozen=True)
class OpenbPool:
    """A distribution of instances; calling it with a seed draws one.

    The pool has the most frequent shape (CPU, memory, GPUs, model) among the GPU nodes of `workload`. Its pods are
    those that an empty node of the pool can hold: the others would run in another pool.
    """

    workload: PodWorkload
    nodes: int = 64
    usage: float = 0.95
    """What all pods ask for of the scarcest resource (CPU, memory or GPUs), as a share of the pool."""

    def __post_init__(self) -> None:
        if self.nodes < 1:
            raise ConfigError(f"nodes is {self.nodes}; it has to be at least 1")
        if not 0 < self.usage < float("inf"):
            raise ConfigError(f"usage is {self.usage}; it has to be positive")
        if not self.workload.nodes.gpu_count.any():
            raise ConfigError(f"no node of workload {self.workload.name!r} has a GPU; a pool is made of GPU nodes")
        if not self._amounts(self.served).any():
            raise ConfigError(
                f"none of the {len(self.workload.pods)} pods of workload {self.workload.name!r} asks for anything that "
                f"a node of its most frequent shape has ({self._describe()}); use another pod list"
            )

    def __call__(self, seed: int) -> PodWorkload:
        """The instance of a seed. A list that is too short is drawn on again."""
        rng, served = Streams(seed)["pool"], self.served
        capacity = self.nodes * self._capacity
        rows = rng.permutation(served)
        while (filled := self._filled(rows, capacity)).max() < self.usage:
            rows = np.concatenate([rows, rng.permutation(served)])
        rows = rows[: int(np.argmax(filled >= self.usage)) + 1]
        pods = self.workload.pods.take(rows)
        return PodWorkload(f"{self.workload.name}-pool-{seed}", self._pool(), _at_once(pods, len(served)))

    @property
    def shape(self) -> int:
        """A node, as a row of the workload's, of the pool's shape."""
        nodes = self.workload.nodes
        shapes = list(zip(nodes.cpu_milli, nodes.memory_mib, nodes.gpu_count, nodes.gpu_model, strict=True))
        frequent, _ = Counter(shape for shape in shapes if shape[2]).most_common(1)[0]
        return shapes.index(frequent)

    @property
    def served(self) -> NDArray[np.int64]:
        """The pods, as rows of the workload's, that an empty node of the pool can hold."""
        nodes, pods, row = self.workload.nodes, self.workload.pods, self.shape
        model = nodes.gpu_model[row]
        accepts = np.array([not spec or model in spec for spec in pods.gpu_spec], dtype=np.bool_)
        fits = (
            (pods.cpu_milli <= nodes.cpu_milli[row])
            & (pods.memory_mib <= nodes.memory_mib[row])
            & (pods.num_gpu <= nodes.gpu_count[row])
        )
        return np.flatnonzero(fits & accepts)

    @property
    def _capacity(self) -> NDArray[np.int64]:
        """(3,) CPU milli, memory MiB and GPU milli of a node."""
        nodes, row = self.workload.nodes, self.shape
        return np.array([nodes.cpu_milli[row], nodes.memory_mib[row], nodes.gpu_count[row] * GPU_MILLI])

    def _amounts(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """(P, 3) what pods ask for, in the units of the capacity."""
        pods = self.workload.pods
        return np.stack([pods.cpu_milli[rows], pods.memory_mib[rows], pods.gpu_demand_milli[rows]], axis=1)

    def _filled(self, rows: NDArray[np.int64], capacity: NDArray[np.int64]) -> NDArray[np.float64]:
        """(P,) share of the scarcest resource that is asked for up to and including each pod."""
        return (np.cumsum(self._amounts(rows), axis=0) / np.maximum(capacity, 1)).max(axis=1)  # type: ignore[no-any-return]

    def _pool(self) -> NodeTable:
        alike = self.workload.nodes.take(np.full(self.nodes, self.shape))
        return replace(alike, name=tuple(f"node-{n + 1}" for n in range(self.nodes)))

    def _describe(self) -> str:
        cpu_milli, memory_mib, gpu_milli = self._capacity
        return f"{cpu_milli} CPU milli, {memory_mib} MiB, {gpu_milli // GPU_MILLI} GPUs"


def _at_once(pods: PodTable, list_length: int) -> PodTable:
    """All arrive at time 0 and none leaves; a pod that is drawn again is numbered."""
    again = np.arange(len(pods)) // list_length
    return replace(
        pods,
        name=tuple(name if n == 0 else f"{name}-{n}" for name, n in zip(pods.name, again, strict=True)),
        arrival_s=np.zeros(len(pods)),
        duration_s=np.full(len(pods), np.nan),
    )
