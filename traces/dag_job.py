"""A job as a file or a generator gives it: one run time per task, before it meets machines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from clustersim.dags import Dag
from clustersim.errors import ConfigError, TraceError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class RecordedJob:
    """T tasks and E edges; everything but the run times is as in `clustersim.dags.Dag`.

    `run_time_s`, shape (T,): seconds of one instance on the machine of the record. `arrival_s`: when the job came in
    its trace; 0 where the trace does not say. Raises ConfigError for whatever a `Dag` may not be.
    """

    name: str
    tasks: tuple[str, ...]
    run_time_s: Floats
    edges: Ints
    data_bytes: Floats
    instances: Ints = field(default_factory=lambda: np.ones(0, dtype=np.int64))
    warm_up_s: Floats = field(default_factory=lambda: np.zeros(0))
    arrival_s: float = 0.0

    def __post_init__(self) -> None:
        checked = self.on(np.ones(1))
        object.__setattr__(self, "instances", checked.instances)
        object.__setattr__(self, "warm_up_s", checked.warm_up_s)

    def __len__(self) -> int:
        return len(self.tasks)

    @property
    def work_s(self) -> float:
        """Seconds of the record's machine that the job takes: all instances, and one warm-up per task."""
        return float((self.instances * self.run_time_s + self.warm_up_s).sum())

    def on(self, slowness: Floats) -> Dag:
        """The job on machines that take `slowness`, shape (M,), times as long as the one of the record."""
        run_time_s = self.run_time_s[:, None] * slowness
        return Dag(self.name, self.tasks, run_time_s, self.edges, self.data_bytes, self.instances, self.warm_up_s)


def from_parents(
    name: str,
    tasks: Sequence[str],
    parents: Sequence[Sequence[str]],
    run_time_s: Sequence[float],
    wrong: Callable[[int, str], TraceError],
    *,
    data_bytes: Callable[[int, int], float] = lambda parent, child: 0.0,
    instances: Sequence[int] | None = None,
    arrival_s: float = 0.0,
) -> RecordedJob:
    """The job in which task i waits for the tasks named in `parents[i]`.

    `wrong(i, what)` words an error with the place of task i in its file; the tasks of a cycle are named at their first.
    `data_bytes(parent, child)`: what is sent along an edge, by task index.
    """
    index: dict[str, int] = {}
    for task, key in enumerate(tasks):
        if key in index:
            raise wrong(task, f"two tasks are called {key!r}; names have to differ")
        index[key] = task
    edges = []
    for task, of in enumerate(parents):
        for parent in of:
            if parent not in index:
                raise wrong(task, f"task {tasks[task]!r} waits for {parent!r}, which is missing")
            edges.append((index[parent], task))
    try:
        return RecordedJob(
            name,
            tuple(tasks),
            np.array(run_time_s, dtype=np.float64),
            np.array(edges, dtype=np.int64).reshape(-1, 2),
            np.array([data_bytes(parent, child) for parent, child in edges], dtype=np.float64),
            np.array(instances or [1] * len(tasks), dtype=np.int64),
            arrival_s=arrival_s,
        )
    except ConfigError as error:
        raise wrong(0, str(error)) from None
