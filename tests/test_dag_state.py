"""The arrays that follow tasks and machines, and the kernels over them, beside the same in plain Python."""

from __future__ import annotations

from dataclasses import fields
from math import inf
from typing import Any

import numpy as np
import pytest
from dag_episodes import job, workloads, world
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray
from worlds import MANY

from clustersim.dag_problem import problem_of
from clustersim.dag_state import (
    NOBODY,
    DagState,
    can_start,
    earliest_finish_s,
    expected_s,
    insert,
    mark_pairs,
    mark_ready,
    remove,
    some_machine,
)
from clustersim.dags import DagWorkload, Machines, uniform_machines


def state_of(workload: DagWorkload) -> DagState:
    return DagState(problem_of(workload.machines, workload.jobs), workload.arrival_s, workload.switch_s)


def two_machines(latency_s: float = 0.0, s_per_byte: float = 0.0) -> Machines:
    return uniform_machines(2, latency_s=latency_s, bytes_per_s=1 / s_per_byte if s_per_byte else inf)


# --- which nodes are ready


@given(st.lists(st.integers(0, 9), unique=True), st.data())
@MANY
def test_the_list_of_ready_nodes_stays_ascending(nodes: list[int], data: st.DataObject) -> None:
    ready, count = np.full(10, 99), np.zeros(1, dtype=np.int64)
    for node in nodes:
        insert(ready, count, node)
    assert ready[: count[0]].tolist() == sorted(nodes)
    left = sorted(nodes)
    for node in data.draw(st.permutations(nodes)):
        remove(ready, count, node)
        left.remove(node)
        assert ready[: count[0]].tolist() == left


@given(workloads(), st.lists(st.integers(0, 99), min_size=1, max_size=60))
@MANY
def test_the_verbs_keep_count_of_every_instance(workload: DagWorkload, numbers: list[int]) -> None:
    """Any verb that is possible, again and again, beside a plain list of what each instance does."""
    state = state_of(workload)
    problem, view, machines = state.problem, state.view, len(workload.machines)
    does = [["unstarted"] * int(count) for count in problem.instances]
    ended_on: list[list[int]] = [[] for _ in does]
    outside = list(range(len(workload.jobs)))

    def preds(node: int) -> list[int]:
        return problem.pred[problem.pred_start[node] : problem.pred_start[node + 1]].tolist()

    def waiting_for(node: int) -> int:
        return sum(set(does[source]) != {"ended"} for source in preds(node)) + (problem.job_of[node] in outside)

    def change(node: int, before: str, after: str) -> None:
        does[node][does[node].index(before)] = after

    for number in numbers:
        possible: list[tuple[str, int]] = [("admit", j) for j in outside[:1]]
        for node in range(len(does)):
            if waiting_for(node) == 0 and "unstarted" in does[node]:
                possible.append(("reserve", node))
            if "reserved" in does[node]:
                possible += [("unreserve", node), ("start", node)]
            if "running" in does[node]:
                possible += [("lose", node), ("end", node)]
        if not possible:
            break
        verb, subject = possible[number % len(possible)]
        if verb == "admit":
            state.admit(outside.pop(0))
        elif verb == "end":
            machine = number % machines
            change(subject, "running", "ended")
            ended_on[subject].append(machine)
            assert state.end(subject, machine, 1.0) == (set(does[subject]) == {"ended"})
        else:
            getattr(state, verb)(subject)
            before, after = {
                "reserve": ("unstarted", "reserved"),
                "unreserve": ("reserved", "unstarted"),
                "start": ("reserved", "running"),
                "lose": ("running", "unstarted"),
            }[verb]
            change(subject, before, after)
        assert view.reserved.tolist() == [some.count("reserved") for some in does]
        assert view.unstarted.tolist() == [some.count("unstarted") + some.count("reserved") for some in does]
        assert view.running.tolist() == [some.count("running") for some in does]
        assert view.finished.tolist() == [set(some) == {"ended"} for some in does]
        assert view.waiting_for.tolist() == [waiting_for(node) for node in range(len(does))]
        offered = [node for node in range(len(does)) if waiting_for(node) == 0 and "unstarted" in does[node]]
        assert view.ready.tolist() == offered
    assert view.admitted.tolist() == [j not in outside for j in range(len(workload.jobs))]
    assert [state.ran_on[node].tolist() for node in range(len(does))] == [
        [some.count(machine) for machine in range(machines)] for some in ended_on
    ]


# --- data


def test_every_instance_sends_an_equal_share_to_every_instance_when_it_ends() -> None:
    # 24 bytes from 2 instances to 3: 4 bytes from each to each, which take 2 s and half a second of latency.
    dag = job([1.0, 1.0], [(0, 1, 24.0)], [2, 3], machines=2)
    state = state_of(world([dag], machines=two_machines(latency_s=0.5, s_per_byte=0.5)))
    state.admit(0)
    for _ in range(2):
        state.reserve(0)
        state.start(0)
    assert not state.end(0, 0, 10.0)
    assert state.view.data_at_s.tolist() == [[0.0, 0.0], [10.0, 12.5]]
    assert state.view.ready.tolist() == []
    assert state.end(0, 1, 11.0)
    assert state.view.data_at_s.tolist() == [[0.0, 0.0], [13.5, 12.5]]
    assert state.view.ready.tolist() == [1]
    # An instance on machine 0 gets what the instance on machine 1 sent it, and the other way round.
    assert (state.incoming_bytes(1, 0), state.incoming_bytes(1, 1)) == (4.0, 4.0)


def test_what_arrives_last_counts_whatever_ended_last() -> None:
    dag = job([1.0, 1.0, 1.0], [(0, 2, 8.0), (1, 2, 1.0)], machines=2)
    state = state_of(world([dag], machines=two_machines(s_per_byte=1.0)))
    state.admit(0)
    for node in (0, 1):
        state.reserve(node)
        state.start(node)
    state.end(0, 0, 1.0)
    state.end(1, 0, 3.0)
    assert state.view.data_at_s[2].tolist() == [3.0, 9.0]
    assert (state.incoming_bytes(2, 0), state.incoming_bytes(2, 1)) == (0.0, 9.0)


# --- when a machine is expected to be done


def three_tasks() -> DagState:
    """Tasks 0 and 1 of job 0 and task 2 of job 1, on two machines; 1 cannot run on machine 1."""
    first = job([[2.0, 3.0], [4.0, inf]], warm_up_s=[0.5, 0.25])
    return state_of(world([first, job([[1.0, 1.0]], warm_up_s=[0.125])], switch_s=10.0))


@pytest.mark.parametrize(
    ("node", "tail_node", "expected"),
    [
        (0, NOBODY, 2.5),  # warm-up, but nothing to switch from
        (0, 0, 2.0),  # right behind another instance
        (0, 1, 2.5),  # another task of the same job
        (0, 2, 12.5),  # of another job
        (2, 0, 11.125),
        (2, NOBODY, 1.125),
    ],
)
def test_an_instance_takes_its_warm_up_behind_another_task_and_the_switch_behind_another_job(
    node: int, tail_node: int, expected: float
) -> None:
    problem = three_tasks().problem
    tail_job = NOBODY if tail_node == NOBODY else int(problem.job_of[tail_node])
    tails = np.array([tail_node, NOBODY]), np.array([tail_job, NOBODY])
    took_s = expected_s(node, 0, problem.run_time_s, problem.warm_up_s, problem.job_of, 10.0, *tails)
    assert took_s == expected


def test_a_queue_is_served_in_its_order_each_task_when_its_data_are_there() -> None:
    state = three_tasks()
    state.free_at_s[0] = 3.0
    state.data_at_s[2, 0] = 20.0
    state.extend(0, np.array([0, 0, 2, 1]), 1.0)
    # 3 + 2.5 + 2 = 7.5; the data of task 2 come at 20, then 1.125 s and the switch; task 1: 4.25 s and the switch.
    assert state.view.free_at_s.tolist() == [20.0 + 11.125 + 14.25, 0.0]
    assert (state.view.tail_node.tolist(), state.view.tail_job.tolist()) == ([1, NOBODY], [0, NOBODY])
    state.extend(1, np.array([0]), 1.0)
    assert state.view.free_at_s[1] == 1.0 + 3.5


def test_the_earliest_finish_is_behind_the_queue_and_the_data_and_infinite_where_a_task_cannot_run() -> None:
    def finish_s(state: DagState, node: int) -> list[float]:
        problem, out = state.problem, np.full(2, -1.0)
        earliest_finish_s(
            node,
            5.0,
            problem.run_time_s,
            problem.warm_up_s,
            problem.job_of,
            10.0,
            state.data_at_s,
            state.free_at_s,
            state.tail_node,
            state.tail_job,
            state.up,
            out,
        )
        return out.tolist()

    state = three_tasks()
    assert finish_s(state, 0) == [7.5, 8.5]
    assert finish_s(state, 1) == [9.25, inf]
    state.free_at_s[:] = [4.0, 6.0]
    assert finish_s(state, 0) == [7.5, 9.5]
    state.data_at_s[0] = [8.0, 5.5]
    assert finish_s(state, 0) == [10.5, 9.5]
    state.tail_node[:], state.tail_job[:] = [2, 0], [1, 0]
    assert finish_s(state, 0) == [20.5, 9.0]
    state.up[1] = False
    assert finish_s(state, 0) == [20.5, inf]


# --- what is possible


@st.composite
def situations(draw: st.DrawFn) -> tuple[list[int], NDArray[np.float64], NDArray[np.bool_]]:
    """Ready nodes, run times of nodes on machines, and which machines are up (or open)."""
    shape = draw(array_shapes(min_dims=2, max_dims=2, max_side=5))
    run_time_s = draw(arrays(np.float64, shape, elements=st.sampled_from([0.0, 1.0, inf])))
    run_time_s[np.arange(shape[0]), draw(arrays(np.int64, shape[0], elements=st.integers(0, shape[1] - 1)))] = 2.0
    ready = sorted(draw(st.sets(st.integers(0, shape[0] - 1))))
    return ready, run_time_s, draw(arrays(np.bool_, shape[1]))


@given(situations())
@MANY
def test_masks_hold_what_is_ready_and_has_a_machine_that_is_up_and_able(situation: Any) -> None:
    nodes, run_time_s, up = situation
    count, machines = run_time_s.shape
    ready, ready_count = np.resize(np.array([*nodes, 0]), count), np.array([len(nodes)])
    able = np.zeros((count, machines), dtype=np.bool_)
    for node in nodes:
        able[node] = up & np.isfinite(run_time_s[node])
    offered, pairs = np.ones(count + 1, dtype=np.bool_), np.ones(count * machines + 1, dtype=np.bool_)
    assert mark_ready(ready, ready_count, run_time_s, up, bool(up.all()), offered) == able.any()
    assert offered.tolist() == [*able.any(axis=1).tolist(), False]
    assert mark_pairs(ready, ready_count, run_time_s, up, pairs) == able.any()
    assert pairs.tolist() == [*able.ravel().tolist(), False]
    all_capable = bool(np.isfinite(run_time_s).all())
    assert can_start(ready, ready_count, up, run_time_s, all_capable) == able.any()
    for node in range(count):
        out = np.ones(machines, dtype=np.bool_)
        here = up & np.isfinite(run_time_s[node])
        assert some_machine(node, run_time_s, up, out) == here.any()
        assert out.tolist() == here.tolist()


# --- the view


def test_the_view_follows_the_state_and_refuses_to_be_written_to() -> None:
    state = three_tasks()
    view = state.view
    assert view.ready.tolist() == []
    assert view.waiting_for.tolist() == [1, 1, 1]
    state.admit(0)
    assert view.ready.tolist() == [0, 1]
    for entry in fields(view):
        value = getattr(view, entry.name)
        if isinstance(value, np.ndarray):
            assert not value.flags.writeable, entry.name
    with pytest.raises(ValueError, match="read-only"):
        view.ready[0] = 1


def test_a_view_of_arrival_times_cannot_change_the_workload() -> None:
    workload = world([job([1.0])], [3.0])
    view = state_of(workload).view
    with pytest.raises(ValueError, match="read-only"):
        view.arrival_s[0] = 0.0
    assert workload.arrival_s.tolist() == [3.0]
