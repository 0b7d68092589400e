"""A local search that gives the exact search for a schedule a good plan to start from.

Simulated annealing over one order of all nodes and a machine for each: a proposal sends a node to another machine,
to another place in the order between its predecessors and its successors, or both. Every node runs behind the ones
before it in the order on its machine, as early as its data allow, so that some order and machines give the best
schedule. The best plan found is returned. Simulated annealing: Kirkpatrick, Gelatt, Vecchi 1983
(doi 10.1126/science.220.4598.671).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from clustersim.baselines.constraint_moves import draw, stream_of
from clustersim.dag_problem import DagProblem, Floats, Ints
from clustersim.dag_schedule import Busy, Schedule

HOTTEST = 1e-2
COLDEST = 1e-5
"""Temperatures, as parts of what the schedule at hand costs."""


class Task(NamedTuple):
    """What timing N nodes on M machines has to know.

    `group`, shape (N,): which completion a node counts for. `tail_s`: how much comes after it at least; see `Reach`.
    """

    run_time_s: Floats
    earliest_s: Floats  # (N, M)
    tail_s: Floats  # (N, M)
    group: Ints
    groups: int
    pred_start: Ints
    pred: Ints
    pred_bytes: Floats
    succ_start: Ints
    succ: Ints
    latency_s: Floats
    s_per_byte: Floats
    busy_start_s: Floats
    busy_finish_s: Floats
    busy_count: Ints


def task_of(problem: DagProblem, earliest_s: Floats, tail_s: Floats, group: Ints, busy: Busy) -> Task:
    return Task(
        problem.run_time_s,
        earliest_s,
        tail_s,
        group,
        int(group.max()) + 1,
        problem.pred_start,
        problem.pred,
        problem.pred_bytes,
        problem.succ_start,
        problem.succ,
        problem.latency_s,
        problem.s_per_byte,
        busy.start_s,
        busy.finish_s,
        busy.count,
    )


def by_time(problem: DagProblem, start: NDArray[np.generic], finish: NDArray[np.generic]) -> Ints:
    """The nodes in the order of their times, predecessors first where nodes have no length."""
    rank = np.empty(len(problem), dtype=np.int64)
    rank[problem.order] = np.arange(len(problem))
    return np.lexsort((rank, finish, start)).astype(np.int64)


def timed(task: Task, order: Ints, machine: Ints) -> Schedule:
    """Every node on its machine behind those before it in the order, as early as possible."""
    start_s, finish_s = np.empty(len(order)), np.empty(len(order))
    _cost(task, order, machine, np.inf, start_s, finish_s, np.empty(task.run_time_s.shape[1]), np.empty(task.groups))
    return Schedule(machine.copy(), start_s, finish_s)


def improved(task: Task, order: Ints, machine: Ints, proposals: int, seed: int) -> Schedule:
    """A schedule whose completions, one per group, add up to at most those of the given order and machines."""
    order, machine = order.copy(), machine.copy()
    _anneal(task, order, machine, proposals, seed)
    return timed(task, order, machine)


@njit(cache=True)
def _cost(  # type: ignore[no-untyped-def]
    task, order, machine, limit, start_s, finish_s, free_s, done_s
):
    """The sum of the completions, or inf as soon as it is bound to exceed the limit."""
    free_s[:] = 0.0
    done_s[:] = 0.0
    total = 0.0
    for node in order:
        here = machine[node]
        at = max(free_s[here], task.earliest_s[node, here])
        for edge in range(task.pred_start[node], task.pred_start[node + 1]):
            source = task.pred[edge]
            arrival = finish_s[source]
            there = machine[source]
            if there != here:
                arrival += task.latency_s[there, here] + task.pred_bytes[edge] * task.s_per_byte[there, here]
            at = max(at, arrival)
        run_s = task.run_time_s[node, here]
        for slot in range(task.busy_count[here]):
            if task.busy_finish_s[here, slot] > at and task.busy_start_s[here, slot] < at + run_s:
                at = task.busy_finish_s[here, slot]
        start_s[node] = at
        finish_s[node] = free_s[here] = at + run_s
        group = task.group[node]
        done = at + run_s + task.tail_s[node, here]
        if done > done_s[group]:
            total += done - done_s[group]
            done_s[group] = done
            if total > limit:
                return np.inf
    return total


@njit(cache=True)
def _anneal(task, order, machine, proposals, seed):  # type: ignore[no-untyped-def]
    nodes, machines = task.run_time_s.shape
    start_s, finish_s = np.empty(nodes), np.empty(nodes)
    free_s, done_s = np.empty(machines), np.empty(task.groups)
    place = np.empty(nodes, dtype=np.int64)
    for index in range(nodes):
        place[order[index]] = index
    now = _cost(task, order, machine, np.inf, start_s, finish_s, free_s, done_s)
    best, best_order, best_machine = now, order.copy(), machine.copy()
    stream = stream_of(seed)
    temperature, cooling = HOTTEST * now, (COLDEST / HOTTEST) ** (1.0 / max(1, proposals))
    scale = 1.0 / np.float64(1 << 31)
    for _ in range(proposals):
        temperature *= cooling
        node = np.int64(draw(stream) % np.uint64(nodes))
        kind = draw(stream) % np.uint64(4)
        old_machine, old_place = machine[node], place[node]
        new_machine, new_place = old_machine, old_place
        if kind < 2:
            new_machine = np.int64(draw(stream) % np.uint64(machines))
            if task.run_time_s[node, new_machine] == np.inf:
                continue
        if kind > 0:
            low, high = 0, nodes - 1
            for edge in range(task.pred_start[node], task.pred_start[node + 1]):
                low = max(low, place[task.pred[edge]] + 1)
            for edge in range(task.succ_start[node], task.succ_start[node + 1]):
                high = min(high, place[task.succ[edge]] - 1)
            new_place = low + np.int64(draw(stream) % np.uint64(high - low + 1))
        if new_machine == old_machine and new_place == old_place:
            continue
        machine[node] = new_machine
        _shift(order, place, old_place, new_place)
        limit = now - temperature * np.log((draw(stream) + 1.0) * scale)
        then = _cost(task, order, machine, limit, start_s, finish_s, free_s, done_s)
        if then <= limit:
            now = then
            if now < best:
                best = now
                best_order[:] = order
                best_machine[:] = machine
        else:
            machine[node] = old_machine
            _shift(order, place, new_place, old_place)
    order[:] = best_order
    machine[:] = best_machine


@njit(cache=True)
def _shift(order, place, old, new):  # type: ignore[no-untyped-def]
    """Take the node at one place of the order to another."""
    node = order[old]
    step = 1 if new > old else -1
    while old != new:
        order[old] = order[old + step]
        place[order[old]] = old
        old += step
    order[new] = node
    place[node] = new
