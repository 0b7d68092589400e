"""Small random workloads of dependent tasks, and what happened when one was played."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray
from random_dags import TIMES_S, machines_of

from clustersim.dags import Dag, DagWorkload
from clustersim.scenarios.dag_scheduling import END, START, DagSchedulingSimulation


class Runs(NamedTuple):
    """One row for every instance that has ended, in the order of ending."""

    node: NDArray[np.int64]
    machine: NDArray[np.int64]
    start_s: NDArray[np.float64]
    finish_s: NDArray[np.float64]


def runs_of(simulation: DagSchedulingSimulation) -> Runs:
    time_s, kind, subject, place, _ = simulation.log.columns()
    node, machine = subject.astype(np.int64), place.astype(np.int64)
    since_s = np.full(len(simulation.busy_s), np.nan)
    start_s = np.empty_like(time_s)
    for row in range(len(time_s)):
        if kind[row] == START:
            since_s[machine[row]] = time_s[row]
        elif kind[row] == END:
            start_s[row] = since_s[machine[row]]
    ends = kind == END
    return Runs(node[ends], machine[ends], start_s[ends], time_s[ends])


@st.composite
def workloads(draw: st.DrawFn, most_instances: int = 1, most_jobs: int = 3) -> DagWorkload:
    """Jobs that arrive together or apart, on machines of which some cannot run some tasks, with any links."""
    count = draw(st.integers(1, 3))
    links = [np.array(draw(_matrix(count, count))) * (1 - np.eye(count)) for _ in range(2)]
    jobs = tuple(draw(_jobs(count, most_instances)) for _ in range(draw(st.integers(1, most_jobs))))
    arrival_s = np.array(sorted(draw(st.lists(TIMES_S, min_size=len(jobs), max_size=len(jobs)))))
    switch_s = draw(TIMES_S) if most_instances > 1 else 0.0
    return DagWorkload("random", machines_of(*links), jobs, arrival_s, switch_s)


@st.composite
def _jobs(draw: st.DrawFn, machines: int, most_instances: int) -> Dag:
    tasks = draw(st.integers(1, 6))
    run_time_s = np.array(draw(_matrix(tasks, machines)))
    run_time_s[
        np.array(draw(st.lists(st.integers(0, 3), min_size=tasks * machines, max_size=tasks * machines))).reshape(
            tasks, machines
        )
        == 0
    ] = np.inf
    run_time_s[:, draw(st.integers(0, machines - 1))] = draw(TIMES_S)
    names = draw(st.permutations(range(tasks)))
    edges = [
        (names[source], names[target])
        for target in range(tasks)
        for source in range(target)
        if draw(st.integers(0, 2)) == 0
    ]
    numbers = st.lists(st.integers(1, most_instances), min_size=tasks, max_size=tasks)
    times = st.lists(TIMES_S, min_size=tasks, max_size=tasks)
    return Dag(
        "job",
        tuple(map(str, range(tasks))),
        run_time_s,
        np.array(edges, dtype=np.int64).reshape(-1, 2),
        np.array(draw(st.lists(TIMES_S, min_size=len(edges), max_size=len(edges))), dtype=np.float64),
        np.array(draw(numbers), dtype=np.int64),
        np.array(draw(times) if most_instances > 1 else [0.0] * tasks),
    )


def _matrix(rows: int, columns: int) -> st.SearchStrategy[list[list[float]]]:
    return st.lists(st.lists(TIMES_S, min_size=columns, max_size=columns), min_size=rows, max_size=rows)
