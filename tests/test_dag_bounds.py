"""Lower bounds of the makespan, and that no heuristic undercuts them or the solver's optimum."""

from __future__ import annotations

import numpy as np
import pytest
from dag_brute_force import best_s, random_tiny
from hypothesis import HealthCheck, given, settings
from random_dags import Case, cases, dag_of, large_case

from clustersim.baselines.constraint_budget import Limits
from clustersim.baselines.cpop import plan_cpop
from clustersim.baselines.dag_bounds import makespan_bound_s
from clustersim.baselines.dag_constraint import solve_dag
from clustersim.baselines.heft import plan_heft
from clustersim.baselines.lookahead_heft import plan_lookahead_heft
from clustersim.baselines.peft import plan_peft
from clustersim.dag_problem import critical_path_s, problem_of
from clustersim.dag_schedule import Busy, why_invalid
from clustersim.dags import uniform_machines
from clustersim.golden_dags import insertion_5, topcuoglu_2002

PLANNERS = (plan_heft, plan_cpop, plan_peft, plan_lookahead_heft)
ENOUGH = Limits(window_s=30.0)


@pytest.mark.parametrize("first", [0, 40, 80])
def test_a_bound_is_at_most_the_optimum(first: int) -> None:
    tight = 0
    for seed in range(first, first + 40):
        rng = np.random.default_rng(seed)
        tiny = random_tiny(rng, "real")
        best = best_s(tiny, "makespan")
        bound = makespan_bound_s(*tiny[:3], tiny.data_at_s)
        assert bound <= best * (1 + 1e-9) + 1e-9
        tight += bound > 0.8 * best
    assert tight > 20


def test_a_bound_counts_paths_work_and_data() -> None:
    two = uniform_machines(2, bytes_per_s=1.0)
    path = problem_of(two, [dag_of(np.array([[2.0, 3.0], [4.0, 5.0]]), [(0, 1, 9.0)])])
    # Staying on the first machine costs no data.
    assert makespan_bound_s(path, np.zeros(1), Busy.nothing(2)) == pytest.approx(6.0)
    wide = problem_of(two, [dag_of(np.full((10, 2), 2.0), [])])
    assert makespan_bound_s(wide, np.zeros(1), Busy.nothing(2)) == pytest.approx(10.0)
    late = makespan_bound_s(path, np.array([7.0]), Busy.nothing(2))
    assert late == pytest.approx(13.0)


def test_a_bound_is_at_least_the_critical_path() -> None:
    case = large_case(1, 200, 8)
    longest = float(critical_path_s(case.problem).max())
    assert makespan_bound_s(case.problem, case.release_s, case.busy) >= longest - 1e-9


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cases())
def test_no_heuristic_undercuts_a_bound(case: Case) -> None:
    bound = makespan_bound_s(*case)
    for plan in PLANNERS:
        assert plan(*case).makespan_s >= bound - 1e-9 * max(1.0, bound)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cases(most_tasks=5, most_machines=3, most_jobs=2))
def test_no_heuristic_beats_a_plan_that_is_proved_to_be_optimal(case: Case) -> None:
    found = solve_dag(*case, ENOUGH)
    assert why_invalid(case.problem, found.schedule, case.release_s, case.busy) == ""
    assert found.bound_s <= found.objective_s + 1e-9 * max(1.0, found.objective_s)
    for plan in PLANNERS:
        other = plan(*case).makespan_s
        assert found.objective_s <= plan_heft(*case).makespan_s + 1e-9
        if found.status == "OPTIMAL":
            assert other >= found.objective_s - found.rounding_s - 1e-9 * max(1.0, other)


@pytest.mark.parametrize(("workload", "optimum"), [(topcuoglu_2002(), 73.0), (insertion_5(), 6.0)])
def test_the_optimum_of_the_published_examples_is_proved(workload, optimum) -> None:  # type: ignore[no-untyped-def]
    problem = problem_of(workload.machines, workload.jobs)
    found = solve_dag(problem, workload.arrival_s, Busy.nothing(problem.machines), ENOUGH)
    assert (found.status, found.objective_s, found.bound_s) == ("OPTIMAL", optimum, optimum)
    assert why_invalid(problem, found.schedule, workload.arrival_s, Busy.nothing(problem.machines)) == ""
