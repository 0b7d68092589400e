"""A smaller cluster of the same mix: nodes sampled in proportion to their shapes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clustersim.workload import NodeTable


def stratified_sample(nodes: NodeTable, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Rows of `count` nodes, ascending, drawn without replacement and stratified by shape.

    A shape is a combination of GPU model, GPU count, CPU and memory. Each gets its share of `count` rounded down; the
    places left over go to shapes drawn with probability in proportion to the remainders, so that rare shapes appear
    in some samples.
    """
    shapes = list(zip(nodes.gpu_model, nodes.gpu_count, nodes.cpu_milli, nodes.memory_mib, strict=True))
    strata: dict[object, list[int]] = {}
    for row, shape in enumerate(shapes):
        strata.setdefault(shape, []).append(row)
    members = [strata[shape] for shape in sorted(strata)]  # type: ignore[type-var]
    exact = np.array([len(rows) for rows in members]) * count / len(nodes)
    quota = np.floor(exact).astype(np.int64)
    left = count - int(quota.sum())
    if left:
        remainder = exact - quota
        quota[rng.choice(len(members), size=left, replace=False, p=remainder / remainder.sum())] += 1
    chosen = [rng.choice(rows, size=size, replace=False) for rows, size in zip(members, quota, strict=True)]
    return np.sort(np.concatenate(chosen)).astype(np.int64)
