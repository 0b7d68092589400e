"""List scheduling with insertion: tasks in a given order, each into the idle gap where it ends first.

What HEFT and its family share (Topcuoglu, Hariri, Wu 2002, doi 10.1109/71.993206, section 4.3). Only idle gaps are
kept, not what lies between them, and they are searched only on machines that could still beat the best place known:
insertion costs little more than appending.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import NamedTuple

import numpy as np
from numba import njit

from clustersim.baselines.idle_gaps import Gaps, find_gap, open_gaps, reserve
from clustersim.dag_problem import DagProblem, Floats, Ints
from clustersim.dag_schedule import Busy, Schedule

TIE = 1e-9
"""Two values count as equal when they differ by less than this part of the larger: rounding must not decide."""


class Tasks(NamedTuple):
    """What placing N nodes on M machines has to know; as in DagProblem, with the release of each node."""

    run_time_s: Floats
    release_s: Floats  # (N,)
    pred_start: Ints
    pred: Ints
    pred_bytes: Floats
    latency_s: Floats
    s_per_byte: Floats


class Placed(NamedTuple):
    """The nodes that have a place already, by node; the machine of the others is -1."""

    machine: Ints
    start_s: Floats
    finish_s: Floats


class Places(NamedTuple):
    """The best place of one node on each of M machines: the gap or -1, the start, and the end plus what is ahead."""

    slot: Ints
    start_s: Floats
    score_s: Floats


def in_order(problem: DagProblem, priority: Floats) -> Ints:
    """The nodes by descending priority (ties: lowest node), but each after all its predecessors, shape (N,).

    It is the order in which a list of the ready nodes is worked off, where a node is ready once its predecessors are
    planned.
    """
    count = len(problem)
    descending = np.argsort(-priority)
    order = np.sort(_levels(priority[descending]) * count + descending) % count
    # Ranks fall along the edges, but rounding, the tolerance and tasks of no length can leave a successor level.
    return _after_predecessors(order, problem.pred_start, problem.pred, problem.succ_start, problem.succ)


def place_in_order(
    problem: DagProblem,
    order: Ints,
    release_s: Floats,
    busy: Busy,
    *,
    insertion: bool = True,
    run_time_s: Floats | None = None,
    ahead_s: Floats | None = None,
) -> Schedule:
    """Each node on the machine where it ends first; ties go to the lowest machine.

    `insertion`: into the first idle gap that is long enough, not only behind everything planned so far.
    `run_time_s`, shape (N, M): instead of the problem's, as with inf for machines that are ruled out.
    `ahead_s`, shape (N, M): what is added to the end when machines are compared.
    """
    tasks = tasks_of(problem, release_s)
    if run_time_s is not None:
        tasks = tasks._replace(run_time_s=run_time_s)
    gaps = open_gaps(tasks.run_time_s, release_s, busy)
    return Schedule(*_place_in_order(order, tasks, np.zeros((0, 0)) if ahead_s is None else ahead_s, gaps, insertion))


def tasks_of(problem: DagProblem, release_s: Floats) -> Tasks:
    """The nodes of a problem whose jobs are released at these times, shape (J,)."""
    return Tasks(
        problem.run_time_s,
        release_s[problem.job_of],
        problem.pred_start,
        problem.pred,
        problem.pred_bytes,
        problem.latency_s,
        problem.s_per_byte,
    )


@njit(cache=True)
def none_placed(nodes: int) -> Placed:
    return Placed(np.full(nodes, -1), np.zeros(nodes), np.zeros(nodes))


@njit(cache=True)
def empty_places(machines: int) -> Places:
    """Scratch space, so that no decision allocates."""
    return Places(np.zeros(machines, dtype=np.int64), np.zeros(machines), np.zeros(machines))


@njit(cache=True)
def when_ready(tasks: Tasks, placed: Placed, node: int, ready_s: Floats) -> None:
    """Writes when each machine has the data of those predecessors of a node that have a place, shape (M,)."""
    ready_s[:] = tasks.release_s[node]
    for edge in range(tasks.pred_start[node], tasks.pred_start[node + 1]):
        source = tasks.pred[edge]
        if placed.machine[source] >= 0:
            receive(tasks, ready_s, placed.machine[source], placed.finish_s[source], tasks.pred_bytes[edge])


@njit(cache=True)
def receive(tasks: Tasks, ready_s: Floats, machine: int, finish_s: float, data_bytes: float) -> None:
    """Raises `ready_s` to when each machine has what a machine sends at `finish_s`."""
    latency_s, s_per_byte = tasks.latency_s[machine], tasks.s_per_byte[machine]
    for target in range(len(ready_s)):
        arrival_s = finish_s + (latency_s[target] + data_bytes * s_per_byte[target])
        ready_s[target] = arrival_s if arrival_s > ready_s[target] else ready_s[target]


@njit(cache=True)
def best_machine(
    gaps: Gaps, ready_s: Floats, run_time_s: Floats, ahead_s: Floats, release_s: float, insertion: bool, places: Places
) -> int:
    """Where a node of these run times, shape (M,), ends first, with `ahead_s` (M, or empty) on top; ties: lowest.

    Writes the places on all machines; where a machine cannot be the best one, a later place than the first may stand.
    """
    machines = len(ready_s)
    slot_of, start_s, score_s = places
    for m in range(machines):
        start_s[m] = ready_s[m] if ready_s[m] > gaps.last_s[m] else gaps.last_s[m]
        score_s[m] = start_s[m] + run_time_s[m]
        slot_of[m] = -1
    for m in range(len(ahead_s)):
        score_s[m] += ahead_s[m]
    best_s = np.inf
    for m in range(machines):
        best_s = min(best_s, score_s[m])
    if insertion:
        for m in range(machines):
            ahead = ahead_s[m] if len(ahead_s) else 0.0
            slot = find_gap(gaps, m, ready_s[m], run_time_s[m], best_s + TIE * (best_s - release_s), ahead)
            if slot >= 0:
                slot_of[m] = slot
                start_s[m] = max(ready_s[m], gaps.start_s[m, slot])
                score_s[m] = start_s[m] + run_time_s[m] + ahead
                best_s = min(best_s, score_s[m])
    latest_s = best_s + TIE * (best_s - release_s)
    chosen = 0
    while not score_s[chosen] <= latest_s:
        chosen += 1
    return chosen


@njit(cache=True)
def _place_in_order(order: Ints, tasks: Tasks, ahead_s: Floats, gaps: Gaps, insertion: bool) -> Placed:
    nodes, machines = tasks.run_time_s.shape
    placed, places, ready_s = none_placed(nodes), empty_places(machines), np.zeros(machines)
    for node in order:
        when_ready(tasks, placed, node, ready_s)
        run_time_s, release_s = tasks.run_time_s[node], tasks.release_s[node]
        ahead = ahead_s[node] if len(ahead_s) else ready_s[:0]
        machine = best_machine(gaps, ready_s, run_time_s, ahead, release_s, insertion, places)
        start_s, finish_s = places.start_s[machine], places.start_s[machine] + run_time_s[machine]
        placed.machine[node], placed.start_s[node], placed.finish_s[node] = machine, start_s, finish_s
        gaps = reserve(gaps, machine, places.slot[machine], start_s, finish_s)
    return placed


@njit(cache=True)
def _levels(descending: Floats) -> Ints:
    """0 for all values that count as equal to the first, 1 for the next ones, and so on."""
    level = np.zeros(len(descending), dtype=np.int64)
    first = descending[0]
    for index in range(1, len(descending)):
        level[index] = level[index - 1]
        if descending[index] < first - TIE * abs(first):
            level[index] += 1
            first = descending[index]
    return level


@njit(cache=True)
def _after_predecessors(order: Ints, pred_start: Ints, pred: Ints, succ_start: Ints, succ: Ints) -> Ints:
    """Again and again the first of the order whose predecessors are all taken."""
    place = np.empty_like(order)
    for index in range(len(order)):
        place[order[index]] = index
    in_order = True
    for node in range(len(order)):
        for edge in range(pred_start[node], pred_start[node + 1]):
            in_order &= place[pred[edge]] < place[node]
    if in_order:
        return order
    missing = pred_start[1:] - pred_start[:-1]
    ready = [place[node] for node in order if missing[node] == 0]
    taken = np.empty_like(order)
    for index in range(len(order)):
        node = order[heappop(ready)]
        taken[index] = node
        for edge in range(succ_start[node], succ_start[node + 1]):
            target = succ[edge]
            missing[target] -= 1
            if missing[target] == 0:
                heappush(ready, place[target])
    return taken
