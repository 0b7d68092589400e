"""The best schedule of dependent tasks by constraint programming (CP-SAT of OR-Tools), and a proven bound.

What comes out is never worse than the list schedule that the search starts from, and the bound holds for every schedule
there is. The objective is the makespan, or the sum of the ends of the jobs, which suits a horizon that rolls on.
The problem is that of HEFT: Topcuoglu, Hariri, Wu 2002 (doi 10.1109/71.993206).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from time import perf_counter
from typing import Literal

import numpy as np
from ortools.sat.python import cp_model

from clustersim.baselines.constraint_budget import DETERMINISTIC_UNITS_PER_S, WALL_PADDING_S, Limits
from clustersim.baselines.dag_bounds import Reach, area_bound_s, earliest_s_of, job_bounds_s, job_time_bound_s, reach_of
from clustersim.baselines.dag_constraint_model import DagModel, Goal, Links, size_of, unit_of
from clustersim.baselines.dag_constraint_start import by_time, list_schedules, timed
from clustersim.dag_problem import DagProblem, Floats
from clustersim.dag_schedule import Busy, Schedule, check_plannable

Objective = Literal["makespan", "job_time"]
Status = Literal["OPTIMAL", "FEASIBLE", "UNKNOWN"]

SIZE_PER_S = 6_000
"""A larger model per second of the window is not built: presolving it alone takes about the window (6,000: 100 nodes
with 400 edges on 4 machines), and no clock stops it early."""

NODES_SQUARED_PER_S = 800.0
LEAST_UNITS_PER_S = 0.01
"""Deterministic time of CP-SAT per second of CPU on the development machine: 800 / nodes^2, and at least 0.01. Most of
the propagation is not counted, so that a unit takes 2 to 3 s with 40 nodes, 17 to 40 s with 130, 100 s with 600."""

TOLERANCE = 1e-9
"""Two times count as equal when they differ by less than this part of them."""


@dataclass(frozen=True, slots=True)
class DagSolution:
    """A valid schedule, never worse than the hint, and how far it is proved.

    `objective_s`: the makespan, or the sum of the ends of the jobs. `bound_s`: no schedule gets below. OPTIMAL: the two
    are equal, up to `rounding_s`, what the whole numbers of the model may have swallowed (0 where all times are whole).
    UNKNOWN: the solver found out nothing, or the model is too large for the window; the bound is that of `dag_bounds`.
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
    """Plan all nodes; the search starts from the hint, a valid schedule, or from the best of several list schedules.

    `data_at_s`, shape (N, M): when the data of predecessors outside the problem are at each machine.
    """
    check_plannable(problem)
    started_s, limits = perf_counter(), limits or Limits()
    earliest_s = earliest_s_of(problem, release_s, data_at_s)
    plans = list_schedules(problem, release_s, busy) if hint is None else [hint]
    if hint is None and data_at_s is not None:
        orders = [by_time(problem, plan.start_s, plan.finish_s) for plan in plans]
        plans = [
            timed(problem, plan.machine, order, earliest_s, busy) for plan, order in zip(plans, orders, strict=True)
        ]
    # Time counts from the first possible start, so that late in a simulation whole numbers need not be large.
    origin_s = float(earliest_s.min())
    earliest_s, busy = earliest_s - origin_s, Busy(busy.start_s - origin_s, busy.finish_s - origin_s, busy.count)
    reach = reach_of(problem, earliest_s, busy)
    goal = goal_of(problem, reach, busy, objective)
    plan = min(plans, key=goal.value_s)
    start = _later(plan, -origin_s)
    found = _search(problem, earliest_s, busy, reach, goal, start, limits, started_s)
    schedule = plan if found.schedule is start else _later(found.schedule, origin_s)
    objective_s = goal.value_s(schedule)
    bound_s = min(found.bound_s + len(goal.least_s) * origin_s, objective_s)
    return replace(found, schedule=schedule, objective_s=objective_s, bound_s=bound_s)


def goal_of(problem: DagProblem, reach: Reach, busy: Busy, objective: Objective) -> Goal:
    """All nodes together, or one group for each job, with what is known of their ends."""
    jobs_s = job_bounds_s(problem, reach)
    if objective == "job_time":
        return Goal(problem.job_of, jobs_s, job_time_bound_s(problem, reach))
    longest_s = float(jobs_s.max())
    together_s = max(longest_s, area_bound_s(problem, reach, busy, longest_s))
    return Goal(np.zeros(len(problem), dtype=np.int64), np.array([together_s]), together_s)


def _search(
    problem: DagProblem,
    earliest_s: Floats,
    busy: Busy,
    reach: Reach,
    goal: Goal,
    start: Schedule,
    limits: Limits,
    started_s: float,
) -> DagSolution:
    at_hand_s, bound_s = goal.value_s(start), goal.bound_s
    links = Links(problem)
    proved = at_hand_s <= bound_s * (1 + TOLERANCE)
    if proved or size_of(problem, links) > SIZE_PER_S * limits.window_s:
        status: Status = "OPTIMAL" if proved else "UNKNOWN"
        return DagSolution(start, at_hand_s, bound_s, status, 0.0, perf_counter() - started_s, 0.0)
    unit = unit_of(_times_s(problem, earliest_s, busy, links), float(goal.latest_s(start).max()))
    model = DagModel(problem, busy, reach, goal, start, links, unit)
    build_s = perf_counter() - started_s
    solver = _solver(limits, len(problem), build_s)
    status = _STATUS[solver.status_name(solver.solve(model.model))]
    schedule, value_s = start, at_hand_s
    if status != "UNKNOWN":
        machine, begin, end = model.solution(solver)
        found = timed(problem, machine, by_time(problem, begin, end), earliest_s, busy)
        if goal.value_s(found) < at_hand_s:
            schedule, value_s = found, goal.value_s(found)
        bound_s = max(bound_s, solver.best_objective_bound * unit.seconds)
    assert bound_s <= value_s * (1 + TOLERANCE), (bound_s, value_s)
    rounding_s = 0.0 if unit.exact else 2 * len(problem) * len(goal.least_s) * unit.seconds
    if status == "OPTIMAL" and value_s > bound_s * (1 + TOLERANCE) + rounding_s:
        # Rounded times have let something slip in before a reservation that in truth has to wait until it ends.
        status = "FEASIBLE"
    return DagSolution(schedule, value_s, bound_s, status, rounding_s, build_s, perf_counter() - started_s - build_s)


_STATUS: dict[str, Status] = {"OPTIMAL": "OPTIMAL", "FEASIBLE": "FEASIBLE", "UNKNOWN": "UNKNOWN"}
"""What the solver may say; anything else is our mistake, because the hint solves the model."""


def _times_s(problem: DagProblem, earliest_s: Floats, busy: Busy, links: Links) -> Floats:
    """All times that make up a schedule."""
    reserved = np.arange(busy.start_s.shape[1]) < busy.count[:, None]
    given = problem.run_time_s, links.send_s, earliest_s, busy.start_s[reserved], busy.finish_s[reserved]
    return np.concatenate([times_s.ravel() for times_s in given])


def _solver(limits: Limits, nodes: int, so_far_s: float) -> cp_model.CpSolver:
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = limits.workers
    solver.parameters.random_seed = limits.seed
    # Without linear programming the search finds more and proves more here: cuts take most of the time otherwise.
    solver.parameters.linearization_level = 0
    if limits.clock == "deterministic":
        units_per_s = min(DETERMINISTIC_UNITS_PER_S, max(LEAST_UNITS_PER_S, NODES_SQUARED_PER_S / nodes**2))
        solver.parameters.max_deterministic_time = limits.window_s * units_per_s
    else:
        padding_s = min(WALL_PADDING_S, limits.window_s / 2)
        solver.parameters.max_time_in_seconds = max(0.001, limits.window_s - padding_s - so_far_s)
    return solver


def _later(schedule: Schedule, by_s: float) -> Schedule:
    return Schedule(schedule.machine, schedule.start_s + by_s, schedule.finish_s + by_s)
