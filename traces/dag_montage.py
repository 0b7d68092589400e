"""Generated jobs in the shape of Montage, the workflow that stitches images of the sky together.

As in the recorded workflows of WfInstances there are three mosaics (one per colour band) side by side. Each has a grid
of images: `mProject` for each of them, `mDiffFit` for each two that overlap, one `mConcatFit` and one `mBgModel` behind
these, `mBackground` for each image (behind its `mProject` and the model), `mImgtbl` and `mAdd` behind those, and
`mViewer` for each band and one for all three.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from clustersim.dags import Dag
from clustersim.traces.dag_random import Edges, Floats, Size, bytes_for

BANDS = 3

MEAN_S = {
    "mProject": 16.3,
    "mDiffFit": 0.17,
    "mConcatFit": 0.72,
    "mBgModel": 3.9,
    "mBackground": 0.42,
    "mImgtbl": 0.63,
    "mAdd": 0.33,
    "mViewer": 0.34,
}
"""Seconds: the means of montage-chameleon-2mass-015d-001 of WfInstances (310 tasks)."""

WEIGHT = {
    ("mProject", "mDiffFit"): 8.3,
    ("mProject", "mBackground"): 8.3,
    ("mBackground", "mImgtbl"): 4.15,
    ("mBackground", "mAdd"): 8.3,
    ("mAdd", "mViewer"): 2.34,
}
"""MB of an edge in the same workflow; less than 0.05 between the others."""

LITTLE = 0.005
"""MB of the edges that carry tables only."""


@dataclass(frozen=True)
class Montage:
    """The largest grid of images (rows and columns differ by one at most) that needs no more tasks than `size` says.

    So a job may have fewer tasks than asked for, and at least 31. Run times are the mean of their kind times a factor
    that is uniform on [0.5, 1.5]. `size.ccr` scales the data of all edges together.
    """

    size: Size = field(default_factory=Size)

    def __call__(self, name: str, rng: np.random.Generator, slowness: Floats, bytes_per_s: float) -> Dag:
        kinds, edges = montage_graph(self.size.draw(rng))
        mean_s = np.array([MEAN_S[kind] for kind in kinds])
        run_time_s = (mean_s * rng.uniform(0.5, 1.5, size=len(kinds)))[:, None] * slowness
        weight = np.array([WEIGHT.get((kinds[source], kinds[target]), LITTLE) for source, target in edges])
        data_bytes = bytes_for(self.size.ccr, weight, run_time_s, bytes_per_s)
        tasks = tuple(f"{kind}-{index}" for index, kind in enumerate(kinds))
        return Dag(name, tasks, run_time_s, np.array(edges, dtype=np.int64), data_bytes)


def montage_graph(most_tasks: int) -> tuple[list[str], Edges]:
    """The kind of each task, and the edges by task index."""
    rows, columns = 1, 2
    while True:
        wider = (rows, columns + 1) if columns <= rows else (rows + 1, columns)
        if _tasks(*wider) > most_tasks:
            break
        rows, columns = wider
    kinds: list[str] = []
    edges: Edges = []

    def add(kind: str, *parents: int) -> int:
        kinds.append(kind)
        edges.extend((parent, len(kinds) - 1) for parent in parents)
        return len(kinds) - 1

    added = [_add_band(add, rows, columns) for _ in range(BANDS)]
    for mosaic in added:
        add("mViewer", mosaic)
    add("mViewer", *added)
    return kinds, edges


def _add_band(add: Callable[..., int], rows: int, columns: int) -> int:
    """Adds the tasks of one band and returns its `mAdd`."""
    projected = [add("mProject") for _ in range(rows * columns)]
    fits = [add("mDiffFit", projected[one], projected[other]) for one, other in _overlaps(rows, columns)]
    model = add("mBgModel", add("mConcatFit", *fits))
    corrected = [add("mBackground", image, model) for image in projected]
    return add("mAdd", add("mImgtbl", *corrected), *corrected)


def _overlaps(rows: int, columns: int) -> list[tuple[int, int]]:
    """Pairs of images that touch, corners included."""
    spots = [(row, column) for row in range(rows) for column in range(columns)]
    return [
        (one, other)
        for one, (row, column) in enumerate(spots)
        for other, (below, beside) in enumerate(spots[one + 1 :], start=one + 1)
        if below - row <= 1 and abs(beside - column) <= 1
    ]


def _tasks(rows: int, columns: int) -> int:
    images = rows * columns
    return BANDS * (2 * images + len(_overlaps(rows, columns)) + 5) + 1
