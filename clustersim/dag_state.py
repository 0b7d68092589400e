"""The state of tasks and machines while jobs run, as arrays: kernels change it, policies read it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from clustersim.dag_problem import DagProblem, Floats, Ints
from clustersim.readonly import read_only

NOBODY = -1
"""In place of a node or a job where there is none."""


@dataclass(frozen=True, slots=True, eq=False)
class DagView:
    """What a policy may read; the arrays follow the simulation and refuse to be written to.

    Of the N nodes: `unstarted` instances, of which `reserved` wait in the queue of a machine in this round; `running`
    ones; `waiting_for`, the number of unfinished predecessors (at least 1 before the job is admitted); `finished`.
    `data_at_s`, shape (N, M): when the data that have been sent so far arrive at each machine.
    Of the M machines: `free_at_s`, when each is expected to be free, queue included; `tail_node` and `tail_job`, what
    it serves last (NOBODY at first), on which warm-up and switching depend; `up`; `open`: up, idle and unreserved.
    Of the J jobs: `arrival_s`, `unfinished` tasks, and whether each is `admitted`; finished ones stay admitted.
    """

    problem: DagProblem
    arrival_s: Floats
    switch_s: float
    unstarted: Ints
    reserved: Ints
    running: Ints
    waiting_for: Ints
    finished: NDArray[np.bool_]
    data_at_s: Floats
    free_at_s: Floats
    tail_node: Ints
    tail_job: Ints
    up: NDArray[np.bool_]
    open: NDArray[np.bool_]
    unfinished: Ints
    admitted: NDArray[np.bool_]
    _ready: Ints
    _ready_count: Ints

    @property
    def ready(self) -> Ints:
        """The nodes with an instance to hand out, ascending."""
        return self._ready[: self._ready_count[0]]


class DagState:
    """The arrays that `DagView` shows; only the scenario changes them."""

    def __init__(self, problem: DagProblem, arrival_s: Floats, switch_s: float) -> None:
        nodes, machines, jobs = len(problem), problem.machines, len(arrival_s)
        self.problem = problem
        self.unstarted = np.array(problem.instances)
        self.reserved = np.zeros(nodes, dtype=np.int64)
        self.running = np.zeros(nodes, dtype=np.int64)
        # One more than predecessors until the job is admitted: the arrival is one more thing to wait for.
        self.waiting_for = np.diff(problem.pred_start) + 1
        self.finished = np.zeros(nodes, dtype=np.bool_)
        self.ended = np.zeros(nodes, dtype=np.int64)
        self.ran_on = np.zeros((nodes, machines), dtype=np.int32)
        self.data_at_s = np.zeros((nodes, machines))
        self.free_at_s = np.zeros(machines)
        self.tail_node = np.full(machines, NOBODY, dtype=np.int64)
        self.tail_job = np.full(machines, NOBODY, dtype=np.int64)
        self.up = np.ones(machines, dtype=np.bool_)
        self.open = np.ones(machines, dtype=np.bool_)
        self.unfinished = np.diff(problem.first_node)
        self.admitted = np.zeros(jobs, dtype=np.bool_)
        self.ready = np.zeros(nodes, dtype=np.int64)
        self.ready_count = np.zeros(1, dtype=np.int64)
        self.view = DagView(
            problem,
            read_only(arrival_s),
            switch_s,
            unstarted=read_only(self.unstarted),
            reserved=read_only(self.reserved),
            running=read_only(self.running),
            waiting_for=read_only(self.waiting_for),
            finished=read_only(self.finished),
            data_at_s=read_only(self.data_at_s),
            free_at_s=read_only(self.free_at_s),
            tail_node=read_only(self.tail_node),
            tail_job=read_only(self.tail_job),
            up=read_only(self.up),
            open=read_only(self.open),
            unfinished=read_only(self.unfinished),
            admitted=read_only(self.admitted),
            _ready=read_only(self.ready),
            _ready_count=read_only(self.ready_count),
        )

    def admit(self, job: int) -> None:
        """Let a job's tasks run as soon as they have no predecessors left."""
        self.admitted[job] = True
        first, end = self.problem.first_node[job : job + 2]
        for node in range(first, end):
            self.waiting_for[node] -= 1
            if self.waiting_for[node] == 0:
                insert(self.ready, self.ready_count, node)

    def reserve(self, node: int) -> None:
        """Put one instance aside for a machine."""
        self.reserved[node] += 1
        if self.reserved[node] == self.unstarted[node]:
            remove(self.ready, self.ready_count, node)

    def unreserve(self, node: int) -> None:
        """Offer an instance again that had been put aside."""
        if self.reserved[node] == self.unstarted[node]:
            insert(self.ready, self.ready_count, node)
        self.reserved[node] -= 1

    def start(self, node: int) -> None:
        """An instance that had been put aside starts."""
        self.reserved[node] -= 1
        self.unstarted[node] -= 1
        self.running[node] += 1

    def lose(self, node: int) -> None:
        """A running instance is lost and has to start again."""
        if self.reserved[node] == self.unstarted[node]:
            insert(self.ready, self.ready_count, node)
        self.unstarted[node] += 1
        self.running[node] -= 1

    def end(self, node: int, machine: int, now_s: float) -> bool:
        """An instance ends; return whether the task has ended with it."""
        problem = self.problem
        return bool(
            _end(
                node,
                machine,
                now_s,
                problem.instances,
                problem.succ_start,
                problem.succ,
                problem.succ_bytes,
                problem.latency_s,
                problem.s_per_byte,
                self.running,
                self.ended,
                self.ran_on,
                self.finished,
                self.waiting_for,
                self.data_at_s,
                self.ready,
                self.ready_count,
            )
        )

    def extend(self, machine: int, nodes: Ints, now_s: float) -> None:
        """Expect the machine to serve the nodes, one after the other, behind what it serves last."""
        problem = self.problem
        _extend(
            machine,
            nodes,
            now_s,
            problem.run_time_s,
            problem.warm_up_s,
            problem.job_of,
            self.view.switch_s,
            self.data_at_s,
            self.free_at_s,
            self.tail_node,
            self.tail_job,
        )

    def incoming_bytes(self, node: int, machine: int) -> float:
        """What an instance that starts on the machine gets from other machines."""
        problem = self.problem
        return float(
            incoming(
                node, machine, problem.instances, problem.pred_start, problem.pred, problem.pred_bytes, self.ran_on
            )
        )


@njit(cache=True)
def expected_s(
    node: int,
    machine: int,
    run_time_s: Floats,
    warm_up_s: Floats,
    job_of: Ints,
    switch_s: float,
    tail_node: Ints,
    tail_job: Ints,
) -> float:
    """How long an instance is expected to occupy a machine behind what that serves last; inf where it cannot run."""
    expected = run_time_s[node, machine]
    if tail_node[machine] != node:
        expected += warm_up_s[node]
        if tail_job[machine] != job_of[node] and tail_job[machine] >= 0:
            expected += switch_s
    return float(expected)


@njit(cache=True)
def _extend(
    machine: int,
    nodes: Ints,
    now_s: float,
    run_time_s: Floats,
    warm_up_s: Floats,
    job_of: Ints,
    switch_s: float,
    data_at_s: Floats,
    free_at_s: Floats,
    tail_node: Ints,
    tail_job: Ints,
) -> None:
    for node in nodes:
        start_s = max(now_s, free_at_s[machine], data_at_s[node, machine])
        free_at_s[machine] = start_s + expected_s(
            node, machine, run_time_s, warm_up_s, job_of, switch_s, tail_node, tail_job
        )
        tail_node[machine] = node
        tail_job[machine] = job_of[node]


@njit(cache=True)
def earliest_finish_s(
    node: int,
    now_s: float,
    run_time_s: Floats,
    warm_up_s: Floats,
    job_of: Ints,
    switch_s: float,
    data_at_s: Floats,
    free_at_s: Floats,
    tail_node: Ints,
    tail_job: Ints,
    up: NDArray[np.bool_],
    out: Floats,
) -> None:
    """When an instance of the node would end on each machine, behind its queue, into `out`, shape (M,); inf: cannot.

    Source: EFT of Topcuoglu, Hariri, Wu 2002 (doi 10.1109/71.993206), with the state of the simulation for the plan.
    """
    for machine in range(len(out)):
        if up[machine]:
            start_s = max(now_s, free_at_s[machine], data_at_s[node, machine])
            out[machine] = start_s + expected_s(
                node, machine, run_time_s, warm_up_s, job_of, switch_s, tail_node, tail_job
            )
        else:
            out[machine] = np.inf


@njit(cache=True)
def can_start(ready: Ints, ready_count: Ints, open_: NDArray[np.bool_], run_time_s: Floats, all_capable: bool) -> bool:
    """Whether any ready node can start on an open machine. `all_capable`: every machine runs every node."""
    if ready_count[0] == 0:
        return False
    for machine in range(len(open_)):
        if open_[machine]:
            if all_capable:
                return True
            for index in range(ready_count[0]):
                if run_time_s[ready[index], machine] < np.inf:
                    return True
    return False


@njit(cache=True)
def some_machine(node: int, run_time_s: Floats, up: NDArray[np.bool_], out: NDArray[np.bool_]) -> bool:
    """Write which machines are up and able to run the node; return whether any is."""
    found = False
    for machine in range(len(up)):
        out[machine] = up[machine] and run_time_s[node, machine] < np.inf
        found |= out[machine]
    return found


@njit(cache=True)
def mark_ready(
    ready: Ints, ready_count: Ints, run_time_s: Floats, up: NDArray[np.bool_], all_up: bool, out: NDArray[np.bool_]
) -> bool:
    """Write which nodes are ready and can run on a machine that is up; the last candidate of `out` stays False."""
    out[:] = False
    found = False
    for index in range(ready_count[0]):
        node = ready[index]
        able = all_up
        if not all_up:
            for machine in range(len(up)):
                able |= up[machine] and run_time_s[node, machine] < np.inf
        out[node] = able
        found |= able
    return found


@njit(cache=True)
def mark_pairs(
    ready: Ints, ready_count: Ints, run_time_s: Floats, up: NDArray[np.bool_], out: NDArray[np.bool_]
) -> bool:
    """Write which pairs node * M + machine are possible; the last candidate of `out` stays False."""
    out[:] = False
    found = False
    machines = len(up)
    for index in range(ready_count[0]):
        node = ready[index]
        for machine in range(machines):
            able = up[machine] and run_time_s[node, machine] < np.inf
            out[node * machines + machine] = able
            found |= able
    return found


@njit(cache=True)
def insert(ready: Ints, ready_count: Ints, node: int) -> None:
    """Put a node into the ascending list."""
    place = ready_count[0]
    while place > 0 and ready[place - 1] > node:
        ready[place] = ready[place - 1]
        place -= 1
    ready[place] = node
    ready_count[0] += 1


@njit(cache=True)
def remove(ready: Ints, ready_count: Ints, node: int) -> None:
    """Take a node out of the ascending list."""
    place = np.searchsorted(ready[: ready_count[0]], node)
    for index in range(place, ready_count[0] - 1):
        ready[index] = ready[index + 1]
    ready_count[0] -= 1


@njit(cache=True)
def _end(
    node: int,
    machine: int,
    now_s: float,
    instances: Ints,
    succ_start: Ints,
    succ: Ints,
    succ_bytes: Floats,
    latency_s: Floats,
    s_per_byte: Floats,
    running: Ints,
    ended: Ints,
    ran_on: NDArray[np.int32],
    finished: NDArray[np.bool_],
    waiting_for: Ints,
    data_at_s: Floats,
    ready: Ints,
    ready_count: Ints,
) -> bool:
    running[node] -= 1
    ended[node] += 1
    ran_on[node, machine] += 1
    finished[node] = ended[node] == instances[node]
    send(node, machine, now_s, instances, succ_start, succ, succ_bytes, latency_s, s_per_byte, data_at_s)
    if finished[node]:
        for child in succ[succ_start[node] : succ_start[node + 1]]:
            waiting_for[child] -= 1
            if waiting_for[child] == 0:
                insert(ready, ready_count, child)
    return bool(finished[node])


@njit(cache=True)
def send(
    node: int,
    machine: int,
    now_s: float,
    instances: Ints,
    succ_start: Ints,
    succ: Ints,
    succ_bytes: Floats,
    latency_s: Floats,
    s_per_byte: Floats,
    data_at_s: Floats,
) -> None:
    """An instance that has ended sends its share of the data to wherever the successors may run."""
    for edge in range(succ_start[node], succ_start[node + 1]):
        child = succ[edge]
        share = succ_bytes[edge] / (instances[node] * instances[child])
        for target in range(len(latency_s)):
            # Both are 0 between a machine and itself.
            at_s = now_s + latency_s[machine, target] + share * s_per_byte[machine, target]
            data_at_s[child, target] = max(data_at_s[child, target], at_s)


@njit(cache=True)
def incoming(
    node: int,
    machine: int,
    instances: Ints,
    pred_start: Ints,
    pred: Ints,
    pred_bytes: Floats,
    ran_on: NDArray[np.int32],
) -> float:
    total = 0.0
    for edge in range(pred_start[node], pred_start[node + 1]):
        source = pred[edge]
        elsewhere = instances[source] - ran_on[source, machine]
        total += pred_bytes[edge] * elsewhere / (instances[source] * instances[node])
    return total
