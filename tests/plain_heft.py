"""HEFT and its family in plain Python, straight from the papers: what the fast versions are compared with."""

from __future__ import annotations

from math import inf

import numpy as np

from clustersim.dag_problem import DagProblem, Floats
from clustersim.dag_schedule import Busy, Schedule

TIE = 1e-9


class Plan:
    """Intervals per machine, sorted; nodes are planned one after another."""

    def __init__(self, problem: DagProblem, release_s: Floats, busy: Busy) -> None:
        self.problem = problem
        self.release_s = [float(release_s[job]) for job in problem.job_of]
        self.place: dict[int, tuple[int, float, float]] = {}
        self.intervals = [
            [(float(busy.start_s[m, k]), float(busy.finish_s[m, k])) for k in range(busy.count[m])]
            for m in range(problem.machines)
        ]

    def slot(self, node: int, machine: int, insertion: bool = True) -> tuple[float, float]:
        """The earliest interval of a node on a machine; infinite where it cannot run."""
        problem = self.problem
        ready = self.release_s[node]
        for source, data in predecessors(problem, node):
            if source in self.place:
                at, _, finish = self.place[source]
                send = 0.0 if at == machine else problem.latency_s[at, machine] + data * problem.s_per_byte[at, machine]
                ready = max(ready, finish + send)
        run = float(problem.run_time_s[node, machine])
        free = 0.0
        for start, finish in self.intervals[machine]:
            if insertion and max(ready, free) + run <= start:
                break
            free = max(free, finish)
        return max(ready, free), max(ready, free) + run

    def add(self, node: int, machine: int, interval: tuple[float, float]) -> None:
        self.place[node] = (machine, *interval)
        self.intervals[machine] = sorted([*self.intervals[machine], interval])

    def remove(self, node: int) -> None:
        machine, *interval = self.place.pop(node)
        self.intervals[machine].remove((interval[0], interval[1]))

    def earliest(self, node: int, insertion: bool = True, ahead: Floats | None = None, only: int = -1) -> None:
        """Plans a node where it ends first."""
        slots = [self.slot(node, machine, insertion) for machine in range(self.problem.machines)]
        scores = [slot[1] + (0.0 if ahead is None else float(ahead[m])) for m, slot in enumerate(slots)]
        if only >= 0:
            scores = [score if machine == only else inf for machine, score in enumerate(scores)]
        limit = min(scores) + TIE * (min(scores) - self.release_s[node])
        machine = next(m for m, score in enumerate(scores) if score <= limit)
        self.add(node, machine, slots[machine])

    def schedule(self) -> Schedule:
        machine, start, finish = zip(*(self.place[node] for node in range(len(self.problem))), strict=True)
        return Schedule(np.array(machine), np.array(start), np.array(finish))


def plain_heft(problem: DagProblem, release_s: Floats, busy: Busy, *, insertion: bool = True) -> Schedule:
    plan = Plan(problem, release_s, busy)
    for node in by_priority(problem, upward(problem)):
        plan.earliest(node, insertion)
    return plan.schedule()


def plain_cpop(problem: DagProblem, release_s: Floats, busy: Busy) -> Schedule:
    plan = Plan(problem, release_s, busy)
    up, down = upward(problem), downward(problem)
    machine_of, claimed = {}, [0.0] * problem.machines
    for job, (begin, end) in enumerate(zip(problem.first_node[:-1], problem.first_node[1:], strict=True)):
        ways = [node for node in range(begin, end) if not predecessors(problem, node)]
        length = {node: up[node] for node in ways}
        path: list[int] = []
        while length:
            node = min(node for node in length if length[node] >= max(length.values()) * (1 - TIE))
            path.append(node)
            length = {target: sent(problem, data) + up[target] for target, data in successors(problem, node)}
        run = [float(sum(problem.run_time_s[node, m] for node in sorted(path))) for m in range(problem.machines)]
        waits = []
        for m in range(problem.machines):
            reserved = [(float(busy.start_s[m, k]), float(busy.finish_s[m, k])) for k in range(busy.count[m])]
            from_s = release_s[job]
            waits.append(run[m] + claimed[m] + sum(max(f, from_s) - max(s, from_s) for s, f in reserved))
        if min(waits) < inf:
            best = next(m for m, wait in enumerate(waits) if wait <= min(waits) * (1 + TIE))
            claimed[best] += run[best]
            machine_of.update(dict.fromkeys(path, best))
    for node in by_priority(problem, [a + b for a, b in zip(up, down, strict=True)]):
        plan.earliest(node, only=machine_of.get(node, -1))
    return plan.schedule()


def plain_peft(problem: DagProblem, release_s: Floats, busy: Busy) -> Schedule:
    plan = Plan(problem, release_s, busy)
    cost = np.zeros((len(problem), problem.machines))
    for node in reversed(problem.order.tolist()):
        for m in range(problem.machines):
            for target, data in successors(problem, node):
                ways = [
                    cost[target, w] + problem.run_time_s[target, w] + (0.0 if w == m else sent(problem, data))
                    for w in range(problem.machines)
                ]
                cost[node, m] = max(cost[node, m], min(ways))
    priority = []
    for node in range(len(problem)):
        able = [m for m in range(problem.machines) if problem.run_time_s[node, m] < inf]
        priority.append(float(sum(cost[node, m] for m in able)) / len(able))
    for node in by_priority(problem, priority):
        plan.earliest(node, ahead=cost[node])
    return plan.schedule()


def plain_lookahead(problem: DagProblem, release_s: Floats, busy: Busy) -> Schedule:
    plan = Plan(problem, release_s, busy)
    order = by_priority(problem, upward(problem))
    for node in order:
        children = sorted((target for target, _ in successors(problem, node)), key=order.index)
        best = None
        for machine in range(problem.machines):
            interval = plan.slot(node, machine)
            if interval[1] == inf:
                continue
            plan.add(node, machine, interval)
            for child in children:
                plan.earliest(child)
            last = max([interval[1], *(plan.place[child][2] for child in children)])
            for child in children:
                plan.remove(child)
            plan.remove(node)
            if best is not None:
                tie = TIE * (best[0] - plan.release_s[node])
                if last > best[0] + tie or (last >= best[0] - tie and interval[1] >= best[1][1] - tie):
                    continue
            best = (last, interval, machine)
        assert best is not None
        plan.add(node, best[2], best[1])
    return plan.schedule()


def by_priority(problem: DagProblem, priority: list[float]) -> list[int]:
    """The ready list: the largest first, of equal ones the lowest, each after its predecessors."""
    level, first, level_of = 0, inf, {}
    for node in sorted(range(len(problem)), key=lambda node: -priority[node]):
        if priority[node] < first - TIE * abs(first) or first == inf:
            level, first = level + 1, priority[node]
        level_of[node] = level
    order: list[int] = []
    left = dict.fromkeys(range(len(problem)))
    while left:
        ready = [node for node in left if all(source not in left for source, _ in predecessors(problem, node))]
        order.append(min(ready, key=lambda node: (level_of[node], node)))
        del left[order[-1]]
    return order


def upward(problem: DagProblem) -> list[float]:
    rank: dict[int, float] = {}
    for node in reversed(problem.order.tolist()):
        after = max((sent(problem, data) + rank[target] for target, data in successors(problem, node)), default=0.0)
        rank[node] = mean_run(problem, node) + after
    return [rank[node] for node in range(len(problem))]


def downward(problem: DagProblem) -> list[float]:
    rank: dict[int, float] = {}
    for node in problem.order.tolist():
        ways = [rank[s] + mean_run(problem, s) + sent(problem, data) for s, data in predecessors(problem, node)]
        rank[node] = max(ways, default=0.0)
    return [rank[node] for node in range(len(problem))]


def mean_run(problem: DagProblem, node: int) -> float:
    able = [float(run) for run in problem.run_time_s[node] if run < inf]
    return sum(able) / len(able)


def sent(problem: DagProblem, data: float) -> float:
    """The mean time of data between different machines."""
    pairs = [(a, b) for a in range(problem.machines) for b in range(problem.machines) if a != b]
    if not pairs:
        return 0.0
    latency = sum(float(problem.latency_s[pair]) for pair in pairs) / len(pairs)
    return latency + data * sum(float(problem.s_per_byte[pair]) for pair in pairs) / len(pairs)


def predecessors(problem: DagProblem, node: int) -> list[tuple[int, float]]:
    at = slice(problem.pred_start[node], problem.pred_start[node + 1])
    return list(zip(problem.pred[at].tolist(), problem.pred_bytes[at].tolist(), strict=True))


def successors(problem: DagProblem, node: int) -> list[tuple[int, float]]:
    at = slice(problem.succ_start[node], problem.succ_start[node + 1])
    return list(zip(problem.succ[at].tolist(), problem.succ_bytes[at].tolist(), strict=True))
