"""Random packing instances made of ReplicaSets, as in "Priority Matters" (arXiv 2511.08373, section 5 and its scripts).

ReplicaSets of one to four equal pods until the cluster has its number of pods; CPU, memory and priority are uniform
per set. The nodes are identical, and just so large that all pods together ask for `usage` of them.
A seed of the authors gives their instance: the sizes, requests and priorities are drawn from the same streams. Memory
is rounded up to MiB, where they count bytes.
"""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass
from math import ceil

import numpy as np

from clustersim.errors import ConfigError
from clustersim.workload import NodeTable, PodTable, PodWorkload

MOST_REPLICAS = 4
CPU_MILLI = (100, 1000)
MEMORY_BYTES = (100_000_000, 1_000_000_000)
MIB = 1 << 20


@dataclass(frozen=True)
class ReplicaSets:
    """A distribution of instances; calling it with a seed draws one."""

    nodes: int = 8
    pods_per_node: int = 4
    priorities: int = 4
    """Priorities are 1 to this; higher is more important."""
    usage: float = 0.95
    """What all pods ask for, as a share of all nodes; above 1 not all can run."""
    gap_s: float = 0.0
    """Time from one ReplicaSet's creation to the next; 0: all pods are in the queue at once, and it sorts them."""

    def __post_init__(self) -> None:
        for name in ("nodes", "pods_per_node", "priorities"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it has to be at least 1")
        if not 0 < self.usage < float("inf"):
            raise ConfigError(f"usage is {self.usage}; it has to be positive")
        if not 0 <= self.gap_s < float("inf"):
            raise ConfigError(f"gap_s is {self.gap_s}; it has to be at least 0")

    def __call__(self, seed: int) -> PodWorkload:
        """The instance of a seed."""
        if not 0 <= seed < 1 << 128:
            raise ConfigError(f"the seed is {seed}; it has to be at least 0 and below 2**128")
        count = self.nodes * self.pods_per_node
        sizes = _sizes(_stream(seed, "rs-sizes"), count)
        cpu_stream, memory_stream, priority_stream = (_stream(seed, label) for label in ("rs-cpu", "rs-mem", "base"))
        cpu_milli = np.repeat([cpu_stream.randint(*CPU_MILLI) for _ in sizes], sizes)
        memory_mib = np.repeat([ceil(memory_stream.randint(*MEMORY_BYTES) / MIB) for _ in sizes], sizes)
        priority = np.repeat([priority_stream.randint(1, self.priorities) for _ in sizes], sizes)
        created = np.repeat(np.arange(len(sizes)), sizes)
        replica = np.concatenate([np.arange(size) for size in sizes])
        zeros = np.zeros(count, dtype=np.int64)
        return PodWorkload(
            f"replica-sets-{seed}",
            NodeTable(
                name=tuple(f"node-{n + 1}" for n in range(self.nodes)),
                cpu_milli=np.full(self.nodes, self._capacity(cpu_milli)),
                memory_mib=np.full(self.nodes, self._capacity(memory_mib)),
                gpu_count=np.zeros(self.nodes, dtype=np.int64),
                gpu_model=("",) * self.nodes,
            ),
            PodTable(
                name=tuple(f"rs-{s + 1:02d}-p{p}-{r}" for s, p, r in zip(created, priority, replica, strict=True)),
                cpu_milli=cpu_milli,
                memory_mib=memory_mib,
                num_gpu=zeros,
                gpu_milli=zeros,
                gpu_spec=((),) * count,
                qos=("Burstable",) * count,
                priority=priority,
                arrival_s=(created * self.gap_s).astype(np.float64),
                duration_s=np.full(count, np.nan),
                image=("",) * count,
                image_mib=zeros,
            ),
        )

    def _capacity(self, asked: np.ndarray) -> int:
        """Of one node: its part of all that is asked for over the usage, and room for the largest pod."""
        return max(int(asked.max()), ceil(ceil(int(asked.sum()) / self.usage) / self.nodes))


def _sizes(stream: random.Random, pods: int) -> list[int]:
    sizes: list[int] = []
    while (left := pods - sum(sizes)) > 0:
        sizes.append(stream.randint(1, min(MOST_REPLICAS, left)))
    return sizes


def _stream(seed: int, label: str) -> random.Random:
    """The authors' stream of a cause: seeded by BLAKE2b of the seed in 16 bytes, a zero byte and the label."""
    digest = hashlib.blake2b(seed.to_bytes(16, "big") + b"\x00" + label.encode(), digest_size=16).digest()
    return random.Random(int.from_bytes(digest, "big"))
