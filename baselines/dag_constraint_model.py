"""The constraint model of a schedule of dependent tasks: which machine runs each node, and when.

A Boolean per node and machine makes an optional interval present; the intervals of a machine must not overlap. A
Boolean per edge and kind of link says that the data have to take a link at least that slow: with one kind, that the two
ends run on different machines. Times are whole numbers of a unit; where they do not come out even, run times, data and
reservations are rounded down, so that rounding down the start of every node of a valid schedule solves the model,
and a bound of the model is one of the problem.
The problem is that of HEFT: Topcuoglu, Hariri, Wu 2002 (doi 10.1109/71.993206).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from ortools.sat.python import cp_model

from clustersim.baselines.dag_bounds import Reach
from clustersim.dag_problem import DagProblem, Floats, Ints
from clustersim.dag_schedule import Busy, Schedule

SLACK = 1e-6
"""What counts as rounding, in units; times of up to LONGEST units are exact to a tenth of it."""

LONGEST = 1e9
"""The latest end in units with which a unit is taken that divides all times."""

ROUNDED = 1e9
"""The latest end in units where no such unit is found."""


@dataclass(frozen=True, slots=True)
class Unit:
    """Seconds per unit of time; `exact` when all times given are whole numbers of it."""

    seconds: float
    exact: bool

    def whole(self, seconds: Floats | float) -> Ints:
        """Units of a time that was given, rounded down; it may be too long to matter and then no multiple."""
        units = np.asarray(seconds) / self.seconds
        return np.floor(units + SLACK if self.exact else units).astype(np.int64)

    def at_least(self, seconds: Floats | float) -> Ints:
        """Units of a lower bound."""
        units = np.asarray(seconds) / self.seconds - SLACK
        return (np.ceil(units) if self.exact else np.floor(units)).astype(np.int64)

    def at_most(self, seconds: Floats | float) -> Ints:
        """Units of an upper bound."""
        return np.floor(np.asarray(seconds) / self.seconds + SLACK).astype(np.int64)


def unit_of(times_s: Floats, latest_s: float) -> Unit:
    """The largest unit that divides all times up to the latest end that matters, with up to seven decimals.

    If there is none, one that makes the latest end ROUNDED units.
    """
    times_s = times_s[times_s <= latest_s * (1 + SLACK)]
    for decimals in range(8):
        units = times_s * 10.0**decimals
        whole = np.rint(units)
        if latest_s * 10.0**decimals <= LONGEST and (np.abs(units - whole) <= SLACK).all():
            common = int(np.gcd.reduce(whole.astype(np.int64), initial=0))
            return Unit(max(1, common) / 10.0**decimals, True)
    return Unit(latest_s / ROUNDED, False)


class Links:
    """How long data take on every kind of link that there is between two different machines, by edge.

    `kind`, shape (M, M): -1 on the diagonal. `send_s`, shape (E, kinds): seconds of the data of each edge, in the order
    of the predecessors.
    """

    def __init__(self, problem: DagProblem) -> None:
        machines = problem.machines
        different = ~np.eye(machines, dtype=np.bool_)
        pairs = np.stack((problem.latency_s[different], problem.s_per_byte[different]), axis=1)
        kinds, kind = np.unique(pairs, axis=0, return_inverse=True)
        self.kind = np.full((machines, machines), -1, dtype=np.int64)
        self.kind[different] = kind.ravel()
        self.send_s = kinds[:, 0] + problem.pred_bytes[:, None] * kinds[:, 1]


def size_of(problem: DagProblem, links: Links) -> int:
    """How large a model gets: intervals, and literals of the clauses on links."""
    pairs = problem.machines * (2 + (problem.machines if links.send_s.shape[1] > 1 else 1))
    return int(np.isfinite(problem.run_time_s).sum()) + 2 * pairs * int((links.send_s > 0).sum())


@dataclass(frozen=True, slots=True, eq=False)
class Goal:
    """What is minimised: the sum of the completions of groups of nodes.

    `group`, shape (N,): 0, 1, ... `least_s`, shape (groups,): lower bounds of the completions, `bound_s`: of their sum.
    """

    group: Ints
    least_s: Floats
    bound_s: float

    def value_s(self, schedule: Schedule) -> float:
        return float(self.completions_s(schedule).sum())

    def completions_s(self, schedule: Schedule) -> Floats:
        """The last end in each group."""
        ends_s = np.full(len(self.least_s), -np.inf)
        np.maximum.at(ends_s, self.group, schedule.finish_s)
        return ends_s

    def latest_s(self, schedule: Schedule) -> Floats:
        """How late each group may end in a schedule no worse than this one: the others end early at best."""
        others_s: Floats = self.least_s.sum() - self.least_s
        return self.value_s(schedule) - others_s


class DagModel:
    """Minimises a goal. The hint has to be valid; nothing worse is looked at."""

    def __init__(
        self, problem: DagProblem, busy: Busy, reach: Reach, goal: Goal, hint: Schedule, links: Links, unit: Unit
    ) -> None:
        self.model = cp_model.CpModel()
        self._hint = hint
        self._on: list[dict[int, cp_model.IntVar]] = []
        self._start: list[cp_model.IntVar] = []
        self._end: list[cp_model.LinearExpr] = []
        latest_s = float(goal.latest_s(hint).max())
        # Longer ones cannot be part of a better schedule, and need not fit into 64 bits.
        run_s, head_s, tail_s, send_s = (
            np.minimum(times_s, 2 * latest_s)
            for times_s in (problem.run_time_s, reach.head_s, reach.tail_s, links.send_s)
        )
        self._run, self._head, self._tail = unit.whole(run_s), unit.at_least(head_s), unit.at_least(tail_s)
        least, ends = unit.at_least(goal.least_s), unit.at_most(goal.completions_s(hint))
        latest = int(unit.at_most(goal.value_s(hint))) - (least.sum() - least)
        self._ends = [self._integer(*bounds) for bounds in zip(least, latest, ends, strict=True)]
        in_time = self._head + self._run + self._tail <= latest[goal.group][:, None]
        start = unit.at_most(hint.start_s)
        for node in range(len(problem)):
            self._add_node(node, np.flatnonzero(in_time[node]).tolist(), self._ends[goal.group[node]], int(start[node]))
        for machine in range(problem.machines):
            self._add_machine(machine, busy, unit, latest_s)
        send = unit.whole(send_s)
        for target in range(len(problem)):
            for edge in range(int(problem.pred_start[target]), int(problem.pred_start[target + 1])):
                self._add_edge(int(problem.pred[edge]), target, send[edge], links.kind)
        if len(self._ends) == 1:
            around = int(self._head[in_time].min() + self._tail[in_time].min())
            self._add_loads(problem.machines, self._ends[0], around)
        else:
            self.model.add(sum(self._ends) >= int(unit.at_least(goal.bound_s)))
        self.model.minimize(sum(self._ends))

    def solution(self, solver: cp_model.CpSolver) -> tuple[Ints, Ints, Ints]:
        """Machine, start and end in units of each node, each (N,)."""
        machine = np.array([next(m for m, present in on.items() if solver.value(present)) for on in self._on])
        start = np.array([solver.value(start) for start in self._start])
        return machine, start, start + self._run[np.arange(len(start)), machine]

    def _integer(self, low: int, high: int, hint: int) -> cp_model.IntVar:
        variable = self.model.new_int_var(int(low), int(high), "")
        self.model.add_hint(variable, int(hint))
        return variable

    def _flag(self, hint: bool) -> cp_model.IntVar:
        variable = self.model.new_bool_var("")
        self.model.add_hint(variable, hint)
        return variable

    def _add_node(self, node: int, machines: list[int], end: cp_model.IntVar, hint: int) -> None:
        head, run, tail = self._head[node].tolist(), self._run[node].tolist(), self._tail[node].tolist()
        first = min(head[machine] for machine in machines)
        latest = int(end.proto.domain[-1])
        start = self._integer(first, max(latest - run[machine] - tail[machine] for machine in machines), hint)
        on = {machine: self._flag(bool(self._hint.machine[node] == machine)) for machine in machines}
        self.model.add_exactly_one(on.values())
        for machine, present in on.items():
            if head[machine] > first:
                self.model.add(start >= head[machine]).only_enforce_if(present)
            self.model.add(start + run[machine] + tail[machine] <= end).only_enforce_if(present)
        self._on.append(on)
        self._start.append(start)
        self._end.append(start + _weighted(on.values(), [run[machine] for machine in on]))

    def _add_machine(self, machine: int, busy: Busy, unit: Unit, latest_s: float) -> None:
        """One node at a time, and none while the machine is reserved."""
        intervals = [
            self.model.new_optional_fixed_size_interval_var(start, int(self._run[node, machine]), on[machine], "")
            for node, (start, on) in enumerate(zip(self._start, self._on, strict=True))
            if machine in on
        ]
        for slot in range(int(busy.count[machine])):
            if busy.start_s[machine, slot] < latest_s:
                begin = int(unit.whole(busy.start_s[machine, slot]))
                end = int(unit.whole(min(busy.finish_s[machine, slot], 2 * latest_s)))
                intervals.append(self.model.new_fixed_size_interval_var(begin, end - begin, ""))
        self.model.add_no_overlap(intervals)

    def _add_edge(self, source: int, target: int, send: Ints, kind: Ints) -> None:
        """The target starts when the data have arrived; `send`: units by kind of link."""
        here, there = self._on[source], self._on[target]
        at_once = int(self._hint.machine[source]), int(self._hint.machine[target])
        hinted = int(send[kind[at_once]]) if at_once[0] != at_once[1] else 0
        takes = np.where(kind >= 0, send[kind] if len(send) else 0, 0)
        levels = np.unique(send[send > 0])
        slow = [self._flag(hinted >= level) for level in levels.tolist()]
        for level, at_least in zip(levels.tolist(), slow, strict=True):
            for machine, present in here.items():
                quick = [on for other, on in there.items() if takes[machine, other] < level]
                self.model.add_bool_or(~present, at_least, *quick)
            for machine, present in there.items():
                quick = [on for other, on in here.items() if takes[other, machine] < level]
                self.model.add_bool_or(~present, at_least, *quick)
        wait = _weighted(slow, np.diff(levels, prepend=0).tolist())
        self.model.add(self._start[target] >= self._end[source] + wait)

    def _add_loads(self, machines: int, end: cp_model.IntVar, around: int) -> None:
        """All that a machine runs lies between the first head of all nodes and the last tail of all."""
        for machine in range(machines):
            nodes = [node for node, on in enumerate(self._on) if machine in on]
            load = _weighted([self._on[node][machine] for node in nodes], self._run[nodes, machine].tolist())
            self.model.add(load + around <= end)


def _weighted(flags: Iterable[cp_model.IntVar], weights: Iterable[int]) -> cp_model.LinearExpr:
    return cp_model.LinearExpr.weighted_sum(list(flags), list(weights))
