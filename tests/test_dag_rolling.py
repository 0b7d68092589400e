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
from clustersim.baselines.dag_remaining import remaining
from clustersim.baselines.heft import plan_heft
from clustersim.baselines.job_by_job import plan_job_by_job
from clustersim.baselines.plan_policy import PlanPolicy
from clustersim.baselines.registry import team
from clustersim.control import Decision
from clustersim.dag_problem import problem_of
from clustersim.dag_schedule import Busy, why_invalid
from clustersim.dag_state import NOBODY, DagState, mark_pairs
from clustersim.dags import Dag, DagWorkload, uniform_machines
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


class Stage:
    """A state that tests change by hand, in place of a simulation."""

    def __init__(self, jobs: list[Dag]) -> None:
        self.problem = problem_of(uniform_machines(2, bytes_per_s=1.0), jobs)
        self.state = DagState(self.problem, np.zeros(len(jobs)), 0.0)
        self.policy = CpSatRolling(SHORT)
        self.policy.reset(np.random.default_rng(0))

    def hand_out(self, node: int, machine: int, until_s: float) -> None:
        self.state.reserve(node)
        self.state.open[machine], self.state.tail_node[machine] = False, node
        self.state.free_at_s[machine] = until_s

    def answer(self, now_s: float) -> int:
        """The next pair, which starts at once; -1 for waiting."""
        state, pairs = self.state, 2 * len(self.problem)
        mask = np.ones(pairs + 1, dtype=np.bool_)
        mark_pairs(state.ready, state.ready_count, self.problem.run_time_s, state.up, mask[:pairs])
        pair = self.policy.act(Decision("dispatch", "scheduler", now_s, None, mask, state.view))
        if pair == pairs:
            return -1
        node, machine = divmod(pair, 2)
        self.hand_out(node, machine, now_s + self.problem.run_time_s[node, machine])
        state.start(node)
        return pair


def test_what_is_left_waits_for_what_runs_and_for_its_data() -> None:
    stage = Stage([dag_of(np.full((3, 2), 2.0), [(0, 1, 4.0), (1, 2, 5.0)])])
    stage.state.admit(0)
    stage.hand_out(0, 0, until_s=3.0)
    stage.state.start(0)
    left = remaining(stage.state.view, 1.0, np.array([0, NOBODY]))
    assert left is not None
    assert left.origin.tolist() == [1, 2]
    assert left.data_at_s.tolist() == [[3.0, 7.0], [0.0, 0.0]]
    assert left.problem.pred_bytes.tolist() == [5.0]
    assert (left.release_s.tolist(), left.busy.count.tolist(), left.busy.finish_s[0, 0]) == ([1.0], [1, 0], 3.0)


def test_what_a_machine_holds_for_its_data_is_not_left() -> None:
    stage = Stage([dag_of(np.full((2, 2), 2.0), [])])
    stage.state.admit(0)
    stage.hand_out(1, 0, until_s=9.0)
    left = remaining(stage.state.view, 1.0, np.array([1, NOBODY]))
    assert left is not None
    assert left.origin.tolist() == [0]
    stage.hand_out(0, 1, until_s=9.0)
    assert remaining(stage.state.view, 1.0, np.array([1, 0])) is None


def test_instances_that_are_left_send_and_get_their_share() -> None:
    job = dag_of(np.full((2, 2), 2.0), [(0, 1, 12.0)])
    stage = Stage([Dag("job", job.tasks, job.run_time_s, job.edges, job.data_bytes, np.array([3, 2]))])
    stage.state.admit(0)
    stage.hand_out(0, 0, until_s=2.0)
    stage.state.start(0)
    left = remaining(stage.state.view, 0.0, np.array([0, NOBODY]))
    assert left is not None
    assert left.origin.tolist() == [0, 0, 1, 1, -1]
    # Two instances send 4 bytes each to a barrier, from which each of two gets 4; the third sends 2 to each.
    assert left.problem.pred_bytes.tolist() == [4.0, 4.0, 4.0, 4.0]
    assert left.data_at_s.tolist() == [[0.0, 0.0], [0.0, 0.0], [2.0, 4.0], [2.0, 4.0], [0.0, 0.0]]


def test_a_machine_that_is_back_is_planned_with_at_once() -> None:
    stage = Stage([dag_of(np.full((3, 2), 2.0), [])])
    stage.state.admit(0)
    stage.state.up[1] = stage.state.open[1] = False
    assert [stage.answer(0.0), stage.answer(0.0)] == [0, -1]
    stage.state.up[1] = stage.state.open[1] = True
    assert [stage.answer(1.0), stage.answer(1.0)] == [3, -1]
    assert len(stage.policy.solutions) == 2


def test_what_is_lost_is_planned_again_and_once() -> None:
    stage = Stage([dag_of(np.full((3, 2), 2.0), [])])
    stage.state.admit(0)
    assert [stage.answer(0.0), stage.answer(0.0), stage.answer(0.0)] == [0, 3, -1]
    stage.state.lose(1)
    stage.state.up[1] = stage.state.open[1] = False
    stage.state.tail_node[1] = NOBODY
    assert [stage.answer(1.0), stage.answer(1.0)] == [-1, -1]
    stage.state.end(0, 0, 2.0)
    stage.state.open[0] = True
    assert stage.answer(2.0) == 2
    assert len(stage.policy.solutions) == 2


@given(case=cases())
@MANY
def test_jobs_one_behind_another_are_a_valid_plan(case: Case) -> None:
    assert why_invalid(case.problem, plan_job_by_job(*case), case.release_s, case.busy) == ""


def test_jobs_one_behind_another_begin_with_the_least_work() -> None:
    jobs = [dag_of(np.full((tasks, 1), 2.0), []) for tasks in (3, 1, 2)]
    problem = problem_of(uniform_machines(1), jobs)
    plan = plan_job_by_job(problem, np.zeros(3), Busy.nothing(1))
    assert problem.job_of[np.argsort(plan.start_s)].tolist() == [1, 2, 2, 0, 0, 0]
