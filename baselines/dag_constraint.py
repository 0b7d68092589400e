"""The best schedule of dependent tasks by constraint programming (CP-SAT of OR-Tools), and a proven bound.

It is better than a list schedule or that list schedule; `bound_s` holds for every schedule there is. The objective is
the makespan, or the sum of the completion times of the jobs, which suits a horizon that rolls on.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import Literal

import numpy as np
from ortools.sat.python import cp_model

from clustersim.baselines.constraint_budget import WALL_PADDING_S, Limits
from clustersim.baselines.dag_bounds import Reach, area_bound_s, earliest_s_of, job_bounds_s, job_time_bound_s, reach_of
from clustersim.baselines.dag_constraint_model import DagModel, Goal, Links, Unit, by_time, size_of, unit_of
from clustersim.baselines.heft import plan_heft
from clustersim.dag_problem import DagProblem, Floats, Ints
from clustersim.dag_schedule import Busy, Schedule, check_plannable

Objective = Literal["makespan", "job_time"]
Status = Literal["OPTIMAL", "FEASIBLE", "UNKNOWN"]

UNITS_PER_S = 0.1

TOLERANCE = 1e-9
"""Two times count as equal when they differ by less than this part of them: rounding in floating point."""

SIZE_PER_S = 100_000


@dataclass(frozen=True, slots=True)
class DagSolution:
    """A valid schedule, never worse than the hint, and how far it is proved.

    `objective_s`: makespan or sum of the jobs' completion times. `bound_s`: no schedule gets below. OPTIMAL: the two
    are equal up to `rounding_s`, what the whole numbers of the model may have swallowed (0 where all times are exact).
    UNKNOWN: the solver found out nothing, as where the model is too large for the window; the bound then comes from
    `dag_bounds` alone.
    """

    schedule: Schedule
    objective_s: float
    bound_s: float
    status: Status
    rounding_s: float
    build_s: float
    solve_s: float

    @property
    def gap(self) -> float:
        """Distance to the bound, as a share of the objective."""
        return (self.objective_s - self.bound_s) / self.objective_s if self.objective_s > 0 else 0.0


def solve_dag(
    problem: DagProblem,
    release_s: Floats,
    busy: Busy,
    limits: Limits | None = None,
    hint: Schedule | None = None,
    objective: Objective = "makespan",
    data_at_s: Floats | None = None,
) -> DagSolution:
    """Plan all nodes; the search starts from the hint, a valid schedule (HEFT's when there is none).

    `data_at_s`, shape (N, M): when the data of predecessors outside the problem are at each machine.
    """
    check_plannable(problem)
    started_s = perf_counter()
    limits = limits or Limits()
    earliest_s = earliest_s_of(problem, release_s, data_at_s)
    if hint is None:
        hint = plan_heft(problem, release_s, busy)
        if data_at_s is not None:
            hint = _timed(problem, hint.machine, by_time(problem, hint.start_s, hint.finish_s), earliest_s, busy)
    # Whole numbers count from the first possible start, so that they need not be large late in a simulation.
    origin_s = float(earliest_s.min())
    reserved = Busy(busy.start_s - origin_s, busy.finish_s - origin_s, busy.count)
    reach = reach_of(problem, earliest_s - origin_s, reserved)
    goal = goal_of(problem, reach, reserved, objective)
    start = Schedule(hint.machine, hint.start_s - origin_s, hint.finish_s - origin_s)
    at_hand_s, bound_s = goal.value_s(start), goal.bound_s
    origins_s = len(goal.least_s) * origin_s
    links = Links(problem)
    proved = at_hand_s <= bound_s * (1 + TOLERANCE)
    if proved or size_of(problem, links) > SIZE_PER_S * limits.window_s:
        status: Status = "OPTIMAL" if proved else "UNKNOWN"
        bound_s = min(bound_s, at_hand_s) + origins_s
        return DagSolution(hint, at_hand_s + origins_s, bound_s, status, 0.0, perf_counter() - started_s, 0.0)
    unit = unit_for(problem, earliest_s - origin_s, reserved, goal, start, links)
    model = DagModel(problem, reserved, reach, goal, start, links, unit)
    build_s = perf_counter() - started_s
    solver = _solver(limits, UNITS_PER_S, build_s)
    status = _STATUS[solver.status_name(solver.solve(model.model))]
    schedule, value_s = hint, at_hand_s
    if status != "UNKNOWN":
        machine, begin, end = model.plan(solver)
        found = _timed(problem, machine, by_time(problem, begin, end), earliest_s, busy)
        found_s = goal.value_s(found) - origins_s
        if found_s < at_hand_s:
            schedule, value_s = found, found_s
        bound_s = max(bound_s, solver.best_objective_bound * unit.seconds)
    rounding_s = 0.0 if unit.exact else 2 * len(problem) * len(goal.least_s) * unit.seconds
    if status == "OPTIMAL" and value_s > bound_s * (1 + TOLERANCE) + rounding_s:
        # Rounded times have let something slip in before a reservation that in truth has to wait until it ends.
        status = "FEASIBLE"
    solve_s = perf_counter() - started_s - build_s
    bound_s = min(bound_s, value_s) + origins_s
    return DagSolution(schedule, value_s + origins_s, bound_s, status, rounding_s, build_s, solve_s)


_STATUS: dict[str, Status] = {"OPTIMAL": "OPTIMAL", "FEASIBLE": "FEASIBLE", "UNKNOWN": "UNKNOWN"}


def goal_of(problem: DagProblem, reach: Reach, busy: Busy, objective: Objective) -> Goal:
    """All nodes together, or one group for each job, with what is known of their ends."""
    jobs_s = job_bounds_s(problem, reach)
    if objective == "job_time":
        return Goal(problem.job_of, jobs_s, job_time_bound_s(problem, reach))
    longest_s = float(jobs_s.max())
    together_s = max(longest_s, area_bound_s(problem, reach, busy, longest_s))
    return Goal(np.zeros(len(problem), dtype=np.int64), np.array([together_s]), together_s)


def unit_for(problem: DagProblem, earliest_s: Floats, busy: Busy, goal: Goal, hint: Schedule, links: Links) -> Unit:
    """A unit that suits all times up to the latest end that can matter."""
    latest_s = float(goal.latest_s(hint).max())
    reserved = np.arange(busy.start_s.shape[1]) < busy.count[:, None]
    times_s = np.concatenate(
        [
            problem.run_time_s.ravel(),
            links.send_s.ravel(),
            earliest_s.ravel(),
            busy.start_s[reserved],
            busy.finish_s[reserved],
        ]
    )
    return unit_of(times_s[times_s <= latest_s], latest_s)


def _solver(limits: Limits, units_per_s: float, so_far_s: float) -> cp_model.CpSolver:
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = limits.workers
    solver.parameters.random_seed = limits.seed
    # Linear programming at every node of the search tree takes most of the time and gains little on these models.
    solver.parameters.linearization_level = 0
    if limits.clock == "deterministic":
        solver.parameters.max_deterministic_time = limits.window_s * units_per_s
    else:
        padding_s = min(WALL_PADDING_S, limits.window_s / 2)
        solver.parameters.max_time_in_seconds = max(0.001, limits.window_s - padding_s - so_far_s)
    return solver


def _timed(problem: DagProblem, machine: Ints, order: Ints, earliest_s: Floats, busy: Busy) -> Schedule:
    """Every node on its machine behind those before it in the order, as early as its data allow."""
    start_s, finish_s = np.zeros(len(order)), np.zeros(len(order))
    free_s = np.zeros(problem.machines)
    for node in order.tolist():
        here = machine[node]
        before = slice(problem.pred_start[node], problem.pred_start[node + 1])
        source, data_bytes = problem.pred[before], problem.pred_bytes[before]
        there = machine[source]
        send_s = np.where(
            there == here, 0.0, problem.latency_s[there, here] + data_bytes * problem.s_per_byte[there, here]
        )
        at_s = max(free_s[here], earliest_s[node, here], (finish_s[source] + send_s).max(initial=0.0))
        run_s = problem.run_time_s[node, here]
        for slot in range(int(busy.count[here])):
            if busy.finish_s[here, slot] > at_s and busy.start_s[here, slot] < at_s + run_s:
                at_s = busy.finish_s[here, slot]
        start_s[node] = at_s
        finish_s[node] = free_s[here] = at_s + run_s
    return Schedule(machine, start_s, finish_s)
