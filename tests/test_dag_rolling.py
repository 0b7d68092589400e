"""CP-SAT as a scheduler of dependent tasks: what it plans happens, and a rolling horizon changes its mind in time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from dag_worlds import runs_of, workloads
from hypothesis import given, settings
from hypothesis import strategies as st
from random_dags import Case, cases, dag_of
from worlds import MANY

from clustersim.baselines.constraint_budget import Limits
from clustersim.baselines.dag_cp_sat import CpSatPlan, CpSatRolling
from clustersim.baselines.heft import plan_heft
from clustersim.baselines.job_by_job import plan_job_by_job
from clustersim.baselines.plan_policy import PlanPolicy
from clustersim.baselines.registry import team
from clustersim.dag_problem import problem_of
from clustersim.dag_schedule import Busy, why_invalid
from clustersim.dags import DagWorkload, uniform_machines
from clustersim.golden_dags import topcuoglu_2002
from clustersim.policy import Policy, run
from clustersim.scenarios.dag_scheduling import DagScheduling, DagSchedulingSimulation

SOME = settings(max_examples=25, deadline=None, derandomize=True)
SHORT = Limits(window_s=0.02)
TROUBLE = {"noise": 0.5, "failure_every_s": 4.0, "repair_s": 2.0}


def play(workload: DagWorkload, player: Policy, seed: int = 0, **trouble: Any) -> DagSchedulingSimulation:
    world = team("dag-scheduling", "cp-sat-rolling").world
    simulation = DagScheduling(lambda _: workload, **world, **trouble).build(seed)
    run(simulation, {"dispatch": player})
    ended = np.bincount(runs_of(simulation).node, minlength=len(simulation.problem))
    assert ended.tolist() == simulation.problem.instances.tolist()
    return simulation


@pytest.mark.parametrize("name", ["cp-sat", "cp-sat-rolling"])
def test_both_play_the_published_example_in_the_shortest_time(name: str) -> None:
    chosen = team("dag-scheduling", name)
    simulation = DagScheduling(lambda _: topcuoglu_2002(), **chosen.world).build(0)
    players = chosen.players()
    run(simulation, players)
    assert simulation.cost("makespan") == 73
    solver = players["dispatch"]
    assert isinstance(solver, CpSatPlan | CpSatRolling)
    assert [(found.status, found.bound_s) for found in solver.solutions] == [("OPTIMAL", 73.0)]


@given(workload=workloads())
@SOME
def test_a_plan_for_all_jobs_at_once_is_played_as_it_was_found(workload: DagWorkload) -> None:
    together = DagWorkload("together", workload.machines, workload.jobs, np.zeros(len(workload.jobs)))
    plan, rolling = CpSatPlan(SHORT), CpSatRolling(SHORT)
    assert play(together, plan).cost("makespan") <= plan.solutions[0].objective_s + 1e-9
    assert play(together, rolling).cost("job_time") <= rolling.solutions[0].objective_s + 1e-9
    assert play(together, plan).cost("makespan") <= play(together, PlanPolicy(plan_heft)).cost("makespan") + 1e-9


@given(workload=workloads())
@SOME
def test_what_is_planned_last_happens_amid_all_that_runs_already(workload: DagWorkload) -> None:
    rolling = CpSatRolling(SHORT)
    simulation = play(workload, rolling)
    last = rolling.solutions[-1]
    ends_s = simulation.done_s[jobs_with_something_left(simulation, workload.arrival_s[-1])]
    assert ends_s.sum() <= last.objective_s + 1e-9


def jobs_with_something_left(simulation: DagSchedulingSimulation, at_s: float) -> list[int]:
    """At least those of which something was planned then; a machine may have been held for a task before."""
    runs = runs_of(simulation)
    return sorted(set(simulation.problem.job_of[runs.node[runs.start_s >= at_s]].tolist()))


@given(workload=workloads(most_instances=3), seed=st.integers(0, 99))
@SOME
def test_whatever_happens_every_instance_of_every_task_ends_once(workload: DagWorkload, seed: int) -> None:
    play(workload, CpSatRolling(SHORT), seed, **TROUBLE)


def test_a_rolling_horizon_lets_a_short_job_pass() -> None:
    long = dag_of(np.full((2, 1), 10.0), [])
    short = dag_of(np.full((1, 1), 1.0), [])
    workload = DagWorkload("short after long", uniform_machines(1), (long, short), np.array([0.0, 1.0]))
    assert play(workload, CpSatPlan(SHORT)).cost("job_time") == 20 + 20
    assert play(workload, CpSatRolling(SHORT)).cost("job_time") == 21 + 10


def test_the_rolling_horizon_leaves_a_machine_that_is_down() -> None:
    task = dag_of(np.array([[10.0, 11.0]]), [])
    workload = DagWorkload("one task", uniform_machines(2), (task,), np.zeros(1))
    failing = [play(workload, CpSatRolling(SHORT), seed, failure_every_s=8.0, repair_s=50.0) for seed in range(5)]
    assert {int(runs_of(simulation).machine[-1]) for simulation in failing} == {0, 1}


@given(case=cases())
@MANY
def test_jobs_one_behind_another_are_a_valid_plan(case: Case) -> None:
    assert why_invalid(case.problem, plan_job_by_job(*case), case.release_s, case.busy) == ""


def test_jobs_one_behind_another_begin_with_the_least_work() -> None:
    jobs = [dag_of(np.full((tasks, 1), 2.0), []) for tasks in (3, 1, 2)]
    problem = problem_of(uniform_machines(1), jobs)
    plan = plan_job_by_job(problem, np.zeros(3), Busy.nothing(1))
    assert problem.job_of[np.argsort(plan.start_s)].tolist() == [1, 2, 2, 0, 0, 0]
