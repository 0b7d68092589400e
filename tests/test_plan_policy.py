"""Plans are played as they stand: what was planned happens, and nothing brings it to a halt."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from dag_worlds import runs_of, workloads
from hypothesis import given
from hypothesis import strategies as st
from worlds import FEW, MANY

from clustersim.baselines.cpop import plan_cpop
from clustersim.baselines.heft import plan_heft
from clustersim.baselines.lookahead_heft import plan_lookahead_heft
from clustersim.baselines.peft import plan_peft
from clustersim.baselines.plan_policy import PlanPolicy
from clustersim.baselines.registry import team
from clustersim.control import Decision
from clustersim.dag_part import jobs_alone
from clustersim.dag_problem import DagProblem, Floats, problem_of
from clustersim.dag_schedule import Busy, Planner, Schedule, why_invalid
from clustersim.dag_state import NOBODY, DagState, mark_pairs
from clustersim.dags import Dag, DagWorkload, batch, uniform_machines
from clustersim.golden_dags import insertion_5, topcuoglu_2002
from clustersim.policy import run
from clustersim.scenarios.dag_scheduling import DagScheduling, DagSchedulingSimulation

PLANNERS = (plan_heft, plan_cpop, plan_peft, plan_lookahead_heft)
TROUBLE = {"noise": 0.5, "failure_every_s": 4.0, "repair_s": 2.0, "slowdown_every_s": 5.0, "slowdown_s": 2.0}


class Recorder:
    """A planner that remembers what it was asked and what it answered."""

    def __init__(self, planner: Planner) -> None:
        self.planner = planner
        self.calls: list[tuple[DagProblem, Floats, Busy, Schedule]] = []

    def __call__(self, problem: DagProblem, release_s: Floats, busy: Busy) -> Schedule:
        schedule = self.planner(problem, release_s, busy)
        self.calls.append((problem, release_s, busy, schedule))
        return schedule

    def planned(self) -> Schedule:
        """All calls one behind another, which is the numbering of the whole problem."""
        plans = [schedule for *_, schedule in self.calls]
        return Schedule(
            np.concatenate([plan.machine for plan in plans]),
            np.concatenate([plan.start_s for plan in plans]),
            np.concatenate([plan.finish_s for plan in plans]),
        )


def play(workload: DagWorkload, planner: Planner, seed: int = 0, **trouble: Any) -> DagSchedulingSimulation:
    world = team("dag-scheduling", "heft").world
    simulation = DagScheduling(lambda _: workload, **world, **trouble).build(seed)
    run(simulation, {"dispatch": PlanPolicy(planner)})
    assert simulation.metrics()["jobs_done"] == len(workload.jobs)
    return simulation


@pytest.mark.parametrize(
    ("workload", "planner", "makespan_s"),
    [(topcuoglu_2002(), plan_heft, 80), (topcuoglu_2002(), plan_cpop, 86), (insertion_5(), plan_heft, 6)],
)
def test_the_published_makespans_come_out_of_the_simulation(
    workload: DagWorkload, planner: Planner, makespan_s: float
) -> None:
    assert play(workload, planner).cost("makespan") == makespan_s


@pytest.mark.parametrize("planner", PLANNERS)
@given(workload=workloads())
@MANY
def test_without_noise_every_task_runs_when_and_where_it_was_planned(planner: Planner, workload: DagWorkload) -> None:
    recorder = Recorder(planner)
    runs = runs_of(play(workload, recorder))
    planned = recorder.planned()
    order = np.argsort(runs.node)
    assert runs.machine[order].tolist() == planned.machine.tolist()
    assert runs.start_s[order] == pytest.approx(planned.start_s)
    assert runs.finish_s[order] == pytest.approx(planned.finish_s)


@given(workload=workloads())
@MANY
def test_jobs_are_planned_together_when_they_come_together_and_around_what_was_planned_before(
    workload: DagWorkload,
) -> None:
    recorder = Recorder(plan_heft)
    play(workload, recorder)
    arrivals_s, jobs = np.unique(workload.arrival_s, return_counts=True)
    assert [(call[1][0], len(call[1])) for call in recorder.calls] == list(zip(arrivals_s, jobs, strict=True))
    assert [why_invalid(*call[:1], call[3], call[1], call[2]) for call in recorder.calls] == [""] * len(jobs)
    for machine in range(len(workload.machines)):
        planned = recorder.planned()
        here = np.flatnonzero(planned.machine == machine)
        here = here[np.lexsort((planned.finish_s[here], planned.start_s[here]))]
        assert (planned.start_s[here][1:] >= planned.finish_s[here][:-1] - 1e-9).all()


@given(workload=workloads(), seed=st.integers(0, 99))
@MANY
def test_in_trouble_machines_keep_their_tasks_and_their_order(workload: DagWorkload, seed: int) -> None:
    recorder = Recorder(plan_heft)
    one_arrival = DagWorkload("batch", workload.machines, workload.jobs, np.zeros(len(workload.jobs)))
    runs = runs_of(play(one_arrival, recorder, seed, **TROUBLE))
    planned = recorder.planned()
    assert sorted(runs.node) == list(range(len(planned.machine)))
    for machine in range(len(workload.machines)):
        here = runs.node[runs.machine == machine]
        assert (planned.machine[here] == machine).all()
        assert (np.diff(planned.start_s[here]) >= -1e-9).all()


@given(workload=workloads(most_instances=3), seed=st.integers(0, 99))
@MANY
def test_whatever_happens_every_instance_of_every_task_ends_once(workload: DagWorkload, seed: int) -> None:
    simulation = play(workload, plan_heft, seed, **TROUBLE)
    ended = np.bincount(runs_of(simulation).node, minlength=len(simulation.problem))
    assert ended.tolist() == simulation.problem.instances.tolist()


@given(workload=workloads(most_instances=2), seed=st.integers(0, 99))
@FEW
def test_even_a_plan_made_of_nonsense_comes_to_an_end(workload: DagWorkload, seed: int) -> None:
    rng = np.random.default_rng(seed)

    def nonsense(problem: DagProblem, release_s: Floats, busy: Busy) -> Schedule:
        able = [rng.choice(np.flatnonzero(row < np.inf)) for row in problem.run_time_s]
        times_s = rng.integers(0, 3, (2, len(problem))).astype(np.float64)
        return Schedule(np.array(able), *times_s)

    play(workload, nonsense, seed, **TROUBLE)


def test_a_task_waits_for_its_machine_to_be_repaired() -> None:
    run_time_s = np.array([[10.0, 11.0]])
    job = Dag("job", ("only",), run_time_s, np.zeros((0, 2), dtype=np.int64), np.zeros(0))
    workload = batch("one task", uniform_machines(2), [job])
    failing = [play(workload, plan_heft, seed, failure_every_s=8.0, repair_s=50.0) for seed in range(5)]
    assert sum(simulation.lost_instances for simulation in failing) > 0
    assert all(runs_of(simulation).machine.tolist() == [0] for simulation in failing)


def test_only_as_many_instances_go_back_as_were_lost() -> None:
    """Both machines fail, but one had ended its instance: what comes next on the other must not wait for a third."""
    job = Dag("job", ("a", "b"), np.ones((2, 2)), np.zeros((0, 2), dtype=np.int64), np.zeros(0), np.array([2, 2]))
    problem = problem_of(uniform_machines(2), [job])
    state = DagState(problem, np.zeros(1), 0.0)
    state.admit(0)
    policy = PlanPolicy(plan_heft)
    policy.reset(np.random.default_rng(0))

    def answer() -> int:
        mask = np.zeros(5, dtype=np.bool_)
        mask[4] = True
        mark_pairs(state.ready, state.ready_count, problem.run_time_s, state.up, mask[:4])
        pair = policy.act(Decision("dispatch", "scheduler", 0.0, None, mask, state.view))
        if pair < 4:
            node, machine = divmod(pair, 2)
            state.reserve(node)
            state.start(node)
            state.open[machine], state.tail_node[machine] = False, node
        return pair

    assert [answer(), answer(), answer()] == [0, 1, 4]
    state.end(0, 0, 1.0)
    state.lose(0)
    state.tail_node[:], state.open[:] = NOBODY, True
    assert [answer(), answer(), answer()] == [0, 3, 4]


def test_a_policy_that_played_before_plays_like_a_fresh_one() -> None:
    policy = PlanPolicy(plan_heft)
    lines = []
    for workload in (topcuoglu_2002(), insertion_5(), topcuoglu_2002()):
        simulation = DagScheduling(lambda _, w=workload: w, **team("dag-scheduling", "heft").world).build(0)
        run(simulation, {"dispatch": policy})
        lines.append(simulation.log.lines())
    assert lines[0] == lines[2]


@given(workload=workloads(most_instances=2, most_jobs=4), cut=st.tuples(st.integers(0, 3), st.integers(0, 3)))
@FEW
def test_some_jobs_alone_are_the_problem_of_these_jobs(workload: DagWorkload, cut: tuple[int, int]) -> None:
    first = min(*cut, len(workload.jobs) - 1)
    end = max(first + 1, min(max(cut) + 1, len(workload.jobs)))
    part = jobs_alone(problem_of(workload.machines, workload.jobs), first, end)
    alone = problem_of(workload.machines, workload.jobs[first:end])
    for name in DagProblem.__slots__:
        assert np.array_equal(getattr(part, name), getattr(alone, name)), name
