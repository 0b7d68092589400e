"""The exact search for schedules of dependent tasks against brute force, and what it promises on larger problems."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from dag_brute_force import best_s, random_tiny, some_schedule

from clustersim.baselines.constraint_budget import Limits
from clustersim.baselines.dag_constraint import Objective, solve_dag
from clustersim.dag_problem import DagProblem
from clustersim.dag_schedule import Schedule, why_invalid

TIMES: tuple[Literal["whole", "decimal", "real"], ...] = ("whole", "decimal", "real")
LONG_ENOUGH = Limits(window_s=60.0)


def check_tiny(seed: int) -> None:
    times = TIMES[seed % 3]
    objective: Objective = "makespan" if seed % 2 else "job_time"
    rng = np.random.default_rng(seed)
    tiny = random_tiny(rng, times)
    # A bad start leaves the work to the model; a good one is often proved to be the best without.
    hint = some_schedule(tiny, rng) if seed % 4 else None
    best = best_s(tiny, objective)
    solution = solve_dag(*tiny[:3], LONG_ENOUGH, hint, objective, tiny.data_at_s)
    assert why_invalid(tiny.problem, solution.schedule, tiny.release_s, tiny.busy) == ""
    slack_s = 1e-9 * max(1.0, best)
    assert solution.objective_s == pytest.approx(value_s(tiny.problem, solution.schedule, objective), abs=slack_s)
    assert solution.bound_s <= best + slack_s
    assert solution.objective_s >= best - slack_s
    if times != "real":
        assert (solution.status, solution.rounding_s) == ("OPTIMAL", 0.0)
    if solution.status == "OPTIMAL":
        assert solution.objective_s <= best + solution.rounding_s + slack_s
        assert solution.bound_s >= best - solution.rounding_s - slack_s
    assert solution.rounding_s <= 1e-3


def value_s(problem: DagProblem, schedule: Schedule, objective: Objective) -> float:
    if objective == "makespan":
        return schedule.makespan_s
    return float(np.maximum.reduceat(schedule.finish_s, problem.first_node[:-1]).sum())


@pytest.mark.parametrize("first", range(0, 90, 30))
def test_it_finds_what_brute_force_finds(first: int) -> None:
    for seed in range(first, first + 30):
        check_tiny(seed)


@pytest.mark.long
@pytest.mark.parametrize("first", range(90, 690, 100))
def test_it_finds_what_brute_force_finds_on_hundreds_of_problems(first: int) -> None:
    for seed in range(first, first + 100):
        check_tiny(seed)
