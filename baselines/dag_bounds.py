"""What no schedule of dependent tasks can undercut, found without a solver.

Two kinds of bounds. Along paths: when a node can start and how much comes after it, with the time that data take; where
a node has several predecessors, those whose data would come too late from elsewhere have run on its own machine, one
after the other (the idea of Papadimitriou and Yannakakis 1990, doi 10.1137/0219021, for machines that differ). By area:
work that has to be done between two times, with every second of machine m priced at a weight w_m, the weights adding
up to 1; any weights give a bound, a subgradient search looks for good ones (linear-programming duality).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from clustersim.dag_problem import DagProblem, Floats, Ints
from clustersim.dag_schedule import Busy

WEIGHT_STEPS = 400
STEP = 0.3
"""Length and first step of the search for weights. On workflows of 20 to 320 tasks with 4 or 8 machines, and where
machines cannot run all, it ends 0.02 % below what linear programming finds on average, and 0.5 % at most."""

WINDOWS = 64
"""How many different tails the area bound looks at."""


@dataclass(frozen=True, slots=True, eq=False)
class Reach:
    """How far from the two ends of its job a node is at least; all (N, M), by the machine that runs it.

    `head_s`: the earliest start. `length_s`: the run time. `tail_s`: from the node's end to the end of its job.
    All are inf where it cannot run. Where tasks have several instances or a warm-up the shape is (N, 2): all
    machines together then work on a task, each at the pace of the fastest, at once on others too, and no data travel.
    """

    head_s: Floats
    length_s: Floats
    tail_s: Floats


def earliest_s_of(problem: DagProblem, release_s: Floats, data_at_s: Floats | None = None) -> Floats:
    """What starts wait for apart from predecessors, (N, M): the release of the job, and data from outside the problem.

    `data_at_s`, shape (N, M): when the latter are at each machine.
    """
    earliest_s = np.repeat(release_s[problem.job_of][:, None], problem.machines, axis=1).astype(np.float64)
    return earliest_s if data_at_s is None else np.maximum(earliest_s, data_at_s)


def reach_of(problem: DagProblem, earliest_s: Floats, busy: Busy) -> Reach:
    """Heads and tails of all nodes."""
    # Copies, so that both directions have arrays of one kind and the kernel is compiled once.
    length_s, links = np.array(problem.run_time_s), (np.array(problem.latency_s), np.array(problem.s_per_byte))
    if problem.instances.max() > 1 or problem.warm_up_s.any():
        rounds = -(-problem.instances // problem.machines)
        together_s = problem.warm_up_s + rounds * problem.run_time_s.min(axis=1)
        length_s = np.repeat(together_s[:, None], 2, axis=1)
        earliest_s = np.repeat(earliest_s.min(axis=1, keepdims=True), 2, axis=1)
        links, busy = (np.zeros((2, 2)), np.zeros((2, 2))), Busy.nothing(2)
    back = np.array(links[0].T, order="C"), np.array(links[1].T, order="C")
    free, at_once = Busy.nothing(length_s.shape[1]), np.zeros_like(earliest_s)
    before = problem.pred_start, problem.pred, problem.pred_bytes
    after = problem.succ_start, problem.succ, problem.succ_bytes
    ahead, reverse = np.array(problem.order), np.array(problem.order[::-1], order="C")
    head_s = _distances(ahead, *before, length_s, *links, earliest_s, busy.start_s, busy.finish_s, busy.count)
    tail_s = _distances(reverse, *after, length_s, *back, at_once, free.start_s, free.finish_s, free.count)
    return Reach(head_s, length_s, tail_s)


def job_bounds_s(problem: DagProblem, reach: Reach) -> Floats:
    """Seconds before which each job cannot end, shape (J,): its critical path, data included."""
    through_s = (reach.head_s + reach.length_s + reach.tail_s).min(axis=1)
    return np.maximum.reduceat(through_s, problem.first_node[:-1])


def area_bound_s(problem: DagProblem, reach: Reach, busy: Busy, at_least_s: float = 0.0) -> float:
    """Seconds before which the last node cannot end, because the machines have too much to do.

    `at_least_s`: a bound that is known already; reservations that end before it count as work.
    """
    machines = problem.machines
    machine, slot = np.nonzero(
        (np.arange(busy.finish_s.shape[1]) < busy.count[:, None]) & (busy.finish_s <= at_least_s)
    )
    begin_s, end_s = busy.start_s[machine, slot], busy.finish_s[machine, slot]
    reserved_s = np.full((len(machine), machines), np.inf)
    reserved_s[np.arange(len(machine)), machine] = end_s - begin_s
    work_s = np.concatenate((_work_s(problem), reserved_s))
    head_s = np.concatenate((reach.head_s.min(axis=1), begin_s))
    tail_s = np.concatenate((reach.tail_s.min(axis=1), at_least_s - end_s))
    tails = np.unique(tail_s)
    if len(tails) > WINDOWS:
        tails = tails[np.linspace(0, len(tails) - 1, WINDOWS).astype(np.int64)]
    late_first = np.argsort(-head_s, kind="stable")
    even = np.full(machines, 1.0 / machines)
    by_speed = _by_speed(problem.run_time_s)
    return max(
        float(_densest_s(_priced(work_s, weight), head_s, tail_s, late_first, tails))
        for weight in (even, by_speed, _dearest(work_s, by_speed, WEIGHT_STEPS))
    )


def makespan_bound_s(problem: DagProblem, release_s: Floats, busy: Busy, data_at_s: Floats | None = None) -> float:
    """Seconds before which no schedule ends all nodes: the best of paths and area."""
    reach = reach_of(problem, earliest_s_of(problem, release_s, data_at_s), busy)
    path_s = float(job_bounds_s(problem, reach).max())
    return max(path_s, area_bound_s(problem, reach, busy, path_s))


def job_time_bound_s(problem: DagProblem, reach: Reach) -> float:
    """What the ends of all jobs add up to at least: the k-th to end has to wait for the work of the k smallest."""
    path_s, all_work_s = np.sort(job_bounds_s(problem, reach)), _work_s(problem)
    by_speed = _by_speed(problem.run_time_s)
    best_s = float(path_s.sum())
    for weight in (by_speed, _dearest(all_work_s, by_speed, WEIGHT_STEPS)):
        work_s = np.add.reduceat(_priced(all_work_s, weight), problem.first_node[:-1])
        done_s = reach.head_s.min() + np.cumsum(np.sort(work_s))
        best_s = max(best_s, float(np.maximum(path_s, done_s).sum()))
    return best_s


def prices(problem: DagProblem) -> Floats:
    """What each node costs on each machine at the weights found, shape (N, M); inf where it cannot run."""
    work_s = _work_s(problem)
    weight = _dearest(work_s, _by_speed(problem.run_time_s), WEIGHT_STEPS)
    return np.where(np.isfinite(work_s), weight * np.where(np.isfinite(work_s), work_s, 0.0), np.inf)


def _work_s(problem: DagProblem) -> Floats:
    """Seconds that each machine would need for all of a node, shape (N, M); some instance is the first somewhere."""
    return problem.instances[:, None] * problem.run_time_s + problem.warm_up_s[:, None]


def _by_speed(run_time_s: Floats) -> Floats:
    """Weights in proportion to how fast machines are: the best ones where they differ by a factor only."""
    can_run = np.isfinite(run_time_s)
    total_s, nodes = np.where(can_run, run_time_s, 0.0).sum(axis=0), can_run.sum(axis=0)
    speed = np.where(total_s > 0, nodes / np.where(total_s > 0, total_s, 1.0), 0.0)
    return speed / speed.sum() if speed.any() else np.full(len(speed), 1.0 / len(speed))


@njit(cache=True)
def _distances(
    order: Ints,
    start: Ints,
    before: Ints,
    data_bytes: Floats,
    run_time_s: Floats,
    latency_s: Floats,
    s_per_byte: Floats,
    earliest_s: Floats,
    busy_start_s: Floats,
    busy_finish_s: Floats,
    busy_count: Ints,
) -> Floats:
    """The earliest start of each node on each machine, or its tail if `before` are the successors and links go back."""
    nodes, machines = run_time_s.shape
    distance = np.full((nodes, machines), np.inf)
    most = 0
    for node in range(nodes):
        most = max(most, start[node + 1] - start[node])
    elsewhere = np.empty(most)
    for node in order:
        first, count = start[node], start[node + 1] - start[node]
        for machine in range(machines):
            run_s = run_time_s[node, machine]
            if run_s == np.inf:
                continue
            for index in range(count):
                other, data = before[first + index], data_bytes[first + index]
                soonest = np.inf
                for source in range(machines):
                    if source != machine:
                        send_s = latency_s[source, machine] + data * s_per_byte[source, machine]
                        soonest = min(soonest, distance[other, source] + run_time_s[other, source] + send_s)
                elsewhere[index] = soonest
            ready_s = max(
                earliest_s[node, machine],
                _joined(before[first : first + count], elsewhere[:count], distance, run_time_s, machine),
            )
            for slot in range(busy_count[machine]):
                if busy_finish_s[machine, slot] > ready_s and busy_start_s[machine, slot] < ready_s + run_s:
                    ready_s = busy_finish_s[machine, slot]
            distance[node, machine] = ready_s
    return distance


@njit(cache=True)
def _joined(others: Ints, elsewhere: Floats, distance: Floats, run_time_s: Floats, machine: int) -> float:
    """When the data of all `others` can be on the machine: some have run there one by one, the rest `elsewhere`.

    Keeping the k that would come latest from elsewhere is never worse than keeping k others.
    """
    latest_first = np.argsort(-elsewhere)
    best = elsewhere[latest_first[0]] if len(others) else 0.0
    kept = np.empty(len(others), dtype=np.int64)
    for count in range(len(others)):
        place, node = count, others[latest_first[count]]
        while place > 0 and distance[kept[place - 1], machine] > distance[node, machine]:
            kept[place] = kept[place - 1]
            place -= 1
        kept[place] = node
        done = 0.0
        for index in range(count + 1):
            done = max(done, distance[kept[index], machine]) + run_time_s[kept[index], machine]
        if done >= best:
            break
        best = max(done, elsewhere[latest_first[count + 1]] if count + 1 < len(others) else 0.0)
    return best


@njit(cache=True)
def _priced(work_s: Floats, weight: Floats) -> Floats:
    """What each row of work costs on the machine where it is cheapest."""
    rows, machines = work_s.shape
    price = np.empty(rows)
    for row in range(rows):
        price[row] = np.inf
        for machine in range(machines):
            if work_s[row, machine] < np.inf:
                price[row] = min(price[row], weight[machine] * work_s[row, machine])
    return price


@njit(cache=True)
def _dearest(work_s: Floats, weight: Floats, steps: int) -> Floats:
    """The weights found under which all the work together costs most."""
    rows, machines = work_s.shape
    weight, best, dearest = weight.copy(), weight.copy(), 0.0
    for step in range(steps):
        load, total = np.zeros(machines), 0.0
        for row in range(rows):
            cheapest = -1
            for machine in range(machines):
                if work_s[row, machine] < np.inf and (
                    cheapest < 0 or weight[machine] * work_s[row, machine] < weight[cheapest] * work_s[row, cheapest]
                ):
                    cheapest = machine
            load[cheapest] += work_s[row, cheapest]
            total += weight[cheapest] * work_s[row, cheapest]
        if total > dearest:
            dearest, best = total, weight.copy()
        if total <= 0:
            break
        # A machine that would be busier than the bound has to become dearer.
        weight *= np.exp(STEP * np.minimum(load / total - 1.0, 3.0) / np.sqrt(step + 1.0))
        weight /= weight.sum()
    return best


@njit(cache=True)
def _densest_s(price: Floats, head_s: Floats, tail_s: Floats, late_first: Ints, tails: Floats) -> float:
    """The longest of: the earliest head among some work, all of that work, and the shortest tail among it."""
    best = 0.0
    for tail in tails:
        work = 0.0
        for row in late_first:
            if tail_s[row] >= tail:
                work += price[row]
                best = max(best, head_s[row] + work + tail)
    return best
