"""Smaller versions of a mix: quotas by largest remainder, and nodes sampled shape by shape."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clustersim.errors import ConfigError
from clustersim.workload import NodeTable


def largest_remainder(weights: NDArray[np.int64], total: int) -> NDArray[np.int64]:
    """Whole numbers that add up to `total`, each within one of its exact share; ties go to the lower index."""
    quota, remainder = np.divmod(weights * total, weights.sum())
    winners = np.argsort(-remainder, kind="stable")[: total - quota.sum()]
    quota[winners] += 1
    return quota


def stratified_nodes(nodes: NodeTable, count: int, rng: np.random.Generator) -> NodeTable:
    """`count` of the nodes in their order, every shape (GPU model, GPUs, CPU, memory) by its largest-remainder quota.

    `rng` decides only which nodes of a shape are taken. Raises ConfigError when there are fewer than `count` nodes.
    """
    if not 1 <= count <= len(nodes):
        raise ConfigError(f"cannot sample {count} of {len(nodes)} nodes; ask for 1 to {len(nodes)}")
    strata: dict[tuple[str, int, int, int], list[int]] = {}
    for row, shape in enumerate(zip(nodes.gpu_model, nodes.gpu_count, nodes.cpu_milli, nodes.memory_mib, strict=True)):
        strata.setdefault(shape, []).append(row)
    quotas = largest_remainder(np.array([len(rows) for rows in strata.values()]), count)
    taken = [rng.choice(rows, size=quota, replace=False) for rows, quota in zip(strata.values(), quotas, strict=True)]
    return nodes.take(np.sort(np.concatenate(taken)))


def systematic_sample(weights: NDArray[np.float64], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """`count` indices in random order, each as often as its share of `weights` says, rounded up or down at random."""
    edges = np.cumsum(weights) / np.sum(weights)
    points = (np.arange(count) + rng.random()) / count
    return rng.permutation(np.searchsorted(edges[:-1], points, side="right"))
