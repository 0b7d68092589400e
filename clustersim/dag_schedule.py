"""A plan for the tasks of several jobs - a machine and an interval for each - and what makes it a valid one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from clustersim.dag_problem import DagProblem, Floats, Ints, problem_of
from clustersim.dags import Dag, Machines
from clustersim.errors import ConfigError


@dataclass(frozen=True, slots=True, eq=False)
class Schedule:
    """For each of N nodes its machine and when it runs there; all arrays have the shape (N,)."""

    machine: Ints
    start_s: Floats
    finish_s: Floats

    @property
    def makespan_s(self) -> float:
        """When the last node ends, from time 0."""
        return float(self.finish_s.max())


@dataclass(frozen=True, slots=True, eq=False)
class Busy:
    """When the M machines are reserved already.

    Machine m has the intervals `start_s[m, k]` to `finish_s[m, k]`, k below `count[m]`, in the order of time and
    without overlap; the rest of the (M, K) arrays means nothing.
    """

    start_s: Floats
    finish_s: Floats
    count: Ints

    @classmethod
    def nothing(cls, machines: int) -> Busy:
        """All machines are free at all times."""
        return cls(np.zeros((machines, 0)), np.zeros((machines, 0)), np.zeros(machines, dtype=np.int64))


Planner = Callable[[DagProblem, Floats, Busy], Schedule]
"""From a problem, the seconds from which on each of its J jobs may run, and what is reserved, to a plan."""


def check_plannable(problem: DagProblem) -> None:
    """Raises ConfigError where tasks have several instances or a warm-up, which planners do not know."""
    if problem.instances.max() > 1 or problem.warm_up_s.any():
        node = int(np.flatnonzero((problem.instances > 1) | (problem.warm_up_s > 0))[0])
        raise ConfigError(
            f"node {node} has {problem.instances[node]} instances and {problem.warm_up_s[node]} s of warm-up; planners "
            "want one instance and no warm-up: plan expanded(problem)"
        )


def why_invalid(
    problem: DagProblem, schedule: Schedule, release_s: Floats, busy: Busy, tolerance_s: float = 1e-9
) -> str:
    """What is wrong with a schedule, with the nodes and the numbers; "" when it is valid.

    Every node runs for its run time on a machine that can run it, from the release of its job on, after the data of
    its predecessors have arrived, and at no time with another node or a reservation; a node of no length may not lie
    inside another. `tolerance_s` is for times up to a second and grows in proportion beyond.
    """
    count, machines = len(problem), problem.machines
    for name in ("machine", "start_s", "finish_s"):
        if getattr(schedule, name).shape != (count,):
            return f"{name} has the shape {getattr(schedule, name).shape} for {count} nodes"
    machine, start_s, finish_s = schedule.machine, schedule.start_s, schedule.finish_s
    nodes = np.arange(count)
    unset = nodes[~(np.isfinite(start_s) & np.isfinite(finish_s))]
    if len(unset):
        return f"node {unset[0]} runs from {start_s[unset[0]]} to {finish_s[unset[0]]} s; its times have to be finite"
    tolerance_s *= max(1.0, float(np.abs(finish_s).max()))
    outside = nodes[(machine < 0) | (machine >= machines)]
    if len(outside):
        return f"node {outside[0]} runs on machine {machine[outside[0]]}; there are {machines}"
    run_time_s = problem.run_time_s[nodes, machine]
    release = release_s[problem.job_of]
    for broken, why in (
        (~np.isfinite(run_time_s), "machine {machine} cannot run it"),
        (np.abs(finish_s - start_s - run_time_s) > tolerance_s, "it takes {run} s on machine {machine}"),
        (start_s < release - tolerance_s, "its job is released at {release} s"),
    ):
        if broken.any():
            node = int(np.flatnonzero(broken)[0])
            reason = why.format(machine=machine[node], run=run_time_s[node], release=release[node])
            return f"node {node} runs from {start_s[node]} to {finish_s[node]} s, but {reason}"
    target = np.repeat(nodes, np.diff(problem.pred_start))
    link = machine[problem.pred], machine[target]
    send_s = np.where(link[0] == link[1], 0.0, problem.latency_s[link] + problem.pred_bytes * problem.s_per_byte[link])
    arrival_s = finish_s[problem.pred] + send_s
    early = np.flatnonzero(start_s[target] < arrival_s - tolerance_s)
    if len(early):
        node, source = target[early[0]], problem.pred[early[0]]
        return (
            f"node {node} starts at {start_s[node]} s on machine {machine[node]}, but the data of node {source}, which "
            f"ends at {finish_s[source]} s on machine {machine[source]}, arrive at {arrival_s[early[0]]} s"
        )
    return _why_two_at_once(schedule, busy, tolerance_s)


def _why_two_at_once(schedule: Schedule, busy: Busy, tolerance_s: float) -> str:
    """A node that overlaps another or a reservation of its machine."""
    for index in range(len(busy.count)):
        nodes = np.flatnonzero(schedule.machine == index)
        reserved = int(busy.count[index])
        intervals = sorted(
            [
                *zip(schedule.start_s[nodes].tolist(), schedule.finish_s[nodes].tolist(), nodes.tolist(), strict=True),
                *((float(busy.start_s[index, k]), float(busy.finish_s[index, k]), -1) for k in range(reserved)),
            ]
        )
        for place, (start_s, finish_s, node) in enumerate(intervals):
            for later_start_s, later_finish_s, later in intervals[place + 1 :]:
                if later_start_s >= finish_s - tolerance_s:
                    break
                if later_finish_s > start_s + tolerance_s and max(node, later) >= 0:
                    first, second = (f"node {name}" if name >= 0 else "what is reserved" for name in (node, later))
                    return (
                        f"machine {index} runs {first} from {start_s} to {finish_s} s and {second} from "
                        f"{later_start_s} to {later_finish_s} s"
                    )
    return ""


def expanded(problem: DagProblem) -> tuple[DagProblem, Ints]:
    """The problem with one node per instance, and which node each comes from.

    Between two tasks of several instances each lies a barrier, a node of no length that comes from none (-1): so k + l
    edges say what k * l would. An edge's data are split evenly over the instances at each of its ends; through a
    barrier they travel twice. Instances follow each other in the order of their tasks, barriers come last in a job.
    A warm-up is shared by all instances of a task, as if every machine ran equally many: with more instances than
    machines each takes the (machines / instances)-th part of it.
    """
    if problem.instances.max() == 1 and not problem.warm_up_s.any():
        return problem, np.arange(len(problem))
    machines = problem.machines
    same = Machines(
        tuple(str(index) for index in range(machines)),
        ("",) * machines,
        problem.latency_s,
        problem.s_per_byte,
        np.zeros(machines),
        np.zeros(machines),
    )
    jobs, origins = [], []
    for job in range(len(problem.first_node) - 1):
        dag, origin = _expanded_job(problem, int(problem.first_node[job]), int(problem.first_node[job + 1]))
        jobs.append(dag)
        origins.append(origin)
    return problem_of(same, jobs), np.concatenate(origins)


def _expanded_job(problem: DagProblem, begin: int, end: int) -> tuple[Dag, Ints]:
    copies = problem.instances[begin:end]
    first = np.concatenate(([0], np.cumsum(copies))).astype(np.int64)
    share = np.minimum(1.0, problem.machines / copies) * problem.warm_up_s[begin:end]
    run_time_s = [np.repeat(problem.run_time_s[begin:end] + share[:, None], copies, axis=0)]
    edges: list[tuple[int, int, float]] = []
    count = int(first[-1])
    for target in range(end - begin):
        targets = range(int(first[target]), int(first[target + 1]))
        for edge in range(int(problem.pred_start[begin + target]), int(problem.pred_start[begin + target + 1])):
            source, data = int(problem.pred[edge]) - begin, float(problem.pred_bytes[edge])
            sources = range(int(first[source]), int(first[source + 1]))
            if len(sources) > 1 and len(targets) > 1:
                edges += [(node, count, data / len(sources)) for node in sources]
                edges += [(count, node, data / len(targets)) for node in targets]
                run_time_s.append(np.zeros((1, problem.machines)))
                count += 1
            else:
                part = data / (len(sources) * len(targets))
                edges += [(one, other, part) for one in sources for other in targets]
    origin = np.full(count, -1, dtype=np.int64)
    origin[: first[-1]] = np.repeat(np.arange(begin, end), copies)
    dag = Dag(
        str(begin),
        tuple(str(node) for node in range(count)),
        np.concatenate(run_time_s),
        np.array([edge[:2] for edge in edges], dtype=np.int64).reshape(-1, 2),
        np.array([edge[2] for edge in edges], dtype=np.float64),
    )
    return dag, origin
