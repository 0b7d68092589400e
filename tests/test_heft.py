"""HEFT, CPOP, PEFT and lookahead HEFT: valid plans, the same as in plain Python, and the same every time."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from plain_heft import by_priority, downward, plain_cpop, plain_heft, plain_lookahead, plain_peft, upward
from random_dags import Case, busy_of, cases, dag_of, large_case

from clustersim.baselines.cpop import critical_path, plan_cpop
from clustersim.baselines.heft import downward_rank, plan_heft, upward_rank
from clustersim.baselines.heft_kernel import in_order
from clustersim.baselines.lookahead_heft import plan_lookahead_heft
from clustersim.baselines.peft import plan_peft
from clustersim.dag_problem import DagProblem, Floats, problem_of
from clustersim.dag_schedule import Busy, Planner, Schedule, why_invalid
from clustersim.dags import uniform_machines
from clustersim.errors import ConfigError

MANY = settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


def appending_heft(problem: DagProblem, release_s: Floats, busy: Busy) -> Schedule:
    return plan_heft(problem, release_s, busy, insertion=False)


def plain_appending_heft(problem: DagProblem, release_s: Floats, busy: Busy) -> Schedule:
    return plain_heft(problem, release_s, busy, insertion=False)


PLANNERS: dict[str, Planner] = {
    "heft": plan_heft,
    "heft-appending": appending_heft,
    "cpop": plan_cpop,
    "peft": plan_peft,
    "lookahead-heft": plan_lookahead_heft,
}
PLAIN: dict[str, Planner] = {
    "heft": plain_heft,
    "heft-appending": plain_appending_heft,
    "cpop": plain_cpop,
    "peft": plain_peft,
    "lookahead-heft": plain_lookahead,
}


@MANY
@given(case=cases())
def test_every_plan_is_valid(case: Case) -> None:
    for name, planner in PLANNERS.items():
        assert why_invalid(case.problem, planner(*case), case.release_s, case.busy) == "", name


@MANY
@given(case=cases())
def test_plans_are_those_of_the_plain_version(case: Case) -> None:
    for name, planner in PLANNERS.items():
        assert_same(planner(*case), PLAIN[name](*case))


@pytest.mark.parametrize("name", PLANNERS)
def test_large_plans_are_those_of_the_plain_version(name: str) -> None:
    # The last one has more gaps than there is room for at first: many small jobs with much time between them.
    for case in (large_case(0, 80, 3), large_case(1, 40, 12), large_case(2, 3, 2, jobs=90, last_release_s=4000.0)):
        assert why_invalid(case.problem, PLANNERS[name](*case), case.release_s, case.busy) == ""
        assert_same(PLANNERS[name](*case), PLAIN[name](*case))


@MANY
@given(case=cases())
def test_ranks_and_orders_are_those_of_the_plain_version(case: Case) -> None:
    problem = case.problem
    np.testing.assert_allclose(upward_rank(problem), upward(problem), rtol=1e-12)
    np.testing.assert_allclose(downward_rank(problem), downward(problem), rtol=1e-12)
    for priority in (upward_rank(problem), -upward_rank(problem), np.zeros(len(problem))):
        assert in_order(problem, priority).tolist() == by_priority(problem, priority.tolist())


def test_the_lowest_task_and_the_lowest_machine_win_ties_whatever_the_rounding() -> None:
    # 0.1 + 0.2 is more than 0.3, so that by rounding alone the second chain would go first.
    run_time_s = np.repeat([[0.3], [0.1], [0.2]], 3, axis=1)
    problem = problem_of(uniform_machines(3), [dag_of(run_time_s, [(1, 2, 0.0)])])
    assert upward_rank(problem)[1] > upward_rank(problem)[0]
    assert in_order(problem, upward_rank(problem)).tolist() == [0, 1, 2]
    # By rounding alone, machine 1 would end the last task earlier: it is ready at 0.3 instead of 0.1 + 0.2.
    plan = plan_heft(problem, np.zeros(1), busy_of([[(0.0, 0.1 + 0.2)], [(0.0, 0.3)], [(0.0, 5.0)]]))
    assert plan.machine.tolist()[0] == 0


def test_predecessors_go_first_where_no_time_sets_them_apart() -> None:
    # The chain runs against the indices, so that by index alone its end would go first.
    chain = dag_of(np.zeros((4, 2)), [(3, 2, 0.0), (2, 1, 0.0), (1, 0, 0.0)])
    problem = problem_of(uniform_machines(2), [chain])
    assert in_order(problem, upward_rank(problem)).tolist() == [3, 2, 1, 0]


def test_a_job_that_comes_later_is_planned_into_the_gaps_of_the_plans_before_it() -> None:
    machines = uniform_machines(2, bytes_per_s=1.0)
    # Machine 1 is fast for the first task and waits until the second one, on machine 0, has sent its result.
    first = problem_of(machines, [dag_of(np.array([[9.0, 1.0], [4.0, 50.0], [50.0, 2.0]]), [(1, 2, 3.0)])])
    plan = plan_heft(first, np.zeros(1), Busy.nothing(2))
    reserved = [
        sorted((plan.start_s[n], plan.finish_s[n]) for n in range(3) if plan.machine[n] == machine)
        for machine in range(2)
    ]
    assert reserved == [[(0.0, 4.0)], [(0.0, 1.0), (7.0, 9.0)]]
    second = problem_of(machines, [dag_of(np.array([[6.0, 5.0]]), [])])
    for release_s, expected in ((0.0, (1, 1.0)), (2.0, (1, 2.0)), (2.5, (0, 4.0))):
        late = plan_heft(second, np.array([release_s]), busy_of(reserved))
        assert (late.machine[0], late.start_s[0]) == expected
    assert plan_heft(second, np.zeros(1), busy_of(reserved), insertion=False).start_s[0] == 4.0


def test_each_job_starts_at_its_release() -> None:
    jobs = [dag_of(np.ones((1, 2)), []) for _ in range(3)]
    problem = problem_of(uniform_machines(2), jobs)
    for planner in PLANNERS.values():
        assert planner(problem, np.array([4.0, 0.5, 2.0]), Busy.nothing(2)).start_s.tolist() == [4.0, 0.5, 2.0]


def test_the_critical_paths_of_equal_jobs_are_spread_over_the_machines() -> None:
    chain = dag_of(np.ones((3, 4)), [(0, 1, 1.0), (1, 2, 1.0)])
    problem = problem_of(uniform_machines(4), [chain] * 3)
    reserved = busy_of([[], [(0.0, 1.5)], [], []])
    plan = plan_cpop(problem, np.zeros(3), reserved)
    assert plan.machine.reshape(3, 3).tolist() == [[0] * 3, [2] * 3, [3] * 3]


def test_of_equal_critical_paths_the_lowest_counts_whatever_the_rounding() -> None:
    # Task 0 of 0.3 s is as long as tasks 1 and 2 together, which is more by rounding.
    ways = dag_of(np.array([[0.3], [0.1], [0.2]]), [(1, 2, 0.0)])
    behind_one = dag_of(np.array([[0.3], [0.1], [0.2], [1.0]]), [(1, 2, 0.0), (3, 0, 0.0), (3, 1, 0.0)])
    for dag, expected in ((ways, [0]), (behind_one, [0, 3])):
        problem = problem_of(uniform_machines(1), [dag])
        assert np.flatnonzero(critical_path(problem, upward_rank(problem))).tolist() == expected


def test_a_critical_path_that_no_machine_can_run_as_a_whole_is_planned_like_the_rest() -> None:
    run_time_s = np.array([[1.0, np.inf], [np.inf, 1.0]])
    problem = problem_of(uniform_machines(2, latency_s=0.5), [dag_of(run_time_s, [(0, 1, 0.0)])])
    plan = plan_cpop(problem, np.zeros(1), Busy.nothing(2))
    assert (plan.machine.tolist(), plan.start_s.tolist()) == ([0, 1], [0.0, 1.5])


@pytest.mark.parametrize("name", PLANNERS)
def test_tasks_of_several_instances_are_refused_with_the_remedy(name: str) -> None:
    dag = dag_of(np.ones((2, 1)), [])
    several = type(dag)(dag.name, dag.tasks, dag.run_time_s, dag.edges, dag.data_bytes, np.array([1, 3]))
    problem = problem_of(uniform_machines(1), [several])
    with pytest.raises(ConfigError, match=r"node 1 has 3 instances.*plan expanded\(problem\)"):
        PLANNERS[name](problem, np.zeros(1), Busy.nothing(1))


def test_plans_do_not_depend_on_hashes() -> None:
    plans = {transcript_of_a_fresh_process(hash_seed) for hash_seed in ("0", "1")}
    assert plans == {transcript()}


def test_a_thousand_tasks_are_planned_on_64_machines_in_less_than_three_milliseconds() -> None:
    case = large_case(7, 1000, 64, jobs=1)
    times_s = []
    for _ in range(20):
        begin_s = time.perf_counter()
        plan_heft(*case)
        times_s.append(time.perf_counter() - begin_s)
    assert min(times_s) < 0.003


def transcript() -> str:
    plans = [planner(*large_case(5, 40, 5)) for planner in PLANNERS.values()]
    return "\n".join(f"{plan.machine.tolist()} {plan.start_s.tolist()}" for plan in plans)


def transcript_of_a_fresh_process(hash_seed: str) -> str:
    tests = os.path.dirname(__file__)
    code = f"import sys; sys.path.insert(0, {tests!r}); import test_heft; print(test_heft.transcript())"
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def assert_same(plan: Schedule, expected: Schedule) -> None:
    """To the last bit."""
    assert plan.machine.tolist() == expected.machine.tolist()
    assert plan.start_s.tolist() == expected.start_s.tolist()
    assert plan.finish_s.tolist() == expected.finish_s.tolist()
