"""Whole numbers from shares: quotas by largest remainder, and systematic samples."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def largest_remainder(weights: NDArray[np.int64], total: int) -> NDArray[np.int64]:
    """Whole numbers that add up to `total`, each within one of its exact share; ties go to the lower index."""
    quota, remainder = np.divmod(weights * total, weights.sum())
    winners = np.argsort(-remainder, kind="stable")[: total - quota.sum()]
    quota[winners] += 1
    return quota


def systematic_sample(weights: NDArray[np.float64], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """`count` indices in random order, each as often as its share of `weights` says, rounded up or down at random."""
    edges = np.cumsum(weights) / np.sum(weights)
    points = (np.arange(count) + rng.random()) / count
    return rng.permutation(np.searchsorted(edges[:-1], points, side="right"))
