"""Jobs of dependent tasks, and the machines and links that they run on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from clustersim.errors import ConfigError


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """A clock that a machine can run at."""

    mhz: float
    mv: float


@dataclass(frozen=True, slots=True, eq=False)
class Machines:
    """M machines, each running one task at a time, and the link between every two of them.

    `latency_s` and `s_per_byte` (the inverse of the bandwidth) have the shape (M, M) and are 0 on the diagonal.
    `operating_points` are sorted by clock; run times hold at the highest. A machine without any has a fixed clock.
    """

    names: tuple[str, ...]
    kinds: tuple[str, ...]
    latency_s: NDArray[np.float64]
    s_per_byte: NDArray[np.float64]
    busy_w: NDArray[np.float64]
    idle_w: NDArray[np.float64]
    operating_points: tuple[tuple[OperatingPoint, ...], ...] = ()

    def __post_init__(self) -> None:
        count = len(self.names)
        if count == 0:
            raise ConfigError("there are no machines; give at least one")
        twice = _first_repeated(self.names)
        if twice is not None:
            raise ConfigError(f"two machines are called {twice!r}; names have to differ")
        for name, value, shape in (
            ("kinds", np.empty(len(self.kinds)), (count,)),
            ("latency_s", self.latency_s, (count, count)),
            ("s_per_byte", self.s_per_byte, (count, count)),
            ("busy_w", self.busy_w, (count,)),
            ("idle_w", self.idle_w, (count,)),
        ):
            if value.shape != shape:
                raise ConfigError(f"{name} of {count} machines has the shape {value.shape} instead of {shape}")
        for name in ("latency_s", "s_per_byte"):
            link = getattr(self, name)
            if not (np.isfinite(link) & (link >= 0)).all() or link.diagonal().any():
                raise ConfigError(f"{name} has to be finite, at least 0, and 0 between a machine and itself")
        for name in ("busy_w", "idle_w"):
            power = getattr(self, name)
            odd = np.flatnonzero(~(np.isfinite(power) & (power >= 0)))
            if len(odd):
                raise ConfigError(f"{name} of machine {self.names[odd[0]]!r} is {power[odd[0]]}; it has to be >= 0")
        if self.operating_points and len(self.operating_points) != count:
            raise ConfigError(f"{len(self.operating_points)} lists of operating points were given for {count} machines")

    def __len__(self) -> int:
        return len(self.names)


def uniform_machines(
    count: int, *, latency_s: float = 0.0, bytes_per_s: float = np.inf, busy_w: float = 100.0, idle_w: float = 50.0
) -> Machines:
    """`count` machines m0, m1, ... of one kind with the same link between any two."""
    if not bytes_per_s > 0:
        raise ConfigError(f"bytes_per_s is {bytes_per_s}; it has to be above 0")
    different = 1.0 - np.eye(max(count, 0))
    return Machines(
        tuple(f"m{index}" for index in range(count)),
        ("machine",) * count,
        latency_s * different,
        different / bytes_per_s,
        np.full(count, busy_w),
        np.full(count, idle_w),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Dag:
    """A job of T tasks; a task can start when all its predecessors have ended and their data have arrived.

    `run_time_s`, shape (T, M): seconds of one instance on each machine, inf where it cannot run.
    `edges`, shape (E, 2): predecessor and successor by task index. `data_bytes`, shape (E,): what is sent along.
    `instances`, shape (T,): a task is this many equal parts that may run side by side; it has ended when all have.
    `warm_up_s`, shape (T,): what the first instance of the task on a machine takes longer than those right after it.

    Raises ConfigError for a cycle (which it names), an edge to a missing task or twice the same, a task that no machine
    can run, a negative or missing time, and two tasks of one name.
    """

    name: str
    tasks: tuple[str, ...]
    run_time_s: NDArray[np.float64]
    edges: NDArray[np.int64]
    data_bytes: NDArray[np.float64]
    instances: NDArray[np.int64] = field(default_factory=lambda: np.ones(0, dtype=np.int64))
    warm_up_s: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))

    def __post_init__(self) -> None:
        count = len(self.tasks)
        if len(self.instances) == 0:
            object.__setattr__(self, "instances", np.ones(count, dtype=np.int64))
        if len(self.warm_up_s) == 0:
            object.__setattr__(self, "warm_up_s", np.zeros(count))
        why = _why_no_dag(self)
        if why:
            raise ConfigError(f"job {self.name!r}: {why}")

    def __len__(self) -> int:
        return len(self.tasks)


@dataclass(frozen=True, slots=True, eq=False)
class DagWorkload:
    """Machines and the jobs that arrive at them.

    `arrival_s`, shape (J,): nondecreasing. `switch_s`: what a machine loses before it serves another job than the last.
    """

    name: str
    machines: Machines
    jobs: tuple[Dag, ...]
    arrival_s: NDArray[np.float64]
    switch_s: float = 0.0

    def __post_init__(self) -> None:
        if not self.jobs:
            raise ConfigError(f"workload {self.name!r} has no jobs")
        if self.arrival_s.shape != (len(self.jobs),):
            raise ConfigError(
                f"workload {self.name!r} has {len(self.jobs)} jobs and arrival times of shape {self.arrival_s.shape}"
            )
        if not np.isfinite(self.arrival_s).all() or self.arrival_s[0] < 0 or (np.diff(self.arrival_s) < 0).any():
            raise ConfigError(f"workload {self.name!r}: arrival_s has to be finite, at least 0 and nondecreasing")
        if not 0 <= self.switch_s < np.inf:
            raise ConfigError(f"workload {self.name!r}: switch_s is {self.switch_s}; it has to be at least 0")
        for job in self.jobs:
            if job.run_time_s.shape[1] != len(self.machines):
                raise ConfigError(
                    f"job {job.name!r} has run times for {job.run_time_s.shape[1]} machines, "
                    f"workload {self.name!r} has {len(self.machines)}"
                )


def batch(name: str, machines: Machines, jobs: Sequence[Dag], switch_s: float = 0.0) -> DagWorkload:
    """All jobs at time 0."""
    return DagWorkload(name, machines, tuple(jobs), np.zeros(len(jobs)), switch_s)


def find_cycle(count: int, edges: NDArray[np.int64]) -> list[int]:
    """The nodes of one cycle in their order, starting with the lowest; empty when there is none."""
    successors: list[list[int]] = [[] for _ in range(count)]
    for source, target in edges.tolist():
        successors[source].append(target)
    fresh, open_, closed = 0, 1, 2
    state = [fresh] * count
    for root in range(count):
        if state[root] != fresh:
            continue
        path, branches = [root], [iter(successors[root])]
        state[root] = open_
        while path:
            for child in branches[-1]:
                if state[child] == open_:
                    cycle = path[path.index(child) :]
                    lowest = cycle.index(min(cycle))
                    return cycle[lowest:] + cycle[:lowest]
                if state[child] == fresh:
                    state[child] = open_
                    path.append(child)
                    branches.append(iter(successors[child]))
                    break
            else:
                state[path.pop()] = closed
                branches.pop()
    return []


def _why_no_dag(dag: Dag) -> str:
    count, edges = len(dag.tasks), dag.edges
    if count == 0:
        return "it has no tasks"
    twice = _first_repeated(dag.tasks)
    if twice is not None:
        return f"two tasks are called {twice!r}; names have to differ"
    if dag.run_time_s.ndim != 2 or len(dag.run_time_s) != count:
        return f"run_time_s has the shape {dag.run_time_s.shape} for {count} tasks; it has to be (tasks, machines)"
    if edges.shape != (len(dag.data_bytes), 2):
        return f"edges have the shape {edges.shape} and data_bytes {dag.data_bytes.shape}; give (E, 2) and (E,)"
    if dag.instances.shape != (count,) or dag.warm_up_s.shape != (count,):
        return f"instances and warm_up_s have to have the shape ({count},)"
    for what, broken in (
        ("a run time that is negative or missing", (np.isnan(dag.run_time_s) | (dag.run_time_s < 0)).any(axis=1)),
        ("no machine that can run it", ~np.isfinite(dag.run_time_s).any(axis=1)),
        ("no instances; it needs at least 1", dag.instances < 1),
        ("a warm-up that is negative or missing", ~(np.isfinite(dag.warm_up_s) & (dag.warm_up_s >= 0))),
    ):
        tasks = np.flatnonzero(broken)
        if len(tasks):
            return f"task {dag.tasks[tasks[0]]!r} has {what}"
    outside = np.flatnonzero(((edges < 0) | (edges >= count)).any(axis=1))
    if len(outside):
        return f"edge {tuple(edges[outside[0]].tolist())} leads to a task that is missing; there are {count}"
    pairs = edges[:, 0] * count + edges[:, 1]
    if len(np.unique(pairs)) < len(pairs):
        repeated = _first_repeated(pairs.tolist())
        assert isinstance(repeated, int)
        source, target = divmod(repeated, count)
        return f"the edge from {dag.tasks[source]!r} to {dag.tasks[target]!r} is listed twice"
    odd = np.flatnonzero(~(np.isfinite(dag.data_bytes) & (dag.data_bytes >= 0)))
    if len(odd):
        source, target = edges[odd[0]]
        return (
            f"the data from {dag.tasks[source]!r} to {dag.tasks[target]!r} are {dag.data_bytes[odd[0]]} bytes; "
            "they have to be at least 0"
        )
    cycle = find_cycle(count, edges)
    if cycle:
        return "its tasks wait for each other in a cycle: " + " -> ".join(dag.tasks[t] for t in [*cycle, cycle[0]])
    return ""


def _first_repeated(values: Sequence[object]) -> object | None:
    seen = set()
    for value in values:
        if value in seen:
            return value
        seen.add(value)
    return None
