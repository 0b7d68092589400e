"""What makes a schedule valid, and problems with one node per instance."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_dags import busy_of, dag_of, machines_of
from worlds import MANY

from clustersim.baselines.heft import plan_heft
from clustersim.dag_problem import DagProblem, problem_of
from clustersim.dag_schedule import Busy, Schedule, check_plannable, expanded, why_invalid
from clustersim.dags import Dag, uniform_machines
from clustersim.errors import ConfigError


def pair() -> DagProblem:
    """Node 0 takes 2 s and sends node 1, of 3 s, what takes 4 s to another machine; machine 1 cannot run node 1."""
    latency_s = np.array([[0.0, 1.0, 1.0], [1.0, 0.0, 1.0], [1.0, 1.0, 0.0]])
    run_time_s = np.array([[2.0, 2.0, 2.0], [3.0, np.inf, 3.0]])
    return problem_of(machines_of(latency_s, 0.5 * latency_s), [dag_of(run_time_s, [(0, 1, 6.0)])])


def plan_of(*places: tuple[int, float, float]) -> Schedule:
    machine, start_s, finish_s = zip(*places, strict=True)
    return Schedule(np.array(machine), np.array(start_s, dtype=np.float64), np.array(finish_s, dtype=np.float64))


def fault(
    *places: tuple[int, float, float], release_s: float = 0.0, busy: list[list[tuple[float, float]]] | None = None
) -> str:
    reserved = busy_of(busy) if busy else Busy.nothing(3)
    return why_invalid(pair(), plan_of(*places), np.array([release_s]), reserved)


def test_a_valid_schedule_has_no_fault() -> None:
    assert fault((0, 0, 2), (0, 2, 5)) == ""
    assert fault((0, 0, 2), (2, 6, 9)) == ""
    assert fault((0, 1, 3), (0, 4, 7), release_s=1, busy=[[(0, 1), (3, 4), (7, 9)], [], []]) == ""
    assert plan_of((0, 0, 2), (2, 6, 9)).makespan_s == 9


@pytest.mark.parametrize(
    ("why", "places"),
    [
        ("node 1 starts at 5.0 s on machine 2, but the data of node 0.* arrive at 6.0 s", [(0, 0, 2), (2, 5, 8)]),
        ("node 1 starts at 1.5 s on machine 0, but the data of node 0.* arrive at 2.0 s", [(0, 0, 2), (0, 1.5, 4.5)]),
        ("node 1 .* machine 1 cannot run it", [(0, 0, 2), (1, 6, 9)]),
        ("node 0 runs from 0.0 to 1.0 s, but it takes 2.0 s on machine 0", [(0, 0, 1), (0, 2, 5)]),
        ("node 0 .* it takes 2.0 s on machine 0", [(0, 0, 3), (0, 3, 6)]),
        ("node 1 runs on machine 3; there are 3", [(0, 0, 2), (3, 2, 5)]),
        ("node 0 runs on machine -1; there are 3", [(-1, 0, 2), (0, 2, 5)]),
        ("node 1 .* have to be finite", [(0, 0, 2), (0, np.inf, np.inf)]),
        ("node 0 .* have to be finite", [(0, np.nan, 2), (0, 2, 5)]),
        ("machine has the shape \\(1,\\) for 2 nodes", [(0, 0, 2)]),
    ],
)
def test_each_fault_is_named_with_its_numbers(why: str, places: list[tuple[int, float, float]]) -> None:
    assert re.search(why, fault(*places)), fault(*places)


def test_a_start_before_the_release_is_a_fault() -> None:
    assert (
        fault((0, 0.5, 2.5), (0, 2.5, 5.5), release_s=1.0)
        == "node 0 runs from 0.5 to 2.5 s, but its job is released at 1.0 s"
    )


@pytest.mark.parametrize("reserved", [(1.0, 3.0), (-1.0, 1.0), (0.5, 1.0), (-1.0, 9.0)])
def test_a_node_during_a_reservation_is_a_fault(reserved: tuple[float, float]) -> None:
    assert "what is reserved" in fault((0, 0, 2), (2, 6, 9), busy=[[reserved], [], []])
    assert fault((0, 0, 2), (2, 6, 9), busy=[[], [reserved], []]) == ""


@pytest.mark.parametrize(
    ("run_time_s", "start_s", "valid"),
    [
        ((2.0, 2.0), (0.0, 2.0), True),
        ((2.0, 2.0), (0.0, 1.0), False),
        ((2.0, 2.0), (1.0, 1.0), False),
        ((4.0, 1.0), (0.0, 2.0), False),
        ((4.0, 0.0), (0.0, 0.0), True),
        ((4.0, 0.0), (0.0, 4.0), True),
        ((4.0, 0.0), (0.0, 2.0), False),
        ((0.0, 0.0), (2.0, 2.0), True),
        ((4.0, 0.0), (0.0, 1e-12), True),
        ((2.0, 2.0), (0.0, 2.0 - 1e-12), True),
        ((2.0, 2.0), (0.0, 2.0 - 1e-6), False),
    ],
)
def test_a_machine_runs_one_node_at_a_time(
    run_time_s: tuple[float, float], start_s: tuple[float, float], valid: bool
) -> None:
    for turn in (1, -1):
        runs, starts = np.array(run_time_s[::turn]), np.array(start_s[::turn])
        problem = problem_of(uniform_machines(1), [dag_of(runs[:, None], [])])
        plan = Schedule(np.zeros(2, dtype=np.int64), starts, starts + runs)
        assert (why_invalid(problem, plan, np.zeros(1), Busy.nothing(1)) == "") is valid


@MANY
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 8), st.integers(0, 4)), min_size=1, max_size=8))
def test_exclusivity_is_what_a_comparison_of_all_pairs_says(places: list[tuple[int, int, int]]) -> None:
    machine, start_s, run_s = (np.array(column, dtype=np.int64) for column in zip(*places, strict=True))
    problem = problem_of(uniform_machines(2), [dag_of(np.repeat(run_s[:, None], 2, axis=1), [])])
    plan = Schedule(machine, start_s.astype(np.float64), (start_s + run_s).astype(np.float64))
    apart = all(
        machine[a] != machine[b] or plan.finish_s[a] <= start_s[b] or plan.finish_s[b] <= start_s[a]
        for a in range(len(places))
        for b in range(a)
    )
    assert (why_invalid(problem, plan, np.zeros(1), Busy.nothing(2)) == "") is apart


def test_the_tolerance_grows_with_the_times() -> None:
    problem = problem_of(uniform_machines(1), [dag_of(np.ones((2, 1)), [])])
    for now_s, valid in ((0.0, False), (1e6, True)):
        plan = plan_of((0, now_s, now_s + 1), (0, now_s + 1 - 1e-5, now_s + 2 - 1e-5))
        assert (why_invalid(problem, plan, np.zeros(1), Busy.nothing(1)) == "") is valid


def stages(instances: list[int], edges: list[tuple[int, int, float]], warm_up_s: float = 0.0) -> Dag:
    run_time_s = 1.0 + np.arange(len(instances))[:, None] + np.zeros(2)
    plain = dag_of(run_time_s, edges)
    count = np.array(instances, dtype=np.int64)
    return Dag("job", plain.tasks, run_time_s, plain.edges, plain.data_bytes, count, np.full(len(instances), warm_up_s))


def edges_of(problem: DagProblem) -> list[tuple[int, int, float]]:
    sources = np.repeat(np.arange(len(problem)), np.diff(problem.succ_start))
    return list(zip(sources.tolist(), problem.succ.tolist(), problem.succ_bytes.tolist(), strict=True))


def test_an_expanded_problem_has_one_node_per_instance() -> None:
    problem = problem_of(uniform_machines(2), [stages([1, 3, 1], [(0, 1, 6.0), (1, 2, 12.0)]), stages([2], [])])
    larger, origin = expanded(problem)
    assert origin.tolist() == [0, 1, 1, 1, 2, 3, 3]
    assert larger.first_node.tolist() == [0, 5, 7]
    assert larger.run_time_s[:, 0].tolist() == [1, 2, 2, 2, 3, 1, 1]
    assert edges_of(larger) == [(0, 1, 2), (0, 2, 2), (0, 3, 2), (1, 4, 4), (2, 4, 4), (3, 4, 4)]
    check_plannable(larger)


def test_a_barrier_lies_between_two_tasks_of_several_instances() -> None:
    problem = problem_of(uniform_machines(2), [stages([1], []), stages([2, 3], [(0, 1, 6.0)])])
    larger, origin = expanded(problem)
    assert origin.tolist() == [0, 1, 1, 2, 2, 2, -1]
    assert larger.run_time_s[6].tolist() == [0, 0]
    assert edges_of(larger) == [(1, 6, 3), (2, 6, 3), (6, 3, 2), (6, 4, 2), (6, 5, 2)]
    assert larger.job_of.tolist() == [0, 1, 1, 1, 1, 1, 1]


@pytest.mark.parametrize(("instances", "share_s"), [(1, 6.0), (2, 6.0), (3, 4.0), (4, 3.0)])
def test_instances_share_the_warm_ups_of_all_machines(instances: int, share_s: float) -> None:
    larger, _ = expanded(problem_of(uniform_machines(2), [stages([instances], [], warm_up_s=6.0)]))
    assert larger.run_time_s.tolist() == [[1 + share_s] * 2] * instances
    assert not larger.warm_up_s.any()


def test_a_problem_without_instances_stays_as_it_is() -> None:
    problem = pair()
    larger, origin = expanded(problem)
    assert larger is problem
    assert origin.tolist() == [0, 1]


def test_an_expanded_problem_can_be_planned() -> None:
    problem = problem_of(uniform_machines(2), [stages([2, 4], [(0, 1, 0.0)])])
    with pytest.raises(ConfigError, match="node 0 has 2 instances"):
        check_plannable(problem)
    larger, _ = expanded(problem)
    plan = plan_heft(larger, np.zeros(1), Busy.nothing(2))
    assert why_invalid(larger, plan, np.zeros(1), Busy.nothing(2)) == ""
    assert plan.makespan_s == 1 + 2 * 2


def test_a_warm_up_is_refused_by_planners() -> None:
    with pytest.raises(ConfigError, match=r"node 0 has 1 instances and 2.0 s of warm-up.*expanded\(problem\)"):
        check_plannable(problem_of(uniform_machines(2), [stages([1], [], warm_up_s=2.0)]))
