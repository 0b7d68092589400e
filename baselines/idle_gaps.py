"""The idle time of machines as sorted gaps: where a task fits between those that are planned already.

Gaps are kept instead of what lies between them, for there are few of them; those that no task fits into are dropped.
This is what the insertion of HEFT searches (Topcuoglu, Hariri, Wu 2002, doi 10.1109/71.993206).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from clustersim.dag_problem import Floats, Ints
from clustersim.dag_schedule import Busy

FIRST_WIDTH = 32


class Gaps(NamedTuple):
    """The idle time of M machines: `used[m]` gaps in the order of time, and all time from `last_s[m]` on."""

    start_s: Floats  # (M, width)
    end_s: Floats  # (M, width)
    used: Ints
    last_s: Floats
    shortest_s: Floats  # no task takes less time on this machine: shorter gaps are not kept


class Trials(NamedTuple):
    """A stack of reservations to be taken back: the machine, the gap, and what there was before."""

    machine: Ints
    slot: Ints
    used: Ints
    start_s: Floats  # of the gap; where the slot is -1, what `last_s` was
    end_s: Floats


def open_gaps(run_time_s: Floats, release_s: Floats, busy: Busy) -> Gaps:
    """The gaps between what is reserved, from the first release on."""
    return _open_gaps(busy.start_s, busy.finish_s, busy.count, float(release_s.min()), run_time_s.min(axis=0))


@njit(cache=True)
def _open_gaps(start_s: Floats, finish_s: Floats, count: Ints, origin_s: float, shortest_s: Floats) -> Gaps:
    machines, most = start_s.shape
    width = FIRST_WIDTH + most
    gaps = Gaps(
        np.empty((machines, width)),
        np.empty((machines, width)),
        np.zeros(machines, dtype=np.int64),
        np.full(machines, origin_s),
        shortest_s,
    )
    for machine in range(machines):
        for index in range(count[machine]):
            if start_s[machine, index] >= gaps.last_s[machine]:
                gaps = reserve(gaps, machine, -1, start_s[machine, index], finish_s[machine, index])
            else:
                gaps.last_s[machine] = max(gaps.last_s[machine], finish_s[machine, index])
    return gaps


@njit(cache=True)
def reserve(gaps: Gaps, machine: int, slot: int, start_s: float, finish_s: float) -> Gaps:
    """Takes an interval out of the gap `slot`, or out of the time after the last gap where `slot` is -1."""
    used = gaps.used[machine]
    if used + 1 >= gaps.start_s.shape[1]:
        gaps = _widened(gaps)
    starts, ends, shortest_s = gaps.start_s[machine], gaps.end_s[machine], gaps.shortest_s[machine]
    if slot < 0:
        if gaps.last_s[machine] + shortest_s <= start_s:
            starts[used], ends[used] = gaps.last_s[machine], start_s
            gaps.used[machine] = used + 1
        gaps.last_s[machine] = finish_s
        return gaps
    before = starts[slot] + shortest_s <= start_s
    after = finish_s + shortest_s <= ends[slot]
    if before and after:
        for index in range(used, slot, -1):
            starts[index], ends[index] = starts[index - 1], ends[index - 1]
        ends[slot], starts[slot + 1] = start_s, finish_s
        gaps.used[machine] = used + 1
    elif before:
        ends[slot] = start_s
    elif after:
        starts[slot] = finish_s
    else:
        for index in range(slot, used - 1):
            starts[index], ends[index] = starts[index + 1], ends[index + 1]
        gaps.used[machine] = used - 1
    return gaps


@njit(cache=True)
def no_trials(most: int) -> Trials:
    """An empty stack of this size."""
    machine, slot, used = np.zeros(most, dtype=np.int64), np.zeros(most, dtype=np.int64), np.zeros(most, dtype=np.int64)
    return Trials(machine, slot, used, np.zeros(most), np.zeros(most))


@njit(cache=True)
def reserve_on_trial(
    gaps: Gaps, trials: Trials, depth: int, machine: int, slot: int, start_s: float, finish_s: float
) -> Gaps:
    """Like `reserve`, and notes at `depth` of the stack how to take it back."""
    trials.machine[depth], trials.slot[depth], trials.used[depth] = machine, slot, gaps.used[machine]
    if slot < 0:
        trials.start_s[depth] = gaps.last_s[machine]
    else:
        trials.start_s[depth], trials.end_s[depth] = gaps.start_s[machine, slot], gaps.end_s[machine, slot]
    return reserve(gaps, machine, slot, start_s, finish_s)


@njit(cache=True)
def take_back(gaps: Gaps, trials: Trials, depth: int) -> None:
    """Takes back the reservation at the top of the stack; with others in between gaps would get lost."""
    machine, slot, used = trials.machine[depth], trials.slot[depth], trials.used[depth]
    starts, ends, now = gaps.start_s[machine], gaps.end_s[machine], gaps.used[machine]
    gaps.used[machine] = used
    if slot < 0:
        gaps.last_s[machine] = trials.start_s[depth]
        return
    if now > used:
        for index in range(slot + 1, used):
            starts[index], ends[index] = starts[index + 1], ends[index + 1]
    elif now < used:
        for index in range(now, slot, -1):
            starts[index], ends[index] = starts[index - 1], ends[index - 1]
    starts[slot], ends[slot] = trials.start_s[depth], trials.end_s[depth]


@njit(cache=True)
def find_gap(gaps: Gaps, machine: int, ready_s: float, run_time_s: float, latest_s: float, ahead_s: float) -> int:
    """The first gap that a task fits into and ends in by `latest_s` with `ahead_s` on top; -1 when there is none."""
    used = gaps.used[machine]
    starts, ends = gaps.start_s[machine], gaps.end_s[machine]
    earliest_s = ready_s + run_time_s
    if used == 0 or earliest_s + ahead_s > latest_s or earliest_s > ends[used - 1]:
        return -1
    low, high = 0, used - 1
    while low < high:
        middle = (low + high) // 2
        if ends[middle] < earliest_s:
            low = middle + 1
        else:
            high = middle
    for slot in range(low, used):
        finish_s = max(ready_s, starts[slot]) + run_time_s
        if finish_s + ahead_s > latest_s:
            return -1
        if finish_s <= ends[slot]:
            return slot
    return -1


@njit(cache=True)
def _widened(gaps: Gaps) -> Gaps:
    machines, width = gaps.start_s.shape
    start_s, end_s = np.empty((machines, 2 * width)), np.empty((machines, 2 * width))
    for machine in range(machines):
        for slot in range(gaps.used[machine]):
            start_s[machine, slot], end_s[machine, slot] = gaps.start_s[machine, slot], gaps.end_s[machine, slot]
    return Gaps(start_s, end_s, gaps.used, gaps.last_s, gaps.shortest_s)
