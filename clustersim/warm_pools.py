"""Pools of pods that were started ahead, by configuration, and the staged search for one that a new pod can take."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

from clustersim.coldstart import Stage

Entry = TypeVar("Entry", bound=Hashable)

Configuration = tuple[int, int, int]
"""What a pod of a pool has: cpu_milli, memory_mib, gpu_milli (1000 per whole device)."""


class WarmPools(Generic[Entry]):
    """Pods that wait to be taken, each by whatever the caller keeps for it; the one that waits longest goes first.

    Source of the staged search: arXiv 2410.06145. There, the wider search goes to other clusters; here it goes to
    larger pods of the same pools, and every zone has pools of its own (D).
    """

    def __init__(self) -> None:
        # A dict as an ordered set: an entry is found by its age and removed by its name.
        self._pools: dict[Configuration, dict[Entry, None]] = {}
        self._home: dict[Entry, Configuration] = {}

    def __len__(self) -> int:
        return len(self._home)

    def level(self, configuration: Configuration) -> int:
        """Pods in the pool of exactly this configuration."""
        return len(self._pools.get(configuration, ()))

    def add(self, configuration: Configuration, entry: Entry) -> None:
        """A pod is ready to be taken."""
        assert entry not in self._home, f"{entry} is in a pool already"
        self._home[entry] = configuration
        self._pools.setdefault(configuration, {})[entry] = None

    def take(self, configuration: Configuration) -> tuple[Stage, Entry | None]:
        """A pod from the pool of this configuration, else of the smallest other one that is large enough, else none."""
        stage, pool = Stage.POOL, self._pools.get(configuration)
        if not pool:
            stage, pool = Stage.WIDER, self._smallest_larger(configuration)
        if not pool:
            return Stage.SCRATCH, None
        entry = next(iter(pool))
        self.remove(entry)
        return stage, entry

    def remove(self, entry: Entry) -> None:
        """A pod leaves its pool without being taken: it was evicted, its node failed, or fewer are wanted."""
        del self._pools[self._home.pop(entry)][entry]

    def _smallest_larger(self, wanted: Configuration) -> dict[Entry, None] | None:
        larger = [
            configuration
            for configuration, pool in self._pools.items()
            if pool and all(has >= needs for has, needs in zip(configuration, wanted, strict=True))
        ]
        return self._pools[min(larger, key=_size)] if larger else None


def _size(configuration: Configuration) -> tuple[int, int, int]:
    """Orders configurations: GPUs are dearest, then CPUs, then memory (D)."""
    cpu_milli, memory_mib, gpu_milli = configuration
    return gpu_milli, cpu_milli, memory_mib
