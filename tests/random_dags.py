"""Small random problems of dependent tasks, with releases and reservations, for property tests."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st

from clustersim.dag_problem import DagProblem, Floats, problem_of
from clustersim.dag_schedule import Busy
from clustersim.dags import Dag, Machines


class Case(NamedTuple):
    """What a planner is called with."""

    problem: DagProblem
    release_s: Floats
    busy: Busy


def machines_of(latency_s: Floats, s_per_byte: Floats) -> Machines:
    count = len(latency_s)
    power = np.ones(count)
    return Machines(tuple(map(str, range(count))), ("",) * count, latency_s, s_per_byte, power, power)


def dag_of(run_time_s: Floats, edges: list[tuple[int, int, float]], name: str = "job") -> Dag:
    return Dag(
        name,
        tuple(map(str, range(len(run_time_s)))),
        np.array(run_time_s, dtype=np.float64),
        np.array([edge[:2] for edge in edges], dtype=np.int64).reshape(-1, 2),
        np.array([edge[2] for edge in edges], dtype=np.float64),
    )


def busy_of(intervals: list[list[tuple[float, float]]]) -> Busy:
    """From the intervals of each machine; what lies beyond the count is rubbish on purpose."""
    most = max(map(len, intervals))
    padded = [[*of_machine, *[(-7.0, 99.0)] * (most - len(of_machine))] for of_machine in intervals]
    table = np.array(padded, dtype=np.float64).reshape(len(intervals), most, 2)
    return Busy(table[..., 0].copy(), table[..., 1].copy(), np.array([len(some) for some in intervals], dtype=np.int64))


# Thirds do not add up in floating point, small integers make ties, and some tasks and data take no time.
TIMES_S = st.sampled_from([0.0, 1 / 3, 2 / 3, 1.0, 1.0, 2.0, 3.0, 5.0])


@st.composite
def cases(draw: st.DrawFn, most_tasks: int = 9, most_machines: int = 4, most_jobs: int = 3) -> Case:
    """Several jobs with any links between machines, machines that cannot run a task, releases and reservations."""
    count = draw(st.integers(1, most_machines))
    jobs = [draw(_dags(count, most_tasks)) for _ in range(draw(st.integers(1, most_jobs)))]
    links = [np.array(draw(_matrices(count)), dtype=np.float64) * (1 - np.eye(count)) for _ in range(2)]
    release_s = np.array(draw(st.lists(TIMES_S, min_size=len(jobs), max_size=len(jobs))))
    busy = busy_of([draw(_intervals()) for _ in range(count)])
    return Case(problem_of(machines_of(*links), jobs), release_s, busy)


def large_case(seed: int, tasks: int, machines: int, jobs: int = 2, last_release_s: float = 20.0) -> Case:
    """Layered jobs of `tasks` tasks with times that are all different, and a few reservations."""
    rng = np.random.default_rng(seed)
    links = [rng.uniform(0, 1, (machines, machines)) * (1 - np.eye(machines)) for _ in range(2)]
    dags = []
    for _ in range(jobs):
        run_time_s = rng.uniform(1, 5, (tasks, 1)) * rng.uniform(0.5, 2, (tasks, machines))
        run_time_s[rng.random(run_time_s.shape) < 0.2] = np.inf
        run_time_s[:, 0] = rng.uniform(1, 10, tasks)
        edges = []
        for target in range(1, tasks):
            sources = np.unique(rng.integers(max(0, target - 30), target, int(rng.integers(0, 5))))
            edges += [(int(source), target, float(rng.uniform(0, 8))) for source in sources]
        dags.append(dag_of(run_time_s, edges))
    starts_s = np.cumsum(rng.uniform(2, 30, (machines, 6)), axis=1)
    busy = Busy(starts_s, starts_s + rng.uniform(0, 2, (machines, 6)), rng.integers(0, 7, machines))
    return Case(problem_of(machines_of(*links), dags), rng.uniform(0, last_release_s, jobs), busy)


@st.composite
def _dags(draw: st.DrawFn, machines: int, most_tasks: int) -> Dag:
    tasks = draw(st.integers(1, most_tasks))
    run_time_s = np.array(draw(st.lists(_rows(machines), min_size=tasks, max_size=tasks)))
    names = draw(st.permutations(range(tasks)))  # so that predecessors need not have the lower index
    edges = [
        (names[source], names[target], draw(TIMES_S))
        for target in range(tasks)
        for source in range(target)
        if draw(st.integers(0, 2)) == 0
    ]
    return dag_of(run_time_s, edges)


@st.composite
def _rows(draw: st.DrawFn, machines: int) -> list[float]:
    row = draw(st.lists(st.one_of(TIMES_S, TIMES_S, st.just(np.inf)), min_size=machines, max_size=machines))
    row[draw(st.integers(0, machines - 1))] = draw(TIMES_S)
    return row


def _matrices(count: int) -> st.SearchStrategy[list[list[float]]]:
    return st.lists(st.lists(TIMES_S, min_size=count, max_size=count), min_size=count, max_size=count)


@st.composite
def _intervals(draw: st.DrawFn) -> list[tuple[float, float]]:
    intervals, now_s = [], 0.0
    for idle_s, busy_s in draw(st.lists(st.tuples(TIMES_S, TIMES_S), max_size=4)):
        intervals.append((now_s + idle_s, now_s + idle_s + busy_s))
        now_s += idle_s + busy_s
    return intervals
