"""A smaller cluster of the same mix: nodes sampled in proportion to their shapes."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from clustersim.workload import NodeTable


def stratified_sample(nodes: NodeTable, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Rows of `count` nodes, ascending, drawn without replacement and stratified by shape.

    A shape is a combination of GPU model, GPU count, CPU and memory. Each gets its share of `count` rounded down; the
    places left over go to shapes drawn with probability in proportion to the remainders, so that rare shapes appear
    in some samples.
    """
    members = _strata(nodes)
    exact = np.array([len(rows) for rows in members]) * count / len(nodes)
    quota = np.floor(exact).astype(np.int64)
    left = count - int(quota.sum())
    if left:
        remainder = exact - quota
        quota[rng.choice(len(members), size=left, replace=False, p=remainder / remainder.sum())] += 1
    chosen = [rng.choice(rows, size=size, replace=False) for rows, size in zip(members, quota, strict=True)]
    return np.sort(np.concatenate(chosen)).astype(np.int64)


@lru_cache(maxsize=16)
def _strata(nodes: NodeTable) -> tuple[NDArray[np.int64], ...]:
    """The rows of each shape, in the order of the shapes; cached, because every episode samples the same table."""
    strata: dict[tuple[str, int, int, int], list[int]] = {}
    for row, model in enumerate(nodes.gpu_model):
        shape = (model, int(nodes.gpu_count[row]), int(nodes.cpu_milli[row]), int(nodes.memory_mib[row]))
        strata.setdefault(shape, []).append(row)
    return tuple(np.array(strata[shape]) for shape in sorted(strata))
