"""CP-SAT as a scheduler of dependent tasks: for a plan that is kept, or for a horizon that rolls on.

`CpSatPlan` looks for the shortest makespan once, for all jobs that come together. `CpSatRolling` plans all that has not
started again whenever a job comes (rolling schedules: Baker, Peterson 1979, doi 10.1287/mnsc.25.4.341), for the
shortest sum of job times.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clustersim.baselines.constraint_budget import Limits
from clustersim.baselines.dag_bounds import earliest_s_of
from clustersim.baselines.dag_constraint import DagSolution, solve_dag
from clustersim.baselines.dag_constraint_start import by_time, timed
from clustersim.baselines.dag_remaining import Remaining, remaining
from clustersim.baselines.heft import plan_heft
from clustersim.baselines.job_by_job import plan_job_by_job
from clustersim.baselines.plan_policy import PlanPolicy
from clustersim.baselines.run_lists import LOST, RunLists, running_order
from clustersim.control import Decision
from clustersim.dag_problem import DagProblem, Floats, Ints
from clustersim.dag_schedule import Busy, Schedule
from clustersim.dag_state import NOBODY, DagView


class CpSatPlan(PlanPolicy):
    """Plays `dispatch` as every plan is played; `solutions` says of each search how far it came."""

    def __init__(self, limits: Limits | None = None) -> None:
        super().__init__(self._solve)
        self.limits = limits or Limits(window_s=10.0)
        self.solutions: list[DagSolution] = []

    def reset(self, rng: np.random.Generator) -> None:
        """Nothing is left to chance but the solver's own seed, which the limits hold."""
        super().reset(rng)
        self.solutions = []

    def _solve(self, problem: DagProblem, release_s: Floats, busy: Busy) -> Schedule:
        self.solutions.append(solve_dag(problem, release_s, busy, self.limits))
        return self.solutions[-1].schedule


class CpSatRolling:
    """Plays `dispatch` in a world of firm queues in which machines do not linger.

    It plans again when a job comes, and when a machine fails or is back; a machine gets a task when it is idle and the
    task is the next of its list, so that nothing is committed that could still be planned better.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits(window_s=0.3)
        self.solutions: list[DagSolution] = []

    def reset(self, rng: np.random.Generator) -> None:
        """Nothing is left to chance but the solver's own seed, which the limits hold."""
        self.solutions = []
        self._jobs = 0
        self._lists: RunLists | None = None

    def act(self, decision: Decision) -> int:
        view: DagView = decision.view
        if self._lists is None:
            self._serves = np.full(len(view.up), NOBODY)
            self._up = view.up.copy()
        comes = self._jobs < len(view.admitted) and view.admitted[self._jobs]
        if comes or self._lists is None or (self._up != view.up).any() or self._lost(view).any():
            self._lists = self._plan(view, decision.time_s)
        pair = self._lists.next_pair(view, decision.mask)
        assert pair != LOST
        if pair < len(decision.mask) - 1:
            node, machine = divmod(pair, len(self._serves))
            self._serves[machine] = node
        return pair

    def _lost(self, view: DagView) -> NDArray[np.bool_]:
        """Which machines have failed since they got what they have."""
        lost: NDArray[np.bool_] = (self._serves != NOBODY) & (view.tail_node == NOBODY)
        return lost

    def _plan(self, view: DagView, now_s: float) -> RunLists:
        while self._jobs < len(view.admitted) and view.admitted[self._jobs]:
            self._jobs += 1
        self._up = view.up.copy()
        self._serves[view.open | self._lost(view)] = NOBODY
        machines = len(self._serves)
        left = remaining(view, now_s, self._serves)
        none: Ints = np.zeros(0, dtype=np.int64)
        if left is None:
            return RunLists(none, none, np.zeros(0, dtype=np.bool_), np.full(machines, -1))
        solution = solve_dag(
            left.problem,
            left.release_s,
            left.busy,
            self.limits,
            _short_job_times(left),
            "job_time",
            left.data_at_s,
        )
        self.solutions.append(solution)
        _, _, order = running_order(left.problem, solution.schedule)
        order = order[left.origin[order] != NOBODY]
        return RunLists(
            solution.schedule.machine[order],
            left.origin[order],
            np.zeros(len(order), dtype=np.bool_),
            np.full(machines, -1),
        )


def _short_job_times(left: Remaining) -> Schedule:
    """The better one of two list schedules, for the search to start from."""
    problem, busy = left.problem, left.busy
    earliest_s = earliest_s_of(problem, left.release_s, left.data_at_s)
    plans = []
    for planner in (plan_job_by_job, plan_heft):
        plan = planner(problem, left.release_s, busy)
        plans.append(timed(problem, plan.machine, by_time(problem, plan.start_s, plan.finish_s), earliest_s, busy))
    return min(plans, key=lambda plan: float(np.maximum.reduceat(plan.finish_s, problem.first_node[:-1]).sum()))
