"""Jobs of dependent tasks: what is refused, and the arrays that schedulers plan over."""

from __future__ import annotations

from typing import Any

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_dags import Case, cases, dag_of, machines_of
from worlds import FEW, MANY

from clustersim.dag_problem import critical_path_s, problem_of, tail_s
from clustersim.dags import Dag, DagWorkload, Machines, batch, find_cycle, uniform_machines
from clustersim.errors import ConfigError


def job(**changes: Any) -> Dag:
    """Three tasks in a row on two machines, with some fields changed."""
    fields: dict[str, Any] = {
        "name": "etl",
        "tasks": ("read", "sort", "write"),
        "run_time_s": np.ones((3, 2)),
        "edges": np.array([[0, 1], [1, 2]]),
        "data_bytes": np.array([5.0, 7.0]),
    }
    return Dag(**(fields | changes))


def times(row: list[float]) -> np.ndarray:
    return np.array([[1.0, 1.0], row, [1.0, 1.0]])


@pytest.mark.parametrize(
    ("why", "changes"),
    [
        (
            "in a cycle: read -> sort -> write -> read$",
            {"edges": np.array([[1, 2], [2, 0], [0, 1]]), "data_bytes": np.ones(3)},
        ),
        ("in a cycle: sort -> sort$", {"edges": np.array([[0, 1], [1, 1]])}),
        ("edge \\(1, 3\\) leads to a task that is missing; there are 3", {"edges": np.array([[0, 1], [1, 3]])}),
        ("edge \\(-1, 2\\) leads to a task that is missing", {"edges": np.array([[0, 1], [-1, 2]])}),
        ("the edge from 'sort' to 'write' is listed twice", {"edges": np.array([[1, 2], [1, 2]])}),
        ("the edge from 'read' to 'sort' is listed twice", {"edges": np.array([[0, 1], [0, 1]])}),
        ("two tasks are called 'read'", {"tasks": ("read", "sort", "read")}),
        ("task 'sort' has no machine that can run it", {"run_time_s": times([np.inf, np.inf])}),
        ("task 'sort' has a run time that is negative or missing", {"run_time_s": times([1.0, -1.0])}),
        ("task 'sort' has a run time that is negative or missing", {"run_time_s": times([np.nan, 1.0])}),
        ("task 'write' has no instances; it needs at least 1", {"instances": np.array([1, 2, 0])}),
        ("task 'read' has a warm-up that is negative or missing", {"warm_up_s": np.array([-1.0, 0, 0])}),
        ("task 'read' has a warm-up that is negative or missing", {"warm_up_s": np.array([np.inf, 0, 0])}),
        ("from 'read' to 'sort' are -5.0 bytes", {"data_bytes": np.array([-5.0, 7.0])}),
        ("from 'sort' to 'write' are nan bytes", {"data_bytes": np.array([5.0, np.nan])}),
        ("it has no tasks", {"tasks": (), "run_time_s": np.ones((0, 2))}),
        ("run_time_s has the shape \\(2, 2\\) for 3 tasks", {"run_time_s": np.ones((2, 2))}),
        ("edges have the shape \\(2, 2\\) and data_bytes \\(3,\\)", {"data_bytes": np.ones(3)}),
        ("instances and warm_up_s have to have the shape \\(3,\\)", {"instances": np.ones(2, dtype=np.int64)}),
    ],
)
def test_each_fault_of_a_job_is_named(why: str, changes: dict[str, Any]) -> None:
    job()
    with pytest.raises(ConfigError, match="^job 'etl': .*" + why):
        job(**changes)


@MANY
@given(st.integers(1, 7).flatmap(lambda n: st.tuples(st.just(n), st.lists(st.tuples(*[st.integers(0, n - 1)] * 2)))))
def test_a_cycle_is_found_where_there_is_one(graph: tuple[int, list[tuple[int, int]]]) -> None:
    count, edges = graph
    cycle = find_cycle(count, np.array(edges, dtype=np.int64).reshape(-1, 2))
    assert bool(cycle) is not nx.is_directed_acyclic_graph(nx.DiGraph(edges))
    assert all(step in edges for step in zip(cycle, cycle[1:] + cycle[:1], strict=True))
    assert len(set(cycle)) == len(cycle)
    assert cycle[:1] == sorted(cycle)[:1]


def test_a_long_chain_is_no_problem() -> None:
    count = 20_000
    chain = np.stack([np.arange(count - 1), np.arange(1, count)], axis=1)
    assert find_cycle(count, chain) == []
    assert len(find_cycle(count, np.concatenate([chain, [[count - 1, 0]]]))) == count


def test_a_job_has_one_instance_of_each_task_and_no_warm_up_unless_told() -> None:
    assert job().instances.tolist() == [1, 1, 1]
    assert job().warm_up_s.tolist() == [0, 0, 0]
    assert len(job()) == 3


def test_uniform_machines_have_the_same_link_between_any_two() -> None:
    machines = uniform_machines(3, latency_s=0.5, bytes_per_s=4.0)
    assert machines.latency_s.tolist() == [[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]
    assert machines.s_per_byte.tolist() == [[0, 0.25, 0.25], [0.25, 0, 0.25], [0.25, 0.25, 0]]
    assert machines.names == ("m0", "m1", "m2")
    assert not uniform_machines(2).s_per_byte.any()


@pytest.mark.parametrize(
    ("why", "changes"),
    [
        ("two machines are called 'a'", {"names": ("a", "a")}),
        ("kinds of 2 machines has the shape \\(1,\\) instead of \\(2,\\)", {"kinds": ("x",)}),
        ("latency_s of 2 machines has the shape \\(3, 3\\)", {"latency_s": np.zeros((3, 3))}),
        ("latency_s has to be finite, at least 0, and 0 between a machine and itself", {"latency_s": np.ones((2, 2))}),
        ("s_per_byte has to be finite", {"s_per_byte": np.array([[0.0, -1.0], [1.0, 0.0]])}),
        ("s_per_byte has to be finite", {"s_per_byte": np.array([[0.0, np.inf], [1.0, 0.0]])}),
        ("latency_s has to be finite", {"latency_s": np.array([[0.0, np.nan], [1.0, 0.0]])}),
        ("busy_w of machine 'b' is -1.0; it has to be >= 0", {"busy_w": np.array([1.0, -1.0])}),
        ("idle_w of machine 'a' is nan", {"idle_w": np.array([np.nan, 1.0])}),
        ("1 lists of operating points were given for 2 machines", {"operating_points": ((),)}),
    ],
)
def test_each_fault_of_machines_is_named(why: str, changes: dict[str, Any]) -> None:
    fields: dict[str, Any] = {
        "names": ("a", "b"),
        "kinds": ("x", "x"),
        "latency_s": np.zeros((2, 2)),
        "s_per_byte": np.zeros((2, 2)),
        "busy_w": np.ones(2),
        "idle_w": np.ones(2),
    }
    assert len(Machines(**fields)) == 2
    with pytest.raises(ConfigError, match=why):
        Machines(**(fields | changes))


def test_there_has_to_be_a_machine() -> None:
    with pytest.raises(ConfigError, match="there are no machines; give at least one"):
        uniform_machines(0)


@pytest.mark.parametrize(
    ("why", "changes"),
    [
        ("has no jobs", {"jobs": ()}),
        ("has 2 jobs and arrival times of shape \\(1,\\)", {"arrival_s": np.zeros(1)}),
        ("arrival_s has to be finite, at least 0 and nondecreasing", {"arrival_s": np.array([1.0, 0.5])}),
        ("arrival_s has to be finite", {"arrival_s": np.array([-1.0, 0.5])}),
        ("arrival_s has to be finite", {"arrival_s": np.array([0.0, np.inf])}),
        ("switch_s is -1.0; it has to be at least 0", {"switch_s": -1.0}),
        ("switch_s is nan", {"switch_s": np.nan}),
        ("job 'etl' has run times for 2 machines, workload 'w' has 3", {"machines": uniform_machines(3)}),
    ],
)
def test_each_fault_of_a_workload_is_named(why: str, changes: dict[str, Any]) -> None:
    fields: dict[str, Any] = {
        "name": "w",
        "machines": uniform_machines(2),
        "jobs": (job(), job()),
        "arrival_s": np.array([0.0, 0.5]),
    }
    DagWorkload(**fields)
    with pytest.raises(ConfigError, match=why):
        DagWorkload(**(fields | changes))


def test_a_batch_arrives_at_once() -> None:
    assert batch("b", uniform_machines(2), [job(), job()]).arrival_s.tolist() == [0, 0]


def test_a_problem_numbers_the_tasks_of_all_jobs_one_after_another() -> None:
    run_time_s = np.array([[2.0, 4.0], [np.inf, 3.0], [1.0, 1.0]])
    first = dag_of(run_time_s, [(2, 1, 5.0), (0, 1, 7.0), (2, 0, 9.0)])
    problem = problem_of(uniform_machines(2), [first, job(run_time_s=np.full((3, 2), 8.0))])
    assert len(problem) == 6
    assert problem.machines == 2
    assert problem.first_node.tolist() == [0, 3, 6]
    assert problem.job_of.tolist() == [0, 0, 0, 1, 1, 1]
    assert problem.mean_run_time_s.tolist() == [3, 3, 1, 8, 8, 8]
    assert problem.pred_start.tolist() == [0, 1, 3, 3, 3, 4, 5]
    assert problem.pred.tolist() == [2, 0, 2, 3, 4]
    assert problem.pred_bytes.tolist() == [9, 7, 5, 5, 7]
    assert problem.succ_start.tolist() == [0, 1, 1, 3, 4, 5, 5]
    assert problem.succ.tolist() == [1, 0, 1, 4, 5]
    assert problem.succ_bytes.tolist() == [7, 9, 5, 5, 7]
    assert problem.order.tolist() == [2, 0, 1, 3, 4, 5]
    with pytest.raises(ValueError, match="read-only"):
        problem.run_time_s[0, 0] = 1.0


def test_the_mean_link_is_over_pairs_of_different_machines() -> None:
    latency_s = np.array([[0.0, 1.0, 2.0], [3.0, 0.0, 4.0], [5.0, 6.0, 0.0]])
    problem = problem_of(machines_of(latency_s, 2 * latency_s), [dag_of(np.ones((1, 3)), [])])
    assert (problem.mean_latency_s, problem.mean_s_per_byte) == (3.5, 7)
    alone = problem_of(uniform_machines(1, latency_s=1.0), [dag_of(np.ones((1, 1)), [])])
    assert (alone.mean_latency_s, alone.mean_s_per_byte) == (0, 0)


@FEW
@given(case=cases())
def test_the_order_of_a_problem_is_the_first_topological_one(case: Case) -> None:
    problem = case.problem
    targets = np.repeat(np.arange(len(problem)), np.diff(problem.pred_start))
    graph = nx.DiGraph()
    graph.add_nodes_from(range(len(problem)))
    graph.add_edges_from(zip(problem.pred.tolist(), targets.tolist(), strict=True))
    assert problem.order.tolist() == list(nx.lexicographical_topological_sort(graph))


def test_the_critical_path_takes_the_fastest_machines_and_no_time_for_data() -> None:
    run_time_s = np.array([[2.0, 4.0], [np.inf, 3.0], [1.0, 1.0]])
    first = dag_of(run_time_s, [(0, 1, 5.0), (2, 1, 7.0)])
    problem = problem_of(uniform_machines(2, bytes_per_s=1.0), [first, job()])
    assert tail_s(problem).tolist() == [5, 3, 4, 3, 2, 1]
    assert critical_path_s(problem).tolist() == [5, 3]


@pytest.mark.parametrize(("instances", "rounds"), [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3)])
def test_more_instances_than_machines_run_in_rounds_of_which_one_is_warmed_up(instances: int, rounds: int) -> None:
    dag = job(instances=np.array([1, instances, 1]), warm_up_s=np.array([0.0, 0.5, 0.0]))
    assert critical_path_s(problem_of(uniform_machines(2), [dag])).tolist() == [2 + 0.5 + rounds]
