"""What every machine is to run, in order: all that is left of a plan once run times are not as expected.

Schedulers such as HEFT (Topcuoglu, Hariri, Wu 2002, doi 10.1109/71.993206) start every task as early as the order of
its machine and its predecessors allow, so the order alone brings the planned times back when nothing disturbs them.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from clustersim.dag_problem import DagProblem, Floats, Ints
from clustersim.dag_schedule import Schedule
from clustersim.dag_state import NOBODY, DagView

LOST = -1
"""In place of an answer: a machine has failed since it got its last task."""


class RunLists:
    """One list per machine; `handed`, shape (entries,), says what has been taken off them.

    `machine` and `node`, shape (entries,): in an order in which a node stands behind all its predecessors, whatever
    their machines. That no machine ever waits for another in a circle rests on it.
    """

    def __init__(self, machine: Ints, node: Ints, handed: NDArray[np.bool_], last: Ints) -> None:
        """`last`, shape (M,): which entry each machine got last; -1: none, or it has failed since."""
        self.handed = handed
        self.last = last
        machines = len(last)
        left = np.flatnonzero(~handed)
        self._entry = left[np.argsort(machine[left], kind="stable")]
        self._node = node[self._entry]
        ends = np.cumsum(np.bincount(machine[left], minlength=machines))
        self._head, self._end = np.concatenate(([0], ends[:-1])), ends

    def next_pair(self, view: DagView, mask: NDArray[np.bool_]) -> int:
        """The next task of the lowest idle machine whose next task is ready, node * M + machine, taken off its list.

        N * M, to wait, where there is none; LOST where an instance may have to go back.
        """
        return _next_pair(
            mask, view.open, view.tail_node, self._node, self._entry, self._head, self._end, self.last, self.handed
        )


def running_order(problem: DagProblem, schedule: Schedule) -> tuple[Floats, Floats, Ints]:
    """Start and end of each node as they order the lists, and the nodes in that order, predecessors first.

    Rounding may let a task start a trifle before a predecessor ends; the times are made to agree with the edges.
    """
    start_s, finish_s = schedule.start_s.copy(), schedule.finish_s.copy()
    place = np.empty(len(problem), dtype=np.int64)
    _agree(problem.order, problem.pred_start, problem.pred, start_s, finish_s, place)
    return start_s, finish_s, np.lexsort((place, finish_s, start_s))


@njit(cache=True)
def _agree(order: Ints, pred_start: Ints, pred: Ints, start_s: Floats, finish_s: Floats, place: Ints) -> None:
    for index in range(len(order)):
        node = order[index]
        place[node] = index
        for edge in range(pred_start[node], pred_start[node + 1]):
            start_s[node] = max(start_s[node], start_s[pred[edge]])
            finish_s[node] = max(finish_s[node], finish_s[pred[edge]])


@njit(cache=True)
def _next_pair(
    mask: NDArray[np.bool_],
    open_: NDArray[np.bool_],
    tail_node: Ints,
    node_of: Ints,
    entry_of: Ints,
    head: Ints,
    end: Ints,
    last: Ints,
    handed: NDArray[np.bool_],
) -> int:
    machines = len(open_)
    for machine in range(machines):
        if tail_node[machine] == NOBODY and last[machine] >= 0:
            return LOST
    for machine in range(machines):
        place = head[machine]
        if open_[machine] and place < end[machine] and mask[node_of[place] * machines + machine]:
            head[machine] = place + 1
            last[machine] = entry_of[place]
            handed[entry_of[place]] = True
            return int(node_of[place] * machines + machine)
    return len(mask) - 1
