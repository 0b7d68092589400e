"""The exact search for schedules of dependent tasks against brute force, and what it promises on larger problems."""

from __future__ import annotations

from dataclasses import replace
from time import perf_counter
from typing import Literal

import numpy as np
import pytest
from dag_brute_force import best_s, random_tiny, some_schedule
from hypothesis import HealthCheck, given, settings
from random_dags import Case, busy_of, cases, dag_of, large_case, machines_of

from clustersim.baselines import dag_constraint
from clustersim.baselines.constraint_budget import Limits
from clustersim.baselines.cpop import plan_cpop
from clustersim.baselines.dag_bounds import makespan_bound_s
from clustersim.baselines.dag_constraint import Objective, solve_dag
from clustersim.baselines.dag_constraint_model import Unit, unit_of
from clustersim.baselines.dag_constraint_start import by_time, list_schedules
from clustersim.baselines.heft import plan_heft
from clustersim.baselines.lookahead_heft import plan_lookahead_heft
from clustersim.baselines.peft import plan_peft
from clustersim.dag_problem import DagProblem, problem_of
from clustersim.dag_schedule import Busy, Schedule, why_invalid
from clustersim.dags import DagWorkload, uniform_machines
from clustersim.errors import ConfigError
from clustersim.golden_dags import insertion_5, topcuoglu_2002

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


@pytest.mark.parametrize(("workload", "best"), [(topcuoglu_2002(), 73.0), (insertion_5(), 6.0)])
def test_the_best_schedules_of_the_golden_examples_are_proved(workload: DagWorkload, best: float) -> None:
    problem = problem_of(workload.machines, workload.jobs)
    solution = solve_dag(problem, np.zeros(1), Busy.nothing(problem.machines))
    assert (solution.status, solution.objective_s, solution.bound_s) == ("OPTIMAL", best, best)
    assert (solution.gap, solution.rounding_s) == (0.0, 0.0)
    assert why_invalid(problem, solution.schedule, np.zeros(1), Busy.nothing(problem.machines)) == ""


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(cases())
def test_no_heuristic_beats_it(case: Case) -> None:
    solution = solve_dag(*case)
    assert why_invalid(case.problem, solution.schedule, case.release_s, case.busy) == ""
    for planner in (plan_heft, plan_cpop, plan_peft, plan_lookahead_heft):
        makespan_s = planner(*case).makespan_s
        assert solution.bound_s <= makespan_s * (1 + 1e-9)
        if solution.status == "OPTIMAL":
            assert solution.objective_s <= (makespan_s + solution.rounding_s) * (1 + 1e-9)


def unsolved() -> Case:
    """Too hard for the windows below, with times that are no multiples of anything, and links of one kind."""
    problem = large_case(3, tasks=60, machines=3, jobs=1).problem
    latency_s = 1 - np.eye(3)
    problem = replace(problem, latency_s=latency_s, s_per_byte=latency_s, mean_latency_s=1.0, mean_s_per_byte=1.0)
    return Case(problem, np.zeros(1), Busy.nothing(3))


def test_a_search_that_is_cut_short_has_gained_on_both_sides_and_repeats() -> None:
    case = unsolved()
    first, second = (solve_dag(*case, Limits(window_s=0.4)) for _ in range(2))
    assert why_invalid(case.problem, first.schedule, case.release_s, case.busy) == ""
    assert first.status == "FEASIBLE"
    assert makespan_bound_s(*case) < first.bound_s < first.objective_s
    assert first.objective_s < min(plan.makespan_s for plan in list_schedules(*case))
    assert first.gap == pytest.approx(1 - first.bound_s / first.objective_s)
    assert (first.objective_s, first.bound_s) == (second.objective_s, second.bound_s)
    assert (first.schedule.machine == second.schedule.machine).all()
    assert (first.schedule.start_s == second.schedule.start_s).all()


def test_the_wall_clock_ends_a_search_in_time() -> None:
    case, started_s = unsolved(), perf_counter()
    solution = solve_dag(*case, Limits(window_s=0.6, clock="wall"))
    # It would take minutes without; a machine with much else to do may take many times as long as it should.
    assert perf_counter() - started_s < 10.0
    assert why_invalid(case.problem, solution.schedule, case.release_s, case.busy) == ""


def test_a_hint_is_kept_where_nothing_better_is_found() -> None:
    case = unsolved()
    hint = plan_peft(*case)
    solution = solve_dag(*case, Limits(window_s=1e-3), hint)
    assert solution.schedule is hint
    assert solution.objective_s == hint.makespan_s


def test_a_model_too_large_for_its_window_is_not_built(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("the model was built")

    monkeypatch.setattr(dag_constraint, "DagModel", never)
    case = large_case(1, tasks=150, machines=6)
    solution = solve_dag(*case)
    assert (solution.status, solution.solve_s) == ("UNKNOWN", 0.0)
    assert solution.bound_s == pytest.approx(makespan_bound_s(*case))
    assert solution.objective_s <= plan_heft(*case).makespan_s
    assert why_invalid(case.problem, solution.schedule, case.release_s, case.busy) == ""


def test_a_plan_that_meets_the_bound_needs_no_solver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dag_constraint, "DagModel", None)
    chain = dag_of(np.full((900, 3), 1.0), [(node, node + 1, 5.0) for node in range(899)])
    problem = problem_of(uniform_machines(3, bytes_per_s=1.0), [chain])
    solution = solve_dag(problem, np.zeros(1), Busy.nothing(3))
    assert (solution.status, solution.objective_s) == ("OPTIMAL", 900.0)


def test_late_in_a_simulation_it_answers_as_at_its_start() -> None:
    workload, later_s = topcuoglu_2002(), 3e12
    problem = problem_of(workload.machines, workload.jobs)
    data_at_s = np.full((10, 3), later_s)
    busy = busy_of([[(0.0, later_s)], [(later_s + 73, later_s + 90)], []])
    solution = solve_dag(problem, np.array([later_s]), busy, data_at_s=data_at_s)
    assert (solution.status, solution.rounding_s) == ("OPTIMAL", 0.0)
    assert (solution.objective_s, solution.bound_s) == (later_s + 73, later_s + 73)
    assert why_invalid(problem, solution.schedule, np.array([later_s]), busy) == ""


def test_shifted_in_time_instances_are_answered_alike() -> None:
    rng = np.random.default_rng(5)
    for _ in range(6):
        tiny = random_tiny(rng, "decimal")
        early = solve_dag(*tiny[:3], data_at_s=tiny.data_at_s)
        later_s = 3e8
        busy = Busy(tiny.busy.start_s + later_s, tiny.busy.finish_s + later_s, tiny.busy.count)
        data_at_s = np.zeros(tiny.problem.run_time_s.shape) if tiny.data_at_s is None else tiny.data_at_s
        late = solve_dag(tiny.problem, tiny.release_s + later_s, busy, data_at_s=data_at_s + later_s)
        assert (early.status, late.status) == ("OPTIMAL", "OPTIMAL")
        assert late.objective_s - later_s == pytest.approx(early.objective_s, abs=1e-6)
        assert late.bound_s - later_s == pytest.approx(early.bound_s, abs=1e-6)


def test_a_reservation_keeps_two_tasks_apart() -> None:
    """Each of them fits before the reservation, both do not."""
    problem = problem_of(uniform_machines(1), [dag_of(np.array([[3.0], [2.0]]), [])])
    solution = solve_dag(problem, np.zeros(1), busy_of([[(4.0, 4.5)]]))
    assert (solution.status, solution.objective_s, solution.bound_s) == ("OPTIMAL", 6.5, 6.5)


def test_a_time_that_just_fits_counts_for_the_unit() -> None:
    """8.2 - 2.2 is a little less than 6 in floating point; 4.8 alone would be one unit."""
    problem = problem_of(uniform_machines(2), [dag_of(np.array([[6.0, 4.8]]), [])])
    hint = Schedule(np.array([0]), np.array([2.2]), np.array([8.2]))
    solution = solve_dag(problem, np.array([2.2]), Busy.nothing(2), hint=hint)
    assert (solution.status, solution.objective_s) == ("OPTIMAL", 7.0)


def test_times_out_of_all_proportion_are_left_alone() -> None:
    """A machine that is gone for good, one that would take for ever, and data that would never arrive."""
    run_time_s = np.array([[1.0, 2.5, 1e300], [1.0, 2.0, 1e300], [1.0, 2.0, 1e300]])
    latency_s = np.array([[0.0, 1.0, 1.0], [1.0, 0.0, 1.0], [1.0, 1.0, 0.0]])
    problem = problem_of(machines_of(latency_s, latency_s), [dag_of(run_time_s, [(0, 1, 1e290), (0, 2, 0.5)])])
    busy = busy_of([[(1.5, np.inf)], [], []])
    solution = solve_dag(problem, np.zeros(1), busy, LONG_ENOUGH, plan_heft(problem, np.zeros(1), busy))
    assert (solution.status, solution.objective_s) == ("OPTIMAL", 6.5)
    assert solution.schedule.machine.tolist() == [1, 1, 1]


def test_what_fits_only_after_rounding_is_not_called_optimal() -> None:
    """Two tasks are a billionth of a second too long for the time before a reservation."""
    first_s, second_s = 1 / 3 + 0.5, np.pi / 7
    problem = problem_of(uniform_machines(1), [dag_of(np.array([[first_s], [second_s]]), [])])
    busy = busy_of([[(first_s + second_s - 1e-9, 10.0)]])
    solution = solve_dag(problem, np.zeros(1), busy)
    assert solution.objective_s == 10.0 + second_s
    assert solution.bound_s < 2.0
    assert solution.status == "FEASIBLE"
    assert 0 < solution.rounding_s < 1e-6


def test_what_fits_only_after_rounding_is_neither_taken_nor_called_optimal() -> None:
    """Two of the tasks are a billionth of a second too long for the time before a reservation."""
    for seed in range(10):
        lengths_s = np.random.default_rng(seed).uniform(0.3, 0.9, 3)
        problem = problem_of(uniform_machines(1), [dag_of(lengths_s[:, None], [])])
        busy = busy_of([[(lengths_s[0] + lengths_s[1] - 1e-9, 10.0)]])
        solution = solve_dag(problem, np.zeros(1), busy)
        assert solution.objective_s <= plan_heft(problem, np.zeros(1), busy).makespan_s
        assert solution.bound_s <= 10.0 + lengths_s[2] < solution.objective_s
        assert solution.status == "FEASIBLE"
        assert 0 < solution.rounding_s < 1e-6


def test_prices_lead_to_better_starts_where_machines_suit_tasks_differently() -> None:
    run_time_s = np.random.default_rng(0).uniform(1, 9, (80, 4))
    problem = problem_of(uniform_machines(4), [dag_of(run_time_s, [])])
    nothing_s, free = np.zeros(1), Busy.nothing(4)
    heft, *others = list_schedules(problem, nothing_s, free)
    assert heft.makespan_s == plan_heft(problem, nothing_s, free).makespan_s
    assert min(plan.makespan_s for plan in others) < 0.93 * heft.makespan_s


def test_tasks_of_no_length_follow_their_predecessors() -> None:
    problem = problem_of(uniform_machines(1), [dag_of(np.zeros((3, 1)), [(2, 1, 0.0), (1, 0, 0.0)])])
    assert by_time(problem, np.zeros(3), np.zeros(3)).tolist() == [2, 1, 0]


def test_several_instances_are_refused() -> None:
    problem = problem_of(uniform_machines(2), [replace(dag_of(np.ones((1, 2)), []), instances=np.array([2]))])
    with pytest.raises(ConfigError, match="expanded"):
        solve_dag(problem, np.zeros(1), Busy.nothing(2))


@pytest.mark.parametrize(
    ("times_s", "unit_s", "exact"),
    [
        ([30.0, 45.0, 1e9], 15.0, True),
        ([0.0, 0.75, 3.5], 0.25, True),
        ([0.1, 0.2, 0.1 + 0.2], 0.1, True),
        ([1 / 3, 50.0], 1e-7, False),
        ([0.0, 0.0], 1.0, True),
    ],
)
def test_the_unit_divides_all_times_where_it_can(times_s: list[float], unit_s: float, exact: bool) -> None:
    unit = unit_of(np.array(times_s), latest_s=100.0)
    assert unit.seconds == pytest.approx(unit_s)
    assert unit.exact == exact


def test_rounding_keeps_bounds_on_their_side() -> None:
    exact, rough = Unit(0.5, True), Unit(0.3, False)
    assert [int(exact.whole(1.5)), int(exact.at_least(1.2)), int(exact.at_most(1.7))] == [3, 3, 3]
    assert [int(rough.whole(1.0)), int(rough.at_least(1.0)), int(rough.at_most(1.0))] == [3, 3, 3]
