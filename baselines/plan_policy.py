"""Plays a plan: every machine runs its tasks in the planned order, whatever really happens.

A job is planned when it is admitted, into the gaps that the plans of earlier jobs leave, and never again. That is how
static schedules such as HEFT's are used online; what they lose when run times differ from the expected ones is what
DeepSoCS (arXiv 2005.07666) holds against them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from clustersim.baselines.run_lists import LOST, RunLists, running_order
from clustersim.control import Decision
from clustersim.dag_part import jobs_alone
from clustersim.dag_problem import Floats, Ints
from clustersim.dag_schedule import Busy, Planner, expanded
from clustersim.dag_state import NOBODY, DagView


class PlanPolicy:
    """Plays `dispatch` in a world of firm queues in which machines do not linger.

    An idle machine gets its next task as soon as that is ready, and waits for it until then: it is given nothing else,
    and no task goes to another machine, not even while its own is down.
    """

    def __init__(self, planner: Planner) -> None:
        self._planner = planner

    def reset(self, rng: np.random.Generator) -> None:
        """Nothing is left to chance."""
        self._planned_jobs = 0
        none = np.zeros(0, dtype=np.int64)
        self._plan = _Plan(none, none, np.zeros(0), np.zeros(0), np.zeros(0, dtype=np.bool_))
        self._lists: RunLists | None = None

    def act(self, decision: Decision) -> int:
        view: DagView = decision.view
        # Jobs are admitted one after another.
        if self._planned_jobs < len(view.admitted) and view.admitted[self._planned_jobs]:
            self._plan_new_jobs(view, decision.time_s)
        assert self._lists is not None
        pair = self._lists.next_pair(view, decision.mask)
        if pair == LOST:
            pair = self._take_back(view, self._lists.last).next_pair(view, decision.mask)
        return pair

    def _plan_new_jobs(self, view: DagView, now_s: float) -> None:
        problem, first = view.problem, self._planned_jobs
        while self._planned_jobs < len(view.admitted) and view.admitted[self._planned_jobs]:
            self._planned_jobs += 1
        part, origin = expanded(jobs_alone(problem, first, self._planned_jobs))
        release_s = np.full(self._planned_jobs - first, now_s)
        last = np.full(problem.machines, -1) if self._lists is None else self._lists.last
        schedule = self._planner(part, release_s, self._plan.busy(last, now_s))
        start_s, finish_s, order = running_order(part, schedule)
        order = order[origin[order] >= 0]
        new = _Plan(
            schedule.machine[order],
            origin[order] + problem.first_node[first],
            start_s[order],
            finish_s[order],
            np.zeros(len(order), dtype=np.bool_),
        )
        keep = self._plan.to_come(last)
        self._plan, place = self._plan.taken(np.flatnonzero(keep)).merged(new)
        kept = np.cumsum(keep) - 1
        self._lists = self._plan.lists(np.array([place[kept[entry]] if entry >= 0 else -1 for entry in last]))

    def _take_back(self, view: DagView, last: Ints) -> RunLists:
        """Put on the lists again what machines that have failed did not end; they had one instance each."""
        plan, last = self._plan, last.copy()
        planned = np.bincount(plan.node[~plan.handed], minlength=len(view.problem))
        for machine in np.flatnonzero((view.tail_node == NOBODY) & (last >= 0)):
            node = plan.node[last[machine]]
            # Instances are alike: where several machines had one it does not matter whose was lost.
            if planned[node] < view.unstarted[node] - view.reserved[node]:
                plan.handed[last[machine]] = False
                planned[node] += 1
            last[machine] = -1
        self._lists = plan.lists(last)
        return self._lists


class _Plan(NamedTuple):
    """One entry for every instance, in the order of start and end, predecessors first."""

    machine: Ints
    node: Ints
    start_s: Floats
    finish_s: Floats
    handed: NDArray[np.bool_]

    def taken(self, entries: Ints) -> _Plan:
        return _Plan(
            self.machine[entries],
            self.node[entries],
            self.start_s[entries],
            self.finish_s[entries],
            self.handed[entries],
        )

    def merged(self, new: _Plan) -> tuple[_Plan, Ints]:
        """Both in one, and the new places of the entries; at equal times the old ones come first."""
        both = _Plan(*(np.concatenate(columns) for columns in zip(self, new, strict=True)))
        order = np.lexsort((both.finish_s, both.start_s))
        return both.taken(order), np.argsort(order)

    def lists(self, last: Ints) -> RunLists:
        return RunLists(self.machine, self.node, self.handed, last)

    def to_come(self, last: Ints) -> NDArray[np.bool_]:
        """Which entries are not over: those that are not handed out yet, and what each machine got last."""
        to_come = ~self.handed
        to_come[last[last >= 0]] = True
        return to_come

    def busy(self, last: Ints, now_s: float) -> Busy:
        """When machines are taken from now on, as planned: what is late is thought to be over.

        What a machine got last has taken it, even if it still waits for data.
        """
        start_s = self.start_s.copy()
        # Before now: at the very instant a task of no length would still find room in front of it.
        start_s[last[last >= 0]] = np.minimum(start_s[last[last >= 0]], now_s - 1.0)
        ahead = np.flatnonzero(self.to_come(last) & (self.finish_s > now_s))
        ahead = ahead[np.argsort(self.machine[ahead], kind="stable")]
        machine = self.machine[ahead]
        count = np.bincount(machine, minlength=len(last))
        column = np.arange(len(ahead)) - (np.cumsum(count) - count)[machine]
        shape = len(last), int(count.max(initial=0))
        busy = Busy(np.zeros(shape), np.zeros(shape), count)
        busy.start_s[machine, column] = start_s[ahead]
        busy.finish_s[machine, column] = self.finish_s[ahead]
        return busy
