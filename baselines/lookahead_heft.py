"""Lookahead HEFT: each task on the machine from which the last of its successors ends first.

The order is that of HEFT. For each machine the task is put there on trial, and its successors are planned behind it as
HEFT would: by rank, with the data of those predecessors that have a place already. The machine where the latest of them
ends first is taken (ties: where the task itself ends first, then the lowest); a last task goes where it ends first.
Source: Bittencourt, Sakellariou, Madeira 2010 (doi 10.1109/PDP.2010.56), the first of their variants.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from clustersim.baselines.heft import upward_rank
from clustersim.baselines.heft_kernel import (
    TIE,
    Placed,
    Tasks,
    best_machine,
    empty_places,
    in_order,
    none_placed,
    tasks_of,
    when_ready,
)
from clustersim.baselines.idle_gaps import Gaps, find_gap, no_trials, open_gaps, reserve, reserve_on_trial, take_back
from clustersim.dag_problem import DagProblem, Floats, Ints
from clustersim.dag_schedule import Busy, Schedule, check_plannable


def plan_lookahead_heft(problem: DagProblem, release_s: Floats, busy: Busy) -> Schedule:
    """Several jobs are planned together."""
    check_plannable(problem)
    order = in_order(problem, upward_rank(problem))
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    sources = np.repeat(np.arange(len(problem)), np.diff(problem.succ_start))
    by_rank = np.lexsort((rank[problem.succ], sources))
    return Schedule(
        *_place_with_lookahead(
            order,
            tasks_of(problem, release_s),
            problem.succ_start,
            problem.succ[by_rank],
            open_gaps(problem.run_time_s, release_s, busy),
        )
    )


@njit(cache=True)
def _place_with_lookahead(order: Ints, tasks: Tasks, succ_start: Ints, succ: Ints, gaps: Gaps) -> Placed:
    nodes, machines = tasks.run_time_s.shape
    placed, places = none_placed(nodes), empty_places(machines)
    ready_s, child_ready_s, nothing_ahead = np.zeros(machines), np.zeros(machines), np.zeros(0)
    trials = no_trials(1 + np.max(succ_start[1:] - succ_start[:-1]))
    for node in order:
        when_ready(tasks, placed, node, ready_s)
        release_s = tasks.release_s[node]
        children = succ[succ_start[node] : succ_start[node + 1]]
        best, best_slot, best_start_s, best_finish_s, best_last_s = -1, -1, 0.0, np.inf, np.inf
        for machine in range(machines):
            slot = find_gap(gaps, machine, ready_s[machine], tasks.run_time_s[node, machine], np.inf, 0.0)
            start_s = max(ready_s[machine], gaps.last_s[machine] if slot < 0 else gaps.start_s[machine, slot])
            finish_s = start_s + tasks.run_time_s[node, machine]
            tie_s = TIE * (best_last_s - release_s) if best >= 0 else 0.0
            if not np.isfinite(finish_s) or finish_s > best_last_s + tie_s:
                continue
            gaps = reserve_on_trial(gaps, trials, 0, machine, slot, start_s, finish_s)
            placed.machine[node], placed.finish_s[node] = machine, finish_s
            last_s, tried = finish_s, 0
            while tried < len(children) and last_s <= best_last_s + tie_s:
                child = children[tried]
                when_ready(tasks, placed, child, child_ready_s)
                run_time_s = tasks.run_time_s[child]
                there = best_machine(gaps, child_ready_s, run_time_s, nothing_ahead, release_s, True, places)
                child_start_s = places.start_s[there]
                child_finish_s = child_start_s + run_time_s[there]
                tried += 1
                gaps = reserve_on_trial(gaps, trials, tried, there, places.slot[there], child_start_s, child_finish_s)
                placed.machine[child], placed.finish_s[child] = there, child_finish_s
                last_s = max(last_s, child_finish_s)
            for index in range(tried, -1, -1):
                take_back(gaps, trials, index)
            for child in children[:tried]:
                placed.machine[child] = -1
            wins_tie = last_s <= best_last_s + tie_s and finish_s < best_finish_s - tie_s
            if last_s < best_last_s - tie_s or wins_tie:
                best, best_slot, best_start_s = machine, slot, start_s
                best_finish_s, best_last_s = finish_s, last_s
        placed.machine[node], placed.start_s[node], placed.finish_s[node] = best, best_start_s, best_finish_s
        gaps = reserve(gaps, best, best_slot, best_start_s, best_finish_s)
    return placed
