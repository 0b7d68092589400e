"""Tiny problems of dependent tasks, and their best schedules by trying all orders of the tasks on all machines."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from random_dags import busy_of, dag_of, machines_of

from clustersim.dag_problem import DagProblem, Floats, problem_of
from clustersim.dag_schedule import Busy, Schedule


class Tiny(NamedTuple):
    """What a search for the best schedule is called with."""

    problem: DagProblem
    release_s: Floats
    busy: Busy
    data_at_s: Floats | None


class Trial:
    """Nodes appended one by one, each as early as it can on its machine."""

    def __init__(self, tiny: Tiny) -> None:
        problem = tiny.problem
        self.tiny = tiny
        self.run_s: list[list[float]] = problem.run_time_s.tolist()
        self.latency_s, self.s_per_byte = problem.latency_s.tolist(), problem.s_per_byte.tolist()
        self.preds = [
            [(int(problem.pred[e]), float(problem.pred_bytes[e])) for e in range(*problem.pred_start[node : node + 2])]
            for node in range(len(problem))
        ]
        self.jobs = problem.job_of.tolist()
        self.machine_of = [-1] * len(problem)
        self.start_s, self.finish_s = [0.0] * len(problem), [0.0] * len(problem)

    def ready(self) -> list[int]:
        return [
            node
            for node, machine in enumerate(self.machine_of)
            if machine < 0 and all(self.machine_of[source] >= 0 for source, _ in self.preds[node])
        ]

    def append(self, node: int, here: int, free_s: float) -> None:
        tiny, run_s = self.tiny, self.run_s[node][here]
        at_s = max(free_s, float(tiny.release_s[self.jobs[node]]))
        if tiny.data_at_s is not None:
            at_s = max(at_s, float(tiny.data_at_s[node, here]))
        for source, data in self.preds[node]:
            there = self.machine_of[source]
            send_s = 0.0 if there == here else self.latency_s[there][here] + data * self.s_per_byte[there][here]
            at_s = max(at_s, self.finish_s[source] + send_s)
        for slot in range(int(tiny.busy.count[here])):
            begin_s, end_s = float(tiny.busy.start_s[here, slot]), float(tiny.busy.finish_s[here, slot])
            if at_s < end_s and begin_s < at_s + run_s:
                at_s = end_s
        self.machine_of[node], self.start_s[node], self.finish_s[node] = here, at_s, at_s + run_s

    def cost_s(self, objective: Literal["makespan", "job_time"]) -> float:
        ends_s = [0.0] * len(self.tiny.release_s)
        for node, machine in enumerate(self.machine_of):
            if machine >= 0:
                ends_s[self.jobs[node]] = max(ends_s[self.jobs[node]], self.finish_s[node])
        return max(ends_s) if objective == "makespan" else sum(ends_s)


def best_s(tiny: Tiny, objective: Literal["makespan", "job_time"]) -> float:
    """The least objective of all schedules in which no node could start earlier on its machine.

    Every node whose predecessors are there is appended on every machine that can run it. More nodes make no schedule
    better, so a branch ends when it is no better than what was found.
    """
    trial, best = Trial(tiny), np.inf

    def extend(left: int, free_s: list[float]) -> None:
        nonlocal best
        for node in trial.ready():
            for here, run_s in enumerate(trial.run_s[node]):
                if run_s == np.inf:
                    continue
                trial.append(node, here, free_s[here])
                cost = trial.cost_s(objective)
                if cost < best and left == 1:
                    best = cost
                elif cost < best:
                    extend(left - 1, [*free_s[:here], trial.finish_s[node], *free_s[here + 1 :]])
                trial.machine_of[node] = -1

    extend(len(tiny.problem), [0.0] * tiny.problem.machines)
    return best


def some_schedule(tiny: Tiny, rng: np.random.Generator) -> Schedule:
    """Nodes in any order on any machines."""
    trial, free_s = Trial(tiny), [0.0] * tiny.problem.machines
    while ready := trial.ready():
        node = int(rng.choice(ready))
        here = int(rng.choice(np.flatnonzero(np.isfinite(tiny.problem.run_time_s[node]))))
        trial.append(node, here, free_s[here])
        free_s[here] = trial.finish_s[node]
    return Schedule(np.array(trial.machine_of), np.array(trial.start_s), np.array(trial.finish_s))


def random_tiny(rng: np.random.Generator, times: Literal["whole", "decimal", "real"]) -> Tiny:
    """One or two jobs of up to five tasks together on two machines, or four tasks on three."""

    def time_s(most: float, size: int | tuple[int, int] | None = None) -> Floats:
        if times == "whole":
            return rng.integers(0, int(most) + 1, size).astype(np.float64)
        if times == "decimal":
            return rng.integers(0, int(most * 10) + 1, size) / 10.0
        return np.asarray(rng.uniform(0, most, size))

    machines = 3 if rng.random() < 0.25 else 2
    tasks = int(rng.integers(1, 7 - machines + 1))
    sizes = [tasks]
    if tasks > 1 and rng.random() < 0.5:
        first = int(rng.integers(1, tasks))
        sizes = [first, tasks - first]
    jobs = []
    for size in sizes:
        run_time_s = time_s(9, (size, machines))
        cannot = rng.random(run_time_s.shape) < 0.15
        cannot[np.arange(size), rng.integers(0, machines, size)] = False
        run_time_s[cannot] = np.inf
        names = rng.permutation(size)
        edges = [
            (int(names[source]), int(names[target]), float(time_s(6)))
            for target in range(size)
            for source in range(target)
            if rng.random() < 0.5
        ]
        jobs.append(dag_of(run_time_s, edges))
    other = 1 - np.eye(machines)
    if rng.random() < 0.5:
        latency_s, s_per_byte = other * float(rng.integers(0, 2)), other
    else:
        latency_s, s_per_byte = other * time_s(3, (machines, machines)), other * rng.integers(0, 3, other.shape)
    release_s = time_s(6, len(sizes)) if rng.random() < 0.4 else np.zeros(len(sizes))
    busy = Busy.nothing(machines)
    if rng.random() < 0.4:
        bounds = [np.cumsum(time_s(5, 2 * int(rng.integers(0, 3)))) for _ in range(machines)]
        busy = busy_of([[(float(a), float(b)) for a, b in some.reshape(-1, 2)] for some in bounds])
    data_at_s = time_s(8, (tasks, machines)) if rng.random() < 0.2 else None
    return Tiny(problem_of(machines_of(latency_s, s_per_byte), jobs), release_s, busy, data_at_s)
