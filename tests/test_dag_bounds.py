"""Lower bounds of the makespan and of the sum of job times: never above the best schedule, and as high as they say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from dag_brute_force import best_s, random_tiny
from hypothesis import given, settings
from random_dags import Case, busy_of, cases, dag_of, large_case, machines_of

from clustersim.baselines.dag_bounds import (
    area_bound_s,
    earliest_s_of,
    job_bounds_s,
    job_time_bound_s,
    makespan_bound_s,
    reach_of,
)
from clustersim.baselines.heft import plan_heft
from clustersim.dag_problem import DagProblem, Floats, critical_path_s, problem_of
from clustersim.dag_schedule import Busy, expanded
from clustersim.dags import uniform_machines
from clustersim.golden_dags import insertion_5, topcuoglu_2002


def one_job(
    run_time_s: list[list[float]], edges: list[tuple[int, int, float]], latency_s: Floats | None = None
) -> DagProblem:
    """Bytes are seconds, the same between any two machines."""
    count = len(run_time_s[0])
    nothing = np.zeros((count, count))
    machines = machines_of(nothing if latency_s is None else latency_s, 1 - np.eye(count))
    return problem_of(machines, [dag_of(np.array(run_time_s), edges)])


def path_s(problem: DagProblem, busy: Busy | None = None) -> float:
    busy = busy or Busy.nothing(problem.machines)
    reach = reach_of(problem, earliest_s_of(problem, np.zeros(1)), busy)
    return float(job_bounds_s(problem, reach).max())


def area_s(problem: DagProblem, busy: Busy | None = None, at_least_s: float = 0.0) -> float:
    busy = busy or Busy.nothing(problem.machines)
    return area_bound_s(problem, reach_of(problem, earliest_s_of(problem, np.zeros(1)), busy), busy, at_least_s)


def test_no_schedule_is_below_the_bounds() -> None:
    for seed in range(150):
        tiny = random_tiny(np.random.default_rng(seed), ("whole", "decimal", "real")[seed % 3])
        best = best_s(tiny, "makespan")
        assert makespan_bound_s(*tiny) <= best * (1 + 1e-12), seed
        reach = reach_of(tiny.problem, earliest_s_of(tiny.problem, tiny.release_s, tiny.data_at_s), tiny.busy)
        assert area_bound_s(tiny.problem, reach, tiny.busy, best) <= best * (1 + 1e-12), seed
        assert job_time_bound_s(tiny.problem, reach) <= best_s(tiny, "job_time") * (1 + 1e-12), seed


@settings(max_examples=60, deadline=None, derandomize=True)
@given(cases())
def test_plans_are_above_the_bound_and_the_bound_above_the_plain_critical_path(case: Case) -> None:
    bound_s = makespan_bound_s(*case)
    assert bound_s <= plan_heft(*case).makespan_s * (1 + 1e-12)
    assert bound_s >= (case.release_s + critical_path_s(case.problem)).max() * (1 - 1e-12)


def test_the_bounds_of_the_golden_examples() -> None:
    for workload, bound_s in ((topcuoglu_2002(), 63.0), (insertion_5(), 6.0)):
        problem = problem_of(workload.machines, workload.jobs)
        assert makespan_bound_s(problem, np.zeros(1), Busy.nothing(problem.machines)) == bound_s


def test_predecessors_whose_data_come_late_run_one_by_one_where_they_are_wanted() -> None:
    """The third's data are worth waiting for, those of the first two are not: 2 + 2, then 1."""
    run_time_s = [[2.0, 2.0]] * 3 + [[1.0, 1.0]]
    assert path_s(one_job(run_time_s, [(0, 3, 9.0), (1, 3, 9.0), (2, 3, 1.0)])) == 5.0
    assert path_s(one_job(run_time_s, [(0, 3, 9.0), (1, 3, 9.0), (2, 3, 9.0)])) == 7.0
    assert path_s(one_job(run_time_s, [(0, 3, 9.0), (1, 3, 1.5), (2, 3, 1.0)])) == 4.5


def test_successors_whose_data_would_travel_too_long_run_one_by_one() -> None:
    run_time_s = [[1.0, 1.0]] + [[2.0, 2.0]] * 3
    assert path_s(one_job(run_time_s, [(0, 1, 9.0), (0, 2, 9.0), (0, 3, 9.0)])) == 7.0
    assert path_s(one_job(run_time_s, [(0, 1, 9.0), (0, 2, 9.0), (0, 3, 1.0)])) == 5.0


def test_links_count_in_their_direction() -> None:
    latency_s = np.array([[0.0, 3.0], [8.0, 0.0]])
    assert path_s(one_job([[1.0, np.inf], [np.inf, 1.0]], [(0, 1, 0.0)], latency_s)) == 5.0
    assert path_s(one_job([[np.inf, 1.0], [1.0, np.inf]], [(0, 1, 0.0)], latency_s)) == 10.0


def test_a_task_that_does_not_fit_before_a_reservation_starts_after_it() -> None:
    problem = one_job([[3.0]], [])
    assert path_s(problem, busy_of([[(2.0, 4.0), (6.5, 8.0)]])) == 11.0
    assert path_s(problem, busy_of([[(2.0, 4.0), (7.0, 8.0)]])) == 7.0


def test_data_from_outside_hold_a_start_up() -> None:
    problem = one_job([[3.0, 5.0]], [])
    data_at_s = np.array([[9.0, 6.0]])
    assert makespan_bound_s(problem, np.zeros(1), Busy.nothing(2), data_at_s) == 11.0
    assert makespan_bound_s(problem, np.array([8.0]), Busy.nothing(2), data_at_s) == 12.0


def test_machines_of_different_speed_share_the_work_in_proportion() -> None:
    work_s = np.arange(1.0, 13.0)
    problem = one_job((work_s[:, None] / np.array([1.0, 2.0, 0.5])).tolist(), [])
    assert area_s(problem) == pytest.approx(work_s.sum() / 3.5)


def test_work_that_only_some_machines_can_do_is_theirs() -> None:
    """Ten seconds for the first machine alone; the twelve for any of the three do not matter."""
    only_first = [[2.0, np.inf, np.inf]] * 5
    assert area_s(one_job([*only_first, *[[3.0, 3.0, 3.0]] * 4], [])) == pytest.approx(10.0, rel=5e-3)
    assert area_s(one_job([*only_first, *[[3.0, 3.0, 3.0]] * 40], [])) == pytest.approx(130 / 3, rel=1e-9)


def test_machines_that_suit_tasks_differently_are_priced() -> None:
    """Each kind of task runs twice as fast on its own machine; even weights would make it 8 s."""
    assert area_s(one_job([[2.0, 4.0]] * 6 + [[4.0, 2.0]] * 2, [])) == pytest.approx(28 / 3, rel=1e-3)


def test_work_between_a_source_and_a_sink_has_their_time_before_and_behind() -> None:
    run_time_s = [[5.0, 5.0]] + [[1.0, 1.0]] * 8 + [[7.0, 7.0]]
    edges = [edge for node in range(1, 9) for edge in ((0, node, 0.0), (node, 9, 0.0))]
    assert area_s(one_job(run_time_s, edges)) == 16.0


def test_reservations_that_end_before_a_known_bound_are_work() -> None:
    problem = one_job([[1.0, 1.0]] * 8, [])
    busy = busy_of([[(0.0, 2.0)], [(3.0, 4.0), (50.0, 60.0)]])
    assert area_s(problem) == 4.0
    assert area_s(problem, busy, at_least_s=5.0) == 5.5


def test_the_smallest_jobs_end_first_at_best() -> None:
    jobs = [dag_of(np.array([[4.0]]), []), dag_of(np.array([[1.0], [1.0]]), []), dag_of(np.array([[1.0]]), [])]
    problem = problem_of(uniform_machines(1), jobs)
    reach = reach_of(problem, earliest_s_of(problem, np.full(3, 10.0)), Busy.nothing(1))
    assert job_time_bound_s(problem, reach) == 11.0 + 13.0 + 17.0


def test_instances_and_warm_ups_count() -> None:
    dag = replace(
        dag_of(np.full((2, 4), 2.0), [(0, 1, 5.0)]), instances=np.array([6, 1]), warm_up_s=np.array([1.0, 0.5])
    )
    problem = problem_of(uniform_machines(4, bytes_per_s=1.0), [dag])
    assert makespan_bound_s(problem, np.zeros(1), Busy.nothing(4)) == 1.0 + 2 * 2.0 + 0.5 + 2.0
    # The last task waits for all instances, and they share the machines.
    many = replace(dag, run_time_s=np.array([[2.0, 4.0, 4.0, 4.0], [2.0] * 4]), instances=np.array([600, 1]))
    assert area_s(problem_of(uniform_machines(4, bytes_per_s=1.0), [many])) == pytest.approx(1201 / 2.5 + 2.5, rel=5e-3)
    assert path_s(problem_of(uniform_machines(4, bytes_per_s=1.0), [many])) == 1.0 + 150 * 2.0 + 2.5


def test_plans_of_all_instances_are_above_the_bound() -> None:
    rng = np.random.default_rng(2)
    for _ in range(20):
        job = dag_of(rng.uniform(1, 5, (5, 3)), [(0, 2, 1.0), (1, 2, 1.0), (2, 3, 1.0), (2, 4, 1.0)])
        problem = problem_of(uniform_machines(3, bytes_per_s=1.0), [replace(job, instances=rng.integers(1, 7, 5))])
        wide, _ = expanded(problem)
        plan = plan_heft(wide, np.zeros(1), Busy.nothing(3))
        bound_s = makespan_bound_s(problem, np.zeros(1), Busy.nothing(3))
        assert critical_path_s(problem)[0] * (1 - 1e-12) <= bound_s <= plan.makespan_s


def test_a_large_problem_takes_little_time() -> None:
    case = large_case(1, tasks=1000, machines=8)
    assert makespan_bound_s(*case) > critical_path_s(case.problem).max()
