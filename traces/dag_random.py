"""Generated jobs: layered, fork-join, and by the parameters of Topcuoglu, Hariri and Wu."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from clustersim.dags import Dag
from clustersim.errors import ConfigError

Floats = NDArray[np.float64]
Edges = list[tuple[int, int]]

MEAN_RUN_TIME_S = 10.0


class Generator(Protocol):
    """Makes a job for M machines; frozen, so that it can be part of a configuration."""

    def __call__(self, name: str, rng: np.random.Generator, slowness: Floats, bytes_per_s: float) -> Dag:
        """`slowness`, shape (M,): what each machine multiplies run times by. `bytes_per_s`: of every link."""


@dataclass(frozen=True)
class Size:
    """The number of tasks, drawn uniformly from `least_tasks` to `most_tasks`, and the ratio of data to work.

    `ccr`: mean seconds of an edge over mean seconds of a task, met exactly by every job that has edges.
    """

    least_tasks: int = 50
    most_tasks: int = 50
    ccr: float = 1.0

    def __post_init__(self) -> None:
        if not 1 <= self.least_tasks <= self.most_tasks:
            raise ConfigError(f"tasks is {self.least_tasks} to {self.most_tasks}; give at least 1, the smaller first")
        if not 0 <= self.ccr < math.inf:
            raise ConfigError(f"ccr is {self.ccr}; it has to be at least 0")

    def draw(self, rng: np.random.Generator) -> int:
        return int(rng.integers(self.least_tasks, self.most_tasks + 1))


@dataclass(frozen=True)
class Layered:
    """Layers of tasks, each task waiting for 1 to `most_parents` tasks of the layer above.

    There are round(sqrt(tasks)) layers with one task each, and each other task goes to a layer drawn uniformly. Run
    times on the mean machine are uniform on [0, 20] s, and so is the weight of an edge.
    """

    size: Size = field(default_factory=Size)
    most_parents: int = 3

    def __call__(self, name: str, rng: np.random.Generator, slowness: Floats, bytes_per_s: float) -> Dag:
        count = self.size.draw(rng)
        layers = max(1, round(math.sqrt(count)))
        sizes = np.bincount(rng.integers(layers, size=count - layers), minlength=layers) + 1
        edges: Edges = []
        for above, layer in pairwise(_levels(sizes)):
            for task in layer:
                parents = rng.choice(
                    above, size=int(rng.integers(1, min(self.most_parents, len(above)) + 1)), replace=False
                )
                edges += [(int(parent), task) for parent in sorted(parents)]
        return related_job(name, count, edges, self.size.ccr, rng, slowness, bytes_per_s)


@dataclass(frozen=True)
class ForkJoin:
    """One task forks into `width` that run side by side, one joins them and forks again, until all tasks are used.

    `width` 0: round(sqrt(tasks)). Run times and weights of edges as in `Layered`.
    """

    size: Size = field(default_factory=Size)
    width: int = 0

    def __post_init__(self) -> None:
        if self.width < 0:
            raise ConfigError(f"width is {self.width}; it has to be at least 0")

    def __call__(self, name: str, rng: np.random.Generator, slowness: Floats, bytes_per_s: float) -> Dag:
        count = self.size.draw(rng)
        width = self.width or max(1, round(math.sqrt(count)))
        edges: Edges = []
        fork = 0
        while fork < count - 1:
            # The last round is as wide as the tasks that are left allow; a single one is a join without a fork.
            branches = range(fork + 1, min(fork + 1 + width, max(count - 1, fork + 2)))
            join = branches.stop
            edges += [(fork, branch) for branch in branches]
            if join < count:
                edges += [(branch, join) for branch in branches]
            fork = join
        return related_job(name, count, edges, self.size.ccr, rng, slowness, bytes_per_s)


@dataclass(frozen=True)
class Topcuoglu:
    """Random graphs with unrelated machines (Topcuoglu, Hariri, Wu 2002, section 5.1, doi 10.1109/71.993206).

    Height: uniform with mean sqrt(tasks) / `shape`. Width of each level: uniform with mean sqrt(tasks) * `shape`, until
    all tasks are used. Each task sends to `out_degree` tasks of the next level, fewer where that is narrower; a task
    that nobody sends to gets one parent from the level above. Mean cost of a task: w_i uniform on [0, 20] s; on each
    machine uniform on w_i * [1 - beta / 2, 1 + beta / 2]. The paper leaves open which tasks of later levels an edge
    leads to.
    """

    size: Size = field(default_factory=Size)
    shape: float = 1.0
    out_degree: int = 3
    beta: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.shape < math.inf:
            raise ConfigError(f"shape is {self.shape}; it has to be positive")
        if self.out_degree < 1:
            raise ConfigError(f"out_degree is {self.out_degree}; it has to be at least 1")
        if not 0 <= self.beta <= 2:
            raise ConfigError(f"beta is {self.beta}; it has to be 0 to 2, as run times would be negative beyond")

    def __call__(self, name: str, rng: np.random.Generator, slowness: Floats, bytes_per_s: float) -> Dag:
        count = self.size.draw(rng)
        edges: Edges = []
        for above, level in pairwise(_levels(self._widths(count, rng))):
            degree = min(self.out_degree, len(level))
            sent = [(task, int(child)) for task in above for child in rng.choice(level, size=degree, replace=False)]
            reached = {child for _, child in sent}
            sent += [(int(rng.choice(above)), task) for task in level if task not in reached]
            edges += sorted(sent)
        mean_s = rng.uniform(0, 2 * MEAN_RUN_TIME_S, size=count)
        spread = rng.uniform(1 - self.beta / 2, 1 + self.beta / 2, size=(count, len(slowness)))
        return _job(name, mean_s[:, None] * spread, edges, self.size.ccr, rng, bytes_per_s)

    def _widths(self, count: int, rng: np.random.Generator) -> list[int]:
        height = _uniform_with_mean(math.sqrt(count) / self.shape, rng)
        widths: list[int] = []
        left = count
        while left > 0:
            width = min(left, _uniform_with_mean(math.sqrt(count) * self.shape, rng))
            # The last level takes whatever the levels above have left over.
            widths.append(left if len(widths) == height - 1 else width)
            left -= widths[-1]
        return widths


def related_job(
    name: str,
    count: int,
    edges: Sequence[tuple[int, int]],
    ccr: float,
    rng: np.random.Generator,
    slowness: Floats,
    bytes_per_s: float,
) -> Dag:
    """Run times uniform on [0, 20] s times the slowness of each machine, and weights of edges uniform on [0, 1]."""
    run_time_s = rng.uniform(0, 2 * MEAN_RUN_TIME_S, size=count)
    return _job(name, run_time_s[:, None] * slowness, edges, ccr, rng, bytes_per_s)


def bytes_for(ccr: float, weight: Floats, run_time_s: Floats, bytes_per_s: float) -> Floats:
    """Bytes in proportion to the weights, so that edges take `ccr` times as long as tasks on average."""
    if not len(weight) or weight.sum() == 0 or not math.isfinite(bytes_per_s):
        return np.zeros(len(weight))
    scaled: Floats = weight * (ccr * run_time_s.mean() * bytes_per_s / weight.mean())
    return scaled


def _job(
    name: str,
    run_time_s: Floats,
    edges: Sequence[tuple[int, int]],
    ccr: float,
    rng: np.random.Generator,
    bytes_per_s: float,
) -> Dag:
    data_bytes = bytes_for(ccr, rng.random(len(edges)), run_time_s, bytes_per_s)
    tasks = tuple(f"t{task}" for task in range(len(run_time_s)))
    return Dag(name, tasks, run_time_s, np.array(edges, dtype=np.int64).reshape(-1, 2), data_bytes)


def _levels(sizes: Sequence[int] | NDArray[np.int64]) -> list[range]:
    """Tasks of each level: the first level has the lowest numbers."""
    ends = np.cumsum(sizes).tolist()
    return [range(end - int(size), end) for end, size in zip(ends, sizes, strict=True)]


def _uniform_with_mean(mean: float, rng: np.random.Generator) -> int:
    """A whole number from 1 to 2 * mean - 1, all equally likely."""
    return int(rng.integers(1, max(1, round(2 * mean) - 1) + 1))
